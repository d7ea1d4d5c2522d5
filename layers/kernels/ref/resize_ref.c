/* SPDX-License-Identifier: MIT */
/* resize_ref.c - the two blends of a bilinear resize: two rows into one, then that row's columns.
 */
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

void qzk_f32_blend__ref(const float *a, const float *b, float wa, float wb, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qzk_ref_fmaf(b[i], wb, a[i] * wa);
}

void qzk_u8_blend__ref(const uint8_t *a, const uint8_t *b, int32_t zp, float wa, float wb, float *y,
                       size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qzk_ref_fmaf((float)(b[i] - zp), wb, (float)(a[i] - zp) * wa);
}

void qzk_f32_resize_row__ref(const qzk_resize_row *row)
{
    float *y = row->y;
    for (size_t p = 0; p < row->pixels; p++, y += row->y_stride) {
        const qzk_resize_tap *tap = &row->taps[p];
        qzk_f32_blend__ref(row->x + tap->first, row->x + tap->second, tap->w_first, tap->w_second,
                           y, row->c);
    }
}

void qzk_u8_resize_row__ref(const qzk_resize_row *row, int32_t zp)
{
    const float lo = (float)-zp, hi = (float)(255 - zp);
    uint8_t *y = row->y;
    for (size_t p = 0; p < row->pixels; p++, y += row->y_stride) {
        const qzk_resize_tap *tap = &row->taps[p];
        const float *a = row->x + tap->first, *b = row->x + tap->second;
        for (size_t i = 0; i < row->c; i++)
            y[i] = qzk_clampq(qzk_ref_fmaf(b[i], tap->w_second, a[i] * tap->w_first), lo, hi, zp);
    }
}
