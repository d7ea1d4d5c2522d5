/* SPDX-License-Identifier: MIT */
/*
 * roi_align_ref.c - one bin of RoIAlign: a weighted sum of the c channels of some pixels. Taps are
 * the outer loop, so that channels vectorise; y holds what is between.
 */
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/ref/ref.h"

void qzk_f32_roi_bin__ref(const float *const *taps, const float *weights, size_t count, size_t c,
                          float *y)
{
    for (size_t ch = 0; ch < c; ch++)
        y[ch] = 0.0f;
    for (size_t t = 0; t < count; t++)
        for (size_t ch = 0; ch < c; ch++)
            y[ch] = qzk_ref_fmaf(weights[t], taps[t][ch], y[ch]);
}

void qzk_u8_roi_bin__ref(const uint8_t *const *taps, const float *weights, size_t count, size_t c,
                         float start, float scale, float *y)
{
    for (size_t ch = 0; ch < c; ch++)
        y[ch] = start;
    for (size_t t = 0; t < count; t++)
        for (size_t ch = 0; ch < c; ch++)
            y[ch] = qzk_ref_fmaf(weights[t], (float)taps[t][ch], y[ch]);
    for (size_t ch = 0; ch < c; ch++)
        y[ch] = y[ch] * scale;
}
