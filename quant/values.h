/* SPDX-License-Identifier: MIT */
/* values.h - from what was observed to scales and zero points of values. Private. */
#ifndef QZOO_QUANT_VALUES_H
#define QZOO_QUANT_VALUES_H

#include "quant/prepare.h"

/* Parameters of a value. */
typedef struct qzi_value_q {
    qzi_qparams q; /* of all channels; scale 0: it has none of its own */
    /* [c] each, by channel; NULL: q */
    const float *scale;
    const uint8_t *zero_point;
} qzi_value_q;

typedef struct qzi_values {
    qzi_value_q *list; /* by node of the float graph */
    qzi_arena arena;   /* of the vectors */
} qzi_values;

/*
 * What the observers of the calibration give for each node: for each channel where a value is
 * QZI_CHANNELS_FREE, one scale and zero point for the others. The caller frees `values`, after a
 * failure too.
 */
qz_status qzi_values_find(const qz_graph *graph, const qzi_calibration *calibration,
                          qzi_values *values);
/* Replaces those of one value by scales for each channel, which are copied, and one zero point. */
qz_status qzi_values_set(qzi_values *values, qz_value value, int32_t channels, const float *scale,
                         uint8_t zero_point);
void qzi_values_free(qzi_values *values);

#endif
