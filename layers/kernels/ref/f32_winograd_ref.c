/* SPDX-License-Identifier: MIT */
/*
 * f32_winograd_ref.c - float 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3), as CONTRACT.md
 * defines it. A unit is one tile of 4x4 outputs in all channels.
 */
#include "layers/kernels/ref/f32_pack_ref.h"
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/ref/requant.h"
#include "layers/kernels/winograd.h"

#include <string.h>

enum { IN = QZK_WINOGRAD_IN, OUT = QZK_WINOGRAD_OUT, POINTS = QZK_WINOGRAD_POINTS };

/* Weights are packed [block][point][ic][lane]. */
static qzk_ref_f32_layout layout_of(const qzk_conv_shape *s)
{
    return qzk_ref_f32_layout_of(s, (size_t)s->ic * POINTS);
}

static size_t packed_size(const qzk_conv_shape *shape)
{
    return layout_of(shape).size;
}

static void pack(const qzk_conv_shape *s, const qzk_conv_weights *from, void *packed)
{
    const qzk_ref_f32_layout l = layout_of(s);
    char *base = packed;
    memset(base, 0, l.size);
    if (from->bias_f32)
        memcpy(base + l.bias, from->bias_f32, (size_t)s->oc * sizeof(float));
    uint32_t tiny = 0;
    for (int32_t oc = 0; oc < s->oc; oc++) {
        float *w = (float *)(base + l.weights) +
                   (size_t)(oc / QZK_REF_LANES) * POINTS * (size_t)s->ic * QZK_REF_LANES +
                   oc % QZK_REF_LANES;
        for (int32_t ic = 0; ic < s->ic; ic++) {
            float u[POINTS];
            qzk_winograd_weights(from->w_f32 + ((size_t)oc * (size_t)s->ic + (size_t)ic) * 9, u);
            for (int p = 0; p < POINTS; p++) {
                w[((size_t)p * (size_t)s->ic + (size_t)ic) * QZK_REF_LANES] = u[p];
                tiny |= qzk_ref_tiny(u[p]);
            }
        }
    }
    ((qzk_ref_f32_header *)packed)->exact = QZK_REF_FMAF_IS_LIBM || tiny >> 31;
}

static size_t scratch_size(const qzk_conv_args *args)
{
    return QZI_ROUND_UP((size_t)args->shape->ic * POINTS * sizeof(float), QZI_ALIGN);
}

static int64_t units(const qzk_conv_args *args)
{
    return qzk_winograd_grid_of(&args->out).tiles;
}

/* Six inputs, `step` floats apart, at the six points. */
static void input_at_points(const float *d, int step, float *v)
{
    const float a = QZK_WINOGRAD_A, b = QZK_WINOGRAD_B;
    const float d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
    const float near = qzk_ref_fmaf(-2.0f, d2, d4), near_odd = qzk_ref_fmaf(-2.0f, d1, d3);
    const float far = qzk_ref_fmaf(-0.5f, d2, d4), far_odd = qzk_ref_fmaf(-0.5f, d1, d3);
    v[0] = qzk_ref_fmaf(-2.5f, d2, d[0]) + d4;
    v[1] = qzk_ref_fmaf(a, near_odd, near);
    v[2] = qzk_ref_fmaf(-a, near_odd, near);
    v[3] = qzk_ref_fmaf(b, far_odd, far);
    v[4] = qzk_ref_fmaf(-b, far_odd, far);
    v[5] = qzk_ref_fmaf(-2.5f, d3, d1) + d[5 * step];
}

/* Four outputs from six products, `step` floats apart. */
static void output_of_points(const float *m, int step, float *y)
{
    const float a = QZK_WINOGRAD_A, b = QZK_WINOGRAD_B;
    const float near = m[step] + m[2 * step], near_odd = m[step] - m[2 * step];
    const float far = m[3 * step] + m[4 * step], far_odd = m[3 * step] - m[4 * step];
    y[0] = (m[0] + near) + far;
    y[1] = qzk_ref_fmaf(b, far_odd, a * near_odd);
    y[2] = qzk_ref_fmaf(2.0f, far, 0.5f * near);
    y[3] = qzk_ref_fmaf(2.0f * b, far_odd, qzk_ref_fmaf(0.5f * a, near_odd, m[5 * step]));
}

