/* SPDX-License-Identifier: MIT */
/*
 * taps.h - what a convolution's weights meet on average. Private.
 *
 * A convolution is linear: the mean of its output follows from the mean of its input at each tap,
 * taken over all places of the output, without computing the convolution.
 */
#ifndef QZOO_QUANT_REFINE_TAPS_H
#define QZOO_QUANT_REFINE_TAPS_H

#include "layers/graph/graph.h"

/* Places [first, first + step * (count - 1)] of the input, along one axis, that a tap meets. */
typedef struct qzi_tap_range {
    int32_t first, step, count;
} qzi_tap_range;

/* Tap k of a node's kernel along an axis: `in` and `out` are the sizes there. */
qzi_tap_range qzi_tap_rows(const qzi_node *node, int32_t k, int32_t in, int32_t out);
qzi_tap_range qzi_tap_columns(const qzi_node *node, int32_t k, int32_t in, int32_t out);

/*
 * Adds to sums[tap][input channel] (tap: row, column of the kernel; padding counts as 0) over all
 * places of an output of oh x ow, of a convolution or linear. Of floats in double, in one order
 * whatever the threads; of bytes exactly: places[tap] counts those inside, so that the sum of
 * (q - zero point) follows.
 */
qz_status qzi_taps_add_f32(const qz_context *ctx, uint32_t threads, const qzi_node *node,
                           const qzk_view *in, int32_t oh, int32_t ow, double *sums);
qz_status qzi_taps_add_u8(const qz_context *ctx, uint32_t threads, const qzi_node *node,
                          const qzk_view *in, int32_t oh, int32_t ow, int64_t *sums,
                          int64_t *places);

#endif
