/* SPDX-License-Identifier: MIT */
/*
 * safetensors_write.c - writes safetensors files: the same bytes for the same input, and never a
 * half file under the final name.
 */
#include "weights/bytes.h"
#include "weights/file_replace.h"
#include "weights/state_dict.h"

#include <stdio.h>
#include <string.h>

typedef struct writer {
    const qz_context *ctx;
    const char *path;
    const qz_safetensors_entry *entries;
    size_t count;
    char *header;
    size_t header_size, header_capacity;
} writer;

/* ---- the header ---- */

static qz_status put(writer *w, const char *text, size_t size)
{
    size_t needed;
    if (!qzi_add_size(w->header_size, size, &needed) || needed > QZI_SAFETENSORS_HEADER_MAX)
        return qzi_fail(w->ctx, QZ_ERR_ARGUMENT,
                        "%s: names and metadata take more than %d bytes, which no reader accepts",
                        w->path, QZI_SAFETENSORS_HEADER_MAX);
    if (needed > w->header_capacity) {
        size_t capacity = QZI_MAX(2 * w->header_capacity, needed + 4096);
        char *wider = qzi_realloc(w->ctx, w->header, w->header_size, capacity);
        if (!wider)
            return QZ_ERR_MEMORY;
        w->header = wider;
        w->header_capacity = capacity;
    }
    memcpy(w->header + w->header_size, text, size);
    w->header_size = needed;
    return QZ_OK;
}

static qz_status put_text(writer *w, const char *text)
{
    return put(w, text, strlen(text));
}

static qz_status put_number(writer *w, uint64_t number)
{
    char text[24];
    return put(w, text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)number));
}

/* A JSON string: only what must be escaped is. */
static qz_status put_string(writer *w, const char *text)
{
    size_t size = strlen(text), plain = 0;
    if (!qzi_utf8_valid(text, size))
        return qzi_fail(w->ctx, QZ_ERR_ARGUMENT, "%s: '%.200s' is not UTF-8", w->path, text);
    QZI_TRY(put_text(w, "\""));
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        char escaped[8] = {'\\', (char)c, '\0'};
        if (c < 0x20)
            snprintf(escaped, sizeof(escaped), "\\u%04x", c);
        QZI_TRY(put(w, text + plain, i - plain));
        QZI_TRY(put_text(w, escaped));
        plain = i + 1;
    }
    QZI_TRY(put(w, text + plain, size - plain));
    return put_text(w, "\"");
}

/* Bytes of the tensor; false when it is no valid one. */
static bool tensor_bytes(const qz_tensor *tensor, size_t *bytes)
{
    if (tensor->ndim < 0 || tensor->ndim > QZ_MAX_DIMS ||
        !qzi_safetensors_dtype_name(tensor->dtype))
        return false;
    int64_t count = qz_tensor_numel(tensor);
    return count >= 0 && (uint64_t)count <= SIZE_MAX &&
           qzi_mul_size((size_t)count, qz_dtype_size(tensor->dtype), bytes) &&
           (*bytes == 0 || tensor->data);
}

static qz_status put_entry(writer *w, const qz_safetensors_entry *entry, size_t *offset)
{
    const qz_tensor *tensor = &entry->tensor;
    size_t bytes, end;
    if (!entry->key || strlen(entry->key) > QZI_KEY_MAX || strcmp(entry->key, "__metadata__") == 0)
        return qzi_fail(w->ctx, QZ_ERR_ARGUMENT, "%s: a tensor cannot be named '%.200s'", w->path,
                        entry->key ? entry->key : "NULL");
    if (!tensor_bytes(tensor, &bytes) || !qzi_add_size(*offset, bytes, &end) || end > INT64_MAX)
        return qzi_fail(w->ctx, QZ_ERR_ARGUMENT, "%s: '%s' has no valid dtype, shape and data",
                        w->path, entry->key);
    QZI_TRY(put_string(w, entry->key));
    QZI_TRY(put_text(w, ":{\"dtype\":\""));
    QZI_TRY(put_text(w, qzi_safetensors_dtype_name(tensor->dtype)));
    QZI_TRY(put_text(w, "\",\"shape\":["));
    for (int32_t i = 0; i < tensor->ndim; i++) {
        QZI_TRY(put_text(w, i > 0 ? "," : ""));
        QZI_TRY(put_number(w, (uint64_t)tensor->dims[i]));
    }
    QZI_TRY(put_text(w, "],\"data_offsets\":["));
    QZI_TRY(put_number(w, *offset));
    QZI_TRY(put_text(w, ","));
    QZI_TRY(put_number(w, end));
    *offset = end;
    return put_text(w, "]}");
}

