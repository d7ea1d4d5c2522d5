/* SPDX-License-Identifier: MIT */
/*
 * model.c - a model's life: build, load weights, fuse, prepare, calibrate, convert.
 *
 * Weights load before fusing, by torchvision's keys. A model may be shared by sessions on several
 * threads; the calls here change it, so they belong to one thread at a time.
 */
#include "zoo/image/pixels.h"
#include "zoo/model/classes.h"
#include "zoo/model/float_heads.h"
#include "zoo/model/keys.h"
#include "zoo/model/model_build.h"
#include "zoo/model/model_detect.h"
#include "zoo/model/model_graph.h"
#include "zoo/model/model_images.h"
#include "zoo/model/model_notes.h"
#include "zoo/model/model_pack.h"
#include "zoo/model/model_size.h"
#include "zoo/model/provenance.h"
#include "zoo/model/weights_darknet.h"
#include "zoo/model/weights_hash.h"
#include "zoo/model/weights_load.h"
#include "zoo/model/weights_random.h"
#include "zoo/model/weights_source.h"
#include "zoo/torch/torch_int8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- making one ---- */

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

/* The recipe, and the steps that it or their own options choose. */
static qz_status resolve_recipe(qz_model *model, const qz_model_options *options)
{
    qzi_qconfig *q = &model->qconfig;
    q->recipe = options->recipe != QZ_RECIPE_DEFAULT ? options->recipe : q->backend->recipe;
    q->bias_correction = options->bias_correction != QZ_BIAS_CORRECTION_DEFAULT
                             ? options->bias_correction
                         : q->recipe >= QZ_RECIPE_FAST ? QZ_BIAS_CORRECTION_IMAGES
                                                       : QZ_BIAS_CORRECTION_NONE;
    q->equalize = options->equalize;
    q->equalize_alpha = options->equalize_alpha;
    q->rounding = options->rounding != QZ_ROUNDING_DEFAULT ? options->rounding
                  : q->recipe >= QZ_RECIPE_BEST            ? QZ_ROUNDING_ADAROUND
                                                           : QZ_ROUNDING_NEAREST;
    if (!qz_rounding_name(q->rounding))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no rounding number %d",
                        (int)options->rounding);
    if (options->iterations < 0 || (options->iterations > 0 && q->rounding != QZ_ROUNDING_ADAROUND))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "iterations go with rounding adaround only, and are not below 1");
    q->iterations = options->iterations;
    if (options->weight_bits != 0 && options->weight_bits != 8 && options->weight_bits != 7 &&
        options->weight_bits != 4)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "weights of %d bits: there are 8, 7 and 4",
                        (int)options->weight_bits);
    q->weight_bits = options->weight_bits ? options->weight_bits : 8;
    if (!qz_recipe_name(q->recipe))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no recipe number %d",
                        (int)options->recipe);
    if (!qz_bias_correction_name(q->bias_correction))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no bias correction number %d",
                        (int)options->bias_correction);
    return QZ_OK;
}

/* Once the observer is known. */
static qz_status resolve_equalization(qz_model *model)
{
    qzi_qconfig *q = &model->qconfig;
    const bool can = qzi_qconfig_can_equalize(q);
    /* In `fast` with weight scales by channel it raised SQNR, but not the accuracy of 500 images,
     * in the others both: bench/ACCURACY.md */
    if (q->equalize == QZ_EQUALIZATION_DEFAULT)
        q->equalize =
            can && (q->recipe >= QZ_RECIPE_BEST || (q->recipe >= QZ_RECIPE_FAST && !q->per_channel))
                ? QZ_EQUALIZATION_AUTO
                : QZ_EQUALIZATION_NONE;
    if (q->equalize < QZ_EQUALIZATION_NONE || q->equalize > QZ_EQUALIZATION_ALPHA)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no equalization number %d",
                        (int)q->equalize);
    if (!(q->equalize_alpha >= 0.0 && q->equalize_alpha <= 1.0) ||
        (q->equalize_alpha != 0.0 && q->equalize != QZ_EQUALIZATION_ALPHA))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "equalize_alpha is from 0 to 1, and goes with QZ_EQUALIZATION_ALPHA only");
    if (q->equalize != QZ_EQUALIZATION_NONE && !can)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "equalize goes with backend native, and with the observers minmax, "
                        "percentile, entropy and mse");
    qzi_equalization_word(q->equalize, q->equalize_alpha, model->equalize);
    return QZ_OK;
}

