/* SPDX-License-Identifier: MIT */
/* convert.h - the pass that makes the int8 graph. Private. */
#ifndef QZOO_QUANT_CONVERT_H
#define QZOO_QUANT_CONVERT_H

#include "quant/values.h"

/*
 * A new graph in int8, with quantize and dequantize nodes where precisions meet, named
 * <source>.quant and <source>.dequant: one for each value, whatever the number of its readers. The
 * float graph is not changed; parameters of layers that became int8 are not copied (their entries
 * stay, without data).
 *
 * Conversion is structure plus weights, and the structure alone follows from the fused graph's
 * structure (no data needed), the qconfig and the parameters of the observed values, so that a
 * saved model is rebuilt by the same code: build, qzi_fuse, qzi_convert_structure, attach qw of
 * the int8 convolutions and linears and the data of the parameters of the other nodes. `values`
 * has one entry for each node of `graph`; scale 0 where the value has no parameters of its own.
 * What to save is `q`, or `channel_q`, of every node of the int8 graph that has a `source`, the
 * node of the float graph whose value it has (fp32 values that are quantized keep what was observed
 * in q): structure made from these equals the structure that they came from. An entry that is
 * needed and not valid is QZ_ERR_ARGUMENT with the node's name.
 *
 * By channel, convolutions and linears compute functions and sums too (decide.h). Such a node has
 * the convolution's name and the value of the last node that is in it, whose name finds it too.
 */
qz_status qzi_convert_structure(const qz_graph *graph, const qzi_qconfig *qconfig,
                                const qzi_value_q *values, qz_graph **int8_graph);
/* Structure and weights from these parameters. */
qz_status qzi_convert_values(const qz_graph *graph, const qzi_qconfig *qconfig,
                             const qzi_value_q *values, qz_graph **int8_graph);
/* QZ_ERR_STATE when no image was calibrated, or when one failed halfway. */
qz_status qzi_convert(const qz_graph *graph, const qzi_calibration *calibration,
                      qz_graph **int8_graph);

#endif
