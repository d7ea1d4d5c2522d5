/* SPDX-License-Identifier: MIT */
/* model_build.c - an empty model, its float graph, and its end. */
#include "zoo/model/model_build.h"
#include "quant/divide.h"
#include "zoo/detection/transform.h"

#include <math.h>
#include <string.h>

/* More classes than any data set has; keeps a mistyped number from taking all memory. */
#define MAX_CLASSES 1000000

qz_status qzi_model_alloc(qz_context *ctx, const qzi_arch *arch, qz_model **model)
{
    qz_model *m = qzi_calloc(ctx, 1, sizeof(*m));
    if (!m)
        return QZ_ERR_MEMORY;
    m->ctx = ctx;
    m->arch = arch;
    m->origin.weights = "";
    m->origin.warning = "";
    m->origin.note = "";
    m->preprocess = arch->info.preprocess;
    if (arch->detector) {
        m->detection = arch->detector->defaults;
        memcpy(m->anchors, arch->detector->yolo_anchors, sizeof(m->anchors));
    }
    m->input_h = arch->info.input_h;
    m->input_w = arch->info.input_w;
    qzi_arena_init(&m->arena, ctx);
    m->packings.lock = qzi_mutex_create(ctx);
    if (!m->packings.lock) {
        qz_model_destroy(m);
        return QZ_ERR_MEMORY;
    }
    *model = m;
    return QZ_OK;
}

void qz_model_destroy(qz_model *model)
{
    if (!model)
        return;
    qz_context *ctx = model->ctx;
    qzi_sqnr_destroy(model->sqnr);
    for (size_t i = 0; i < model->packings.count; i++)
        qzi_packed_destroy(model->packings.list[i].packed);
    qzi_calibration_destroy(model->calibration);
    qz_graph_destroy(model->int8_graph);
    qz_graph_destroy(model->graph);
    if (model->packings.lock)
        qzi_mutex_destroy(ctx, model->packings.lock);
    qzi_free(ctx, (void *)(uintptr_t)model->classes);
    qzi_arena_free(&model->arena);
    qzi_free(ctx, model);
}

qz_status qzi_model_network_size(const qz_model *model, int32_t *h, int32_t *w)
{
    qzi_transform_size size;
    *h = model->input_h;
    *w = model->input_w;
    if (!model->arch->detector)
        return QZ_OK;
    QZI_TRY(qzi_transform_sizes(model->ctx, model->arch->detector, &model->detection, *h, *w, 0, 0,
                                &size));
    *h = size.padded_h;
    *w = size.padded_w;
    return QZ_OK;
}

/* MACs of one image of the model's own size, and of one RoI. */
qz_status qzi_model_count_macs(qz_model *model, const qz_graph *graph)
{
    qzi_shape *shapes = NULL;
    int32_t h, w;
    QZI_TRY(qzi_model_network_size(model, &h, &w));
    qz_status st = qzi_graph_image_shapes(graph, h, w, &shapes);
    uint64_t macs = 0;
    for (size_t i = 0; st == QZ_OK && i < graph->node_count; i++)
        macs += qzi_node_macs(&graph->nodes[i], &shapes[i]);
    qzi_free(graph->ctx, shapes);
    if (st == QZ_OK)
        model->macs = macs;
    return st;
}

int32_t qzi_model_channels(const qz_model *model)
{
    const qz_graph *graph = model->graph ? model->graph : model->int8_graph;
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].op == QZI_OP_INPUT)
            return graph->nodes[i].c;
    return 0;
}

