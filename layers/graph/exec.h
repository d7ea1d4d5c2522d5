/* SPDX-License-Identifier: MIT */
/*
 * exec.h - packing a graph for an instruction set, and running it.
 *
 *   qzi_packed  a graph's weights in the form that the chosen kernels read; immutable, shared by
 *               any number of executors
 *   qzi_exec    one run's state: plans (one per input size, cached), arena, scratch
 */
#ifndef QZOO_LAYERS_GRAPH_EXEC_H
#define QZOO_LAYERS_GRAPH_EXEC_H

#include "layers/graph/graph.h"
#include "layers/kernels/kernels.h"

typedef struct qzi_packed qzi_packed;

/*
 * Chooses kernels and packs weights. The graph must outlive the result, but its weights (params'
 * data and qweights->w) are not read again. isa: AUTO takes the context's ceiling.
 */
qz_status qzi_packed_create(const qz_graph *graph, qz_isa isa, qzi_packed **packed);
/*
 * The same with Winograd's algorithm for the float convolutions that gain by it when one image of
 * h x w is run. It rounds otherwise than CONTRACT.md's conv2d: not for calibration, nor for the
 * float islands of an int8 graph.
 */
qz_status qzi_packed_create_winograd(const qz_graph *graph, qz_isa isa, int32_t h, int32_t w,
                                     qzi_packed **packed);
/* The same with the shapes of all values, of one image: an entry for each node. */
qz_status qzi_packed_create_shapes(const qz_graph *graph, qz_isa isa, const qzi_shape *shapes,
                                   qzi_packed **packed);
/* Packs one node again, after its parameters changed but not their shapes. The caller owns `packed`
 * and no run is under way. */
qz_status qzi_packed_repack(qzi_packed *packed, const qz_graph *graph, qz_value node);
void qzi_packed_destroy(qzi_packed *packed);
size_t qzi_packed_bytes(const qzi_packed *packed);
const qzk_kernels *qzi_packed_kernels(const qzi_packed *packed);
/* The kernel of a conv or linear node; NULL for other nodes. */
const qzk_conv_kernel *qzi_packed_kernel(const qzi_packed *packed, qz_value node);

/* What was packed for a node. */
const qzi_packed_node *qzi_packed_at(const qzi_packed *packed, qz_value node);

typedef struct qzi_exec qzi_exec;

/*
 * Called after each node (INPUT nodes too), on the thread of the run, with the node's value.
 * The view is valid during the call only.
 */
typedef qz_status (*qzi_node_hook)(void *user, const qz_graph *graph, qz_value node,
                                   const qzk_view *view);

qz_status qzi_exec_create(const qzi_packed *packed, const qz_graph *graph, uint32_t threads,
                          qzi_exec **exec);
void qzi_exec_destroy(qzi_exec *exec);
void qzi_exec_set_hook(qzi_exec *exec, qzi_node_hook hook, void *user);
/* Collects the time of each node; qzi_exec_node_seconds returns the sum since then. */
qz_status qzi_exec_set_profile(qzi_exec *exec, bool on);
double qzi_exec_node_seconds(const qzi_exec *exec, qz_value node);

/*
 * One run. inputs: NCHW float32, one for each INPUT node, all with the same n. They are checked
 * here and nowhere else. NaN or infinity is QZ_ERR_NUMERIC, unless the caller knows that the inputs
 * are finite.
 * The outputs' values stay in the arena until the next run: read them with qzi_exec_output.
 */
qz_status qzi_exec_run(qzi_exec *exec, const qz_tensor *inputs, size_t input_count, bool finite);
/*
 * The same with inputs of any kind, one for each INPUT node. Inputs that are all zero are absent:
 * nodes and outputs that depend on them do not run, so that one graph can hold several stages,
 * each with an input of its own, between which other code computes. Those that are present have
 * the same n.
 */
