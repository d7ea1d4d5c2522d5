/* SPDX-License-Identifier: MIT */
/*
 * u8s8_conv_ref.c - convolution and linear on uint8 activations and int8 weights, any shape.
 */
#include "layers/kernels/ref/act_ref.h"
#include "layers/kernels/ref/conv_ref.h"

#include <string.h>

/*
 * Packed: this header, then at these offsets bias, multipliers, weights and the row of padding,
 * which is also what is subtracted from the input. By channel the multipliers are those of `mult`,
 * then of the function or the residual, then the zeros.
 */
typedef struct layout {
    size_t bias, mult, second, zero, weights, pad_row, size;
} layout;

typedef struct header {
    qz_activation act;
    bool residual;
    bool in_words;
    qzk_words words;
} header;

static layout layout_of(const qzk_conv_shape *s)
{
    size_t lanes = (size_t)qzk_ref_blocks(s) * QZK_REF_LANES;
    layout l;
    l.bias = QZI_ROUND_UP(sizeof(header), QZI_ALIGN);
    l.mult = l.bias + lanes * sizeof(int32_t);
    l.second = l.mult + lanes * sizeof(float);
    l.zero = l.second + (s->by_channel ? lanes * sizeof(float) : 0);
    l.weights = l.zero + (s->by_channel ? lanes * sizeof(float) : 0);
    l.pad_row = l.weights + lanes * (size_t)qzk_ref_depth(s);
    l.size = l.pad_row + (size_t)s->ic;
    return l;
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
    layout l = layout_of(s);
    char *base = packed;
    memset(base, 0, l.weights);
    if (s->by_channel) {
        const float *second = from->residual_mult ? from->residual_mult : from->out_mult;
        ((header *)packed)->act = qzk_act_is_function(from->act) ? from->act : QZ_ACT_NONE;
        ((header *)packed)->residual = from->residual_mult != NULL;
        ((header *)packed)->in_words = from->words != NULL;
        if (from->words)
            ((header *)packed)->words = *from->words;
        if (second)
            memcpy(base + l.second, second, (size_t)s->oc * sizeof(float));
        memcpy(base + l.zero, from->out_zero, (size_t)s->oc * sizeof(float));
    }
    if (from->bias_s32)
        memcpy(base + l.bias, from->bias_s32, (size_t)s->oc * sizeof(int32_t));
    memcpy(base + l.mult, from->mult, (size_t)s->oc * sizeof(float));
    int8_t *w = (int8_t *)(base + l.weights);
    for (int64_t first = 0; first < s->oc; first += QZK_REF_LANES)
        for (int64_t k = 0; k < qzk_ref_depth(s); k++)
            for (int64_t oc = first; oc < first + QZK_REF_LANES; oc++)
                *w++ = oc < s->oc ? from->w_s8[qzk_ref_weight_index(s, oc, k)] : 0;
    if (from->x_zps)
        memcpy(base + l.pad_row, from->x_zps, (size_t)s->ic);
    else
        memset(base + l.pad_row, from->x_zp, (size_t)s->ic);
}

static size_t scratch_size(const qzk_conv_args *args)
{
    (void)args;
    return 0;
}

/* acc[lane] = sum of (x - zero point) * w over the taps of one pixel; exact: any order is right. */
static void sum_taps(const qzk_conv_args *args, const qzk_ref_unit *u, qzk_ref_pixel pixel,
                     const int8_t *w, const uint8_t *pad_row, int32_t *acc)
{
    const qzk_conv_shape *s = args->shape;
    int32_t icg = s->ic / s->groups;
    int32_t sum[QZK_REF_LANES] = {0};
    for (int32_t kh = 0; kh < s->kh; kh++) {
        for (int32_t kw = 0; kw < s->kw; kw++) {
            int64_t at = qzk_ref_tap(args, pixel, kh, kw);
            const uint8_t *x = at < 0 ? pad_row : (const uint8_t *)args->in.data + at;
            if (u->one_group) {
                for (int32_t ic = 0; ic < icg; ic++, w += QZK_REF_LANES) {
                    const int32_t c = u->channel[0] + ic;
                    int16_t v = (int16_t)(x[c] - pad_row[c]);
                    for (int j = 0; j < QZK_REF_LANES; j++)
                        sum[j] += v * w[j];
                }
            } else {
                for (int32_t ic = 0; ic < icg; ic++, w += QZK_REF_LANES) {
                    int16_t v[QZK_REF_LANES];
                    for (int j = 0; j < QZK_REF_LANES; j++) {
                        const int32_t c = u->channel[j] + ic;
                        v[j] = (int16_t)(x[c] - pad_row[c]);
                    }
                    for (int j = 0; j < QZK_REF_LANES; j++)
                        sum[j] += v[j] * w[j];
                }
            }
        }
    }
    memcpy(acc, sum, sizeof(sum));
}

