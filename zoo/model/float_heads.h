/* SPDX-License-Identifier: MIT */
/* float_heads.h - the last layers of a network's heads, kept in fp32. Private. */
#ifndef QZOO_ZOO_MODEL_FLOAT_HEADS_H
#define QZOO_ZOO_MODEL_FLOAT_HEADS_H

#include "zoo/model/model.h"

/*
 * Adds to the excluded names, for each output of the float graph: the layer with weights that makes
 * the output, and what is behind that layer. Outputs that other nodes read, such as an FPN's maps,
 * are no heads. Before prepare.
 */
qz_status qzi_model_float_heads(qz_model *model);

#endif
