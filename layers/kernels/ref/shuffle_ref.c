/* SPDX-License-Identifier: MIT */
/* shuffle_ref.c - channel shuffle: bytes and floats in another order. */
#include "layers/kernels/ref/ref.h"

#include <string.h>

void qzk_u8_shuffle__ref(const qzk_rows *rows, size_t groups)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    size_t each = c / groups;
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride)
        for (size_t g = 0; g < groups; g++)
            for (size_t i = 0; i < each; i++)
                y[i * groups + g] = x[g * each + i];
}

void qzk_f32_shuffle__ref(const qzk_rows *rows, size_t groups)
{
    const float *x = rows->x;
    float *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    size_t each = c / groups;
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride)
        for (size_t g = 0; g < groups; g++)
            for (size_t i = 0; i < each; i++)
                memcpy(&y[i * groups + g], &x[g * each + i], sizeof(*y));
}
