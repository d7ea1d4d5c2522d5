/* SPDX-License-Identifier: MIT */
/* coco_mask.h - masks as run lengths, column by column, as COCO has them. Private. */
#ifndef QZOO_ZOO_EVAL_COCO_MASK_H
#define QZOO_ZOO_EVAL_COCO_MASK_H

#include "layers/base/base.h"

/*
 * The positions, x * height + y, at which the mask changes between 0 and 1, in order; it is 0
 * before the first. So runs of length 0 have no form, and two equal masks are equal lists.
 */
typedef struct qzi_coco_mask {
    uint32_t *flips;
    size_t count;
} qzi_coco_mask;

/* Pixels of the largest image that may have masks: 16384 x 16384. */
#define QZI_COCO_PIXELS_MAX (UINT32_C(1) << 28)
/* Coordinates of boxes and polygons are below this. */
#define QZI_COCO_COORDINATE_MAX 1e7

void qzi_coco_mask_free(const qz_context *ctx, qzi_coco_mask *mask);
uint64_t qzi_coco_mask_area(const qzi_coco_mask *mask, uint32_t pixels);
/* Pixels that are in both. */
uint64_t qzi_coco_mask_common(const qzi_coco_mask *a, const qzi_coco_mask *b, uint32_t pixels);
/* a becomes the union of both; b is freed, also where it fails. */
qz_status qzi_coco_mask_join(const qz_context *ctx, qzi_coco_mask *a, qzi_coco_mask *b);

/* Of rows of bytes, not 0 where the mask is. */
qz_status qzi_coco_mask_of_bytes(const qz_context *ctx, const uint8_t *bytes, int32_t width,
                                 int32_t height, qzi_coco_mask *mask);

/* Makes a mask of run lengths: add each, then end. */
typedef struct qzi_coco_runs {
    const qz_context *ctx;
    qzi_coco_mask mask;
    size_t capacity;
    uint64_t at;     /* the sum of the runs */
    uint32_t pixels; /* what they must sum up to */
    bool started;    /* a run was added */
} qzi_coco_runs;

/* false: the runs are longer than the image. A failure to get memory is `*st`. */
bool qzi_coco_runs_add(qzi_coco_runs *runs, uint64_t length, qz_status *st);
/* COCO's compressed run lengths. NULL, or what is wrong with them. */
const char *qzi_coco_runs_of_text(qzi_coco_runs *runs, const char *text, qz_status *st);

/* ---- coco_polygon.c ---- */

/*
 * The mask of a polygon of `points` pairs x, y, each within +-QZI_COCO_COORDINATE_MAX: pycocotools'
 * own rule (coco_polygon.c).
 */
qz_status qzi_coco_mask_of_polygon(const qz_context *ctx, const double *xy, size_t points,
                                   int32_t width, int32_t height, qzi_coco_mask *mask);

#endif
