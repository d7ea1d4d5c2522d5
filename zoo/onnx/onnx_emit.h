/* SPDX-License-Identifier: MIT */
/*
 * onnx_emit.h - from nodes of a graph to nodes of an ONNX document. Private.
 *
 * onnx_float.c and onnx_pool.c write the float form of each op. onnx_qdq.c puts it between
 * DequantizeLinear and QuantizeLinear; onnx_qoperator.c has the integer forms. onnx_half.c decides
 * what half precision can hold.
 *
 * Values are named after the nodes that compute them: NAME is a number, NAME_quantized its byte.
 */
#ifndef QZOO_ZOO_ONNX_ONNX_EMIT_H
#define QZOO_ZOO_ONNX_ONNX_EMIT_H

#include "layers/graph/graph.h"
#include "zoo/detection/detector.h"
#include "zoo/onnx/onnx_doc.h"
#include "zoo/qzoo_onnx.h"
#include "zoo/qzoo_yolo.h"

/* The forms in which a value of the graph can be at hand. */
typedef enum qzi_onnx_form {
    QZI_ONNX_F32,
    QZI_ONNX_F16,
    QZI_ONNX_U8,
    QZI_ONNX_FORMS
} qzi_onnx_form;

typedef struct qzi_onnx_value {
    const char *name[QZI_ONNX_FORMS]; /* NULL: not made yet */
    const char *scale, *zero_point;   /* initializers of the uint8 form; NULL: not made yet */
} qzi_onnx_value;

typedef struct qzi_onnx_emit {
    qzi_onnx_doc doc;
    const qz_graph *graph;
    const qzi_shape *shapes;
    const qz_onnx_options *options; /* resolved: no zeros but batch */
    qzi_onnx_value *values;         /* by node */
    const bool *used;               /* by node: an output depends on it; others are left out */
    const bool *kept;               /* by node: float32 in a half precision file; NULL: all */
    bool half;                      /* what is written now computes in half precision */
    const qzi_detector *detector;   /* NULL: no detector */
    const qz_detection_options *detection;
    const qz_yolo_info *yolo; /* NULL: no YOLO */
    int32_t classes;
    const uint8_t *stage;          /* by node: qzi_detector_stage; NULL: the graph has one stage */
    int64_t rois[QZI_STAGE_COUNT]; /* of each stage but the first; QZI_ONNX_ROIS: any number */
    const char *boxes; /* what the stage that is written now is pooled in: x1 y1 x2 y2 of each */
} qzi_onnx_emit;

/* A float op about to be written. */
typedef struct qzi_onnx_call {
    qz_value value;        /* the node */
    const char *const *in; /* names of its inputs */
    const char *out;
    const char *weight, *bias; /* of a convolution or linear in int8; NULL: its own parameters */
    qz_activation act;         /* fused, to be written behind it */
} qzi_onnx_call;

/* ---- values (onnx_value.c) ---- */

/* Names a form of a value and notes that it is there. Its node is the caller's to write. */
const char *qzi_onnx_give(qzi_onnx_emit *e, qz_value value, qzi_onnx_form form);
/* The name of a form, made from another one (Cast, DequantizeLinear) where it is not there. */
const char *qzi_onnx_want(qzi_onnx_emit *e, qz_value value, qzi_onnx_form form);
/* Names of all inputs of a node in a form. */
const char *const *qzi_onnx_want_inputs(qzi_onnx_emit *e, const qzi_node *node, qzi_onnx_form form);
/* Scale and zero point of a value, as initializers. By channel [c, 1, 1] ([c] of features) and
 * [c]. */
const char *qzi_onnx_scale(qzi_onnx_emit *e, qz_value value);
const char *qzi_onnx_zero_point(qzi_onnx_emit *e, qz_value value);
/* A QuantizeLinear or DequantizeLinear with the parameters of a value. By channel the scale is in a
 * Div before or a Mul behind it, and only the zero point has an axis: onnxruntime makes integer ops
 * of what is between nodes with one scale and of what is between nodes with several alike, and then
 * refuses these. */
void qzi_onnx_quantizer(qzi_onnx_emit *e, qz_value value, const char *op, const char *name,
                        const char *in, const char *out);
/* How many images or RoIs the value has: 0 or QZI_ONNX_ROIS where any number goes. */
int64_t qzi_onnx_batch(const qzi_onnx_emit *e, qz_value value);
/* NxCxHxW, or NxC. Returns how many dims there are. */
int32_t qzi_onnx_dims(const qzi_onnx_emit *e, qz_value value, int64_t dims[4]);

