/* SPDX-License-Identifier: MIT */
/*
 * ops.h - what a node of the graph is, and what each op knows: its validation, its shape rule, how
 * it packs its weights, how it runs in float and in int8.
 *
 * One file an op (conv2d.c, pool.c, ...); the graph and the executor call ops through the table
 * qzi_op_get and know nothing of any single one.
 */
#ifndef QZOO_LAYERS_OPS_OPS_H
#define QZOO_LAYERS_OPS_OPS_H

#include "layers/base/base.h"
#include "layers/kernels/kernels.h"
#include "layers/qzoo_graph.h"

/* X(enumerator, word): the word is the printed name and that of the op class qzi_op_<word>. */
#define QZI_OP_MAP(X)                           \
    X(INPUT, input)                             \
    X(CONV2D, conv2d)                           \
    X(LINEAR, linear)                           \
    X(BATCH_NORM2D, batch_norm2d)               \
    X(CONV_TRANSPOSE2D, conv_transpose2d)       \
    X(LAYER_NORM, layer_norm)                   \
    X(GROUP_NORM, group_norm)                   \
    X(L2_NORM, l2_norm)                         \
    X(LAYER_SCALE, layer_scale)                 \
    X(CHANNEL_AFFINE, channel_affine)           \
    X(ACTIVATION, activation)                   \
    X(MAX_POOL2D, max_pool2d)                   \
    X(AVG_POOL2D, avg_pool2d)                   \
    X(ADAPTIVE_AVG_POOL2D, adaptive_avg_pool2d) \
    X(FLATTEN, flatten)                         \
    X(ADD, add)                                 \
    X(MUL, mul)                                 \
    X(CONCAT, concat)                           \
    X(SLICE, slice)                             \
    X(CHANNEL_SHUFFLE, channel_shuffle)         \
    X(RESIZE2D, resize2d)                       \
    X(DROPOUT, dropout)                         \
    X(STOCHASTIC_DEPTH, stochastic_depth)       \
    X(QUANTIZE, quantize)                       \
    X(DEQUANTIZE, dequantize)

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

/* Quantization parameters by channel of a uint8 value: CONTRACT.md, "by channel". */
typedef struct qzi_channel_q {
    float *scale;        /* [c], positive and finite */
    uint8_t *zero_point; /* [c] */
} qzi_channel_q;

/* int8 weights of a converted convolution or linear: canonical (as torch's parameter), not packed.
 */
typedef struct qzi_qweights {
    int8_t *w;       /* [oc][ic/groups][kh][kw]; CONV_TRANSPOSE2D: [ic][oc/groups][kh][kw] */
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
    int32_t call;      /* above 0: a further call of a layer, whose parameters it shares */
    qz_activation act; /* fused, or the function of an ACTIVATION node */
    union {
        qzi_conv2d_attr conv; /* CONV2D; LINEAR as 1x1 (ic, oc); CONV_TRANSPOSE2D */
        struct {
            qzi_conv2d_attr conv;
            int32_t out_pad_h, out_pad_w;
        } transpose;          /* CONV_TRANSPOSE2D; u.conv is its first member */
        qzi_pool2d_attr pool; /* MAX_POOL2D, AVG_POOL2D */
        struct {
            int32_t out_h, out_w;
        } adaptive; /* ADAPTIVE_AVG_POOL2D */
        struct {
            float eps;
            int32_t groups; /* GROUP_NORM */
        } bn;               /* BATCH_NORM2D, LAYER_NORM, GROUP_NORM */
        struct {
            float p;
        } dropout; /* DROPOUT, STOCHASTIC_DEPTH */
        struct {
            int32_t first;
            /* above 0: of every `period` channels `run` ones, qz_pick_channels */
            int32_t run, period;
        } slice; /* SLICE; the node's c is the count */
        struct {
            int32_t groups;
        } shuffle; /* CHANNEL_SHUFFLE */
        struct {
            qz_resize_mode mode;
        } resize; /* RESIZE2D; in[1] is read for its size alone */
        struct {
            int32_t index;
        } input; /* which input of the graph */
    } u;

    float *constants; /* CHANNEL_AFFINE: scale[c], shift[c] */

    /* the value that it computes */
    int32_t c;      /* channels or features */
    int32_t h, w;   /* 0: depends on the input's size */
    bool flat;      /* N x c, no height and width */
    qz_dtype dtype; /* F32, or U8 with q */
    qzi_qparams q;  /* of the value; scale 0 for F32 values that nobody observed */
    /* uint8: parameters by channel, owned by the node; NULL: q holds for all channels. With them,
     * q has the largest scale and the zero point of channel 0, for messages only. */
    qzi_channel_q *channel_q;

    /* int8 (after convert) */
    qzi_qweights *qw; /* CONV2D, LINEAR, CONV_TRANSPOSE2D */
    uint8_t *tables;  /* 256 entries an input; CONCAT (identity where bytes move), ACTIVATION */
    char *fallback;   /* why the node stays float in an int8 graph; NULL */
    /* int8 graph: the node of the float graph that has the same value; QZ_NO_VALUE: none, this one
     * carries a value between precisions */
    qz_value source;
} qzi_node;

