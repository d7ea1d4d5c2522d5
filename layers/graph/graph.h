/* SPDX-License-Identifier: MIT */
/*
 * graph.h - the graph (IR): nodes, values, parameters. Private to the library; passes (fuse,
 * prepare, convert, export) read and change it through this header.
 *
 * One node gives one value, and value i is nodes[i]'s: their indexes are the same. Nodes stand in
 * an order in which every input precedes its reader. Passes that remove or insert nodes build a
 * new order with qzi_graph_rewrite.
 */
#ifndef QZOO_LAYERS_GRAPH_GRAPH_H
#define QZOO_LAYERS_GRAPH_GRAPH_H

#include "layers/base/base.h"
#include "layers/qzoo_graph.h"

/* X(enumerator, printed name) */
#define QZI_OP_MAP(X)                             \
    X(INPUT, "input")                             \
    X(CONV2D, "conv2d")                           \
    X(LINEAR, "linear")                           \
    X(BATCH_NORM2D, "batch_norm2d")               \
    X(ACTIVATION, "activation")                   \
    X(MAX_POOL2D, "max_pool2d")                   \
    X(AVG_POOL2D, "avg_pool2d")                   \
    X(ADAPTIVE_AVG_POOL2D, "adaptive_avg_pool2d") \
    X(FLATTEN, "flatten")                         \
    X(ADD, "add")                                 \
    X(CONCAT, "concat")                           \
    X(DROPOUT, "dropout")                         \
    X(QUANTIZE, "quantize")                       \
    X(DEQUANTIZE, "dequantize")

typedef enum qzi_op {
#define QZI_OP_ENUM(name, text) QZI_OP_##name,
    QZI_OP_MAP(QZI_OP_ENUM)
#undef QZI_OP_ENUM
        QZI_OP_COUNT
} qzi_op;

typedef struct qzi_qparams {
    float scale; /* 0: none */
    int32_t zero_point;
} qzi_qparams;

/* int8 weights of a converted convolution or linear: canonical (OIHW), not packed. */
typedef struct qzi_qweights {
    int8_t *w;       /* [oc][ic/groups][kh][kw] */
    float *scales;   /* [oc]; equal entries when per tensor */
    int32_t *bias;   /* [oc], b32 of CONTRACT.md; never NULL */
    float *bias_f32; /* [oc], the float bias it came from (export, analysis); never NULL */
    bool per_channel;
} qzi_qweights;

/* A named tensor of torch's state_dict. Owned by the graph. */
typedef struct qzi_param {
    char *key;
    qz_tensor tensor; /* float32, or int64 scalar for num_batches_tracked; data from qzi_alloc */
    bool trainable;
    bool optional; /* num_batches_tracked: may be missing from a file */
} qzi_param;

/* Indexes of a node's parameters in graph->params; -1 where it has none. */
enum { QZI_P_WEIGHT, QZI_P_BIAS, QZI_P_MEAN, QZI_P_VAR, QZI_P_BATCHES, QZI_P_COUNT };

typedef struct qzi_conv2d_attr {
    int32_t ic, oc, kh, kw, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, groups;
} qzi_conv2d_attr;

typedef struct qzi_pool2d_attr {
    int32_t kh, kw, stride_h, stride_w, pad_h, pad_w;
    bool ceil_mode, count_exclude_pad;
} qzi_pool2d_attr;

typedef struct qzi_node {
    qzi_op op;
    char *name;  /* dotted */
    char *fused; /* "bn1+relu": names that fuse merged into this node; NULL: none */
    size_t in_count;
    qz_value *in;
    int32_t param[QZI_P_COUNT];
    qz_activation act; /* fused, or the function of an ACTIVATION node */
    union {
        qzi_conv2d_attr conv; /* CONV2D; LINEAR as 1x1 (ic, oc) */
        qzi_pool2d_attr pool; /* MAX_POOL2D, AVG_POOL2D */
        struct {
            int32_t out_h, out_w;
        } adaptive; /* ADAPTIVE_AVG_POOL2D */
        struct {
            float eps;
        } bn;
        struct {
            float p;
        } dropout;
        struct {
            int32_t index;
        } input; /* which input of the graph */
    } u;

    /* the value that it gives */
    int32_t c;      /* channels or features */
    int32_t h, w;   /* 0: depends on the input's size */
    bool flat;      /* N x c, no height and width */
    qz_dtype dtype; /* F32, or U8 with q */
    qzi_qparams q;  /* of the value; scale 0 for F32 values that nobody observed */

    /* int8 (after convert) */
    qzi_qweights *qw; /* CONV2D, LINEAR */
    uint8_t *tables;  /* CONCAT: in_count x 256 (identity rows where bytes move) */
    char *fallback;   /* why the node stays float in an int8 graph; NULL */
} qzi_node;

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

    int64_t list_shape[4]; /* size for which qz_graph_node_at tells macs and shapes */
};

/* ---- building and changing (build.c, graph.c)
 * ---------------------------------------------------- */

const char *qzi_op_name(qzi_op op);

/* Deep copy of nodes, marks and outputs; parameters are copied with their data when `data`. */
qz_status qzi_graph_clone(const qz_graph *graph, bool data, qz_graph **copy);

/* Node index by dotted name; also finds a scope's output ("layer1.0"). -1: unknown. */
qz_value qzi_graph_find(const qz_graph *graph, const char *name);
const qzi_param *qzi_node_param(const qz_graph *graph, const qzi_node *node, int which);
qzi_param *qzi_graph_param(qz_graph *graph, const char *key); /* by key; NULL */
/* Number of readers of a value, graph outputs counted. */
size_t qzi_graph_readers(const qz_graph *graph, qz_value value);
/* Gives a conv or linear without bias a zeroed one, named <node>.bias. */
qz_status qzi_node_add_bias(qz_graph *graph, qz_value node);

/*
 * Rewrites the graph: `keep[i]` false removes node i and sends its readers (marks and outputs too)
 * to `redirect[i]`, an earlier node that stays or is itself redirected.
 */
qz_status qzi_graph_remove(qz_graph *graph, const bool *keep, const qz_value *redirect);

/*
 * Inserts a node of `op` named `name` that reads value `x`, right after it (or, for several
 * insertions, in the order made); the readers for which `readers[i]` is true (i: node index before
 * the insertion) read the new value instead, outputs too when `outputs`. Indexes of later nodes
 * shift by one. Returns the new value in *inserted. The new node copies c, h, w, flat from x;
 * dtype and q are the caller's to set.
 */
qz_status qzi_graph_insert(qz_graph *graph, qz_value x, qzi_op op, const char *name,
                           const bool *readers, bool outputs, qz_value *inserted);

/* Checks order, types, shapes, parameters; QZ_ERR_INTERNAL or _ARGUMENT with the node's name. */
qz_status qzi_graph_verify(const qz_graph *graph);

/* ---- shapes (shape.c)
 * ------------------------------------------------------------------------------ */

typedef struct qzi_shape {
    int32_t n, h, w, c;
} qzi_shape;

/*
 * Shapes of all values for given input shapes (NCHW float32 tensors' n, h, w), into shapes[node].
 * QZ_ERR_ARGUMENT names the node whose kernel does not fit, or which would be too large.
 */
qz_status qzi_graph_shapes(const qz_graph *graph, const qzi_shape *inputs, qzi_shape *shapes);
uint64_t qzi_node_macs(const qzi_node *node,
                       const qzi_shape *out); /* conv and linear, one batch row: all n */

#endif
