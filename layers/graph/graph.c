/* SPDX-License-Identifier: MIT */
/* graph.c - a graph's life, look-up by name, copies. */
#include "layers/graph/graph.h"

#include <string.h>

qz_status qz_graph_create(qz_context *context, qz_graph **graph)
{
    if (!context || !graph)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_graph_create: context and graph are needed");
    qz_graph *g = qzi_calloc(context, 1, sizeof(*g));
    if (!g)
        return QZ_ERR_MEMORY;
    g->ctx = context;
    *graph = g;
    return QZ_OK;
}

void qzi_node_clear(const qz_context *ctx, qzi_node *node)
{
    qzi_free(ctx, node->name);
    qzi_free(ctx, node->fused);
    qzi_free(ctx, node->in);
    qzi_free(ctx, node->tables);
    qzi_free(ctx, node->constants);
    qzi_free(ctx, node->fallback);
    qzi_channel_q_free(ctx, node->channel_q);
    if (node->qw) {
        qzi_free(ctx, node->qw->w);
        qzi_free(ctx, node->qw->scales);
        qzi_free(ctx, node->qw->bias);
        qzi_free(ctx, node->qw->bias_f32);
        qzi_free(ctx, node->qw);
    }
    memset(node, 0, sizeof(*node));
}

void qz_graph_destroy(qz_graph *graph)
{
    if (!graph)
        return;
    const qz_context *ctx = graph->ctx;
    for (size_t i = 0; i < graph->node_count; i++)
        qzi_node_clear(ctx, &graph->nodes[i]);
    for (size_t i = 0; i < graph->param_count; i++) {
        qzi_free(ctx, graph->params[i].key);
        qzi_free(ctx, graph->params[i].tensor.data);
    }
    for (size_t i = 0; i < graph->mark_count; i++)
        qzi_free(ctx, graph->marks[i].name);
    for (size_t i = 0; i < graph->output_count; i++)
        qzi_free(ctx, graph->outputs[i].name);
    for (size_t i = 0; i < graph->scope_count; i++)
        qzi_free(ctx, graph->scope[i]);
    qzi_free(ctx, graph->nodes);
    qzi_free(ctx, graph->params);
    qzi_free(ctx, graph->marks);
    qzi_free(ctx, graph->outputs);
    qzi_free(ctx, graph->scope);
    qzi_free(ctx, graph->list_shapes);
    qzi_free(ctx, graph->message);
    qzi_free(ctx, graph);
}

qz_value qzi_graph_find(const qz_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        if (strcmp(graph->nodes[i].name, name) == 0)
            return (qz_value)i;
    }
    for (size_t i = 0; i < graph->mark_count; i++) {
        if (strcmp(graph->marks[i].name, name) == 0)
            return graph->marks[i].value;
    }
    return QZ_NO_VALUE;
}

int64_t qz_graph_find_node(const qz_graph *graph, const char *name)
{
    return qzi_graph_find(graph, name);
}

const qzi_param *qzi_node_param(const qz_graph *graph, const qzi_node *node, int which)
{
    int32_t index = node->param[which];
    return index < 0 ? NULL : &graph->params[index];
}

qzi_param *qzi_graph_param(qz_graph *graph, const char *key)
{
    for (size_t i = 0; i < graph->param_count; i++) {
        if (strcmp(graph->params[i].key, key) == 0)
            return &graph->params[i];
    }
    return NULL;
}

size_t qzi_graph_readers(const qz_graph *graph, qz_value value)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        for (size_t k = 0; k < qzi_node_data_count(&graph->nodes[i]); k++)
            count += graph->nodes[i].in[k] == value;
    }
    for (size_t i = 0; i < graph->output_count; i++)
        count += graph->outputs[i].value == value;
    return count;
}

size_t qz_graph_param_count(const qz_graph *graph)
{
    return graph->param_count;
}

void qz_graph_param_at(const qz_graph *graph, size_t index, qz_param_info *info)
{
    const qzi_param *p = &graph->params[index];
    *info = (qz_param_info){.key = p->key, .tensor = &p->tensor, .trainable = p->trainable};
}

/* Copies `bytes` bytes; NULL stays NULL. False: out of memory. */
static bool copy_bytes(const qz_context *ctx, const void *from, size_t bytes, void *to)
{
    void *copy = NULL;
    if (from) {
        copy = qzi_alloc(ctx, bytes);
        if (!copy)
            return false;
        memcpy(copy, from, bytes);
    }
    memcpy(to, &copy, sizeof(copy));
    return true;
}

static bool copy_text(const qz_context *ctx, const char *from, char **to)
{
    return copy_bytes(ctx, from, from ? strlen(from) + 1 : 0, to);
}

