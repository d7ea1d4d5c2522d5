/* SPDX-License-Identifier: MIT */
/* model_graph.h - models of graphs that an application has built. Private. */
#ifndef QZOO_ZOO_MODEL_MODEL_GRAPH_H
#define QZOO_ZOO_MODEL_MODEL_GRAPH_H

#include "zoo/model/model.h"

/*
 * An empty model of an application's graph, which it owns from then on (a failure destroys the
 * graph). Parameters have no data yet. recipe NULL: ImageNet's, 224 x 224.
 */
qz_status qzi_model_own_graph(qz_context *ctx, const char *name, qz_graph *graph,
                              const qz_preprocess *recipe, qz_model **model);
/* FNV-1a 64 of the nodes of a float graph: names, ops, attributes and keys, no numbers of
 * parameters. Never 0. */
uint64_t qzi_model_hash_graph(const qz_graph *graph);
/* QZ_ERR_ARGUMENT where the network's input has not 3 channels. */
qz_status qzi_model_takes_rgb(const qz_model *model, const char *function);

#endif
