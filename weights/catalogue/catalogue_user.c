/* SPDX-License-Identifier: MIT */
/*
 * catalogue_user.c - a user's own catalogue, a JSON file (schema qzoo.catalogue/1), read with
 * jansson. Part of the feature `fetch`: a build for inference alone needs no JSON library.
 *
 * The file is the user's and is trusted to name what he wants fetched; that it says what it means
 * is checked all the same, entry by entry, so that a slip is reported and not fetched.
 */
#include "weights/catalogue/catalogue.h"

#ifdef QZ_HAVE_FETCH

#include "weights/files.h"
#include "weights/state_dict.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA "qzoo.catalogue/1"
#define FILE_MAX ((size_t)16 << 20)
#define NAME_MAX_SIZE 100
#define URL_MAX_SIZE 2000

typedef struct reader {
    qz_catalogue *catalogue;
    const char *path;
    size_t index; /* of the entry */
} reader;

static qz_status wrong(const reader *r, const char *what)
{
    return qzi_fail(r->catalogue->ctx, QZ_ERR_FORMAT, "%s: entry %zu: %s", r->path, r->index, what);
}

static qz_status read_file(const qz_context *ctx, const char *path, int fd, char **text,
                           size_t *size)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return qzi_fail_errno(ctx, path, "cannot be read", errno);
    if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size > FILE_MAX)
        return qzi_fail(ctx, QZ_ERR_IO, "%s: is not a regular file of at most 16 MiB", path);
    *text = qzi_alloc(ctx, (size_t)info.st_size);
    if (!*text)
        return QZ_ERR_MEMORY;
    *size = 0;
    while (*size < (size_t)info.st_size) {
        ssize_t got = read(fd, *text + *size, (size_t)info.st_size - *size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return qzi_fail_errno(ctx, path, "cannot be read", errno);
        if (got == 0)
            break;
        *size += (size_t)got;
    }
    return QZ_OK;
}

/* Letters, digits and . _ - : what names of models and tags are made of. */
static bool is_name(const char *text)
{
    size_t size = strlen(text);
    return size > 0 && size <= NAME_MAX_SIZE &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               size;
}

static bool is_url(const char *text)
{
    size_t size = strlen(text);
    const char *host = strstr(text, "://");
    if ((strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0) ||
        size > URL_MAX_SIZE)
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c == 0x7f)
            return false;
    }
    const char *slash = strchr(host + 3, '/');
    return slash && slash > host + 3 && text[size - 1] != '/';
}

/* An optional member; QZ_ERR_FORMAT when it is there and no string. */
static qz_status read_text(const reader *r, json_t *entry, const char *key, const char **text)
{
    json_t *value = json_object_get(entry, key);
    *text = "";
    if (!value)
        return QZ_OK;
    if (!json_is_string(value) || strlen(json_string_value(value)) > URL_MAX_SIZE)
        return qzi_fail(r->catalogue->ctx, QZ_ERR_FORMAT,
                        "%s: entry %zu: '%s' must be a string (of at most %d bytes)", r->path,
                        r->index, key, URL_MAX_SIZE);
    *text = qzi_arena_strdup(&r->catalogue->arena, json_string_value(value));
    return *text ? QZ_OK : QZ_ERR_MEMORY;
}

static qz_status read_number(const reader *r, json_t *entry, const char *key, json_int_t least,
                             json_int_t most, json_int_t *number)
{
    json_t *value = json_object_get(entry, key);
    *number = 0;
    if (!value)
        return QZ_OK;
    *number = json_integer_value(value);
    if (!json_is_integer(value) || *number < least || *number > most)
        return qzi_fail(r->catalogue->ctx, QZ_ERR_FORMAT,
                        "%s: entry %zu: '%s' must be a whole number from %lld to %lld", r->path,
                        r->index, key, (long long)least, (long long)most);
    return QZ_OK;
}

static qz_status read_hash(const reader *r, json_t *entry, const char **hash)
{
    QZI_TRY(read_text(r, entry, "sha256", hash));
    if (strlen(*hash) != 64 || strspn(*hash, "0123456789abcdefABCDEF") != 64)
        return wrong(r, "'sha256' must be the whole hash, 64 hexadecimal digits");
    char *lower = qzi_arena_strdup(&r->catalogue->arena, *hash);
    if (!lower)
        return QZ_ERR_MEMORY;
    for (char *c = lower; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'F')
            *c = (char)(*c - 'A' + 'a');
    }
    *hash = lower;
    return QZ_OK;
}

