/* SPDX-License-Identifier: MIT */
/*
 * torch_import.h - what the three forms of PyTorch's int8 files (torch_int8.h) share, and their
 * readers. Private.
 */
#ifndef QZOO_ZOO_TORCH_TORCH_IMPORT_H
#define QZOO_ZOO_TORCH_TORCH_IMPORT_H

#include "zoo/model/model.h"

/* One convolution's or linear's. w or w_f32; memory of the dict, the graph or the arena. */
typedef struct qzi_torch_weights {
    const int8_t *w;
    const float *w_f32;  /* quantized with the scales when the layer is made */
    const float *scales; /* [oc] */
    const float *bias;   /* [oc]; NULL: none */
} qzi_torch_weights;

typedef struct qzi_torch_import {
    qz_model *model;
    const qz_state_dict *dict;
    const char *path;
    qzi_arena arena;
    qzi_value_q *observed;      /* by node of the fused float graph; scale 0: none */
    qzi_torch_weights *weights; /* also by node */
    bool per_channel;           /* some layer has several scales */
} qzi_torch_import;

/* ---- the forms (each fills observed and weights) ---- */

qz_status qzi_torch_read_keys(qzi_torch_import *import, const qzi_decision *decisions);
qz_status qzi_torch_read_script(qzi_torch_import *import, const qzi_decision *decisions,
                                const char *code);
/* Loads float weights into the graph, before it is fused; then, after that, the ranges. */
qz_status qzi_torch_load_qat(qzi_torch_import *import);
qz_status qzi_torch_read_qat(qzi_torch_import *import, const qzi_decision *decisions);

/* ---- what the forms share (torch_import.c) ---- */

/* NAME[MIDDLE]LEAF in the file; *key (in the arena) for messages. NULL in *tensor where absent. */
qz_status qzi_torch_find(qzi_torch_import *import, const char *name, const char *leaf,
                         const char **key, const qz_tensor **tensor, const qz_tensor_quant **quant);
/* QZ_ERR_MISMATCH: the file lacks `key`. */
qz_status qzi_torch_fail_missing(const qzi_torch_import *import, const char *key);
/* Scale and zero point of a value of uint8; `what` names it in messages. */
qz_status qzi_torch_set_qparams(qzi_torch_import *import, size_t node, const char *what,
                                double scale, int64_t zero_point);
/* The one number that a tensor of one element holds. */
qz_status qzi_torch_number(const qzi_torch_import *import, const char *key, const qz_tensor *tensor,
                           double *value);
/* Weight (int8, quantized) and bias of a layer, checked against the node. */
qz_status qzi_torch_set_weights(qzi_torch_import *import, size_t node, const char *weight_key,
                                const qz_tensor *weight, const qz_tensor_quant *quant,
                                const char *bias_key, const qz_tensor *bias);
/* What torch calls the module whose value the node is: "quant" for the image. */
const char *qzi_torch_module(const qzi_node *node);

#endif
