/* SPDX-License-Identifier: MIT */
/*
 * check_by_channel.c - the checks of ops whose parameters differ by channel: CONTRACT.md's formulas
 * once more, with the C library's rintf.
 */
#include "check_call.h"

#include <math.h>
#include <stdio.h>

/* A row of constants of c->n channels, which repeats for QZK_WRAP more. */
static float *random_row(call *c, float reach, bool wide)
{
    float *row = call_space(c, c->n + QZK_WRAP, sizeof(*row));
    const bool halves = check_one_in(c->rng, 4);
    for (size_t i = 0; i < c->n + QZK_WRAP; i++) {
        row[i] = check_uniform(c->rng, -reach, reach);
        if (halves)
            row[i] = rintf(row[i]) + 0.5f;
        if (wide && check_one_in(c->rng, 4))
            row[i] *= exp2f(check_uniform(c->rng, -100.0f, 40.0f));
        if (c->n > 0 && i >= c->n)
            row[i] = row[i - c->n];
        else if (c->n == 0)
            row[i] = 0.0f;
    }
    return row;
}

/* Zero points. */
static float *random_zeros(call *c)
{
    float *row = random_row(c, 0.0f, false);
    for (size_t i = 0; i < c->n + QZK_WRAP; i++)
        row[i] = i < c->n ? (float)call_random_zp(c->rng) : c->n > 0 ? row[i - c->n] : 0.0f;
    return row;
}

static void random_bounds(call *c, uint8_t *lo, uint8_t *hi)
{
    *lo = (uint8_t)(check_one_in(c->rng, 2) ? 0 : check_range(c->rng, 0, 255));
    *hi = (uint8_t)(check_one_in(c->rng, 2) ? 255 : check_range(c->rng, *lo, 255));
}

static uint8_t rounded(float v, uint8_t lo, uint8_t hi)
{
    return (uint8_t)rintf(fminf(fmaxf(v, lo), hi));
}

/* Where an element is: its pixel and channel; channels from c->n on are between the pixels. */
typedef struct place {
    size_t pixel, channel;
} place;

static place place_of(const call_strided *s, size_t i)
{
    return (place){i / (size_t)s->y_stride, i % (size_t)s->y_stride};
}

bool check_u8_affine_channels(call *c)
{
    call_strided s = call_random_strided(c);
    uint8_t *x = call_random_u8(c, s.x_size);
    const uint8_t *x0 = call_copy_of(c, x, s.x_size, 1);
    uint8_t *y = c->in_place ? x : call_fresh(c, s.y_size, 1);
    const uint8_t *y0 = call_copy_of(c, y, s.y_size, 1);
    const bool wide = check_one_in(c->rng, 4);
    qzk_affine_channels_params p = {.mult = random_row(c, 2, wide), .wide = wide};
    p.shift = random_row(c, 60, wide);
    random_bounds(c, &p.lo, &p.hi);
    c->k->u8_affine_channels(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, &p);
    for (size_t i = 0; i < s.y_size; i++) {
        const place at = place_of(&s, i);
        uint8_t want = y0[i];
        if (at.channel < c->n)
            want = rounded(check_fmaf(x0[at.pixel * (size_t)s.x_stride + at.channel],
                                      p.mult[at.channel], p.shift[at.channel]),
                           p.lo, p.hi);
        if (!call_same_u8(c, i, y[i], want))
            return false;
    }
    return true;
}

/* A function, written once more in double where it is made of quadratics. */
static double function_of(qz_activation act, double x)
{
    switch (act) {
    case QZ_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case QZ_ACT_SILU:
        return x / (1.0 + exp(-x));
    case QZ_ACT_GELU:
        return 0.5 * x * erfc(-x * sqrt(0.5));
    case QZ_ACT_MISH:
        return x * tanh(x > 30.0 ? x : log1p(exp(x)));
    case QZ_ACT_LEAKY_RELU:
        return x < 0.0 ? 0.1 * x : x;
    default: /* times 6 */
        return (act == QZ_ACT_HARDSWISH ? x : 1.0) * fmin(fmax(x + 3.0, 0.0), 6.0);
    }
}

