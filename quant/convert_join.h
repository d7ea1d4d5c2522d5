/* SPDX-License-Identifier: MIT */
/* convert_join.h - functions and sums that a convolution computes too. Private. */
#ifndef QZOO_QUANT_CONVERT_JOIN_H
#define QZOO_QUANT_CONVERT_JOIN_H

#include "quant/decision.h"

/*
 * Joins what the decisions (`into`) about the float graph's nodes say: the function or sum becomes
 * the convolution's, which has its value from then on, and is found under the name of the node that
 * is gone too. `out` has a node for each of the float graph's, which `source` names, and borders.
 */
qz_status qzi_convert_join(qz_graph *out, const qz_graph *graph, const qzi_decision *decisions);

#endif
