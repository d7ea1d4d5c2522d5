/* SPDX-License-Identifier: MIT */
/*
 * f32_conv_ref.c - float convolution and linear, any shape: one accumulator for each output, terms
 * in the order kh, kw, ic by fused multiply-add, bias last.
 */
#include "layers/kernels/ref/f32_pack_ref.h"
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/ref/requant.h"

#include <string.h>

static qzk_ref_f32_layout layout_of(const qzk_conv_shape *s)
{
    return qzk_ref_f32_layout_of(s, (size_t)qzk_ref_depth(s));
}

static bool supports(const qzk_conv_shape *shape)
{
    (void)shape;
    return true;
}

static size_t packed_size(const qzk_conv_shape *shape)
{
    return layout_of(shape).size;
}

static void pack(const qzk_conv_shape *s, const qzk_conv_weights *from, void *packed)
{
    qzk_ref_f32_layout l = layout_of(s);
    char *base = packed;
    memset(base, 0, l.weights);
    if (from->bias_f32)
        memcpy(base + l.bias, from->bias_f32, (size_t)s->oc * sizeof(float));
    float *w = (float *)(base + l.weights);
    uint32_t tiny = 0;
    for (int64_t first = 0; first < s->oc; first += QZK_REF_LANES)
        for (int64_t k = 0; k < qzk_ref_depth(s); k++)
            for (int64_t oc = first; oc < first + QZK_REF_LANES; oc++, w++) {
                *w = oc < s->oc ? from->w_f32[qzk_ref_weight_index(s, oc, k)] : 0.0f;
                tiny |= qzk_ref_tiny(*w);
            }
    ((qzk_ref_f32_header *)packed)->exact = QZK_REF_FMAF_IS_LIBM || tiny >> 31;
    memset(base + l.pad_row, 0, (size_t)s->ic * sizeof(float));
}

static size_t scratch_size(const qzk_conv_args *args)
{
    (void)args;
    return 0;
}

/* acc[lane] = the sum of one pixel's terms, by qzk_ref_fmaf. */
static void sum_taps_exact(const qzk_conv_args *args, const qzk_ref_unit *u, qzk_ref_pixel pixel,
                           const float *w, const float *pad_row, float *acc)
{
    const qzk_conv_shape *s = args->shape;
    int32_t icg = s->ic / s->groups;
    float sum[QZK_REF_LANES] = {0};
    for (int32_t kh = 0; kh < s->kh; kh++) {
        for (int32_t kw = 0; kw < s->kw; kw++) {
            int64_t at = qzk_ref_tap(args, pixel, kh, kw);
            const float *x = at < 0 ? pad_row : (const float *)args->in.data + at;
            if (u->one_group) {
                for (int32_t ic = 0; ic < icg; ic++, w += QZK_REF_LANES) {
                    float v = x[u->channel[0] + ic];
                    for (int j = 0; j < QZK_REF_LANES; j++)
                        sum[j] = qzk_ref_fmaf(v, w[j], sum[j]);
                }
            } else {
                for (int32_t ic = 0; ic < icg; ic++, w += QZK_REF_LANES)
                    for (int j = 0; j < QZK_REF_LANES; j++)
                        sum[j] = qzk_ref_fmaf(x[u->channel[j] + ic], w[j], sum[j]);
            }
        }
    }
    memcpy(acc, sum, sizeof(sum));
}

/* The same by qzk_ref_fma_step; false where the result is in doubt. */
static bool sum_taps_fast(const qzk_conv_args *args, const qzk_ref_unit *u, qzk_ref_pixel pixel,
                          const float *w, const float *pad_row, float *acc)
{
    const qzk_conv_shape *s = args->shape;
    int32_t icg = s->ic / s->groups;
    double sum[QZK_REF_LANES] = {0};
    uint64_t doubt[QZK_REF_LANES] = {0};
    uint32_t tiny = 0;
    for (int32_t kh = 0; kh < s->kh; kh++) {
        for (int32_t kw = 0; kw < s->kw; kw++) {
            int64_t at = qzk_ref_tap(args, pixel, kh, kw);
            const float *x = at < 0 ? pad_row : (const float *)args->in.data + at;
            if (u->one_group) {
                for (int32_t ic = 0; ic < icg; ic++, w += QZK_REF_LANES) {
                    float v = x[u->channel[0] + ic];
                    tiny |= qzk_ref_tiny(v);
                    for (int j = 0; j < QZK_REF_LANES; j++)
                        sum[j] = qzk_ref_fma_step(v, w[j], sum[j], &doubt[j]);
                }
            } else {
                for (int32_t ic = 0; ic < icg; ic++, w += QZK_REF_LANES) {
                    float v[QZK_REF_LANES];
                    for (int j = 0; j < QZK_REF_LANES; j++)
                        v[j] = x[u->channel[j] + ic];
                    for (int j = 0; j < QZK_REF_LANES; j++) {
                        tiny |= qzk_ref_tiny(v[j]);
                        sum[j] = qzk_ref_fma_step(v[j], w[j], sum[j], &doubt[j]);
                    }
                }
            }
        }
    }
    uint64_t any = (uint64_t)tiny << 32;
    for (int j = 0; j < QZK_REF_LANES; j++) {
        any |= doubt[j];
        acc[j] = (float)sum[j];
    }
    return any >> 63 == 0;
}

static void run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    qzk_ref_f32_layout l = layout_of(args->shape);
    const char *base = args->packed;
    bool exact = ((const qzk_ref_f32_header *)args->packed)->exact;
    const float *pad_row = (const float *)(base + l.pad_row);
    for (int64_t index = begin; index < end; index++) {
        qzk_ref_unit u = qzk_ref_unit_at(args, index);
        int64_t oc = u.block * QZK_REF_LANES;
        const float *bias = (const float *)(base + l.bias) + oc;
        const float *w = (const float *)(base + l.weights) + oc * qzk_ref_depth(args->shape);
        for (int64_t p = u.pixel_begin; p < u.pixel_end; p++) {
            qzk_ref_pixel pixel = qzk_ref_pixel_at(args, p);
            float acc[QZK_REF_LANES];
            if (exact || !sum_taps_fast(args, &u, pixel, w, pad_row, acc))
                sum_taps_exact(args, &u, pixel, w, pad_row, acc);
            float *y = (float *)args->out.data + p * args->out.pixel_stride + oc;
            for (int j = 0; j < u.lanes; j++)
                y[j] = qzk_clampf(acc[j] + bias[j], args->lo, args->hi);
        }
        qzk_conv_done(args, u.pixel_begin, u.pixel_end - u.pixel_begin, oc, u.lanes);
    }
}

const qzk_conv_kernel qzk_f32_conv__ref = {
    .name = "f32_conv_1x16__ref",
    .isa = QZ_ISA_REF,
    .macs_per_ns = 64,
    .weight_bytes = 4,
    .tile_m = 1,
    .tile_n = QZK_REF_LANES,
    .supports = supports,
    .packed_size = packed_size,
    .pack = pack,
    .scratch_size = scratch_size,
    .units = qzk_ref_units,
    .run = run,
};
