/* SPDX-License-Identifier: MIT */
/*
 * boxes.h - boxes: anchors, decoding, suppression, and the best of many scores. Private.
 *
 * Numbers are torchvision 0.14's in float32, operation by operation. exp, log and log2 are those of
 * layers/base/math.c, rounded once, so that all machines have the same boxes. Callers are inside
 * qzi_fpenv_enter.
 */
#ifndef QZOO_ZOO_DETECTION_BOXES_H
#define QZOO_ZOO_DETECTION_BOXES_H

#include "layers/base/base.h"
#include "zoo/detection/detector.h"

#include <string.h>

typedef struct qzi_box {
    float x1, y1, x2, y2;
} qzi_box;

static inline float qzi_clip(float v, float most)
{
    return v < 0.0f ? 0.0f : v > most ? most : v; /* NaN stays */
}

/* clip_boxes_to_image */
static inline qzi_box qzi_box_clip(qzi_box b, int32_t height, int32_t width)
{
    const float h = (float)height, w = (float)width;
    return (qzi_box){qzi_clip(b.x1, w), qzi_clip(b.y1, h), qzi_clip(b.x2, w), qzi_clip(b.y2, h)};
}

/* remove_small_boxes keeps it. NaN is not kept. */
static inline bool qzi_box_large(qzi_box b, float min_size)
{
    return b.x2 - b.x1 >= min_size && b.y2 - b.y1 >= min_size;
}

/* resize_boxes, from an image of one size to one of another. */
typedef struct qzi_box_scale {
    float x, y;
} qzi_box_scale;
static inline qzi_box_scale qzi_box_scale_of(int32_t from_h, int32_t from_w, int32_t to_h,
                                             int32_t to_w)
{
    return (qzi_box_scale){(float)to_w / (float)from_w, (float)to_h / (float)from_h};
}
static inline qzi_box qzi_box_resize(qzi_box b, qzi_box_scale scale)
{
    return (qzi_box){b.x1 * scale.x, b.y1 * scale.y, b.x2 * scale.x, b.y2 * scale.y};
}

/* ---- anchors (anchors.c) ---- */

#define QZI_ANCHORS_MAX (QZI_ANCHOR_SIZES * QZI_ANCHOR_RATIOS) /* at a place */

typedef struct qzi_anchor_level {
    int32_t h, w;  /* places */
    int32_t count; /* at a place */
    int64_t first; /* of all levels' anchors, the first of this one */
    float stride_x, stride_y;
    qzi_box base[QZI_ANCHORS_MAX]; /* SSD: w and h, as shares of the image, in x1 and y1 */
} qzi_anchor_level;

typedef struct qzi_anchors {
    qzi_detector_kind kind;
    int32_t levels;
    float image_h, image_w; /* padded */
    int64_t count;          /* of all levels */
    qzi_anchor_level level[QZI_DETECTOR_LEVELS];
} qzi_anchors;

/*
 * The anchors of a padded image of image_h x image_w, whose maps have heights[k] x widths[k]
 * places: AnchorGenerator or DefaultBoxGenerator. QZ_ERR_ARGUMENT: a map without places.
 */
qz_status qzi_anchors_make(const qz_context *ctx, const qzi_detector *detector, int32_t image_h,
                           int32_t image_w, const int32_t *heights, const int32_t *widths,
                           qzi_anchors *anchors);
/* Anchor `index` of a level, in torchvision's order: rows, columns, anchors at the place. */
qzi_box qzi_anchor_at(const qzi_anchors *anchors, int32_t level, int64_t index);

/* ---- decoding (box_coder.c) ---- */

/* BoxCoder.decode of one box: weights wx, wy, ww, wh; dw and dh are cut at log(1000 / 16). */
qzi_box qzi_box_decode(const float delta[4], qzi_box anchor, const float weights[4]);
/* BoxLinearCoder(normalize_by_size=True).decode of one box. */
qzi_box qzi_box_decode_linear(const float delta[4], qzi_box anchor);

