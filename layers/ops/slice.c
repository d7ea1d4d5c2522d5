/* SPDX-License-Identifier: MIT */
/*
 * slice.c - some of the channels, and channels in another order: ops that move bytes. A slice is a
 * view of its input (the planner gives it its place there) but where a uint8 one does not begin at
 * a multiple of four channels.
 */
#include "layers/ops/ops.h"

#include <string.h>

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    if (x->dtype != y->dtype)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: input and output differ in type", y->name);
    if (y->dtype == QZ_U8 &&
        (y->q.scale != x->q.scale || y->q.zero_point != x->q.zero_point || !(y->q.scale > 0.0f)))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: must share its input's scale", y->name);
    if (y->op == QZI_OP_SLICE && (y->u.slice.first < 0 || (int64_t)y->u.slice.first + y->c > x->c))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: takes channels that its input has not",
                        y->name);
    if (y->op == QZI_OP_CHANNEL_SHUFFLE &&
        (y->c != x->c || y->u.shuffle.groups < 1 || y->c % y->u.shuffle.groups != 0))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: channels do not divide into groups", y->name);
    return QZ_OK;
}

static qz_status shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    *out = *in;
    out->c = n->node->c;
    return QZ_OK;
}

static void slice_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzk_view *x = &r->in[0], *y = &r->out;
    size_t size = qz_dtype_size(r->node->dtype);
    for (int64_t p = begin; p < end; p++)
        memcpy((char *)y->data + (size_t)(p * y->pixel_stride) * size,
               (const char *)x->data +
                   (size_t)(p * x->pixel_stride + r->node->u.slice.first) * size,
               (size_t)y->c * size);
}

static void shuffle_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzk_view *x = &r->in[0], *y = &r->out;
    size_t pixels = (size_t)(end - begin), c = (size_t)y->c;
    size_t groups = (size_t)r->node->u.shuffle.groups;
    if (r->node->dtype == QZ_U8)
        r->kernels->u8_shuffle((const uint8_t *)x->data + begin * x->pixel_stride,
                               (uint8_t *)y->data + begin * y->pixel_stride, pixels, c, groups,
                               x->pixel_stride, y->pixel_stride);
    else
        r->kernels->f32_shuffle((const float *)x->data + begin * x->pixel_stride,
                                (float *)y->data + begin * y->pixel_stride, pixels, c, groups,
                                x->pixel_stride, y->pixel_stride);
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w,
                   2 * (int64_t)y->c * (int64_t)qz_dtype_size(r->node->dtype),
                   r->node->op == QZI_OP_SLICE ? slice_pixels : shuffle_pixels);
}

const qzi_op_class qzi_op_slice = {
    .op = QZI_OP_SLICE,
    .validate = validate,
    .shape = shape,
    .run = run,
    .alias = true, /* where it can */
};

const qzi_op_class qzi_op_channel_shuffle = {
    .op = QZI_OP_CHANNEL_SHUFFLE,
    .validate = validate,
    .shape = shape,
    .run = run,
};