static qz_status resolve_qconfig(qz_model *model, const qz_model_options *options)
{
    qzi_qconfig *q = &model->qconfig;
    q->backend = qzi_backend_get(options->backend);
    if (!q->backend)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no backend number %d",
                        (int)options->backend);
    QZI_TRY(resolve_recipe(model, options));
    q->observer = options->observer != QZ_OBSERVER_DEFAULT ? options->observer
                  : q->recipe >= QZ_RECIPE_FAST            ? QZ_OBSERVER_MSE
                                                           : q->backend->activations;
    if (!qz_observer_name(q->observer))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no observer number %d",
                        (int)options->observer);
    if (options->percentile != 0.0 && q->observer != QZ_OBSERVER_PERCENTILE)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "percentile goes with QZ_OBSERVER_PERCENTILE only");
    if (!(options->percentile >= 0.0 && options->percentile <= 100.0))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "percentile %g is not between 0 and 100",
                        options->percentile);
    q->percentile = options->percentile;
    qzi_observer_word(q->observer, q->percentile, model->observer);
    if (options->per_channel && options->per_tensor)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "per_channel and per_tensor contradict each other; choose one");
    q->per_channel = options->per_channel || (q->backend->per_channel && !options->per_tensor);
    QZI_TRY(resolve_equalization(model));
    q->reduce_range = options->reduce_range;
    /* PyTorch's truncated histograms (bench/NOTES.md) cost detectors up to 4 dB, and there is no
     * int8 detector or segmenter of PyTorch's to be equal to */
    q->own_ranges = q->backend->own_ranges || strcmp(model->arch->info.task, "classification") != 0;
    QZI_TRY(copy_names(model, options->exclude, options->exclude_count, "exclude", &q->exclude));
    q->exclude_count = options->exclude_count;
    QZI_TRY(
        copy_names(model, options->fallback, options->fallback_count, "fallback", &q->fallback));
    q->fallback_count = options->fallback_count;
    model->float_heads = options->float_heads;
    model->statistics = options->statistics;
    return QZ_OK;
}

/* From loaded float weights to what the options ask for. */
static qz_status finish_float(qz_model *model, const qz_model_options *options)
{
    QZI_TRY(qzi_weights_hash(model));
    QZI_TRY(qzi_model_take_anchors(model));
    if (options->relu) {
        qzi_replace_relu6(model->graph);
        model->relu = true;
    }
    if (!options->skip_fuse)
        QZI_TRY(qzi_model_fuse(model));
    QZI_TRY(qzi_model_measure(model));
    return options->quantize ? qz_model_prepare(model) : QZ_OK;
}

/* Names that the file has for its classes. Those that do not fit are no reason to refuse it. */
static void take_classes(qz_model *model, const qz_state_dict *dict)
{
    const char *names = qz_state_dict_metadata(dict, QZ_METADATA_CLASSES);
    if (names && qzi_classes_split(model, names) != QZ_OK)
        qzi_log(model->ctx, QZ_LOG_WARNING, "%s: the file's names of classes are left out: %s",
                model->origin.path, qz_context_message(model->ctx));
}

/* Brings keys and graph together, and fills the graph: of an int8 file of PyTorch's the int8 graph,
 * of any other the float graph. */
static qz_status load_dict(qz_model *model, qz_state_dict *dict, const qz_model_options *options,
                           qzi_build_options *build)
{
    const char *path = model->origin.path;
    const bool int8 = qzi_torch_is_int8(dict);
    QZI_TRY(qz_state_dict_update_keys(dict, NULL));
    QZI_TRY(qzi_keys_fit(model, dict, path, int8, options, build));
    if (build->num_classes != model->num_classes || build->no_aux_logits != model->no_aux_logits ||
        build->activation != model->activation)
        QZI_TRY(qzi_model_build(model, build));
    if (int8)
        QZI_TRY(qzi_torch_load(model, dict, path, options));
    else
        QZI_TRY(qzi_weights_load(model, dict, path, options));
    take_classes(model, dict);
    return QZ_OK;
}

static qz_status create_from_file(qz_model *model, const qz_model_options *options,
                                  qzi_build_options *build)
{
    const char *path = model->origin.path;
    qz_state_dict *dict = NULL, *layers = NULL;
    QZI_TRY(qzi_weights_open(model, options, &dict));
    qz_status st = qzi_weights_darknet(model, dict, options, &layers);
    if (st == QZ_OK)
        st = load_dict(model, layers ? layers : dict, options, build);
    qz_state_dict_destroy(layers);
    qz_state_dict_destroy(dict);
    QZI_TRY(st);
    QZI_TRY(qzi_provenance_weights(model, model->origin.tag ? model->origin.tag : path,
                                   model->origin.missing));
    qzi_provenance_calib(model);
    return model->int8_graph ? QZ_OK : finish_float(model, options);
}

