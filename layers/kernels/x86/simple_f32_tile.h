/* SPDX-License-Identifier: MIT */
/*
 * simple_f32_tile.h - the float functions of the kernel table that are not convolutions, written
 * once over f32_vec.h and included by simple_<bundle>.c.
 */
#include "layers/base/base.h"
#include "layers/kernels/x86/f32_vec.h"

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

static void f32_affine(const float *x, float *y, size_t pixels, size_t c, int64_t x_stride,
                       int64_t y_stride, const float *scale, const float *shift)
{
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
