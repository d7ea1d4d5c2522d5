/* SPDX-License-Identifier: MIT */
/*
 * weights_source.c - weights by a tag of the catalogue ("default", "IMAGENET1K_V1"): found in the
 * cache, or fetched into it where the caller allows that; with them comes the recipe for images
 * that they were trained with.
 */
#include "zoo/model/model.h"

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
        p->crop_h = p->crop_w = info->crop;
    for (int i = 0; qz_interpolation_name((qz_interpolation)i); i++)
        if (strcmp(info->interpolation, qz_interpolation_name((qz_interpolation)i)) == 0)
            p->interpolation = (qz_interpolation)i;
    if (info->std[0] > 0.0f) {
        memcpy(p->mean, info->mean, sizeof(p->mean));
        memcpy(p->std, info->std, sizeof(p->std));
    }
}

static qz_status resolve(qz_model *model, const qz_model_options *options,
                         const qz_catalogue *catalogue, bool *transform_input)
{
    const qz_weights_info *info = NULL;
    char path[PATH_SIZE];
    const char *name = model->arch->info.name;
    QZI_TRY(qz_catalogue_find(catalogue, name, options->weights, &info));
    QZI_TRY(find_file(model, options, info, path));
    take_recipe(model, info);
    *transform_input |= info->transform_input;
    /* of an int8 model, that for which it was quantized; "" is no backend's name */
    (void)qz_backend_parse(info->quantized, &model->weights_backend);
    model->weights_tag = qzi_arena_strdup(&model->arena, info->tag);
    model->weights_path = qzi_arena_strdup(&model->arena, path);
    return model->weights_tag && model->weights_path ? QZ_OK : QZ_ERR_MEMORY;
}

qz_status qzi_weights_resolve(qz_model *model, const qz_model_options *options,
                              bool *transform_input)
{
    const char *source = options->weights;
    qz_catalogue *catalogue = NULL;
    if (!source || strcmp(source, "random") == 0 || strncmp(source, "random:", 7) == 0 ||
        qzi_weights_is_file(source))
        return QZ_OK;
    QZI_TRY(qz_catalogue_open(model->ctx, options->catalogue, &catalogue));
    qz_status st = resolve(model, options, catalogue, transform_input);
    qz_catalogue_close(catalogue);
    return st;
}
