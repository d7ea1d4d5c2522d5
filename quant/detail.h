/* SPDX-License-Identifier: MIT */
/*
 * detail.h - more than SQNR of an int8 value beside its float value: squared error, angle,
 * divergence, ranges, clipped values and channels that never change. Private.
 */
#ifndef QZOO_QUANT_DETAIL_H
#define QZOO_QUANT_DETAIL_H

#include "quant/decide.h"
#include "quant/observers/tally.h"
#include "quant/qzoo_quant.h"

typedef struct qzi_detail {
    double quantized;    /* the sum of q^2, of the int8 values as real numbers */
    uint64_t clipped;    /* float values that no byte is near */
    bool invalid;        /* some value was not finite, or they were too far apart to count */
    float *min, *max;    /* [tally[0] channels]: of each channel of the float value */
    int32_t channels;    /* 0: nothing was added yet */
    qzi_tally spread[2]; /* all channels together: float, int8 */
} qzi_detail;

void qzi_detail_free(const qz_context *ctx, qzi_detail *detail);
/* real: dense float values; view: those of the int8 graph's node, of the same shape. */
qz_status qzi_detail_add(const qz_context *ctx, qzi_detail *detail, const qzk_view *real,
                         const qzi_node *node, const qzk_view *view, qzi_reach reach,
                         uint32_t threads);
/* Fills all of *row but `sqnr`. signal, noise: the sums of f^2 and (f - q)^2 of the same values. */
void qzi_detail_row(const qzi_detail *detail, const qzi_node *node, double signal, double noise,
                    qz_analysis_row *row);

#endif