/* The scale and the zero point of channel `c` of a uint8 value. */
static inline float qzi_q_scale(const qzi_node *node, int32_t c)
{
    return node->channel_q ? node->channel_q->scale[c] : node->q.scale;
}

static inline int32_t qzi_q_zero(const qzi_node *node, int32_t c)
{
    return node->channel_q ? node->channel_q->zero_point[c] : node->q.zero_point;
}

/* The channel of its input that channel `c` of a SLICE is. */
static inline int32_t qzi_slice_channel(const qzi_node *node, int32_t c)
{
    const int32_t run = node->u.slice.run;
    return node->u.slice.first +
           (node->u.slice.period > 0 ? c / run * node->u.slice.period + c % run : c);
}

/* Inputs whose data the node reads, the first ones; of the others only the size matters. */
static inline size_t qzi_node_data_count(const qzi_node *node)
{
    return node->op == QZI_OP_RESIZE2D ? 1 : node->in_count;
}

typedef struct qzi_shape {
    int32_t n, h, w, c;
} qzi_shape;

/* ---- ops ---- */

/* What an op made of a node's weights for the kernels of one bundle. */
typedef struct qzi_packed_node {
    const qzk_conv_kernel *kernel; /* conv and linear */
    void *blob;                    /* a part of the graph's block; NULL: nothing packed */
    size_t bytes;
} qzi_packed_node;

/* A node with everything that its op may look at. */
typedef struct qzi_op_node {
    const qz_context *ctx;
    const qzi_node *node;
    const qzi_node *const *inputs;        /* nodes that compute the inputs, in_count of them */
    const qz_tensor *params[QZI_P_COUNT]; /* NULL where the node has none */
    /* pack: the value's shape for one image of the usual size, where Winograd's algorithm may be
     * chosen by it; NULL: direct convolutions only */
    const qzi_shape *winograd;
} qzi_op_node;

/*
 * An 8-bit RGB image as the input of a uint8 graph: rows of 3 bytes a pixel, and for each channel
 * the byte that each byte becomes. It may be smaller than the network's input of h x w; pixels
 * around it are black.
 */
typedef struct qzi_byte_image {
    const uint8_t *rows;
    size_t stride;               /* bytes between rows */
    int32_t h, w;                /* of the network's input */
    int32_t left, top;           /* where the image begins in it */
    int32_t columns, rows_in;    /* of the image */
    const uint8_t (*table)[256]; /* [3] */
} qzi_byte_image;

/* Writes the whole value of an INPUT node, NHWC: float32, or uint8 with the node's parameters.
 * Called on the thread of the run, which may share its work among `threads`. */
typedef void (*qzi_input_fill)(void *user, const qz_context *ctx, const qzi_node *node,
                               const qzk_view *out, uint32_t threads);

/* Where the value of an INPUT node comes from: one of the three, or none of them. */
typedef struct qzi_exec_input {
    const qz_tensor *tensor;     /* NCHW float32 */
    const qzi_byte_image *image; /* one image, for an input of 3 channels in uint8 */
    qzi_input_fill fill;         /* n, h and w: the size of what it writes */
    void *user;                  /* of fill */
    int32_t n, h, w;
    bool finite; /* the caller knows that the tensor has no NaN and no infinity */
} qzi_exec_input;

