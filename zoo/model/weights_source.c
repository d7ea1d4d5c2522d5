/* SPDX-License-Identifier: MIT */
/*
 * weights_source.c - what the word in qz_model_options.weights means: random weights, a file, or a
 * tag of the catalogue ("default", "IMAGENET1K_V1").
 *
 * A tag is found in the cache, or fetched into it where the caller allows that. With it comes the
 * preprocessing of images that its weights were trained with.
 */
#include "zoo/model/weights_source.h"

#include "weights/state_dict.h"

#include <stdio.h>
#include <string.h>

#define PATH_SIZE 4096

static qz_status not_cached(const qz_model *model, const qz_weights_info *info)
{
    return qzi_fail(model->ctx, QZ_ERR_NETWORK,
                    "%s:%s is not in the cache; `qzoo weights fetch %s:%s` downloads it (or give "
                    "--fetch, allow_fetch in the library)",
                    info->model, info->tag, info->model, info->tag);
}

static qz_status find_file(qz_model *model, const qz_model_options *options,
                           const qz_weights_info *info, char path[PATH_SIZE])
{
    qz_cache_state state;
    if (options->allow_fetch)
        return qz_weights_fetch(model->ctx, info, options->fetch, path, PATH_SIZE);
    QZI_TRY(qz_cache_find(model->ctx, info, &state, path, PATH_SIZE));
    return state != QZ_CACHE_ABSENT ? QZ_OK : not_cached(model, info);
}

/* The arrays of the architecture stay where the entry does not know better. */
static void take_recipe(qz_model *model, const qz_weights_info *info)
{
    qz_preprocess *p = &model->preprocess;
    if (info->resize > 0)
        p->resize = info->resize;
    if (info->crop > 0)
        p->crop_h = p->crop_w = model->input_h = model->input_w = info->crop;
    for (int i = 0; qz_interpolation_name((qz_interpolation)i); i++)
        if (strcmp(info->interpolation, qz_interpolation_name((qz_interpolation)i)) == 0)
            p->interpolation = (qz_interpolation)i;
    model->own_preprocess = info->resize > 0 && info->crop > 0;
    if (info->std[0] > 0.0f) {
        memcpy(p->mean, info->mean, sizeof(p->mean));
        memcpy(p->std, info->std, sizeof(p->std));
    }
}

static qz_status resolve(qz_model *model, const qz_model_options *options,
                         const qz_catalogue *catalogue, qzi_build_options *build)
{
    const qz_weights_info *info = NULL;
    char path[PATH_SIZE];
    const char *name = model->arch->info.name;
    QZI_TRY(qz_catalogue_find(catalogue, name, options->weights, &info));
    QZI_TRY(find_file(model, options, info, path));
    take_recipe(model, info);
    build->transform_input |= info->transform_input;
    build->zero_eps = info->zero_eps;
    /* of an int8 model, that for which it was quantized; "" is no backend's name */
    (void)qz_backend_parse(info->quantized, &model->origin.backend);
    model->origin.tag = qzi_arena_strdup(&model->arena, info->tag);
    model->origin.path = qzi_arena_strdup(&model->arena, path);
    return model->origin.tag && model->origin.path ? QZ_OK : QZ_ERR_MEMORY;
}

static qz_status resolve_tag(qz_model *model, const qz_model_options *options,
                             qzi_build_options *build)
{
    qz_catalogue *catalogue = NULL;
    QZI_TRY(qz_catalogue_open(model->ctx, options->catalogue, &catalogue));
    qz_status st = resolve(model, options, catalogue, build);
    qz_catalogue_close(catalogue);
    return st;
}

/* Options that mean something for the keys of a file only. */
static qz_status refuse_file_options(const qz_model *model, const qz_model_options *options)
{
    const char *what = options->key                ? "options.key"
                       : options->prefix           ? "options.prefix"
                       : options->map_count > 0    ? "options.map"
                       : options->head_key         ? "options.head_key"
                       : options->allow_unexpected ? "options.allow_unexpected"
                                                   : NULL;
    if (!what)
        return QZ_OK;
    return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                    "%s is about weights in a file, and these are random; leave it out", what);
}

qz_status qzi_weights_resolve(qz_model *model, const qz_model_options *options,
                              qzi_build_options *build)
{
    const char *word = options->weights;
    model->origin.memory = options->state_dict || options->weights_bytes;
    if (options->state_dict && options->weights_bytes)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "options.state_dict and options.weights_bytes: one of them is needed");
    if (options->state_dict && options->key)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "options.key chooses in a file; a state dict is one already");
    if (model->origin.memory)
        word = word ? word : "memory";
    else if (qz_weights_is_random(word))
        return refuse_file_options(model, options);
    else if (!qz_weights_is_file(word))
        return resolve_tag(model, options, build);
    model->origin.path = qzi_arena_strdup(&model->arena, word);
    return model->origin.path ? QZ_OK : QZ_ERR_MEMORY;
}

qz_status qzi_weights_open(const qz_model *model, const qz_model_options *options,
                           qz_state_dict **dict)
{
    const char *path = model->origin.path;
    qz_state_dict_options how = QZ_STATE_DICT_OPTIONS_INIT;
    if (options->state_dict)
        return qzi_dict_view(options->state_dict, dict);
    how.key = options->key;
    how.map = model->origin.tag != NULL; /* files of the cache are replaced, never changed */
    how.bytes = options->weights_bytes;
    how.byte_count = options->weights_byte_count;
    QZI_TRY(qz_state_dict_open(model->ctx, path, &how, dict));
    const char *format = qz_state_dict_metadata(*dict, "format");
    if (!format || strncmp(format, "qzoo.", 5) != 0)
        return QZ_OK;
    qz_state_dict_destroy(*dict);
    *dict = NULL;
    return qzi_fail(model->ctx, QZ_ERR_MISMATCH,
                    "%s: a saved int8 model, not weights; open the file itself as the model", path);
}
