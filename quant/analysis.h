/* SPDX-License-Identifier: MIT */
/* analysis.h - the int8 graph beside the float graph, on the same images. Private. */
#ifndef QZOO_QUANT_ANALYSIS_H
#define QZOO_QUANT_ANALYSIS_H

#include "layers/graph/exec.h"
#include "quant/prepare.h"
#include "quant/qzoo_quant.h"

/* SQNR of each node, with `details` all of qz_analysis_row; rows are sorted by activation, worst
 * first. */
typedef struct qzi_sqnr qzi_sqnr;
qz_status qzi_sqnr_create(const qz_graph *float_graph, const qzi_packed *float_packed,
                          const qz_graph *int8_graph, const qzi_packed *int8_packed,
                          uint32_t threads, bool details, qzi_sqnr **sqnr);
void qzi_sqnr_destroy(qzi_sqnr *sqnr);
qz_status qzi_sqnr_add(qzi_sqnr *sqnr, const qz_tensor *image);
/*
 * One stage of an image, of graphs whose stages have inputs of their own (exec.h): all stages of
 * the float graph first, then those of the int8 graph. Each stage below QZI_STAGES_MAX has an
 * executor for each graph, which the caller may read until its next run. Then qzi_sqnr_end_image,
 * also after a failure (`whole` false: nothing of this image counts).
 */
qz_status qzi_sqnr_run(qzi_sqnr *sqnr, bool int8, size_t stage, const qzi_exec_input *inputs,
                       size_t input_count, qzi_exec **exec);
void qzi_sqnr_end_image(qzi_sqnr *sqnr, bool whole);
/* The lowest of all outputs but those whose names begin with `skip`. */
double qzi_sqnr_worst_output_db(const qzi_sqnr *sqnr, const char *skip);
/* Of all outputs "kind" or "kind.K" together; NaN: there are none. */
double qzi_sqnr_kind_db(const qzi_sqnr *sqnr, const char *kind);
/* Rows stay valid until the next call or destroy. */
qz_status qzi_sqnr_rows(qzi_sqnr *sqnr, const qz_sqnr_row **rows, size_t *count);
/* The same rows with details, after qzi_sqnr_rows; NULL: created without. */
const qz_analysis_row *qzi_sqnr_analysis(const qzi_sqnr *sqnr);
double qzi_sqnr_output_db(const qzi_sqnr *sqnr);      /* of the first graph output */
double qzi_sqnr_top1_agreement(const qzi_sqnr *sqnr); /* share of images with the same top-1 */

#endif
