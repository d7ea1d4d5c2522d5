/* SPDX-License-Identifier: MIT */
/* roi_align_tile.h - one bin of RoIAlign, float and uint8. */
#ifndef QZOO_LAYERS_KERNELS_X86_ROI_ALIGN_TILE_H
#define QZOO_LAYERS_KERNELS_X86_ROI_ALIGN_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

/* Eight vectors of channels at a time: as many sums hide the latency of a fused multiply-add. Then
 * one; the last may be a part of one. */
static void f32_roi_bin(const float *const *taps, const float *weights, size_t count, size_t c,
                        float *y)
{
    size_t i = 0;
    for (; i + 8 * VL <= c; i += 8 * VL) {
        vf a[8];
        VEC_UNROLL
        for (int j = 0; j < 8; j++)
            a[j] = vf_zero();
        for (size_t t = 0; t < count; t++) {
            const float *x = taps[t] + i;
            const vf w = vf_set1(weights[t]);
            VEC_UNROLL
            for (int j = 0; j < 8; j++)
                a[j] = vf_fma(w, vf_load(x + j * VL), a[j]);
        }
        VEC_UNROLL
        for (int j = 0; j < 8; j++)
            vf_store(y + i + j * VL, a[j]);
    }
    for (; i < c; i += VL) {
        const vmask m = vf_mask((int)QZI_MIN(c - i, (size_t)VL));
        vf acc = vf_zero();
        for (size_t t = 0; t < count; t++)
            acc = vf_fma(vf_set1(weights[t]), vf_load_mask(taps[t] + i, m), acc);
        vf_store_mask(y + i, acc, m);
    }
}

static void u8_roi_bin(const uint8_t *const *taps, const float *weights, size_t count, size_t c,
                       float start, float scale, float *y)
{
    const vf from = vf_set1(start), by = vf_set1(scale);
    size_t i = 0;
    for (; i + 8 * VL <= c; i += 8 * VL) {
        vf a[8];
        VEC_UNROLL
        for (int j = 0; j < 8; j++)
            a[j] = from;
        for (size_t t = 0; t < count; t++) {
            const uint8_t *x = taps[t] + i;
            const vf w = vf_set1(weights[t]);
            VEC_UNROLL
            for (int j = 0; j < 8; j++)
                a[j] = vf_fma(w, vf_from_i32(vi_load_u8(x + j * VL)), a[j]);
        }
        VEC_UNROLL
        for (int j = 0; j < 8; j++)
            vf_store(y + i + j * VL, vf_mul(a[j], by));
    }
    for (; i < c; i += VL) {
        const size_t left = QZI_MIN(c - i, (size_t)VL);
        vf acc = from;
        for (size_t t = 0; t < count; t++)
            acc = vf_fma(vf_set1(weights[t]), vf_from_i32(vi_load_u8_n(taps[t] + i, left)), acc);
        vf_store_mask(y + i, vf_mul(acc, by), vf_mask((int)left));
    }
}

#endif
