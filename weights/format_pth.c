/* SPDX-License-Identifier: MIT */
/*
 * format_pth.c - the files that torch.save has written since 1.6: a zip archive NAME/ with
 *
 *   NAME/data.pkl    a pickle of the saved object; its tensors name storages
 *   NAME/data/KEY    the bytes of a storage
 *   NAME/byteorder   "little" or "big"; absent before torch 2.1 (little)
 *   NAME/version     and other records that do not matter here
 *
 * Several tensors may share a storage, and a tensor may be any strided view of one.
 */
#include "weights/bytes.h"
#include "weights/format_zip.h"
#include "weights/pickle.h"
#include "weights/state_dict.h"

#include <string.h>

typedef struct pth {
    qz_state_dict *dict;
    qzi_zip zip;
    qzi_zip_entry *pickle;
    size_t prefix_size; /* of "NAME/" */
    bool big_endian;
} pth;

/* Whether the entry is NAME/data.pkl of an archive of any name. */
static bool is_data_pickle(const qzi_zip_entry *entry)
{
    static const char name[] = "/data.pkl";
    const size_t size = sizeof(name) - 1;
    return entry->name_size > size &&
           memcmp(entry->name + entry->name_size - size, name, size) == 0 &&
           memchr(entry->name, '/', entry->name_size - size) == NULL;
}

/* The record NAME/RECORD KEY; NULL when there is none. */
static qz_status find_record(const pth *file, const char *record, qzi_pickle_text key,
                             qzi_zip_entry **entry)
{
    char name[512];
    size_t record_size = strlen(record), size;
    *entry = NULL;
    if (!qzi_add_size(file->prefix_size + record_size, key.size, &size) || size > sizeof(name))
        return qzi_fail(file->dict->ctx, QZ_ERR_FORMAT, "%s: the name of a record is too long",
                        file->dict->name);
    memcpy(name, file->pickle->name, file->prefix_size);
    memcpy(name + file->prefix_size, record, record_size);
    if (key.size > 0)
        memcpy(name + file->prefix_size + record_size, key.data, key.size);
    *entry = qzi_zip_find(&file->zip, name, size);
    return QZ_OK;
}

/* Finds the pickle, and tells apart what only looks like a state dict. */
static qz_status find_pickle(pth *file)
{
    const qz_state_dict *dict = file->dict;
    const qzi_pickle_text none = {"", 0};
    qzi_zip_entry *entry = NULL;
    for (size_t i = 0; i < file->zip.count; i++) {
        if (!is_data_pickle(&file->zip.entries[i]))
            continue;
        if (file->pickle != NULL)
            return qzi_fail(dict->ctx, QZ_ERR_FORMAT, "%s: holds two torch archives in one zip",
                            dict->name);
        file->pickle = &file->zip.entries[i];
    }
    if (file->pickle == NULL)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                        "%s: is a zip archive, but torch.save did not write it (no data.pkl)",
                        dict->name);
    file->prefix_size = file->pickle->name_size - strlen("data.pkl");
    QZI_TRY(find_record(file, "constants.pkl", none, &entry));
    if (entry != NULL)
        return qzi_fail(
            dict->ctx, QZ_ERR_UNSUPPORTED,
            "%s: is a TorchScript archive, which is not read yet; save the state_dict() "
            "of the model that it was made from",
            dict->name);
    QZI_TRY(find_record(file, "byteorder", none, &entry));
    if (entry != NULL) {
        QZI_TRY(qzi_zip_read(&file->zip, entry));
        qzi_pickle_text order = {(const char *)entry->data, entry->size};
        file->big_endian = qzi_pickle_text_is(order, "big");
        if (!file->big_endian && !qzi_pickle_text_is(order, "little"))
            return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                            "%s: its byteorder is neither little nor big; the file is damaged",
                            dict->name);
    }
    return QZ_OK;
}

/* ---- the state dict in the pickle ------------------------------------------------------------ */

/* The first item that is not a named tensor; NULL when all are. */
static qzi_pickle_object *const *first_stranger(const qzi_pickle_object *object)
{
    for (size_t i = 0; i < object->u.seq.count; i += 2) {
        qzi_pickle_object *const *item = &object->u.seq.items[i];
        if (item[0]->kind != QZI_PICKLE_STR || item[1]->kind != QZI_PICKLE_TENSOR)
            return item;
    }
    return NULL;
}

/* The value of `key` where it is a dict (of two, the last, as in Python). */
static const qzi_pickle_object *inner_dict(const qzi_pickle_object *outer, const char *key)
{
    for (size_t i = outer->u.seq.count; i >= 2; i -= 2) {
        qzi_pickle_object *const *item = &outer->u.seq.items[i - 2];
        if (item[0]->kind == QZI_PICKLE_STR && qzi_pickle_text_is(item[0]->u.text, key))
            return item[1]->kind == QZI_PICKLE_DICT ? item[1] : NULL;
    }
    return NULL;
}

/*
 * The dict of tensors: the whole object, or of a checkpoint (epoch, optimizer, …) what stands
 * under the usual names.
 */
