/* SPDX-License-Identifier: MIT */
/*
 * torch_int8_qat.c - checkpoints of quantization-aware training that were not converted
 * (torch_int8.h, "qat"), turned into int8 as torch.ao.quantization.convert does:
 *
 *   - batch norm, which is in the convolution's module as NAME.bn, is folded into its weights;
 *   - the weight's scale is that of the range which weight_fake_quant saw, after it has seen the
 *     folded weights once more where its observer is still on;
 *   - a value's scale and zero point are those of the range of activation_post_process.
 *
 * Whether an activation has 7 or 8 bits (reduce_range) does not follow from the ranges; the scale
 * beside them shows it.
 */
#include "zoo/model/weights_load.h"
#include "zoo/model/weights_random.h"
#include "zoo/torch/torch_import.h"

#include <math.h>
#include <string.h>

/* torch's moving average observers: what one more look counts. */
#define AVERAGING_CONSTANT 0.01f

/* ---- float weights ---- */

/* The convolution whose module holds the batch norm; -1: the node is none, or is alone. */
static qz_value convolution_of(const qz_graph *graph, const qzi_node *node)
{
    if (node->op != QZI_OP_BATCH_NORM2D || graph->nodes[node->in[0]].op != QZI_OP_CONV2D)
        return -1;
    return node->in[0];
}

static qz_status load_param(qzi_torch_import *import, const qzi_node *node, int which)
{
    const qz_model *model = import->model;
    const qzi_param *param = &model->graph->params[node->param[which]];
    const qz_value conv = convolution_of(model->graph, node);
    const char *leaf = strrchr(param->key, '.'), *key = param->key, *name = NULL;
    const qz_tensor *found = NULL;
    if (conv >= 0 && leaf) {
        QZI_TRY(qzi_torch_find(import, model->graph->nodes[conv].name, ".bn", &name, &found, NULL));
        QZI_TRY(qzi_torch_find(import, name, leaf, &key, &found, NULL));
    }
    if (!found)
        found = qz_state_dict_find(import->dict, param->key);
    if (found)
        return qzi_weights_load_param(model, model->graph, (size_t)node->param[which], found,
                                      import->path);
    return param->optional ? QZ_OK : qzi_torch_fail_missing(import, key);
}

qz_status qzi_torch_load_qat(qzi_torch_import *import)
{
    const qz_model *model = import->model;
    for (size_t i = 0; i < model->graph->node_count; i++) {
        const qzi_node *node = &model->graph->nodes[i];
        for (int which = 0; which < QZI_P_COUNT; which++)
            if (node->param[which] >= 0)
                QZI_TRY(load_param(import, node, which));
    }
    /* counters that the file lacks, and heads that only training runs */
    return qzi_weights_fill_arch(model->graph, model->arch, "0");
}

/* ---- ranges ---- */

/* NAME + LEAF: `count` float32 numbers, or one for all. */
static qz_status read_floats(qzi_torch_import *import, const char *name, const char *leaf,
                             int64_t count, const float **values, bool *single)
{
    const char *key;
    const qz_tensor *tensor;
    QZI_TRY(qzi_torch_find(import, name, leaf, &key, &tensor, NULL));
    if (!tensor)
        return qzi_torch_fail_missing(import, key);
    int64_t numel = qz_tensor_numel(tensor);
    if (tensor->dtype != QZ_F32 || (numel != 1 && numel != count))
        return qzi_fail(import->model->ctx, QZ_ERR_MISMATCH,
                        "%s: %s is not float32, or has not the layer's number of elements",
                        import->path, key);
    *values = tensor->data;
    *single = numel == 1;
    for (int64_t i = 0; i < numel; i++)
        if (!isfinite((*values)[i]))
            return qzi_fail(import->model->ctx, QZ_ERR_NUMERIC,
                            "%s: %s has NaN or infinity; was the model ever trained?", import->path,
                            key);
    return QZ_OK;
}

