/* SPDX-License-Identifier: MIT */
/*
 * pth_legacy.c - what torch.save wrote before 1.6, and many published files still are: five
 * pickles one after another,
 *
 *   the magic number, the protocol version (1001), {"little_endian": …}, the saved object, and the
 *   list of the storages' keys,
 *
 * then for each key the number of elements (int64, little-endian) and the storage's bytes.
 */
#include "weights/bytes.h"
#include "weights/formats/pickle_dict.h"
#include "weights/state_dict.h"

#include <string.h>

#define PROTOCOL_VERSION 1001

typedef struct legacy_storage {
    const qzi_pickle_storage *storage;
    const uint8_t *data; /* NULL: not among the keys */
} legacy_storage;

typedef struct legacy {
    qzi_storage_source source; /* first, so that the source is the file */
    qz_state_dict *dict;
    size_t at; /* read so far */
    qzi_arena arena;
    legacy_storage *storages;
    size_t count;
    size_t *by_key;
} legacy;

static qz_status damaged(const qz_state_dict *dict, const char *what)
{
    return qzi_fail(dict->ctx, QZ_ERR_FORMAT, "%s: damaged legacy .pth (%s); download it again",
                    dict->name, what);
}

static qz_status next_pickle(legacy *file, qzi_pickle *pickle)
{
    qz_state_dict *dict = file->dict;
    QZI_TRY(qzi_pickle_read(dict->ctx, dict->name, dict->bytes + file->at, dict->size - file->at,
                            &dict->budget, &file->arena, pickle));
    file->at += pickle->used;
    return QZ_OK;
}

/* ---- storages ---- */

