/* SPDX-License-Identifier: MIT */
/*
 * affine_ref.c - scale and shift of each channel: batch norm in eval mode. The float one is fused,
 * the uint8 one is not (CONTRACT.md).
 */
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

void qzk_f32_affine__ref(const float *x, float *y, size_t pixels, size_t c, int64_t x_stride,
                         int64_t y_stride, const float *scale, const float *shift)
{
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride)
        for (size_t ch = 0; ch < c; ch++)
            y[ch] = qzk_ref_fmaf(x[ch], scale[ch], shift[ch]);
}

void qzk_u8_affine__ref(const uint8_t *x, uint8_t *y, size_t pixels, size_t c, int64_t x_stride,
                        int64_t y_stride, const float *mult, const float *shift, int32_t x_zp,
                        int32_t y_zp, float lo, float hi)
{
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride) {
        for (size_t ch = 0; ch < c; ch++) {
            float v = (float)(x[ch] - x_zp) * mult[ch] + shift[ch];
            y[ch] = qzk_clampq(v, lo, hi, y_zp);
        }
    }
}
