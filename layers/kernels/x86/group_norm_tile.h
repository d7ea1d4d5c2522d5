/* SPDX-License-Identifier: MIT */
/*
 * group_norm_tile.h - sums and sums of squares of each channel over pixels, float and uint8.
 *
 * A few pixels at a time are read whole, so that memory is read in order; the sums of a vector of
 * channels are in registers for these pixels and in the caller's arrays in between.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_GROUP_NORM_TILE_H
#define QZOO_LAYERS_KERNELS_X86_GROUP_NORM_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

/* Pixels whose values are added before the sums go back to memory. */
#define GN_PIXELS 16

/* Half a vf as doubles. */
#if VL == 16
typedef __m512d vd;
VEC_INLINE vd vd_half(vf v, const int half)
{
    return _mm512_cvtps_pd(half ? _mm512_extractf32x8_ps(v, 1) : _mm512_castps512_ps256(v));
}
VEC_INLINE vd vd_load(const double *p)
{
    return _mm512_loadu_pd(p);
}
VEC_INLINE void vd_store(double *p, vd v)
{
    _mm512_storeu_pd(p, v);
}
VEC_INLINE vd vd_add(vd a, vd b)
{
    return _mm512_add_pd(a, b);
}
VEC_INLINE vd vd_fma(vd a, vd b, vd c)
{
    return _mm512_fmadd_pd(a, b, c);
}
VEC_INLINE vb vi_squares(vb v) /* of lanes of at most 255 */
{
    return _mm512_madd_epi16(v, v);
}
#else
typedef __m256d vd;
VEC_INLINE vd vd_half(vf v, const int half)
{
    return _mm256_cvtps_pd(half ? _mm256_extractf128_ps(v, 1) : _mm256_castps256_ps128(v));
}
VEC_INLINE vd vd_load(const double *p)
{
    return _mm256_loadu_pd(p);
}
VEC_INLINE void vd_store(double *p, vd v)
{
    _mm256_storeu_pd(p, v);
}
VEC_INLINE vd vd_add(vd a, vd b)
{
    return _mm256_add_pd(a, b);
}
VEC_INLINE vd vd_fma(vd a, vd b, vd c)
{
    return _mm256_fmadd_pd(a, b, c);
}
VEC_INLINE vb vi_squares(vb v)
{
    return _mm256_madd_epi16(v, v);
}
#endif

/* VL channels, or the `n` that are left, of some pixels. sum and squares have VL entries. */
VEC_INLINE void sum_floats(const float *x, int64_t stride, size_t pixels, const bool whole, int n,
                           double *sum, double *squares)
{
    const vmask m = vf_mask(n);
    vd s0 = vd_load(sum), s1 = vd_load(sum + VL / 2);
    vd q0 = vd_load(squares), q1 = vd_load(squares + VL / 2);
    for (size_t p = 0; p < pixels; p++, x += stride) {
        const vf v = whole ? vf_load(x) : vf_load_mask(x, m);
        const vd a = vd_half(v, 0), b = vd_half(v, 1);
        s0 = vd_add(s0, a);
        s1 = vd_add(s1, b);
        q0 = vd_fma(a, a, q0); /* the product is exact, so this is as if it were apart */
        q1 = vd_fma(b, b, q1);
    }
    vd_store(sum, s0);
    vd_store(sum + VL / 2, s1);
    vd_store(squares, q0);
    vd_store(squares + VL / 2, q1);
}

static void f32_channel_sums(const qzk_rows *rows, double *sum, double *squares)
{
    const float *x = rows->x;
    const size_t c = rows->c, whole = c - c % VL, left = c - whole;
    double tail[2][VL] = {{0.0}, {0.0}};
    for (size_t i = 0; i < whole; i++)
        sum[i] = squares[i] = 0.0;
    for (size_t p = 0; p < rows->pixels; p += GN_PIXELS, x += GN_PIXELS * rows->x_stride) {
        const size_t pixels = QZI_MIN(rows->pixels - p, (size_t)GN_PIXELS);
        for (size_t i = 0; i < whole; i += VL)
            sum_floats(x + i, rows->x_stride, pixels, true, VL, sum + i, squares + i);
        if (left)
            sum_floats(x + whole, rows->x_stride, pixels, false, (int)left, tail[0], tail[1]);
    }
    for (size_t i = 0; i < left; i++) {
        sum[whole + i] = tail[0][i];
        squares[whole + i] = tail[1][i];
    }
}

VEC_INLINE void sum_u8(const uint8_t *x, int64_t stride, size_t pixels, const bool whole, size_t n,
                       uint32_t *sum, uint32_t *squares)
{
    vb s = vb_load(sum), q = vb_load(squares);
    for (size_t p = 0; p < pixels; p++, x += stride) {
        const vb v = whole ? vi_load_u8(x) : vi_load_u8_n(x, n);
        s = vi_add32(s, v);
        q = vi_add32(q, vi_squares(v));
    }
    vb_store(sum, s);
    vb_store(squares, q);
}

static void u8_channel_sums(const qzk_rows *rows, uint32_t *sum, uint32_t *squares)
{
    const uint8_t *x = rows->x;
    const size_t c = rows->c, whole = c - c % VL, left = c - whole;
    uint32_t tail[2][VL] = {{0}, {0}};
    for (size_t i = 0; i < whole; i++)
        sum[i] = squares[i] = 0;
    for (size_t p = 0; p < rows->pixels; p += GN_PIXELS, x += GN_PIXELS * rows->x_stride) {
        const size_t pixels = QZI_MIN(rows->pixels - p, (size_t)GN_PIXELS);
        for (size_t i = 0; i < whole; i += VL)
            sum_u8(x + i, rows->x_stride, pixels, true, VL, sum + i, squares + i);
        if (left)
            sum_u8(x + whole, rows->x_stride, pixels, false, left, tail[0], tail[1]);
    }
    for (size_t i = 0; i < left; i++) {
        sum[whole + i] = tail[0][i];
        squares[whole + i] = tail[1][i];
    }
}

#endif
