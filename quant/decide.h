/* SPDX-License-Identifier: MIT */
/* decide.h - the pass that chooses int8 or fp32 for each node. Private. */
#ifndef QZOO_QUANT_DECIDE_H
#define QZOO_QUANT_DECIDE_H

#include "layers/graph/graph.h"
#include "quant/qconfig.h"

/*
 * The choice for one node of a fused float graph under a qconfig.
 *
 * Convolutions and linears are int8 unless the qconfig says otherwise. The other ops have nothing
 * to gain alone: they are int8 where an input is, and otherwise join the fp32 island around them,
 * where none is. Ops that move or clamp values keep their input's parameters in int8, averaging
 * pools do in the backends that follow torch; sigmoid and hardsigmoid have those that hold [0, 1).
 */
typedef struct qzi_decision {
    bool int8;         /* computes in int8; INPUT: has a reader that does */
    bool own_qparams;  /* its value needs parameters of its own: it is observed */
    qzi_qparams fixed; /* int8 with these parameters, whatever is observed; scale 0: none */
    char *reason;      /* why the node stays in fp32; NULL where int8 and for INPUT */
} qzi_decision;
/*
 * node_count decisions. An excluded name is a node's, that of a node fused into another, or a
 * scope's ("layer4": all in it). QZ_ERR_UNKNOWN_NAME names the nearest ones.
 */
qz_status qzi_decide(const qz_graph *graph, const qzi_qconfig *qconfig, qzi_decision **decisions);
void qzi_decisions_free(const qz_graph *graph, qzi_decision *decisions); /* NULL is fine */

/*
 * Below this SiLU and Mish are nearly 0: -0.034 here, and nearer to it further down. A value that
 * nothing else reads is observed, and compared, as if it ended here: levels for what lies below
 * would be lost to all the others. YOLOv5n's outputs gain 2 to 3 dB; by -3 or -8 it is less.
 */
#define QZI_CUT (-5.0f)
bool qzi_is_cut(const qz_graph *graph, qz_value value);

#endif
