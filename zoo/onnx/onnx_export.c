/* SPDX-License-Identifier: MIT */
/* onnx_export.c - qz_onnx_export: which graph, at which size, node by node. */
#include "layers/graph/exec.h"
#include "zoo/model/classes.h"
#include "zoo/model/model.h"
#include "zoo/model/model_detect.h"
#include "zoo/model/model_pack.h"
#include "zoo/onnx/onnx_post.h"

#include <inttypes.h>
#include <string.h>

/* ---- options ---- */

static bool is_int8(const qz_onnx_options *options)
{
    return options->format == QZ_ONNX_QDQ || options->format == QZ_ONNX_QOPERATOR;
}

static qz_status check_images(const qz_model *model, const qz_onnx_options *o)
{
    const qz_tensor *images = o->images;
    if (!images)
        return QZ_OK;
    if (!images->data || images->dtype != QZ_F32 || images->ndim != 4 || images->dims[0] < 1 ||
        qz_tensor_numel(images) < 1)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "qz_onnx_export: images must be float32, N x C x H x W, with data");
    return QZ_OK;
}

/* Of a square image whose shorter side is resized as a detector's settings say, and padded. */
static void own_size(const qz_model *model, int32_t *height, int32_t *width)
{
    const qzi_detector *detector = model->arch->detector;
    const qz_detection_options *settings = &model->detection;
    *height = model->input_h;
    *width = model->input_w;
    if (detector && (detector->kind == QZI_DETECTOR_SSD || detector->kind == QZI_DETECTOR_YOLO)) {
        *height = settings->fixed_h;
        *width = settings->fixed_w;
    } else if (detector) {
        const int32_t side = QZI_MIN(settings->min_size, settings->max_size);
        *height = *width = (int32_t)QZI_ROUND_UP((size_t)side, (size_t)detector->size_divisor);
    }
}

static bool has_stages(const qz_model *model)
{
    return model->arch->detector && model->arch->detector->kind == QZI_DETECTOR_RCNN;
}

/* Whether the graph has outputs behind its first: an auxiliary head's. */
static bool has_outputs(const qz_model *model)
{
    const qz_graph *graph = model->graph ? model->graph : model->int8_graph;
    return graph && graph->output_count > 1;
}

static qz_status check_stage(const qz_model *model, const qz_onnx_options *o)
{
    const char *name = model->arch->info.name;
    if (o->stage == QZ_ONNX_STAGE_ALL)
        return QZ_OK;
    if (!has_stages(model))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "stage: goes with detectors of two stages only, and %s is none", name);
    if ((int)o->stage < 0 || o->stage >= QZ_ONNX_STAGE_COUNT)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no stage number %d", (int)o->stage);
    if (o->stage == QZ_ONNX_STAGE_MASK && !model->arch->detector->has_masks)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "stage: %s has no masks", name);
    if (o->postprocess)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "stage: objects are found by all stages; leave postprocess out");
    return QZ_OK;
}

static bool is_yolo(const qz_model *model)
{
    return model->arch->detector && model->arch->detector->kind == QZI_DETECTOR_YOLO;
}

/* YOLO's sizes, and the classes that its objects are of. */
static qz_status check_yolo(const qz_model *model, const qz_onnx_options *o)
{
    const char *name = model->arch->info.name;
    if (o->only && !(is_yolo(model) && o->postprocess))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "only: the classes to look for go with YOLO and postprocess");
    for (size_t i = 0; i < o->only_count && o->only; i++)
        if (o->only[i] < 0 || o->only[i] >= model->num_classes)
            return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "%s has no class %d; it has %d", name,
                            (int)o->only[i], (int)model->num_classes);
    const int32_t multiple = is_yolo(model) ? model->arch->detector->size_divisor : 1;
    if (o->height % multiple || o->width % multiple)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "%s: images of %dx%d; both sides must be multiples of %d", name,
                        (int)o->height, (int)o->width, (int)multiple);
    return QZ_OK;
}

