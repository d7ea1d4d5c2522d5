/* SPDX-License-Identifier: MIT */
/*
 * check_conv_channels.c - convolutions by channel: operands, and CONTRACT.md's formulas once more.
 */
#include "check_conv.h"

#include "layers/kernels/quadratic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- operands ---- */

/* Of each output channel: a number between lo and hi. */
static const float *floats(check_rng *rng, check_buffer *buffer, int32_t n, float lo, float hi,
                           bool at_front)
{
    *buffer = check_buffer_new((size_t)n * sizeof(float), 4, at_front);
    float *to = (float *)(void *)buffer->data;
    for (int32_t i = 0; i < n; i++)
        to[i] = check_uniform(rng, lo, hi);
    check_buffer_protect(buffer, true);
    return to;
}

static void fill_residual(check_rng *rng, conv_operands *o, bool at_front)
{
    qzk_view *r = &o->args.residual;
    *r = o->args.out;
    o->in_place = check_one_in(rng, 3);
    if (!o->in_place && check_one_in(rng, 2))
        r->pixel_stride = QZK_CEIL4(r->c) + 4 * check_range(rng, 0, 5);
    o->residual = check_buffer_new(conv_view_bytes(r, true), 4, at_front);
    check_random_bytes(rng, o->residual.data, o->residual.size);
    check_buffer_protect(&o->residual, true);
    r->data = o->residual.data;
}

/* A function in words. */
static void fill_words(check_rng *rng, conv_operands *o, bool at_front)
{
    static const float zeros[1];
    qzk_words words;
    qzk_conv_weights *w = &o->weights;
    const int32_t n = o->problem.shape.oc;
    const float scale = check_uniform(rng, 0.001f, 0.5f);
    float *mult = (float *)(void *)o->mult.data;
    if (!qzk_words_choose(w->act, &scale, zeros, 1, &words))
        return;
    o->words = check_buffer_new(sizeof(words), _Alignof(qzk_words), at_front);
    memcpy(o->words.data, &words, sizeof(words));
    check_buffer_protect(&o->words, true);
    w->words = (const qzk_words *)(const void *)o->words.data;
    o->second = check_buffer_new((size_t)n * sizeof(float), 4, at_front);
    float *second = (float *)(void *)o->second.data, *zero = (float *)(void *)o->zero.data;
    check_buffer_protect(&o->zero, false);
    for (int32_t i = 0; i < n; i++) {
        second[i] = (float)check_range(rng, 64, check_one_in(rng, 9) ? 32767 : 1000);
        zero[i] = rintf(zero[i]);
        mult[i] /= words.unit;
    }
    check_buffer_protect(&o->second, true);
    check_buffer_protect(&o->zero, true);
    w->out_mult = second;
}

void conv_channels_fill(check_rng *rng, conv_operands *o, qz_activation act, bool residual,
                        bool at_front)
{
    qzk_conv_shape *s = &o->problem.shape;
    qzk_conv_weights *w = &o->weights;
    float *mult = (float *)(void *)o->mult.data;
    s->by_channel = true;
    w->act = act;
    if (!check_one_in(rng, 3)) {
        o->zps = check_buffer_new((size_t)s->ic, 1, at_front);
        check_random_bytes(rng, o->zps.data, o->zps.size);
        check_buffer_protect(&o->zps, true);
        w->x_zps = o->zps.data;
    }
    /* sums such that functions see their whole range, and the largest v is below 2^60 */
    for (int32_t i = 0; i < s->oc; i++) {
        mult[i] = isfinite(mult[i]) ? fminf(mult[i], 0x1p20f) : 0x1p20f;
        if (check_one_in(rng, 100))
            mult[i] = check_one_in(rng, 2) ? 0x1p20f : 0x1p-140f;
        if (qzk_act_is_function(act))
            mult[i] *= 0.06f;
    }
    if (residual) {
        w->out_zero = floats(rng, &o->zero, s->oc, -200.0f, 400.0f, at_front);
        w->residual_mult = floats(rng, &o->second, s->oc, 0.01f, 3.0f, at_front);
        fill_residual(rng, o, at_front);
    } else {
        w->out_zero = floats(rng, &o->zero, s->oc, 0.0f, 255.0f, at_front);
        if (check_one_in(rng, 2))
            fill_words(rng, o, at_front);
        if (qzk_act_is_function(act) && !w->words)
            w->out_mult = floats(rng, &o->second, s->oc, 0.5f / qzk_act_divisor(act),
                                 60.0f / qzk_act_divisor(act), at_front);
    }
    o->args.y_zp = 0;
    if (w->words) { /* the others are clamps */
        o->args.lo = 0.0f;
        o->args.hi = 255.0f;
        return;
    }
    o->args.lo = check_one_in(rng, 2) ? 0.0f : (float)check_range(rng, 0, 200);
    o->args.hi = check_one_in(rng, 2) ? 255.0f : (float)check_range(rng, (int64_t)o->args.lo, 255);
}

/* ---- what is right ---- */

