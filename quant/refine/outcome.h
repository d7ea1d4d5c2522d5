/* SPDX-License-Identifier: MIT */
/* outcome.h - how far the int8 graph's outputs are from the float graph's, after each step of a
 * recipe. Private. */
#ifndef QZOO_QUANT_REFINE_OUTCOME_H
#define QZOO_QUANT_REFINE_OUTCOME_H

#include "quant/qzoo_quant.h"
#include "quant/refine/walk.h"

/* The float outputs of the kept images: of the first of them, where they are large. */
typedef struct qzi_outcome {
    const qz_graph *graph;
    size_t images, outputs;
    float **values;  /* [images][outputs]; NULL: the run of an image does not compute it */
    int64_t *counts; /* elements */
    size_t bytes;
} qzi_outcome;

#define QZI_OUTCOME_BYTES ((size_t)64 << 20)

qz_status qzi_outcome_create(const qz_graph *graph, qzi_outcome *outcome);
void qzi_outcome_free(qzi_outcome *outcome);
/* Takes the outputs of the run that `exec` made of the next image. */
qz_status qzi_outcome_take(qzi_outcome *outcome, const qzi_exec *exec);
/* Runs the images through the int8 graph: the lowest SQNR of all outputs but inner features, and
 * the share of images with the same top class (NaN: no classifier). Fills these of *step. */
qz_status qzi_outcome_measure(const qzi_outcome *outcome, const qz_graph *int8_graph,
                              const qzi_kept *kept, uint32_t threads, qz_recipe_step *step);

#endif
