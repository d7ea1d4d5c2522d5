/* SPDX-License-Identifier: MIT */
/*
 * onnx_post.h - what detectors of one and of two stages share of their post-processing as ONNX
 * operators. Private.
 *
 * Thresholds are the operators' own: NonMaxSuppression leaves out scores that are not above its
 * threshold, and a score of -1 is above none.
 */
#ifndef QZOO_ZOO_ONNX_ONNX_POST_H
#define QZOO_ZOO_ONNX_ONNX_POST_H

#include "zoo/detection/boxes.h"
#include "zoo/detection/outputs.h"
#include "zoo/onnx/onnx_detect.h"

/* ---- values of heads ---- */

/* Output "name.level" as rows of `per_anchor` numbers, in the order of anchors: rows of places,
 * columns, anchors at a place. */
const char *qzi_post_rows(const qzi_onnx_part *p, const char *name, int32_t level,
                          int32_t per_anchor);
const char *qzi_post_flat(const qzi_onnx_part *p, const char *name, const char *x);
/* sigmoid(x) from exp(-|x|), so that it is exact near 1 too. Runtimes compute the operator Sigmoid
 * with an error that is larger than what tells large scores apart; their order decides what is
 * kept. */
const char *qzi_post_sigmoid(const qzi_onnx_part *p, const char *name, const char *x);

/* ---- boxes ---- */

/* Boxes as centres and sizes, … x 2 each. */
typedef struct qzi_post_boxes {
    const char *centres, *sizes;
} qzi_post_boxes;

/* The anchors of the file's input size. head: an output of each level. */
qz_status qzi_post_anchors(const qzi_onnx_emit *e, const char *head, qzi_anchors *anchors);
/* A level's anchors as constants. */
qzi_post_boxes qzi_post_anchor_table(const qzi_onnx_part *p, const qzi_anchors *anchors,
                                     int32_t level);
/* BoxCoder.decode of … x 4 deltas, then clip_boxes_to_image: … x 4. */
const char *qzi_post_decode(const qzi_onnx_part *p, const char *deltas, qzi_post_boxes from,
                            const float weights[4]);
/* clip_boxes_to_image: … x 4. */
const char *qzi_post_clip(const qzi_onnx_part *p, const char *name, const char *boxes);
/* remove_small_boxes: scores in which those of boxes shorter than `least` are -1. shape: that of
 * the scores. */
const char *qzi_post_drop_small(const qzi_onnx_part *p, const char *boxes, const char *scores,
                                const int64_t *shape, size_t ndim, float least);

/* ---- suppression ---- */

/* Where the kept boxes were, a row of int64 each. */
typedef struct qzi_post_kept {
    const char *batch, *label, *box;
} qzi_post_kept;

/* boxes: B x K x 4; scores: B x C x K; at most `most` of each of the B x C groups. */
qzi_post_kept qzi_post_nms(const qzi_onnx_part *p, const char *boxes, const char *scores,
                           int64_t most, double overlap, float above);

/* Scores of each class apart: 1 x classes x candidates, -1 where one is of another class. */
const char *qzi_post_by_class(const qzi_onnx_part *p, const char *scores, const char *labels);

/* K x 4, K, K. */
typedef struct qzi_post_list {
    const char *boxes, *scores, *labels;
} qzi_post_list;

/* The `count` highest scores, `none` where there are fewer; *indices for qzi_post_padded. */
const char *qzi_post_best(const qzi_onnx_part *p, const char *scores, int64_t count, float none,
                          const char **indices);
/* The entries of x that belong to them, zeros where there are fewer. columns 0: x is a row. */
const char *qzi_post_padded(const qzi_onnx_part *p, const char *name, const char *x, qz_dtype dtype,
                            int64_t count, int64_t columns, const char *indices);

void qzi_post_output(qzi_onnx_emit *e, const char *name, const char *value, qz_dtype dtype,
                     int32_t ndim, const int64_t *dims);
/* The best `count` of those in the list whose indices are `kept`; zeros where there are fewer.
 * Where scores are equal, the first in the list comes first. */
void qzi_post_pick(const qzi_onnx_part *p, const qzi_post_list *list, const char *kept,
                   int64_t count, qzi_post_list *out);
/* The outputs boxes, scores and labels of `count` objects. */
void qzi_post_outputs(qzi_onnx_emit *e, const qzi_post_list *found, int64_t count);
/* Both. */
void qzi_post_detections(const qzi_onnx_part *p, const qzi_post_list *list, const char *kept,
                         int64_t count, qzi_post_list *out);

/* Boxes of each class but the background apart, and the options. */
typedef struct qzi_post_batches {
    int64_t classes, each; /* boxes of each class */
    bool boxes_first;      /* each x classes (x 4) in place of classes x each (x 4) */
    int64_t most;
    double overlap;
    float above;
} qzi_post_batches;

/* The same after suppression in each class. */
qz_status qzi_post_class_batches(const qzi_onnx_part *p, const char *boxes, const char *scores,
                                 const qzi_post_batches *b, qzi_post_list *out);

/* ---- whole detectors ---- */

qz_status qzi_onnx_post_one_stage(qzi_onnx_emit *e);
qz_status qzi_onnx_post_yolo(qzi_onnx_emit *e);
/* The proposals (R x 4); *valid: R x 1, whether there is one. */
const char *qzi_onnx_post_rpn(qzi_onnx_emit *e, const char **valid);
/* After the box stage: the outputs boxes, scores, labels; *boxes: D x 4, *labels: D. */
qz_status qzi_onnx_post_boxes(qzi_onnx_emit *e, const char *proposals, const char *valid,
                              qzi_post_list *out);
/* After the mask stage: the output masks. */
qz_status qzi_onnx_post_masks(qzi_onnx_emit *e, const char *labels);

#endif