/* The architecture's graph, or the one that the model already has. */
static qz_status create(qz_model *model, const qz_model_options *options)
{
    QZI_TRY(resolve_qconfig(model, options));
    model->threads = options->threads;
    qzi_build_options build = {.num_classes = options->num_classes,
                               .transform_input = options->transform_input,
                               .no_aux_logits = options->no_aux_logits,
                               .activation = options->activation};
    QZI_TRY(qzi_weights_resolve(model, options, &build));
    if (!model->graph)
        QZI_TRY(qzi_model_build(model, &build));
    QZI_TRY(qzi_model_check_weights(model));
    if (model->origin.path)
        return create_from_file(model, options, &build);
    QZI_TRY(qzi_weights_random(model, options->weights));
    return finish_float(model, options);
}

/* Makes the model of options that are whole; destroys it after a failure. */
static qz_status create_or_destroy(qz_model *model, const qz_model_options *options, qz_model **out)
{
    const qz_status st = create(model, options);
    if (st == QZ_OK)
        *out = model;
    else
        qz_model_destroy(model);
    return st;
}

static qz_status take_options(qz_context *ctx, const qz_model_options *options, qz_model_options *o)
{
    QZI_TRY(qzi_options_take(ctx, options, o, sizeof(*o), "qz_model_options"));
    if (o->statistics &&
        (!o->quantize || o->backend != QZ_BACKEND_AUTO || o->observer != QZ_OBSERVER_DEFAULT ||
         o->percentile != 0.0 || o->reduce_range || o->per_channel || o->per_tensor ||
         o->weight_bits != 0 || o->iterations != 0 || o->rounding != QZ_ROUNDING_DEFAULT ||
         o->exclude_count > 0 || o->fallback_count > 0 || o->float_heads ||
         o->recipe != QZ_RECIPE_DEFAULT || o->bias_correction != QZ_BIAS_CORRECTION_DEFAULT ||
         o->equalize != QZ_EQUALIZATION_DEFAULT))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "statistics go with quantize, and with no option of the int8 model");
    if (o->is_qat)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "quantization-aware training is not built yet; leave is_qat false");
    return QZ_OK;
}

/* What an application's graph cannot take from the options. */
static qz_status check_own_graph(const qz_model *model, const qz_model_options *o)
{
    if (o->transform_input || o->no_aux_logits || o->activation != QZ_ACT_NONE)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "%s: an application's graph has no transform_input, no auxiliary heads and "
                        "no option of its activation",
                        model->arch->info.name);
    if (o->num_classes != 0 && o->num_classes != model->num_classes)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "%s: num_classes is %d, but the graph's output has %d channels",
                        model->arch->info.name, (int)o->num_classes, (int)model->num_classes);
    return QZ_OK;
}

qz_status qz_model_from_graph(qz_context *context, const char *name, qz_graph *graph,
                              const qz_preprocess *recipe, const qz_model_options *options,
                              qz_model **model)
{
    qz_model_options o;
    qz_model *m = NULL;
    if (model)
        *model = NULL;
    if (!context || !name || !graph || !model) {
        qz_graph_destroy(graph);
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_model_from_graph: context, name, graph or model is NULL");
    }
    QZI_TRY(qzi_model_own_graph(context, name, graph, recipe, &m));
    qz_status st = take_options(context, options, &o);
    if (st == QZ_OK)
        st = check_own_graph(m, &o);
    if (st == QZ_OK)
        return create_or_destroy(m, &o, model);
    qz_model_destroy(m);
    return st;
}

qz_status qz_model_create(qz_context *context, const char *name, const qz_model_options *options,
                          qz_model **model)
{
    if (!model)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_model_create: model is NULL");
    *model = NULL;
    if (!context || !name)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_model_create: context or name is NULL");
    qz_model_options o;
    QZI_TRY(take_options(context, options, &o));
    const qzi_arch *arch = qzi_arch_get(name);
    if (!arch)
        return qzi_arch_fail_unknown(context, name);
    qz_model *m = NULL;
    QZI_TRY(qzi_model_alloc(context, arch, &m));
    return create_or_destroy(m, &o, model);
}

/* ---- named builders ---- */