/* A file whose later stages run on boxes of the image has one image. */
static qz_status check_batch(const qz_model *model, qz_onnx_options *o)
{
    if (!has_stages(model) && !o->postprocess)
        return QZ_OK;
    if (o->batch > 1)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "batch %d: %s finds the boxes of one image; export it with batch 1",
                        (int)o->batch, model->arch->info.name);
    o->batch = 1;
    return QZ_OK;
}

/* The caller's options with defaults in place of zeros. */
static qz_status resolve(const qz_model *model, const qz_onnx_options *options, qz_onnx_options *o)
{
    QZI_TRY(qzi_options_take(model->ctx, options, o, sizeof(*o), "qz_onnx_options"));
    if (o->opset == 0)
        o->opset = QZ_ONNX_OPSET_DEFAULT;
    if (o->height == 0 && o->width == 0)
        own_size(model, &o->height, &o->width);
    if (o->postprocess && !model->arch->detector)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "postprocess: goes with detectors only, and %s is none",
                        model->arch->info.name);
    if (o->aux && !(model->arch->has_aux_logits && has_outputs(model)))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "aux: %s has no auxiliary head's output",
                        model->arch->info.name);
    if (!qz_onnx_format_name(o->format))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no ONNX format number %d",
                        (int)o->format);
    if (o->opset < QZ_ONNX_OPSET_MIN || o->opset > QZ_ONNX_OPSET_MAX)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "opset %d: %d to %d can be written",
                        (int)o->opset, QZ_ONNX_OPSET_MIN, QZ_ONNX_OPSET_MAX);
    if (o->batch < 0 || o->height < 1 || o->width < 1)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "batch %d of %dx%d images cannot be exported; 0 takes the defaults",
                        (int)o->batch, (int)o->height, (int)o->width);
    if (o->io_fp16 && o->format != QZ_ONNX_FP16)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "io_fp16: only fp16 files have half precision inputs, not %s",
                        qz_onnx_format_name(o->format));
    if (model->arch->detector)
        o->images = NULL; /* the stages of a detector are run by its session alone */
    QZI_TRY(check_stage(model, o));
    QZI_TRY(check_batch(model, o));
    QZI_TRY(check_yolo(model, o));
    return check_images(model, o);
}

static qz_status choose_graph(const qz_model *model, const qz_onnx_options *o,
                              const qz_graph **graph)
{
    *graph = is_int8(o) ? model->int8_graph : model->graph;
    if (!*graph)
        return qzi_fail(model->ctx, QZ_ERR_STATE,
                        is_int8(o) ? "%s: the model is not int8; prepare, calibrate and convert "
                                     "it first, or export fp32 or fp16"
                                   : "%s: there is no float model (an opened int8 file, or it "
                                     "was dropped); export qdq or qoperator",
                        model->arch->info.name);
    if (model->dropped)
        return qzi_fail(model->ctx, QZ_ERR_STATE,
                        "%s: the weights were dropped; export before qz_model_finalize",
                        model->arch->info.name);
    return QZ_OK;
}

/* ---- provenance ---- */

/* How an image gets the file's input size. */
static void add_size(qzi_onnx_emit *e, const qz_preprocess *p)
{
    qzi_onnx_doc *doc = &e->doc;
    const qzi_detector *detector = e->detector;
    const char *size = qzi_onnx_text(doc, "%dx%d", (int)e->options->height, (int)e->options->width);
    if (detector && detector->kind == QZI_DETECTOR_YOLO) {
        qzi_onnx_metadata(doc, "resize", qzi_onnx_text(doc, "letterbox %s", size));
        qzi_onnx_metadata(doc, "pad", qzi_onnx_text(doc, "%d", QZ_YOLO_PAD));
    } else if (detector && detector->kind != QZI_DETECTOR_SSD) {
        qzi_onnx_metadata(doc, "resize", qzi_onnx_text(doc, "fit %s", size));
        qzi_onnx_metadata(doc, "pad", size);
    } else if (detector) {
        qzi_onnx_metadata(doc, "resize", size);
    } else {
        qzi_onnx_metadata(doc, "resize",
                          p->resize_h > 0
                              ? qzi_onnx_text(doc, "%dx%d", (int)p->resize_h, (int)p->resize_w)
                          : p->resize > 0 ? qzi_onnx_text(doc, "%d", (int)p->resize)
                                          : "none");
        qzi_onnx_metadata(doc, "crop", qzi_onnx_text(doc, "%dx%d", (int)p->crop_h, (int)p->crop_w));
    }
}

