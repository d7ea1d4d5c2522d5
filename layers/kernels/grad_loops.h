/* SPDX-License-Identifier: MIT */
/*
 * grad_loops.h - the functions of grad.h on runs of elements, in C. ref/ and each bundle compile
 * them for their own instructions: every operation is IEEE's, alone and in the written order, so
 * that the bytes are the same.
 */
#ifndef QZOO_LAYERS_KERNELS_GRAD_LOOPS_H
#define QZOO_LAYERS_KERNELS_GRAD_LOOPS_H

#include "layers/base/base.h"
#include "layers/kernels/grad.h"

static void f32_mask(const float *dy, const float *y, float *dx, size_t n, float lo, float hi)
{
    for (size_t i = 0; i < n; i++) {
        const float v = dy[i];
        dx[i] = y[i] > lo && y[i] < hi ? v : 0.0f;
    }
}

/* Channels and pixels whose sums are in registers at once. */
#define PRODUCT_CHANNELS 16
#define PRODUCT_PIXELS 32

static void products_of_block(const float *restrict a, int64_t a_stride, const float *restrict b,
                              int64_t b_stride, size_t pixels, double *restrict sum,
                              double *restrict product)
{
    double s[PRODUCT_CHANNELS], q[PRODUCT_CHANNELS];
    for (size_t k = 0; k < PRODUCT_CHANNELS; k++) {
        s[k] = sum[k];
        q[k] = product[k];
    }
    for (size_t p = 0; p < pixels; p++, a += a_stride, b += b_stride) {
        for (size_t k = 0; k < PRODUCT_CHANNELS; k++) {
            const double v = (double)a[k];
            s[k] += v;
            q[k] += v * (double)b[k]; /* the product is exact */
        }
    }
    for (size_t k = 0; k < PRODUCT_CHANNELS; k++) {
        sum[k] = s[k];
        product[k] = q[k];
    }
}

static void f32_channel_products(const float *a, int64_t a_stride, const float *b, int64_t b_stride,
                                 size_t pixels, size_t c, double *sum, double *product)
{
    const size_t whole = c - c % PRODUCT_CHANNELS;
    for (size_t k = 0; k < c; k++)
        sum[k] = product[k] = 0.0;
    for (size_t p = 0; p < pixels; p += PRODUCT_PIXELS) {
        const size_t count = QZI_MIN(pixels - p, (size_t)PRODUCT_PIXELS);
        const float *pa = a + (int64_t)p * a_stride, *pb = b + (int64_t)p * b_stride;
        for (size_t k = 0; k < whole; k += PRODUCT_CHANNELS)
            products_of_block(pa + k, a_stride, pb + k, b_stride, count, sum + k, product + k);
        for (size_t i = 0; i < count && whole < c; i++, pa += a_stride, pb += b_stride) {
            for (size_t k = whole; k < c; k++) {
                sum[k] += (double)pa[k];
                product[k] += (double)pa[k] * (double)pb[k];
            }
        }
    }
}

static void f32_affine_pair(const qzk_rows *a, const float *b, int64_t b_stride, const float *ka,
                            const float *kb, const float *shift)
{
    const float *x = a->x;
    float *y = a->y;
    for (size_t p = 0; p < a->pixels; p++, x += a->x_stride, b += b_stride, y += a->y_stride) {
        for (size_t k = 0; k < a->c; k++)
            y[k] = (x[k] * ka[k] + b[k] * kb[k]) + shift[k];
    }
}

static void f32_hardswish(const float *dy, const float *x, float *dx, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float slope = x[i] / 3.0f + 0.5f;
        const float g = dy[i] * (x[i] <= 3.0f ? slope : 1.0f);
        dx[i] = x[i] < -3.0f ? 0.0f : g;
    }
}

static void f32_hardsigmoid(const float *dy, const float *x, float *dx, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float g = dy[i] * (1.0f / 6.0f);
        dx[i] = x[i] > -3.0f && x[i] < 3.0f ? g : 0.0f;
    }
}

static void f32_silu(const float *dy, const float *x, const float *s, float *dx, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dx[i] = (dy[i] * s[i]) * (1.0f + x[i] * (1.0f - s[i]));
}

static void grad_fill(qzk_grad_kernels *kernels)
{
    kernels->f32_mask = f32_mask;
    kernels->f32_channel_products = f32_channel_products;
    kernels->f32_affine_pair = f32_affine_pair;
    kernels->f32_hardswish = f32_hardswish;
    kernels->f32_hardsigmoid = f32_hardsigmoid;
    kernels->f32_silu = f32_silu;
}

#endif
