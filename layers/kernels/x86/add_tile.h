/* SPDX-License-Identifier: MIT */
/* add_tile.h - sums of two values, float and uint8. */
#ifndef QZOO_LAYERS_KERNELS_X86_ADD_TILE_H
#define QZOO_LAYERS_KERNELS_X86_ADD_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/quarters.h"
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

VEC_INLINE vb add_bytes(vb a, vb b, const qzk_add_params *p, vb q_lo, vb q_hi)
{
    const vf a_mult = vf_set1(p->a_mult), b_mult = vf_set1(p->b_mult);
    const quarters x = widen(a, widen_bias(p->a_zp)), z = widen(b, widen_bias(p->b_zp));
    quarters y;
    VEC_UNROLL
    for (int i = 0; i < 4; i++)
        y.q[i] = vf_add(vf_mul(x.q[i], a_mult), vf_mul(z.q[i], b_mult));
    return narrow(y, vb_set1_16(p->y_zp), q_lo, q_hi);
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