/* One execution of a node. */
typedef struct qzi_op_run qzi_op_run;
typedef struct qzi_op_class qzi_op_class;
struct qzi_op_run {
    const qz_context *ctx;
    const qzi_op_class *op;
    const qzk_kernels *kernels;
    const qzi_node *node;
    const qzi_node *const *inputs;
    const qzi_packed_node *packed;
    const qzk_view *in; /* in_count views */
    qzk_view out;
    /* concat: in[i] is already in its place in out */
    const bool *in_placed;
    const qzi_exec_input *external; /* INPUT: the caller's */
    uint32_t threads;
    void *scratch; /* threads pieces of scratch_stride bytes */
    size_t scratch_stride;
    /* convolutions: element-wise nodes to apply to each region of the output as soon as it is
     * final, in order, each in place over the one before (plan.h) */
    const qzi_op_run *const *followers;
    size_t follower_count;
};

struct qzi_op_class {
    qzi_op op;
    /* Types, parameters and attributes fit; messages name the node. */
    qz_status (*validate)(const qzi_op_node *n);
    /* Output shape from the inputs' shapes (c is already known: checked only). */
    qz_status (*shape)(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out);
    /* Called twice: without a blob it says how many bytes that takes (and which kernel), then it
     * fills the blob. NULL: nothing to pack. */
    qz_status (*pack)(const qzi_op_node *n, const qzk_kernels *kernels, qzi_packed_node *packed);
    /* Scratch bytes per thread of an execution; NULL: none. */
    size_t (*scratch)(const qzi_op_run *r);
    void (*run)(const qzi_op_run *r);
    /* Ops that compute each element from those at its place alone: a region. NULL: it does not. */
    void (*apply)(const qzi_op_run *r, qzk_region region);
    bool in_place; /* the output may overwrite input 0 (of an addition: input 1 too) */
    bool alias;    /* the output is input 0 (dropout; flatten of 1x1; slice where it can) */
    /* uint8 values of these may have parameters by channel: its inputs, its output */
    bool reads_channel_q, writes_channel_q;
};

const qzi_op_class *qzi_op_get(qzi_op op);
const char *qzi_op_name(qzi_op op);

/* Gives a node copies of c scales and zero points in place of its own, and q to match. */
qz_status qzi_node_set_channel_q(const qz_context *ctx, qzi_node *node, const float *scale,
                                 const uint8_t *zero_point);
void qzi_channel_q_free(const qz_context *ctx, qzi_channel_q *channel_q);

/*
 * Whether a uint8 node computes by CONTRACT.md's formulas "by channel": its value or an input has
 * parameters by channel, or it is a convolution or linear with a residual (a second input) or with
 * a function that is no clamp. Otherwise by the formulas of uint8.
 */
bool qzi_by_channel(const qzi_op_node *n);
bool qzi_run_by_channel(const qzi_op_run *r); /* the same of an execution */

/* Whether it multiplies by weights that become int8: convolutions and linear. */
bool qzi_op_has_weights(qzi_op op);

/* Multiply-adds of convolutions and linear (all n rows); 0 for other ops. */
uint64_t qzi_node_macs(const qzi_node *node, const qzi_shape *out);

/* Whether the numbers make a convolution: QZ_ERR_ARGUMENT, or QZ_ERR_UNSUPPORTED where an exact
 * int32 sum could overflow. */
qz_status qzi_conv2d_check(const qz_context *ctx, const char *name, const qzi_conv2d_attr *attr);

/* The same of a transposed convolution. */
qz_status qzi_conv_transpose2d_check(const qz_context *ctx, const qzi_node *node);

/* Index in torch's weights [ic][oc/groups][kh][kw] of input channel i of o's group (below
 * ic/groups), output channel o, tap t (below kh*kw). */
static inline int64_t qzi_conv_transpose2d_index(const qzi_conv2d_attr *a, int64_t i, int64_t o,
                                                 int64_t t)
{
    const int64_t icg = a->ic / a->groups, ocg = a->oc / a->groups;
    return ((o / ocg * icg + i) * ocg + o % ocg) * a->kh * a->kw + t;
}

