/* SPDX-License-Identifier: MIT */
/*
 * build_node.c - what the builder calls are made of: names and scopes, nodes, parameters; and the
 * end of building.
 */
#include "layers/graph/build.h"

#include <stdio.h>
#include <string.h>

void qzi_build_fail(qz_graph *g, qz_status status)
{
    if (g->status != QZ_OK)
        return;
    g->status = status;
    g->message = qzi_strdup(g->ctx, qz_context_message(g->ctx));
}

char *qzi_build_name(const qz_graph *g, const char *name)
{
    if (g->scope_count == 0)
        return qzi_strdup(g->ctx, name);
    return qzi_format(g->ctx, "%s.%s", g->scope[g->scope_count - 1], name);
}

/* Names of a further call end with "@" and its number. */
static char *with_call(const qz_graph *g, char *name)
{
    if (!name || g->call == 0)
        return name;
    char *longer = qzi_format(g->ctx, "%s@%d", name, (int)g->call);
    qzi_free(g->ctx, name);
    return longer;
}

void qz_graph_set_call(qz_graph *graph, int32_t call)
{
    if (graph->status != QZ_OK)
        return;
    if (call < 0)
        qzi_build_fail(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                                       "qz_graph_set_call: call %d is below 0", (int)call));
    else
        graph->call = call;
}

void qz_graph_enter(qz_graph *graph, const char *fmt, ...)
{
    char local[96];
    va_list ap;
    if (graph->status != QZ_OK)
        return;
    va_start(ap, fmt);
    int length = vsnprintf(local, sizeof(local), fmt, ap);
    va_end(ap);
    if (length <= 0 || (size_t)length >= sizeof(local)) {
        qzi_build_fail(graph,
                       qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "a scope's name has 1 to 95 bytes"));
        return;
    }
    if (qzi_grow(graph->ctx, &graph->scope, &graph->scope_capacity, graph->scope_count,
                 sizeof(*graph->scope)) != QZ_OK) {
        qzi_build_fail(graph, QZ_ERR_MEMORY);
        return;
    }
    char *full = qzi_build_name(graph, local);
    if (!full)
        qzi_build_fail(graph, QZ_ERR_MEMORY);
    else
        graph->scope[graph->scope_count++] = full;
}

static void add_mark(qz_graph *g, char *name, qz_value value)
{
    if (qzi_grow(g->ctx, &g->marks, &g->mark_capacity, g->mark_count, sizeof(*g->marks)) != QZ_OK) {
        qzi_free(g->ctx, name);
        qzi_build_fail(g, QZ_ERR_MEMORY);
        return;
    }
    g->marks[g->mark_count++] = (qzi_mark){name, value};
}

qz_value qz_graph_leave(qz_graph *graph, qz_value result)
{
    if (graph->status != QZ_OK)
        return QZ_NO_VALUE;
    if (graph->scope_count == 0) {
        qzi_build_fail(graph,
                       qzi_fail(graph->ctx, QZ_ERR_STATE, "qz_graph_leave without qz_graph_enter"));
        return QZ_NO_VALUE;
    }
    char *name = graph->scope[--graph->scope_count];
    if (result == QZ_NO_VALUE)
        qzi_free(graph->ctx, name);
    else if (!(name = with_call(graph, name)))
        qzi_build_fail(graph, QZ_ERR_MEMORY);
    else
        add_mark(graph, name, result);
    return graph->status == QZ_OK ? result : QZ_NO_VALUE;
}

qzi_node *qzi_build_node(qz_graph *g, qzi_op op, const char *name, const qz_value *in,
                         size_t in_count)
{
    if (g->status != QZ_OK)
        return NULL;
    if (!name || !*name) {
        qzi_build_fail(g, qzi_fail(g->ctx, QZ_ERR_ARGUMENT, "a layer needs a name"));
        return NULL;
    }
    for (size_t i = 0; i < in_count; i++) {
        if (in[i] < 0 || (size_t)in[i] >= g->node_count) {
            qzi_build_fail(
                g, qzi_fail(g->ctx, QZ_ERR_ARGUMENT, "%s: reads a value of no layer", name));
            return NULL;
        }
    }
    if (g->node_count >= INT32_MAX / 2 ||
        qzi_grow(g->ctx, &g->nodes, &g->node_capacity, g->node_count, sizeof(*g->nodes)) != QZ_OK) {
        qzi_build_fail(g, QZ_ERR_MEMORY);
        return NULL;
    }
    qzi_node node = {.op = op, .in_count = in_count, .dtype = QZ_F32, .call = g->call};
    for (int i = 0; i < QZI_P_COUNT; i++)
        node.param[i] = -1;
    node.name = with_call(g, qzi_build_name(g, name));
    node.in = qzi_alloc(g->ctx, QZI_MAX(in_count, (size_t)1) * sizeof(*node.in));
    if (!node.name || !node.in) {
        qzi_build_fail(g, QZ_ERR_MEMORY);
        qzi_free(g->ctx, node.name);
        qzi_free(g->ctx, node.in);
        return NULL;
    }
    if (in_count) {
        memcpy(node.in, in, in_count * sizeof(*node.in));
        const qzi_node *x = &g->nodes[in[0]];
        node.c = x->c;
        node.h = x->h;
        node.w = x->w;
        node.flat = x->flat;
    }
    g->nodes[g->node_count] = node;
    return &g->nodes[g->node_count++];
}