#define QZ_MODEL(name)                                                                          \
    qz_status qz_##name(qz_context *context, const qz_model_options *options, qz_model **model) \
    {                                                                                           \
        return qz_model_create(context, #name, options, model);                                 \
    }
#include "zoo/qzoo_models.inc"
#undef QZ_MODEL

/* ---- quantizing ---- */

qz_status qz_model_fuse(qz_model *model, bool is_qat)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_fuse: model is NULL");
    if (is_qat)
        return qzi_fail(model->ctx, QZ_ERR_UNSUPPORTED,
                        "quantization-aware training is not built yet; fuse with is_qat false");
    if (!model->graph || model->dropped)
        return qzi_model_fail_state(model, "there is no float model to fuse");
    if (model->fused)
        return qzi_model_fail_state(model, "the model is already fused");
    if (model->prepared)
        return qzi_model_fail_state(model, "fuse comes before prepare");
    if (model->packings.count > 0)
        return qzi_model_fail_state(model, "fuse comes before the first session");
    QZI_TRY(qzi_model_fuse(model));
    return qzi_model_measure(model);
}

qz_status qz_model_prepare(qz_model *model)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_prepare: model is NULL");
    if (model->int8_graph)
        return qzi_model_fail_state(model, "the model is already int8");
    if (model->prepared)
        return qzi_model_fail_state(model, "the model is already prepared");
    if (model->dropped)
        return qzi_model_fail_state(model, "finalize dropped the weights");
    uint32_t threads = model->threads != 0 ? model->threads : qz_context_threads(model->ctx);
    QZI_TRY(qzi_model_divide(model));
    if (model->float_heads)
        QZI_TRY(qzi_model_float_heads(model));
    QZI_TRY(model->statistics
                ? qzi_prepare_statistics(model->graph, threads, &model->calibration)
                : qzi_prepare(model->graph, &model->qconfig, threads, &model->calibration));
    model->prepared = true;
    return QZ_OK;
}

static qz_status calibrate_image(qz_model *model, void *user, const qzi_detect_image *image)
{
    (void)user;
    return qzi_model_detect_calibrate(model, image);
}

/* A sum, so that the order of the images does not matter. */
static void add_to_hash(qz_model *model, const qz_tensor *images)
{
    const size_t each = (size_t)(qz_tensor_numel(images) / images->dims[0]);
    for (int64_t i = 0; i < images->dims[0]; i++)
        model->calibration_hash += qzi_fnv1a_numbers((const float *)images->data + (size_t)i * each,
                                                     each, sizeof(float), QZI_FNV_OFFSET);
}

qz_status qz_model_calibrate(qz_model *model, const qz_tensor *images)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_calibrate: model is NULL");
    if (model->int8_graph)
        return qzi_model_fail_state(model, "the model is already int8; calibrate before convert");
    if (!model->calibration)
        return qzi_model_fail_state(model,
                                    "no observers: create with quantize, or call qz_model_prepare");
    QZI_TRY(qzi_model_check_images(model, images, "qz_model_calibrate"));
    QZI_TRY(model->arch->detector ? qzi_model_each_image(model, images, calibrate_image, NULL)
                                  : qzi_calibrate(model->calibration, images));
    add_to_hash(model, images);
    model->calibration_images = qzi_calibration_images(model->calibration);
    qzi_provenance_calib(model);
    return QZ_OK;
}

qz_status qz_model_calibrate_synthetic(qz_model *model, size_t count)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_calibrate_synthetic: model is NULL");
    QZI_TRY(qzi_model_takes_rgb(model, "qz_model_calibrate_synthetic"));
    const int32_t h = model->input_h, w = model->input_w;
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, h, w}};
    image.data = qzi_calloc(model->ctx, (size_t)qz_tensor_numel(&image), sizeof(float));
    qz_status st = image.data ? QZ_OK : QZ_ERR_MEMORY;
    for (size_t i = 0; i < count && st == QZ_OK; i++) {
        if (model->arch->detector)
            qz_synthetic_unit_image((int64_t)i, h, w, image.data);
        else
            qz_synthetic_image((int64_t)i, h, w, image.data);
        st = qz_model_calibrate(model, &image);
        if (st == QZ_OK)
            model->synthetic_images++;
    }
    qzi_free(model->ctx, image.data);
    qzi_provenance_calib(model);
    return st;
}

static qz_status calibrate_bytes(qz_model *model, const qzi_pixels *in, bool letterboxed);

