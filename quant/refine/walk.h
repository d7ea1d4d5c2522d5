/* SPDX-License-Identifier: MIT */
/*
 * walk.h - the kept images through the float graph and the int8 graph, node by node, for passes
 * that change a layer when those before it are settled. Private.
 */
#ifndef QZOO_QUANT_REFINE_WALK_H
#define QZOO_QUANT_REFINE_WALK_H

#include "layers/graph/exec.h"
#include "quant/refine/kept.h"
#include "quant/refine/samples.h"

/* The int8 node `node` of a layer with weights, and the layer of the float graph. */
typedef struct qzi_layer {
    qz_value node, real;
} qzi_layer;

/*
 * The int8 layers with weights, in order, each with the float layer of the same parameters.
 * *layers by qzi_alloc.
 */
qz_status qzi_layers_find(const qz_graph *graph, const qz_graph *int8_graph, qzi_layer **layers,
                          size_t *count);
/* The index of weight i (input channel of the group), tap, of output channel o. */
int64_t qzi_layer_weight_at(const qzi_node *node, int64_t o, int64_t i, int64_t tap);
/* What the integer sums of output channel o are multiplied by to be real numbers. */
static inline float qzi_layer_step(const qz_graph *int8_graph, const qzi_node *node, int64_t o)
{
    const qzi_node *x = &int8_graph->nodes[node->in[0]];
    return (x->channel_q ? 1.0f : x->q.scale) * node->qw->scales[o];
}

/* Runs one image through a graph, all but the stages that need more than an image. */
qz_status qzi_walk_run(qzi_exec *exec, const qz_graph *graph, const qz_tensor *image);

/* Memory for the values of all images that walk at once. */
#define QZI_WALK_BYTES ((size_t)512 << 20)
/* How many of the kept images fit: at least one, where there is one. */
qz_status qzi_walk_count(const qz_graph *graph, const qz_graph *int8_graph, const qzi_kept *kept,
                         size_t *count);

/* What a layer sees when it is its turn. */
typedef struct qzi_walk_layer {
    const qzi_layer *layer;
    qzi_exec *const *execs; /* of the int8 graph, `count` of them: the input is at hand */
    size_t count;
    int64_t samples;         /* as qzi_walk_layers got them */
    const qzi_samples *real; /* of the float layer's input */
} qzi_walk_layer;

/*
 * Steps the first `count` kept images through both graphs. Before an int8 layer runs, and after all
 * those before it ran, visit(user, at, &changed) may change it; the walk packs it again where
 * *changed. `places`: as qzi_samples_take. Layers that a run of an image does not need are not
 * visited.
 */
typedef qz_status (*qzi_walk_visit)(void *user, const qzi_walk_layer *at, bool *changed);
qz_status qzi_walk_layers(const qz_graph *graph, const qz_graph *int8_graph, const qzi_kept *kept,
                          size_t count, int64_t places, uint32_t threads, qzi_walk_visit visit,
                          void *user);

#endif
