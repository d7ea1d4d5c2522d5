/* SPDX-License-Identifier: MIT */
/* layer_weights.h - the weights of an int8 layer beside those that they stand for. Private. */
#ifndef QZOO_QUANT_REFINE_LAYER_WEIGHTS_H
#define QZOO_QUANT_REFINE_LAYER_WEIGHTS_H

#include "quant/qparams.h"
#include "quant/refine/walk.h"

/* The weight of `bits` that is nearest to a number of steps. */
static inline double qzi_layer_integer(double steps, qzi_weight_form form)
{
    const double low = qzi_weight_low(form.bits), high = qzi_weight_high(form.bits);
    steps = steps < low ? low : steps > high ? high : steps;
    /* adding and taking away 1.5 * 2^52 rounds to nearest even */
    return (steps + 0x1.8p52) - 0x1.8p52;
}

/*
 * targets[ic / groups][taps] of output channel o: the float weights in units of the layer's int8
 * input, so that sums of targets times (q - zero point) are real numbers, as qzi_layer_step times
 * the integer weights are.
 */
void qzi_layer_targets(const qz_graph *graph, const qz_graph *int8_graph, const qzi_layer *layer,
                       int64_t o, double *targets);
/* False, and nothing is changed, where the bias would leave its range. Integer weights stay. */
bool qzi_layer_set_scale(const qz_graph *int8_graph, const qzi_node *node, int64_t o, float scale);

#endif
