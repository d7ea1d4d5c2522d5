/* SPDX-License-Identifier: MIT */
/* group_norm_ref.c - sums and sums of squares of each channel, over pixels: what group norms
 * need. */
#include "layers/kernels/ref/ref.h"

void qzk_f32_channel_sums__ref(const qzk_rows *rows, double *sum, double *squares)
{
    const float *x = rows->x;
    for (size_t k = 0; k < rows->c; k++)
        sum[k] = squares[k] = 0.0;
    for (size_t p = 0; p < rows->pixels; p++, x += rows->x_stride) {
        for (size_t k = 0; k < rows->c; k++) {
            const double v = (double)x[k];
            sum[k] += v;
            squares[k] += v * v; /* the product is exact */
        }
    }
}

void qzk_u8_channel_sums__ref(const qzk_rows *rows, uint32_t *sum, uint32_t *squares)
{
    const uint8_t *x = rows->x;
    for (size_t k = 0; k < rows->c; k++)
        sum[k] = squares[k] = 0;
    for (size_t p = 0; p < rows->pixels; p++, x += rows->x_stride) {
        for (size_t k = 0; k < rows->c; k++) {
            const uint32_t v = x[k];
            sum[k] += v;
            squares[k] += v * v;
        }
    }
}
