/* SPDX-License-Identifier: MIT */
/* shape.c - verification, and the shapes of all values for given inputs. */
#include "layers/graph/graph.h"

#include "layers/base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void qzi_graph_op_node(const qz_graph *graph, qz_value i, const qzi_node **inputs, qzi_op_node *n)
{
    const qzi_node *node = &graph->nodes[i];
    *n = (qzi_op_node){.ctx = graph->ctx, .node = node, .inputs = inputs};
    for (size_t k = 0; k < node->in_count; k++)
        inputs[k] = &graph->nodes[node->in[k]];
    for (int k = 0; k < QZI_P_COUNT; k++) {
        const qzi_param *p = qzi_node_param(graph, node, k);
        n->params[k] = p ? &p->tensor : NULL;
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static qz_status verify_names(const qz_graph *graph)
{
    const char **names = qzi_alloc(graph->ctx, graph->node_count * sizeof(*names));
    qz_status st = QZ_OK;
    if (!names)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++)
        names[i] = graph->nodes[i].name;
    qsort(names, graph->node_count, sizeof(*names), compare_names);
    for (size_t i = 1; i < graph->node_count && st == QZ_OK; i++) {
        if (strcmp(names[i - 1], names[i]) == 0)
            st = qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "two layers are named %s", names[i]);
    }
    qzi_free(graph->ctx, names);
    return st;
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

/* Parameters by channel are where their ops can have them, and make sense. */
static qz_status check_channel_q(const qzi_op_node *n)
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

qz_status qzi_graph_verify(const qz_graph *graph)
{
    const qzi_node *inputs[QZI_MAX_INPUTS];
    qzi_op_node n;
    if (graph->input_count == 0 || graph->output_count == 0)
        return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                        "a graph needs an input and an output; this one has %zu and %zu",
                        graph->input_count, graph->output_count);
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        if (node->in_count > QZI_MAX_INPUTS)
            return qzi_fail(graph->ctx, QZ_ERR_UNSUPPORTED, "%s: more than %d inputs", node->name,
                            QZI_MAX_INPUTS);
        if (node->c < 1)
            return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "%s: has no channels", node->name);
        for (size_t k = 0; k < node->in_count; k++) {
            if (node->in[k] < 0 || (size_t)node->in[k] >= i)
                return qzi_fail(graph->ctx, QZ_ERR_INTERNAL, "%s: reads what comes after it",
                                node->name);
        }
        for (int k = 0; k < QZI_P_COUNT; k++) {
            if (node->param[k] >= 0 && (size_t)node->param[k] >= graph->param_count)
                return qzi_fail(graph->ctx, QZ_ERR_INTERNAL, "%s: parameter out of range",
                                node->name);
        }
        qzi_graph_op_node(graph, (qz_value)i, inputs, &n);
        QZI_TRY(check_channel_q(&n));
        QZI_TRY(qzi_op_get(node->op)->validate(&n));
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i].value < 0 || (size_t)graph->outputs[i].value >= graph->node_count)
            return qzi_fail(graph->ctx, QZ_ERR_INTERNAL, "output %s is a value of no layer",
                            graph->outputs[i].name);
    }
    return verify_names(graph);
}

/* The shape of an INPUT node; *batch: of the inputs before, 0 when there was none. */
static qz_status shape_input(const qz_graph *graph, const qzi_node *node, const qzi_shape *input,
                             int32_t *batch)
{
    if (input->c != node->c)
        return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "input %s has %d channels; the model takes %d",
                        node->name, input->c, node->c);
    if (input->n < 1 || input->h < 1 || input->w < 1 || (*batch != 0 && input->n != *batch))
        return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                        "input %s: batch %d of %dx%d images cannot be run", node->name, input->n,
                        input->h, input->w);
    if (node->h > 0 && (input->h != node->h || input->w != node->w))
        return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "input %s is %dx%d; the model takes %dx%d",
                        node->name, input->h, input->w, node->h, node->w);
    *batch = input->n;
    return QZ_OK;
}

static qz_status check_size(const qz_graph *graph, const qzi_node *node, const qzi_shape *s)
{
    int64_t pixels = (int64_t)s->h * s->w; /* below 2^62 */
    const double bytes = (double)pixels * s->n * s->c * (double)qz_dtype_size(node->dtype);
    if (pixels > INT32_MAX || pixels * s->n > INT32_MAX || pixels * s->n * s->c > INT64_MAX / 64)
        return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                        "%s: %d images of %dx%d (%s) are more pixels than a tensor may have",
                        node->name, s->n, s->h, s->w,
                        qzi_bytes_text((uint64_t)QZI_MIN(bytes, 1e19)).text);
    if (s->c != node->c)
        return qzi_fail(graph->ctx, QZ_ERR_INTERNAL, "%s: gives %d channels, not %d", node->name,
                        s->c, node->c);
    return QZ_OK;
}

static bool is_absent(const qzi_shape *s)
{
    return s->n == 0 && s->h == 0 && s->w == 0;
}

qz_status qzi_graph_shapes(const qz_graph *graph, const qzi_shape *inputs, qzi_shape *shapes)
{
    const qzi_node *nodes[QZI_MAX_INPUTS];
    qzi_shape in[QZI_MAX_INPUTS];
    qzi_op_node n;
    int32_t batch = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        bool absent = false;
        qzi_graph_op_node(graph, (qz_value)i, nodes, &n);
        for (size_t k = 0; k < node->in_count; k++) {
            in[k] = shapes[node->in[k]];
            absent |= is_absent(&in[k]);
        }
        if (node->op == QZI_OP_INPUT) {
            in[0] = inputs[node->u.input.index];
            absent = is_absent(&in[0]);
            if (!absent)
                QZI_TRY(shape_input(graph, node, &in[0], &batch));
        }
        shapes[i] = (qzi_shape){0};
        if (absent)
            continue;
        QZI_TRY(qzi_op_get(node->op)->shape(&n, in, &shapes[i]));
        QZI_TRY(check_size(graph, node, &shapes[i]));
    }
    if (batch == 0)
        return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "the graph has no input to run from");
    return QZ_OK;
}

qz_status qzi_graph_image_shapes(const qz_graph *graph, int32_t h, int32_t w, qzi_shape **shapes)
{
    qzi_shape *inputs = qzi_calloc(graph->ctx, graph->input_count, sizeof(*inputs));
    qzi_shape *made = qzi_calloc(graph->ctx, graph->node_count, sizeof(*made));
    qz_status st = QZ_OK;
    if (!inputs || !made)
        st = QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->node_count && st == QZ_OK; i++) {
        const qzi_node *node = &graph->nodes[i];
        if (node->op == QZI_OP_INPUT)
            inputs[node->u.input.index] =
                (qzi_shape){1, node->h > 0 ? node->h : h, node->w > 0 ? node->w : w, node->c};
    }
    if (st == QZ_OK)
        st = qzi_graph_shapes(graph, inputs, made);
    qzi_free(graph->ctx, inputs);
    if (st != QZ_OK) {
        qzi_free(graph->ctx, made);
        made = NULL;
    }
    *shapes = made;
    return st;
}

qz_status qzi_graph_list_size(qz_graph *graph, int32_t h, int32_t w)
{
    qzi_free(graph->ctx, graph->list_shapes);
    graph->list_shapes = NULL;
    if (h == 0 || w == 0)
        return QZ_OK;
    return qzi_graph_image_shapes(graph, h, w, &graph->list_shapes);
}