/* The recipe for the file's own input size: another than the model's crop is only resized to. */
static void add_recipe(qzi_onnx_emit *e, const qz_model *model)
{
    qzi_onnx_doc *doc = &e->doc;
    const qz_onnx_options *o = e->options;
    qz_preprocess recipe = model->preprocess, *p = &recipe;
    if (o->height != p->crop_h || o->width != p->crop_w) {
        p->resize_h = p->crop_h = o->height;
        p->resize_w = p->crop_w = o->width;
    }
    add_size(e, p);
    const float *mean = e->detector ? e->detector->mean : p->mean;
    const float *std = e->detector ? e->detector->std : p->std;
    qzi_onnx_metadata(doc, "interpolation", qz_interpolation_name(p->interpolation));
    qzi_onnx_metadata(doc, "channels", p->bgr ? "bgr" : "rgb");
    qzi_onnx_metadata(
        doc, "mean",
        qzi_onnx_text(doc, "%.9g %.9g %.9g", (double)mean[0], (double)mean[1], (double)mean[2]));
    qzi_onnx_metadata(
        doc, "std",
        qzi_onnx_text(doc, "%.9g %.9g %.9g", (double)std[0], (double)std[1], (double)std[2]));
}

/* What YOLO's raw values need to become boxes, and which classes are looked for. */
static void add_yolo(qzi_onnx_emit *e)
{
    qzi_onnx_doc *doc = &e->doc;
    const float *anchors = &e->yolo->anchors[0][0][0];
    const char *text = "", *only = "";
    for (size_t i = 0; i < (size_t)QZ_YOLO_LEVELS * QZ_YOLO_ANCHORS * 2; i++)
        text = qzi_onnx_text(doc, "%s%s%.9g", text, i ? " " : "", (double)anchors[i]);
    qzi_onnx_metadata(doc, "anchors", text);
    for (size_t i = 0; i < e->options->only_count && e->options->only; i++)
        only = qzi_onnx_text(doc, "%s%s%d", only, i ? "," : "", (int)e->options->only[i]);
    if (e->options->only)
        qzi_onnx_metadata(doc, "only", only);
}

/* What a detector's outputs are. */
static void add_detector(qzi_onnx_emit *e, const char *settings)
{
    static const char *const stages[QZ_ONNX_STAGE_COUNT] = {"", "image", "box", "mask"};
    qzi_onnx_doc *doc = &e->doc;
    qzi_onnx_metadata(doc, "detection", qzi_onnx_text(doc, "%s", settings));
    qzi_onnx_metadata(doc, "outputs", e->options->postprocess ? "detections" : "raw");
    if (e->options->stage != QZ_ONNX_STAGE_ALL)
        qzi_onnx_metadata(doc, "stage", stages[e->options->stage]);
    else if (e->options->postprocess || e->stage)
        qzi_onnx_metadata(doc, "boxes", "x1 y1 x2 y2 in pixels of the input");
    if (e->options->postprocess)
        qzi_onnx_metadata(doc, "absent", "score 0, label 0, box 0 0 0 0");
    if (e->yolo)
        add_yolo(e);
}

