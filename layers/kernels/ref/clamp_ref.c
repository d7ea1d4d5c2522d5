/* SPDX-License-Identifier: MIT */
/*
 * clamp_ref.c - ReLU and ReLU6 as a clamp, and tables of 256 entries.
 */
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

void qzk_f32_clamp__ref(const float *x, float *y, size_t n, float lo, float hi)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qzk_clampf(x[i], lo, hi);
}

void qzk_u8_clamp__ref(const uint8_t *x, uint8_t *y, size_t n, uint8_t lo, uint8_t hi)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t v = x[i] > lo ? x[i] : lo;
        y[i] = v < hi ? v : hi;
    }
}
