/* SPDX-License-Identifier: MIT */
/* decide.h - the pass that chooses int8 or fp32 for each node. Private. */
#ifndef QZOO_QUANT_DECIDE_H
#define QZOO_QUANT_DECIDE_H

#include "quant/decision.h"
#include "quant/qconfig.h"

/*
 * Convolutions and linears are int8 unless the qconfig says otherwise. The other ops have nothing
 * to gain alone: they are int8 where an input is, and otherwise join the fp32 island around them,
 * where none is. Ops that move or clamp values keep their input's parameters in int8, averaging
 * pools do in the backends that follow torch, where sigmoid and hardsigmoid have those that hold
 * [0, 1).
 *
 * By channel (qzi_qconfig_by_channel) a convolution or linear whose only reader is a function, or a
 * sum that waits for it alone, computes that too (`into`), and `channels` says which values can
 * have parameters for each channel.
 */
/*
 * node_count decisions. An excluded name is a node's, that of a node fused into another, or a
 * scope's ("layer4": all in it). QZ_ERR_UNKNOWN_NAME names the nearest ones.
 */
qz_status qzi_decide(const qz_graph *graph, const qzi_qconfig *qconfig, qzi_decision **decisions);
void qzi_decisions_free(const qz_graph *graph, qzi_decision *decisions); /* NULL is fine */

/*
 * The part of a value's range that matters to the activation that alone reads it. The value is
 * observed, and compared, as if it ended there: levels for what lies beyond would be lost to all
 * the others. SiLU and Mish: from -5, where they are -0.034, and nearer to 0 further down; outputs
 * of YOLOv5n gain 2 to 3 dB, and less by -3 or -8. Hardswish: from -3, below which it is 0.
 * Hardsigmoid: -3 to 3, beyond which it is 0 or 1.
 */
typedef struct qzi_reach {
    float low, high; /* all that matters: -INFINITY, INFINITY */
} qzi_reach;
qzi_reach qzi_reach_of(const qz_graph *graph, qz_value value);
/* What is observed: of activations that torch has in int8, all, unless ranges are our own. */
qzi_reach qzi_decide_reach(const qz_graph *graph, const qzi_qconfig *qconfig, qz_value value);
bool qzi_reach_ends(qzi_reach reach); /* whether anything lies beyond */
/* A value beyond becomes the end; NaN stays. */
static inline float qzi_reach_clamp(qzi_reach reach, float x)
{
    return x < reach.low ? reach.low : x > reach.high ? reach.high : x;
}

#endif