static qz_status calibrate_letterboxed(qz_model *model, const qzi_pixels *in)
{
    const int32_t stride = model->detection.rect ? model->arch->detector->size_divisor : 0;
    qz_letterbox box;
    size_t bytes;
    QZI_TRY(qz_yolo_letterbox_size(model->ctx, in->width, in->height, model->detection.fixed_w,
                                   model->detection.fixed_h, stride, &box));
    if (!qzi_mul_size((size_t)box.width * 3, (size_t)box.height, &bytes))
        return qzi_fail_memory(model->ctx, SIZE_MAX);
    uint8_t *rgb = qzi_alloc(model->ctx, bytes);
    if (!rgb)
        return QZ_ERR_MEMORY;
    const qzi_pixels out = {rgb, box.width, box.height, (size_t)box.width * 3};
    qz_status st =
        qz_yolo_letterbox(model->ctx, in->rgb, in->width, in->height, in->stride, &box, rgb);
    if (st == QZ_OK)
        st = calibrate_bytes(model, &out, true);
    qzi_free(model->ctx, rgb);
    return st;
}

/* As floats from 0 to 1, which is what an application's own tensors are hashed as. */
static qz_status calibrate_bytes(qz_model *model, const qzi_pixels *in, bool letterboxed)
{
    QZI_TRY(qzi_check_pixels(model->ctx, "qz_model_calibrate_u8", in));
    if (model->arch->detector->kind == QZI_DETECTOR_YOLO && !letterboxed)
        return calibrate_letterboxed(model, in);
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, in->height, in->width}};
    const size_t plane = (size_t)in->height * (size_t)in->width;
    float *to = qzi_alloc(model->ctx, 3 * plane * sizeof(*to));
    if (!to)
        return QZ_ERR_MEMORY;
    for (int32_t y = 0; y < in->height; y++)
        for (int32_t x = 0; x < in->width; x++)
            for (size_t c = 0; c < 3; c++)
                to[c * plane + (size_t)y * (size_t)in->width + (size_t)x] =
                    (float)in->rgb[(size_t)y * in->stride + 3 * (size_t)x + c] / 255.0f;
    image.data = to;
    const qz_status st = qz_model_calibrate(model, &image);
    qzi_free(model->ctx, to);
    return st;
}

qz_status qz_model_calibrate_u8(qz_model *model, const uint8_t *rgb, int32_t width, int32_t height,
                                size_t stride)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_calibrate_u8: model is NULL");
    QZI_TRY(qzi_model_takes_rgb(model, "qz_model_calibrate_u8"));
    if (model->arch->detector)
        return calibrate_bytes(model, &(qzi_pixels){rgb, width, height, stride}, false);
    const qz_preprocess *recipe = &model->preprocess;
    int32_t w, h;
    QZI_TRY(qz_preprocess_size(model->ctx, recipe, width, height, &w, &h));
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, h, w}};
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

qz_status qz_model_calibrate_pixels(qz_model *model, const qz_pixels *images, size_t count)
{
    const char *function = "qz_model_calibrate_pixels";
    if (!model || !images || count < 1)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "%s: there is no model or image", function);
    for (size_t i = 0; i < count; i++) {
        uint8_t *owned = NULL;
        qzi_pixels rgb;
        QZI_TRY(qzi_pixels_as_rgb(model->ctx, function, &images[i], i, &rgb, &owned));
        const qz_status st =
            qz_model_calibrate_u8(model, rgb.rgb, rgb.width, rgb.height, rgb.stride);
        qzi_free(model->ctx, owned);
        QZI_TRY(st);
    }
    return QZ_OK;
}

qz_status qz_model_convert(qz_model *model)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_convert: model is NULL");
    if (model->int8_graph)
        return qzi_model_fail_state(model, "the model is already int8");
    if (!model->calibration)
        return qzi_model_fail_state(model,
                                    "no observers: create with quantize, or call qz_model_prepare");
    if (model->calibration_images == 0)
        return qzi_model_fail_state(model,
                                    "nothing was observed; call qz_model_calibrate with images");
    if (qzi_calibration_statistics(model->calibration))
        return qzi_model_fail_state(model, "the model keeps statistics; save them, and load them "
                                           "into one that is created without");
    QZI_TRY(qzi_model_take_notes(model));
    QZI_TRY(qzi_refine_convert(model->graph, model->calibration, &model->int8_graph,
                               &model->recipe_report));
    qzi_calibration_destroy(model->calibration);
    model->calibration = NULL;
    return qzi_model_measure(model);
}

qz_status qz_model_recipe_steps(const qz_model *model, const qz_recipe_step **steps, size_t *count)
{
    if (!model || !steps || !count)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_model_recipe_steps: model, steps or count is NULL");
    *steps = model->recipe_report.steps;
    *count = model->recipe_report.count;
    return QZ_OK;
}