qz_value qzi_build_value(const qz_graph *g)
{
    return g->status == QZ_OK ? (qz_value)(g->node_count - 1) : QZ_NO_VALUE;
}

/* Index of a parameter with this key and shape; -1: there is none. */
static int32_t find_param(const qz_graph *g, const qzi_param *param)
{
    for (size_t i = 0; i < g->param_count; i++) {
        const qz_tensor *tensor = &g->params[i].tensor;
        if (strcmp(g->params[i].key, param->key) == 0 && tensor->ndim == param->tensor.ndim &&
            memcmp(tensor->dims, param->tensor.dims, sizeof(tensor->dims)) == 0)
            return (int32_t)i;
    }
    return -1;
}

/* A further call of a layer shares the parameter of its first call. */

static qz_status append_param(qz_graph *g, qzi_node *node, int which, const char *leaf,
                              int32_t ndim, const int64_t *dims)
{
    QZI_TRY(qzi_grow(g->ctx, &g->params, &g->param_capacity, g->param_count, sizeof(*g->params)));
    qzi_param p = {
        .tensor = {.dtype = QZ_F32, .ndim = ndim},
        .trainable = which == QZI_P_WEIGHT || which == QZI_P_BIAS,
    };
    if (which == QZI_P_BATCHES) {
        p.tensor.dtype = QZ_S64;
        p.optional = true;
    }
    for (int32_t i = 0; i < ndim; i++)
        p.tensor.dims[i] = dims[i];
    const char *call = node->call > 0 ? strrchr(node->name, '@') : NULL;
    const size_t length = call ? (size_t)(call - node->name) : strlen(node->name);
    p.key = qzi_format(g->ctx, "%.*s.%s", (int)length, node->name, leaf);
    if (!p.key)
        return QZ_ERR_MEMORY;
    if (call && (node->param[which] = find_param(g, &p)) >= 0) {
        qzi_free(g->ctx, p.key);
        return QZ_OK;
    }
    if (call && !g->finished) { /* fusing may add one */
        const qz_status st =
            qzi_fail(g->ctx, QZ_ERR_ARGUMENT, "%s: the first call has no %s of this shape",
                     node->name, p.key);
        qzi_free(g->ctx, p.key);
        return st;
    }
    node->param[which] = (int32_t)g->param_count;
    g->params[g->param_count++] = p;
    return QZ_OK;
}

void qzi_build_param(qz_graph *g, qzi_node *node, int which, const char *leaf, int32_t ndim,
                     const int64_t *dims)
{
    qz_status st;
    if (g->status == QZ_OK && (st = append_param(g, node, which, leaf, ndim, dims)) != QZ_OK)
        qzi_build_fail(g, st);
}

static qz_status append_buffer(qz_graph *g, const char *name, int32_t ndim, const int64_t *dims,
                               const float *values)
{
    qzi_param p = {.tensor = {.dtype = QZ_F32, .ndim = ndim}};
    for (int32_t i = 0; i < ndim; i++)
        p.tensor.dims[i] = dims[i];
    const size_t bytes = (size_t)qz_tensor_numel(&p.tensor) * sizeof(*values);
    QZI_TRY(qzi_grow(g->ctx, &g->params, &g->param_capacity, g->param_count, sizeof(*g->params)));
    p.key = qzi_build_name(g, name);
    p.tensor.data = qzi_alloc(g->ctx, bytes);
    if (!p.key || !p.tensor.data) {
        qzi_free(g->ctx, p.key);
        qzi_free(g->ctx, p.tensor.data);
        return QZ_ERR_MEMORY;
    }
    memcpy(p.tensor.data, values, bytes);
    g->params[g->param_count++] = p;
    return QZ_OK;
}

void qzi_graph_buffer(qz_graph *graph, const char *name, int32_t ndim, const int64_t *dims,
                      const float *values)
{
    qz_status st;
    if (graph->status == QZ_OK && (st = append_buffer(graph, name, ndim, dims, values)) != QZ_OK)
        qzi_build_fail(graph, st);
}

