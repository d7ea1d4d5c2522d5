/* SPDX-License-Identifier: MIT */
/* divide.h - the pass that divides the convolutions of heads. Private. */
#ifndef QZOO_QUANT_DIVIDE_H
#define QZOO_QUANT_DIVIDE_H

#include "layers/graph/graph.h"

/*
 * A convolution whose every reader picks channels of it (qz_pick_channels) becomes one convolution
 * for each reader, of the weights' rows that belong to those channels. Values of different ranges
 * then have scales of their own in int8. The parts have the readers' names; in float they compute
 * the same bytes. In place; after a failure the graph computes what it did before.
 */
qz_status qzi_divide(qz_graph *graph);

#endif
