/* SPDX-License-Identifier: MIT */
/*
 * model.c - a model's life: build, load weights, fuse, prepare, calibrate, convert, finalize.
 *
 * Weights load before fusing, by torchvision's keys. A model may be shared by sessions on several
 * threads; the calls here change it, so they belong to one thread at a time.
 */
#include "zoo/model/model.h"

#include <stdlib.h>
#include <string.h>

/* More classes than any data set has; keeps a mistyped number from taking all memory. */
#define MAX_CLASSES 1000000

/* ---- making one ---- */

qz_status qzi_model_alloc(qz_context *ctx, const qzi_arch *arch, qz_model **model)
{
    qz_model *m = qzi_calloc(ctx, 1, sizeof(*m));
    if (!m)
        return QZ_ERR_MEMORY;
    m->ctx = ctx;
    m->arch = arch;
    m->weights = "";
    m->warning = "";
    m->preprocess = arch->info.preprocess;
    m->calibration_hash = QZI_FNV_OFFSET;
    qzi_arena_init(&m->arena, ctx);
    m->lock = qzi_mutex_create(ctx);
    if (!m->lock) {
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
    for (size_t i = 0; i < model->packed_count; i++)
        qzi_packed_destroy(model->packed[i].packed);
    qzi_calibration_destroy(model->calibration);
    qz_graph_destroy(model->int8_graph);
    qz_graph_destroy(model->graph);
    if (model->lock)
        qzi_mutex_destroy(ctx, model->lock);
    qzi_arena_free(&model->arena);
    qzi_free(ctx, model);
}

/* MACs of one image of the architecture's own size. */
static qz_status count_macs(const qz_graph *graph, const qz_arch_info *arch, uint64_t *macs)
{
    const qzi_shape input = {1, arch->input_h, arch->input_w, 3};
    qzi_shape *shapes = qzi_calloc(graph->ctx, graph->node_count, sizeof(*shapes));
    if (!shapes)
        return QZ_ERR_MEMORY;
    qz_status st = qzi_graph_shapes(graph, &input, shapes);
    *macs = 0;
    for (size_t i = 0; st == QZ_OK && i < graph->node_count; i++)
        *macs += qzi_node_macs(&graph->nodes[i], &shapes[i]);
    qzi_free(graph->ctx, shapes);
    return st;
}

static qz_status check_build(const qz_model *model, const qzi_build_options *build)
{
    const qzi_arch *arch = model->arch;
    if (build->num_classes < 0 || build->num_classes > MAX_CLASSES)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "num_classes is %d; it must be 1 to %d, or 0 for %s's own %d",
                        (int)build->num_classes, MAX_CLASSES, arch->info.name,
                        (int)arch->info.classes);
    if (!arch->has_aux_logits && (build->transform_input || build->no_aux_logits))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "%s has no %s; only googlenet and inception_v3 have", arch->info.name,
                        build->transform_input ? "transform_input" : "auxiliary heads");
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
    QZI_TRY(qz_graph_create(model->ctx, &model->graph));
    model->arch->build(model->graph, model->arch->config, &build);
    QZI_TRY(qz_graph_finish(model->graph));
    QZI_TRY(qzi_graph_prune(model->graph));
    model->params = 0;
    for (size_t i = 0; i < model->graph->param_count; i++)
        if (model->graph->params[i].trainable)
            model->params += (uint64_t)qz_tensor_numel(&model->graph->params[i].tensor);
    return count_macs(model->graph, &model->arch->info, &model->macs);
}

qz_status qzi_model_fuse(qz_model *model)
{
    QZI_TRY(model->arch->fuse(model->graph, false));
    model->fused = true;
    return QZ_OK;
}

/* Copies a list of names of the caller's into the model's arena. */
static qz_status copy_names(qz_model *model, const char *const *names, size_t count,
                            const char *option, const char *const **out)
{
    size_t bytes = 0;
    *out = NULL;
    if (count == 0)
        return QZ_OK;
    if (!names || !qzi_mul_size(count, sizeof(*names), &bytes))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "%s has a count but no names", option);
    const char **copy = qzi_arena_alloc(&model->arena, bytes);
    if (!copy)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (!names[i])
            return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "%s[%zu] is NULL", option, i);
        copy[i] = qzi_arena_strdup(&model->arena, names[i]);
        if (!copy[i])
            return QZ_ERR_MEMORY;
    }
    *out = copy;
    return QZ_OK;
}