static qz_status check_build(const qz_model *model, const qzi_build_options *build)
{
    const qzi_arch *arch = model->arch;
    if (build->num_classes < 0 || build->num_classes > MAX_CLASSES)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "num_classes is %d; it must be 1 to %d, or 0 for %s's own %d",
                        (int)build->num_classes, MAX_CLASSES, arch->info.name,
                        (int)arch->info.classes);
    if (!arch->has_transform_input && build->transform_input)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "%s has no transform_input; only googlenet and inception_v3 have",
                        arch->info.name);
    if (!arch->has_aux_logits && build->no_aux_logits)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "%s has no auxiliary heads; googlenet, inception_v3, fcn and deeplabv3 "
                        "have",
                        arch->info.name);
    if (build->activation != QZ_ACT_NONE && !arch->has_activation)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "%s: its activation is no option; only yolov3 was published with two",
                        arch->info.name);
    if (build->activation != QZ_ACT_NONE && build->activation != QZ_ACT_LEAKY_RELU &&
        build->activation != QZ_ACT_SILU)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "%s: the activation is leaky_relu or silu, not number %d", arch->info.name,
                        (int)build->activation);
    return QZ_OK;
}

qz_status qzi_model_build(qz_model *model, const qzi_build_options *options)
{
    qzi_build_options build = {0};
    if (options)
        build = *options;
    QZI_TRY(check_build(model, &build));
    if (build.num_classes == 0)
        build.num_classes = model->arch->info.classes;
    model->num_classes = build.num_classes;
    model->transform_input = build.transform_input;
    model->no_aux_logits = build.no_aux_logits;
    model->zero_eps = build.zero_eps;
    model->activation = build.activation;
    qz_graph_destroy(model->graph);
    model->graph = NULL;
    QZI_TRY(qz_graph_create(model->ctx, &model->graph));
    model->arch->build(model->graph, model->arch->config, &build);
    if (model->norm_eps > 0.0f)
        qzi_graph_set_norm_eps(model->graph, model->norm_eps);
    return qzi_model_finish_graph(model);
}

qz_status qzi_model_finish_graph(qz_model *model)
{
    QZI_TRY(qz_graph_finish(model->graph));
    QZI_TRY(qzi_graph_prune(model->graph));
    model->params = 0;
    for (size_t i = 0; i < model->graph->param_count; i++)
        if (model->graph->params[i].trainable)
            model->params += (uint64_t)qz_tensor_numel(&model->graph->params[i].tensor);
    return qzi_model_count_macs(model, model->graph);
}

void qzi_model_set_norm_eps(qz_model *model, float eps)
{
    model->norm_eps = eps;
    qzi_graph_set_norm_eps(model->graph, eps);
}

qz_status qzi_model_take_anchors(qz_model *model)
{
    const qzi_detector *detector = model->arch->detector;
    const qz_graph *graph = model->graph;
    if (!detector || detector->kind != QZI_DETECTOR_YOLO)
        return QZ_OK;
    for (size_t i = 0; i < graph->param_count; i++) {
        const float *values = graph->params[i].tensor.data;
        if (!qzi_ends_with(graph->params[i].key, ".anchors") || !values)
            continue;
        for (int32_t k = 0; k < 18; k++) {
            const float pixels = values[k] * (float)detector->strides[k / 6];
            if (!(pixels > 0.0f && isfinite(pixels)))
                return qzi_fail(model->ctx, QZ_ERR_NUMERIC, "%s: anchor %d is %g, and no size",
                                graph->params[i].key, (int)k / 2, (double)values[k]);
            model->anchors[k / 6][k / 2 % 3][k % 2] = pixels;
        }
    }
    return QZ_OK;
}

void qzi_model_anchors(const qz_model *model, float pixels[3][3][2])
{
    memcpy(pixels, model->anchors, sizeof(model->anchors));
}

qz_status qzi_model_fuse(qz_model *model)
{
    QZI_TRY(model->arch->fuse(model->graph, false));
    model->fused = true;
    return QZ_OK;
}

qz_status qzi_model_divide(qz_model *model)
{
    const qzi_detector *detector = model->arch->detector;
    if (model->fused || !detector || detector->kind != QZI_DETECTOR_YOLO)
        return QZ_OK;
    if (model->packings.count > 0)
        return qzi_model_fail_state(model, "unfused, it is prepared before the first session");
    return qzi_divide(model->graph);
}

qz_status qzi_model_fail_state(const qz_model *model, const char *text)
{
    return qzi_fail(model->ctx, QZ_ERR_STATE, "%s: %s", model->arch->info.name, text);
}
