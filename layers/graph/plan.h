/* SPDX-License-Identifier: MIT */
/*
 * plan.h - where every value of a run is in the arena. A plan follows from the graph and the shapes
 * of its inputs alone. Private to layers/graph.
 */
#ifndef QZOO_LAYERS_GRAPH_PLAN_H
#define QZOO_LAYERS_GRAPH_PLAN_H

#include "layers/graph/exec.h"

/* One value of the graph in a run. */
typedef struct qzi_plan_value {
    size_t offset;      /* of its first byte in the arena */
    int64_t stride;     /* between its pixels, in elements */
    qz_value placed_in; /* the concat that finds the value in place; QZ_NO_VALUE */
    int32_t placed_at;  /* as this input; -1 */
    bool aliased;       /* nothing runs: the value is its input */
    bool needed;        /* an output depends on the node, or it is an input; others do not run */
    /*
     * The convolution that may apply this node to each region of its output, at once and in place,
     * with all nodes between them. Only this node reads the convolution's values, and its other
     * input is computed before the convolution runs. QZ_NO_VALUE: none.
     */
    qz_value head;
    qz_value follower; /* of a convolution, the first such node; of that node, the next one */
} qzi_plan_value;

typedef struct qzi_plan {
    struct qzi_plan *next; /* in an executor's cache, most recent first */
    const qz_context *ctx;
    size_t input_count;
    qzi_shape *inputs; /* the sizes that the plan was made for */
    qzi_shape *shapes; /* of each value */
    qzi_plan_value *values;
    size_t arena_bytes;
    size_t liveness_bytes; /* most bytes alive at once: no plan can take less */
} qzi_plan;

enum { QZI_MAX_FOLLOWERS = 4 }; /* of one convolution */

qz_status qzi_plan_create(const qz_graph *graph, const qzi_shape *inputs, qzi_plan **plan);
void qzi_plan_destroy(qzi_plan *plan);

/* Activations that a node reads and writes in a run of this plan; packed is 0 (traffic.c).
 * follows: a convolution applies the node (head). */
qzi_traffic qzi_plan_traffic(const qz_graph *graph, const qzi_plan *plan, qz_value value,
                             bool follows);

#endif
