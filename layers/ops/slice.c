/* SPDX-License-Identifier: MIT */
/*
 * slice.c - some of the channels. A slice is a view of its input: the planner places it there. Only
 * a uint8 slice that does not begin at a multiple of four channels is copied, and so is one that
 * picks channels of every period.
 */
#include "layers/ops/by_channel.h"

#include <string.h>

static int32_t channel_of(const qzi_op_node *n, int32_t c)
{
    return qzi_slice_channel(n->node, c);
}

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    const int32_t period = y->u.slice.period, run = y->u.slice.run;
    const bool runs = period == 0 || (run > 0 && run <= period && y->c % run == 0);
    if (y->u.slice.first < 0 || !runs ||
        (int64_t)y->u.slice.first + (period > 0 ? (int64_t)(y->c / run - 1) * period + run : y->c) >
            x->c)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: takes channels that its input has not",
                        y->name);
    return qzi_check_moved(n, channel_of);
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
    const size_t size = qz_dtype_size(r->node->dtype);
    const int32_t run = r->node->u.slice.period > 0 ? r->node->u.slice.run : y->c;
    for (int64_t p = begin; p < end; p++) {
        const char *from = (const char *)x->data + (size_t)(p * x->pixel_stride) * size;
        char *to = (char *)y->data + (size_t)(p * y->pixel_stride) * size;
        for (int32_t c = 0; c < y->c; c += run)
            memcpy(to + (size_t)c * size, from + (size_t)qzi_slice_channel(r->node, c) * size,
                   (size_t)run * size);
    }
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w,
                   2 * (int64_t)y->c * (int64_t)qz_dtype_size(r->node->dtype), slice_pixels);
}

const qzi_op_class qzi_op_slice = {
    .op = QZI_OP_SLICE,
    .validate = validate,
    .shape = shape,
    .run = run,
    .alias = true, /* where it can */
    .reads_channel_q = true,
    .writes_channel_q = true,
};
