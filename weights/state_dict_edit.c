/* SPDX-License-Identifier: MIT */
/*
 * state_dict_edit.c - state dicts that an application makes or changes, and views of one with other
 * keys. The index of keys is kept sorted at each step.
 */
#include "weights/bytes.h"
#include "weights/state_dict.h"

#include <string.h>

static const char edited[] = "state dict";

static qz_status fail_key(const qz_state_dict *dict, qz_status status, const char *key,
                          const char *what)
{
    return qzi_fail(dict->ctx, status, "%s: '%.200s' %s", edited, key, what);
}

static qz_status check_new_key(const qz_state_dict *dict, const char *key)
{
    const size_t size = strlen(key);
    if (size == 0 || size > QZI_KEY_MAX || !qzi_utf8_valid(key, size))
        return fail_key(dict, QZ_ERR_ARGUMENT, key,
                        "is no key: 1 to 1023 bytes of UTF-8 are needed");
    if (qz_state_dict_find(dict, key))
        return fail_key(dict, QZ_ERR_ARGUMENT, key, "is in it already");
    return QZ_OK;
}

/* The place of a key among the sorted, or where it would be. */
static size_t place_of(const qz_state_dict *dict, size_t count, const char *key)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(dict->entries[dict->sorted[middle]].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void take_out(qz_state_dict *dict, size_t count, const char *key)
{
    size_t place = place_of(dict, count, key);
    memmove(dict->sorted + place, dict->sorted + place + 1,
            (count - place - 1) * sizeof(*dict->sorted));
}

static void put_in(qz_state_dict *dict, size_t count, size_t index)
{
    size_t place = place_of(dict, count, dict->entries[index].key);
    memmove(dict->sorted + place + 1, dict->sorted + place,
            (count - place) * sizeof(*dict->sorted));
    dict->sorted[place] = index;
}

qz_status qz_state_dict_create(qz_context *context, qz_state_dict **dict)
{
    if (dict)
        *dict = NULL;
    if (!context || !dict)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_state_dict_create: NULL argument");
    QZI_TRY(qzi_dict_new(context, edited, dict));
    qz_status st = qzi_dict_seal(*dict);
    (*dict)->name = NULL;
    if (st != QZ_OK) {
        qz_state_dict_destroy(*dict);
        *dict = NULL;
    }
    return st;
}

qz_status qz_state_dict_add(qz_state_dict *dict, const char *key, const qz_tensor *tensor)
{
    if (!dict || !key || !tensor)
        return qzi_fail(dict ? dict->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_state_dict_add: NULL argument");
    QZI_TRY(check_new_key(dict, key));
    const int64_t numel = qz_tensor_numel(tensor);
    if (numel < 0 || (numel > 0 && !tensor->data))
        return fail_key(dict, QZ_ERR_ARGUMENT, key, "is no valid tensor, or has no data");
    size_t bytes;
    if ((uint64_t)numel > SIZE_MAX ||
        !qzi_mul_size((size_t)numel, qz_dtype_size(tensor->dtype), &bytes))
        return fail_key(dict, QZ_ERR_ARGUMENT, key, "is too large");
    size_t *sorted = qzi_realloc(dict->ctx, dict->sorted, dict->count * sizeof(*sorted),
                                 (dict->count + 1) * sizeof(*sorted));
    if (!sorted)
        return QZ_ERR_MEMORY;
    dict->sorted = sorted;
    dict->budget = SIZE_MAX; /* the caller's own memory, not a file's claim */
    uint8_t *copy = NULL;
    QZI_TRY(qzi_dict_block(dict, bytes, &copy));
    if (bytes > 0)
        memcpy(copy, tensor->data, bytes);
    qzi_raw_tensor raw = {.dtype = tensor->dtype,
                          .ndim = tensor->ndim,
                          .data = copy,
                          .big_endian = QZI_BIG_ENDIAN == 1};
    memcpy(raw.dims, tensor->dims, sizeof(raw.dims));
    qzi_raw_set_dense(&raw);
    dict->name = edited;
    const size_t count = dict->count;
    qz_status st = qzi_dict_add(dict, key, strlen(key), &raw);
    dict->name = NULL;
    if (st == QZ_OK)
        put_in(dict, count, count);
    return st;
}

qz_status qz_state_dict_remove(qz_state_dict *dict, const char *key)
{
    if (!dict || !key)
        return qzi_fail(dict ? dict->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_state_dict_remove: NULL argument");
    const size_t index = qz_state_dict_index(dict, key);
    if (index == dict->count)
        return fail_key(dict, QZ_ERR_UNKNOWN_NAME, key, "is not in it");
    take_out(dict, dict->count, key);
    dict->count--;
    memmove(dict->entries + index, dict->entries + index + 1,
            (dict->count - index) * sizeof(*dict->entries));
    for (size_t i = 0; i < dict->count; i++)
        dict->sorted[i] -= dict->sorted[i] > index;
    return QZ_OK;
}

qz_status qzi_dict_set_key(qz_state_dict *dict, size_t index, const char *key)
{
    char *copy = qzi_arena_strdup(&dict->arena, key);
    if (!copy)
        return QZ_ERR_MEMORY;
    dict->entries[index].key = copy;
    return QZ_OK;
}

qz_status qz_state_dict_rename(qz_state_dict *dict, const char *from, const char *to)
{
    if (!dict || !from || !to)
        return qzi_fail(dict ? dict->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_state_dict_rename: NULL argument");
    const size_t index = qz_state_dict_index(dict, from);
    if (index == dict->count)
        return fail_key(dict, QZ_ERR_UNKNOWN_NAME, from, "is not in it");
    if (strcmp(from, to) == 0)
        return QZ_OK;
    QZI_TRY(check_new_key(dict, to));
    const char *old = dict->entries[index].key; /* `from` may be another text of the dict's */
    QZI_TRY(qzi_dict_set_key(dict, index, to));
    const char *new = dict->entries[index].key;
    dict->entries[index].key = old;
    take_out(dict, dict->count, old);
    dict->entries[index].key = new;
    put_in(dict, dict->count - 1, index);
    return QZ_OK;
}

qz_status qzi_dict_view(const qz_state_dict *of, qz_state_dict **dict)
{
    qz_state_dict *view = NULL;
    *dict = NULL;
    QZI_TRY(qzi_dict_new(of->ctx, edited, &view));
    view->entries = qzi_calloc(of->ctx, of->count, sizeof(*view->entries));
    view->sorted = qzi_calloc(of->ctx, of->count, sizeof(*view->sorted));
    view->foreign = qzi_calloc(of->ctx, of->foreign_count, sizeof(*view->foreign));
    view->metadata = qzi_calloc(of->ctx, of->metadata_count, sizeof(*view->metadata));
    if (!view->entries || !view->sorted || !view->foreign || !view->metadata) {
        qz_state_dict_destroy(view);
        return QZ_ERR_MEMORY;
    }
    view->name = NULL;
    view->note = of->note;
    view->count = of->count;
    view->foreign_count = of->foreign_count;
    view->metadata_count = of->metadata_count;
    if (of->count > 0) {
        memcpy(view->entries, of->entries, of->count * sizeof(*view->entries));
        memcpy(view->sorted, of->sorted, of->count * sizeof(*view->sorted));
    }
    if (of->foreign_count > 0)
        memcpy(view->foreign, of->foreign, of->foreign_count * sizeof(*view->foreign));
    if (of->metadata_count > 0)
        memcpy(view->metadata, of->metadata, of->metadata_count * sizeof(*view->metadata));
    *dict = view;
    return QZ_OK;
}