/* v[point][ic] */
static void transform_input(const qzk_conv_args *args, qzk_winograd_tile tile, const float *zeros,
                            float *v)
{
    const float *pixels[POINTS];
    const int32_t ic = args->shape->ic;
    qzk_winograd_pixels(args, tile, zeros, pixels);
    for (int32_t c = 0; c < ic; c++) {
        float rows[IN][IN], d[IN], column[IN];
        for (int i = 0; i < IN; i++) {
            for (int j = 0; j < IN; j++)
                d[j] = pixels[i * IN + j][c];
            input_at_points(d, 1, rows[i]);
        }
        for (int j = 0; j < IN; j++) {
            input_at_points(&rows[0][j], IN, column);
            for (int i = 0; i < IN; i++)
                v[(size_t)(i * IN + j) * (size_t)ic + (size_t)c] = column[i];
        }
    }
}

/* m[lane] = the sum over ic at one point. */
static void sum_exact(const float *v, const float *w, int32_t ic, float *m)
{
    float sum[QZK_REF_LANES] = {0};
    for (int32_t c = 0; c < ic; c++, w += QZK_REF_LANES)
        for (int j = 0; j < QZK_REF_LANES; j++)
            sum[j] = qzk_ref_fmaf(v[c], w[j], sum[j]);
    memcpy(m, sum, sizeof(sum));
}

/* The same by qzk_ref_fma_step; false where the result is in doubt. */
static bool sum_fast(const float *v, const float *w, int32_t ic, float *m)
{
    double sum[QZK_REF_LANES] = {0};
    uint64_t doubt[QZK_REF_LANES] = {0}, any = 0;
    uint32_t tiny = 0;
    for (int32_t c = 0; c < ic; c++, w += QZK_REF_LANES) {
        tiny |= qzk_ref_tiny(v[c]);
        for (int j = 0; j < QZK_REF_LANES; j++)
            sum[j] = qzk_ref_fma_step(v[c], w[j], sum[j], &doubt[j]);
    }
    for (int j = 0; j < QZK_REF_LANES; j++) {
        any |= doubt[j];
        m[j] = (float)sum[j];
    }
    return (any | (uint64_t)tiny << 32) >> 63 == 0;
}

/* One lane: m is its first product, at[i] its first output (others follow as in the image). */
static void transform_output(const qzk_conv_args *args, qzk_winograd_tile tile, const float *m,
                             float bias, int64_t oc)
{
    const qzk_view *out = &args->out;
    float rows[IN][OUT], y[OUT];
    for (int i = 0; i < IN; i++)
        output_of_points(m + i * IN * QZK_REF_LANES, QZK_REF_LANES, rows[i]);
    for (int j = 0; j < OUT && tile.x + j < out->w; j++) {
        output_of_points(&rows[0][j], OUT, y);
        for (int i = 0; i < OUT && tile.y + i < out->h; i++) {
            int64_t pixel = ((int64_t)tile.n * out->h + tile.y + i) * out->w + tile.x + j;
            ((float *)out->data)[pixel * out->pixel_stride + oc] =
                qzk_clampf(y[i] + bias, args->lo, args->hi);
        }
    }
}

static void run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    const qzk_conv_shape *s = args->shape;
    const qzk_ref_f32_layout l = layout_of(s);
    const char *base = args->packed;
    const bool exact = ((const qzk_ref_f32_header *)args->packed)->exact;
    const float *bias = (const float *)(base + l.bias);
    const qzk_winograd_grid grid = qzk_winograd_grid_of(&args->out);
    for (; begin < end; begin++) {
        const qzk_winograd_tile tile = qzk_winograd_tile_at(&grid, begin);
        const float *w = (const float *)(base + l.weights);
        transform_input(args, tile, (const float *)(base + l.pad_row), scratch);
        for (int64_t first = 0; first < s->oc; first += QZK_REF_LANES) {
            float m[POINTS][QZK_REF_LANES];
            for (int p = 0; p < POINTS; p++, w += (size_t)s->ic * QZK_REF_LANES) {
                const float *v = (const float *)scratch + (size_t)p * (size_t)s->ic;
                if (exact || !sum_fast(v, w, s->ic, m[p]))
                    sum_exact(v, w, s->ic, m[p]);
            }
            for (int64_t oc = first; oc < s->oc && oc < first + QZK_REF_LANES; oc++)
                transform_output(args, tile, &m[0][oc - first], bias[oc], oc);
        }
        qzk_winograd_done(args, tile, 0, s->oc);
    }
}

const qzk_conv_kernel qzk_f32_winograd__ref = {
    .name = "f32_winograd_1x16__ref",
    .isa = QZ_ISA_REF,
    .macs_per_ns = 64,
    .weight_bytes = 4,
    .tile_m = 1,
    .tile_n = QZK_REF_LANES,
    .supports = qzk_winograd_supports,
    .packed_size = packed_size,
    .pack = pack,
    .scratch_size = scratch_size,
    .units = units,
    .run = run,
};
