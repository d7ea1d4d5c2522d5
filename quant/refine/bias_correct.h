/* SPDX-License-Identifier: MIT */
/* bias_correct.h - takes the mean error of quantization back by the biases. Private. */
#ifndef QZOO_QUANT_REFINE_BIAS_CORRECT_H
#define QZOO_QUANT_REFINE_BIAS_CORRECT_H

#include "quant/refine/adaround.h"

/* What the float network's layers see on the kept images: means of their inputs by tap. */
typedef struct qzi_float_means qzi_float_means;
qz_status qzi_float_means_create(const qz_graph *graph, const qz_graph *int8_graph,
                                 uint32_t threads, qzi_float_means **means);
void qzi_float_means_destroy(qzi_float_means *means);
/* A node hook (exec.h) for runs of the float graph; user: the means. */
qz_status qzi_float_means_hook(void *user, const qz_graph *graph, qz_value node,
                               const qzk_view *view);

/*
 * Corrects the biases of the int8 graph (Nagel et al. 2019, section 4.2): the mean by output
 * channel of what the float layer computes less what the int8 layer computes, before its activation
 * and in real numbers, over the first `count` kept images. Layer by layer in order: each is
 * measured with the values that the corrected layers before it compute. Where an activation
 * follows, errors count as they are behind it: the shift is the one that leaves the smallest
 * squares. `means` come from runs of the same images.
 * `rounding`, where it is not NULL, rounds each layer before it is corrected.
 * *corrected, *skipped: layers; skipped are those that a run of an image alone does not reach.
 */
qz_status qzi_bias_correct(const qz_graph *graph, qz_graph *int8_graph, const qzi_kept *kept,
                           size_t count, const qzi_float_means *means, qzi_adaround *rounding,
                           uint32_t threads, size_t *corrected, size_t *skipped);

#endif