static qz_status add_metadata(qzi_onnx_emit *e, const qz_model *model)
{
    qzi_onnx_doc *doc = &e->doc;
    qzi_arena arena;
    const char *classes, *settings = NULL;
    const char *slash = strrchr(model->origin.weights, '/');
    qzi_onnx_metadata(doc, "model", model->arch->info.name);
    qzi_onnx_metadata(doc, "weights", slash ? slash + 1 : model->origin.weights);
    qzi_onnx_metadata(doc, "weights_hash", qzi_onnx_text(doc, "%016" PRIx64, model->origin.hash));
    add_recipe(e, model);
    qzi_arena_init(&arena, model->ctx);
    qz_status st = qzi_classes_join(model, &arena, &classes);
    if (st == QZ_OK && classes[0] != '\0')
        qzi_onnx_metadata(doc, "classes", classes);
    if (st == QZ_OK && model->arch->detector)
        st = qzi_model_detection_text(model, &arena, &settings);
    if (st == QZ_OK && model->arch->detector)
        add_detector(e, settings);
    qzi_arena_free(&arena);
    QZI_TRY(st);
    if (!is_int8(e->options))
        return QZ_OK;
    qzi_onnx_metadata(doc, "calib", model->calib);
    qzi_onnx_metadata(doc, "backend", model->qconfig.backend->name);
    if (model->qconfig.imported) /* observed and calibrated elsewhere */
        return QZ_OK;
    qzi_onnx_metadata(doc, "observer", model->observer);
    qzi_onnx_metadata(doc, "calibration_images",
                      qzi_onnx_text(doc, "%zu", model->calibration_images));
    qzi_onnx_metadata(doc, "calibration_hash",
                      qzi_onnx_text(doc, "%016" PRIx64, model->calibration_hash));
    return QZ_OK;
}

/* ---- nodes ---- */

static qz_dtype dtype_of(qzi_onnx_form form)
{
    return form == QZI_ONNX_U8 ? QZ_U8 : form == QZI_ONNX_F16 ? QZ_F16 : QZ_F32;
}

/* Boxes are an input of the file; what is pooled in them is the stage's. */
static qz_status emit_stage_input(qzi_onnx_emit *e, qz_value value)
{
    const qzi_node *node = &e->graph->nodes[value];
    const char *out = node->dtype == QZ_U8 ? node->name : qzi_onnx_give(e, value, QZI_ONNX_F32);
    QZI_TRY(qzi_onnx_roi_align(e, value, e->boxes, out));
    return node->dtype == QZ_U8 ? qzi_onnx_qdq_op(e, value) : QZ_OK;
}

static qz_status emit_input(qzi_onnx_emit *e, qz_value value)
{
    const qzi_node *node = &e->graph->nodes[value];
    int64_t dims[4];
    const int32_t ndim = qzi_onnx_dims(e, value, dims);
    if (e->stage && e->stage[value] != QZI_STAGE_IMAGE && e->boxes)
        return emit_stage_input(e, value);
    qzi_onnx_input(&e->doc, node->name, e->options->io_fp16 ? QZ_F16 : QZ_F32, ndim, dims);
    if (node->dtype == QZ_U8)
        return qzi_onnx_qdq_op(e, value);
    qzi_onnx_give(e, value, e->options->io_fp16 ? QZI_ONNX_F16 : QZI_ONNX_F32);
    return QZ_OK;
}

static bool is_output(const qz_graph *graph, qz_value value)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i].value == value)
            return true;
    return false;
}

static qz_status emit_float(qzi_onnx_emit *e, qz_value value)
{
    const qzi_node *node = &e->graph->nodes[value];
    e->half = e->kept && !e->kept[value];
    const qzi_onnx_form form = e->half ? QZI_ONNX_F16 : QZI_ONNX_F32;
    const qzi_onnx_call call = {.value = value,
                                .in = qzi_onnx_want_inputs(e, node, form),
                                .out = qzi_onnx_give(e, value, form),
                                .act = node->act};
    const qz_status st = e->doc.status == QZ_OK ? qzi_onnx_float_op(e, &call) : e->doc.status;
    e->half = false;
    return st;
}

