/* SPDX-License-Identifier: MIT */
/* build.h - what the builder calls are made of. Private to the graph. */
#ifndef QZOO_LAYERS_GRAPH_BUILD_H
#define QZOO_LAYERS_GRAPH_BUILD_H

#include "layers/graph/graph.h"

/* Poisons the graph with a status and the context's message, unless it is poisoned already. */
void qzi_build_fail(qz_graph *g, qz_status status);

/* `name` in the current scope, by qzi_alloc; NULL: out of memory. */
char *qzi_build_name(const qz_graph *g, const char *name);

/*
 * Appends a node that reads `in`; NULL when the graph is or becomes poisoned. The output starts as
 * a copy of input 0's.
 */
qzi_node *qzi_build_node(qz_graph *g, qzi_op op, const char *name, const qz_value *in,
                         size_t in_count);

/* The value of a node that was just added, or none when something failed since. */
qz_value qzi_build_value(const qz_graph *g);

/* Gives the node the parameter <node>.<leaf>; in a further call, that of the first call. */
void qzi_build_param(qz_graph *g, qzi_node *node, int which, const char *leaf, int32_t ndim,
                     const int64_t *dims);

/*
 * Moves the parameter that was appended last to where torch lists a module's own parameters:
 * before those of its children, which the builder made earlier.
 */
void qzi_build_param_first(qz_graph *g);

#endif
