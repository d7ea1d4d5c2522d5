/* SPDX-License-Identifier: MIT */
/* affine_tile.h - a factor and an offset for each channel, float and uint8. */
#ifndef QZOO_LAYERS_KERNELS_X86_AFFINE_TILE_H
#define QZOO_LAYERS_KERNELS_X86_AFFINE_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

static void f32_affine(const qzk_rows *rows, const float *scale, const float *shift)
{
    const float *x = rows->x;
    float *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride) {
        size_t i = 0;
        for (; i + VL <= c; i += VL)
            vf_store(y + i, vf_fma(vf_load(x + i), vf_load(scale + i), vf_load(shift + i)));
        if (i < c) {
            const vmask m = vf_mask((int)(c - i));
            vf v = vf_fma(vf_load_mask(x + i, m), vf_load_mask(scale + i, m),
                          vf_load_mask(shift + i, m));
            vf_store_mask(y + i, v, m);
        }
    }
}

/* Any multipliers and shifts: values may be infinite or NaN. */
static void u8_affine_any(const uint8_t *x, uint8_t *y, size_t c, const float *mult,
                          const float *shift, vb from, vf low, vf high, vb to)
{
    size_t i = 0;
    for (; i + VL <= c; i += VL) {
        vf v = vf_from_i32(vi_sub32(vi_load_u8(x + i), from));
        v = vf_add(vf_mul(v, vf_load(mult + i)), vf_load(shift + i));
        vi_store_u8(y + i, clampq(v, low, high, to));
    }
    if (i < c) {
        const vmask m = vf_mask((int)(c - i));
        vf v = vf_from_i32(vi_sub32(vi_load_u8_n(x + i, c - i), from));
        v = vf_add(vf_mul(v, vf_load_mask(mult + i, m)), vf_load_mask(shift + i, m));
        vi_store_u8_n(y + i, clampq(v, low, high, to), c - i);
    }
}

/* A quarter of VB channels, in order. */
VEC_INLINE vb affine_quarter(vb x, vb from, const float *mult, const float *shift)
{
    return vf_to_i32(vf_add(vf_mul(vf_from_i32(vi_sub32(x, from)), vf_load(mult)), vf_load(shift)));
}

/* VB channels of all pixels, then the next VB: multipliers and shifts stay in the nearest cache. */
static void u8_affine(const qzk_rows *rows, const qzk_affine_params *p)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    size_t pixels = rows->pixels;
    const size_t c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    const float *mult = p->mult, *shift = p->shift;
    const int32_t x_zp = p->x_zp, y_zp = p->y_zp;
    const float lo = p->lo, hi = p->hi;
    const vf low = vf_set1(lo), high = vf_set1(hi);
    const vb from = vi_set1(x_zp), to = vi_set1(y_zp), zp = vb_set1_16(y_zp);
    const float sane = 1048576.0f; /* 255 times it and it fit int32 */
    bool fits = true;
    for (size_t i = 0; i < c; i++)
        fits &= mult[i] >= -sane && mult[i] <= sane && shift[i] >= -sane && shift[i] <= sane;
    if (!fits) {
        for (; pixels; pixels--, x += x_stride, y += y_stride)
            u8_affine_any(x, y, c, mult, shift, from, low, high, to);
        return;
    }
    /* clamps after rounding, on bytes, as in u8_add */
    const vb q_lo = vb_set1_8((int)qzi_rnef(lo) + y_zp), q_hi = vb_set1_8((int)qzi_rnef(hi) + y_zp);
    size_t i = 0;
    for (; i + VB <= c; i += VB) {
        const uint8_t *px = x + i;
        uint8_t *py = y + i;
        for (size_t k = 0; k < pixels; k++, px += x_stride, py += y_stride) {
            vb a = affine_quarter(vi_load_u8(px), from, mult + i, shift + i);
            vb b = affine_quarter(vi_load_u8(px + VL), from, mult + i + VL, shift + i + VL);
            vb d = affine_quarter(vi_load_u8(px + 2 * VL), from, mult + i + 2 * VL,
                                  shift + i + 2 * VL);
            vb e = affine_quarter(vi_load_u8(px + 3 * VL), from, mult + i + 3 * VL,
                                  shift + i + 3 * VL);
            vb ab = vb_adds16(vb_pack32(a, b), zp), de = vb_adds16(vb_pack32(d, e), zp);
            vb_store(py, vb_min(vb_max(vb_unlace(vb_pack16(ab, de)), q_lo), q_hi));
        }
    }
    for (; i < c && pixels; pixels--, x += x_stride, y += y_stride)
        u8_affine_any(x + i, y + i, c - i, mult + i, shift + i, from, low, high, to);
}

#endif
