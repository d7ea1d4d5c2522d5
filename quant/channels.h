/* SPDX-License-Identifier: MIT */
/* channels.h - which values can have a scale and a zero point for each channel. Private. */
#ifndef QZOO_QUANT_CHANNELS_H
#define QZOO_QUANT_CHANNELS_H

#include "quant/decision.h"

/*
 * For decisions that have int8, own_qparams, into and head of each node: sets `channels`, and takes
 * own_qparams from concats that are joined. A value is as free as its strictest reader, readers of
 * what is KEPT from it counted. Graph inputs and outputs, values that fp32 nodes read, and values
 * of ops that know one scale only are NONE.
 */
void qzi_channels_find(const qz_graph *graph, qzi_decision *decisions);

/* Whether the node hands on the parameters by channel of what it reads: all bytes stay as they are,
 * or the largest do. */
bool qzi_channels_moved(const qzi_node *node);
/* The channel of input *k that is channel c of such a node. */
int32_t qzi_channels_source(const qz_graph *graph, const qzi_node *node, int32_t c, size_t *k);

#endif