/* 1 / (1 + exp(-x)) in double, rounded once. NaN stays NaN. */
float qzi_sigmoid(float x);
/* x so that sigmoid(x) is p, in double; -inf where p <= 0, inf where p >= 1. */
double qzi_logit(double p);

/* ---- the best of many (top_k.c) ---- */

/*
 * A score and its index as one number: of two, the larger has the higher score or, of equal scores,
 * the lower index. That is the order of every sort here. Scores are not NaN.
 */
typedef uint64_t qzi_ranked;

static inline qzi_ranked qzi_rank(float score, uint32_t index)
{
    uint32_t bits;
    score = score + 0.0f; /* one zero */
    memcpy(&bits, &score, sizeof(bits));
    bits = (bits >> 31) != 0 ? ~bits : bits | UINT32_C(0x80000000);
    return (qzi_ranked)bits << 32 | (uint32_t)~index;
}
static inline float qzi_rank_score(qzi_ranked ranked)
{
    uint32_t bits = (uint32_t)(ranked >> 32);
    float score;
    bits = (bits >> 31) != 0 ? bits & UINT32_C(0x7fffffff) : ~bits;
    memcpy(&score, &bits, sizeof(score));
    return score;
}
static inline uint32_t qzi_rank_index(qzi_ranked ranked)
{
    return ~(uint32_t)ranked;
}

/* Highest first. Numbers differ from one another. */
void qzi_rank_sort(qzi_ranked *list, size_t count);

/*
 * Keeps the k best of any number of scores, in memory for about twice as many. What does not reach
 * `bar` is not among them; the bar rises.
 */
typedef struct qzi_top_k {
    qzi_ranked *list;
    size_t count, capacity, k;
    qzi_ranked bar;  /* a number must be above it */
    float bar_score; /* its score, for tests before the score of a place is computed */
} qzi_top_k;

/* Scores above `threshold`, at most k. QZ_ERR_MEMORY. qzi_top_k_free frees, also after failing. */
qz_status qzi_top_k_init(const qz_context *ctx, qzi_top_k *top, size_t k, float threshold);
void qzi_top_k_free(const qz_context *ctx, qzi_top_k *top);
void qzi_top_k_cut(qzi_top_k *top); /* to the k best; raises the bar */
static inline void qzi_top_k_add(qzi_top_k *top, float score, uint32_t index)
{
    if (!(score >= top->bar_score)) /* NaN too */
        return;
    const qzi_ranked ranked = qzi_rank(score, index);
    if (ranked <= top->bar)
        return;
    top->list[top->count++] = ranked;
    if (top->count == top->capacity)
        qzi_top_k_cut(top);
}
/* Cuts and sorts: list[0] to list[count - 1], the best first. */
void qzi_top_k_finish(qzi_top_k *top);

/* ---- suppression (nms.c) ---- */

/*
 * torchvision.ops.batched_nms: boxes of one group suppress those of lower scores whose IoU is above
 * `threshold`. Groups are 0 or more. Writes at most `most` indexes, the best score first, to keep;
 * *kept is their number. Up to 1000 boxes are moved apart by group as torchvision moves them, which
 * rounds their coordinates; more are compared as they are.
 * QZ_ERR_MEMORY, QZ_ERR_CANCELLED.
 */
qz_status qzi_batched_nms(const qz_context *ctx, uint32_t threads, const qzi_box *boxes,
                          const float *scores, const int32_t *groups, size_t count,
                          double threshold, size_t most, uint32_t *keep, size_t *kept);
/* The same without moving boxes. groups NULL: one group. */
qz_status qzi_grouped_nms(const qz_context *ctx, uint32_t threads, const qzi_box *boxes,
                          const float *scores, const int32_t *groups, size_t count,
                          double threshold, size_t most, uint32_t *keep, size_t *kept);
/* torchvision.ops.nms: the same without groups, and without moving boxes. */
qz_status qzi_nms(const qz_context *ctx, const qzi_box *boxes, const float *scores, size_t count,
                  double threshold, uint32_t *keep, size_t *kept);

#endif
