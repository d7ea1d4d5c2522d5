/* SPDX-License-Identifier: MIT */
/* eval.h - the answers of an evaluation, which cmd_eval.c gathers and eval_*.c report. */
#ifndef QZOO_TOOLS_EVAL_H
#define QZOO_TOOLS_EVAL_H

#include "labels.h"
#include "report.h"
#include "subject.h"

#define EVAL_TOP 5

/* What a model says of an image. */
typedef struct eval_answer {
    int32_t top;
    float score; /* of top: the network's output (logit) */
    bool in_top; /* the label is one of the EVAL_TOP best classes */
} eval_answer;

/* One model's answers: fp32, or int8. */
typedef struct eval_row {
    const char *precision;
    qz_session *session;
    eval_answer *answers; /* of each label */
    size_t top1, top5;    /* of the images that count */
    double seconds;       /* of its runs */
} eval_row;

typedef struct evaluation {
    const tool_options *o;
    const subject *s;
    const label_list *labels;
    eval_row rows[2];
    size_t row_count;
    bool *counts;      /* of each label: all rows have an answer */
    size_t n;          /* how many count */
    size_t skipped;    /* could not be read, with --skip-bad */
    size_t nonfinite;  /* an output was no number */
    size_t agreements; /* of two rows: both have the same answer */
    size_t only_fp32_right, only_int8_right;
    double seconds;  /* with reading the images */
    int interrupted; /* the status of the image at which a signal came, or 0 */
} evaluation;

/* Whether the row is that of the int8 model. */
bool eval_is_int8(const eval_row *row);

/* ---- eval_report.c ---- */

/* The table, markdown and JSON. */
int eval_report(const evaluation *e);

/* ---- eval_files.c ---- */

/* --confusion: of the int8 model where there is one. */
int eval_confusion(const evaluation *e);
/* --changes */
int eval_changes(const evaluation *e);

#endif
