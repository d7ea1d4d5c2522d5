/* SPDX-License-Identifier: MIT */
/*
 * check_conv_channels.c - convolutions by channel: operands, and CONTRACT.md's formulas once more.
 */
#include "check_conv.h"

#include "layers/kernels/quadratic.h"

#include <math.h>
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
        if (qzk_act_is_function(act))
            w->out_mult = floats(rng, &o->second, s->oc, 0.5f / qzk_act_divisor(act),
                                 60.0f / qzk_act_divisor(act), at_front);
    }
    o->args.y_zp = 0;
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

uint8_t conv_channels_right(const conv_operands *o, int32_t oc, int64_t sum, int64_t pixel)
{
    const qzk_conv_weights *w = &o->weights;
    float v;
    if (qzk_act_is_function(w->act)) {
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
    int failures = 0;
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
