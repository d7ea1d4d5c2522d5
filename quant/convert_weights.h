/* SPDX-License-Identifier: MIT */
/* convert_weights.h - weights of an int8 graph. Private. */
#ifndef QZOO_QUANT_CONVERT_WEIGHTS_H
#define QZOO_QUANT_CONVERT_WEIGHTS_H

#include "quant/qparams.h"

/* Gives the int8 convolutions and linears of `out`, made from the structure of `graph`, their
 * weights, and the other nodes copies of their parameters. */
qz_status qzi_convert_weights(const qz_graph *graph, qzi_weight_form form, qz_graph *out);

#endif
