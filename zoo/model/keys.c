/* SPDX-License-Identifier: MIT */
/* keys.c - the keys of a file and those of the network: the order of the steps (keys.h). */
#include "zoo/model/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of the output of that name; -1. */
static qz_value find_output(const qz_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (strcmp(graph->outputs[i].name, name) == 0)
            return graph->outputs[i].value;
    return -1;
}

/* The last convolution or linear layer before the output, along first inputs. Of a detector, before
 * the scores of the classes: its other outputs have other channels. */
static void find_head(qzi_fit *fit)
{
    const qz_graph *graph = fit->model->graph;
    const qzi_detector *detector = fit->model->arch->detector;
    fit->head_rows = 1;
    if (graph->output_count == 0)
        return;
    qz_value at = graph->outputs[0].value;
    if (detector) {
        const bool rcnn = detector->kind == QZI_DETECTOR_RCNN;
        at = find_output(graph, rcnn ? "roi_cls_logits" : "cls_logits.0");
        fit->head_rows = rcnn ? 1 : qzi_detector_anchors(detector, 0);
        fit->head_extra = detector->kind == QZI_DETECTOR_YOLO ? 5 : 0;
    }
    while (at >= 0) {
        const qzi_node *node = &graph->nodes[at];
        if (node->op == QZI_OP_CONV2D || node->op == QZI_OP_LINEAR) {
            snprintf(fit->head, sizeof(fit->head), "%s", node->name);
            return;
        }
        at = node->in_count > 0 ? (qz_value)node->in[0] : -1;
    }
}

/* A tensor of the file for a parameter of an auxiliary head, which has `classes` rows if last. */
static bool aux_fits(const qzi_fit *fit, const qzi_param *param, int32_t classes)
{
    const qz_tensor *want = &param->tensor;
    const qz_tensor *found = qz_state_dict_find(fit->dict, param->key);
    if (!found || found->ndim != want->ndim)
        return false;
    for (int32_t i = 0; i < want->ndim; i++) {
        bool rows = i == 0 && want->dims[0] == fit->model->num_classes;
        if (found->dims[i] != (rows ? classes : want->dims[i]))
            return false;
    }
    return true;
}

/* Auxiliary heads are not run, so those that do not fit are left out. */
static void fit_aux(qzi_fit *fit, qzi_build_options *build)
{
    const qz_graph *graph = fit->model->graph;
    if (fit->int8 || build->no_aux_logits)
        return;
    for (size_t i = 0; i < graph->param_count; i++) {
        const qzi_param *param = &graph->params[i];
        if (param->optional || !qzi_keys_is_aux(fit->model, param->key) ||
            aux_fits(fit, param, build->num_classes))
            continue;
        build->no_aux_logits = true;
        qzi_keys_note(fit,
                      "left out the auxiliary heads, which are not run and do not fit (%s), as "
                      "options.no_aux_logits does",
                      param->key);
        return;
    }
}

static qz_status run_steps(qzi_fit *fit, qzi_build_options *build)
{
    const qz_graph *graph = fit->model->graph;
    fit->keys = qzi_calloc(fit->model->ctx, graph->param_count, sizeof(const char *));
    if (!fit->keys)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->param_count; i++)
        fit->keys[i] = graph->params[i].key;
    qsort(fit->keys, graph->param_count, sizeof(*fit->keys), qzi_keys_compare);
    find_head(fit);
    if (qz_state_dict_note(fit->dict)[0] != '\0')
        qzi_keys_note(fit, "%s", qz_state_dict_note(fit->dict));
    QZI_TRY(qzi_keys_yolo(fit));
    QZI_TRY(qzi_keys_strip(fit));
    QZI_TRY(qzi_keys_yolo_module(fit, build));
    QZI_TRY(qzi_keys_head(fit, build));
    fit_aux(fit, build);
    return QZ_OK;
}

qz_status qzi_keys_fit(qz_model *model, qz_state_dict *dict, const char *path, bool int8,
                       const qz_model_options *options, qzi_build_options *build)
{
    qzi_fit fit = {.model = model, .dict = dict, .path = path, .int8 = int8, .options = options};
    build->num_classes = model->num_classes;
    qz_status st = run_steps(&fit, build);
    qzi_free(model->ctx, fit.keys);
    QZI_TRY(st);
    if (fit.note[0] == '\0')
        return QZ_OK;
    return qzi_keys_printable(model, fit.note, &model->origin.note);
}
