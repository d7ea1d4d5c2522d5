/* SPDX-License-Identifier: MIT */
/* convert_join.c - functions and sums that a convolution computes too. */
#include "quant/convert_join.h"

#include <string.h>

/* The name within the scope of `head`; the whole name where the scopes differ. */
static const char *local_name(const char *head, const char *name)
{
    const char *dot = strrchr(head, '.');
    const size_t scope = dot ? (size_t)(dot - head) + 1 : 0;
    return strncmp(head, name, scope) == 0 ? name + scope : name;
}

static qz_status join_names(qz_graph *out, qz_value at, qzi_node *head, qzi_node *node)
{
    QZI_TRY(
        qzi_grow(out->ctx, &out->marks, &out->mark_capacity, out->mark_count, sizeof(*out->marks)));
    char *fused = qzi_format(out->ctx, "%s%s%s%s%s", head->fused ? head->fused : "",
                             head->fused ? "+" : "", local_name(head->name, node->name),
                             node->fused ? "+" : "", node->fused ? node->fused : "");
    char *name = qzi_strdup(out->ctx, node->name);
    if (!fused || !name) {
        qzi_free(out->ctx, fused);
        qzi_free(out->ctx, name);
        return QZ_ERR_MEMORY;
    }
    qzi_free(out->ctx, head->fused);
    head->fused = fused;
    out->marks[out->mark_count++] = (qzi_mark){.name = name, .value = at};
    return QZ_OK;
}

/* A second input: the other summand. */
static qz_status join_sum(qz_graph *out, qz_value at, qzi_node *head, const qzi_node *sum)
{
    qz_value *in = qzi_alloc(out->ctx, 2 * sizeof(*in));
    if (!in)
        return QZ_ERR_MEMORY;
    in[0] = head->in[0];
    in[1] = sum->in[0] == at ? sum->in[1] : sum->in[0];
    qzi_free(out->ctx, head->in);
    head->in = in;
    head->in_count = 2;
    return QZ_OK;
}

static qz_status join(qz_graph *out, qz_value at, qz_value joined)
{
    qzi_node *head = &out->nodes[at], *node = &out->nodes[joined];
    QZI_TRY(join_names(out, at, head, node));
    if (node->op == QZI_OP_ADD)
        QZI_TRY(join_sum(out, at, head, node));
    head->act = node->act;
    head->q = node->q;
    head->channel_q = node->channel_q;
    node->channel_q = NULL;
    head->source = node->source;
    return QZ_OK;
}

qz_status qzi_convert_join(qz_graph *out, const qz_graph *graph, const qzi_decision *decisions)
{
    const qz_context *ctx = out->ctx;
    qz_value *at = qzi_calloc(ctx, graph->node_count, sizeof(*at));
    bool *keep = qzi_calloc(ctx, out->node_count, sizeof(*keep));
    qz_value *redirect = qzi_calloc(ctx, out->node_count, sizeof(*redirect));
    qz_status st = at && keep && redirect ? QZ_OK : QZ_ERR_MEMORY;
    for (size_t i = 0; i < out->node_count && st == QZ_OK; i++) {
        keep[i] = true;
        redirect[i] = QZ_NO_VALUE;
        if (out->nodes[i].source != QZ_NO_VALUE)
            at[out->nodes[i].source] = (qz_value)i;
    }
    for (size_t i = 0; i < graph->node_count && st == QZ_OK; i++) {
        if (decisions[i].into == QZ_NO_VALUE)
            continue;
        const qz_value joined = at[decisions[i].into];
        st = join(out, at[i], joined);
        keep[joined] = false;
        redirect[joined] = at[i];
    }
    if (st == QZ_OK)
        st = qzi_graph_remove(out, keep, redirect);
    qzi_free(ctx, at);
    qzi_free(ctx, keep);
    qzi_free(ctx, redirect);
    return st;
}
