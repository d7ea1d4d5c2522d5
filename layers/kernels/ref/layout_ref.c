/* SPDX-License-Identifier: MIT */
/*
 * layout_ref.c - between NCHW float planes and NHWC pixels. Bytes between pixels stay as they are.
 */
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

void qzk_quantize_nchw__ref(const float *x, int64_t plane_stride, size_t c, size_t pixels,
                            uint8_t *y, int64_t pixel_stride, float inv_scale, int32_t zp)
{
    float lo = (float)-zp, hi = (float)(255 - zp);
    for (size_t ch = 0; ch < c; ch++) {
        const float *plane = x + (int64_t)ch * plane_stride;
        for (size_t p = 0; p < pixels; p++)
            y[(int64_t)p * pixel_stride + (int64_t)ch] =
                qzk_clampq(plane[p] * inv_scale, lo, hi, zp);
    }
}

void qzk_f32_nchw_to_nhwc__ref(const float *x, int64_t plane_stride, size_t c, size_t pixels,
                               float *y, int64_t pixel_stride)
{
    for (size_t ch = 0; ch < c; ch++) {
        const float *plane = x + (int64_t)ch * plane_stride;
        for (size_t p = 0; p < pixels; p++)
            y[(int64_t)p * pixel_stride + (int64_t)ch] = plane[p];
    }
}

void qzk_f32_nhwc_to_nchw__ref(const float *x, int64_t pixel_stride, size_t c, size_t pixels,
                               float *y, int64_t plane_stride)
{
    for (size_t ch = 0; ch < c; ch++) {
        float *plane = y + (int64_t)ch * plane_stride;
        for (size_t p = 0; p < pixels; p++)
            plane[p] = x[(int64_t)p * pixel_stride + (int64_t)ch];
    }
}
