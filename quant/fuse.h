/* SPDX-License-Identifier: MIT */
/* fuse.h - the pass that joins layers. Private. */
#ifndef QZOO_QUANT_FUSE_H
#define QZOO_QUANT_FUSE_H

#include "layers/graph/graph.h"

/*
 * Joins conv+bn, conv+bn+act, conv+act, linear+act, bn+act, add+act where the inner values have
 * one reader and are no outputs; folds batch norm into weight and bias as CONTRACT.md says. In
 * place; the fused node replaces the first one, under its name, and is also found under the
 * names of the others too. In a graph whose weights have no data (a saved int8 model being
 * rebuilt) only the structure changes; a graph that has some of the data is QZ_ERR_STATE.
 * After a failure the graph computes the same as before. is_qat
 * is QZ_ERR_UNSUPPORTED: fake quantization is not built.
 */
qz_status qzi_fuse(qz_graph *graph, bool is_qat);
/* Replaces every ReLU6 by ReLU (torchvision's quantizable mobilenets; --relu). */
void qzi_replace_relu6(qz_graph *graph);

#endif
