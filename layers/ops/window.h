/* SPDX-License-Identifier: MIT */
/* window.h - which pixels an output pixel of a pooling reads. */
#ifndef QZOO_LAYERS_OPS_WINDOW_H
#define QZOO_LAYERS_OPS_WINDOW_H

#include "layers/ops/ops.h"

/* The window [y0, y1) x [x0, x1) inside the image, and the average's divisor. */
typedef struct qzi_pool_window {
    int32_t y0, y1, x0, x1, count;
} qzi_pool_window;

static inline qzi_pool_window qzi_pool_window_of(const qzi_node *node, const qzk_view *in,
                                                 const qzk_view *out, int32_t oy, int32_t ox)
{
    qzi_pool_window w;
    if (node->op == QZI_OP_ADAPTIVE_AVG_POOL2D) {
        w.y0 = (int32_t)((int64_t)oy * in->h / out->h);
        w.y1 = (int32_t)QZI_DIV_UP((int64_t)(oy + 1) * in->h, out->h);
        w.x0 = (int32_t)((int64_t)ox * in->w / out->w);
        w.x1 = (int32_t)QZI_DIV_UP((int64_t)(ox + 1) * in->w, out->w);
        w.count = (w.y1 - w.y0) * (w.x1 - w.x0);
        return w;
    }
    const qzi_pool2d_attr *a = &node->u.pool;
    int32_t y0 = oy * a->stride_h - a->pad_h, x0 = ox * a->stride_w - a->pad_w;
    /* torch counts padding, but not what ceil mode reaches beyond it */
    int32_t y1 = QZI_MIN(y0 + a->kh, in->h + a->pad_h), x1 = QZI_MIN(x0 + a->kw, in->w + a->pad_w);
    w.count = (y1 - y0) * (x1 - x0);
    w.y0 = QZI_MAX(y0, 0);
    w.x0 = QZI_MAX(x0, 0);
    w.y1 = QZI_MIN(y1, in->h);
    w.x1 = QZI_MIN(x1, in->w);
    if (a->count_exclude_pad)
        w.count = (w.y1 - w.y0) * (w.x1 - w.x0);
    return w;
}

#endif
