/* SPDX-License-Identifier: MIT */
/*
 * add_ref.c - elementwise sum, with the fused clamp.
 */
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

void qzk_f32_add__ref(const float *a, const float *b, float *y, size_t n, float lo, float hi)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qzk_clampf(a[i] + b[i], lo, hi);
}

void qzk_u8_add__ref(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                     const qzk_add_params *p)
{
    for (size_t i = 0; i < n; i++) {
        float v = (float)(a[i] - p->a_zp) * p->a_mult + (float)(b[i] - p->b_zp) * p->b_mult;
        y[i] = qzk_clampq(v, p->lo, p->hi, p->y_zp);
    }
}
