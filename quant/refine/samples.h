/* SPDX-License-Identifier: MIT */
/*
 * samples.h - what a convolution or linear reads for some places of its output. Private.
 *
 * Passes that look at a layer's own output need no more than some thousand of its places. The
 * places of an image follow from its size alone.
 */
#ifndef QZOO_QUANT_REFINE_SAMPLES_H
#define QZOO_QUANT_REFINE_SAMPLES_H

#include "layers/graph/exec.h"

/* Enough places for a shift. */
#define QZI_SAMPLES 1024

/*
 * rows[count][width]: a place's patch in the order [tap][channel], 0 where it
 * lies in the padding. Of a float value its numbers, of bytes q less the zero point.
 */
typedef struct qzi_samples {
    int64_t count, width;
    float *rows; /* NULL: none */
} qzi_samples;

/* The shape of a layer's output for a view of its first input. */
qz_status qzi_layer_out_size(const qz_graph *graph, qz_value node, const qzk_view *in,
                             qzi_shape *out);

/* Of the input of `node`, a convolution or linear, which each of the executors has at hand. About
 * `places` of all of them. */
qz_status qzi_samples_take(const qz_graph *graph, qz_value node, qzi_exec *const *execs,
                           size_t count, int64_t places, uint32_t threads, qzi_samples *samples);
void qzi_samples_free(const qz_context *ctx, qzi_samples *samples);
/* y[oc][count]: the layer without its bias. w: [oc][ic / groups][kh][kw]. The bits are the same on
 * every machine and with any threads. */
qz_status qzi_samples_multiply(qz_context *ctx, uint32_t threads, const qzi_samples *samples,
                               const qzi_node *node, const float *w, float *y);

#endif
