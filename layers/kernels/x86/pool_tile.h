/* SPDX-License-Identifier: MIT */
/* pool_tile.h - maxima and averages of the pixels under a window, float and uint8. */
#ifndef QZOO_LAYERS_KERNELS_X86_POOL_TILE_H
#define QZOO_LAYERS_KERNELS_X86_POOL_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

/* Four vectors of channels at a time, then one; the last may be a part of one. */
static void f32_maxpool(const float *const *taps, size_t count, size_t c, float *y)
{
    size_t i = 0;
    for (; i + 4 * VL <= c; i += 4 * VL) {
        const float *x = taps[0] + i;
        vf a0 = vf_load(x), a1 = vf_load(x + VL), a2 = vf_load(x + 2 * VL);
        vf a3 = vf_load(x + 3 * VL);
        for (size_t t = 1; t < count; t++) {
            x = taps[t] + i;
            a0 = vf_pool_max(a0, vf_load(x));
            a1 = vf_pool_max(a1, vf_load(x + VL));
            a2 = vf_pool_max(a2, vf_load(x + 2 * VL));
            a3 = vf_pool_max(a3, vf_load(x + 3 * VL));
        }
        vf_store(y + i, a0);
        vf_store(y + i + VL, a1);
        vf_store(y + i + 2 * VL, a2);
        vf_store(y + i + 3 * VL, a3);
    }
    for (; i < c; i += VL) {
        const vmask m = vf_mask((int)QZI_MIN(c - i, (size_t)VL));
        vf acc = vf_load_mask(taps[0] + i, m);
        for (size_t t = 1; t < count; t++)
            acc = vf_pool_max(acc, vf_load_mask(taps[t] + i, m));
        vf_store_mask(y + i, acc, m);
    }
}

static void f32_avgpool(const float *const *taps, size_t count, size_t c, float divisor, float *y)
{
    const vf by = vf_set1(divisor);
    size_t i = 0;
    for (; i + 4 * VL <= c; i += 4 * VL) {
        vf a0 = vf_zero(), a1 = vf_zero(), a2 = vf_zero(), a3 = vf_zero();
        for (size_t t = 0; t < count; t++) {
            const float *x = taps[t] + i;
            a0 = vf_add(a0, vf_load(x));
            a1 = vf_add(a1, vf_load(x + VL));
            a2 = vf_add(a2, vf_load(x + 2 * VL));
            a3 = vf_add(a3, vf_load(x + 3 * VL));
        }
        vf_store(y + i, vf_div(a0, by));
        vf_store(y + i + VL, vf_div(a1, by));
        vf_store(y + i + 2 * VL, vf_div(a2, by));
        vf_store(y + i + 3 * VL, vf_div(a3, by));
    }
    for (; i < c; i += VL) {
        const vmask m = vf_mask((int)QZI_MIN(c - i, (size_t)VL));
        vf acc = vf_zero();
        for (size_t t = 0; t < count; t++)
            acc = vf_add(acc, vf_load_mask(taps[t] + i, m));
        vf_store_mask(y + i, vf_div(acc, by), m);
    }
}

static void u8_maxpool(const uint8_t *const *taps, size_t count, size_t c, uint8_t *y)
{
    size_t i = 0;
    for (; i + VB <= c; i += VB) {
        vb acc = vb_load(taps[0] + i);
        for (size_t t = 1; t < count; t++)
            acc = vb_max(acc, vb_load(taps[t] + i));
        vb_store(y + i, acc);
    }
    if (i < c) {
        vb acc = vb_load_n(taps[0] + i, c - i);
        for (size_t t = 1; t < count; t++)
            acc = vb_max(acc, vb_load_n(taps[t] + i, c - i));
        vb_store_n(y + i, acc, c - i);
    }
}

VEC_INLINE vb avg_finish(vb sum, size_t count, const qzk_avgpool_params *p)
{
    vf v = vf_from_i32(vi_sub32(sum, vi_set1((int32_t)count * p->x_zp)));
    return clampq(vf_mul(v, vf_set1(p->mult)), vf_set1(p->lo), vf_set1(p->hi), vi_set1(p->y_zp));
}

static void u8_avgpool(const uint8_t *const *taps, size_t count, size_t c,
                       const qzk_avgpool_params *p, uint8_t *y)
{
    size_t i = 0;
    for (; i + 2 * VL <= c; i += 2 * VL) {
        vb sum0 = vb_zero(), sum1 = vb_zero();
        for (size_t t = 0; t < count; t++) {
            sum0 = vi_add32(sum0, vi_load_u8(taps[t] + i));
            sum1 = vi_add32(sum1, vi_load_u8(taps[t] + i + VL));
        }
        vi_store_u8(y + i, avg_finish(sum0, count, p));
        vi_store_u8(y + i + VL, avg_finish(sum1, count, p));
    }
    for (; i < c; i += VL) {
        size_t left = QZI_MIN(c - i, (size_t)VL);
        vb sum = vb_zero();
        for (size_t t = 0; t < count; t++)
            sum = vi_add32(sum, vi_load_u8_n(taps[t] + i, left));
        vi_store_u8_n(y + i, avg_finish(sum, count, p), left);
    }
}

#endif
