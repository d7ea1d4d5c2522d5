/* SPDX-License-Identifier: MIT */
/*
 * model_detect.c - a detector's settings, its calibration, and the comparison of its float and its
 * int8 graph: whole images through all stages (zoo/detection/detect.h).
 */
#include "zoo/model/model_detect.h"
#include "zoo/detection/options.h"
#include "zoo/model/model_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t threads_of(const qz_model *model)
{
    return model->threads != 0 ? model->threads : qz_context_threads(model->ctx);
}

qz_yolo_info qzi_model_yolo_info(const qz_model *model)
{
    const qzi_detector *d = model->arch->detector;
    qz_yolo_info info = {.classes = model->num_classes,
                         .decode = (qz_yolo_decode)model->detection.decode};
    memcpy(info.strides, d->strides, sizeof(info.strides));
    memcpy(info.scale_xy, d->scale_xy, sizeof(info.scale_xy));
    qzi_model_anchors(model, info.anchors);
    return info;
}

qz_status qz_model_yolo_info(const qz_model *model, qz_yolo_info *info)
{
    if (!model || !info)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_model_yolo_info: model or info is NULL");
    if (!model->arch->detector || model->arch->detector->kind != QZI_DETECTOR_YOLO)
        return qzi_fail(model->ctx, QZ_ERR_UNSUPPORTED, "qz_model_yolo_info: %s is no YOLO",
                        model->arch->info.name);
    *info = qzi_model_yolo_info(model);
    return QZ_OK;
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
                             .yolo = qzi_model_yolo_info(model),
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
        call.only_rois = true;
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

static bool sizes_differ(const qz_detection_options *a, const qz_detection_options *b)
{
    return a->min_size != b->min_size || a->max_size != b->max_size || a->fixed_h != b->fixed_h ||
           a->fixed_w != b->fixed_w;
}

/* The model's own image: the fixed size, or a square as large as the transform makes squares. */
void qzi_model_detection_size(qz_model *model)
{
    const qz_detection_options *o = &model->detection;
    model->input_h = o->fixed_h > 0 ? o->fixed_h : QZI_MIN(o->min_size, o->max_size);
    model->input_w = o->fixed_w > 0 ? o->fixed_w : QZI_MIN(o->min_size, o->max_size);
}

static qz_status measure_size(qz_model *model)
{
    qzi_model_detection_size(model);
    QZI_TRY(qzi_model_count_macs(model, model->graph ? model->graph : model->int8_graph));
    return qzi_model_measure(model);
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
    if (options->size != sizeof(*options))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "qz_model_set_detection_options: size is %zu, not %zu: begin with "
                        "qz_model_get_detection_options or qz_detection_options_default",
                        options->size, sizeof(*options));
    if (model->packings.count > 0 && sizes_differ(&model->detection, options))
        return qzi_model_fail_state(model, "the size of images is set before the first session");
    const qz_detection_options before = model->detection;
    model->detection = *options;
    model->detection.size = sizeof(model->detection);
    const qz_status st = measure_size(model);
    if (st == QZ_OK)
        return QZ_OK;
    model->detection = before; /* a size that the network cannot take */
    (void)measure_size(model);
    return st;
}

/* ---- settings as text ---- */

/* The shortest decimal number that reads as the same double, without a point, which is another
 * character in other locales: "800", "5e-2". */
static void number_text(double value, char text[32])
{
    char full[32], digits[20]; /* 17 are always enough */
    int precision = 0, count = 0;
    snprintf(text, 32, "%.0f", value);
    if (strtod(text, NULL) - value == 0.0)
        return;
    do
        snprintf(full, sizeof(full), "%.*e", precision, value);
    while (strtod(full, NULL) - value != 0.0 && ++precision <= 16);
    const char *exponent = strchr(full, 'e');
    for (const char *p = full; p < exponent && count < 19; p++)
        if (*p >= '0' && *p <= '9')
            digits[count++] = *p;
    digits[count] = '\0';
    snprintf(text, 32, "%se%d", digits, atoi(exponent + 1) - (count - 1));
}

qz_status qzi_model_detection_text(const qz_model *model, qzi_arena *arena, const char **text)
{
    const qzi_detector *detector = model->arch->detector;
    size_t size = 64, used = 0;
    const char *name;
    for (size_t i = 0; (name = qzi_detection_options_name(detector, i)) != NULL; i++)
        size += strlen(name) + 32;
    char *out = qzi_arena_alloc(arena, size);
    if (!out)
        return QZ_ERR_MEMORY;
    out[0] = '\0';
    for (size_t i = 0; (name = qzi_detection_options_name(detector, i)) != NULL; i++) {
        double value = 0.0;
        char number[32];
        qzi_detection_options_get(detector, &model->detection, name, &value);
        number_text(value, number);
        used +=
            (size_t)snprintf(out + used, size - used, "%s%s=%s", i > 0 ? " " : "", name, number);
    }
    if (model->detection.fixed_h > 0) /* SSD: no settings of its own, but of the model */
        snprintf(out + used, size - used, " size=%dx%d", (int)model->detection.fixed_h,
                 (int)model->detection.fixed_w);
    *text = out;
    return QZ_OK;
}

static qz_status fail_order(const qz_model *model, const char *name, const char *at)
{
    return qzi_fail(model->ctx, QZ_ERR_FORMAT,
                    "%s: the detector's setting '%s' is missing before '%.40s'",
                    model->arch->info.name, name, at);
}

static qz_status fail_value(const qz_model *model, const char *name, const char *at)
{
    return qzi_fail(model->ctx, QZ_ERR_FORMAT,
                    "%s: the detector's setting '%s' has no value: %.40s", model->arch->info.name,
                    name, at);
}

/* Moves *text behind "NAME=". */
static qz_status parse_name(const qz_model *model, const char *name, bool first, const char **text)
{
    const char *at = *text + (!first && **text == ' ');
    const size_t length = strlen(name);
    if ((!first && **text != ' ') || strncmp(at, name, length) != 0 || at[length] != '=')
        return fail_order(model, name, *text);
    *text = at + length + 1;
    return QZ_OK;
}

/* A message of the settings names the one that is wrong, and what it may be. */
qz_status qzi_model_detection_parse(qz_model *model, const char *text)
{
    const qzi_detector *detector = model->arch->detector;
    const char *model_name = model->arch->info.name, *name;
    qz_detection_options options = detector->defaults;
    for (size_t i = 0; (name = qzi_detection_options_name(detector, i)) != NULL; i++) {
        char *end = NULL;
        QZI_TRY(parse_name(model, name, i == 0, &text));
        const double value = strtod(text, &end);
        if (end == text || (*end && *end != ' '))
            return fail_value(model, name, text);
        if (qzi_detection_options_set(model->ctx, detector, model_name, &options, name, value) !=
            QZ_OK)
            return QZ_ERR_FORMAT;
        text = end;
    }
    if (detector->defaults.fixed_h > 0) {
        int h = 0, w = 0, length = 0;
        QZI_TRY(parse_name(model, "size", false, &text));
        if (sscanf(text, "%5dx%5d%n", &h, &w, &length) != 2 || length == 0)
            return fail_value(model, "size", text);
        options.fixed_h = h;
        options.fixed_w = w;
        text += length;
    }
    if (*text != '\0')
        return qzi_fail(model->ctx, QZ_ERR_FORMAT, "%s: after the detector's settings is '%.40s'",
                        model_name, text);
    if (qzi_detection_options_check(model->ctx, detector, model_name, &options) != QZ_OK)
        return QZ_ERR_FORMAT;
    model->detection = options;
    return QZ_OK;
}