static qz_status read_numbers(const reader *r, json_t *entry, qz_weights_info *info)
{
    json_int_t number = 0;
    QZI_TRY(read_number(r, entry, "size", 1, (json_int_t)QZI_FILE_MAX, &number));
    info->size = (uint64_t)number;
    QZI_TRY(read_number(r, entry, "classes", 0, 1000000, &number));
    info->classes = (int32_t)number;
    QZI_TRY(read_number(r, entry, "resize", 0, 65535, &number));
    info->resize = (int32_t)number;
    QZI_TRY(read_number(r, entry, "crop", 0, 65535, &number));
    info->crop = (int32_t)number;
    return QZ_OK;
}

static qz_status read_entry(const reader *r, json_t *entry)
{
    qz_weights_info info = {.data_set = "",
                            .parent = "",
                            .interpolation = "bilinear",
                            .mean = {0.485f, 0.456f, 0.406f},
                            .std = {0.229f, 0.224f, 0.225f},
                            .user = true};
    if (!json_is_object(entry))
        return wrong(r, "must be an object");
    QZI_TRY(read_text(r, entry, "model", &info.model));
    QZI_TRY(read_text(r, entry, "tag", &info.tag));
    QZI_TRY(read_text(r, entry, "url", &info.url));
    QZI_TRY(read_text(r, entry, "task", &info.task));
    QZI_TRY(read_text(r, entry, "licence", &info.licence));
    QZI_TRY(read_text(r, entry, "categories", &info.categories));
    QZI_TRY(read_text(r, entry, "quantized", &info.quantized));
    if (!is_name(info.model) || !is_name(info.tag))
        return wrong(r, "'model' and 'tag' are needed: letters, digits and . _ -");
    if (!is_url(info.url))
        return wrong(r, "'url' must be https://HOST/.../FILE (or http://, which is asked for so)");
    QZI_TRY(read_hash(r, entry, &info.sha256));
    QZI_TRY(read_numbers(r, entry, &info));
    info.is_default = json_is_true(json_object_get(entry, "default"));
    return qzi_catalogue_add(r->catalogue, &info);
}

static qz_status read_root(reader *r, json_t *root)
{
    const char *schema = json_string_value(json_object_get(root, "schema"));
    json_t *weights = json_object_get(root, "weights");
    if (!schema || strcmp(schema, SCHEMA) != 0)
        return qzi_fail(r->catalogue->ctx, QZ_ERR_FORMAT,
                        "%s: its schema must be \"" SCHEMA "\"; is it a catalogue?", r->path);
    if (!json_is_array(weights))
        return qzi_fail(r->catalogue->ctx, QZ_ERR_FORMAT, "%s: 'weights' must be a list", r->path);
    for (r->index = 0; r->index < json_array_size(weights); r->index++)
        QZI_TRY(read_entry(r, json_array_get(weights, r->index)));
    return QZ_OK;
}

qz_status qzi_catalogue_read(qz_catalogue *catalogue, const char *path)
{
    const qz_context *ctx = catalogue->ctx;
    char *text = NULL;
    size_t size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return qzi_fail_errno(ctx, path, "cannot be opened", errno);
    qz_status st = read_file(ctx, path, fd, &text, &size);
    close(fd);
    if (st == QZ_OK) {
        json_error_t error;
        json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
        reader r = {.catalogue = catalogue, .path = path};
        if (root)
            st = read_root(&r, root);
        else
            st = qzi_fail(ctx, QZ_ERR_FORMAT, "%s: line %d: %s", path, error.line, error.text);
        json_decref(root);
    }
    qzi_free(ctx, text);
    return st;
}

#else

qz_status qzi_catalogue_read(qz_catalogue *catalogue, const char *path)
{
    return qzi_fail(catalogue->ctx, QZ_ERR_UNSUPPORTED,
                    "%s: this build reads no catalogues; rebuild it with -Dfetch=enabled", path);
}

#endif
