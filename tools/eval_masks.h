/* SPDX-License-Identifier: MIT */
/* eval_masks.h - the scores of class maps against masks. */
#ifndef QZOO_TOOLS_EVAL_MASKS_H
#define QZOO_TOOLS_EVAL_MASKS_H

#include "report.h"
#include "subject.h"

/* One model's pixels by true and by predicted class: counts[true * classes + predicted]. */
typedef struct mask_row {
    const char *precision;
    qz_session *session;
    int64_t *counts;
    double seconds; /* of its runs */
} mask_row;

typedef struct mask_report {
    const tool_options *o;
    const subject *s;
    mask_row rows[2];
    size_t row_count;
    size_t n, skipped; /* images */
    double seconds;
} mask_report;

/* The table, markdown and JSON (eval_masks_report.c). */
int mask_report_write(const mask_report *report);

/* --masks: a segmenter's pixels. */
int eval_masks(const tool_options *o);

#endif
