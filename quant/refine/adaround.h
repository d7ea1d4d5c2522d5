/* SPDX-License-Identifier: MIT */
/* adaround.h - rounds weights by the error of their layer's output. Private. */
#ifndef QZOO_QUANT_REFINE_ADAROUND_H
#define QZOO_QUANT_REFINE_ADAROUND_H

#include "quant/qparams.h"
#include "quant/refine/walk.h"

/* Places of the layers' outputs that rounding looks at, about. */
#define QZI_ADAROUND_SAMPLES 4096
#define QZI_ADAROUND_ITERATIONS 20

typedef struct qzi_adaround {
    const qz_graph *graph;
    qz_graph *int8_graph;
    qzi_weight_form form;
    bool centered; /* a bias correction follows, so that means do not count */
    int64_t iterations;
    uint32_t threads;
    size_t rounded; /* layers, counted by the visits */
} qzi_adaround;

/*
 * A visit of qzi_walk_layers with QZI_ADAROUND_SAMPLES samples; user: a qzi_adaround. Chooses the
 * integers of a convolution's or linear's weights, and by channel the scales, for the least squared
 * error between the float layer of the float input and the int8 layer of the int8 input, as
 * AdaRound does (Nagel et al. 2020). Never worse on that objective than what it finds. Transposed
 * convolutions stay.
 */
qz_status qzi_adaround_visit(void *user, const qzi_walk_layer *at, bool *changed);

#endif
