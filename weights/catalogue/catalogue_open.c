/* SPDX-License-Identifier: MIT */
/*
 * catalogue_open.c - the table of published weights, joined with the user's file, in order. The
 * table holds facts only: where a file is, its hash, what it is for, its accuracy, its licence.
 */
#include "weights/bytes.h"
#include "weights/catalogue/catalogue.h"

#include <string.h>
#include <unistd.h>

/* clang-format off */
#define RECIPE(resize_, crop_, how_) \
    .resize = (resize_), .crop = (crop_), .interpolation = QZI_HOW_##how_
#define QZI_HOW_BILINEAR "bilinear"
#define QZI_HOW_BICUBIC "bicubic"
#define QZI_RECIPE(resize, crop, how) RECIPE(resize, crop, how), \
    .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}
#define QZI_RECIPE_HALF(resize, crop, how) RECIPE(resize, crop, how), \
    .mean = {0.5f, 0.5f, 0.5f}, .std = {0.5f, 0.5f, 0.5f}
#define QZI_RECIPE_CAFFE(resize, crop, how) RECIPE(resize, crop, how), \
    .mean = {0.48235f, 0.45882f, 0.40784f}, .std = {1.0f / 255, 1.0f / 255, 1.0f / 255}
/* clang-format on */

#define QZI_LICENCE_TORCHVISION "BSD-3-Clause (torchvision; the data set has terms of its own)"
#define QZI_LICENCE_DARKNET "public domain (darknet; the data set has terms of its own)"
#define QZI_LICENCE_ULTRALYTICS "AGPL-3.0 (ultralytics; a commercial licence is sold)"

static const qz_weights_info published[] = {
#define QZI_WEIGHTS(...) {__VA_ARGS__},
#include "weights/catalogue/catalogue_torchvision.inc"
#include "weights/catalogue/catalogue_yolo.inc"
#undef QZI_WEIGHTS
};

bool qz_weights_has_model(const char *model)
{
    for (size_t i = 0; model && i < QZI_ARRAY_LEN(published); i++)
        if (strcmp(published[i].model, model) == 0)
            return true;
    return false;
}

/* Models in order, and the entries of one model in their order. */
static bool entry_before(const void *arg, size_t a, size_t b)
{
    const qz_weights_info *entries = arg;
    int order = strcmp(entries[a].model, entries[b].model);
    return order != 0 ? order < 0 : a < b;
}

static qz_status sort_entries(qz_catalogue *catalogue)
{
    size_t count = catalogue->count;
    size_t *order = qzi_calloc(catalogue->ctx, count, sizeof(*order));
    qz_weights_info *sorted = qzi_calloc(catalogue->ctx, count, sizeof(*sorted));
    qz_status st = QZ_OK;
    if (!order || !sorted) {
        st = QZ_ERR_MEMORY;
        qzi_free(catalogue->ctx, sorted);
    } else {
        qzi_sort_indices(order, count, entry_before, catalogue->entries);
        for (size_t i = 0; i < count; i++)
            sorted[i] = catalogue->entries[order[i]];
        qzi_free(catalogue->ctx, catalogue->entries);
        catalogue->entries = sorted;
        catalogue->capacity = count;
    }
    qzi_free(catalogue->ctx, order);
    return st;
}

static qz_status fill(qz_catalogue *catalogue, const char *user_file)
{
    const qz_context *ctx = catalogue->ctx;
    catalogue->entries = qzi_calloc(ctx, QZI_ARRAY_LEN(published), sizeof(*catalogue->entries));
    if (!catalogue->entries)
        return QZ_ERR_MEMORY;
    catalogue->capacity = QZI_ARRAY_LEN(published);
    for (; catalogue->count < QZI_ARRAY_LEN(published); catalogue->count++) {
        catalogue->entries[catalogue->count] = published[catalogue->count];
        QZI_TRY(qzi_catalogue_name_file(catalogue, &catalogue->entries[catalogue->count]));
    }
    qz_status st = QZ_OK;
    const char *folder = qz_context_cache_dir(ctx);
    if (user_file) {
        st = qzi_catalogue_read(catalogue, user_file);
    } else if (folder) {
        char *path = qzi_format(ctx, "%s/catalogue.json", folder);
        if (!path)
            return QZ_ERR_MEMORY;
        if (access(path, F_OK) == 0)
            st = qzi_catalogue_read(catalogue, path);
        qzi_free(ctx, path);
    }
    return st == QZ_OK ? sort_entries(catalogue) : st;
}

qz_status qz_catalogue_open(qz_context *context, const char *user_file, qz_catalogue **catalogue)
{
    if (catalogue)
        *catalogue = NULL;
    if (!context || !catalogue)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_catalogue_open: NULL argument");
    qz_catalogue *made = qzi_calloc(context, 1, sizeof(*made));
    if (!made)
        return QZ_ERR_MEMORY;
    made->ctx = context;
    qzi_arena_init(&made->arena, context);
    qz_status st = fill(made, user_file);
    if (st != QZ_OK) {
        qz_catalogue_close(made);
        return st;
    }
    *catalogue = made;
    return QZ_OK;
}
