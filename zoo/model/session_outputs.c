/* SPDX-License-Identifier: MIT */
/* session_outputs.c - a model's graph with the outputs that a session was asked for. */
#include "zoo/model/session_outputs.h"
#include "layers/base/nearest.h"

#include <string.h>

static qz_status fail_unknown(const qz_graph *graph, const char *name)
{
    char names[256];
    qzi_nearest nearest;
    qzi_nearest_init(&nearest, name);
    for (size_t i = 0; i < graph->output_count; i++)
        qzi_nearest_add(&nearest, graph->outputs[i].name);
    for (size_t i = 0; i < graph->node_count; i++)
        qzi_nearest_add(&nearest, graph->nodes[i].name);
    for (size_t i = 0; i < graph->mark_count; i++)
        qzi_nearest_add(&nearest, graph->marks[i].name);
    qzi_nearest_text(&nearest, names, sizeof(names));
    return qzi_fail(graph->ctx, QZ_ERR_UNKNOWN_NAME,
                    "there is no node or module '%.64s'; the nearest are %s", name, names);
}

static qz_value find_output(const qz_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (strcmp(graph->outputs[i].name, name) == 0)
            return graph->outputs[i].value;
    return qzi_graph_find(graph, name);
}

qz_status qzi_session_view(const qz_graph *graph, const char *const *names, size_t count,
                           qz_graph *view)
{
    *view = *graph;
    view->outputs = qzi_calloc(graph->ctx, QZI_MAX(count, (size_t)1), sizeof(*view->outputs));
    view->output_count = 0;
    if (!view->outputs)
        return QZ_ERR_MEMORY;
    if (count == 0 || !names)
        return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                        "qz_session_options: outputs and output_count go together");
    for (size_t i = 0; i < count; i++) {
        if (!names[i])
            return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "qz_session_options: outputs[%zu] is NULL",
                            i);
        const qz_value value = find_output(graph, names[i]);
        if (value == QZ_NO_VALUE)
            return fail_unknown(graph, names[i]);
        char *name = qzi_strdup(graph->ctx, names[i]);
        if (!name)
            return QZ_ERR_MEMORY;
        view->outputs[view->output_count++] = (qzi_output){name, value};
    }
    return QZ_OK;
}

void qzi_session_view_free(qz_graph *view)
{
    for (size_t i = 0; view->outputs && i < view->output_count; i++)
        qzi_free(view->ctx, view->outputs[i].name);
    if (view->outputs)
        qzi_free(view->ctx, view->outputs);
    *view = (qz_graph){0};
}
