/* SPDX-License-Identifier: MIT */
/* by_channel_ref.c - ops of uint8 values whose parameters differ by channel. */
#include "layers/kernels/ref/act_ref.h"
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

void qzk_u8_affine_channels__ref(const qzk_rows *rows, const qzk_affine_channels_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    for (size_t i = 0; i < rows->pixels; i++, x += rows->x_stride, y += rows->y_stride)
        for (size_t ch = 0; ch < rows->c; ch++)
            y[ch] = qzk_ref_byte(qzk_ref_fmaf(x[ch], p->mult[ch], p->shift[ch]), p->lo, p->hi);
}

void qzk_u8_act_channels__ref(const qzk_rows *rows, const qzk_act_channels_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    for (size_t i = 0; i < rows->pixels; i++, x += rows->x_stride, y += rows->y_stride) {
        for (size_t ch = 0; ch < rows->c; ch++) {
            const float real = qzk_ref_fmaf(x[ch], p->x_mult[ch], p->x_shift[ch]);
            const float f = qzk_ref_act(p->act, real);
            y[ch] = qzk_ref_byte(qzk_ref_fmaf(f, p->mult[ch], p->shift[ch]), 0, 255);
        }
    }
}

void qzk_u8_add_channels__ref(const qzk_rows *rows, const uint8_t *b, int64_t b_stride,
                              const qzk_add_channels_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    for (size_t i = 0; i < rows->pixels; i++) {
        for (size_t ch = 0; ch < rows->c; ch++) {
            const float other = qzk_ref_fmaf(b[ch], p->b_mult[ch], p->shift[ch]);
            y[ch] = qzk_ref_byte(qzk_ref_fmaf(x[ch], p->a_mult[ch], other), p->lo, p->hi);
        }
        x += rows->x_stride;
        b += b_stride;
        y += rows->y_stride;
    }
}

void qzk_u8_mul_pair_channels__ref(const qzk_rows *rows, const uint8_t *b, int64_t b_stride,
                                   const qzk_mul_channels_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    for (size_t i = 0; i < rows->pixels; i++) {
        for (size_t ch = 0; ch < rows->c; ch++) {
            /* exact */
            const float product = ((float)x[ch] - p->a_zero[ch]) * ((float)b[ch] - p->b_zero[ch]);
            y[ch] = qzk_ref_byte(qzk_ref_fmaf(product, p->mult[ch], p->shift[ch]), 0, 255);
        }
        x += rows->x_stride;
        b += b_stride;
        y += rows->y_stride;
    }
}

void qzk_u8_factor_channels__ref(const uint8_t *b, size_t c, const qzk_mul_channels_params *p,
                                 float *mult, float *shift)
{
    for (size_t ch = 0; ch < c; ch++) {
        mult[ch] = ((float)b[ch] - p->b_zero[ch]) * p->mult[ch];
        shift[ch] = p->shift[ch] - p->a_zero[ch] * mult[ch];
    }
}

void qzk_u8_avgpool_channels__ref(const uint8_t *const *taps, size_t count, size_t c,
                                  const qzk_avgpool_channels_params *p, uint8_t *y)
{
    for (size_t ch = 0; ch < c; ch++) {
        int32_t sum = 0;
        for (size_t t = 0; t < count; t++)
            sum += taps[t][ch];
        const float x = (float)(sum - p->offset[ch]);
        y[ch] = qzk_ref_byte(qzk_ref_fmaf(x, p->mult[ch], p->shift[ch]), 0, 255);
    }
}
