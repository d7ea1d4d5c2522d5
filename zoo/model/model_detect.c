/* SPDX-License-Identifier: MIT */
/*
 * model_detect.c - a detector's settings, its calibration, and the comparison of its float and its
 * int8 graph: whole images through all stages (zoo/detection/detect.h).
 */
#include "zoo/model/model_detect.h"
#include "zoo/detection/options.h"
#include "zoo/model/model_build.h"

#include <string.h>

static uint32_t threads_of(const qz_model *model)
{
    return model->threads != 0 ? model->threads : qz_context_threads(model->ctx);
}

static qzi_detect_call call_of(const qz_model *model, const qz_graph *graph,
                               qzi_stage_runner runner)
{
    return (qzi_detect_call){.ctx = model->ctx,
                             .graph = graph,
                             .detector = model->arch->detector,
                             .options = &model->detection,
                             .classes = model->num_classes,
                             .threads = threads_of(model),
                             .runner = runner,
                             .all_stages = true};
}

/* ---- calibration ---- */

static qz_status calibrate_stage(void *user, qzi_detector_stage stage, const qzi_exec_input *input,
                                 qzi_exec **exec)
{
    qz_model *model = user;
    qzi_exec_input inputs[QZI_STAGE_COUNT] = {0};
    inputs[stage] = *input;
    return qzi_calibration_run(model->calibration, stage, inputs, model->graph->input_count, exec);
}

qz_status qzi_model_detect_calibrate(qz_model *model, const qzi_detect_image *image)
{
    const qzi_detect_call call =
        call_of(model, model->graph, (qzi_stage_runner){calibrate_stage, model});
    qzi_detections found = {0};
    const qz_status st = qzi_detect(&call, image, &found);
    qzi_detections_free(model->ctx, &found);
    if (st == QZ_OK)
        qzi_calibration_count_image(model->calibration);
    return st;
}

/* ---- comparison ---- */

typedef struct comparison {
    qzi_sqnr *sqnr;
    size_t input_count;
    bool int8;
} comparison;

static qz_status compare_stage(void *user, qzi_detector_stage stage, const qzi_exec_input *input,
                               qzi_exec **exec)
{
    const comparison *c = user;
    qzi_exec_input inputs[QZI_STAGE_COUNT] = {0};
    inputs[stage] = *input;
    return qzi_sqnr_run(c->sqnr, c->int8, stage, inputs, c->input_count, exec);
}

/* Most proposals that are compared: as many as a detector has detections. */
#define ROIS_MAX 100

/*
 * The float graph finds the proposals; both graphs then run their later stages on the same ones, as
 * what differs by a rounding in the first stage may be other boxes in the next.
 */
qz_status qzi_model_detect_compare(qz_model *model, qzi_sqnr *sqnr, const qzi_detect_image *image)
{
    comparison c = {.sqnr = sqnr, .input_count = model->graph->input_count};
    qzi_detect_call call = call_of(model, model->graph, (qzi_stage_runner){compare_stage, &c});
    qzi_detections found = {0}, same = {0};
    qz_status st = qzi_detect(&call, image, &found);
    const bool two_stages = model->arch->detector->kind == QZI_DETECTOR_RCNN;
    if (st == QZ_OK && two_stages && found.roi_count > 0) {
        call.rois = found.rois;
        call.roi_count = QZI_MIN(found.roi_count, (size_t)ROIS_MAX);
        st = qzi_detect(&call, image, &same);
    }
    if (st == QZ_OK) {
        c.int8 = true;
        call.graph = model->int8_graph;
        st = qzi_detect(&call, image, &same);
    }
    qzi_sqnr_end_image(sqnr, st == QZ_OK);
    qzi_detections_free(model->ctx, &found);
    qzi_detections_free(model->ctx, &same);
    return st;
}

/* ---- settings ---- */

static qz_status check_detector(const qz_model *model, const void *options, const char *function)
{
    if (!model || !options)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT, "%s: model or options is NULL",
                        function);
    if (!model->arch->detector)
        return qzi_fail(model->ctx, QZ_ERR_UNSUPPORTED, "%s: %s is no detector", function,
                        model->arch->info.name);
    return QZ_OK;
}

qz_status qz_model_get_detection_options(const qz_model *model, qz_detection_options *options)
{
    QZI_TRY(check_detector(model, options, "qz_model_get_detection_options"));
    *options = model->detection;
    return QZ_OK;
}

qz_status qz_model_set_detection_options(qz_model *model, const qz_detection_options *options)
{
    QZI_TRY(check_detector(model, options, "qz_model_set_detection_options"));
    QZI_TRY(qzi_detection_options_check(model->ctx, model->arch->detector, model->arch->info.name,
                                        options));
    model->detection = *options;
    model->detection.size = sizeof(model->detection);
    return QZ_OK;
}