static qz_status find_state_dict(const pth *file, const qzi_pickle_object *root,
                                 const qzi_pickle_object **found)
{
    static const char *const wrappers[] = {"state_dict", "model"};
    const qz_state_dict *dict = file->dict;
    const char *inside = "";
    if (root->kind != QZI_PICKLE_DICT)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                        "%s: holds %s instead of a state dict; save model.state_dict()", dict->name,
                        qzi_pickle_kind_name(root->kind));
    qzi_pickle_object *const *stranger = first_stranger(root);
    *found = root;
    for (size_t i = 0; i < QZI_ARRAY_LEN(wrappers) && stranger != NULL; i++) {
        const qzi_pickle_object *inner = inner_dict(root, wrappers[i]);
        if (inner == NULL || inner->u.seq.count == 0)
            continue;
        stranger = first_stranger(inner);
        inside = wrappers[i];
        *found = inner;
    }
    if (stranger == NULL)
        return QZ_OK;
    qzi_pickle_text key = {"", 0};
    if (stranger[0]->kind == QZI_PICKLE_STR)
        key = stranger[0]->u.text;
    return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                    "%s: '%s%s%.*s' is %s, not a tensor; save model.state_dict() alone", dict->name,
                    inside, *inside != '\0' ? "." : "", (int)QZI_MIN(key.size, 128), key.data,
                    qzi_pickle_kind_name(stranger[1]->kind));
}

/* ---- tensors --------------------------------------------------------------------------------- */

static qz_status storage_damaged(const pth *file, qzi_pickle_text key, const char *what)
{
    return qzi_fail(file->dict->ctx, QZ_ERR_FORMAT,
                    "%s: the storage of '%.*s' %s; the file is damaged", file->dict->name,
                    (int)QZI_MIN(key.size, 128), key.data, what);
}

/* Whether every element of the view lies in the storage; true for views without elements. */
static bool view_fits(const qzi_pickle_tensor *tensor)
{
    int64_t room = tensor->storage->numel - tensor->offset; /* both are not negative */
    for (int32_t i = 0; i < tensor->ndim; i++) {
        if (tensor->dims[i] == 0)
            return true;
    }
    if (room <= 0)
        return false;
    room--; /* what the steps along all dimensions may reach together */
    for (int32_t i = 0; i < tensor->ndim; i++) {
        int64_t steps = tensor->dims[i] - 1;
        if (steps > 0 && tensor->strides[i] > room / steps)
            return false;
        room -= steps * tensor->strides[i];
    }
    return true;
}

static qz_status add_tensor(pth *file, qzi_pickle_text key, const qzi_pickle_tensor *tensor)
{
    const qzi_pickle_storage *storage = tensor->storage;
    qzi_zip_entry *entry = NULL;
    if (!view_fits(tensor))
        return storage_damaged(file, key, "is smaller than the tensor");
    QZI_TRY(find_record(file, "data/", storage->key, &entry));
    if (entry == NULL)
        return storage_damaged(file, key, "is missing");
    size_t size = qz_dtype_size(storage->dtype);
    if (entry->size % size != 0 || entry->size / size != (uint64_t)storage->numel)
        return storage_damaged(file, key, "has another size than the tensor says");
    QZI_TRY(qzi_zip_read(&file->zip, entry));
    qzi_raw_tensor raw = {.dtype = storage->dtype,
                          .ndim = tensor->ndim,
                          .data = entry->data,
                          .in_file = entry->method == 0,
                          .big_endian = file->big_endian};
    /* the offset of a view without elements may lie anywhere */
    if ((uint64_t)tensor->offset < (uint64_t)storage->numel)
        raw.data += (size_t)tensor->offset * size;
    memcpy(raw.dims, tensor->dims, sizeof(raw.dims));
    memcpy(raw.strides, tensor->strides, sizeof(raw.strides));
    return qzi_dict_add(file->dict, key.data, key.size, &raw);
}

static qz_status read_pickle(pth *file, qzi_arena *arena)
{
    qz_state_dict *dict = file->dict;
    const qzi_pickle_object *root = NULL, *state = NULL;
    QZI_TRY(qzi_zip_read(&file->zip, file->pickle));
    QZI_TRY(qzi_pickle_read(dict->ctx, dict->name, file->pickle->data, file->pickle->size,
                            &dict->budget, arena, &root));
    QZI_TRY(find_state_dict(file, root, &state));
    for (size_t i = 0; i < state->u.seq.count; i += 2) {
        qzi_pickle_object *const *item = &state->u.seq.items[i];
        QZI_TRY(add_tensor(file, item[0]->u.text, item[1]->u.tensor));
    }
    return QZ_OK;
}

qz_status qzi_read_pth(qz_state_dict *dict)
{
    pth file = {.dict = dict};
    qzi_arena arena;
    qzi_arena_init(&arena, dict->ctx);
    qz_status st = qzi_zip_open(dict, &file.zip);
    if (st == QZ_OK)
        st = find_pickle(&file);
    if (st == QZ_OK)
        st = read_pickle(&file, &arena);
    qzi_arena_free(&arena);
    qzi_zip_close(&file.zip);
    return st;
}
