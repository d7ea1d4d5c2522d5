/* SPDX-License-Identifier: MIT */
/* op.c - functions that several ops share. */
#include "layers/ops/ops.h"

#include <math.h>

bool qzi_act_is_clamp(qz_activation act)
{
    return act == QZ_ACT_NONE || act == QZ_ACT_RELU || act == QZ_ACT_RELU6;
}

const char *qzi_act_name(qz_activation act)
{
    static const char *const names[QZ_ACT_COUNT] = {
        [QZ_ACT_NONE] = "",
        [QZ_ACT_RELU] = "relu",
        [QZ_ACT_RELU6] = "relu6",
        [QZ_ACT_HARDSWISH] = "hardswish",
        [QZ_ACT_HARDSIGMOID] = "hardsigmoid",
        [QZ_ACT_SIGMOID] = "sigmoid",
        [QZ_ACT_SILU] = "silu",
        [QZ_ACT_GELU] = "gelu",
        [QZ_ACT_LEAKY_RELU] = "leaky_relu",
        [QZ_ACT_MISH] = "mish",
    };
    return (unsigned)act < QZ_ACT_COUNT ? names[act] : "unknown";
}

void qzi_act_range_u8(qz_activation act, const qzi_qparams *q, int32_t *lo, int32_t *hi)
{
    *lo = act == QZ_ACT_RELU || act == QZ_ACT_RELU6 ? q->zero_point : 0;
    *hi = 255;
    if (act == QZ_ACT_RELU6) {
        /* 6, quantized; clamped in float first, because a scale may be tiny */
        float six = 6.0f * (1.0f / q->scale);
        float limit = (float)(255 - q->zero_point);
        *hi = (int32_t)qzi_rnef(six < limit ? six : limit) + q->zero_point;
    }
}

void qzi_act_range_f32(qz_activation act, float *lo, float *hi)
{
    *lo = act == QZ_ACT_NONE ? -INFINITY : 0.0f;
    *hi = act == QZ_ACT_RELU6 ? 6.0f : INFINITY;
}

qz_status qzi_check_alike(const qzi_op_node *n)
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    if (y->c != x->c || y->dtype != x->dtype)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: input and output differ", y->name);
    return QZ_OK;
}

qz_status qzi_check_scales(const qzi_op_node *n)
{
    const qzi_node *y = n->node;
    bool ok = y->q.scale > 0.0f;
    for (size_t i = 0; i < y->in_count; i++)
        ok = ok && n->inputs[i]->q.scale > 0.0f;
    if (y->dtype == QZ_U8 && !ok)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: int8 without scales", y->name);
    return QZ_OK;
}

qz_status qzi_check_loaded(const qzi_op_node *n, int last)
{
    for (int i = QZI_P_WEIGHT; i <= last; i++) {
        if (!n->params[i] || !n->params[i]->data)
            return qzi_fail(n->ctx, QZ_ERR_STATE, "%s: has no weights yet; load them first",
                            n->node->name);
    }
    return QZ_OK;
}

qz_status qzi_shape_kept(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    (void)n;
    *out = *in;
    return QZ_OK;
}

int64_t qzi_pixel_stride(qz_dtype dtype, int32_t c)
{
    return dtype == QZ_U8 ? QZK_CEIL4((int64_t)c) : c;
}

bool qzi_op_has_weights(qzi_op op)
{
    return op == QZI_OP_CONV2D || op == QZI_OP_LINEAR || op == QZI_OP_CONV_TRANSPOSE2D;
}

uint64_t qzi_node_macs(const qzi_node *node, const qzi_shape *out)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    int64_t h = out->h, w = out->w;
    if (!qzi_op_has_weights(node->op))
        return 0;
    if (node->op == QZI_OP_CONV_TRANSPOSE2D) { /* every pixel of the input meets every weight */
        h = (h + 2 * (int64_t)a->pad_h - a->kh - node->u.transpose.out_pad_h) / a->stride_h + 1;
        w = (w + 2 * (int64_t)a->pad_w - a->kw - node->u.transpose.out_pad_w) / a->stride_w + 1;
    }
    return (uint64_t)out->n * (uint64_t)h * (uint64_t)w * (uint64_t)a->oc *
           (uint64_t)(a->ic / a->groups) * (uint64_t)a->kh * (uint64_t)a->kw;
}

typedef struct pixels_task {
    const qzi_op_run *r;
    qzi_pixels_fn fn;
} pixels_task;

static void pixels_run(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const pixels_task *task = arg;
    (void)thread;
    task->fn(task->r, begin, end);
}

static void apply_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzk_region all = {.first = begin, .count = end - begin, .channels = r->out.c};
    r->op->apply(r, all);
}

void qzi_run_elements(const qzi_op_run *r, int64_t bytes)
{
    const qzk_view *y = &r->out;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w, bytes * y->c, apply_pixels);
}

void qzi_run_pixels(const qzi_op_run *r, int64_t pixels, int64_t bytes_per_pixel, qzi_pixels_fn fn)
{
    /* a thread is worth waking for some 32 KiB of memory traffic */
    int64_t grain = 32768 / QZI_MAX(bytes_per_pixel, (int64_t)1);
    pixels_task task = {r, fn};
    qzi_parallel(r->ctx, r->threads, pixels, QZI_MAX(grain, (int64_t)1), pixels_run, &task);
}
