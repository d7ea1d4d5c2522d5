/* SPDX-License-Identifier: MIT */
/* place.h - where fake quantization is put in a float graph. Private. */
#ifndef QZOO_QUANT_QAT_PLACE_H
#define QZOO_QUANT_QAT_PLACE_H

#include "quant/qat/qat.h"
#include "quant/qconfig.h"

/*
 * Puts fake quantization where int8 conversion of the fused graph has parameters: on the weights
 * of each int8 convolution and linear layer, and on the values that are observed, behind the batch
 * norm and the clamp that are fused into the layer. So it stands where PyTorch's eager mode has it.
 * QZ_ERR_UNSUPPORTED for backends whose values have parameters by channel.
 */
qz_status qzi_qat_place(qzi_qat *qat, const qz_graph *graph, const qzi_qconfig *qconfig);

#endif