static qz_status put_metadata(writer *w, const char *const *keys, const char *const *values,
                              size_t count)
{
    QZI_TRY(put_text(w, "\"__metadata__\":{"));
    for (size_t i = 0; i < count; i++) {
        QZI_TRY(put_text(w, i > 0 ? "," : ""));
        QZI_TRY(put_string(w, keys[i]));
        QZI_TRY(put_text(w, ":"));
        QZI_TRY(put_string(w, values[i]));
    }
    return put_text(w, "}");
}

static qz_status put_header(writer *w, const char *const *keys, const char *const *values,
                            size_t metadata_count)
{
    size_t offset = 0;
    QZI_TRY(put_text(w, "{"));
    if (metadata_count > 0)
        QZI_TRY(put_metadata(w, keys, values, metadata_count));
    for (size_t i = 0; i < w->count; i++) {
        QZI_TRY(put_text(w, i > 0 || metadata_count > 0 ? "," : ""));
        QZI_TRY(put_entry(w, &w->entries[i], &offset));
    }
    QZI_TRY(put_text(w, "}"));
    return put(w, "       ", (8 - w->header_size % 8) % 8);
}

static bool entry_before(const void *arg, size_t a, size_t b)
{
    const qz_safetensors_entry *entries = arg;
    return strcmp(entries[a].key, entries[b].key) < 0;
}

static bool name_before(const void *arg, size_t a, size_t b)
{
    const char *const *names = arg;
    return strcmp(names[a], names[b]) < 0;
}

/* Readers refuse a name that occurs twice; `what` says whose names they are. */
static qz_status check_unique(const writer *w, size_t count, const char *what,
                              bool (*before)(const void *, size_t, size_t), const void *names)
{
    size_t *order = qzi_calloc(w->ctx, count, sizeof(*order));
    if (!order)
        return QZ_ERR_MEMORY;
    qzi_sort_indices(order, count, before, names);
    qz_status st = QZ_OK;
    for (size_t i = 1; i < count && st == QZ_OK; i++) {
        if (!before(names, order[i - 1], order[i]))
            st = qzi_fail(w->ctx, QZ_ERR_ARGUMENT, "%s: two %s (%zu and %zu) have one name",
                          w->path, what, order[i - 1], order[i]);
    }
    qzi_free(w->ctx, order);
    return st;
}

/* ---- the file ---- */

static qz_status write_contents(const writer *w, const qzi_file_replace *file)
{
    uint8_t length[8];
    for (size_t i = 0; i < sizeof(length); i++)
        length[i] = (uint8_t)((uint64_t)w->header_size >> (8 * i));
    QZI_TRY(qzi_file_replace_write(file, length, sizeof(length)));
    QZI_TRY(qzi_file_replace_write(file, w->header, w->header_size));
    for (size_t i = 0; i < w->count; i++) {
        const qz_tensor *tensor = &w->entries[i].tensor;
        const size_t size = qz_dtype_size(tensor->dtype);
        size_t bytes = 0;
        if (tensor_bytes(tensor, &bytes) && bytes > 0)
            QZI_TRY(qzi_file_replace_write_numbers(file, tensor->data, bytes / size, size));
    }
    return QZ_OK;
}

static qz_status write_file(const writer *w)
{
    qzi_file_replace file;
    QZI_TRY(qzi_file_replace_open(w->ctx, w->path, &file));
    qz_status st = write_contents(w, &file);
    if (st == QZ_OK)
        return qzi_file_replace_commit(&file);
    qzi_file_replace_discard(&file);
    return st;
}

qz_status qz_safetensors_save(qz_context *context, const char *path,
                              const qz_safetensors_entry *entries, size_t count,
                              const char *const *metadata_keys, const char *const *metadata_values,
                              size_t metadata_count)
{
    if (!context || !path || (!entries && count > 0) ||
        ((!metadata_keys || !metadata_values) && metadata_count > 0))
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_safetensors_save: NULL argument");
    for (size_t i = 0; i < metadata_count; i++) {
        if (!metadata_keys[i] || !metadata_values[i])
            return qzi_fail(context, QZ_ERR_ARGUMENT, "%s: metadata %zu is NULL", path, i);
    }
    writer w = {.ctx = context, .path = path, .entries = entries, .count = count};
    qz_status st = put_header(&w, metadata_keys, metadata_values, metadata_count);
    if (st == QZ_OK)
        st = check_unique(&w, count, "tensors", entry_before, entries);
    if (st == QZ_OK)
        st = check_unique(&w, metadata_count, "metadata strings", name_before, metadata_keys);
    if (st == QZ_OK)
        st = write_file(&w);
    qzi_free(context, w.header);
    if (st == QZ_ERR_MEMORY)
        qzi_fail_prefix(context, st, "%s", path);
    return st;
}
