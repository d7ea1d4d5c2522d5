/* SPDX-License-Identifier: MIT */
/*
 * plan.h - where every value of one run stands in the arena: a function of the graph and the input
 * shapes alone. Private to layers/graph.
 */
#ifndef QZOO_LAYERS_GRAPH_PLAN_H
#define QZOO_LAYERS_GRAPH_PLAN_H

#include "layers/graph/exec.h"

typedef struct qzi_plan {
    struct qzi_plan *next; /* of an executor's cache, most recent first */
    const qz_context *ctx;
    size_t input_count;
    qzi_shape *inputs;   /* what it was made for */
    qzi_shape *shapes;   /* of each value */
    size_t *offset;      /* of each value's first byte in the arena */
    int64_t *stride;     /* between its pixels, in elements */
    int32_t *placed_at;  /* the input number at which its concat finds it in place; -1 */
    qz_value *placed_in; /* that concat; QZ_NO_VALUE */
    bool *aliased;       /* nothing to run: the value is its input */
    size_t arena_bytes;
    size_t liveness_bytes; /* most bytes alive at once: no plan can take less */
} qzi_plan;

qz_status qzi_plan_create(const qz_graph *graph, const qzi_shape *inputs, qzi_plan **plan);
void qzi_plan_destroy(qzi_plan *plan);

/* Activations that a node reads and writes in a run of this plan; packed is 0 (traffic.c). */
qzi_traffic qzi_plan_traffic(const qz_graph *graph, const qzi_plan *plan, qz_value value);

#endif