/* Bytes of ref, which are within the function's error of the real numbers. */
bool check_u8_act_channels(call *c)
{
    static qzk_kernels ref;
    qzk_init(&ref, QZ_ISA_REF);
    call_strided s = call_random_strided(c);
    uint8_t *x = call_random_u8(c, s.x_size);
    const uint8_t *x0 = call_copy_of(c, x, s.x_size, 1);
    uint8_t *y = c->in_place ? x : call_fresh(c, s.y_size, 1);
    const uint8_t *y0 = call_copy_of(c, y, s.y_size, 1);
    uint8_t *want = call_copy_of(c, y, s.y_size, 1);
    const bool wide = check_one_in(c->rng, 4);
    qzk_act_channels_params p = {.wide = wide};
    p.act = (qz_activation)check_range(c->rng, QZ_ACT_HARDSWISH, QZ_ACT_COUNT - 1);
    p.x_mult = random_row(c, 0.2f, wide);
    p.x_shift = random_row(c, 6, wide);
    p.mult = random_row(c, 40, wide);
    p.shift = random_zeros(c);
    ref.u8_act_channels(&(qzk_rows){x0, want, s.pixels, c->n, s.x_stride, s.y_stride}, &p);
    c->k->u8_act_channels(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, &p);
    for (size_t i = 0; i < s.y_size; i++) {
        const place at = place_of(&s, i);
        if (!call_same_u8(c, i, y[i], at.channel < c->n ? want[i] : y0[i]))
            return false;
        if (wide || at.channel >= c->n)
            continue;
        const double real =
            x0[at.pixel * (size_t)s.x_stride + at.channel] * (double)p.x_mult[at.channel] +
            (double)p.x_shift[at.channel];
        const double v =
            function_of(p.act, real) * (double)p.mult[at.channel] + (double)p.shift[at.channel];
        const double error = 0.501 + fabs((double)p.mult[at.channel]) * 5e-4;
        if (fabs(y[i] - fmin(fmax(v, 0.0), 255.0)) > error) {
            snprintf(c->how, sizeof(c->how), "element %zu is %d instead of %g", i, y[i], v);
            return false;
        }
    }
    return true;
}

/* Two inputs and an output; in place it is either of them. */
typedef struct two_inputs {
    call_strided s;
    int64_t b_stride;
    uint8_t *a, *b, *y;
    const uint8_t *a0, *b0, *y0;
} two_inputs;

static two_inputs random_inputs(call *c)
{
    two_inputs t = {.s = call_random_strided(c)};
    const bool over_b = c->in_place && check_one_in(c->rng, 2);
    t.b_stride = (int64_t)c->n + (check_one_in(c->rng, 2) ? check_range(c->rng, 0, 9) : 0);
    if (over_b)
        t.b_stride = t.s.y_stride;
    const size_t b_size = (t.s.pixels - 1) * (size_t)t.b_stride + c->n;
    t.a = call_random_u8(c, t.s.x_size);
    t.b = call_random_u8(c, b_size);
    t.a0 = call_copy_of(c, t.a, t.s.x_size, 1);
    t.b0 = call_copy_of(c, t.b, b_size, 1);
    t.y = over_b ? t.b : c->in_place ? t.a : call_fresh(c, t.s.y_size, 1);
    t.y0 = call_copy_of(c, t.y, t.s.y_size, 1);
    return t;
}

static qzk_rows rows_of(const call *c, const two_inputs *t)
{
    return (qzk_rows){t->a, t->y, t->s.pixels, c->n, t->s.x_stride, t->s.y_stride};
}

