/* SPDX-License-Identifier: MIT */
/*
 * qzoo_coco.h - how good detections are: ground truth in COCO's format, detections of a file or of
 * a model, and the numbers that pycocotools computes from both.
 */
#ifndef QZOO_COCO_H
#define QZOO_COCO_H

#include "qzoo_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- ground truth ---- */

/* Images, categories, and the objects in the images. */
typedef struct qz_coco qz_coco;

/* An image of the ground truth. */
typedef struct qz_coco_image {
    int64_t id;
    const char *file_name; /* "" where the file has none */
    int32_t width, height; /* 0: unknown, then nothing on the image has a mask */
} qz_coco_image;

/* A category of objects. */
typedef struct qz_coco_category {
    int64_t id;
    const char *name; /* "" where the file has none */
} qz_coco_category;

/*
 * Reads an annotation file (COCO's "instances": boxes, polygons, run lengths, crowds).
 * QZ_ERR_FORMAT names the file, the entry and what is wrong with it; QZ_ERR_IO: it cannot be read;
 * QZ_ERR_UNSUPPORTED: this build has no JSON. Close it before the context.
 */
QZ_API qz_status qz_coco_open(qz_context *context, const char *path, qz_coco **coco);
/* Ground truth without anything; `name` is what messages call it. For labels in other formats. */
QZ_API qz_status qz_coco_create(qz_context *context, const char *name, qz_coco **coco);
QZ_API void qz_coco_close(qz_coco *coco); /* after its results; NULL is fine */

/* Add to it; texts are copied. QZ_ERR_FORMAT: an id that is there already. */
QZ_API qz_status qz_coco_add_category(qz_coco *coco, int64_t id, const char *name);
/* The size is 0 x 0 where it is not known. */
QZ_API qz_status qz_coco_add_image(qz_coco *coco, const qz_coco_image *image);
/* An object: x, y, width, height in pixels. QZ_ERR_FORMAT: an unknown image or category, numbers
 * that are no box. The object's area is the box's. */
QZ_API qz_status qz_coco_add_object(qz_coco *coco, int64_t image, int64_t category,
                                    const double box[4]);

/* How many images there are. */
QZ_API size_t qz_coco_image_count(const qz_coco *coco);
/* In the order of the file. NULL where the index is too large. */
QZ_API const qz_coco_image *qz_coco_image_at(const qz_coco *coco, size_t index);
/* How many categories there are. */
QZ_API size_t qz_coco_category_count(const qz_coco *coco);
/* In the order of the file. NULL where the index is too large. */
QZ_API const qz_coco_category *qz_coco_category_at(const qz_coco *coco, size_t index);

/* Whether any object has a mask. */
QZ_API bool qz_coco_has_masks(const qz_coco *coco);

/* ---- detections ---- */

/* What a program or a model detected. */
typedef struct qz_coco_results qz_coco_results;

/* One detection on an image. */
typedef struct qz_coco_detection {
    int64_t category;    /* an unknown one is left out, as pycocotools does */
    double score;        /* finite */
    double box[4];       /* x, y, width, height in pixels */
    const uint8_t *mask; /* width x height of the image, rows of bytes that are not 0; or NULL */
} qz_coco_detection;

/* No detections, and no image that counts. `coco` must outlive them, and is not added to. */
QZ_API qz_status qz_coco_results_create(qz_coco *coco, qz_coco_results **results);
QZ_API void qz_coco_results_destroy(qz_coco_results *results); /* NULL is fine */
/*
 * Reads a result file (a list of {image_id, category_id, bbox or segmentation, score}); all images
 * of the ground truth count then. Errors are those of qz_coco_open; an id that the ground truth
 * lacks is one.
 */
QZ_API qz_status qz_coco_results_read(qz_coco_results *results, const char *path);
/*
 * Adds detections on one image, which counts from then on, also where count is 0. May be called
 * several times for an image. The order decides between detections of the same score.
 * QZ_ERR_ARGUMENT: an image that the ground truth lacks, or numbers that are no detection.
 */
QZ_API qz_status qz_coco_results_add(qz_coco_results *results, int64_t image,
                                     const qz_coco_detection *detections, size_t count);

/* The image does not count, as if nothing had been added; nor is anything added to it later. */
QZ_API void qz_coco_results_drop(qz_coco_results *results, int64_t image);

/* ---- numbers ---- */

#define QZ_COCO_METRICS 12
/* "AP", "AP50", "AP75", "APsmall", "APmedium", "APlarge", "AR1", "AR10", "AR100", "ARsmall",
 * "ARmedium", "ARlarge"; NULL above. */
QZ_API const char *qz_coco_metric_name(size_t index);

/*
 * Average precision and recall, as pycocotools 2.0 has them: IoU .50:.05:.95, 101 points of recall,
 * at most 1, 10, 100 detections of a category on an image, objects below 32x32, up to 96x96, above.
 * Fractions; NaN where there is no object to find (pycocotools: -1).
 */
typedef struct qz_coco_scores {
    size_t images;           /* that count */
    bool has_bbox, has_segm; /* false: nothing of the kind to score */
    double bbox[QZ_COCO_METRICS], segm[QZ_COCO_METRICS];
} qz_coco_scores;

/*
 * Scores the detections. `per_category`, where it is not NULL, receives AP of boxes and of masks of
 * each category: qz_coco_category_count pairs, in the order of qz_coco_category_at.
 *
 * Boxes are scored where the detections have some, masks where both sides have some. No detection
 * at all scores 0 in each kind that the ground truth has. QZ_ERR_FORMAT: an object lacks the box or
 * the mask that is needed. QZ_ERR_CANCELLED.
 */
QZ_API qz_status qz_coco_score(const qz_coco_results *results, qz_coco_scores *scores,
                               double (*per_category)[2]);

#ifdef __cplusplus
}
#endif
#endif