static int compare_keys(qzi_pickle_text a, qzi_pickle_text b)
{
    size_t size = QZI_MIN(a.size, b.size);
    int order = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static bool key_before(const void *arg, size_t a, size_t b)
{
    const legacy_storage *all = arg;
    return compare_keys(all[a].storage->key, all[b].storage->key) < 0;
}

/* A place in by_key with that key, the first of several; count when there is none. */
static size_t find_key(const legacy *file, qzi_pickle_text key)
{
    size_t low = 0, high = file->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(file->storages[file->by_key[middle]].storage->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found =
        low < file->count && compare_keys(file->storages[file->by_key[low]].storage->key, key) == 0;
    return found ? low : file->count;
}

/* All that the object's tensors name, in order of their keys. */
static qz_status collect(legacy *file, const qzi_pickle_storage *last)
{
    qz_state_dict *dict = file->dict;
    size_t count = 0;
    for (const qzi_pickle_storage *s = last; s; s = s->before)
        count++;
    QZI_TRY(qzi_dict_charge(dict, count * (sizeof(*file->storages) + sizeof(*file->by_key))));
    file->storages = qzi_calloc(dict->ctx, count, sizeof(*file->storages));
    file->by_key = qzi_calloc(dict->ctx, count, sizeof(*file->by_key));
    if (!file->storages || !file->by_key)
        return QZ_ERR_MEMORY;
    for (const qzi_pickle_storage *s = last; s; s = s->before)
        file->storages[file->count++].storage = s;
    qzi_sort_indices(file->by_key, count, key_before, file->storages);
    return QZ_OK;
}

/* The storage that comes next in the file, for all that name it. */
static qz_status read_storage(legacy *file, qzi_pickle_text key)
{
    const qz_state_dict *dict = file->dict;
    size_t place = find_key(file, key);
    if (place == file->count)
        return damaged(dict, "it has a storage of no tensor");
    if (file->storages[file->by_key[place]].data)
        return damaged(dict, "it has a storage twice");
    size_t left = dict->size - file->at;
    if (left < 8)
        return damaged(dict, "truncated");
    uint64_t numel = qzi_le64(dict->bytes + file->at);
    file->at += 8;
    left -= 8;
    const qzi_pickle_name *type = file->storages[file->by_key[place]].storage->type;
    const size_t size = type->unit;
    if (size == 0)
        return qzi_fail(dict->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: tensors of type 'torch.%.*s' are not read", dict->name,
                        (int)QZI_MIN(type->name.size, 128), type->name.data);
    if (numel > left / size)
        return damaged(dict, "truncated");
    for (size_t i = place; i < file->count; i++) {
        legacy_storage *entry = &file->storages[file->by_key[i]];
        if (compare_keys(entry->storage->key, key) != 0)
            break;
        if ((uint64_t)entry->storage->numel != numel || entry->storage->type->unit != size)
            return damaged(dict, "a storage has another size than its tensor says");
        entry->data = dict->bytes + file->at;
    }
    file->at += (size_t)numel * size;
    return QZ_OK;
}

static qz_status find_storage(const qzi_storage_source *source, qzi_pickle_text key,
                              const qzi_pickle_storage *storage, const uint8_t **data,
                              bool *in_file)
{
    const legacy *file = (const legacy *)source;
    size_t place = find_key(file, storage->key);
    if (place == file->count || !file->storages[file->by_key[place]].data)
        return qzi_storage_damaged(source, key, "is missing");
    *data = file->storages[file->by_key[place]].data;
    *in_file = true;
    return QZ_OK;
}

/* ---- the file ---- */

/* The two pickles after the magic number. */
static qz_status read_head(legacy *file)
{
    const qz_state_dict *dict = file->dict;
    qzi_pickle pickle = {0};
    QZI_TRY(next_pickle(file, &pickle)); /* by which the format was recognized */
    QZI_TRY(next_pickle(file, &pickle));
    if (pickle.root->kind != QZI_PICKLE_INT || pickle.root->u.integer != PROTOCOL_VERSION)
        return damaged(dict, "unknown version");
    QZI_TRY(next_pickle(file, &pickle));
    if (pickle.root->kind != QZI_PICKLE_DICT)
        return damaged(dict, "it does not contain its byte order");
    for (size_t i = 0; i < pickle.root->u.seq.count; i += 2) {
        qzi_pickle_object *const *item = &pickle.root->u.seq.items[i];
        if (item[0]->kind == QZI_PICKLE_STR &&
            qzi_pickle_text_is(item[0]->u.text, "little_endian") &&
            item[1]->kind == QZI_PICKLE_BOOL)
            file->source.big_endian = item[1]->u.integer == 0;
    }
    return QZ_OK;
}

static qz_status read_all(legacy *file)
{
    const qz_state_dict *dict = file->dict;
    qzi_pickle object = {0}, keys = {0};
    QZI_TRY(read_head(file));
    QZI_TRY(next_pickle(file, &object));
    if (!object.storages) /* no tensors: it is refused for what it is, or it is an empty dict */
        QZI_TRY(qzi_pickle_to_dict(&file->source, object.root));
    QZI_TRY(collect(file, object.storages));
    QZI_TRY(next_pickle(file, &keys));
    if (keys.root->kind != QZI_PICKLE_LIST)
        return damaged(dict, "no list of storages");
    for (size_t i = 0; i < keys.root->u.seq.count; i++) {
        const qzi_pickle_object *key = keys.root->u.seq.items[i];
        if (key->kind != QZI_PICKLE_STR)
            return damaged(dict, "a storage whose key is not a str");
        QZI_TRY(read_storage(file, key->u.text));
    }
    if (file->at != dict->size)
        return damaged(dict, "something after its end");
    return object.storages ? qzi_pickle_to_dict(&file->source, object.root) : QZ_OK;
}

qz_status qzi_read_legacy_pth(qz_state_dict *dict)
{
    legacy file = {.source = {.dict = dict, .find = find_storage}, .dict = dict};
    qzi_arena_init(&file.arena, dict->ctx);
    qz_status st = read_all(&file);
    qzi_free(dict->ctx, file.storages);
    qzi_free(dict->ctx, file.by_key);
    qzi_arena_free(&file.arena);
    return st;
}
