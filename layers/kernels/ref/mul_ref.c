/* SPDX-License-Identifier: MIT */
/* mul_ref.c - products: element by element, and with one factor for each channel. */
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

void qzk_f32_mul__ref(const float *a, const float *b, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

void qzk_f32_mul_channels__ref(const qzk_rows *rows, const float *factor)
{
    const float *x = rows->x;
    float *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride)
        qzk_f32_mul__ref(x, factor, y, c);
}

void qzk_u8_mul__ref(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                     const qzk_mul_params *p)
{
    for (size_t i = 0; i < n; i++) {
        float product = (float)((a[i] - p->a_zp) * (b[i] - p->b_zp)); /* exact */
        y[i] = qzk_clampq(product * p->mult, p->lo, p->hi, p->y_zp);
    }
}

void qzk_u8_mul_channels__ref(const qzk_rows *rows, const uint8_t *factor, const qzk_mul_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    for (size_t i = 0; i < pixels; i++, x += x_stride, y += y_stride)
        qzk_u8_mul__ref(x, factor, y, c, p);
}
