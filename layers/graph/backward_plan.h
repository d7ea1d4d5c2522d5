/* SPDX-License-Identifier: MIT */
/*
 * backward_plan.h - where every value and every gradient of a training step is in the arena. A plan
 * follows from the graph, the shapes of its inputs, the mode and the frozen parameters. Private to
 * layers/graph.
 *
 * A step has a time for each node forward, 0 ... N - 1, one in which the caller turns outputs into
 * gradients, N, and one for each node backward, N + 1 ... 2N. A value is kept until the last
 * backward that reads it, and not longer.
 */
#ifndef QZOO_LAYERS_GRAPH_BACKWARD_PLAN_H
#define QZOO_LAYERS_GRAPH_BACKWARD_PLAN_H

#include "layers/grad/grad.h"
#include "layers/graph/backward.h"

#define QZI_NOWHERE SIZE_MAX

typedef struct qzi_step_value {
    qz_value root;   /* whose storage it uses; itself for most */
    size_t offset;   /* of its first byte */
    int64_t stride;  /* between its pixels, in floats */
    bool needed;     /* the forward computes it */
    bool aliased;    /* nothing runs: it is its input */
    bool active;     /* a gradient passes through the node to a parameter, or to an input */
    bool wanted;     /* its own gradient is computed: it is active and an output depends on it */
    size_t gradient; /* offset; dense pixels */
    size_t kept;     /* offset of the bytes that its op keeps from forward to backward */
    size_t hook_kept;
    unsigned hooks; /* QZI_HOOK_... */
    size_t edge;    /* index of the first of its inputs' edges */
} qzi_step_value;

/* What the backward of a node does with the gradient of one input. */
typedef struct qzi_step_edge {
    size_t at;    /* where it writes; QZI_NOWHERE: no gradient is needed */
    bool add;     /* the op adds to what is there */
    bool through; /* it writes to a piece of its own, which is then added */
} qzi_step_edge;

typedef struct qzi_step_plan {
    const qz_context *ctx;
    size_t input_count, node_count, edge_count;
    qzi_shape *inputs, *shapes;
    qzi_step_value *values;
    qzi_step_edge *edges;
    size_t arena_bytes;
    size_t liveness_bytes; /* most bytes alive at once: no plan can take less */
    size_t kept_bytes;     /* of values and of ops' own, at the end of the forward */
    size_t scratch_bytes;
} qzi_step_plan;

typedef struct qzi_step_request {
    const qz_graph *graph;
    const qzi_shape *inputs;
    const qzi_train_mode *mode;
    const bool *frozen;          /* by parameter; NULL: none */
    bool input_gradients;        /* of images too */
    const qzi_step_hooks *hooks; /* NULL: none */
    qz_isa isa;
    uint32_t threads;
} qzi_step_request;

qz_status qzi_step_plan_create(const qzi_step_request *request, qzi_step_plan **plan);
void qzi_step_plan_destroy(qzi_step_plan *plan);

/* Whether a parameter of a node has a gradient. */
bool qzi_step_trains(const qz_graph *graph, const bool *frozen, const qzi_node *node, int which);

#endif
