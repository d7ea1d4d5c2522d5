/* SPDX-License-Identifier: MIT */
/*
 * quantize_ref.c - between float32 and uint8.
 */
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

void qzk_quantize__ref(const float *x, uint8_t *y, size_t n, float inv_scale, int32_t zp)
{
    float lo = (float)-zp, hi = (float)(255 - zp);
    for (size_t i = 0; i < n; i++)
        y[i] = qzk_clampq(x[i] * inv_scale, lo, hi, zp);
}

void qzk_dequantize__ref(const uint8_t *x, float *y, size_t n, float scale, int32_t zp)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(x[i] - zp) * scale;
}
