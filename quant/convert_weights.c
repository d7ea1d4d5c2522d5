/* SPDX-License-Identifier: MIT */
/* convert_weights.c - weights of an int8 graph, from those of the float graph. */
#include "quant/convert_weights.h"

#include <string.h>

/* Weights of a transposed convolution between torch's order and [oc][ic/groups][kh][kw], in which
 * the weights of an output channel are neighbours. */
static void reorder(const qzi_conv2d_attr *conv, const float *torch, float *by_channel)
{
    const int64_t taps = (int64_t)conv->kh * conv->kw, icg = conv->ic / conv->groups;
    for (int64_t o = 0; o < conv->oc; o++)
        for (int64_t i = 0; i < icg; i++)
            for (int64_t t = 0; t < taps; t++)
                *by_channel++ = torch[qzi_conv_transpose2d_index(conv, i, o, t)];
}

static void reorder_back(const qzi_conv2d_attr *conv, const int8_t *by_channel, int8_t *torch)
{
    const int64_t taps = (int64_t)conv->kh * conv->kw, icg = conv->ic / conv->groups;
    for (int64_t o = 0; o < conv->oc; o++)
        for (int64_t i = 0; i < icg; i++)
            for (int64_t t = 0; t < taps; t++)
                torch[qzi_conv_transpose2d_index(conv, i, o, t)] = *by_channel++;
}

static qz_status make_transposed(const qz_graph *graph, const qzi_conv2d_attr *conv,
                                 const float *weight, const float *bias, float sx,
                                 qzi_weight_form form, qzi_qweights **out)
{
    const int64_t per = (int64_t)(conv->ic / conv->groups) * conv->kh * conv->kw;
    const size_t count = (size_t)conv->oc * (size_t)per;
    float *ordered = qzi_alloc(graph->ctx, count * sizeof(*ordered));
    int8_t *w = qzi_alloc(graph->ctx, count);
    qz_status st = QZ_ERR_MEMORY;
    if (ordered && w) {
        reorder(conv, weight, ordered);
        st = qzi_qweights_make(graph->ctx, ordered, bias, conv->oc, per, sx, form, out);
    }
    if (st == QZ_OK) {
        reorder_back(conv, (*out)->w, w);
        memcpy((*out)->w, w, count);
    }
    qzi_free(graph->ctx, ordered);
    qzi_free(graph->ctx, w);
    return st;
}

/* Scales of the input by channel: qzi_qweights_make_folded. */
static qz_status make_folded(const qz_graph *graph, const qzi_conv2d_attr *conv, const float *w,
                             const float *b, const qzi_node *x, qzi_weight_form form,
                             qzi_qweights **out)
{
    const int64_t taps = (int64_t)conv->kh * conv->kw;
    return qzi_qweights_make_folded(graph->ctx, w, b, conv->oc, conv->ic, conv->groups, taps,
                                    x->channel_q->scale, form, out);
}

static qz_status make_weights(const qz_graph *graph, qzi_weight_form form, const qz_graph *out,
                              qzi_node *node)
{
    const qzi_param *weight = qzi_node_param(graph, node, QZI_P_WEIGHT);
    const qzi_param *bias = qzi_node_param(graph, node, QZI_P_BIAS);
    const qzi_conv2d_attr *conv = &node->u.conv;
    const int64_t per = (int64_t)(conv->ic / conv->groups) * conv->kh * conv->kw;
    if (!weight || !weight->tensor.data || (bias && !bias->tensor.data))
        return qzi_fail(graph->ctx, QZ_ERR_STATE, "%s: has no weights to convert; load them first",
                        node->name);
    const float *w = weight->tensor.data, *b = bias ? bias->tensor.data : NULL;
    const qzi_node *x = &out->nodes[node->in[0]];
    const float sx = x->q.scale;
    const qz_status st =
        x->channel_q ? make_folded(graph, conv, w, b, x, form, &node->qw)
        : node->op == QZI_OP_CONV_TRANSPOSE2D
            ? make_transposed(graph, conv, w, b, sx, form, &node->qw)
            : qzi_qweights_make(graph->ctx, w, b, conv->oc, per, sx, form, &node->qw);
    return st == QZ_OK ? st : qzi_fail_prefix(graph->ctx, st, "%s", node->name);
}

/* Nodes other than int8 convolutions and linears compute from the float parameters. */
static qz_status copy_params(const qz_graph *graph, qz_graph *out, const qzi_node *node)
{
    for (int which = 0; which < QZI_P_COUNT; which++) {
        if (node->param[which] < 0)
            continue;
        const qz_tensor *tensor = &graph->params[node->param[which]].tensor;
        qzi_param *param = &out->params[node->param[which]];
        const size_t bytes = (size_t)qz_tensor_numel(tensor) * qz_dtype_size(tensor->dtype);
        if (!tensor->data)
            return qzi_fail(graph->ctx, QZ_ERR_STATE, "%s: not loaded; load all weights first",
                            param->key);
        if (param->tensor.data)
            continue;
        param->tensor.data = qzi_alloc(graph->ctx, bytes);
        if (!param->tensor.data)
            return QZ_ERR_MEMORY;
        memcpy(param->tensor.data, tensor->data, bytes);
    }
    return QZ_OK;
}

qz_status qzi_convert_weights(const qz_graph *graph, qzi_weight_form form, qz_graph *out)
{
    for (size_t i = 0; i < out->node_count; i++) {
        qzi_node *node = &out->nodes[i];
        QZI_TRY(qzi_check_cancelled(graph->ctx));
        /* a node keeps the indexes of its parameters; borders have none */
        if (node->dtype == QZ_U8 && qzi_op_has_weights(node->op))
            QZI_TRY(make_weights(graph, form, out, node));
        else
            QZI_TRY(copy_params(graph, out, node));
    }
    return QZ_OK;
}
