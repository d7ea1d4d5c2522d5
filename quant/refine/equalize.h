/* SPDX-License-Identifier: MIT */
/* equalize.h - shares the range of int8 between the channels of values and the weights that read
 * them. Private. */
#ifndef QZOO_QUANT_REFINE_EQUALIZE_H
#define QZOO_QUANT_REFINE_EQUALIZE_H

#include "quant/values.h"

/*
 * Gives values that are QZI_CHANNELS_DENSE the scales s * t[c], t[c] = (range of the channel's
 * values / its largest weight)^alpha, as the calibration's qconfig asks: with one alpha for all, or
 * by value the one with the least estimated error of what its readers compute. Adds the number of
 * values that have scales by channel then to *changed.
 */
qz_status qzi_equalize(const qz_graph *graph, const qzi_calibration *calibration,
                       qzi_values *values, size_t *changed);

#endif
