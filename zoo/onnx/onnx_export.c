/* SPDX-License-Identifier: MIT */
/* onnx_export.c - qz_onnx_export: which graph, at which size, node by node. */
#include "layers/graph/exec.h"
#include "zoo/model/classes.h"
#include "zoo/model/model.h"
#include "zoo/model/model_detect.h"
#include "zoo/model/model_pack.h"
#include "zoo/onnx/onnx_emit.h"

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

/* The caller's options with defaults in place of zeros. */
static qz_status resolve(const qz_model *model, const qz_onnx_options *options, qz_onnx_options *o)
{
    QZI_TRY(qzi_options_take(model->ctx, options, o, sizeof(*o), "qz_onnx_options"));
    if (o->opset == 0)
        o->opset = QZ_ONNX_OPSET_DEFAULT;
    if (o->height == 0 && o->width == 0) {
        o->height = model->input_h;
        o->width = model->input_w;
    }
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
    qzi_onnx_metadata(doc, "resize",
                      p->resize_h > 0
                          ? qzi_onnx_text(doc, "%dx%d", (int)p->resize_h, (int)p->resize_w)
                      : p->resize > 0 ? qzi_onnx_text(doc, "%d", (int)p->resize)
                                      : "none");
    qzi_onnx_metadata(doc, "crop", qzi_onnx_text(doc, "%dx%d", (int)p->crop_h, (int)p->crop_w));
    qzi_onnx_metadata(doc, "interpolation", qz_interpolation_name(p->interpolation));
    qzi_onnx_metadata(doc, "channels", p->bgr ? "bgr" : "rgb");
    qzi_onnx_metadata(doc, "mean",
                      qzi_onnx_text(doc, "%.9g %.9g %.9g", (double)p->mean[0], (double)p->mean[1],
                                    (double)p->mean[2]));
    qzi_onnx_metadata(doc, "std",
                      qzi_onnx_text(doc, "%.9g %.9g %.9g", (double)p->std[0], (double)p->std[1],
                                    (double)p->std[2]));
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
        qzi_onnx_metadata(doc, "detection", qzi_onnx_text(doc, "%s", settings));
    qzi_arena_free(&arena);
    QZI_TRY(st);
    if (!is_int8(e->options))
        return QZ_OK;
    qzi_onnx_metadata(doc, "calib", model->calib);
    qzi_onnx_metadata(doc, "backend", model->qconfig.backend->name);
    if (model->qconfig.imported) /* observed and calibrated elsewhere */
        return QZ_OK;
    qzi_onnx_metadata(doc, "observer", qz_observer_name(model->qconfig.observer));
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

static qz_status emit_input(qzi_onnx_emit *e, qz_value value)
{
    const qzi_node *node = &e->graph->nodes[value];
    int64_t dims[4];
    const int32_t ndim = qzi_onnx_dims(e, value, dims);
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
        if (qzi_onnx_is_alias(node) || node->op == QZI_OP_DEQUANTIZE ||
            (node->op == QZI_OP_INPUT && node->dtype != QZ_U8) ||
            (is_output(e->graph, (qz_value)i) && form != QZI_ONNX_U8 &&
             (form == QZI_ONNX_F16) == e->options->io_fp16))
            continue;
        qzi_onnx_output(&e->doc, e->values[i].name[form], dtype_of(form), ndim, dims);
    }
}

static qz_status emit_graph(qzi_onnx_emit *e, const qz_model *model)
{
    QZI_TRY(add_metadata(e, model));
    for (size_t i = 0; i < e->graph->node_count; i++) {
        QZI_TRY(e->doc.status);
        QZI_TRY(qzi_check_cancelled(model->ctx));
        QZI_TRY(emit_node(e, (qz_value)i));
    }
    for (size_t i = 0; i < e->graph->output_count; i++)
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
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].op == QZI_OP_INPUT)
            inputs[graph->nodes[i].u.input.index] =
                (qzi_shape){QZI_MAX(o->batch, 1), o->height, o->width, graph->nodes[i].c};
    const qz_status st = qzi_graph_shapes(graph, inputs, shapes);
    qzi_free(graph->ctx, inputs);
    return st;
}

static qz_status plan_half(qz_model *model, const qzi_onnx_emit *e, bool *kept)
{
    const qzi_packed *packed = NULL;
    if (e->options->images)
        QZI_TRY(qzi_model_packed(model, false, false, QZ_ISA_AUTO, &packed));
    return qzi_onnx_half_plan(e->graph, packed, e->options, kept);
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
    const size_t n = e.graph->node_count;
    qzi_shape *shapes = qzi_calloc(model->ctx, n, sizeof(*shapes));
    bool *kept = qzi_calloc(model->ctx, n, sizeof(*kept));
    e.values = qzi_calloc(model->ctx, n, sizeof(*e.values));
    qzi_onnx_doc_init(&e.doc, model->ctx);
    st = shapes && kept && e.values ? QZ_OK : QZ_ERR_MEMORY;
    if (st == QZ_OK)
        st = make_shapes(e.graph, &o, shapes);
    e.shapes = shapes;
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
    qzi_free(model->ctx, kept);
    qzi_free(model->ctx, shapes);
    return st;
}
