/* SPDX-License-Identifier: MIT */
/* float_heads.c - finds the last layers of a network's heads, and excludes these from int8. */
#include "zoo/model/float_heads.h"

#include "layers/graph/graph.h"

#include <string.h>

static bool has_weights(const qzi_node *node)
{
    for (int which = 0; which < QZI_P_COUNT; which++)
        if (node->param[which] >= 0)
            return true;
    return false;
}

/* Marks the nodes from an output back to its layer. */
static void mark_head(const qz_graph *graph, qz_value value, bool *head)
{
    if (qzi_graph_readers(graph, value) > 1)
        return;
    while (graph->nodes[value].op != QZI_OP_INPUT) {
        head[value] = true;
        if (has_weights(&graph->nodes[value]))
            return;
        value = graph->nodes[value].in[0];
    }
}

qz_status qzi_model_float_heads(qz_model *model)
{
    const qz_graph *graph = model->graph;
    qzi_qconfig *q = &model->qconfig;
    bool *head = qzi_calloc(model->ctx, graph->node_count, sizeof(*head));
    if (!head)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->output_count; i++)
        mark_head(graph, graph->outputs[i].value, head);
    size_t count = q->exclude_count;
    for (size_t i = 0; i < graph->node_count; i++)
        count += head[i];
    const char **names = qzi_arena_alloc(&model->arena, (count + 1) * sizeof(*names));
    qz_status st = names ? QZ_OK : QZ_ERR_MEMORY;
    if (names && q->exclude_count > 0)
        memcpy(names, q->exclude, q->exclude_count * sizeof(*names));
    count = q->exclude_count;
    for (size_t i = 0; i < graph->node_count && st == QZ_OK; i++) {
        if (!head[i])
            continue;
        names[count] = qzi_arena_strdup(&model->arena, graph->nodes[i].name);
        st = names[count] ? QZ_OK : QZ_ERR_MEMORY;
        count++;
    }
    if (st == QZ_OK) {
        q->exclude = names;
        q->exclude_heads = count - q->exclude_count;
        q->exclude_count = count;
    }
    qzi_free(model->ctx, head);
    return st;
}
