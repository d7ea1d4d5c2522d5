/* SPDX-License-Identifier: MIT */
/* eval_coco.c - scores detections, and does so for a result file of any program. */
#include "eval_coco.h"

#include "messages.h"
#include "subject.h"

#include <stdlib.h>
#include <time.h>

int coco_row_score(qz_context *ctx, const qz_coco *coco, const qz_coco_results *results,
                   coco_row *row)
{
    row->each = calloc(qz_coco_category_count(coco) + 1, sizeof(*row->each));
    if (!row->each)
        return tool_fail_memory();
    const qz_status st = qz_coco_score(results, &row->scores, row->each);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(ctx, st);
}

void coco_row_release(coco_row *row)
{
    free(row->each);
    row->each = NULL;
}

static int score_file(const tool_options *o, qz_context *ctx, const qz_coco *coco,
                      qz_coco_results *results)
{
    struct timespec start, end;
    coco_row row = {0};
    clock_gettime(CLOCK_MONOTONIC, &start);
    const qz_status st = qz_coco_results_read(results, o->eval.detections);
    if (st != QZ_OK)
        return tool_fail_status(ctx, st);
    int status = coco_row_score(ctx, coco, results, &row);
    clock_gettime(CLOCK_MONOTONIC, &end);
    const coco_report report = {
        .o = o,
        .ctx = ctx,
        .coco = coco,
        .rows = &row,
        .row_count = 1,
        .seconds =
            (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec),
    };
    if (status == EXIT_DONE)
        status = coco_report_write(&report);
    coco_row_release(&row);
    return status;
}

int eval_detections_file(const tool_options *o)
{
    qz_context *ctx;
    qz_coco *coco = NULL;
    qz_coco_results *results = NULL;
    int status = subject_context(o, &ctx);
    if (status)
        return status;
    status = truth_open(o, ctx, &coco);
    if (status == EXIT_DONE) {
        const qz_status st = qz_coco_results_create(coco, &results);
        status = st == QZ_OK ? score_file(o, ctx, coco, results) : tool_fail_status(ctx, st);
    }
    qz_coco_results_destroy(results);
    qz_coco_close(coco);
    subject_context_end(ctx);
    return status;
}
