/* SPDX-License-Identifier: MIT */
/* resize_tile.h - the two blends of a bilinear resize, float and uint8. */
#ifndef QZOO_LAYERS_KERNELS_X86_RESIZE_TILE_H
#define QZOO_LAYERS_KERNELS_X86_RESIZE_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

VEC_INLINE vf blend(vf a, vf b, vf wa, vf wb)
{
    return vf_fma(b, wb, vf_mul(a, wa));
}

/*
 * Where a run of n values has a whole vector, its last one overlaps the one before: no tail is
 * needed. y must not overlap a or b.
 */
VEC_INLINE size_t next_vector(size_t i, size_t n)
{
    return i + 2 * VL <= n || i + VL == n ? i + VL : n - VL;
}

VEC_INLINE void f32_blend_run(const float *a, const float *b, vf wa, vf wb, float *y, size_t n)
{
    if (n < VL) {
        const vmask m = vf_mask((int)n);
        vf_store_mask(y, blend(vf_load_mask(a, m), vf_load_mask(b, m), wa, wb), m);
        return;
    }
    for (size_t i = 0; i < n; i = next_vector(i, n))
        vf_store(y + i, blend(vf_load(a + i), vf_load(b + i), wa, wb));
}

static void f32_blend(const float *a, const float *b, float wa, float wb, float *y, size_t n)
{
    f32_blend_run(a, b, vf_set1(wa), vf_set1(wb), y, n);
}

static void f32_resize_row(const qzk_resize_row *row)
{
    float *y = row->y;
    for (size_t p = 0; p < row->pixels; p++, y += row->y_stride) {
        const qzk_resize_tap *tap = &row->taps[p];
        f32_blend_run(row->x + tap->first, row->x + tap->second, vf_set1(tap->w_first),
                      vf_set1(tap->w_second), y, row->c);
    }
}

VEC_INLINE vf centred(vb bytes, vb zp)
{
    return vf_from_i32(vi_sub32(bytes, zp));
}

static void u8_blend(const uint8_t *a, const uint8_t *b, int32_t zp, float wa, float wb, float *y,
                     size_t n)
{
    const vf weight_a = vf_set1(wa), weight_b = vf_set1(wb);
    const vb z = vi_set1(zp);
    if (n < VL) {
        if (n > 0)
            vf_store_mask(y,
                          blend(centred(vi_load_u8_n(a, n), z), centred(vi_load_u8_n(b, n), z),
                                weight_a, weight_b),
                          vf_mask((int)n));
        return;
    }
    for (size_t i = 0; i < n; i = next_vector(i, n))
        vf_store(y + i, blend(centred(vi_load_u8(a + i), z), centred(vi_load_u8(b + i), z),
                              weight_a, weight_b));
}

static void u8_resize_row(const qzk_resize_row *row, int32_t zp)
{
    const vf lo = vf_set1((float)-zp), hi = vf_set1((float)(255 - zp));
    const vb z = vi_set1(zp);
    const size_t c = row->c;
    const vmask m = vf_mask((int)QZI_MIN(c, (size_t)VL));
    uint8_t *y = row->y;
    for (size_t p = 0; p < row->pixels; p++, y += row->y_stride) {
        const qzk_resize_tap *tap = &row->taps[p];
        const float *a = row->x + tap->first, *b = row->x + tap->second;
        const vf wa = vf_set1(tap->w_first), wb = vf_set1(tap->w_second);
        if (c < VL) {
            const vf v = blend(vf_load_mask(a, m), vf_load_mask(b, m), wa, wb);
            if (c > 0)
                vi_store_u8_n(y, clampq(v, lo, hi, z), c);
            continue;
        }
        for (size_t i = 0; i < c; i = next_vector(i, c)) {
            const vf v = blend(vf_load(a + i), vf_load(b + i), wa, wb);
            vi_store_u8(y + i, clampq(v, lo, hi, z));
        }
    }
}

#endif
