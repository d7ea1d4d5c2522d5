/* SPDX-License-Identifier: MIT */
/* coco_match.h - which detection of a category finds which object of an image. Private. */
#ifndef QZOO_ZOO_EVAL_COCO_MATCH_H
#define QZOO_ZOO_EVAL_COCO_MATCH_H

#include "zoo/eval/coco.h"

#define QZI_COCO_AREAS 4       /* all, small, medium, large */
#define QZI_COCO_THRESHOLDS 10 /* of IoU */
#define QZI_COCO_LIMIT 100     /* detections of a category on an image */

typedef enum qzi_coco_kind { QZI_COCO_BBOX, QZI_COCO_SEGM } qzi_coco_kind;

/* A detection of the category, with a bit for each threshold. */
typedef struct qzi_coco_hit {
    double score;
    uint32_t rank; /* on its image: 0 has the highest score */
    uint16_t matched[QZI_COCO_AREAS], ignored[QZI_COCO_AREAS];
} qzi_coco_hit;

/* One category on one image. */
typedef struct qzi_coco_group {
    qzi_coco_kind kind;
    uint32_t pixels; /* of the image */
    const qzi_coco_item *objects, *detections;
    const size_t *object_order, *detection_order; /* numbers of objects and detections */
    size_t object_count;
    size_t detection_count; /* at most QZI_COCO_LIMIT, the highest score first */
} qzi_coco_group;

/* Memory between two groups; begins as zeros. */
typedef struct qzi_coco_scratch {
    double *iou;
    size_t *order;
    bool *ignored;
    uint32_t *taken; /* by detections, a bit for each threshold */
    size_t iou_capacity, capacity;
} qzi_coco_scratch;

/* Adds detection_count hits, and to positives the objects that are to be found. */
qz_status qzi_coco_match(const qz_context *ctx, const qzi_coco_group *g, qzi_coco_scratch *scratch,
                         qzi_coco_hit *hits, size_t positives[QZI_COCO_AREAS]);
void qzi_coco_scratch_free(const qz_context *ctx, qzi_coco_scratch *scratch);

/* Threshold i: .50, .55 … .95, in double as numpy.linspace computes them. */
double qzi_coco_threshold(int i);
/* Intersection over union; over the detection's own area where the object is a crowd. */
double qzi_coco_box_iou(const double detection[4], const double object[4], bool crowd);

#endif
