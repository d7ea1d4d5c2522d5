/* SPDX-License-Identifier: MIT */
/* catalogue.c - the entries of a catalogue: added, named, found. */
#include "weights/catalogue/catalogue.h"

#include "weights/bytes.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/*
 * The file's name in the cache: that of the URL if it contains the hash, as torchvision's do,
 * otherwise with the hash's first digits put in. Only harmless characters of a URL get into it.
 */
qz_status qzi_catalogue_name_file(qz_catalogue *catalogue, qz_weights_info *info)
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
    bool named = false;
    for (size_t i = 0; i + 8 <= stem && !named; i++)
        named = memcmp(base + i, hash, 8) == 0;
    if (named)
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
    return qzi_catalogue_name_file(catalogue, entry);
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
                        "no published weights of '%s' are known; qzoo weights list shows what "
                        "there is",
                        model);
    return qzi_fail(catalogue->ctx, QZ_ERR_UNKNOWN_NAME,
                    "%s has no weights '%s'; there are: default, %s", model,
                    wants_default ? "default" : tag, tags);
}
