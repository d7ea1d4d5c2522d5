/* SPDX-License-Identifier: MIT */
/*
 * check_mul.c - the checks of products: CONTRACT.md's formulas once more, with the C library's
 * fmaf, rintf and ldexpf.
 */
#include "check_call.h"

#include <string.h>

bool check_f32_mul(call *c)
{
    float *a = call_random_f32(c, c->n, 8), *b = call_random_f32(c, c->n, 8);
    const float *a0 = call_copy_of(c, a, c->n, 4), *b0 = call_copy_of(c, b, c->n, 4);
    float *y = !c->in_place ? call_fresh(c, c->n, 4) : check_one_in(c->rng, 2) ? a : b;
    c->k->f32_mul(a, b, y, c->n);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_f32(c, i, y[i], a0[i] * b0[i]))
            return false;
    return true;
}

bool check_f32_mul_channels(call *c)
{
    call_strided s = call_random_strided(c);
    float *x = call_random_f32(c, s.x_size, 8);
    const float *x0 = call_copy_of(c, x, s.x_size, 4), *factor = call_random_f32(c, c->n, 2);
    float *y = c->in_place ? x : call_fresh(c, s.y_size, 4);
    const float *y0 = call_copy_of(c, y, s.y_size, 4);
    c->k->f32_mul_channels(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, factor);
    for (size_t i = 0; i < s.y_size; i++) {
        size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        float want = ch < c->n ? x0[p * (size_t)s.x_stride + ch] * factor[ch] : y0[i];
        if (!call_same_f32(c, i, y[i], want))
            return false;
    }
    return true;
}

static qzk_mul_params random_mul(call *c)
{
    qzk_mul_params p = {.a_zp = call_random_zp(c->rng), .b_zp = call_random_zp(c->rng)};
    p.y_zp = call_random_zp(c->rng);
    p.mult = call_random_scale(c->rng) / 16;
    call_random_bounds(c->rng, p.y_zp, &p.lo, &p.hi);
    return p;
}

static uint8_t right_mul(uint8_t a, uint8_t b, const qzk_mul_params *p)
{
    int32_t product = ((int32_t)a - p->a_zp) * ((int32_t)b - p->b_zp);
    return call_clampq((float)product * p->mult, p->lo, p->hi, p->y_zp);
}

bool check_u8_mul(call *c)
{
    uint8_t *a = call_random_u8(c, c->n), *b = call_random_u8(c, c->n);
    const uint8_t *a0 = call_copy_of(c, a, c->n, 1), *b0 = call_copy_of(c, b, c->n, 1);
    uint8_t *y = !c->in_place ? call_fresh(c, c->n, 1) : check_one_in(c->rng, 2) ? a : b;
    qzk_mul_params p = random_mul(c);
    c->k->u8_mul(a, b, y, c->n, &p);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_u8(c, i, y[i], right_mul(a0[i], b0[i], &p)))
            return false;
    return true;
}

bool check_u8_mul_channels(call *c)
{
    call_strided s = call_random_strided(c);
    uint8_t *x = call_random_u8(c, s.x_size);
    const uint8_t *x0 = call_copy_of(c, x, s.x_size, 1), *factor = call_random_u8(c, c->n);
    uint8_t *y = c->in_place ? x : call_fresh(c, s.y_size, 1);
    const uint8_t *y0 = call_copy_of(c, y, s.y_size, 1);
    qzk_mul_params q = random_mul(c);
    c->k->u8_mul_channels(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, factor, &q);
    for (size_t i = 0; i < s.y_size; i++) {
        size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        uint8_t want = y0[i];
        if (ch < c->n)
            want = right_mul(x0[p * (size_t)s.x_stride + ch], factor[ch], &q);
        if (!call_same_u8(c, i, y[i], want))
            return false;
    }
    return true;
}