static qz_status emit_node(qzi_onnx_emit *e, qz_value value)
{
    const qzi_node *node = &e->graph->nodes[value];
    if (node->op == QZI_OP_INPUT)
        return emit_input(e, value);
    if ((qzi_onnx_is_alias(node) || node->op == QZI_OP_DEQUANTIZE) && !is_output(e->graph, value)) {
        if (node->op == QZI_OP_DEQUANTIZE)
            e->values[value].name[QZI_ONNX_F32] = qzi_onnx_want(e, node->in[0], QZI_ONNX_F32);
        else
            e->values[value] = e->values[node->in[0]];
        return e->doc.status;
    }
    if (node->dtype == QZ_U8)
        return e->options->format == QZ_ONNX_QDQ ? qzi_onnx_qdq_op(e, value)
                                                 : qzi_onnx_qoperator_op(e, value);
    if (node->op == QZI_OP_DEQUANTIZE) {
        const char *in = qzi_onnx_want(e, node->in[0], QZI_ONNX_F32);
        QZI_ONNX_NODE(&e->doc, "Identity", node->name, qzi_onnx_give(e, value, QZI_ONNX_F32), in);
        return e->doc.status;
    }
    return emit_float(e, value);
}

/* ---- outputs ---- */

static void emit_output(qzi_onnx_emit *e, const qzi_output *output)
{
    int64_t dims[4];
    const int32_t ndim = qzi_onnx_dims(e, output->value, dims);
    const qzi_onnx_form form = e->options->io_fp16 ? QZI_ONNX_F16 : QZI_ONNX_F32;
    const char *name = qzi_onnx_want(e, output->value, form);
    if (strcmp(name, output->name) != 0) /* an input, or a value with several names */
        QZI_ONNX_NODE(&e->doc, "Identity", qzi_onnx_text(&e->doc, "%s_identity", output->name),
                      output->name, name);
    qzi_onnx_output(&e->doc, output->name, dtype_of(form), ndim, dims);
}

/* Whether nodes of that stage are in the file. */
static bool is_written(const qz_onnx_options *options, uint8_t stage)
{
    return options->stage == QZ_ONNX_STAGE_ALL ||
           (int)stage == (int)options->stage - QZ_ONNX_STAGE_IMAGE;
}

/* The maps that the later stages are pooled from are outputs of the graph, but not of the file; nor
 * are those of the heads where objects are the file's outputs. */
static bool is_inner(const qzi_onnx_emit *e, const qzi_output *output)
{
    if (!e->stage || e->options->postprocess)
        return e->options->postprocess;
    return !is_written(e->options, e->stage[output->value]) ||
           strncmp(output->name, "features.", strlen("features.")) == 0;
}

/* Whether a value leaves the file as an output of the graph. */
static bool leaves(const qzi_onnx_emit *e, qz_value value)
{
    for (size_t i = 0; i < e->graph->output_count; i++)
        if (e->graph->outputs[i].value == value && !is_inner(e, &e->graph->outputs[i]))
            return true;
    return false;
}

/* Every value that a node gave, in the form in which it gave it. */
static void emit_all_outputs(qzi_onnx_emit *e)
{
    for (size_t i = 0; i < e->graph->node_count; i++) {
        const qzi_node *node = &e->graph->nodes[i];
        const qzi_onnx_form form = node->dtype == QZ_U8     ? QZI_ONNX_U8
                                   : e->kept && !e->kept[i] ? QZI_ONNX_F16
                                                            : QZI_ONNX_F32;
        int64_t dims[4];
        const int32_t ndim = qzi_onnx_dims(e, (qz_value)i, dims);
        if (!e->used[i] || qzi_onnx_is_alias(node) || node->op == QZI_OP_DEQUANTIZE ||
            (node->op == QZI_OP_INPUT && node->dtype != QZ_U8) ||
            (leaves(e, (qz_value)i) && form != QZI_ONNX_U8 &&
             (form == QZI_ONNX_F16) == e->options->io_fp16))
            continue;
        qzi_onnx_output(&e->doc, e->values[i].name[form], dtype_of(form), ndim, dims);
    }
}

