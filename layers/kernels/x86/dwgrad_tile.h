/* SPDX-License-Identifier: MIT */
/*
 * dwgrad_tile.h - the weight gradient of a depthwise convolution, a vector of channels at a time,
 * written once over vec.h.
 *
 * A few pixels at a time are read whole, so that memory is read in order. The sums of a block of
 * pixels are in registers for these pixels, and in scratch in between.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_DWGRAD_TILE_H
#define QZOO_LAYERS_KERNELS_X86_DWGRAD_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/wgrad.h"
#include "layers/kernels/x86/vec.h"

/* Pixels whose terms are added before the sums go back to scratch. */
#define DWGRAD_PIXELS 16

static bool dwgrad_supports(const qzk_conv_shape *s)
{
    return s->groups > 1 && s->groups == s->ic && s->groups == s->oc;
}

static int32_t dwgrad_vectors(const qzk_wgrad_args *args)
{
    return QZI_DIV_UP(args->shape->oc, VL);
}

/* A vector of channels is a unit. */
static int64_t dwgrad_units(const qzk_wgrad_args *args)
{
    return dwgrad_vectors(args);
}

/* Scratch: rows of zeros, the sums of all vectors, addresses, places. */
static size_t dwgrad_scratch_size(const qzk_wgrad_args *args)
{
    const size_t vectors = (size_t)dwgrad_vectors(args);
    const size_t taps = (size_t)args->shape->kh * (size_t)args->shape->kw;
    const size_t floats = vectors * VL * (1 + taps);
    return QZI_ROUND_UP(floats * sizeof(float) + DWGRAD_PIXELS * taps * sizeof(const float *) +
                            QZK_GRAD_PIXELS * sizeof(qzk_wgrad_pixel),
                        64u);
}

/* Some taps of a vector of channels, over some pixels. rows: [pixels][taps]; sum: a vector for
 * each tap. */
VEC_INLINE void dwgrad_sum(const float *const *rows, size_t taps, int64_t channel, const float *dy,
                           int64_t dy_stride, int pixels, const bool whole, int left, float *sum,
                           const int TAPS)
{
    const vmask m = vf_mask(left);
    vf acc[9];
    VEC_UNROLL
    for (int t = 0; t < TAPS; t++)
        acc[t] = vf_load(sum + t * VL);
    for (int p = 0; p < pixels; p++, rows += taps, dy += dy_stride) {
        const vf d = whole ? vf_load(dy) : vf_load_mask(dy, m);
        VEC_UNROLL
        for (int t = 0; t < TAPS; t++) {
            const float *x = rows[t] + channel;
            acc[t] = vf_fma(d, whole ? vf_load(x) : vf_load_mask(x, m), acc[t]);
        }
    }
    VEC_UNROLL
    for (int t = 0; t < TAPS; t++)
        vf_store(sum + t * VL, acc[t]);
}

VEC_INLINE void dwgrad_vector(const float *const *rows, size_t taps, int64_t channel,
                              const float *dy, int64_t dy_stride, int pixels, const bool whole,
                              int left, float *sum)
{
    size_t t = 0;
    for (; taps - t >= 9; t += 9)
        dwgrad_sum(rows + t, taps, channel, dy, dy_stride, pixels, whole, left, sum + t * VL, 9);
    for (; taps - t >= 5; t += 5)
        dwgrad_sum(rows + t, taps, channel, dy, dy_stride, pixels, whole, left, sum + t * VL, 5);
    for (; t < taps; t++)
        dwgrad_sum(rows + t, taps, channel, dy, dy_stride, pixels, whole, left, sum + t * VL, 1);
}

static void dwgrad_run(const qzk_wgrad_args *args, int64_t begin, int64_t end, void *scratch)
{
    const qzk_conv_shape *s = args->shape;
    const int32_t vectors = dwgrad_vectors(args);
    const size_t taps = (size_t)s->kh * (size_t)s->kw;
    const int64_t total = (int64_t)args->dy.n * args->dy.h * args->dy.w;
    const int64_t dy_stride = args->dy.pixel_stride;
    float *zeros = scratch, *sums = zeros + (size_t)vectors * VL;
    const float **rows = (const float **)(sums + (size_t)vectors * VL * taps);
    qzk_wgrad_pixel *pixels = (qzk_wgrad_pixel *)(rows + DWGRAD_PIXELS * taps);
    memset(zeros, 0, (size_t)vectors * VL * sizeof(*zeros));
    for (int64_t first = 0; first < total; first += QZK_GRAD_PIXELS) {
        const int64_t count = QZI_MIN(total - first, (int64_t)QZK_GRAD_PIXELS);
        qzk_wgrad_pixels(args, first, count, pixels);
        memset(sums, 0, (size_t)vectors * VL * taps * sizeof(*sums));
        for (int64_t at = 0; at < count; at += DWGRAD_PIXELS) {
            const int n = (int)QZI_MIN(count - at, (int64_t)DWGRAD_PIXELS);
            const float **row = rows;
            for (int p = 0; p < n; p++)
                for (int32_t kh = 0; kh < s->kh; kh++)
                    for (int32_t kw = 0; kw < s->kw; kw++)
                        *row++ = qzk_wgrad_tap(args, &pixels[at + p], kh, kw, zeros);
            const float *dy = (const float *)args->dy.data + (first + at) * dy_stride;
            for (int64_t v = begin; v < end; v++) {
                const int64_t channel = v * VL;
                const int left = (int)QZI_MIN(s->oc - channel, (int64_t)VL);
                float *sum = sums + (size_t)v * VL * taps;
                if (left == VL)
                    dwgrad_vector(rows, taps, channel, dy + channel, dy_stride, n, true, VL, sum);
                else
                    dwgrad_vector(rows, taps, channel, dy + channel, dy_stride, n, false, left,
                                  sum);
            }
        }
        for (int64_t v = begin; v < end; v++) {
            const float *sum = sums + (size_t)v * VL * taps;
            for (int64_t k = 0; k < VL && v * VL + k < s->oc; k++) {
                float *dw = args->dw + (v * VL + k) * (int64_t)taps;
                for (size_t t = 0; t < taps; t++)
                    dw[t] = dw[t] + sum[t * VL + (size_t)k];
            }
        }
    }
}

const qzk_wgrad_kernel QZK_BUNDLE(qzk_f32_dwgrad) = {
    .name = "f32_dwgrad" QZK_BUNDLE_NAME,
    .isa = QZK_BUNDLE_ISA,
    .supports = dwgrad_supports,
    .scratch_size = dwgrad_scratch_size,
    .units = dwgrad_units,
    .run = dwgrad_run,
};

#endif
