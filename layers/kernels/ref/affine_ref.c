/* SPDX-License-Identifier: MIT */
/*
 * affine_ref.c - scale and shift of each channel: batch norm in eval mode. The float one is fused,
 * the uint8 one is not (CONTRACT.md).
 */
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

void qzk_f32_affine__ref(const qzk_rows *rows, const float *scale, const float *shift)
{
    const float *x = rows->x;
    float *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride)
        for (size_t ch = 0; ch < c; ch++)
            y[ch] = qzk_ref_fmaf(x[ch], scale[ch], shift[ch]);
}

void qzk_u8_affine__ref(const qzk_rows *rows, const qzk_affine_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    const float *mult = p->mult, *shift = p->shift;
    const int32_t x_zp = p->x_zp, y_zp = p->y_zp;
    const float lo = p->lo, hi = p->hi;
    for (size_t i = 0; i < pixels; i++, x += x_stride, y += y_stride) {
        for (size_t ch = 0; ch < c; ch++) {
            float v = (float)(x[ch] - x_zp) * mult[ch] + shift[ch];
            y[ch] = qzk_clampq(v, lo, hi, y_zp);
        }
    }
}
