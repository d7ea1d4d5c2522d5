/* SPDX-License-Identifier: MIT */
/* analysis.h - the int8 graph beside the float graph, on the same images. Private. */
#ifndef QZOO_QUANT_ANALYSIS_H
#define QZOO_QUANT_ANALYSIS_H

#include "layers/graph/exec.h"
#include "quant/qzoo_quant.h"

/* SQNR of each node; rows are sorted by activation, the worst first. */
typedef struct qzi_sqnr qzi_sqnr;
qz_status qzi_sqnr_create(const qz_graph *float_graph, const qzi_packed *float_packed,
                          const qz_graph *int8_graph, const qzi_packed *int8_packed,
                          uint32_t threads, qzi_sqnr **sqnr);
void qzi_sqnr_destroy(qzi_sqnr *sqnr);
qz_status qzi_sqnr_add(qzi_sqnr *sqnr, const qz_tensor *image);
/* Rows stay valid until the next call or destroy. */
qz_status qzi_sqnr_rows(qzi_sqnr *sqnr, const qz_sqnr_row **rows, size_t *count);
double qzi_sqnr_output_db(const qzi_sqnr *sqnr);      /* of the first graph output */
double qzi_sqnr_top1_agreement(const qzi_sqnr *sqnr); /* share of images with the same top-1 */

#endif