static float right_function(qz_activation act, float x)
{
    const qzk_quadratic *p = &qzk_quadratics[act];
    const float gate = fminf(fmaxf(x + 3.0f, 0.0f), 6.0f);
    switch (act) {
    case QZ_ACT_HARDSWISH:
        return x * gate;
    case QZ_ACT_HARDSIGMOID:
        return gate;
    case QZ_ACT_LEAKY_RELU:
        return x < 0.0f ? x * 0.1f : x;
    default:
        break;
    }
    const float u = p->half > 0.0f ? fabsf(x) : x;
    /* below 2^23 a float has halves, which the rounding of the sum there keeps: both are clamped */
    const float t = check_fmaf(u, p->steps, p->first);
    const int i = (int)fminf(fmaxf(t - 0x1p23f, 0.0f), 31.0f);
    return check_fmaf(x, p->half, check_fmaf(check_fmaf(p->c2[i], u, p->c1[i]), u, p->c0[i]));
}

/* CONTRACT.md, "functions in words". */
static float right_word(const qzk_words *words, float x, float k, float zero)
{
    const long whole = lrintf(fminf(fmaxf(x, -32768.0f), 32767.0f));
    const long u = labs(whole) < (64 << words->shift) ? labs(whole) : (64 << words->shift) - 1;
    const long i = u >> words->shift;
    const double h = words->base[i] + floor(words->slope[i] * (double)u * 0x1p-15 + 0.5);
    const double y = fmin(fmax((double)whole, 0.0) - h, 32767.0);
    return (float)floor(y * (double)k * 0x1p-15 + 0.5) + zero;
}

uint8_t conv_channels_right(const conv_operands *o, int32_t oc, int64_t sum, int64_t pixel)
{
    const qzk_conv_weights *w = &o->weights;
    float v;
    if (w->words) {
        v = right_word(w->words, (float)sum * w->mult[oc], w->out_mult[oc], w->out_zero[oc]);
    } else if (qzk_act_is_function(w->act)) {
        const float x = (float)sum * w->mult[oc];
        v = check_fmaf(right_function(w->act, x), w->out_mult[oc], w->out_zero[oc]);
    } else if (w->residual_mult) {
        const uint8_t *r = o->residual.data;
        const float at = (float)r[pixel * o->args.residual.pixel_stride + oc];
        v = check_fmaf((float)sum, w->mult[oc],
                       check_fmaf(at, w->residual_mult[oc], w->out_zero[oc]));
    } else {
        v = check_fmaf((float)sum, w->mult[oc], w->out_zero[oc]);
    }
    return (uint8_t)lrintf(fminf(fmaxf(v, o->args.lo), o->args.hi));
}

/* ---- how far from the real functions ---- */

static double real_function(qz_activation act, double x)
{
    switch (act) {
    case QZ_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case QZ_ACT_SILU:
        return x / (1 + exp(-x));
    case QZ_ACT_GELU:
        return x * erfc(-x / sqrt(2)) / 2;
    default:
        return x * tanh(log1p(exp(x)));
    }
}

/* The largest error of a function in words of these scales, beyond roundings. */
static double words_error(qz_activation act, float scale)
{
    const float zero = 0.0f;
    qzk_words words;
    double worst = 0;
    if (!qzk_words_choose(act, &scale, &zero, 1, &words))
        return HUGE_VAL;
    for (int k = -32768; k <= 32767; k++) {
        const double x = k * (double)words.unit;
        const double f =
            act == QZ_ACT_HARDSWISH ? x * fmin(fmax(x + 3, 0), 6) / 6 : real_function(act, x);
        const double got = (double)right_word(&words, (float)k, 32767.0f, 0.0f);
        worst = fmax(worst,
                     fabs(got * 32768 / 32767 * (double)words.unit - f) - 2 * (double)words.unit);
    }
    return worst;
}

int conv_channels_errors(int64_t *compared)
{
    static const struct {
        qz_activation act;
        const char *name;
        double most;
    } cases[] = {
        {QZ_ACT_SIGMOID, "sigmoid", 1.4e-4},
        {QZ_ACT_SILU, "SiLU", 9e-5},
        {QZ_ACT_GELU, "GELU", 2e-5},
        {QZ_ACT_MISH, "Mish", 3.5e-4},
    };
    static const struct {
        qz_activation act;
        const char *name;
        double most;
    } in_words[] = {
        {QZ_ACT_HARDSWISH, "hardswish", 1e-4},
        {QZ_ACT_SILU, "SiLU", 6.5e-4},
        {QZ_ACT_GELU, "GELU", 2e-4},
    };
    int failures = 0;
    for (size_t i = 0; i < QZI_ARRAY_LEN(in_words); i++)
        for (float scale = 0.002f; scale < 0.3f; scale *= 3.0f) {
            const double worst = words_error(in_words[i].act, scale);
            printf("%-36s in words of %.3f: error %.1e\n", in_words[i].name, (double)scale, worst);
            failures += worst > in_words[i].most;
            if (worst > in_words[i].most)
                printf("FAILED %s: more than %.1e\n", in_words[i].name, in_words[i].most);
            ++*compared;
        }
    for (size_t i = 0; i < QZI_ARRAY_LEN(cases); i++) {
        double worst = 0;
        for (int k = -40000; k <= 40000; k++) {
            const float x = (float)k * 0x1p-11f;
            worst = fmax(worst, fabs((double)right_function(cases[i].act, x) -
                                     real_function(cases[i].act, (double)x)));
        }
        printf("%-36s by channel: largest error %.1e\n", cases[i].name, worst);
        failures += worst > cases[i].most;
        if (worst > cases[i].most)
            printf("FAILED %s: more than %.1e\n", cases[i].name, cases[i].most);
        ++*compared;
    }
    return failures;
}
