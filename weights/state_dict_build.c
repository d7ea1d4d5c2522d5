/* SPDX-License-Identifier: MIT */
/*
 * state_dict_build.c - puts tensors into a state dict: the memory budget, copies where a view into
 * the file will not do, and the index of keys.
 */
#include "weights/bytes.h"
#include "weights/state_dict.h"

#include <string.h>

qz_status qzi_dict_new(const qz_context *ctx, const char *name, qz_state_dict **dict)
{
    qz_state_dict *d = qzi_calloc(ctx, 1, sizeof(*d));
    if (!d)
        return qzi_fail_prefix(ctx, QZ_ERR_MEMORY, "%s", name);
    d->ctx = ctx;
    d->name = name;
    qzi_arena_init(&d->arena, ctx);
    *dict = d;
    return QZ_OK;
}

qz_status qzi_dict_check_flat(const qz_state_dict *dict)
{
    if (!dict->want)
        return QZ_OK;
    return qzi_fail(dict->ctx, QZ_ERR_ARGUMENT,
                    "%s: this file nests no state dicts; leave out options.key", dict->name);
}

qz_status qzi_dict_charge(qz_state_dict *dict, size_t size)
{
    if (size > dict->budget)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                        "%s: asks for far more memory than a file of %zu bytes can need; it is "
                        "damaged or hostile",
                        dict->name, dict->size);
    dict->budget -= size;
    return QZ_OK;
}

qz_status qzi_dict_block(qz_state_dict *dict, size_t size, uint8_t **block)
{
    QZI_TRY(qzi_dict_charge(dict, size));
    QZI_TRY(qzi_grow(dict->ctx, &dict->blocks, &dict->block_capacity, dict->block_count,
                     sizeof(*dict->blocks)));
    *block = qzi_alloc(dict->ctx, size);
    if (!*block)
        return QZ_ERR_MEMORY;
    dict->blocks[dict->block_count++] = *block;
    return QZ_OK;
}

/* Row-major without gaps? Strides of dimensions with one element mean nothing. */
static bool is_dense(const qzi_raw_tensor *raw)
{
    int64_t expected = 1;
    for (int32_t i = raw->ndim; i-- > 0;) {
        if (raw->dims[i] != 1 && raw->strides[i] != expected)
            return false;
        expected *= raw->dims[i];
    }
    return true;
}

/* One run of the innermost dimension. */
static void copy_row(uint8_t *to, const uint8_t *from, size_t count, size_t step, size_t size,
                     bool swap)
{
    if (swap) {
        for (size_t i = 0; i < count; i++)
            qzi_copy_swapped(to + i * size, from + i * step * size, 1, size);
    } else if (step == 1) {
        memcpy(to, from, count * size);
    } else {
        for (size_t i = 0; i < count; i++)
            memcpy(to + i * size, from + i * step * size, size);
    }
}

/* The view in row-major order; it has at least one element. */
static void copy_dense(uint8_t *to, const qzi_raw_tensor *raw, size_t size, bool swap)
{
    int64_t index[QZ_MAX_DIMS] = {0};
    int32_t inner = raw->ndim - 1;
    size_t run = raw->ndim > 0 ? (size_t)raw->dims[inner] : 1;
    size_t step = raw->ndim > 0 ? (size_t)raw->strides[inner] : 1;
    size_t offset = 0;
    for (;;) {
        copy_row(to, raw->data + offset, run, step, size, swap);
        to += run * size;
        int32_t i = inner - 1;
        for (; i >= 0; i--) {
            offset += (size_t)raw->strides[i] * size;
            if (++index[i] < raw->dims[i])
                break;
            offset -= (size_t)raw->dims[i] * (size_t)raw->strides[i] * size;
            index[i] = 0;
        }
        if (i < 0)
            return;
    }
}

void qzi_raw_set_dense(qzi_raw_tensor *raw)
{
    int64_t stride = 1;
    bool empty = false;
    for (int32_t i = 0; i < raw->ndim; i++)
        empty |= raw->dims[i] == 0;
    for (int32_t i = raw->ndim; i-- > 0;) {
        raw->strides[i] = stride;
        if (!empty && raw->dims[i] <= INT64_MAX / stride) /* else no element is ever looked at */
            stride *= raw->dims[i];
    }
}

/* A C bool that holds 2 is undefined behaviour for the reader. */
static bool bools_are_valid(const uint8_t *data, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (data[i] > 1)
            return false;
    }
    return true;
}

static qz_status place(qz_state_dict *dict, const char *key, const qzi_raw_tensor *raw,
                       qz_tensor *tensor)
{
    static const uint64_t nothing; /* what tensors without elements point to */
    size_t size = qz_dtype_size(raw->dtype), bytes;
    int64_t count = qz_tensor_numel(tensor);
    if (count < 0 || (uint64_t)count > SIZE_MAX || !qzi_mul_size((size_t)count, size, &bytes))
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT, "%s: the shape of '%s' is too large", dict->name,
                        key);
    if (bytes == 0) {
        tensor->data = (void *)(uintptr_t)&nothing;
        return QZ_OK;
    }
    /* views cost nothing here, but a reader of all must not get more than files hold */
    QZI_TRY(qzi_dict_charge(dict, bytes));
    bool swap = size > 1 && raw->big_endian != (QZI_BIG_ENDIAN == 1);
    if (!swap && (uintptr_t)raw->data % size == 0 && is_dense(raw)) {
        tensor->data = (void *)(uintptr_t)raw->data;
        dict->bytes_used |= raw->in_file;
    } else {
        uint8_t *copy = NULL;
        QZI_TRY(qzi_dict_block(dict, bytes, &copy));
        copy_dense(copy, raw, size, swap);
        tensor->data = copy;
    }
    if (raw->dtype == QZ_BOOL && !bools_are_valid(tensor->data, (size_t)count))
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                        "%s: '%s' is bool but holds other bytes than 0 and 1; the file is damaged",
                        dict->name, key);
    return QZ_OK;
}

