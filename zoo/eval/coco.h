/* SPDX-License-Identifier: MIT */
/* coco.h - ground truth and detections as the parts of zoo/eval share them. Private. */
#ifndef QZOO_ZOO_EVAL_COCO_H
#define QZOO_ZOO_EVAL_COCO_H

#include "layers/base/base.h"
#include "zoo/eval/coco_mask.h"
#include "zoo/qzoo_coco.h"

/* What both sides have: an object, or a detection. */
typedef struct qzi_coco_item {
    uint32_t image, category; /* indices */
    bool has_box, has_mask, crowd;
    bool zero_id;   /* of an object: see coco_match.c */
    double box[4];  /* x, y, width, height */
    double area[2]; /* where boxes, where masks are scored */
    double score;   /* of a detection */
    qzi_coco_mask mask;
} qzi_coco_item;

typedef struct qzi_coco_items {
    qzi_coco_item *items;
    size_t count, capacity;
} qzi_coco_items;

/* Entries by their ids, in order. */
typedef struct qzi_coco_index {
    size_t *order;
    size_t count;
} qzi_coco_index;

struct qz_coco {
    qz_context *ctx;
    qzi_arena arena; /* texts */
    const char *name;
    qz_coco_image *images;
    qz_coco_category *categories;
    size_t image_count, image_capacity, category_count, category_capacity;
    qzi_coco_index by_image, by_category; /* of as many as were there when they were made */
    qzi_coco_items objects;
};

struct qz_coco_results {
    qz_coco *coco;
    const char *name;
    qzi_coco_items items;
    bool *counts, *dropped; /* of each image */
};

#define QZI_COCO_NONE UINT32_MAX

/* Finds ids from now on, of what was added until now. QZ_ERR_FORMAT names an id that is there
 * twice. */
qz_status qzi_coco_index_ids(qz_coco *coco);
/* QZI_COCO_NONE: unknown. */
uint32_t qzi_coco_find_image(const qz_coco *coco, int64_t id);
uint32_t qzi_coco_find_category(const qz_coco *coco, int64_t id);

/* Appends a copy, whose mask it takes over, also where it fails. */
qz_status qzi_coco_items_add(const qz_context *ctx, qzi_coco_items *list, qzi_coco_item *item);
void qzi_coco_items_free(const qz_context *ctx, qzi_coco_items *list);

/* NULL where the four numbers are a box that touches the image; else what is wrong with them. */
const char *qzi_coco_box_fault(const double box[4], const qz_coco_image *image);

#endif
