/* SPDX-License-Identifier: MIT */
/* channels.c - which values can have a scale and a zero point for each channel. */
#include "quant/channels.h"

bool qzi_channels_moved(const qzi_node *node)
{
    switch (node->op) {
    case QZI_OP_MAX_POOL2D:
    case QZI_OP_FLATTEN:
    case QZI_OP_SLICE:
    case QZI_OP_CHANNEL_SHUFFLE:
    case QZI_OP_DROPOUT:
    case QZI_OP_STOCHASTIC_DEPTH:
    case QZI_OP_CONCAT:
        return true;
    case QZI_OP_RESIZE2D:
        return node->u.resize.mode == QZ_RESIZE_NEAREST;
    default:
        return false;
    }
}

/* Ops that blend or clamp bytes as they are: one scale and one zero point for all. */
static bool blends(const qzi_node *node)
{
    return (node->op == QZI_OP_RESIZE2D && node->u.resize.mode != QZ_RESIZE_NEAREST) ||
           (node->op == QZI_OP_ACTIVATION && qzi_act_is_clamp(node->act));
}

/* What a reader leaves of its inputs' freedom; `own` is the kind of the reader's value. */
static qzi_channel_kind asked_by(const qzi_node *node, const qzi_decision *decision,
                                 qzi_channel_kind own)
{
    if (!decision->int8 || blends(node) || !qzi_op_get(node->op)->reads_channel_q)
        return QZI_CHANNELS_NONE;
    if (qzi_channels_moved(node))
        return own;
    if (node->op == QZI_OP_LINEAR)
        return QZI_CHANNELS_DENSE;
    if (node->op == QZI_OP_CONV2D)
        return node->u.conv.groups == node->u.conv.ic ? QZI_CHANNELS_FREE : QZI_CHANNELS_DENSE;
    return QZI_CHANNELS_FREE;
}

static bool may_write(const qzi_node *node, const qzi_decision *decision)
{
    return decision->int8 && node->op != QZI_OP_INPUT && decision->into == QZ_NO_VALUE &&
           node->c > 1 && !blends(node) && qzi_op_get(node->op)->writes_channel_q;
}

/* NONE is stricter than DENSE, which is stricter than FREE. */
static qzi_channel_kind stricter(qzi_channel_kind a, qzi_channel_kind b)
{
    if (a == QZI_CHANNELS_NONE || b == QZI_CHANNELS_NONE)
        return QZI_CHANNELS_NONE;
    return a == QZI_CHANNELS_DENSE ? a : b;
}

void qzi_channels_find(const qz_graph *graph, qzi_decision *decisions)
{
    for (size_t i = 0; i < graph->node_count; i++)
        decisions[i].channels = QZI_CHANNELS_FREE;
    for (size_t i = 0; i < graph->output_count; i++)
        decisions[graph->outputs[i].value].channels = QZI_CHANNELS_NONE;
    /* from the last to the first: all readers of a value come behind it */
    for (size_t i = graph->node_count; i-- > 0;) {
        const qzi_node *node = &graph->nodes[i];
        qzi_decision *decision = &decisions[i];
        if (!may_write(node, decision))
            decision->channels = QZI_CHANNELS_NONE;
        const qzi_channel_kind asked = asked_by(node, decision, decision->channels);
        for (size_t k = 0; k < qzi_node_data_count(node); k++) {
            qzi_channel_kind *kind = &decisions[node->in[k]].channels;
            *kind = stricter(*kind, asked);
        }
        if (decision->channels != QZI_CHANNELS_NONE && qzi_channels_moved(node)) {
            decision->channels = QZI_CHANNELS_KEPT;
            decision->own_qparams = false;
        }
    }
}

int32_t qzi_channels_source(const qz_graph *graph, const qzi_node *node, int32_t c, size_t *k)
{
    const qzi_node *x = &graph->nodes[node->in[0]];
    *k = 0;
    switch (node->op) {
    case QZI_OP_SLICE:
        return qzi_slice_channel(node, c);
    case QZI_OP_CHANNEL_SHUFFLE: {
        const int32_t per = node->c / node->u.shuffle.groups;
        return c % node->u.shuffle.groups * per + c / node->u.shuffle.groups;
    }
    case QZI_OP_FLATTEN: /* torch's order: all pixels of a channel are neighbours */
        return c / (node->c / x->c);
    case QZI_OP_CONCAT:
        for (; c >= graph->nodes[node->in[*k]].c; ++*k)
            c -= graph->nodes[node->in[*k]].c;
        return c;
    default:
        return c;
    }
}
