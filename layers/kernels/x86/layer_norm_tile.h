/* SPDX-License-Identifier: MIT */
/* layer_norm_tile.h - layer norm over the channels of a pixel, float and uint8. */
#ifndef QZOO_LAYERS_KERNELS_X86_LAYER_NORM_TILE_H
#define QZOO_LAYERS_KERNELS_X86_LAYER_NORM_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

#include <math.h>

#if VL == 16
VEC_INLINE vb vb_sad(vb v) /* sums of bytes in 64-bit lanes */
{
    return _mm512_sad_epu8(v, _mm512_setzero_si512());
}
VEC_INLINE vb vb_add64(vb a, vb b)
{
    return _mm512_add_epi64(a, b);
}
/* Sums of two squares of 16-bit lanes in 32-bit lanes. */
VEC_INLINE vb vb_squares16(vb v)
{
    return _mm512_madd_epi16(v, v);
}
#else
VEC_INLINE vb vb_sad(vb v)
{
    return _mm256_sad_epu8(v, _mm256_setzero_si256());
}
VEC_INLINE vb vb_add64(vb a, vb b)
{
    return _mm256_add_epi64(a, b);
}
VEC_INLINE vb vb_squares16(vb v)
{
    return _mm256_madd_epi16(v, v);
}
#endif

/* The 16 lanes of CONTRACT.md: one vector, or two. */
#define NV (16 / VL)

/* Lanes 8 … 15 to 0 … 7, then 4, 2 and 1. */
VEC_INLINE float join_lanes(const vf lanes[NV])
{
#if VL == 16
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(lanes[0]), _mm512_extractf32x8_ps(lanes[0], 1));
#else
    __m256 h = _mm256_add_ps(lanes[0], lanes[1]);
#endif
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}

/* Pixels whose sums run side by side, for one sum alone waits for its adds. */
#define LN_PIXELS 4

/* Sums of x, or of (x - mean)^2, of `count` pixels. */
VEC_INLINE void lanes_sum(const float *x, int64_t stride, const int count, size_t c,
                          const bool squares, const float *mean, float *sums)
{
    vf acc[LN_PIXELS][NV];
    VEC_UNROLL
    for (int p = 0; p < count; p++)
        for (int v = 0; v < NV; v++)
            acc[p][v] = vf_zero();
    for (size_t i = 0; i < c; i += 16) {
        VEC_UNROLL
        for (int v = 0; v < NV; v++) {
            const int64_t left = (int64_t)c - (int64_t)i - v * VL;
            const vmask m = vf_mask((int)QZI_MAX(QZI_MIN(left, (int64_t)VL), (int64_t)0));
            VEC_UNROLL
            for (int p = 0; p < count; p++) {
                const float *at = x + p * stride + (int64_t)i + v * VL;
                vf d = left >= VL ? vf_load(at) : vf_load_mask(at, m);
                if (squares) {
                    d = vf_only(vf_sub(d, vf_set1(mean[p])), m);
                    acc[p][v] = vf_fma(d, d, acc[p][v]);
                } else {
                    acc[p][v] = vf_add(acc[p][v], d);
                }
            }
        }
    }
    VEC_UNROLL
    for (int p = 0; p < count; p++)
        sums[p] = join_lanes(acc[p]);
}

VEC_INLINE void layer_norm_pixels(const float *x, float *y, const int count, size_t c,
                                  int64_t x_stride, int64_t y_stride, const float *weight,
                                  const float *bias, float eps)
{
    float mean[LN_PIXELS], r[LN_PIXELS];
    lanes_sum(x, x_stride, count, c, false, NULL, mean);
    for (int p = 0; p < count; p++)
        mean[p] = mean[p] / (float)c;
    lanes_sum(x, x_stride, count, c, true, mean, r);
    for (int p = 0; p < count; p++) {
        r[p] = r[p] / (float)c;
        r[p] = 1.0f / sqrtf(r[p] + eps);
    }
    for (size_t i = 0; i < c; i += VL) {
        const vmask m = vf_mask((int)QZI_MIN(c - i, (size_t)VL));
        const vf w = vf_load_mask(weight + i, m), b = vf_load_mask(bias + i, m);
        VEC_UNROLL
        for (int p = 0; p < count; p++) {
            vf d = vf_sub(vf_load_mask(x + p * x_stride + (int64_t)i, m), vf_set1(mean[p]));
            vf_store_mask(y + p * y_stride + (int64_t)i, vf_fma(vf_mul(d, vf_set1(r[p])), w, b), m);
        }
    }
}

