/* SPDX-License-Identifier: MIT */
/* coco_json.h - reads COCO's JSON entry by entry, and names the entry that is wrong. Private. */
#ifndef QZOO_ZOO_EVAL_COCO_JSON_H
#define QZOO_ZOO_EVAL_COCO_JSON_H

#include "zoo/eval/coco.h"

#include <jansson.h>

/* Where a reader is. */
typedef struct qzi_coco_reader {
    const qz_context *ctx;
    const char *path;
    const char *list; /* "annotations" */
    size_t index;     /* in the list */
} qzi_coco_reader;

/* QZ_ERR_FORMAT: "path: list[index]: …". */
qz_status qzi_coco_wrong(const qzi_coco_reader *r, const char *fmt, ...) QZ_PRINTF(2, 3);

/* The whole file, of which `list` names the entries where it is a list; the caller releases *root.
 * A byte order mark of UTF-8 is skipped. */
qz_status qzi_coco_load(const qz_context *ctx, const char *path, const char *list, json_t **root);

/* A whole number that must be there; a real number such as 7.0 is one. */
qz_status qzi_coco_id(const qzi_coco_reader *r, const json_t *entry, const char *key, int64_t *id);
/* A number that must be there. */
qz_status qzi_coco_number(const qzi_coco_reader *r, const json_t *entry, const char *key,
                          double *number);
/* The member "bbox"; *has is false where it is missing, null or empty. */
qz_status qzi_coco_box(const qzi_coco_reader *r, const json_t *entry, const qz_coco_image *image,
                       bool *has, double box[4]);

/* ---- coco_segmentation.c ---- */

/* The member "segmentation": polygons or run lengths. *has is false where it is missing, null or
 * empty, and where the image has no size. */
qz_status qzi_coco_segmentation(const qzi_coco_reader *r, const json_t *entry,
                                const qz_coco_image *image, bool *has, qzi_coco_mask *mask);

#endif
