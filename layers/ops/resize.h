/* SPDX-License-Identifier: MIT */
/* resize.h - where an output pixel of a resize comes from, by row or by column. */
#ifndef QZOO_LAYERS_OPS_RESIZE_H
#define QZOO_LAYERS_OPS_RESIZE_H

#include "layers/ops/ops.h"

static inline int32_t qzi_resize_nearest(int32_t at, int32_t in, int32_t out)
{
    const float scale = (float)in / (float)out;
    /* positive, so that the conversion is the floor */
    return (int32_t)QZI_MIN((int64_t)((float)at * scale), (int64_t)in - 1);
}

typedef struct qzi_resize_blend {
    int32_t first, second;
    float w_first, w_second;
} qzi_resize_blend;

static inline qzi_resize_blend qzi_resize_blend_of(int32_t at, int32_t in, int32_t out)
{
    const float scale = (float)in / (float)out;
    float src = ((float)at + 0.5f) * scale - 0.5f;
    src = src < 0.0f ? 0.0f : src;
    qzi_resize_blend b = {.first = (int32_t)QZI_MIN((int64_t)src, (int64_t)in - 1)};
    b.second = QZI_MIN(b.first + 1, in - 1);
    b.w_second = src - (float)b.first;
    b.w_second = b.w_second < 0.0f ? 0.0f : b.w_second > 1.0f ? 1.0f : b.w_second;
    b.w_first = 1.0f - b.w_second;
    return b;
}

/* Whether values are moved, in either mode. */
static inline bool qzi_resize_moves(const qzi_node *node, const qzk_view *x, const qzk_view *y)
{
    return node->u.resize.mode == QZ_RESIZE_NEAREST || (x->h == 1 && x->w == 1) ||
           (x->h == y->h && x->w == y->w);
}

#endif
