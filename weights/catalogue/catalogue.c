/* SPDX-License-Identifier: MIT */
/*
 * catalogue.c - the table of published weights. Facts only: where a file is, its hash, what it is
 * for, how well it does, and whose licence binds its user.
 */
#include "weights/catalogue/catalogue.h"

#include "weights/bytes.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
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

/*
 * The file's name in the cache: that of the URL where it tells the hash, as torchvision's do, else
 * with the hash's first digits put in. Only harmless characters of a URL get into it.
 */
static qz_status name_file(qz_catalogue *catalogue, qz_weights_info *info)
{
    const char *base = strrchr(info->url, '/') + 1;
    size_t length = QZI_MIN(strcspn(base, "?#"), 128);
    const char *dot = memchr(base, '.', length);
    for (const char *next = dot; next;
         next = memchr(next + 1, '.', (size_t)(base + length - next - 1)))
        dot = next;
    size_t stem = dot ? (size_t)(dot - base) : length;
    char hash[9], name[160];
    memcpy(hash, info->sha256, 8);
    hash[8] = '\0';
    bool told = false;
    for (size_t i = 0; i + 8 <= stem && !told; i++)
        told = memcmp(base + i, hash, 8) == 0;
    if (told)
        snprintf(name, sizeof(name), "%.*s", (int)length, base);
    else
        snprintf(name, sizeof(name), "%.*s-%s%.*s", (int)stem, base, hash, (int)(length - stem),
                 base + stem);
    for (char *c = name; *c != '\0'; c++) {
        bool plain = (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= 'a' && *c <= 'z') || *c == '-' || *c == '_' || (*c == '.' && c != name);
        if (!plain)
            *c = '_';
    }
    info->file = qzi_arena_strdup(&catalogue->arena, name);
    return info->file ? QZ_OK : QZ_ERR_MEMORY;
}

static qz_weights_info *find_exact(const qz_catalogue *catalogue, const char *model,
                                   const char *tag)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        qz_weights_info *entry = &catalogue->entries[i];
        if (strcmp(entry->model, model) == 0 && strcasecmp(entry->tag, tag) == 0)
            return entry;
    }
    return NULL;
}

qz_status qzi_catalogue_add(qz_catalogue *catalogue, const qz_weights_info *info)
{
    qz_weights_info *entry = find_exact(catalogue, info->model, info->tag);
    bool first = true, was_default = entry && entry->is_default;
    for (size_t i = 0; i < catalogue->count; i++) {
        qz_weights_info *other = &catalogue->entries[i];
        if (strcmp(other->model, info->model) != 0 || *other->quantized != '\0')
            continue;
        first = false;
        if (info->is_default)
            other->is_default = false;
    }
    if (!entry) {
        QZI_TRY(qzi_grow(catalogue->ctx, &catalogue->entries, &catalogue->capacity,
                         catalogue->count, sizeof(*catalogue->entries)));
        entry = &catalogue->entries[catalogue->count++];
    }
    *entry = *info;
    entry->is_default = info->is_default || was_default || first;
    return name_file(catalogue, entry);
}

/* Models in order, and of one model the entries as they stand. */
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
        QZI_TRY(name_file(catalogue, &catalogue->entries[catalogue->count]));
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

void qz_catalogue_close(qz_catalogue *catalogue)
{
    if (!catalogue)
        return;
    const qz_context *ctx = catalogue->ctx;
    qzi_free(ctx, catalogue->entries);
    qzi_arena_free(&catalogue->arena);
    qzi_free(ctx, catalogue);
}

size_t qz_catalogue_count(const qz_catalogue *catalogue)
{
    return catalogue->count;
}

const qz_weights_info *qz_catalogue_at(const qz_catalogue *catalogue, size_t index)
{
    return index < catalogue->count ? &catalogue->entries[index] : NULL;
}

/* Appends to text, as far as there is room. */
static void append(char *text, size_t size, const char *separator, const char *more)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used > 0 ? separator : "", more);
}

qz_status qz_catalogue_find(const qz_catalogue *catalogue, const char *model, const char *tag,
                            const qz_weights_info **info)
{
    if (!catalogue || !model || !info)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_catalogue_find: NULL argument");
    bool wants_default = !tag || strcasecmp(tag, "default") == 0;
    char tags[400] = "";
    *info = NULL;
    for (size_t i = 0; i < catalogue->count; i++) {
        const qz_weights_info *entry = &catalogue->entries[i];
        if (strcmp(entry->model, model) != 0)
            continue;
        if (wants_default ? entry->is_default && *entry->quantized == '\0'
                          : strcasecmp(entry->tag, tag) == 0) {
            *info = entry;
            return QZ_OK;
        }
        append(tags, sizeof(tags), ", ", entry->tag);
    }
    if (*tags == '\0')
        return qzi_fail(catalogue->ctx, QZ_ERR_UNKNOWN_NAME,
                        "no published weights of '%s' are known; qzoo weights list tells what "
                        "there is",
                        model);
    return qzi_fail(catalogue->ctx, QZ_ERR_UNKNOWN_NAME,
                    "%s has no weights '%s'; there are: default, %s", model,
                    wants_default ? "default" : tag, tags);
}