static void f32_layer_norm(const qzk_rows *rows, const float *weight, const float *bias, float eps)
{
    const float *x = rows->x;
    float *y = rows->y;
    size_t pixels = rows->pixels;
    const size_t c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    for (; pixels >= LN_PIXELS; pixels -= LN_PIXELS) {
        layer_norm_pixels(x, y, LN_PIXELS, c, x_stride, y_stride, weight, bias, eps);
        x += LN_PIXELS * x_stride;
        y += LN_PIXELS * y_stride;
    }
    for (; pixels > 0; pixels--, x += x_stride, y += y_stride)
        layer_norm_pixels(x, y, 1, c, x_stride, y_stride, weight, bias, eps);
}

/* 4 * 255^2 for each step and lane: this many steps stay below 2^31. */
#define SQUARE_STEPS 8192

VEC_INLINE void sum_bytes(vb v, vb *sum, vb *squares)
{
    const vb zero = vb_zero();
    *sum = vb_add64(*sum, vb_sad(v));
    *squares = vi_add32(*squares, vb_squares16(vb_unpack_lo8(v, zero)));
    *squares = vi_add32(*squares, vb_squares16(vb_unpack_hi8(v, zero)));
}

/* Sum and sum of squares of c bytes. */
static void sums_u8(const uint8_t *x, size_t c, int64_t *sum, int64_t *squares)
{
    int64_t sums[VB / 8];
    int32_t lanes[VL];
    vb acc = vb_zero();
    *sum = *squares = 0;
    for (size_t i = 0; i < c;) {
        vb part = vb_zero();
        const size_t end = QZI_MIN(c, i + (size_t)SQUARE_STEPS * VB);
        for (; i + VB <= end; i += VB)
            sum_bytes(vb_load(x + i), &acc, &part);
        if (i < end) {
            sum_bytes(vb_load_n(x + i, end - i), &acc, &part);
            i = end;
        }
        vb_store((uint8_t *)lanes, part);
        for (int k = 0; k < VL; k++)
            *squares += lanes[k];
    }
    vb_store((uint8_t *)sums, acc);
    for (int k = 0; k < VB / 8; k++)
        *sum += sums[k];
}

static void moments_u8(const uint8_t *x, size_t c, const qzk_layer_norm_params *p, float *mean,
                       float *r)
{
    int64_t sum, squares;
    sums_u8(x, c, &sum, &squares);
    const double n = (double)c;
    const double variance = (double)((int64_t)c * squares - sum * sum) / (n * n);
    const float scaled = ((float)variance * p->x_scale) * p->x_scale;
    *mean = (float)((double)sum / n);
    *r = p->x_scale * (1.0f / sqrtf(scaled + p->eps));
}

static void u8_layer_norm(const qzk_rows *rows, const float *weight, const float *bias,
                          const qzk_layer_norm_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    const vf lo = vf_set1(p->lo), hi = vf_set1(p->hi);
    const vb zp = vi_set1(p->y_zp);
    for (size_t k = 0; k < pixels && c > 0; k++, x += x_stride, y += y_stride) {
        float mean, r;
        moments_u8(x, c, p, &mean, &r);
        const vf m = vf_set1(mean), by = vf_set1(r);
        size_t i = 0;
        for (; i + VL <= c; i += VL) {
            vf v = vf_mul(vf_sub(vf_from_i32(vi_load_u8(x + i)), m), by);
            v = vf_fma(v, vf_load(weight + i), vf_load(bias + i));
            vi_store_u8(y + i, clampq(v, lo, hi, zp));
        }
        if (i < c) {
            const vmask left = vf_mask((int)(c - i));
            vf v = vf_mul(vf_sub(vf_from_i32(vi_load_u8_n(x + i, c - i)), m), by);
            v = vf_fma(v, vf_load_mask(weight + i, left), vf_load_mask(bias + i, left));
            vi_store_u8_n(y + i, clampq(v, lo, hi, zp), c - i);
        }
    }
}

#endif
