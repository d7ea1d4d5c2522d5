/* SPDX-License-Identifier: MIT */
/*
 * layer_norm_ref.c - layer norm over the channels of each pixel. The float sums run in lanes; those
 * of bytes are exact.
 */
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/ref/lanes_ref.h"
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

void qzk_f32_layer_norm__ref(const qzk_rows *rows, const float *weight, const float *bias,
                             float eps)
{
    const float *x = rows->x;
    float *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride) {
        float sums[QZK_SUM_LANES] = {0}, squares[QZK_SUM_LANES] = {0};
        for (size_t i = 0; i < c; i++)
            sums[i % QZK_SUM_LANES] = sums[i % QZK_SUM_LANES] + x[i];
        float mean = qzk_ref_join_lanes(sums) / (float)c;
        for (size_t i = 0; i < c; i++) {
            float d = x[i] - mean;
            squares[i % QZK_SUM_LANES] = qzk_ref_fmaf(d, d, squares[i % QZK_SUM_LANES]);
        }
        float variance = qzk_ref_join_lanes(squares) / (float)c;
        float r = 1.0f / sqrtf(variance + eps);
        for (size_t i = 0; i < c; i++)
            y[i] = qzk_ref_fmaf((x[i] - mean) * r, weight[i], bias[i]);
    }
}

/* Mean in steps of x, and the factor from a step of x to a normalised value. */
static void moments_u8(int64_t sum, int64_t squares, int64_t c, const qzk_layer_norm_params *p,
                       float *mean, float *r)
{
    double n = (double)c;
    *mean = (float)((double)sum / n);
    /* c * squares - sum^2 is exact and not negative */
    double variance = (double)(c * squares - sum * sum) / (n * n);
    float scaled = ((float)variance * p->x_scale) * p->x_scale;
    *r = p->x_scale * (1.0f / sqrtf(scaled + p->eps));
}

void qzk_u8_layer_norm__ref(const qzk_rows *rows, const float *weight, const float *bias,
                            const qzk_layer_norm_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    const int64_t count = (int64_t)c;
    for (size_t i = 0; i < pixels; i++, x += x_stride, y += y_stride) {
        int64_t sum = 0, squares = 0;
        for (size_t k = 0; k < c; k++) {
            sum += x[k];
            squares += x[k] * x[k];
        }
        float mean, r;
        moments_u8(sum, squares, count, p, &mean, &r);
        for (size_t k = 0; k < c; k++) {
            float v = qzk_ref_fmaf(((float)x[k] - mean) * r, weight[k], bias[k]);
            y[k] = qzk_clampq(v, p->lo, p->hi, p->y_zp);
        }
    }
}
