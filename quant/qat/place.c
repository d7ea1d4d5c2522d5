/* SPDX-License-Identifier: MIT */
/*
 * place.c - see place.h. A copy of the graph without data is fused and decided on as for
 * conversion; its nodes are found again by their names.
 */
#include "quant/qat/place.h"
#include "quant/decide.h"
#include "quant/fuse.h"

#include <string.h>

/* Node `name` itself, not a scope whose value it is. */
static qz_value node_named(const qz_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (strcmp(graph->nodes[i].name, name) == 0)
            return (qz_value)i;
    return QZ_NO_VALUE;
}

/* What a node of the fused copy was made of. */
typedef struct members {
    qz_value head, norm, last;
} members;

static members members_of(const qz_graph *graph, const qz_graph *fused, qz_value node)
{
    members m = {.head = node_named(graph, fused->nodes[node].name), .norm = QZ_NO_VALUE};
    m.last = m.head;
    for (size_t i = 0; i < fused->mark_count; i++) {
        const qz_value v =
            fused->marks[i].value == node ? node_named(graph, fused->marks[i].name) : QZ_NO_VALUE;
        if (v == QZ_NO_VALUE || v == m.head)
            continue;
        m.last = QZI_MAX(m.last, v);
        if (graph->nodes[v].op == QZI_OP_BATCH_NORM2D)
            m.norm = v;
    }
    return m;
}

static qz_status place_node(qzi_qat *qat, const qz_graph *graph, const qz_graph *fused,
                            qz_value node, const qzi_decision *decision, const qzi_qconfig *q)
{
    const members m = members_of(graph, fused, node);
    const qzi_op op = fused->nodes[node].op;
    if (m.head == QZ_NO_VALUE)
        return qzi_fail(graph->ctx, QZ_ERR_INTERNAL, "%s: not in the float graph",
                        fused->nodes[node].name);
    if (decision->int8 && qzi_op_has_weights(op))
        QZI_TRY(qzi_qat_weights(qat, m.head, m.norm, q->per_channel, -128, 127));
    if (decision->int8 && decision->fixed.scale > 0.0f)
        return qzi_qat_fixed(qat, m.last, decision->fixed);
    if (!decision->own_qparams)
        return QZ_OK;
    return qzi_qat_value(qat, m.last, 0, q->reduce_range ? 127 : 255);
}

qz_status qzi_qat_place(qzi_qat *qat, const qz_graph *graph, const qzi_qconfig *qconfig)
{
    qz_graph *fused = NULL;
    qzi_decision *decisions = NULL;
    qz_status st;
    if (qzi_qconfig_by_channel(qconfig))
        return qzi_fail(graph->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: its values by channel are not trained yet; use fbgemm or qnnpack",
                        qconfig->backend->name);
    QZI_GOTO(st, qzi_graph_clone(graph, false, &fused));
    QZI_GOTO(st, qzi_fuse(fused, false));
    QZI_GOTO(st, qzi_decide(fused, qconfig, &decisions));
    for (size_t i = 0; i < fused->node_count && st == QZ_OK; i++)
        st = place_node(qat, graph, fused, (qz_value)i, &decisions[i], qconfig);
fail:
    if (decisions)
        qzi_decisions_free(fused, decisions);
    qz_graph_destroy(fused);
    return st;
}
