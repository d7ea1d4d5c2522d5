/* SPDX-License-Identifier: MIT */
/* by_channel.c - uint8 values with a scale and a zero point for each channel. */
#include "layers/ops/ops.h"

#include <math.h>
#include <string.h>

/* No value may be as large: sums of two stay far from infinity. */
#define MAX_MAGNITUDE 0x1p60f

void qzi_channel_q_free(const qz_context *ctx, qzi_channel_q *channel_q)
{
    if (!channel_q)
        return;
    qzi_free(ctx, channel_q->scale);
    qzi_free(ctx, channel_q->zero_point);
    qzi_free(ctx, channel_q);
}

qz_status qzi_node_set_channel_q(const qz_context *ctx, qzi_node *node, const float *scale,
                                 const uint8_t *zero_point)
{
    const size_t c = (size_t)node->c;
    qzi_channel_q *made = qzi_calloc(ctx, 1, sizeof(*made));
    if (!made)
        return QZ_ERR_MEMORY;
    made->scale = qzi_alloc(ctx, c * sizeof(*scale));
    made->zero_point = qzi_alloc(ctx, c);
    if (!made->scale || !made->zero_point) {
        qzi_channel_q_free(ctx, made);
        return QZ_ERR_MEMORY;
    }
    memcpy(made->scale, scale, c * sizeof(*scale));
    memcpy(made->zero_point, zero_point, c);
    node->q = (qzi_qparams){scale[0], zero_point[0]};
    for (size_t i = 1; i < c; i++)
        node->q.scale = QZI_MAX(node->q.scale, scale[i]);
    qzi_channel_q_free(ctx, node->channel_q);
    node->channel_q = made;
    return QZ_OK;
}

static bool computes_by_channel(const qzi_node *node, const qzi_node *const *inputs)
{
    if (node->dtype != QZ_U8)
        return false;
    if (node->channel_q)
        return true;
    for (size_t i = 0; i < qzi_node_data_count(node); i++)
        if (inputs[i]->channel_q)
            return true;
    return (node->op == QZI_OP_CONV2D || node->op == QZI_OP_LINEAR) &&
           (node->in_count > 1 || !qzi_act_is_clamp(node->act));
}

bool qzi_by_channel(const qzi_op_node *n)
{
    return computes_by_channel(n->node, n->inputs);
}

bool qzi_run_by_channel(const qzi_op_run *r)
{
    return computes_by_channel(r->node, r->inputs);
}

void qzi_act_range_channels(const qzi_node *node, int32_t *lo, int32_t *hi)
{
    const qzi_qparams first = {qzi_q_scale(node, 0), qzi_q_zero(node, 0)};
    qzi_act_range_u8(node->act, &first, lo, hi);
}

qz_status qzi_check_range(const qzi_op_node *n)
{
    const qzi_node *y = n->node;
    int32_t first_lo, first_hi, lo, hi;
    if (!y->channel_q || !qzi_act_is_clamp(y->act) || y->act == QZ_ACT_NONE)
        return QZ_OK;
    qzi_act_range_channels(y, &first_lo, &first_hi);
    for (int32_t c = 1; c < y->c; c++) {
        const qzi_qparams q = {qzi_q_scale(y, c), qzi_q_zero(y, c)};
        qzi_act_range_u8(y->act, &q, &lo, &hi);
        if (lo != first_lo || hi != first_hi)
            return qzi_fail(n->ctx, QZ_ERR_INTERNAL,
                            "%s: %s has another range of bytes in channel %d than in channel 0",
                            y->name, qzi_act_name(y->act), c);
    }
    return QZ_OK;
}

qz_status qzi_check_magnitude(const qzi_op_node *n, int32_t c, float x_max, float mult, float shift)
{
    /* written so that NaN fails */
    if (fabsf(mult) * x_max < MAX_MAGNITUDE && fabsf(shift) < MAX_MAGNITUDE)
        return QZ_OK;
    return qzi_fail(n->ctx, QZ_ERR_NUMERIC,
                    "%s: the scales of channel %d are too far apart to compute with", n->node->name,
                    c);
}

static qz_status check_values(const qz_context *ctx, const qzi_node *node)
{
    for (int32_t c = 0; c < node->c; c++) {
        const float scale = node->channel_q->scale[c];
        if (!(scale > 0.0f) || !isfinite(scale))
            return qzi_fail(ctx, QZ_ERR_INTERNAL, "%s: channel %d has the scale %g", node->name, c,
                            (double)scale);
    }
    return QZ_OK;
}

qz_status qzi_check_channel_q(const qzi_op_node *n)
{
    const qzi_node *y = n->node;
    const qzi_op_class *op = qzi_op_get(y->op);
    if (y->channel_q && (!op->writes_channel_q || y->dtype != QZ_U8))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: %s writes no parameters by channel", y->name,
                        qzi_op_name(y->op));
    for (size_t i = 0; i < qzi_node_data_count(y); i++)
        if (n->inputs[i]->channel_q && !op->reads_channel_q)
            return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: %s reads no parameters by channel",
                            y->name, qzi_op_name(y->op));
    return y->channel_q ? check_values(n->ctx, y) : QZ_OK;
}
