/* SPDX-License-Identifier: MIT */
/* l2_norm_tile.h - L2 norm over the channels of a pixel, float and uint8. Uses the sums of
 * layer_norm_tile.h. */
#ifndef QZOO_LAYERS_KERNELS_X86_L2_NORM_TILE_H
#define QZOO_LAYERS_KERNELS_X86_L2_NORM_TILE_H

#include "layers/kernels/x86/layer_norm_tile.h"

VEC_INLINE float at_least_min(float norm)
{
    return norm < QZK_L2_NORM_MIN ? QZK_L2_NORM_MIN : norm; /* NaN stays */
}

/* x - 0 is x, so that the sum of squared deviations from 0 is that of squares. */
VEC_INLINE void l2_norm_pixels(const float *x, float *y, const int count, const qzk_rows *rows,
                               const float *scale)
{
    static const float zeros[LN_PIXELS];
    float r[LN_PIXELS];
    lanes_sum(x, rows->x_stride, count, rows->c, true, zeros, r);
    for (int p = 0; p < count; p++)
        r[p] = 1.0f / at_least_min(sqrtf(r[p]));
    for (size_t i = 0; i < rows->c; i += VL) {
        const vmask m = vf_mask((int)QZI_MIN(rows->c - i, (size_t)VL));
        const vf w = vf_load_mask(scale + i, m);
        VEC_UNROLL
        for (int p = 0; p < count; p++) {
            const vf v = vf_load_mask(x + p * rows->x_stride + (int64_t)i, m);
            vf_store_mask(y + p * rows->y_stride + (int64_t)i, vf_mul(vf_mul(v, vf_set1(r[p])), w),
                          m);
        }
    }
}

static void f32_l2_norm(const qzk_rows *rows, const float *scale)
{
    const float *x = rows->x;
    float *y = rows->y;
    size_t pixels = rows->pixels;
    for (; pixels >= LN_PIXELS; pixels -= LN_PIXELS) {
        l2_norm_pixels(x, y, LN_PIXELS, rows, scale);
        x += LN_PIXELS * rows->x_stride;
        y += LN_PIXELS * rows->y_stride;
    }
    for (; pixels > 0; pixels--, x += rows->x_stride, y += rows->y_stride)
        l2_norm_pixels(x, y, 1, rows, scale);
}

static void u8_l2_norm(const qzk_rows *rows, const float *scale, const qzk_l2_norm_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    const size_t c = rows->c;
    const int64_t x_zp = p->x_zp;
    const vf lo = vf_set1(p->lo), hi = vf_set1(p->hi);
    const vb zp = vi_set1(p->y_zp), from = vi_set1(p->x_zp);
    for (size_t k = 0; k < rows->pixels && c > 0; k++, x += rows->x_stride, y += rows->y_stride) {
        int64_t sum, squares;
        sums_u8(x, c, &sum, &squares);
        squares += x_zp * ((int64_t)c * x_zp - 2 * sum); /* of q - zp */
        const float norm = p->x_scale * sqrtf((float)squares);
        const vf by = vf_set1(p->x_scale / at_least_min(norm));
        size_t i = 0;
        for (; i + VL <= c; i += VL) {
            const vf v = vf_mul(vf_from_i32(vi_sub32(vi_load_u8(x + i), from)), by);
            vi_store_u8(y + i, clampq(vf_mul(v, vf_load(scale + i)), lo, hi, zp));
        }
        if (i < c) {
            const vmask left = vf_mask((int)(c - i));
            const vf v = vf_mul(vf_from_i32(vi_sub32(vi_load_u8_n(x + i, c - i), from)), by);
            vi_store_u8_n(y + i, clampq(vf_mul(v, vf_load_mask(scale + i, left)), lo, hi, zp),
                          c - i);
        }
    }
}

#endif