static qz_status resolve_qconfig(qz_model *model, const qz_model_options *options)
{
    qzi_qconfig *q = &model->qconfig;
    q->backend = qzi_backend_get(options->backend);
    if (!q->backend)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no backend number %d",
                        (int)options->backend);
    q->observer =
        options->observer != QZ_OBSERVER_DEFAULT ? options->observer : q->backend->activations;
    if (!qz_observer_name(q->observer))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no observer number %d",
                        (int)options->observer);
    q->per_channel = options->per_channel || q->backend->per_channel;
    q->reduce_range = options->reduce_range;
    QZI_TRY(copy_names(model, options->exclude, options->exclude_count, "exclude", &q->exclude));
    q->exclude_count = options->exclude_count;
    QZI_TRY(
        copy_names(model, options->fallback, options->fallback_count, "fallback", &q->fallback));
    q->fallback_count = options->fallback_count;
    return QZ_OK;
}

static qz_status create(qz_model *model, const qz_model_options *options)
{
    QZI_TRY(resolve_qconfig(model, options));
    model->threads = options->threads;
    bool transform_input = options->transform_input;
    QZI_TRY(qzi_weights_resolve(model, options, &transform_input));
    const qzi_build_options build = {.num_classes = options->num_classes,
                                     .transform_input = transform_input,
                                     .no_aux_logits = options->no_aux_logits};
    QZI_TRY(qzi_model_build(model, &build));
    QZI_TRY(qzi_weights_load(model, options));
    if (model->int8_graph) /* the weights were those of an int8 model: all is done */
        return QZ_OK;
    if (options->relu) {
        qzi_replace_relu6(model->graph);
        model->relu = true;
    }
    if (!options->skip_fuse)
        QZI_TRY(qzi_model_fuse(model));
    QZI_TRY(qzi_model_measure(model));
    return options->quantize ? qz_model_prepare(model) : QZ_OK;
}

qz_status qz_model_create(qz_context *context, const char *name, const qz_model_options *options,
                          qz_model **model)
{
    const qz_model_options defaults = QZ_MODEL_OPTIONS_INIT;
    if (!model)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_model_create: model is NULL");
    *model = NULL;
    if (!context || !name)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_model_create: context or name is NULL");
    if (!options)
        options = &defaults;
    if (options->size == 0 || options->size > sizeof(*options))
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_model_options has size %zu; begin with QZ_MODEL_OPTIONS_INIT",
                        options->size);
    if (options->is_qat)
        return qzi_fail(context, QZ_ERR_UNSUPPORTED,
                        "quantization-aware training is not built yet; leave is_qat false");
    const qzi_arch *arch = qzi_arch_get(name);
    if (!arch)
        return qzi_arch_fail_unknown(context, name);
    qz_model *m = NULL;
    QZI_TRY(qzi_model_alloc(context, arch, &m));
    qz_status st = create(m, options);
    if (st != QZ_OK) {
        qz_model_destroy(m);
        return st;
    }
    *model = m;
    return QZ_OK;
}

/* ---- quantizing ---- */

static qz_status fail_state(const qz_model *model, const char *text)
{
    return qzi_fail(model->ctx, QZ_ERR_STATE, "%s: %s", model->arch->info.name, text);
}

qz_status qz_model_fuse(qz_model *model, bool is_qat)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_fuse: model is NULL");
    if (is_qat)
        return qzi_fail(model->ctx, QZ_ERR_UNSUPPORTED,
                        "quantization-aware training is not built yet; fuse with is_qat false");
    if (!model->graph || model->dropped)
        return fail_state(model, "there is no float model to fuse");
    if (model->fused)
        return fail_state(model, "the model is already fused");
    if (model->prepared)
        return fail_state(model, "fuse comes before prepare");
    if (model->packed_count > 0)
        return fail_state(model, "fuse comes before the first session");
    QZI_TRY(qzi_model_fuse(model));
    return qzi_model_measure(model);
}

qz_status qz_model_prepare(qz_model *model)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_prepare: model is NULL");
    if (model->int8_graph)
        return fail_state(model, "the model is already int8");
    if (model->prepared)
        return fail_state(model, "the model is already prepared");
    if (model->dropped)
        return fail_state(model, "finalize dropped the weights");
    uint32_t threads = model->threads != 0 ? model->threads : qz_context_threads(model->ctx);
    QZI_TRY(qzi_prepare(model->graph, &model->qconfig, threads, &model->calibration));
    model->prepared = true;
    return QZ_OK;
}