bool check_u8_add_channels(call *c)
{
    const two_inputs t = random_inputs(c);
    const qzk_rows rows = rows_of(c, &t);
    const bool wide = check_one_in(c->rng, 4);
    qzk_add_channels_params p = {.a_mult = random_row(c, 2, wide), .wide = wide};
    p.b_mult = random_row(c, 2, wide);
    p.shift = random_row(c, 60, wide);
    random_bounds(c, &p.lo, &p.hi);
    c->k->u8_add_channels(&rows, t.b, t.b_stride, &p);
    for (size_t i = 0; i < t.s.y_size; i++) {
        const place at = place_of(&t.s, i);
        uint8_t want = t.y0[i];
        if (at.channel < c->n) {
            const size_t ch = at.channel;
            const float other =
                check_fmaf(t.b0[at.pixel * (size_t)t.b_stride + ch], p.b_mult[ch], p.shift[ch]);
            want =
                rounded(check_fmaf(t.a0[at.pixel * (size_t)t.s.x_stride + ch], p.a_mult[ch], other),
                        p.lo, p.hi);
        }
        if (!call_same_u8(c, i, t.y[i], want))
            return false;
    }
    return true;
}

static qzk_mul_channels_params random_mul(call *c)
{
    qzk_mul_channels_params p = {.a_zero = random_zeros(c), .b_zero = random_zeros(c)};
    p.wide = check_one_in(c->rng, 4);
    p.mult = random_row(c, 0.02f, p.wide);
    p.shift = random_zeros(c);
    return p;
}

bool check_u8_mul_pair_channels(call *c)
{
    const two_inputs t = random_inputs(c);
    const qzk_rows rows = rows_of(c, &t);
    const qzk_mul_channels_params p = random_mul(c);
    c->k->u8_mul_pair_channels(&rows, t.b, t.b_stride, &p);
    for (size_t i = 0; i < t.s.y_size; i++) {
        const place at = place_of(&t.s, i);
        uint8_t want = t.y0[i];
        if (at.channel < c->n) {
            const size_t ch = at.channel;
            const int32_t a = t.a0[at.pixel * (size_t)t.s.x_stride + ch] - (int32_t)p.a_zero[ch];
            const int32_t b = t.b0[at.pixel * (size_t)t.b_stride + ch] - (int32_t)p.b_zero[ch];
            want = rounded(check_fmaf((float)(a * b), p.mult[ch], p.shift[ch]), 0, 255);
        }
        if (!call_same_u8(c, i, t.y[i], want))
            return false;
    }
    return true;
}

bool check_u8_factor_channels(call *c)
{
    const qzk_mul_channels_params p = random_mul(c);
    const uint8_t *b = call_random_u8(c, c->n);
    float *mult = call_fresh(c, c->n, 4), *shift = call_fresh(c, c->n, 4);
    c->k->u8_factor_channels(b, c->n, &p, mult, shift);
    for (size_t i = 0; i < c->n; i++) {
        const float factor = (float)(b[i] - (int32_t)p.b_zero[i]) * p.mult[i];
        const float moved = p.a_zero[i] * factor;
        if (!call_same_f32(c, i, mult[i], factor) ||
            !call_same_f32(c, i, shift[i], p.shift[i] - moved))
            return false;
    }
    return true;
}

bool check_u8_avgpool_channels(call *c)
{
    const uint8_t *taps[64];
    const size_t count = (size_t)check_range(c->rng, 1, check_one_in(c->rng, 8) ? 64 : 9);
    for (size_t t = 0; t < count; t++)
        taps[t] = call_random_u8(c, c->n);
    uint8_t *y = call_fresh(c, c->n, 1);
    const float *zeros = random_zeros(c);
    int32_t *offset = call_space(c, c->n + QZK_WRAP, 4);
    for (size_t i = 0; i < c->n + QZK_WRAP; i++)
        offset[i] = (int32_t)count * (int32_t)zeros[i];
    qzk_avgpool_channels_params p = {.offset = offset, .wide = check_one_in(c->rng, 4)};
    p.mult = random_row(c, 2.0f / (float)count, p.wide);
    p.shift = random_zeros(c);
    c->k->u8_avgpool_channels(taps, count, c->n, &p, y);
    for (size_t i = 0; i < c->n; i++) {
        int32_t sum = 0;
        for (size_t t = 0; t < count; t++)
            sum += taps[t][i] - (int32_t)zeros[i];
        if (!call_same_u8(c, i, y[i],
                          rounded(check_fmaf((float)sum, p.mult[i], p.shift[i]), 0, 255)))
            return false;
    }
    return true;
}