/* The nodes of a stage; of a graph without stages, all. */
static qz_status emit_stage(qzi_onnx_emit *e, qzi_detector_stage stage)
{
    for (size_t i = 0; i < e->graph->node_count; i++) {
        if (!e->used[i] || (e->stage && e->stage[i] != stage))
            continue;
        QZI_TRY(e->doc.status);
        QZI_TRY(qzi_check_cancelled(e->graph->ctx));
        QZI_TRY(emit_node(e, (qz_value)i));
    }
    return e->doc.status;
}

/* The later stages on boxes that are an input of the file. */
static qz_status emit_stages_on_boxes(qzi_onnx_emit *e)
{
    static const int64_t dims[2] = {QZI_ONNX_ROIS, 4};
    e->boxes = "rois";
    e->rois[QZI_STAGE_BOX] = e->rois[QZI_STAGE_MASK] = QZI_ONNX_ROIS;
    qzi_onnx_input(&e->doc, e->boxes, QZ_F32, 2, dims);
    QZI_TRY(emit_stage(e, QZI_STAGE_BOX));
    return emit_stage(e, QZI_STAGE_MASK);
}

/* The box stage on proposals, the mask stage on what was found. */
static qz_status emit_stages_to_detections(qzi_onnx_emit *e)
{
    const char *valid;
    qzi_post_list found = {"", "", ""};
    e->boxes = qzi_onnx_post_rpn(e, &valid);
    const int64_t dims[2] = {e->detection->rpn_post_nms_top_n_test, 4};
    if (e->options->all_outputs)
        qzi_post_output(e, "proposals", e->boxes, QZ_F32, 2, dims);
    e->rois[QZI_STAGE_BOX] = dims[0];
    e->rois[QZI_STAGE_MASK] = e->detection->box_detections_per_img;
    QZI_TRY(emit_stage(e, QZI_STAGE_BOX));
    QZI_TRY(qzi_onnx_post_boxes(e, e->boxes, valid, &found));
    e->boxes = found.boxes;
    QZI_TRY(emit_stage(e, QZI_STAGE_MASK));
    return e->detector->has_masks ? qzi_onnx_post_masks(e, found.labels) : QZ_OK;
}

/* One stage, whose input is the file's. */
static qz_status emit_one_stage(qzi_onnx_emit *e)
{
    e->rois[QZI_STAGE_BOX] = e->rois[QZI_STAGE_MASK] = QZI_ONNX_ROIS;
    return emit_stage(e, (qzi_detector_stage)(e->options->stage - QZ_ONNX_STAGE_IMAGE));
}

static qz_status emit_graph(qzi_onnx_emit *e, const qz_model *model)
{
    const bool one = e->options->stage != QZ_ONNX_STAGE_ALL;
    QZI_TRY(add_metadata(e, model));
    QZI_TRY(one ? emit_one_stage(e) : emit_stage(e, QZI_STAGE_IMAGE));
    if (e->stage && !one)
        QZI_TRY(e->options->postprocess ? emit_stages_to_detections(e) : emit_stages_on_boxes(e));
    else if (e->options->postprocess)
        QZI_TRY(e->yolo ? qzi_onnx_post_yolo(e) : qzi_onnx_post_one_stage(e));
    for (size_t i = 0; i < e->graph->output_count; i++)
        if (!is_inner(e, &e->graph->outputs[i]))
            emit_output(e, &e->graph->outputs[i]);
    if (e->options->all_outputs)
        emit_all_outputs(e);
    return e->doc.status;
}

/* ---- the whole ---- */

/* Shapes at the size that is exported; batch 1 represents any. */
static qz_status make_shapes(const qz_graph *graph, const qz_onnx_options *o, qzi_shape *shapes)
{
    qzi_shape *inputs = qzi_calloc(graph->ctx, graph->input_count, sizeof(*inputs));
    if (!inputs)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        if (node->op == QZI_OP_INPUT)
            inputs[node->u.input.index] =
                (qzi_shape){QZI_MAX(o->batch, 1), node->h > 0 ? node->h : o->height,
                            node->w > 0 ? node->w : o->width, node->c};
    }
    const qz_status st = qzi_graph_shapes(graph, inputs, shapes);
    qzi_free(graph->ctx, inputs);
    return st;
}