static qz_status read_activation(qzi_torch_import *import, size_t node)
{
    const char *module = qzi_torch_module(&import->model->graph->nodes[node]);
    const float *min, *max, *scale;
    bool single;
    QZI_TRY(read_floats(import, module, ".activation_post_process.activation_post_process.min_val",
                        1, &min, &single));
    QZI_TRY(read_floats(import, module, ".activation_post_process.activation_post_process.max_val",
                        1, &max, &single));
    QZI_TRY(read_floats(import, module, ".activation_post_process.scale", 1, &scale, &single));
    if (*min > *max)
        return qzi_fail(import->model->ctx, QZ_ERR_NUMERIC,
                        "%s: the range that %s was trained with is from %g to %g", import->path,
                        module, (double)*min, (double)*max);
    const qzi_qparams full = qzi_qparams_affine(*min, *max, 0, 255);
    const qzi_qparams reduced = qzi_qparams_affine(*min, *max, 0, 127);
    const bool is_full = fabsf(*scale - full.scale) <= fabsf(*scale - reduced.scale);
    const qzi_qparams q = is_full ? full : reduced;
    return qzi_torch_set_qparams(import, node, module, (double)q.scale, q.zero_point);
}

/* Whether weight_fake_quant still looks at the weights when it is asked to quantize them. */
static qz_status is_observing(qzi_torch_import *import, const char *layer, bool *on)
{
    const char *key;
    const qz_tensor *tensor;
    double value = 1.0;
    QZI_TRY(
        qzi_torch_find(import, layer, ".weight_fake_quant.observer_enabled", &key, &tensor, NULL));
    if (tensor)
        QZI_TRY(qzi_torch_number(import, key, tensor, &value));
    *on = value != 0.0;
    return QZ_OK;
}

/* One more look: the range moves a little towards that of the values. */
static void observe(const float *w, int64_t n, float *min, float *max)
{
    float low = w[0], high = w[0];
    for (int64_t i = 1; i < n; i++) {
        low = w[i] < low ? w[i] : low;
        high = w[i] > high ? w[i] : high;
    }
    *min += AVERAGING_CONSTANT * (low - *min);
    *max += AVERAGING_CONSTANT * (high - *max);
}

static qz_status read_weights(qzi_torch_import *import, size_t node)
{
    const qz_graph *graph = import->model->graph;
    const qzi_node *layer = &graph->nodes[node];
    const qzi_conv2d_attr *conv = &layer->u.conv;
    const qzi_param *weight = qzi_node_param(graph, layer, QZI_P_WEIGHT);
    const qzi_param *bias = qzi_node_param(graph, layer, QZI_P_BIAS);
    const int64_t per = (int64_t)(conv->ic / conv->groups) * conv->kh * conv->kw;
    const float *w = weight->tensor.data, *mins, *maxs;
    bool single, other, observing;
    QZI_TRY(read_floats(import, layer->name, ".weight_fake_quant.activation_post_process.min_val",
                        conv->oc, &mins, &single));
    QZI_TRY(read_floats(import, layer->name, ".weight_fake_quant.activation_post_process.max_val",
                        conv->oc, &maxs, &other));
    if (single != other)
        return qzi_fail(graph->ctx, QZ_ERR_MISMATCH,
                        "%s: %s.weight_fake_quant has another number of minima than of maxima",
                        import->path, layer->name);
    QZI_TRY(is_observing(import, layer->name, &observing));
    float *scales = qzi_arena_alloc(&import->arena, (size_t)conv->oc * sizeof(*scales));
    if (!scales)
        return QZ_ERR_MEMORY;
    qzi_fpenv env = qzi_fpenv_enter();
    for (int32_t o = 0; o < conv->oc; o++) {
        if (single && o > 0) {
            scales[o] = scales[0];
            continue;
        }
        float min = mins[o], max = maxs[o];
        if (observing)
            observe(w + o * per, single ? per * conv->oc : per, &min, &max);
        scales[o] = qzi_scale_symmetric(QZI_MAX(-min, max));
    }
    qzi_fpenv_leave(env);
    import->per_channel |= !single;
    import->weights[node] = (qzi_torch_weights){
        .w_f32 = w,
        .scales = scales,
        .bias = bias ? bias->tensor.data : NULL,
    };
    return QZ_OK;
}

qz_status qzi_torch_read_qat(qzi_torch_import *import, const qzi_decision *decisions)
{
    const qz_graph *graph = import->model->graph;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_op op = graph->nodes[i].op;
        if (decisions[i].own_qparams)
            QZI_TRY(read_activation(import, i));
        if (op == QZI_OP_CONV2D || op == QZI_OP_LINEAR)
            QZI_TRY(read_weights(import, i));
    }
    return QZ_OK;
}