/* The kernels' view of a conv or linear node. */
qzk_conv_shape qzi_conv_shape(const qzi_conv2d_attr *attr);

/* Whether other layers may have it fused, as a clamp: NONE, RELU, RELU6. */
bool qzi_act_is_clamp(qz_activation act);
const char *qzi_act_name(qz_activation act); /* "relu", …; "" for NONE */

/* An activation of a run of floats. */
void qzi_act_f32(const qzk_kernels *kernels, qz_activation act, const float *x, float *y, size_t n);

/* CONTRACT.md, tables: byte to byte, from values with parameters x to values with parameters y. */
void qzi_act_table(qz_activation act, qzi_qparams x, qzi_qparams y, uint8_t table[256]);

/* The same for values that stay; the identity where the parameters are equal. */
void qzi_requant_table(qzi_qparams x, qzi_qparams y, uint8_t table[256]);

/* The range that a fused activation leaves, for uint8 values with parameters q. */
void qzi_act_range_u8(qz_activation act, const qzi_qparams *q, int32_t *lo, int32_t *hi);
void qzi_act_range_f32(qz_activation act, float *lo, float *hi);

/* The same for a value that may have parameters by channel: one range of bytes for all channels.
 * qzi_check_range: QZ_ERR_INTERNAL where there is no such range. */
void qzi_act_range_channels(const qzi_node *node, int32_t *lo, int32_t *hi);
qz_status qzi_check_range(const qzi_op_node *n);

/*
 * By channel: QZ_ERR_NUMERIC where v = x * mult + shift could be NaN, or as large as 2^60, for
 * |x| <= x_max. Kernels then need no test for NaN.
 */
qz_status qzi_check_magnitude(const qzi_op_node *n, int32_t c, float x_max, float mult,
                              float shift);

/* Whether bytes of uint8 value x are the same numbers in y, from `channel` of y on. */
bool qzi_same_q(const qzi_node *x, const qzi_node *y, int32_t channel);

/* For ops that only move values: type, scale and zero point are those of input 0. */
qz_status qzi_check_moves(const qzi_op_node *n);

/* Channels and type are those of input 0. */
qz_status qzi_check_alike(const qzi_op_node *n);

/* A uint8 node: it and all its inputs have scales. */
qz_status qzi_check_scales(const qzi_op_node *n);

/* Parameters WEIGHT ... last have data: else QZ_ERR_STATE. */
qz_status qzi_check_loaded(const qzi_op_node *n, int last);

/* shape() of ops whose output is as large as input 0. */
qz_status qzi_shape_kept(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out);

/* Elements between pixels of a value that has storage of its own. */
int64_t qzi_pixel_stride(qz_dtype dtype, int32_t c);

/* fn(arg, begin, end) over all pixels of a view, in parallel: the common way of element-wise ops.
 */
typedef void (*qzi_pixels_fn)(const qzi_op_run *r, int64_t begin, int64_t end);
void qzi_run_pixels(const qzi_op_run *r, int64_t pixels, int64_t bytes_per_pixel, qzi_pixels_fn fn);

/* run() of an op that has apply(); bytes that it reads and writes for an element. */
void qzi_run_elements(const qzi_op_run *r, int64_t bytes);

/* The element of a view where a region begins; its type is the view's. */
#define QZI_AT(type, view, region) \
    ((type *)(view)->data + (region).first * (view)->pixel_stride + (region).channel)

/* The pixels of a region, from view x to view y. */
#define QZI_ROWS(type, x, y, region)                 \
    (&(qzk_rows){.x = QZI_AT(const type, x, region), \
                 .y = QZI_AT(type, y, region),       \
                 .pixels = (size_t)(region).count,   \
                 .c = (size_t)(region).channels,     \
                 .x_stride = (x)->pixel_stride,      \
                 .y_stride = (y)->pixel_stride})

#define QZI_OP_CLASS(NAME, name) extern const qzi_op_class qzi_op_##name;
QZI_OP_MAP(QZI_OP_CLASS)
#undef QZI_OP_CLASS

#endif