/* NCHW float32 with 3 channels: what the graph's one input takes. */
static qz_status check_images(const qz_model *model, const qz_tensor *images, const char *what)
{
    if (!images || !images->data || images->dtype != QZ_F32 || images->ndim != 4 ||
        images->dims[0] < 1 || images->dims[1] != 3 || images->dims[2] < 1 || images->dims[3] < 1 ||
        images->dims[0] > INT32_MAX || images->dims[2] > INT32_MAX || images->dims[3] > INT32_MAX ||
        qz_tensor_numel(images) < 0)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "%s: images must be float32, N x 3 x H x W, with data", what);
    return QZ_OK;
}

qz_status qz_model_calibrate(qz_model *model, const qz_tensor *images)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_calibrate: model is NULL");
    if (model->int8_graph)
        return fail_state(model, "the model is already int8; calibrate before convert");
    if (!model->calibration)
        return fail_state(model, "no observers: create with quantize, or call qz_model_prepare");
    QZI_TRY(check_images(model, images, "qz_model_calibrate"));
    QZI_TRY(qzi_calibrate(model->calibration, images));
    model->calibration_hash = qzi_fnv1a_numbers(images->data, (size_t)qz_tensor_numel(images),
                                                sizeof(float), model->calibration_hash);
    model->calibration_images = qzi_calibration_images(model->calibration);
    return QZ_OK;
}

qz_status qz_model_calibrate_u8(qz_model *model, const uint8_t *rgb, int32_t width, int32_t height,
                                size_t stride)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_calibrate_u8: model is NULL");
    const qz_preprocess *recipe = &model->preprocess;
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, recipe->crop_h, recipe->crop_w}};
    size_t count = (size_t)qz_tensor_numel(&image);
    image.data = qzi_calloc(model->ctx, count, sizeof(float));
    if (!image.data)
        return QZ_ERR_MEMORY;
    qz_status st = qz_image_preprocess(model->ctx, rgb, width, height, stride, recipe, image.data);
    if (st == QZ_OK)
        st = qz_model_calibrate(model, &image);
    qzi_free(model->ctx, image.data);
    return st;
}

qz_status qz_model_convert(qz_model *model)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_convert: model is NULL");
    if (model->int8_graph)
        return fail_state(model, "the model is already int8");
    if (!model->calibration)
        return fail_state(model, "no observers: create with quantize, or call qz_model_prepare");
    if (model->calibration_images == 0)
        return fail_state(model, "nothing was observed; call qz_model_calibrate with images");
    QZI_TRY(qzi_convert(model->graph, model->calibration, &model->int8_graph));
    qzi_calibration_destroy(model->calibration);
    model->calibration = NULL;
    return qzi_model_measure(model);
}

/* ---- packed weights and finalize ---- */

static qz_isa resolve_isa(const qz_model *model, qz_isa isa)
{
    if (isa == QZ_ISA_AUTO)
        isa = qz_context_isa(model->ctx);
    return isa == QZ_ISA_AUTO ? qz_isa_best() : isa;
}

/* Under the lock. */
static qz_status find_or_pack(qz_model *model, bool int8, bool winograd, qz_isa isa,
                              const qzi_packed **packed)
{
    const qz_graph *graph = int8 ? model->int8_graph : model->graph;
    for (size_t i = 0; i < model->packed_count; i++) {
        const struct qzi_model_packed *p = &model->packed[i];
        if (p->int8 == int8 && p->winograd == winograd && p->isa == isa) {
            *packed = p->packed;
            return QZ_OK;
        }
    }
    if (!graph || model->dropped)
        return qzi_fail(model->ctx, QZ_ERR_STATE,
                        "%s: the weights were dropped; only the instruction set of the context "
                        "at qz_model_finalize can run, and float with Winograd's algorithm",
                        model->arch->info.name);
    qzi_packed *made = NULL;
    if (winograd)
        QZI_TRY(qzi_packed_create_winograd(graph, isa, model->arch->info.input_h,
                                           model->arch->info.input_w, &made));
    else
        QZI_TRY(qzi_packed_create(graph, isa, &made));
    model->packed[model->packed_count++] =
        (struct qzi_model_packed){.packed = made, .isa = isa, .int8 = int8, .winograd = winograd};
    *packed = made;
    return QZ_OK;
}

qz_status qzi_model_packed(qz_model *model, bool int8, bool winograd, qz_isa isa,
                           const qzi_packed **packed)
{
    isa = resolve_isa(model, isa);
    if (!qz_isa_name(isa))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no instruction set number %d",
                        (int)isa);
    if (!qz_isa_available(isa))
        return qzi_fail(model->ctx, QZ_ERR_UNSUPPORTED, "this CPU or this build does not have %s",
                        qz_isa_name(isa));
    qzi_mutex_lock(model->lock);
    qz_status st = find_or_pack(model, int8, winograd && !int8, isa, packed);
    qzi_mutex_unlock(model->lock);
    return st;
}