/* A float parameter of the node, in the precision of the moment, under its key and shape; with
 * `dims` under another shape of as many elements. */
const char *qzi_onnx_param(qzi_onnx_emit *e, const qzi_node *node, int which, int32_t ndim,
                           const int64_t *dims);
/* Constants NAME_SUFFIX: a number in the precision of the moment; a row of int64. */
const char *qzi_onnx_number(qzi_onnx_emit *e, const char *name, const char *suffix, float v);
const char *qzi_onnx_row(qzi_onnx_emit *e, const char *name, const char *suffix, const int64_t *v,
                         size_t count);
/* Floats of any number, in the precision of the moment; they must outlive the document. */
const char *qzi_onnx_floats(qzi_onnx_emit *e, const char *name, int32_t ndim, const int64_t *dims,
                            const float *v);

/* ---- ops ---- */

/* Writes the float form of a node (onnx_float.c); some ops have files of their own. */
qz_status qzi_onnx_float_op(qzi_onnx_emit *e, const qzi_onnx_call *call);
void qzi_onnx_conv_transpose(qzi_onnx_emit *e, const qzi_onnx_call *call, const char *out);
void qzi_onnx_group_norm(qzi_onnx_emit *e, const qzi_onnx_call *call, const char *out);
void qzi_onnx_l2_norm(qzi_onnx_emit *e, const qzi_onnx_call *call, const char *out);
qz_status qzi_onnx_max_pool(qzi_onnx_emit *e, const qzi_onnx_call *call);
qz_status qzi_onnx_avg_pool(qzi_onnx_emit *e, const qzi_onnx_call *call);
qz_status qzi_onnx_adaptive_pool(qzi_onnx_emit *e, const qzi_onnx_call *call);
qz_status qzi_onnx_resize(qzi_onnx_emit *e, const qzi_onnx_call *call); /* onnx_resize.c */
/* Attributes of a pool; false where they cannot express its window (a Pad must precede it). */
bool qzi_onnx_pool_pads(const qzi_onnx_emit *e, qz_value value, int64_t pads[4]);
void qzi_onnx_pool_attrs(qzi_onnx_emit *e, const qzi_node *node, QziOnnx__NodeProto *made,
                         const int64_t pads[4]);
void qzi_onnx_conv_attrs(qzi_onnx_emit *e, const qzi_node *node, QziOnnx__NodeProto *made);
/* Ops whose output is their input: nothing is written for them. */
bool qzi_onnx_is_alias(const qzi_node *node);

/* int8 nodes (uint8 value): quantized input, then bytes. */
qz_status qzi_onnx_qdq_op(qzi_onnx_emit *e, qz_value value);       /* onnx_qdq.c */
qz_status qzi_onnx_qoperator_op(qzi_onnx_emit *e, qz_value value); /* onnx_qoperator.c */

/* int8 weights of a node as initializers: NAME.weight, NAME.weight_scale, … (onnx_qdq.c). */
typedef struct qzi_onnx_weights {
    const char *w, *scale, *zero_point, *bias;
    const char *numbers; /* the weights in float, in place of the first three; NULL: those */
    bool per_channel;
} qzi_onnx_weights;
qzi_onnx_weights qzi_onnx_int8_weights(qzi_onnx_emit *e, const qzi_node *node);
/* What a fused clamp still takes from the bytes of the value; false: nothing. */
bool qzi_onnx_clamp_range(const qzi_node *node, int32_t *lo, int32_t *hi);
/* Whether the node computes by CONTRACT.md's formulas by channel: no integer form says that. */
bool qzi_onnx_by_channel(const qzi_onnx_emit *e, qz_value value);
/* Dequantized, the node's float form, quantized: where no integer form is. */
qz_status qzi_onnx_through_float(qzi_onnx_emit *e, qz_value value);

/* ---- half precision (onnx_half.c) ---- */

uint16_t qzi_onnx_half(float x); /* to nearest, ties to even; too large: infinity */
/*
 * Decides by weights, and by running the images where there are any, which of the nodes `used` stay
 * in float32. kept has an entry for each node. `packed` and images may be NULL.
 */
struct qzi_packed;
qz_status qzi_onnx_half_plan(const qz_graph *graph, const struct qzi_packed *packed,
                             const qz_onnx_options *options, const bool *used, bool *kept);

#endif
