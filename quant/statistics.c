/* SPDX-License-Identifier: MIT */
/* statistics.c - the counts of all values of a float graph, for any backend. */
#include "quant/statistics.h"

qz_status qzi_statistics_create(const qz_graph *graph, qzi_statistics **statistics)
{
    qzi_statistics *s = qzi_calloc(graph->ctx, 1, sizeof(*s));
    *statistics = NULL;
    if (!s)
        return QZ_ERR_MEMORY;
    s->ctx = graph->ctx;
    s->node_count = graph->node_count;
    s->whole = qzi_calloc(graph->ctx, graph->node_count, sizeof(*s->whole));
    s->channels = qzi_calloc(graph->ctx, graph->node_count, sizeof(*s->channels));
    qz_status st = s->whole && s->channels ? QZ_OK : QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->node_count && st == QZ_OK; i++) {
        st = qzi_tally_create(graph->ctx, 1, &s->whole[i]);
        if (st == QZ_OK && graph->nodes[i].c > 1)
            st = qzi_tally_create(graph->ctx, graph->nodes[i].c, &s->channels[i]);
    }
    if (st == QZ_OK)
        *statistics = s;
    else
        qzi_statistics_destroy(s);
    return st;
}

void qzi_statistics_destroy(qzi_statistics *statistics)
{
    if (!statistics)
        return;
    for (size_t i = 0; i < statistics->node_count; i++) {
        if (statistics->whole)
            qzi_tally_destroy(&statistics->whole[i]);
        if (statistics->channels)
            qzi_tally_destroy(&statistics->channels[i]);
    }
    qzi_free(statistics->ctx, statistics->whole);
    qzi_free(statistics->ctx, statistics->channels);
    qzi_free(statistics->ctx, statistics);
}

qz_status qzi_statistics_observe(qzi_statistics *statistics, qz_value node, const qzk_view *view,
                                 uint32_t threads)
{
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = qzi_tally_add(&statistics->whole[node], view, threads);
    if (st == QZ_OK && statistics->channels[node].channels > 0)
        st = qzi_tally_add(&statistics->channels[node], view, threads);
    qzi_fpenv_leave(env);
    return st;
}

qz_status qzi_statistics_merge(qzi_statistics *statistics, const qzi_statistics *other)
{
    qz_status st = QZ_OK;
    qzi_fpenv env = qzi_fpenv_enter();
    for (size_t i = 0; i < statistics->node_count && st == QZ_OK; i++) {
        st = qzi_tally_merge(&statistics->whole[i], &other->whole[i]);
        if (st == QZ_OK && statistics->channels[i].channels > 0)
            st = qzi_tally_merge(&statistics->channels[i], &other->channels[i]);
    }
    qzi_fpenv_leave(env);
    return st;
}
