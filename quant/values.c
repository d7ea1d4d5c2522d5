/* SPDX-License-Identifier: MIT */
/* values.c - from what was observed to scales and zero points of values. */
#include "quant/values.h"

static qz_status find_value(const qzi_observer *observer, qzi_value_q *value)
{
    return qzi_observer_qparams(observer, &value->q);
}

qz_status qzi_values_find(const qz_graph *graph, const qzi_calibration *calibration,
                          const float *const *divisors, qzi_values *values)
{
    *values = (qzi_values){0};
    (void)divisors;
    qzi_arena_init(&values->arena, graph->ctx);
    values->list = qzi_calloc(graph->ctx, graph->node_count, sizeof(*values->list));
    if (!values->list)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_observer *observer = qzi_calibration_observer(calibration, (qz_value)i);
        if (!observer)
            continue;
        QZI_TRY(qzi_check_cancelled(graph->ctx));
        const qz_status st = find_value(observer, &values->list[i]);
        if (st != QZ_OK)
            return qzi_fail_prefix(graph->ctx, st, "%s", graph->nodes[i].name);
    }
    return QZ_OK;
}

void qzi_values_free(qzi_values *values)
{
    const qz_context *ctx = values->arena.ctx;
    if (ctx)
        qzi_free(ctx, values->list);
    qzi_arena_free(&values->arena);
}
