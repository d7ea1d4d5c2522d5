/* SPDX-License-Identifier: MIT */
/* quantize_tile.h - float to uint8 and back. */
#ifndef QZOO_LAYERS_KERNELS_X86_QUANTIZE_TILE_H
#define QZOO_LAYERS_KERNELS_X86_QUANTIZE_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

static void quantize(const float *x, uint8_t *y, size_t n, float inv_scale, int32_t zp)
{
    const vf inv = vf_set1(inv_scale), lo = vf_set1((float)-zp), hi = vf_set1((float)(255 - zp));
    const vb zp16 = vb_set1_16(zp), zp32 = vi_set1(zp);
    size_t i = 0;
    for (; i + VB <= n; i += VB) {
        vb q0 = vf_to_i32_nan0(vf_clamp(vf_mul(vf_load(x + i), inv), lo, hi));
        vb q1 = vf_to_i32_nan0(vf_clamp(vf_mul(vf_load(x + i + VL), inv), lo, hi));
        vb q2 = vf_to_i32_nan0(vf_clamp(vf_mul(vf_load(x + i + 2 * VL), inv), lo, hi));
        vb q3 = vf_to_i32_nan0(vf_clamp(vf_mul(vf_load(x + i + 3 * VL), inv), lo, hi));
        vb low = vb_adds16(vb_pack32(q0, q1), zp16), high = vb_adds16(vb_pack32(q2, q3), zp16);
        vb_store(y + i, vb_unlace(vb_pack16(low, high)));
    }
    for (; i < n; i += VL) {
        size_t left = QZI_MIN(n - i, (size_t)VL);
        vf v = vf_mul(vf_load_mask(x + i, vf_mask((int)left)), inv);
        vi_store_u8_n(y + i, clampq(v, lo, hi, zp32), left);
    }
}

static void dequantize(const uint8_t *x, float *y, size_t n, float scale, int32_t zp)
{
    const vf by = vf_set1(scale);
    const vb from = vi_set1(zp);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(y + i, vf_mul(vf_from_i32(vi_sub32(vi_load_u8(x + i), from)), by));
    if (i < n) {
        vf v = vf_from_i32(vi_sub32(vi_load_u8_n(x + i, n - i), from));
        vf_store_mask(y + i, vf_mul(v, by), vf_mask((int)(n - i)));
    }
}

#endif
