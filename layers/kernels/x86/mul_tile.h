/* SPDX-License-Identifier: MIT */
/* mul_tile.h - products of two values, or with a factor for each channel, float and uint8. */
#ifndef QZOO_LAYERS_KERNELS_X86_MUL_TILE_H
#define QZOO_LAYERS_KERNELS_X86_MUL_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/quarters.h"
#include "layers/kernels/x86/vec.h"

static void f32_mul(const float *a, const float *b, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(y + i, vf_mul(vf_load(a + i), vf_load(b + i)));
    if (i < n) {
        const vmask m = vf_mask((int)(n - i));
        vf_store_mask(y + i, vf_mul(vf_load_mask(a + i, m), vf_load_mask(b + i, m)), m);
    }
}

static void f32_mul_channels(const qzk_rows *rows, const float *factor)
{
    const float *x = rows->x;
    float *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride)
        f32_mul(x, factor, y, c);
}

/* The product of two differences of bytes is exact in float. */
VEC_INLINE vb mul_bytes(vb a, quarters b, vf a_bias, vf mult, vb zp, vb q_lo, vb q_hi)
{
    const quarters x = widen(a, a_bias);
    quarters y;
    VEC_UNROLL
    for (int i = 0; i < 4; i++)
        y.q[i] = vf_mul(vf_mul(x.q[i], b.q[i]), mult);
    return narrow(y, zp, q_lo, q_hi);
}

/* Any multiplier: products may be infinite or NaN. */
static void u8_mul_any(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                       const qzk_mul_params *p)
{
    const vf lo = vf_set1(p->lo), hi = vf_set1(p->hi);
    const vb a_zp = vi_set1(p->a_zp), b_zp = vi_set1(p->b_zp), y_zp = vi_set1(p->y_zp);
    for (size_t i = 0; i < n; i += VL) {
        size_t left = QZI_MIN(n - i, (size_t)VL);
        vf x = vf_from_i32(vi_sub32(vi_load_u8_n(a + i, left), a_zp));
        vf z = vf_from_i32(vi_sub32(vi_load_u8_n(b + i, left), b_zp));
        vf v = vf_mul(vf_mul(x, z), vf_set1(p->mult));
        vi_store_u8_n(y + i, clampq(v, lo, hi, y_zp), left);
    }
}

/* 255 * 255 * mult fits int32. */
VEC_INLINE bool mul_is_sane(const qzk_mul_params *p)
{
    return p->mult >= -32768.0f && p->mult <= 32768.0f;
}

static void u8_mul(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                   const qzk_mul_params *p)
{
    const vf a_bias = widen_bias(p->a_zp), mult = vf_set1(p->mult);
    const vf b_bias = widen_bias(p->b_zp);
    const vb zp = vb_set1_16(p->y_zp);
    const vb q_lo = vb_set1_8((int)qzi_rnef(p->lo) + p->y_zp);
    const vb q_hi = vb_set1_8((int)qzi_rnef(p->hi) + p->y_zp);
    size_t i = 0;
    if (!mul_is_sane(p)) {
        u8_mul_any(a, b, y, n, p);
        return;
    }
    for (; i + VB <= n; i += VB)
        vb_store(y + i, mul_bytes(vb_load(a + i), widen(vb_load(b + i), b_bias), a_bias, mult, zp,
                                  q_lo, q_hi));
    if (i < n)
        vb_store_n(y + i,
                   mul_bytes(vb_load_n(a + i, n - i), widen(vb_load_n(b + i, n - i), b_bias),
                             a_bias, mult, zp, q_lo, q_hi),
                   n - i);
}

/*
 * Few channels, side by side: the factors are written out for VB pixels, c vectors, or as many as
 * repeat. Vectors of single pixels would reach into the next, which would wait for their stores.
 */
static void u8_mul_dense(const uint8_t *x, uint8_t *y, size_t pixels, size_t c,
                         const uint8_t *factor, const qzk_mul_params *p)
{
    const vf x_bias = widen_bias(p->a_zp), mult = vf_set1(p->mult);
    const vf f_bias = widen_bias(p->b_zp);
    const vb zp = vb_set1_16(p->y_zp);
    const vb q_lo = vb_set1_8((int)qzi_rnef(p->lo) + p->y_zp);
    const vb q_hi = vb_set1_8((int)qzi_rnef(p->hi) + p->y_zp);
    uint8_t factors[VB * VB];
    size_t period = VB; /* in pixels; so many begin a vector anew */
    while (period % 2 == 0 && period / 2 * c % VB == 0)
        period /= 2;
    for (size_t k = 0; k < period; k++)
        memcpy(factors + k * c, factor, c);
    const size_t bytes = period * c, whole = pixels * c / bytes * bytes;
    for (size_t i = 0; i < bytes; i += VB) {
        const quarters f = widen(vb_load(factors + i), f_bias);
        for (size_t at = i; at < whole; at += bytes)
            vb_store(y + at, mul_bytes(vb_load(x + at), f, x_bias, mult, zp, q_lo, q_hi));
    }
    u8_mul(x + whole, factors, y + whole, pixels * c - whole, p);
}

/* VB channels of all pixels, then the next VB: the factors stay in registers. */
static void u8_mul_channels(const qzk_rows *rows, const uint8_t *factor, const qzk_mul_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    const vf x_bias = widen_bias(p->a_zp), mult = vf_set1(p->mult);
    const vf f_bias = widen_bias(p->b_zp);
    const vb zp = vb_set1_16(p->y_zp);
    const vb q_lo = vb_set1_8((int)qzi_rnef(p->lo) + p->y_zp);
    const vb q_hi = vb_set1_8((int)qzi_rnef(p->hi) + p->y_zp);
    if (!mul_is_sane(p)) {
        for (size_t i = 0; i < pixels; i++, x += x_stride, y += y_stride)
            u8_mul_any(x, factor, y, c, p);
        return;
    }
    if (c > 0 && c < VB && x_stride == (int64_t)c && y_stride == (int64_t)c) {
        u8_mul_dense(x, y, pixels, c, factor, p);
        return;
    }
    size_t i = 0;
    for (; i + VB <= c; i += VB) {
        const quarters f = widen(vb_load(factor + i), f_bias);
        for (size_t k = 0; k < pixels; k++)
            vb_store(y + (int64_t)k * y_stride + (int64_t)i,
                     mul_bytes(vb_load(x + (int64_t)k * x_stride + (int64_t)i), f, x_bias, mult, zp,
                               q_lo, q_hi));
    }
    if (i < c) {
        const quarters f = widen(vb_load_n(factor + i, c - i), f_bias);
        for (size_t k = 0; k < pixels; k++)
            vb_store_n(y + (int64_t)k * y_stride + (int64_t)i,
                       mul_bytes(vb_load_n(x + (int64_t)k * x_stride + (int64_t)i, c - i), f,
                                 x_bias, mult, zp, q_lo, q_hi),
                       c - i);
    }
}

#endif