/* CONTRACT.md, "by channel": the bytes of one pixel from its sums. */
static void finish_by_channel(const qzk_conv_args *args, const layout *l, int64_t oc, int lanes,
                              const int32_t *acc, const uint8_t *r, uint8_t *y)
{
    const char *base = args->packed;
    const header *head = args->packed;
    const int32_t *bias = (const int32_t *)(base + l->bias) + oc;
    const float *mult = (const float *)(base + l->mult) + oc;
    const float *second = (const float *)(base + l->second) + oc;
    const float *zero = (const float *)(base + l->zero) + oc;
    for (int j = 0; j < lanes; j++) {
        const float sum = (float)(acc[j] + bias[j]);
        float v;
        if (head->in_words)
            v = (float)qzk_ref_word(&head->words, sum * mult[j], second[j], zero[j]);
        else if (head->act != QZ_ACT_NONE)
            v = qzk_ref_fmaf(qzk_ref_act(head->act, sum * mult[j]), second[j], zero[j]);
        else if (head->residual)
            v = qzk_ref_fmaf(sum, mult[j], qzk_ref_fmaf((float)r[j], second[j], zero[j]));
        else
            v = qzk_ref_fmaf(sum, mult[j], zero[j]);
        y[j] = qzk_ref_byte(v, args->lo, args->hi);
    }
}

static void run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    layout l = layout_of(args->shape);
    const char *base = args->packed;
    const uint8_t *pad_row = (const uint8_t *)(base + l.pad_row);
    for (int64_t index = begin; index < end; index++) {
        qzk_ref_unit u = qzk_ref_unit_at(args, index);
        int64_t oc = u.block * QZK_REF_LANES;
        const int32_t *bias = (const int32_t *)(base + l.bias) + oc;
        const float *mult = (const float *)(base + l.mult) + oc;
        const int8_t *w = (const int8_t *)(base + l.weights) + oc * qzk_ref_depth(args->shape);
        for (int64_t p = u.pixel_begin; p < u.pixel_end; p++) {
            int32_t acc[QZK_REF_LANES];
            sum_taps(args, &u, qzk_ref_pixel_at(args, p), w, pad_row, acc);
            uint8_t *y = (uint8_t *)args->out.data + p * args->out.pixel_stride + oc;
            if (args->shape->by_channel) {
                const qzk_view *r = &args->residual;
                const uint8_t *data = r->data;
                finish_by_channel(args, &l, oc, u.lanes, acc,
                                  data ? data + p * r->pixel_stride + oc : NULL, y);
                continue;
            }
            for (int j = 0; j < u.lanes; j++) {
                float v = (float)(acc[j] + bias[j]) * mult[j];
                y[j] = qzk_clampq(v, args->lo, args->hi, args->y_zp);
            }
        }
        qzk_conv_done(args, u.pixel_begin, u.pixel_end - u.pixel_begin, oc, u.lanes);
    }
}

const qzk_conv_kernel qzk_u8s8_conv__ref = {
    .name = "u8s8_conv_1x16__ref",
    .isa = QZ_ISA_REF,
    .macs_per_ns = 512,
    .weight_bytes = 1,
    .tile_m = 1,
    .tile_n = QZK_REF_LANES,
    .supports = supports,
    .packed_size = packed_size,
    .pack = pack,
    .scratch_size = scratch_size,
    .units = qzk_ref_units,
    .run = run,
};