qz_status qzi_exec_run_inputs(qzi_exec *exec, const qzi_exec_input *inputs, size_t input_count);
/*
 * The same run node by node, for passes that change a node before it runs: qzi_exec_begin, then
 * qzi_exec_step for each node in the graph's order with the same inputs. A node that no output
 * depends on is skipped. Several executors may take their steps in turn.
 */
qz_status qzi_exec_begin(qzi_exec *exec, const qzi_exec_input *inputs, size_t input_count);
qz_status qzi_exec_step(qzi_exec *exec, const qzi_exec_input *inputs, qz_value node);
/* The value of a node that the run needs (qzi_exec_needs): from its step on, or in a hook's call,
 * until the last node that reads the value has run. */
qzk_view qzi_exec_value(const qzi_exec *exec, qz_value node);
/* Whether the graph's one input is an image of 3 channels in uint8; *q: its parameters. */
bool qzi_exec_takes_bytes(const qzi_exec *exec, qzi_qparams *q);
/* One run of such a graph from bytes. The image must be inside its h x w. */
qz_status qzi_exec_run_image(qzi_exec *exec, const qzi_byte_image *image);
/* dtype, ndim and dims of output i (N x C when flat); no data. */
qz_status qzi_exec_output_shape(const qzi_exec *exec, size_t index, qz_tensor *tensor);
/* Output i as NCHW float32, dequantized where it is uint8. Only after qzi_exec_output_shape
 * succeeded. */
void qzi_exec_output(const qzi_exec *exec, size_t index, float *out);

/* Output i as it is, NHWC, until the next run: its node tells the type and the parameters. Only
 * where the last run computed it, else QZ_ERR_STATE. */
qz_status qzi_exec_output_view(const qzi_exec *exec, size_t index, const qzi_node **node,
                               qzk_view *view);

/* A value as dense NCHW float32, dequantized where it is uint8, and its bytes; room for all of it.
 * bytes: NULL unless the value is uint8. */
void qzi_view_to_nchw(const qz_context *ctx, uint32_t threads, const qzi_node *node,
                      const qzk_view *view, float *out, uint8_t *bytes);

/* Plan of a size without running it: arena and scratch bytes. */
qz_status qzi_exec_plan(qzi_exec *exec, const qzi_shape *inputs, size_t *arena_bytes);
size_t qzi_exec_arena_bytes(const qzi_exec *exec); /* held now: arena and scratch */

/*
 * The bytes that a node must move in a run, by this rule (nothing is measured):
 * - read: of each input, once, the bytes that its view owns for reading (kernels.h: n*h*w pixels of
 *   c floats, or of c bytes rounded up to a multiple of 4), even where strides skip pixels; of a
 *   slice its own channels only, of an INPUT the caller's floats; and `packed`;
 * - packed: what was packed of the node's weights, once, however often tiles read it;
 * - written: n*h*w pixels of c elements.
 * What a concat finds in its place, and all of a node that is only another view of its input,
 * count for nothing. Scratch, tables of 256 bytes and pointer tables are left out.
 */
typedef struct qzi_traffic {
    uint64_t read, packed, written;
} qzi_traffic;
/* In the size of the last run; zeros before. */
qzi_traffic qzi_exec_node_traffic(const qzi_exec *exec, qz_value node);
/* Whether the last run computed the node: an output depends on it. */
bool qzi_exec_needs(const qzi_exec *exec, qz_value node);
/* The convolution in whose run a node is done, as in the last run; QZ_NO_VALUE: in its own. */
qz_value qzi_exec_head(const qzi_exec *exec, qz_value node);

/* Bytes of the last run's plan (zeros before), and of scratch as it is held for all plans. */
typedef struct qzi_exec_memory {
    size_t planned;  /* arena that the plan needs */
    size_t liveness; /* most bytes of values alive at once: no plan can take less */
    size_t scratch;
} qzi_exec_memory;
qzi_exec_memory qzi_exec_memory_of(const qzi_exec *exec);

#endif