qz_status qzi_dict_add(qz_state_dict *dict, const char *key, size_t key_size,
                       const qzi_raw_tensor *raw)
{
    if (key_size > QZI_KEY_MAX || !qzi_utf8_valid(key, key_size))
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                        "%s: the name of tensor %zu is longer than %d bytes or not UTF-8; the file "
                        "is damaged",
                        dict->name, dict->count, QZI_KEY_MAX);
    QZI_TRY(qzi_dict_charge(dict, key_size + 1 + sizeof(*dict->entries)));
    QZI_TRY(
        qzi_grow(dict->ctx, &dict->entries, &dict->capacity, dict->count, sizeof(*dict->entries)));
    char *name = qzi_arena_alloc(&dict->arena, key_size + 1);
    if (!name)
        return QZ_ERR_MEMORY;
    memcpy(name, key, key_size);
    qzi_dict_entry *entry = &dict->entries[dict->count];
    entry->key = name;
    entry->quant = raw->quant;
    entry->tensor = (qz_tensor){.dtype = raw->dtype, .ndim = raw->ndim};
    memcpy(entry->tensor.dims, raw->dims, (size_t)raw->ndim * sizeof(raw->dims[0]));
    QZI_TRY(place(dict, name, raw, &entry->tensor));
    dict->count++;
    return QZ_OK;
}

qz_status qzi_dict_add_foreign(qz_state_dict *dict, const char *key, size_t key_size,
                               const char *what, bool object)
{
    if (key_size > QZI_KEY_MAX || !qzi_utf8_valid(key, key_size))
        return QZ_OK;
    QZI_TRY(qzi_dict_charge(dict, key_size + strlen(what) + 2 + sizeof(*dict->foreign)));
    QZI_TRY(qzi_grow(dict->ctx, &dict->foreign, &dict->foreign_capacity, dict->foreign_count,
                     sizeof(*dict->foreign)));
    char *name = qzi_arena_alloc(&dict->arena, key_size + 1);
    const char *text = qzi_arena_strdup(&dict->arena, what);
    if (!name || !text)
        return QZ_ERR_MEMORY;
    memcpy(name, key, key_size);
    dict->foreign[dict->foreign_count++] = (qzi_dict_foreign_value){name, text, object};
    return QZ_OK;
}

const qzi_dict_foreign_value *qzi_dict_foreign(const qz_state_dict *dict, const char *key)
{
    for (size_t i = 0; i < dict->foreign_count; i++)
        if (strcmp(dict->foreign[i].key, key) == 0)
            return &dict->foreign[i];
    return NULL;
}

qz_status qzi_dict_add_metadata(qz_state_dict *dict, const char *key, const char *value)
{
    QZI_TRY(qzi_dict_charge(dict, sizeof(*dict->metadata)));
    QZI_TRY(qzi_grow(dict->ctx, &dict->metadata, &dict->metadata_capacity, dict->metadata_count,
                     sizeof(*dict->metadata)));
    dict->metadata[dict->metadata_count++] = (qzi_dict_metadata){key, value};
    return QZ_OK;
}

const char *qz_state_dict_metadata(const qz_state_dict *dict, const char *key)
{
    for (size_t i = 0; i < dict->metadata_count; i++) {
        if (strcmp(dict->metadata[i].key, key) == 0)
            return dict->metadata[i].value;
    }
    return NULL;
}

static bool key_before(const void *arg, size_t a, size_t b)
{
    const qzi_dict_entry *entries = arg;
    return strcmp(entries[a].key, entries[b].key) < 0;
}

static bool metadata_before(const void *arg, size_t a, size_t b)
{
    const qzi_dict_metadata *metadata = arg;
    return strcmp(metadata[a].key, metadata[b].key) < 0;
}

static qz_status fail_twice(const qz_state_dict *dict, const char *key)
{
    return qzi_fail(dict->ctx, QZ_ERR_FORMAT, "%s: '%.200s' occurs twice; the file is damaged",
                    dict->name ? dict->name : "state dict", key);
}

/* There are few, and they are searched one by one: no index stays. */
static qz_status check_metadata(const qz_state_dict *dict)
{
    size_t *order = qzi_calloc(dict->ctx, dict->metadata_count, sizeof(*order));
    qz_status st = QZ_OK;
    if (!order)
        return QZ_ERR_MEMORY;
    qzi_sort_indices(order, dict->metadata_count, metadata_before, dict->metadata);
    for (size_t i = 1; i < dict->metadata_count && st == QZ_OK; i++) {
        if (!metadata_before(dict->metadata, order[i - 1], order[i]))
            st = fail_twice(dict, dict->metadata[order[i]].key);
    }
    qzi_free(dict->ctx, order);
    return st;
}

qz_status qzi_dict_sort(qz_state_dict *dict)
{
    qzi_sort_indices(dict->sorted, dict->count, key_before, dict->entries);
    for (size_t i = 1; i < dict->count; i++) {
        if (!key_before(dict->entries, dict->sorted[i - 1], dict->sorted[i]))
            return fail_twice(dict, dict->entries[dict->sorted[i]].key);
    }
    return QZ_OK;
}

qz_status qzi_dict_seal(qz_state_dict *dict)
{
    dict->sorted = qzi_calloc(dict->ctx, dict->count, sizeof(*dict->sorted));
    if (!dict->sorted)
        return QZ_ERR_MEMORY;
    QZI_TRY(qzi_dict_sort(dict));
    return check_metadata(dict);
}
