/* SPDX-License-Identifier: MIT */
/* add_tile.h - sums of two values, float and uint8. */
#ifndef QZOO_LAYERS_KERNELS_X86_ADD_TILE_H
#define QZOO_LAYERS_KERNELS_X86_ADD_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

static void f32_add(const float *a, const float *b, float *y, size_t n, float lo, float hi)
{
    const vf low = vf_set1(lo), high = vf_set1(hi);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(y + i, vf_clamp(vf_add(vf_load(a + i), vf_load(b + i)), low, high));
    if (i < n) {
        const vmask m = vf_mask((int)(n - i));
        vf v = vf_add(vf_load_mask(a + i, m), vf_load_mask(b + i, m));
        vf_store_mask(y + i, vf_clamp(v, low, high), m);
    }
}

/*
 * One quarter of VB sums. Bytes arrive under the upper half of 2^23 as a float, so that taking
 * away 2^23 + zero point gives (float)(a - zp), exactly and without a conversion.
 */
VEC_INLINE vb add_quarter(vb a, vb b, vf a_bias, vf b_bias, vf a_mult, vf b_mult)
{
    vf x = vf_mul(vf_sub(vf_from_bits(a), a_bias), a_mult);
    vf z = vf_mul(vf_sub(vf_from_bits(b), b_bias), b_mult);
    return vf_to_i32(vf_add(x, z));
}

/*
 * Rounding is monotonous, so clamping may follow it, on the bytes, where nothing overflows on the
 * way: saturation clamps to 0 and 255, lo and hi come after that.
 */
VEC_INLINE vb add_bytes(vb a, vb b, const qzk_add_params *p, vb q_lo, vb q_hi)
{
    const vf a_bias = vf_set1(8388608.0f + (float)p->a_zp), a_mult = vf_set1(p->a_mult);
    const vf b_bias = vf_set1(8388608.0f + (float)p->b_zp), b_mult = vf_set1(p->b_mult);
    const vb zero = vb_zero(), magic = vb_set1_16(0x4b00), zp = vb_set1_16(p->y_zp);
    vb a_lo = vb_unpack_lo8(a, zero), a_hi = vb_unpack_hi8(a, zero);
    vb b_lo = vb_unpack_lo8(b, zero), b_hi = vb_unpack_hi8(b, zero);
    vb y0 = add_quarter(vb_unpack_lo16(a_lo, magic), vb_unpack_lo16(b_lo, magic), a_bias, b_bias,
                        a_mult, b_mult);
    vb y1 = add_quarter(vb_unpack_hi16(a_lo, magic), vb_unpack_hi16(b_lo, magic), a_bias, b_bias,
                        a_mult, b_mult);
    vb y2 = add_quarter(vb_unpack_lo16(a_hi, magic), vb_unpack_lo16(b_hi, magic), a_bias, b_bias,
                        a_mult, b_mult);
    vb y3 = add_quarter(vb_unpack_hi16(a_hi, magic), vb_unpack_hi16(b_hi, magic), a_bias, b_bias,
                        a_mult, b_mult);
    vb lo = vb_adds16(vb_pack32(y0, y1), zp), hi = vb_adds16(vb_pack32(y2, y3), zp);
    return vb_min(vb_max(vb_pack16(lo, hi), q_lo), q_hi);
}

/* Any multipliers: sums may be infinite or NaN. */
static void u8_add_any(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                       const qzk_add_params *p)
{
    const vf lo = vf_set1(p->lo), hi = vf_set1(p->hi);
    const vb a_zp = vi_set1(p->a_zp), b_zp = vi_set1(p->b_zp), y_zp = vi_set1(p->y_zp);
    for (size_t i = 0; i < n; i += VL) {
        size_t left = QZI_MIN(n - i, (size_t)VL);
        vf x = vf_from_i32(vi_sub32(vi_load_u8_n(a + i, left), a_zp));
        vf z = vf_from_i32(vi_sub32(vi_load_u8_n(b + i, left), b_zp));
        vf v = vf_add(vf_mul(x, vf_set1(p->a_mult)), vf_mul(z, vf_set1(p->b_mult)));
        vi_store_u8_n(y + i, clampq(v, lo, hi, y_zp), left);
    }
}

static void u8_add(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                   const qzk_add_params *p)
{
    /* 255 * 2^20 twice still fits int32 */
    const float sane = 1048576.0f;
    if (!(p->a_mult >= -sane && p->a_mult <= sane && p->b_mult >= -sane && p->b_mult <= sane)) {
        u8_add_any(a, b, y, n, p);
        return;
    }
    const vb q_lo = vb_set1_8((int)qzi_rnef(p->lo) + p->y_zp);
    const vb q_hi = vb_set1_8((int)qzi_rnef(p->hi) + p->y_zp);
    size_t i = 0;
    for (; i + VB <= n; i += VB)
        vb_store(y + i, add_bytes(vb_load(a + i), vb_load(b + i), p, q_lo, q_hi));
    if (i < n)
        vb_store_n(y + i,
                   add_bytes(vb_load_n(a + i, n - i), vb_load_n(b + i, n - i), p, q_lo, q_hi),
                   n - i);
}

#endif