/* The data of float parameters; the graph keeps their names and shapes. */
static void drop_params(qz_graph *graph)
{
    for (size_t i = 0; i < graph->param_count; i++) {
        qzi_free(graph->ctx, graph->params[i].tensor.data);
        graph->params[i].tensor.data = NULL;
    }
}

static void drop_qweights(qz_graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        qzi_qweights *qw = graph->nodes[i].qw;
        if (!qw)
            continue;
        qzi_free(graph->ctx, qw->w);
        qzi_free(graph->ctx, qw->scales);
        qzi_free(graph->ctx, qw->bias);
        qzi_free(graph->ctx, qw->bias_f32);
        *qw = (qzi_qweights){.per_channel = qw->per_channel};
    }
}

/* The float graph of a converted model, and what was packed of it. */
static qz_status drop_float(qz_model *model)
{
    size_t kept = 0;
    qzi_mutex_lock(model->lock);
    bool busy = model->sessions[0] > 0;
    qzi_mutex_unlock(model->lock);
    if (busy)
        return fail_state(model, "float sessions are alive; destroy them before the float model");
    qzi_sqnr_destroy(model->sqnr); /* it looks at both graphs */
    model->sqnr = NULL;
    for (size_t i = 0; i < model->packed_count; i++) {
        if (model->packed[i].int8)
            model->packed[kept++] = model->packed[i];
        else
            qzi_packed_destroy(model->packed[i].packed);
    }
    model->packed_count = kept;
    qz_graph_destroy(model->graph);
    model->graph = NULL;
    return QZ_OK;
}

qz_status qz_model_drop_float(qz_model *model)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_drop_float: model is NULL");
    if (!model->int8_graph)
        return fail_state(model, "the float model is all there is; convert first");
    return drop_float(model);
}

qz_status qz_model_finalize(qz_model *model, bool drop_source)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_finalize: model is NULL");
    bool int8 = model->int8_graph != NULL;
    if (!int8 && model->calibration && drop_source)
        return fail_state(model, "calibration is under way; convert first, or keep the source");
    const qzi_packed *packed = NULL;
    QZI_TRY(qzi_model_packed(model, int8, true, QZ_ISA_AUTO, &packed));
    if (!drop_source || model->dropped)
        return QZ_OK;
    if (int8) {
        QZI_TRY(drop_float(model));
        drop_qweights(model->int8_graph);
        drop_params(model->int8_graph);
    } else {
        drop_params(model->graph);
    }
    model->dropped = true;
    return QZ_OK;
}

/* ---- analysis ---- */

static qz_status sqnr_run(qz_model *model, const qz_tensor *images)
{
    const qzi_packed *float_packed = NULL, *int8_packed = NULL;
    uint32_t threads = model->threads != 0 ? model->threads : qz_context_threads(model->ctx);
    QZI_TRY(qzi_model_packed(model, false, false, QZ_ISA_AUTO, &float_packed));
    QZI_TRY(qzi_model_packed(model, true, false, QZ_ISA_AUTO, &int8_packed));
    QZI_TRY(qzi_sqnr_create(model->graph, float_packed, model->int8_graph, int8_packed, threads,
                            &model->sqnr));
    qz_tensor image = *images;
    image.dims[0] = 1;
    size_t stride = (size_t)qz_tensor_numel(&image);
    for (int64_t n = 0; n < images->dims[0]; n++) {
        image.data = (float *)images->data + (size_t)n * stride;
        QZI_TRY(qzi_sqnr_add(model->sqnr, &image));
    }
    return QZ_OK;
}

qz_status qz_model_sqnr(qz_model *model, const qz_tensor *images, const qz_sqnr_row **rows,
                        size_t *count, double *output_db, double *top1_agreement)
{
    if (!model || !rows || !count)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_model_sqnr: model, rows or count is NULL");
    if (!model->int8_graph)
        return fail_state(model, "nothing to compare; convert first");
    if (!model->graph)
        return fail_state(model, "there is no float model to compare with (an opened int8 file, "
                                 "or it was dropped)");
    QZI_TRY(check_images(model, images, "qz_model_sqnr"));
    qzi_sqnr_destroy(model->sqnr);
    model->sqnr = NULL;
    QZI_TRY(sqnr_run(model, images));
    QZI_TRY(qzi_sqnr_rows(model->sqnr, rows, count));
    if (output_db)
        *output_db = qzi_sqnr_output_db(model->sqnr);
    if (top1_agreement)
        *top1_agreement = qzi_sqnr_top1_agreement(model->sqnr);
    return QZ_OK;
}
