/* SPDX-License-Identifier: MIT */
/*
 * conv_ref.h - what the two reference convolutions share: how the work is cut, and where a tap
 * reads.
 *
 * One unit is a block of QZK_REF_LANES output channels at up to QZK_REF_STRIP consecutive output
 * pixels. Weights are packed [block][kh][kw][ic of the group][lane], so that the lanes are what a
 * compiler vectorises over, and each lane sums in the order of CONTRACT.md.
 */
#ifndef QZOO_LAYERS_KERNELS_REF_CONV_REF_H
#define QZOO_LAYERS_KERNELS_REF_CONV_REF_H

#include "layers/base/base.h"
#include "layers/kernels/kernels.h"

enum { QZK_REF_LANES = 16, QZK_REF_STRIP = 32 };

static inline int64_t qzk_ref_blocks(const qzk_conv_shape *s)
{
    return QZI_DIV_UP((int64_t)s->oc, QZK_REF_LANES);
}

/* Terms of one output: the K of the matrix product. */
static inline int64_t qzk_ref_depth(const qzk_conv_shape *s)
{
    return (int64_t)s->kh * s->kw * (s->ic / s->groups);
}

static inline int64_t qzk_ref_pixels(const qzk_conv_args *args)
{
    return (int64_t)args->out.n * args->out.h * args->out.w;
}

static inline int64_t qzk_ref_units(const qzk_conv_args *args)
{
    return qzk_ref_blocks(args->shape) * QZI_DIV_UP(qzk_ref_pixels(args), QZK_REF_STRIP);
}

/* Index in OIHW weights of the weight that packed position (block, depth k, lane) holds. */
static inline int64_t qzk_ref_weight_index(const qzk_conv_shape *s, int64_t channel, int64_t k)
{
    int64_t icg = s->ic / s->groups, taps = (int64_t)s->kh * s->kw;
    return (channel * icg + k % icg) * taps + k / icg;
}

/* What one unit covers. */
typedef struct qzk_ref_unit {
    int64_t block, pixel_begin, pixel_end;
    int lanes; /* output channels in the block */
    bool one_group;
    int32_t channel[QZK_REF_LANES]; /* first input channel that a lane reads */
} qzk_ref_unit;

static inline qzk_ref_unit qzk_ref_unit_at(const qzk_conv_args *args, int64_t index)
{
    const qzk_conv_shape *s = args->shape;
    int64_t pixels = qzk_ref_pixels(args), strips = QZI_DIV_UP(pixels, QZK_REF_STRIP);
    qzk_ref_unit u;
    u.block = index / strips;
    u.pixel_begin = index % strips * QZK_REF_STRIP;
    u.pixel_end = QZI_MIN(u.pixel_begin + QZK_REF_STRIP, pixels);
    int64_t first = u.block * QZK_REF_LANES;
    u.lanes = (int)QZI_MIN(s->oc - first, QZK_REF_LANES);
    for (int j = 0; j < QZK_REF_LANES; j++) {
        /* lanes past the last channel read what that one reads; their results are dropped */
        int32_t oc = (int32_t)first + QZI_MIN(j, u.lanes - 1);
        u.channel[j] = oc / (s->oc / s->groups) * (s->ic / s->groups);
    }
    u.one_group = u.channel[0] == u.channel[QZK_REF_LANES - 1];
    return u;
}

/* An output pixel: its image, and the input position of its first tap (before the image: padding).
 */
typedef struct qzk_ref_pixel {
    int64_t n, y, x;
} qzk_ref_pixel;

static inline qzk_ref_pixel qzk_ref_pixel_at(const qzk_conv_args *args, int64_t index)
{
    const qzk_conv_shape *s = args->shape;
    int64_t row = index / args->out.w;
    qzk_ref_pixel p;
    p.n = row / args->out.h;
    p.y = row % args->out.h * s->stride_h - s->pad_top;
    p.x = index % args->out.w * s->stride_w - s->pad_left;
    return p;
}

/* Offset in elements of the pixel under tap (kh, kw), or -1 where that is padding. */
static inline int64_t qzk_ref_tap(const qzk_conv_args *args, qzk_ref_pixel p, int32_t kh,
                                  int32_t kw)
{
    int64_t y = p.y + (int64_t)kh * args->shape->dil_h, x = p.x + (int64_t)kw * args->shape->dil_w;
    if (y < 0 || y >= args->in.h || x < 0 || x >= args->in.w)
        return -1;
    return ((p.n * args->in.h + y) * args->in.w + x) * args->in.pixel_stride;
}

#endif
