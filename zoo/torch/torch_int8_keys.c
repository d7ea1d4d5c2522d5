/* SPDX-License-Identifier: MIT */
/*
 * torch_int8_keys.c - state dicts of quantized modules (torch_int8.h, "keys"). All versions of a
 * linear layer's keys are read: weight and bias in a tuple, beside one another in _packed_params,
 * and in the layer itself.
 */
#include "zoo/torch/torch_import.h"

#include <math.h>

static qz_status read_qparams(qzi_torch_import *import, size_t node)
{
    const char *module = qzi_torch_module(&import->model->graph->nodes[node]);
    const char *scale_key, *zero_key;
    const qz_tensor *scale, *zero_point;
    double values[2];
    QZI_TRY(qzi_torch_find(import, module, ".scale", &scale_key, &scale, NULL));
    QZI_TRY(qzi_torch_find(import, module, ".zero_point", &zero_key, &zero_point, NULL));
    if (!scale || !zero_point)
        return qzi_torch_fail_missing(import, !scale ? scale_key : zero_key);
    QZI_TRY(qzi_torch_number(import, scale_key, scale, &values[0]));
    QZI_TRY(qzi_torch_number(import, zero_key, zero_point, &values[1]));
    /* what no int64 can hold is out of range all the same */
    bool whole = fabs(values[1]) <= 1e9 && values[1] == floor(values[1]);
    return qzi_torch_set_qparams(import, node, module, values[0], whole ? (int64_t)values[1] : -1);
}

static qz_status read_weights(qzi_torch_import *import, size_t node)
{
    static const char *const leaves[][2] = {
        {"._packed_params._packed_params.weight", "._packed_params._packed_params.bias"},
        {"._packed_params.weight", "._packed_params.bias"},
        {".weight", ".bias"},
    };
    const qzi_node *layer = &import->model->graph->nodes[node];
    const char *weight_key = "", *bias_key;
    const qz_tensor *weight = NULL, *bias;
    const qz_tensor_quant *quant = NULL;
    for (size_t i = 0; i < QZI_ARRAY_LEN(leaves); i++) {
        if (layer->op == QZI_OP_CONV2D && i < 2)
            continue;
        QZI_TRY(qzi_torch_find(import, layer->name, leaves[i][0], &weight_key, &weight, &quant));
        if (!weight)
            continue;
        QZI_TRY(qzi_torch_find(import, layer->name, leaves[i][1], &bias_key, &bias, NULL));
        return qzi_torch_set_weights(import, node, weight_key, weight, quant, bias_key, bias);
    }
    return qzi_torch_fail_missing(import, weight_key);
}

qz_status qzi_torch_read_keys(qzi_torch_import *import, const qzi_decision *decisions)
{
    const qz_graph *graph = import->model->graph;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_op op = graph->nodes[i].op;
        if (decisions[i].own_qparams)
            QZI_TRY(read_qparams(import, i));
        if (op == QZI_OP_CONV2D || op == QZI_OP_LINEAR)
            QZI_TRY(read_weights(import, i));
    }
    return QZ_OK;
}
