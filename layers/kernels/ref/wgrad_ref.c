/* SPDX-License-Identifier: MIT */
/*
 * wgrad_ref.c - the weight gradient of a convolution, any shape: for each block of pixels one chain
 * of fused multiply-adds a weight, which is then added to the weight's sum.
 */
#include "layers/base/base.h"
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/wgrad.h"

#include <string.h>

/* Input channels whose sums are computed side by side. */
#define LANES 16

static bool supports(const qzk_conv_shape *shape)
{
    (void)shape;
    return true;
}

static size_t scratch_size(const qzk_wgrad_args *args)
{
    (void)args;
    return QZK_GRAD_PIXELS * sizeof(qzk_wgrad_pixel);
}

/* An output channel is a unit. */
static int64_t units(const qzk_wgrad_args *args)
{
    return args->shape->oc;
}

/* Some input channels of one tap of one output channel: the chain of a block. */
static void sum_block(const qzk_wgrad_args *args, const qzk_wgrad_pixel *pixels, int64_t first,
                      int64_t count, int32_t oc, int32_t tap, int32_t channel, int32_t lanes,
                      float *dw)
{
    static const float zeros[LANES];
    const qzk_conv_shape *s = args->shape;
    const float *dy = (const float *)args->dy.data + first * args->dy.pixel_stride + oc;
    float sum[LANES] = {0};
    for (int64_t p = 0; p < count; p++, dy += args->dy.pixel_stride) {
        const float *x = qzk_wgrad_tap(args, &pixels[p], tap / s->kw, tap % s->kw, NULL);
        float v[LANES] = {0};
        memcpy(v, x ? x + channel : zeros, (size_t)lanes * sizeof(*v));
        for (int j = 0; j < LANES; j++)
            sum[j] = qzk_ref_fmaf(*dy, v[j], sum[j]);
    }
    for (int32_t j = 0; j < lanes; j++)
        dw[j] = dw[j] + sum[j];
}

static void run(const qzk_wgrad_args *args, int64_t begin, int64_t end, void *scratch)
{
    const qzk_conv_shape *s = args->shape;
    const int32_t icg = s->ic / s->groups, ocg = s->oc / s->groups, taps = s->kh * s->kw;
    const int64_t total = (int64_t)args->dy.n * args->dy.h * args->dy.w;
    qzk_wgrad_pixel *pixels = scratch;
    for (int64_t first = 0; first < total; first += QZK_GRAD_PIXELS) {
        const int64_t count = QZI_MIN(total - first, (int64_t)QZK_GRAD_PIXELS);
        qzk_wgrad_pixels(args, first, count, pixels);
        for (int64_t oc = begin; oc < end; oc++) {
            const int32_t group_channel = (int32_t)(oc / ocg) * icg;
            float *dw = args->dw + oc * taps * icg;
            for (int32_t tap = 0; tap < taps; tap++)
                for (int32_t i = 0; i < icg; i += LANES)
                    sum_block(args, pixels, first, count, (int32_t)oc, tap, group_channel + i,
                              QZI_MIN(icg - i, LANES), dw + (int64_t)tap * icg + i);
        }
    }
}

const qzk_wgrad_kernel qzk_f32_wgrad__ref = {
    .name = "f32_wgrad__ref",
    .isa = QZ_ISA_REF,
    .supports = supports,
    .scratch_size = scratch_size,
    .units = units,
    .run = run,
};
