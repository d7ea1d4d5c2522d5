/* SPDX-License-Identifier: MIT */
/* clamp_tile.h - clamps, float and uint8. */
#ifndef QZOO_LAYERS_KERNELS_X86_CLAMP_TILE_H
#define QZOO_LAYERS_KERNELS_X86_CLAMP_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

static void f32_clamp(const float *x, float *y, size_t n, float lo, float hi)
{
    const vf low = vf_set1(lo), high = vf_set1(hi);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(y + i, vf_clamp(vf_load(x + i), low, high));
    if (i < n) {
        const vmask m = vf_mask((int)(n - i));
        vf_store_mask(y + i, vf_clamp(vf_load_mask(x + i, m), low, high), m);
    }
}

static void u8_clamp(const uint8_t *x, uint8_t *y, size_t n, uint8_t lo, uint8_t hi)
{
    const vb low = vb_set1_8(lo), high = vb_set1_8(hi);
    size_t i = 0;
    for (; i + VB <= n; i += VB)
        vb_store(y + i, vb_min(vb_max(vb_load(x + i), low), high));
    if (i < n)
        vb_store_n(y + i, vb_min(vb_max(vb_load_n(x + i, n - i), low), high), n - i);
}

#endif
