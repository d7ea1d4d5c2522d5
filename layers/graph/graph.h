/* SPDX-License-Identifier: MIT */
/*
 * graph.h - the graph (IR): nodes, values, parameters. Private to the library; passes (fuse,
 * prepare, convert, export) read and change it through this header.
 *
 * A node has one value, and value i is that of nodes[i]. Nodes are in
 * an order in which every input precedes its reader. Passes that remove or insert nodes build a
 * new order with qzi_graph_rewrite.
 */
#ifndef QZOO_LAYERS_GRAPH_GRAPH_H
#define QZOO_LAYERS_GRAPH_GRAPH_H

#include "layers/base/base.h"
#include "layers/ops/ops.h"
#include "layers/qzoo_graph.h"

typedef struct qzi_mark { /* output of a scope: torch's module */
    char *name;
    qz_value value;
} qzi_mark;

typedef struct qzi_output {
    char *name;
    qz_value value;
} qzi_output;

struct qz_graph {
    qz_context *ctx;
    qz_status status; /* of the first failed builder call */
    char *message;    /* and its message */
    bool finished;

    qzi_node *nodes;
    size_t node_count, node_capacity;
    qzi_param *params;
    size_t param_count, param_capacity;
    qzi_mark *marks;
    size_t mark_count, mark_capacity;
    qzi_output *outputs;
    size_t output_count, output_capacity;
    size_t input_count;

    char **scope; /* stack of dotted prefixes */
    size_t scope_count, scope_capacity;
    int32_t call; /* of the layers that are built now (qz_graph_set_call) */

    qzi_shape *list_shapes; /* of all nodes at the size that is listed; NULL: none */
};

/* ---- building and changing (build.c, graph.c) ---- */

/* Deep copy of nodes, marks and outputs; parameters are copied with their data when `data`. */
qz_status qzi_graph_clone(const qz_graph *graph, bool data, qz_graph **copy);

/* Node index by dotted name; also finds a scope's output ("layer1.0"). -1: unknown. */
qz_value qzi_graph_find(const qz_graph *graph, const char *name);
const qzi_param *qzi_node_param(const qz_graph *graph, const qzi_node *node, int which);
qzi_param *qzi_graph_param(qz_graph *graph, const char *key); /* by key; NULL */
/*
 * Adds a float buffer that no layer reads, torch's register_buffer, under the current scope's name.
 * It has the values that are given until a file brings its own; a file may lack it.
 */
void qzi_graph_buffer(qz_graph *graph, const char *name, int32_t ndim, const int64_t *dims,
                      const float *values);
/* Parameters from `middle` on come before those from `first` on: a module that torch declares
 * earlier than it is called. */
void qzi_graph_rotate_params(qz_graph *graph, size_t first, size_t middle);
/* eps of every batch norm. */
void qzi_graph_set_norm_eps(qz_graph *graph, float eps);
/* Number of readers of a value, graph outputs counted. */
size_t qzi_graph_readers(const qz_graph *graph, qz_value value);
/* Adds the parameter <node>.<leaf> to a graph that is built; its data is zeros where `data`. */
qz_status qzi_node_add_param(qz_graph *graph, qz_value node, int which, const char *leaf,
                             int32_t ndim, const int64_t *dims, bool data);
/* Gives a conv or linear without bias a zeroed one, named <node>.bias; a node of a further call
 * shares that of its first call, which must have got it before. */
qz_status qzi_node_add_bias(qz_graph *graph, qz_value node);

/*
 * Rewrites the graph: `keep[i]` false removes node i and sends its readers (marks and outputs too)
 * to `redirect[i]`, an earlier node that stays or is itself redirected.
 */
qz_status qzi_graph_remove(qz_graph *graph, const bool *keep, const qz_value *redirect);

/* Frees the parameters that no node reads any more; renumber: room for an index of each. */
void qzi_graph_drop_params(qz_graph *graph, const bool *drop, int32_t *renumber);

/*
 * Removes the nodes that no output depends on, and their names. Inputs stay, and so do all
 * parameters: an auxiliary head that only training runs is loaded and counted, but not computed.
 */
qz_status qzi_graph_prune(qz_graph *graph);

/*
 * Inserts a node of `op` named `name` that reads value `x`, right after it (or, for several
 * insertions, in the order made); the readers for which `readers[i]` is true (i: node index before
 * the insertion) read the new value instead, outputs too when `outputs`. Indexes of later nodes
 * shift by one. Returns the new value in *inserted. The new node copies c, h, w, flat from x;
 * dtype and q are the caller's to set.
 */
qz_status qzi_graph_insert(qz_graph *graph, qz_value x, qzi_op op, const char *name,
                           const bool *readers, bool outputs, qz_value *inserted);

/* Frees what a node owns and zeroes it. */
void qzi_node_clear(const qz_context *ctx, qzi_node *node);

/* Checks order, types, shapes, parameters; QZ_ERR_INTERNAL or _ARGUMENT with the node's name. */
qz_status qzi_graph_verify(const qz_graph *graph);

/* ---- shapes (shape.c) ---- */

/*
 * Shapes of all values for given input shapes (NCHW float32 tensors' n, h, w), into shapes[node].
 * Inputs that are all zero are absent, and so are the values that depend on them: zeros too.
 * QZ_ERR_ARGUMENT names the node whose kernel does not fit, or which would be too large.
 */
qz_status qzi_graph_shapes(const qz_graph *graph, const qzi_shape *inputs, qzi_shape *shapes);

/* The same for one image of h x w at every input that takes any size, into *shapes by qzi_alloc. */
qz_status qzi_graph_image_shapes(const qz_graph *graph, int32_t h, int32_t w, qzi_shape **shapes);

/* A node as its op sees it; `inputs` is room for QZI_MAX_INPUTS pointers. */
#define QZI_MAX_INPUTS 256
void qzi_graph_op_node(const qz_graph *graph, qz_value value, const qzi_node **inputs,
                       qzi_op_node *n);

/* Size (batch 1) for which qz_graph_node_at reports MACs and shapes; 0 x 0 reports none. */
qz_status qzi_graph_list_size(qz_graph *graph, int32_t h, int32_t w);

#endif
