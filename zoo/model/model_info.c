/* SPDX-License-Identifier: MIT */
/*
 * model_info.c - facts about a model: sizes, origin, options, graphs.
 */
#include "layers/graph/exec.h"
#include "zoo/model/model_build.h"

#include <string.h>

static size_t param_bytes(const qz_graph *graph, const qzi_node *node)
{
    size_t bytes = 0;
    if (node->call > 0) /* the parameters are those of the first call */
        return 0;
    for (int which = 0; which < QZI_P_COUNT; which++) {
        const qzi_param *param = qzi_node_param(graph, node, which);
        if (param && !param->optional)
            bytes += (size_t)qz_tensor_numel(&param->tensor) * sizeof(float);
    }
    return bytes;
}

/* int8 weights with their scales and biases; tables; the parameters of float islands. */
static size_t node_bytes(const qz_graph *graph, const qzi_node *node)
{
    size_t bytes = 0;
    if (node->tables)
        bytes += node->in_count * 256;
    if (!node->qw)
        return bytes + param_bytes(graph, node);
    const qzi_conv2d_attr *conv = &node->u.conv;
    size_t oc = (size_t)conv->oc;
    return bytes + oc * (size_t)(conv->ic / conv->groups) * (size_t)conv->kh * (size_t)conv->kw +
           oc * (sizeof(float) + sizeof(int32_t));
}

static size_t graph_bytes(const qz_graph *graph)
{
    size_t bytes = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        bytes += node_bytes(graph, &graph->nodes[i]);
    return bytes;
}

qz_status qzi_model_measure(qz_model *model)
{
    int32_t h, w;
    QZI_TRY(qzi_model_network_size(model, &h, &w));
    if (model->graph) {
        model->fp32_weights_bytes = graph_bytes(model->graph);
        QZI_TRY(qzi_graph_list_size(model->graph, h, w));
    }
    if (model->int8_graph) {
        model->int8_weights_bytes = graph_bytes(model->int8_graph);
        QZI_TRY(qzi_graph_list_size(model->int8_graph, h, w));
    }
    return QZ_OK;
}

void qz_model_get_info(const qz_model *model, qz_model_info *info)
{
    if (!info)
        return;
    memset(info, 0, sizeof(*info));
    info->weights_file = info->calib = "";
    info->name = info->task = info->weights = info->backend = info->observer = info->warning = "";
    info->note = info->recipe = info->bias_correction = info->weight_scales = info->equalize = "";
    info->rounding = "";
    if (!model)
        return;
    const qz_arch_info *arch = &model->arch->info;
    info->name = arch->name;
    info->task = arch->task;
    info->weights = model->origin.weights;
    info->weights_file = model->origin.path && !model->origin.memory ? model->origin.path : "";
    info->random_weights = model->origin.random;
    info->missing_count = model->origin.missing;
    info->named_classes = model->classes != NULL;
    info->own_preprocess = model->own_preprocess;
    info->calib = model->calib;
    info->synthetic_calibration = model->synthetic_images > 0;
    info->calibration_hash = model->calibration_hash;
    info->converted = model->int8_graph != NULL;
    if (model->prepared) {
        info->backend = model->qconfig.backend->name;
        if (!model->qconfig.imported) /* else another quantizer observed */
            info->observer = model->observer;
        info->recipe = qz_recipe_name(model->qconfig.recipe);
        info->bias_correction = qz_bias_correction_name(model->qconfig.bias_correction);
        info->rounding = qz_rounding_name(model->qconfig.rounding);
        info->weight_bits = qzi_qconfig_weight_form(&model->qconfig).bits;
        info->weight_scales = model->qconfig.per_channel ? "channel" : "tensor";
        info->equalize = model->equalize;
    }
    info->calibration_images = model->calibration_images;
    info->num_classes = model->num_classes;
    info->input_h = model->input_h;
    info->input_w = model->input_w;
    info->unit_images = model->arch->detector != NULL;
    info->letterbox = model->arch->detector && model->arch->detector->kind == QZI_DETECTOR_YOLO;
    info->letterbox_stride =
        info->letterbox && model->detection.rect ? model->arch->detector->size_divisor : 0;
    info->preprocess = model->preprocess;
    info->params = model->params;
    info->macs = model->macs;
    info->fp32_weights_bytes = model->fp32_weights_bytes;
    info->int8_weights_bytes = model->int8_weights_bytes;
    info->warning_count = model->origin.warning_count;
    info->warning = model->origin.warning;
    info->note = model->origin.note;
}

/* Data that graphs hold; entries without data (of layers that became int8, or dropped) are none. */
static size_t held_params(const qz_graph *graph)
{
    size_t bytes = 0;
    for (size_t i = 0; i < graph->param_count; i++) {
        const qz_tensor *t = &graph->params[i].tensor;
        if (t->data)
            bytes += (size_t)qz_tensor_numel(t) * qz_dtype_size(t->dtype);
    }
    return bytes;
}

static size_t held_qweights(const qz_graph *graph)
{
    size_t bytes = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_qweights *qw = graph->nodes[i].qw;
        const qzi_conv2d_attr *conv = &graph->nodes[i].u.conv;
        if (!qw || !qw->w)
            continue;
        size_t oc = (size_t)conv->oc;
        bytes += oc * (size_t)(conv->ic / conv->groups) * (size_t)conv->kh * (size_t)conv->kw;
        bytes += oc * (sizeof(*qw->scales) + sizeof(*qw->bias) + sizeof(*qw->bias_f32));
    }
    return bytes;
}

void qz_model_get_memory(const qz_model *model, qz_model_memory *memory)
{
    if (!memory)
        return;
    *memory = (qz_model_memory){0};
    if (!model)
        return;
    if (model->graph)
        memory->float_bytes = held_params(model->graph);
    if (model->int8_graph) {
        memory->canonical_bytes = held_qweights(model->int8_graph);
        memory->island_bytes = held_params(model->int8_graph);
    }
    qzi_mutex_lock(model->packings.lock); /* new sessions pack */
    for (size_t i = 0; i < model->packings.count; i++)
        memory->packed_bytes += qzi_packed_bytes(model->packings.list[i].packed);
    memory->packings = model->packings.count;
    qzi_mutex_unlock(model->packings.lock);
}

const qz_graph *qz_model_graph(const qz_model *model, bool int8)
{
    if (!model)
        return NULL;
    return int8 ? model->int8_graph : model->graph;
}
