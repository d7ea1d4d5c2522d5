/* SPDX-License-Identifier: MIT */
/*
 * post.h - from the heads' values to boxes, one file a family: retinanet_post.c, fcos_post.c,
 * ssd_post.c, rcnn_post.c; rpn.c for proposals. Private.
 *
 * Order and rules are torchvision's. Where scores are equal, the lower index comes first (PyTorch
 * leaves it open). Only values that can still matter are computed: what a threshold or a full list
 * excludes is skipped by its logit.
 */
#ifndef QZOO_ZOO_DETECTION_POST_H
#define QZOO_ZOO_DETECTION_POST_H

#include "zoo/detection/boxes.h"
#include "zoo/detection/maps.h"

/* What all families look at. */
typedef struct qzi_post {
    const qz_context *ctx;
    uint32_t threads;
    const qzi_detector *detector;
    const qz_detection_options *options;
    int32_t classes;          /* with the background where the kind has one */
    int32_t image_h, image_w; /* resized, without padding: what boxes are clipped to */
    const qzi_anchors *anchors;
} qzi_post;

/* Boxes in the resized image, with scores and labels; arrays of the same length. */
typedef struct qzi_found {
    qzi_box *boxes;
    float *scores;
    int32_t *labels;
    size_t count, capacity;
} qzi_found;

void qzi_found_free(const qz_context *ctx, qzi_found *found);
/* Room for `more` more. QZ_ERR_MEMORY with the list unchanged. */
qz_status qzi_found_reserve(const qz_context *ctx, qzi_found *found, size_t more);
void qzi_found_add(qzi_found *found, qzi_box box, float score, int32_t label);
/* The boxes `keep`, in its order, in place of all. QZ_ERR_MEMORY with the list unchanged. */
qz_status qzi_found_keep(const qz_context *ctx, qzi_found *found, const uint32_t *keep,
                         size_t count);
/* batched_nms by label, then the best `most`, in order of scores. */
qz_status qzi_found_suppress(const qzi_post *post, qzi_found *found, double threshold, size_t most);

/* ---- one family each: what is found replaces what is in *found ---- */

/* Maps by level. */
qz_status qzi_retinanet_post(const qzi_post *post, const qzi_map *cls, const qzi_map *box,
                             qzi_found *found);
qz_status qzi_fcos_post(const qzi_post *post, const qzi_map *cls, const qzi_map *box,
                        const qzi_map *ctr, qzi_found *found);
qz_status qzi_ssd_post(const qzi_post *post, const qzi_map *cls, const qzi_map *box,
                       qzi_found *found);
/* Proposals, best first; labels are levels, scores are those of sigmoid. */
qz_status qzi_rpn_filter(const qzi_post *post, const qzi_map *objectness, const qzi_map *deltas,
                         qzi_found *found);
/* Of RoIs in the resized image: one row of the two maps a RoI. */
qz_status qzi_rcnn_post(const qzi_post *post, const qzi_map *logits, const qzi_map *deltas,
                        const qzi_box *rois, qzi_found *found);

/* ---- shared: candidates of levels (levels_post.c) ---- */

/*
 * Offers scores of the pixels [begin, end) of a level to `top`; a score's index is its place in
 * memory order without gaps: pixel * channels + channel, torchvision's flattened order.
 */
typedef void (*qzi_scan_fn)(const void *family, int32_t level, int64_t begin, int64_t end,
                            qzi_top_k *top);
/* The k best scores above the threshold of `pixels` of a level, `channels` a pixel, by scan on
 * several threads; *top as qzi_top_k_finish leaves it. The caller frees it, also after failing. */
qz_status qzi_level_top_k(const qzi_post *post, qzi_scan_fn scan, const void *family, int32_t level,
                          int64_t pixels, int32_t channels, size_t k, float threshold,
                          qzi_top_k *top);

/* The first i in [from, count) with x[i] >= limit; count: none. */
size_t qzi_next_f32(const float *x, size_t from, size_t count, float limit);
size_t qzi_next_u8(const uint8_t *x, size_t from, size_t count, int32_t limit);

/* The bytes of uint8 maps of classes as probabilities, a table a level. */
void qzi_levels_sigmoid(const qzi_map *cls, int32_t levels, float table[][256]);
/* A box of an anchor and what was regressed for it. */
typedef qzi_box (*qzi_decode_fn)(const qzi_detector *detector, const float delta[4],
                                 qzi_box anchor);
/* RetinaNet and FCOS: the best scores of each level by `scan`, their boxes, and suppression. */
qz_status qzi_levels_find(const qzi_post *post, qzi_scan_fn scan, const void *family,
                          const qzi_map *cls, const qzi_map *box, qzi_decode_fn decode,
                          qzi_found *found);

/* A float a little below the logit of p: sigmoid(x) in float is below p for every x below it. */
float qzi_logit_below(double p);

/* What softmax needs of a uint8 map: exp of the steps below the largest byte. */
void qzi_softmax_prepare(const qzi_map *map, double table[256]);
/* softmax of `classes` values from channel `first` of a pixel on: exp and sum in double. */
void qzi_softmax(const qzi_map *map, const double table[256], int64_t pixel, int32_t first,
                 int32_t classes, float *scores);
/* Whether any class but the first may have a softmax above p, where limit is qzi_logit_below(p):
 * softmax(c) is at most sigmoid(c - background). */
bool qzi_softmax_may_pass(const qzi_map *map, int64_t pixel, int32_t first, int32_t classes,
                          float limit);

#endif