/* Nodes of the file's stages that an output depends on. */
static void mark_used(const qz_graph *graph, const qz_onnx_options *o, const uint8_t *stage,
                      bool *used)
{
    for (size_t i = 0; i < graph->output_count; i++)
        used[graph->outputs[i].value] = is_written(o, stage[graph->outputs[i].value]);
    for (size_t i = graph->node_count; i-- > 0;) {
        used[i] = used[i] || (graph->nodes[i].op == QZI_OP_INPUT && is_written(o, stage[i]));
        for (size_t k = 0; used[i] && k < graph->nodes[i].in_count; k++)
            used[graph->nodes[i].in[k]] = true;
    }
}

static qz_status plan_half(qz_model *model, const qzi_onnx_emit *e, bool *kept)
{
    const qzi_packed *packed = NULL;
    if (e->options->images)
        QZI_TRY(qzi_model_packed(model, false, false, QZ_ISA_AUTO, &packed));
    return qzi_onnx_half_plan(e->graph, packed, e->options, e->used, kept);
}

qz_status qz_onnx_export(qz_model *model, const char *path, const qz_onnx_options *options)
{
    qz_onnx_options o;
    qzi_onnx_emit e = {.options = &o};
    qz_status st;
    if (!model || !path)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_onnx_export: model or path is NULL");
    QZI_TRY(resolve(model, options, &o));
    QZI_TRY(choose_graph(model, &o, &e.graph));
    qz_graph view = *e.graph;
    if (model->arch->has_aux_logits && !o.aux && !o.all_outputs)
        view.output_count = QZI_MIN(view.output_count, (size_t)1);
    e.graph = &view;
    const size_t n = view.node_count;
    qzi_shape *shapes = qzi_calloc(model->ctx, n, sizeof(*shapes));
    bool *kept = qzi_calloc(model->ctx, n, sizeof(*kept));
    bool *used = qzi_calloc(model->ctx, n, sizeof(*used));
    uint8_t *stage = qzi_calloc(model->ctx, n, sizeof(*stage));
    e.values = qzi_calloc(model->ctx, n, sizeof(*e.values));
    qzi_onnx_doc_init(&e.doc, model->ctx);
    st = shapes && kept && used && stage && e.values ? QZ_OK : QZ_ERR_MEMORY;
    if (st == QZ_OK)
        st = make_shapes(e.graph, &o, shapes);
    e.shapes = shapes;
    e.used = used;
    e.detector = model->arch->detector;
    e.detection = &model->detection;
    const qz_yolo_info yolo = is_yolo(model) ? qzi_model_yolo_info(model) : (qz_yolo_info){0};
    e.yolo = is_yolo(model) ? &yolo : NULL;
    e.classes = model->num_classes;
    if (st == QZ_OK && has_stages(model)) {
        qzi_onnx_stages(e.graph, stage);
        e.stage = stage;
    }
    if (st == QZ_OK)
        mark_used(e.graph, &o, stage, used);
    if (st == QZ_OK && o.format == QZ_ONNX_FP16) {
        st = plan_half(model, &e, kept);
        e.kept = kept;
    }
    if (st == QZ_OK)
        st = emit_graph(&e, model);
    if (st == QZ_OK)
        st = qzi_onnx_doc_write(&e.doc, path, model->arch->info.name, o.opset, o.external_data);
    qzi_onnx_doc_free(&e.doc);
    qzi_free(model->ctx, e.values);
    qzi_free(model->ctx, stage);
    qzi_free(model->ctx, used);
    qzi_free(model->ctx, kept);
    qzi_free(model->ctx, shapes);
    return st;
}