static bool clone_qweights(const qz_context *ctx, const qzi_node *from, qzi_node *to)
{
    const qzi_conv2d_attr *a = &from->u.conv;
    size_t oc = (size_t)a->oc;
    size_t count = oc * (size_t)(a->ic / a->groups) * (size_t)a->kh * (size_t)a->kw;
    to->qw = qzi_calloc(ctx, 1, sizeof(*to->qw));
    if (!to->qw)
        return false;
    to->qw->per_channel = from->qw->per_channel;
    return copy_bytes(ctx, from->qw->w, count, &to->qw->w) &&
           copy_bytes(ctx, from->qw->scales, oc * sizeof(float), &to->qw->scales) &&
           copy_bytes(ctx, from->qw->bias, oc * sizeof(int32_t), &to->qw->bias) &&
           copy_bytes(ctx, from->qw->bias_f32, oc * sizeof(float), &to->qw->bias_f32);
}

static bool clone_channel_q(const qz_context *ctx, const qzi_node *from, qzi_node *to)
{
    const qzi_channel_q *q = from->channel_q;
    return !q || qzi_node_set_channel_q(ctx, to, q->scale, q->zero_point) == QZ_OK;
}

static bool clone_node(const qz_context *ctx, const qzi_node *from, bool data, qzi_node *to)
{
    *to = *from;
    to->name = to->fused = to->fallback = NULL;
    to->in = NULL;
    to->qw = NULL;
    to->tables = NULL;
    to->constants = NULL;
    to->channel_q = NULL;
    return copy_text(ctx, from->name, &to->name) && copy_text(ctx, from->fused, &to->fused) &&
           copy_text(ctx, from->fallback, &to->fallback) &&
           copy_bytes(ctx, from->in, from->in_count * sizeof(*from->in), &to->in) &&
           copy_bytes(ctx, from->tables, from->in_count * 256, &to->tables) &&
           copy_bytes(ctx, from->constants, 2 * (size_t)from->c * sizeof(float), &to->constants) &&
           clone_channel_q(ctx, from, to) && (!data || !from->qw || clone_qweights(ctx, from, to));
}

static bool clone_param(const qz_context *ctx, const qzi_param *from, bool data, qzi_param *to)
{
    *to = *from;
    to->key = NULL;
    to->tensor.data = NULL;
    if (!copy_text(ctx, from->key, &to->key))
        return false;
    size_t bytes = (size_t)qz_tensor_numel(&from->tensor) * qz_dtype_size(from->tensor.dtype);
    return !data || copy_bytes(ctx, from->tensor.data, bytes, &to->tensor.data);
}

qz_status qzi_graph_clone(const qz_graph *graph, bool data, qz_graph **copy)
{
    const qz_context *ctx = graph->ctx;
    qz_graph *g;
    QZI_TRY(qz_graph_create(graph->ctx, &g));
    g->finished = graph->finished;
    g->input_count = graph->input_count;
    g->nodes = qzi_calloc(ctx, graph->node_count, sizeof(*g->nodes));
    g->params = qzi_calloc(ctx, graph->param_count, sizeof(*g->params));
    g->marks = qzi_calloc(ctx, graph->mark_count, sizeof(*g->marks));
    g->outputs = qzi_calloc(ctx, graph->output_count, sizeof(*g->outputs));
    if (!g->nodes || !g->params || !g->marks || !g->outputs)
        goto fail;
    g->node_capacity = graph->node_count;
    g->param_capacity = graph->param_count;
    g->mark_capacity = graph->mark_count;
    g->output_capacity = graph->output_count;
    /* counts grow with what is whole or half built, so that destroy finds it all */
    for (size_t i = 0; i < graph->node_count; i++) {
        g->node_count++;
        if (!clone_node(ctx, &graph->nodes[i], data, &g->nodes[i]))
            goto fail;
    }
    for (size_t i = 0; i < graph->param_count; i++) {
        g->param_count++;
        if (!clone_param(ctx, &graph->params[i], data, &g->params[i]))
            goto fail;
    }
    for (size_t i = 0; i < graph->mark_count; i++) {
        g->marks[i].value = graph->marks[i].value;
        g->mark_count++;
        if (!copy_text(ctx, graph->marks[i].name, &g->marks[i].name))
            goto fail;
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        g->outputs[i].value = graph->outputs[i].value;
        g->output_count++;
        if (!copy_text(ctx, graph->outputs[i].name, &g->outputs[i].name))
            goto fail;
    }
    *copy = g;
    return QZ_OK;
fail:
    qz_graph_destroy(g);
    return qzi_fail(ctx, QZ_ERR_MEMORY, "out of memory while copying a graph");
}
