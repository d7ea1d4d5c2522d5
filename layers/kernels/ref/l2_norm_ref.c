/* SPDX-License-Identifier: MIT */
/* l2_norm_ref.c - each pixel divided by the L2 norm of its channels, times a factor a channel. */
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/ref/lanes_ref.h"
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

void qzk_f32_l2_norm__ref(const qzk_rows *rows, const float *scale)
{
    const float *x = rows->x;
    float *y = rows->y;
    for (size_t p = 0; p < rows->pixels; p++, x += rows->x_stride, y += rows->y_stride) {
        float squares[QZK_SUM_LANES] = {0};
        for (size_t i = 0; i < rows->c; i++) {
            float *lane = &squares[i % QZK_SUM_LANES];
            *lane = qzk_ref_fmaf(x[i], x[i], *lane);
        }
        const float norm = sqrtf(qzk_ref_join_lanes(squares));
        const float r = 1.0f / (norm < QZK_L2_NORM_MIN ? QZK_L2_NORM_MIN : norm);
        for (size_t i = 0; i < rows->c; i++)
            y[i] = (x[i] * r) * scale[i];
    }
}

void qzk_u8_l2_norm__ref(const qzk_rows *rows, const float *scale, const qzk_l2_norm_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    for (size_t i = 0; i < rows->pixels; i++, x += rows->x_stride, y += rows->y_stride) {
        int64_t squares = 0;
        for (size_t k = 0; k < rows->c; k++) {
            const int32_t v = x[k] - p->x_zp;
            squares += v * v;
        }
        const float norm = p->x_scale * sqrtf((float)squares);
        const float r = p->x_scale / (norm < QZK_L2_NORM_MIN ? QZK_L2_NORM_MIN : norm);
        for (size_t k = 0; k < rows->c; k++) {
            const float v = ((float)(x[k] - p->x_zp) * r) * scale[k];
            y[k] = qzk_clampq(v, p->lo, p->hi, p->y_zp);
        }
    }
}
