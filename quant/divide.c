/* SPDX-License-Identifier: MIT */
/*
 * divide.c - divides a convolution by rows, where all its readers pick channels of it (divide.h).
 */
#include "quant/divide.h"

#include <string.h>

typedef struct divide_plan {
    bool *whole;        /* by node: a convolution that is divided */
    bool *keep;         /* the others */
    qz_value *redirect; /* of a divided one: its input */
    bool *drop;         /* by parameter */
    int32_t *renumber;
    struct part {
        qz_value node; /* that picks; its index after the removal is counted later */
        qzi_conv2d_attr conv;
        int32_t weight, bias; /* of the whole; -1 for no bias */
    } * parts;
    size_t count;
} divide_plan;

static bool picks(const qzi_node *node)
{
    return node->op == QZI_OP_SLICE && node->u.slice.period > 0;
}

/* Convolutions with readers that only pick, and with parameters that nobody shares. */
static void find_whole(const qz_graph *graph, bool *whole)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        whole[i] = node->op == QZI_OP_CONV2D && node->act == QZ_ACT_NONE &&
                   node->u.conv.groups == 1 && node->call == 0 &&
                   qzi_graph_readers(graph, (qz_value)i) > 0;
        for (size_t k = 0; k < node->in_count; k++)
            if (!picks(node))
                whole[node->in[k]] = false;
    }
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].call > 0 && graph->nodes[i].param[QZI_P_WEIGHT] >= 0)
            for (size_t k = 0; k < i; k++)
                if (graph->nodes[k].param[QZI_P_WEIGHT] == graph->nodes[i].param[QZI_P_WEIGHT])
                    whole[k] = false;
    for (size_t i = 0; i < graph->output_count; i++)
        whole[graph->outputs[i].value] = false;
}

static void plan_free(const qz_context *ctx, divide_plan *plan)
{
    qzi_free(ctx, plan->whole);
    qzi_free(ctx, plan->keep);
    qzi_free(ctx, plan->redirect);
    qzi_free(ctx, plan->drop);
    qzi_free(ctx, plan->renumber);
    qzi_free(ctx, plan->parts);
}

static qz_status plan_make(const qz_graph *graph, divide_plan *plan)
{
    const qz_context *ctx = graph->ctx;
    const size_t n = graph->node_count, params = graph->param_count + 2 * n;
    plan->whole = qzi_calloc(ctx, n, sizeof(*plan->whole));
    plan->keep = qzi_calloc(ctx, n, sizeof(*plan->keep));
    plan->redirect = qzi_calloc(ctx, n, sizeof(*plan->redirect));
    plan->drop = qzi_calloc(ctx, params, sizeof(*plan->drop));
    plan->renumber = qzi_calloc(ctx, params, sizeof(*plan->renumber));
    plan->parts = qzi_calloc(ctx, n, sizeof(*plan->parts));
    if (!plan->whole || !plan->keep || !plan->redirect || !plan->drop || !plan->renumber ||
        !plan->parts)
        return QZ_ERR_MEMORY;
    find_whole(graph, plan->whole);
    for (size_t i = 0; i < n; i++) {
        const qzi_node *node = &graph->nodes[i];
        plan->keep[i] = !plan->whole[i];
        plan->redirect[i] = plan->whole[i] ? node->in[0] : QZ_NO_VALUE;
        if (plan->whole[i])
            for (int which = 0; which < QZI_P_COUNT; which++)
                if (node->param[which] >= 0)
                    plan->drop[node->param[which]] = true;
        if (!picks(node) || !plan->whole[node->in[0]])
            continue;
        const qzi_node *conv = &graph->nodes[node->in[0]];
        struct part *part = &plan->parts[plan->count++];
        *part = (struct part){.node = (qz_value)i,
                              .conv = conv->u.conv,
                              .weight = conv->param[QZI_P_WEIGHT],
                              .bias = conv->param[QZI_P_BIAS]};
        part->conv.oc = node->c;
    }
    return QZ_OK;
}

/* Parameters for the parts, with data where the whole has some. */
static qz_status add_params(qz_graph *graph, const divide_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct part *part = &plan->parts[i];
        const qzi_conv2d_attr *conv = &part->conv;
        const int64_t dims[4] = {conv->oc, conv->ic, conv->kh, conv->kw};
        QZI_TRY(qzi_node_add_param(graph, part->node, QZI_P_WEIGHT, "weight", 4, dims,
                                   graph->params[part->weight].tensor.data != NULL));
        if (part->bias >= 0)
            QZI_TRY(qzi_node_add_param(graph, part->node, QZI_P_BIAS, "bias", 1, dims,
                                       graph->params[part->bias].tensor.data != NULL));
    }
    return QZ_OK;
}

/* Rows of `per` floats. */
static void copy_rows(const qz_graph *graph, const qzi_node *node, int32_t from, int which,
                      size_t per)
{
    const float *whole = graph->params[from].tensor.data;
    float *part = graph->params[node->param[which]].tensor.data;
    for (int32_t c = 0; whole && c < node->c; c++)
        memcpy(part + (size_t)c * per, whole + (size_t)qzi_slice_channel(node, c) * per,
               per * sizeof(*part));
}

/* A node that picked becomes the convolution of its rows. */
static void become_conv(const qz_graph *graph, qzi_node *node, const struct part *part)
{
    const qzi_conv2d_attr *conv = &part->conv;
    const size_t per = (size_t)conv->ic * (size_t)conv->kh * (size_t)conv->kw;
    copy_rows(graph, node, part->weight, QZI_P_WEIGHT, per);
    if (part->bias >= 0)
        copy_rows(graph, node, part->bias, QZI_P_BIAS, 1);
    node->op = QZI_OP_CONV2D;
    memset(&node->u, 0, sizeof(node->u));
    node->u.conv = *conv;
}

qz_status qzi_divide(qz_graph *graph)
{
    divide_plan plan = {0};
    qz_status st;
    QZI_GOTO(st, plan_make(graph, &plan));
    if (plan.count == 0)
        goto fail;
    QZI_GOTO(st, add_params(graph, &plan));
    QZI_GOTO(st, qzi_graph_remove(graph, plan.keep, plan.redirect));
    size_t part = 0, index = 0; /* old node numbers are walked, kept ones count the new ones */
    for (qz_value old = 0; part < plan.count; old++) {
        if (plan.parts[part].node == old)
            become_conv(graph, &graph->nodes[index], &plan.parts[part++]);
        index += plan.keep[old];
    }
    qzi_graph_drop_params(graph, plan.drop, plan.renumber);
fail:
    plan_free(graph->ctx, &plan);
    return st;
}
