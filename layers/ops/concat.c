/* SPDX-License-Identifier: MIT */
/*
 * concat.c - along channels. Inputs that the planner let their producers write in place cost
 * nothing; the others are moved, or go through a table where their parameters differ.
 */
#include "layers/ops/by_channel.h"

#include <math.h>
#include <string.h>

/* CONTRACT.md, concat: T[x] = clampq(((float)(x - zx) * sx) * (1 / sy), 0, 255, zy). */
void qzi_requant_table(qzi_qparams x, qzi_qparams y, uint8_t table[256])
{
    const float inv = 1.0f / y.scale;
    const float lo = (float)(0 - y.zero_point), hi = (float)(255 - y.zero_point);
    const bool same = x.scale == y.scale && x.zero_point == y.zero_point;
    const qzi_fpenv env = qzi_fpenv_enter();
    for (int32_t i = 0; i < 256; i++) {
        float v = ((float)(i - x.zero_point) * x.scale) * inv;
        v = v < lo ? lo : v > hi ? hi : v;
        v = isnan(v) ? 0.0f : v;
        table[i] = (uint8_t)(same ? i : (int32_t)qzi_rnef(v) + y.zero_point);
    }
    qzi_fpenv_leave(env);
}

bool qzi_same_q(const qzi_node *x, const qzi_node *y, int32_t channel)
{
    const int32_t count = x->channel_q || y->channel_q ? x->c : 1;
    for (int32_t c = 0; c < count; c++)
        if (qzi_q_scale(x, c) != qzi_q_scale(y, channel + c) ||
            qzi_q_zero(x, c) != qzi_q_zero(y, channel + c))
            return false;
    return true;
}

/* By channel every input is moved: the parameters are those of the inputs, joined. */
static qz_status check_joined(const qzi_op_node *n)
{
    int32_t channel = 0;
    for (size_t i = 0; i < n->node->in_count; i++) {
        if (!qzi_same_q(n->inputs[i], n->node, channel))
            return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: must share the scales of %s",
                            n->node->name, n->inputs[i]->name);
        channel += n->inputs[i]->c;
    }
    return QZ_OK;
}

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *y = n->node;
    int64_t c = 0;
    for (size_t i = 0; i < y->in_count; i++) {
        if (n->inputs[i]->dtype != y->dtype)
            return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: inputs and output differ in type",
                            y->name);
        c += n->inputs[i]->c;
    }
    if (c != y->c)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: channels do not add up", y->name);
    if (qzi_by_channel(n))
        return check_joined(n);
    if (y->dtype == QZ_U8 && (!y->tables || !(y->q.scale > 0.0f)))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: int8 without tables", y->name);
    return QZ_OK;
}

static qz_status shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    for (size_t i = 1; i < n->node->in_count; i++) {
        if (in[i].h != in[0].h || in[i].w != in[0].w)
            return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: joins %dx%d with %dx%d", n->node->name,
                            in[0].h, in[0].w, in[i].h, in[i].w);
    }
    *out = in[0];
    out->c = n->node->c;
    return QZ_OK;
}

/* Rows of `bytes` each. Of the usual sizes memcpy is one or two moves, without a call. */
static void copy_rows(const char *x, size_t x_step, char *y, size_t y_step, int64_t rows,
                      size_t bytes)
{
    if (bytes == 16)
        for (; rows; rows--, x += x_step, y += y_step)
            memcpy(y, x, 16);
    else if (bytes == 32)
        for (; rows; rows--, x += x_step, y += y_step)
            memcpy(y, x, 32);
    else
        for (; rows; rows--, x += x_step, y += y_step)
            memcpy(y, x, bytes);
}

static void run_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzi_node *node = r->node;
    const bool by_channel = qzi_run_by_channel(r);
    size_t size = qz_dtype_size(node->dtype);
    int64_t offset = 0;
    for (size_t i = 0; i < node->in_count; i++) {
        const qzk_view *x = &r->in[i];
        size_t c = (size_t)x->c;
        char *y = (char *)r->out.data + (size_t)(begin * r->out.pixel_stride + offset) * size;
        const char *px = (const char *)x->data + (size_t)(begin * x->pixel_stride) * size;
        /* by channel all are the same (validate) */
        const bool same = node->dtype != QZ_U8 || by_channel || qzi_same_q(r->inputs[i], node, 0);
        offset += x->c;
        if (r->in_placed[i])
            continue;
        const size_t x_step = (size_t)x->pixel_stride * size;
        const size_t y_step = (size_t)r->out.pixel_stride * size;
        if (same) {
            copy_rows(px, x_step, y, y_step, end - begin, c * size);
            continue;
        }
        for (int64_t p = begin; p < end; p++, px += x_step, y += y_step)
            r->kernels->u8_lut((const uint8_t *)px, (uint8_t *)y, c, node->tables + i * 256);
    }
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    bool all = true;
    for (size_t i = 0; i < r->node->in_count; i++)
        all = all && r->in_placed[i];
    if (all)
        return;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w,
                   2 * (int64_t)y->c * (int64_t)qz_dtype_size(r->node->dtype), run_pixels);
}

const qzi_op_class qzi_op_concat = {
    .op = QZI_OP_CONCAT,
    .validate = validate,
    .shape = shape,
    .run = run,
    .reads_channel_q = true,
    .writes_channel_q = true,
};
