/* SPDX-License-Identifier: MIT */
/*
 * qat.h - quantization-aware training on a float graph: fake quantization of weights and values in
 * training steps (layers/graph/backward.h), with observers that follow. Private.
 *
 * The graph stays as it is. A convolution and the batch norm behind it train as torch's ConvBn2d:
 * the weights are scaled by gamma / sqrt(running_var + eps) before they are fake quantized, the
 * output is divided by that, and the batch norm stays a norm.
 */
#ifndef QZOO_QUANT_QAT_QAT_H
#define QZOO_QUANT_QAT_QAT_H

#include "layers/graph/backward.h"
#include "quant/qat/fake_quant.h"

typedef struct qzi_qat qzi_qat;

/* Without any fake quantization. The graph must outlive it. */
qz_status qzi_qat_create(qz_graph *graph, qzi_qat **qat);
void qzi_qat_destroy(qzi_qat *qat);

/* Fake quantizes the weights of a convolution or linear, symmetrically; norm: the batch norm that
 * alone reads it, or QZ_NO_VALUE. */
qz_status qzi_qat_weights(qzi_qat *qat, qz_value node, qz_value norm, bool per_channel,
                          int32_t qmin, int32_t qmax);
/* Fake quantizes the value of a node. */
qz_status qzi_qat_value(qzi_qat *qat, qz_value node, int32_t qmin, int32_t qmax);
/* The same with uint8 parameters that do not follow the values. */
qz_status qzi_qat_fixed(qzi_qat *qat, qz_value node, qzi_qparams q);

/* Whether ranges follow (the start), or are frozen. */
void qzi_qat_observe(qzi_qat *qat, bool on);

/* For qzi_backward_options; then the backward that was made with them. */
void qzi_qat_hooks(qzi_qat *qat, qzi_step_hooks *hooks);
void qzi_qat_attach(qzi_qat *qat, qzi_backward *backward);

/* The parameters of a node's weights (one, or one for each channel) and of its value, as the last
 * forward used them; NULL: it has none. */
const qzi_fake_quant *qzi_qat_weight_params(const qzi_qat *qat, qz_value node, size_t *count);
const qzi_fake_quant *qzi_qat_value_params(const qzi_qat *qat, qz_value node);

#endif
