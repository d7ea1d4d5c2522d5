/* SPDX-License-Identifier: MIT */
/* statistics.h - the counts of all values of a float graph, for any backend. Private. */
#ifndef QZOO_QUANT_STATISTICS_H
#define QZOO_QUANT_STATISTICS_H

#include "layers/graph/graph.h"
#include "quant/observers/tally.h"

/* By node, as every mergeable observer may need them: together, and for each channel where the
 * value has several. */
typedef struct qzi_statistics {
    const qz_context *ctx;
    size_t node_count;
    qzi_tally *whole, *channels; /* [node_count]; of one channel `channels` has none */
} qzi_statistics;

qz_status qzi_statistics_create(const qz_graph *graph, qzi_statistics **statistics);
void qzi_statistics_destroy(qzi_statistics *statistics); /* NULL is fine */
qz_status qzi_statistics_observe(qzi_statistics *statistics, qz_value node, const qzk_view *view,
                                 uint32_t threads);
/* Adds those of the same graph. After a failure some may have been added. */
qz_status qzi_statistics_merge(qzi_statistics *statistics, const qzi_statistics *other);

#endif