static void reverse_params(qz_graph *g, size_t begin, size_t end)
{
    while (begin + 1 < end) {
        const qzi_param p = g->params[begin];
        g->params[begin++] = g->params[--end];
        g->params[end] = p;
    }
}

void qzi_graph_rotate_params(qz_graph *graph, size_t first, size_t middle)
{
    const size_t end = graph->param_count;
    if (graph->status != QZ_OK)
        return;
    reverse_params(graph, first, middle);
    reverse_params(graph, middle, end);
    reverse_params(graph, first, end);
    for (size_t i = 0; i < graph->node_count; i++)
        for (int k = 0; k < QZI_P_COUNT; k++) {
            int32_t *index = &graph->nodes[i].param[k];
            if (*index >= (int32_t)middle)
                *index -= (int32_t)(middle - first);
            else if (*index >= (int32_t)first)
                *index += (int32_t)(end - middle);
        }
}

void qzi_graph_set_norm_eps(qz_graph *graph, float eps)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].op == QZI_OP_BATCH_NORM2D)
            graph->nodes[i].u.bn.eps = eps;
}

qz_status qzi_node_add_param(qz_graph *graph, qz_value node, int which, const char *leaf,
                             int32_t ndim, const int64_t *dims, bool data)
{
    QZI_TRY(append_param(graph, &graph->nodes[node], which, leaf, ndim, dims));
    qz_tensor *tensor = &graph->params[graph->param_count - 1].tensor;
    if (data)
        tensor->data = qzi_calloc(graph->ctx, (size_t)qz_tensor_numel(tensor), sizeof(float));
    return data && !tensor->data ? QZ_ERR_MEMORY : QZ_OK;
}

qz_status qzi_node_add_bias(qz_graph *graph, qz_value value)
{
    qzi_node *node = &graph->nodes[value];
    const int64_t dims[] = {node->u.conv.oc};
    if (node->param[QZI_P_BIAS] >= 0)
        return QZ_OK;
    float *data = qzi_calloc(graph->ctx, (size_t)node->u.conv.oc, sizeof(*data));
    if (!data)
        return QZ_ERR_MEMORY;
    const size_t count = graph->param_count;
    qz_status st = append_param(graph, node, QZI_P_BIAS, "bias", 1, dims);
    if (st == QZ_OK && graph->param_count > count)
        graph->params[count].tensor.data = data;
    else
        qzi_free(graph->ctx, data);
    return st;
}

/* Whether the key belongs to a child of the scope: it has a dot after the scope's name and dot. */
static bool is_of_child(const qz_graph *g, const char *key)
{
    if (g->scope_count) {
        const char *scope = g->scope[g->scope_count - 1];
        size_t length = strlen(scope);
        if (strncmp(key, scope, length) != 0 || key[length] != '.')
            return false;
        key += length + 1;
    }
    return strchr(key, '.') != NULL;
}

void qzi_build_param_first(qz_graph *g)
{
    size_t last = g->param_count - 1, at = 0;
    while (at < last && !is_of_child(g, g->params[at].key))
        at++;
    qzi_param p = g->params[last];
    memmove(g->params + at + 1, g->params + at, (last - at) * sizeof(p));
    g->params[at] = p;
    for (size_t i = 0; i < g->node_count; i++) {
        for (int k = 0; k < QZI_P_COUNT; k++) {
            int32_t *index = &g->nodes[i].param[k];
            if (*index == (int32_t)last)
                *index = (int32_t)at;
            else if (*index >= (int32_t)at)
                ++*index;
        }
    }
}

void qz_graph_output(qz_graph *graph, const char *name, qz_value value)
{
    if (graph->status != QZ_OK)
        return;
    if (value < 0 || (size_t)value >= graph->node_count) {
        qzi_build_fail(
            graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "output %s is a value of no layer", name));
        return;
    }
    char *copy = qzi_strdup(graph->ctx, name);
    if (!copy || qzi_grow(graph->ctx, &graph->outputs, &graph->output_capacity, graph->output_count,
                          sizeof(*graph->outputs)) != QZ_OK) {
        qzi_free(graph->ctx, copy);
        qzi_build_fail(graph, QZ_ERR_MEMORY);
        return;
    }
    graph->outputs[graph->output_count++] = (qzi_output){copy, value};
}

qz_status qz_graph_finish(qz_graph *graph)
{
    if (graph->status != QZ_OK)
        return qzi_fail(graph->ctx, graph->status, "%s",
                        graph->message ? graph->message : "out of memory");
    if (graph->scope_count)
        return qzi_fail(graph->ctx, QZ_ERR_STATE, "scope %s is not left",
                        graph->scope[graph->scope_count - 1]);
    QZI_TRY(qzi_graph_verify(graph));
    graph->finished = true;
    return QZ_OK;
}
