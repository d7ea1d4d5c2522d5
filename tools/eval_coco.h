/* SPDX-License-Identifier: MIT */
/* eval_coco.h - the scores of detections: of a result file, or of models. */
#ifndef QZOO_TOOLS_EVAL_COCO_H
#define QZOO_TOOLS_EVAL_COCO_H

#include "eval_drift.h"
#include "report.h"
#include "subject.h"

/* One set of detections. */
typedef struct coco_row {
    const qz_model_info *info; /* NULL: of a file */
    const char *precision;     /* NULL: of a file */
    qz_coco_scores scores;
    double (*each)[2]; /* AP of boxes and masks of each category */
    double seconds;    /* of its runs */
} coco_row;

typedef struct coco_report {
    const tool_options *o;
    qz_context *ctx;
    const qz_coco *coco;
    const coco_row *rows;
    size_t row_count;
    size_t skipped, nonfinite; /* images that are left out */
    const eval_drift *drift;   /* of two rows; NULL: none */
    double seconds;
} coco_report;

/* Scores the detections into the row; coco_row_release frees it, after a failure too. */
int coco_row_score(qz_context *ctx, const qz_coco *coco, const qz_coco_results *results,
                   coco_row *row);
void coco_row_release(coco_row *row);
/* The table, markdown and JSON. */
int coco_report_write(const coco_report *report);

/* ---- ground truth in COCO's format (eval_truth.c) ---- */

/* --annotations, which has at least one image. The caller closes *coco. */
int truth_open(const tool_options *o, qz_context *ctx, qz_coco **coco);
/* Each image has a file_name that stays below --data. */
int truth_check_names(const tool_options *o, const qz_coco *coco);
/* Categories are classes of the model by number, and by name where both have names. */
int truth_check_categories(const tool_options *o, const qz_coco *coco, const qz_model *model,
                           int32_t classes);
/* The same for YOLO, whose classes are categories by name: ids[i] is that of class i, or -1. */
int truth_map_categories(const tool_options *o, const qz_coco *coco, const qz_model *model,
                         int32_t classes, int64_t *ids);

/* ---- ground truth in YOLO's format (eval_yolo.c) ---- */

/* DATA/images and DATA/labels; the ids of categories are the model's classes, of which the first
 * `background` ones have no objects where they have no names. The caller closes *coco, after a
 * failure too. *skipped: images that cannot be read, with --skip-bad. */
int yolo_read(const tool_options *o, qz_context *ctx, const qz_model *model, int32_t class_count,
              int32_t background, qz_coco **coco, size_t *skipped);
/* "folder/name", to be freed; NULL: no memory, which was reported. */
char *path_join(const char *folder, const char *name);

/* ---- evaluations ---- */

/* Of a detector, not calibrated yet. The ground truth is --annotations', which remains the
 * caller's; NULL: YOLO's labels. */
int eval_detection(const tool_options *o, subject *s, qz_coco *truth);
/* --detections: scores a file. */
int eval_detections_file(const tool_options *o);

#endif
