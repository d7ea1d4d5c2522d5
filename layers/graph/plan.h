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
    /*
     * The convolution whose run may apply this node to each region of its output, at once and in
     * place, with all that lies between them: elements of what the convolution gives are read by
     * this node alone, its other input stands before the convolution runs. QZ_NO_VALUE: none.
     */
    qz_value *head;
    qz_value *follower; /* of a convolution, the first such node; of that one, the next */
    size_t arena_bytes;
    size_t liveness_bytes; /* most bytes alive at once: no plan can take less */
} qzi_plan;

enum { QZI_MAX_FOLLOWERS = 4 }; /* of one convolution */

qz_status qzi_plan_create(const qz_graph *graph, const qzi_shape *inputs, qzi_plan **plan);
void qzi_plan_destroy(qzi_plan *plan);

/* Activations that a node reads and writes in a run of this plan; packed is 0 (traffic.c). */
/* follows: the node is applied by a convolution (head). */
qzi_traffic qzi_plan_traffic(const qz_graph *graph, const qzi_plan *plan, qz_value value,
                             bool follows);

#endif
