/* SPDX-License-Identifier: MIT */
/* decision.h - what is chosen for a node of a fused float graph (decide.h). Private. */
#ifndef QZOO_QUANT_DECISION_H
#define QZOO_QUANT_DECISION_H

#include "layers/graph/graph.h"

/* Whether a value may have a scale and a zero point for each channel (channels.h). */
typedef enum qzi_channel_kind {
    QZI_CHANNELS_NONE,  /* one scale and zero point for all */
    QZI_CHANNELS_FREE,  /* any, of each channel alone */
    QZI_CHANNELS_DENSE, /* read by a sum over channels: scale * t[c] and one zero point */
    QZI_CHANNELS_KEPT   /* those of what the node reads: moved along, or joined by a concat */
} qzi_channel_kind;

/* The choice for one node. */
typedef struct qzi_decision {
    bool int8;         /* computes in int8; INPUT: has a reader that does */
    bool own_qparams;  /* its value needs parameters of its own: it is observed */
    qzi_qparams fixed; /* int8 with these parameters, whatever is observed; scale 0: none */
    char *reason;      /* why the node stays in fp32; NULL where int8 and for INPUT */
    /* int8 by channel: the function or sum that this convolution or linear computes too, so that
     * its own value is never made; QZ_NO_VALUE */
    qz_value into;
    /* of such a function or sum: the convolution or linear; QZ_NO_VALUE */
    qz_value head;
    qzi_channel_kind channels; /* of the node's value; NONE where it is not uint8 */
} qzi_decision;

#endif
