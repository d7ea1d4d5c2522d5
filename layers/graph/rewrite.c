/* SPDX-License-Identifier: MIT */
/* rewrite.c - removing and inserting nodes: what the passes are made of. */
#include "layers/graph/graph.h"

#include <string.h>

qz_status qzi_graph_remove(qz_graph *graph, const bool *keep, const qz_value *redirect)
{
    const qz_context *ctx = graph->ctx;
    size_t n = graph->node_count, kept = 0;
    qz_value *to = qzi_alloc(ctx, n * sizeof(*to)); /* old index to new index */
    if (!to)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        if (keep[i]) {
            to[i] = (qz_value)kept++;
        } else if (redirect[i] < 0 || (size_t)redirect[i] >= i) {
            qzi_free(ctx, to);
            return qzi_fail(ctx, QZ_ERR_INTERNAL, "%s: removed without an earlier stand-in",
                            graph->nodes[i].name);
        } else {
            to[i] = to[redirect[i]];
        }
    }
    for (size_t i = 0; i < n; i++) {
        qzi_node *node = &graph->nodes[i];
        if (!keep[i]) {
            qzi_node_clear(ctx, node);
            continue;
        }
        for (size_t k = 0; k < node->in_count; k++)
            node->in[k] = to[node->in[k]];
        graph->nodes[to[i]] = *node;
    }
    memset(graph->nodes + kept, 0, (n - kept) * sizeof(*graph->nodes));
    graph->node_count = kept;
    for (size_t i = 0; i < graph->mark_count; i++)
        graph->marks[i].value = to[graph->marks[i].value];
    for (size_t i = 0; i < graph->output_count; i++)
        graph->outputs[i].value = to[graph->outputs[i].value];
    qzi_free(ctx, to);
    qzi_free(ctx, graph->list_shapes);
    graph->list_shapes = NULL;
    return QZ_OK;
}

void qzi_graph_drop_params(qz_graph *graph, const bool *drop, int32_t *renumber)
{
    size_t kept = 0;
    for (size_t i = 0; i < graph->param_count; i++) {
        renumber[i] = drop[i] ? -1 : (int32_t)kept;
        if (drop[i]) {
            qzi_free(graph->ctx, graph->params[i].key);
            qzi_free(graph->ctx, graph->params[i].tensor.data);
        } else {
            graph->params[kept++] = graph->params[i];
        }
    }
    graph->param_count = kept;
    for (size_t i = 0; i < graph->node_count; i++)
        for (int which = 0; which < QZI_P_COUNT; which++)
            if (graph->nodes[i].param[which] >= 0)
                graph->nodes[i].param[which] = renumber[graph->nodes[i].param[which]];
}

/* What the outputs depend on, and the inputs. */
static void mark_live(const qz_graph *graph, bool *live)
{
    for (size_t i = 0; i < graph->output_count; i++)
        live[graph->outputs[i].value] = true;
    for (size_t i = graph->node_count; i-- > 0;) {
        const qzi_node *node = &graph->nodes[i];
        live[i] = live[i] || node->op == QZI_OP_INPUT;
        for (size_t k = 0; k < node->in_count && live[i]; k++)
            live[node->in[k]] = true;
    }
}

qz_status qzi_graph_prune(qz_graph *graph)
{
    const qz_context *ctx = graph->ctx;
    size_t n = graph->node_count, marks = 0;
    bool *live = qzi_calloc(ctx, n, sizeof(*live));
    qz_value *redirect = qzi_calloc(ctx, n, sizeof(*redirect));
    qz_status st = QZ_OK;
    if (!live || !redirect) {
        st = QZ_ERR_MEMORY;
        goto done;
    }
    mark_live(graph, live);
    /* a dead value has dead readers only: its replacement is never read */
    for (size_t i = 0; i < n; i++)
        redirect[i] = graph->nodes[i].in_count ? graph->nodes[i].in[0] : QZ_NO_VALUE;
    for (size_t i = 0; i < graph->mark_count; i++) {
        if (live[graph->marks[i].value])
            graph->marks[marks++] = graph->marks[i];
        else
            qzi_free(ctx, graph->marks[i].name);
    }
    graph->mark_count = marks;
    st = qzi_graph_remove(graph, live, redirect);
done:
    qzi_free(ctx, live);
    qzi_free(ctx, redirect);
    return st;
}

qz_status qzi_graph_insert(qz_graph *graph, qz_value x, qzi_op op, const char *name,
                           const bool *readers, bool outputs, qz_value *inserted)
{
    const qz_context *ctx = graph->ctx;
    size_t at = (size_t)x + 1;
    QZI_TRY(
        qzi_grow(ctx, &graph->nodes, &graph->node_capacity, graph->node_count, sizeof(qzi_node)));
    qzi_node node = {.op = op, .in_count = 1, .dtype = QZ_F32};
    for (int i = 0; i < QZI_P_COUNT; i++)
        node.param[i] = -1;
    node.name = qzi_strdup(ctx, name);
    node.in = qzi_alloc(ctx, sizeof(*node.in));
    if (!node.name || !node.in) {
        qzi_free(ctx, node.name);
        qzi_free(ctx, node.in);
        return QZ_ERR_MEMORY;
    }
    node.in[0] = x;
    node.c = graph->nodes[x].c;
    node.h = graph->nodes[x].h;
    node.w = graph->nodes[x].w;
    node.flat = graph->nodes[x].flat;

    for (size_t i = 0; i < graph->node_count; i++) {
        qzi_node *reader = &graph->nodes[i];
        for (size_t k = 0; k < reader->in_count; k++) {
            if (reader->in[k] == x && readers && readers[i])
                reader->in[k] = (qz_value)at;
            else if ((size_t)reader->in[k] >= at)
                reader->in[k]++;
        }
    }
    for (size_t i = 0; i < graph->mark_count; i++)
        graph->marks[i].value += (size_t)graph->marks[i].value >= at;
    for (size_t i = 0; i < graph->output_count; i++) {
        qz_value *v = &graph->outputs[i].value;
        if (*v == x && outputs)
            *v = (qz_value)at;
        else
            *v += (size_t)*v >= at;
    }
    memmove(graph->nodes + at + 1, graph->nodes + at, (graph->node_count - at) * sizeof(qzi_node));
    graph->nodes[at] = node;
    graph->node_count++;
    qzi_free(ctx, graph->list_shapes);
    graph->list_shapes = NULL;
    *inserted = (qz_value)at;
    return QZ_OK;
}
