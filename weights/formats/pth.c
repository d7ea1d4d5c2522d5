/* SPDX-License-Identifier: MIT */
/*
 * pth.c - zip archives of tensors: those that torch.save has written since 1.6, TorchScript
 * archives, and numpy's .npz (npz.c). In torch's,
 *
 *   NAME/data.pkl    is a pickle of the saved object; its tensors name storages
 *   NAME/data/KEY    the bytes of a storage
 *   NAME/byteorder   "little" or "big"; absent before torch 2.1 (little)
 *   NAME/code/       of TorchScript: the text of its classes, of which that of the root module is
 *                    kept (an int8 model's scales are numbers in it); it is text, and never run
 *   NAME/version     and other records (TorchScript: constants) do not matter here
 *
 * Several tensors may share a storage, and a tensor may be any strided view of one.
 */
#include "weights/bytes.h"
#include "weights/formats/pickle_dict.h"
#include "weights/formats/zip.h"
#include "weights/state_dict.h"

#include <string.h>

typedef struct pth {
    qzi_storage_source source; /* first, so that the source is the file */
    qz_state_dict *dict;
    qzi_zip zip;
    qzi_zip_entry *pickle;
    size_t prefix_size; /* of "NAME/" */
} pth;

/* Whether the entry is NAME/data.pkl of an archive of any name. */
static bool is_data_pickle(const qzi_zip_entry *entry)
{
    static const char name[] = "/data.pkl";
    const size_t size = sizeof(name) - 1;
    return entry->name_size > size &&
           memcmp(entry->name + entry->name_size - size, name, size) == 0 &&
           !memchr(entry->name, '/', entry->name_size - size);
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

/* Finds the pickle. Its presence marks torch's archives. */
static qz_status find_pickle(pth *file)
{
    for (size_t i = 0; i < file->zip.count; i++) {
        if (!is_data_pickle(&file->zip.entries[i]))
            continue;
        if (file->pickle)
            return qzi_fail(file->dict->ctx, QZ_ERR_FORMAT,
                            "%s: holds two torch archives in one zip", file->dict->name);
        file->pickle = &file->zip.entries[i];
    }
    return QZ_OK;
}

static qz_status read_byte_order(pth *file)
{
    const qz_state_dict *dict = file->dict;
    const qzi_pickle_text none = {"", 0};
    qzi_zip_entry *entry = NULL;
    QZI_TRY(find_record(file, "byteorder", none, &entry));
    if (!entry)
        return QZ_OK;
    QZI_TRY(qzi_zip_read(&file->zip, entry));
    qzi_pickle_text order = {(const char *)entry->data, entry->size};
    file->source.big_endian = qzi_pickle_text_is(order, "big");
    if (!file->source.big_endian && !qzi_pickle_text_is(order, "little"))
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                        "%s: its byteorder is neither little nor big; the file is damaged",
                        dict->name);
    return QZ_OK;
}

static qz_status find_storage(const qzi_storage_source *source, qzi_pickle_text key,
                              const qzi_pickle_storage *storage, const uint8_t **data,
                              bool *in_file)
{
    const pth *file = (const pth *)source;
    qzi_zip_entry *entry = NULL;
    QZI_TRY(find_record(file, "data/", storage->key, &entry));
    if (!entry)
        return qzi_storage_damaged(source, key, "is missing");
    size_t size = storage->type->unit;
    if (entry->size % size != 0 || entry->size / size != (uint64_t)storage->numel)
        return qzi_storage_damaged(source, key, "has another size than the tensor says");
    QZI_TRY(qzi_zip_read(&file->zip, entry));
    *data = entry->data;
    *in_file = entry->method == 0;
    return QZ_OK;
}

/* Class __torch__.a.b.C is in NAME/code/__torch__/a/b.py. */
static qz_status keep_code(const pth *file, const qzi_pickle_object *root)
{
    static const char begin[] = "__torch__.";
    qz_state_dict *dict = file->dict;
    char path[400];
    qzi_zip_entry *entry = NULL;
    if (root->kind != QZI_PICKLE_INSTANCE)
        return QZ_OK;
    const qzi_pickle_text module = root->u.instance->type->module;
    if (module.size < sizeof(begin) || module.size > sizeof(path) - 4 ||
        memcmp(module.data, begin, sizeof(begin) - 1) != 0)
        return QZ_OK;
    for (size_t i = 0; i < module.size; i++)
        path[i] = module.data[i] == '.' ? '/' : module.data[i];
    memcpy(path + module.size, ".py", 3);
    QZI_TRY(find_record(file, "code/", (qzi_pickle_text){path, module.size + 3}, &entry));
    if (!entry)
        return QZ_OK;
    QZI_TRY(qzi_zip_read(&file->zip, entry));
    if (entry->size > 0 && memchr(entry->data, '\0', entry->size))
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT, "%s: its code holds NUL; the file is damaged",
                        dict->name);
    QZI_TRY(qzi_dict_charge(dict, entry->size + 1));
    char *text = qzi_arena_alloc(&dict->arena, entry->size + 1);
    if (!text)
        return QZ_ERR_MEMORY;
    if (entry->size > 0)
        memcpy(text, entry->data, entry->size);
    return qzi_dict_add_metadata(dict, QZ_METADATA_TORCHSCRIPT, text);
}

static qz_status read_torch(pth *file, qzi_arena *arena)
{
    qz_state_dict *dict = file->dict;
    qzi_pickle pickle = {0};
    file->prefix_size = file->pickle->name_size - strlen("data.pkl");
    file->source = (qzi_storage_source){.dict = dict, .find = find_storage};
    QZI_TRY(read_byte_order(file));
    QZI_TRY(qzi_zip_read(&file->zip, file->pickle));
    QZI_TRY(qzi_pickle_read(dict->ctx, dict->name, file->pickle->data, file->pickle->size,
                            &dict->budget, arena, &pickle));
    QZI_TRY(qzi_pickle_to_dict(&file->source, pickle.root));
    return keep_code(file, pickle.root);
}

qz_status qzi_read_zip(qz_state_dict *dict)
{
    pth file = {.dict = dict};
    qzi_arena arena;
    qzi_arena_init(&arena, dict->ctx);
    qz_status st = qzi_zip_open(dict, &file.zip);
    if (st == QZ_OK)
        st = find_pickle(&file);
    if (st == QZ_OK && file.pickle)
        st = read_torch(&file, &arena);
    else if (st == QZ_OK && (st = qzi_dict_check_flat(dict)) == QZ_OK)
        st = qzi_read_npz(&file.zip);
    qzi_arena_free(&arena);
    qzi_zip_close(&file.zip);
    return st;
}
