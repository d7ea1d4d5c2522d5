/* SPDX-License-Identifier: MIT */
/*
 * pool_ref.c - one output pixel of a pooling window: taps[t] points to the c channels of the t-th
 * pixel inside the image. Taps are the outer loop, so that channels vectorise; y holds what is
 * between, or a block of sums does.
 */
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

#include <string.h>

enum { BLOCK = 64 }; /* channels at once */

void qzk_f32_maxpool__ref(const float *const *taps, size_t count, size_t c, float *y)
{
    memcpy(y, taps[0], c * sizeof(float));
    for (size_t t = 1; t < count; t++) {
        const float *x = taps[t];
        for (size_t ch = 0; ch < c; ch++)
            y[ch] = x[ch] > y[ch] || x[ch] != x[ch] ? x[ch] : y[ch];
    }
}

void qzk_f32_avgpool__ref(const float *const *taps, size_t count, size_t c, float divisor, float *y)
{
    for (size_t ch = 0; ch < c; ch++)
        y[ch] = 0.0f;
    for (size_t t = 0; t < count; t++)
        for (size_t ch = 0; ch < c; ch++)
            y[ch] = y[ch] + taps[t][ch];
    for (size_t ch = 0; ch < c; ch++)
        y[ch] = y[ch] / divisor;
}

void qzk_u8_maxpool__ref(const uint8_t *const *taps, size_t count, size_t c, uint8_t *y)
{
    memcpy(y, taps[0], c);
    for (size_t t = 1; t < count; t++) {
        const uint8_t *x = taps[t];
        for (size_t ch = 0; ch < c; ch++)
            y[ch] = x[ch] > y[ch] ? x[ch] : y[ch];
    }
}

void qzk_u8_avgpool__ref(const uint8_t *const *taps, size_t count, size_t c,
                         const qzk_avgpool_params *p, uint8_t *y)
{
    for (size_t first = 0; first < c; first += BLOCK) {
        size_t width = c - first < BLOCK ? c - first : BLOCK;
        int32_t sum[BLOCK] = {0};
        for (size_t t = 0; t < count; t++)
            for (size_t j = 0; j < width; j++)
                sum[j] += taps[t][first + j];
        for (size_t j = 0; j < width; j++) {
            float v = (float)(sum[j] - (int32_t)count * p->x_zp) * p->mult;
            y[first + j] = qzk_clampq(v, p->lo, p->hi, p->y_zp);
        }
    }
}
