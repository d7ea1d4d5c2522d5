/* SPDX-License-Identifier: MIT */
/*
 * pickle_object.c - the objects that a pickle makes, charged to its budget; questions about them;
 * and what is said of a damaged one.
 */
#include "weights/formats/pickle.h"

#include <string.h>

#define OBJECTS_MAX ((size_t)1 << 22)

qz_status qzi_pickle_damaged(const qzi_pickle_reader *reader, const char *what)
{
    return qzi_fail(reader->ctx, QZ_ERR_FORMAT, "%s: damaged pickle at byte %zu (%s)", reader->path,
                    (size_t)(reader->p - reader->begin), what);
}

qz_status qzi_pickle_alloc(qzi_pickle_reader *reader, size_t size, void *out)
{
    if (size > reader->budget)
        return qzi_pickle_damaged(reader, "asks for far more memory than the file can need");
    reader->budget -= size;
    void *memory = qzi_arena_alloc(reader->arena, size);
    if (!memory)
        return QZ_ERR_MEMORY;
    memcpy(out, &memory, sizeof(memory)); /* out is the address of a pointer of any type */
    return QZ_OK;
}

qz_status qzi_pickle_object_new(qzi_pickle_reader *reader, qzi_pickle_kind kind,
                                qzi_pickle_object **object)
{
    if (reader->objects >= OBJECTS_MAX)
        return qzi_pickle_damaged(reader, "too many objects");
    reader->objects++;
    QZI_TRY(qzi_pickle_alloc(reader, sizeof(**object), object));
    (*object)->kind = kind;
    return QZ_OK;
}

const char *qzi_pickle_kind_name(qzi_pickle_kind kind)
{
    static const char *const names[] = {
        "None",
        "a bool",
        "an int",
        "an int",
        "a float",
        "a str",
        "bytes",
        "a tuple",
        "a list",
        "a dict",
        "a class or function",
        "a storage",
        "a tensor",
        "an object",
    };
    return names[kind];
}

bool qzi_pickle_text_is(qzi_pickle_text text, const char *expected)
{
    return text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

/* ---- questions about objects ---- */

qzi_pickle_object *qzi_pickle_member(const qzi_pickle_object *dict, const char *key)
{
    for (size_t i = dict->u.seq.count; i >= 2; i -= 2) {
        qzi_pickle_object *const *item = &dict->u.seq.items[i - 2];
        if (item[0]->kind == QZI_PICKLE_STR && qzi_pickle_text_is(item[0]->u.text, key))
            return item[1];
    }
    return NULL;
}

qzi_pickle_object *qzi_pickle_as_dict(qzi_pickle_object *object)
{
    if (object->kind == QZI_PICKLE_DICT)
        return object;
    return object->kind == QZI_PICKLE_INSTANCE ? object->u.instance->dict : NULL;
}

bool qzi_pickle_is_module(const qzi_pickle_object *object)
{
    if (object->kind != QZI_PICKLE_INSTANCE)
        return false;
    const qzi_pickle_object *state = object->u.instance->state;
    return state && state->kind == QZI_PICKLE_DICT &&
           (qzi_pickle_member(state, "_parameters") || qzi_pickle_member(state, "_modules"));
}

const qzi_pickle_object *qzi_pickle_item(const qzi_pickle_object *seq, size_t index)
{
    bool is_seq = seq->kind == QZI_PICKLE_TUPLE || seq->kind == QZI_PICKLE_LIST;
    return is_seq && index < seq->u.seq.count ? seq->u.seq.items[index] : NULL;
}

bool qzi_pickle_is_packed(const qzi_pickle_object *object)
{
    const qzi_pickle_object *first = qzi_pickle_item(object, 0);
    const qzi_pickle_object *second = qzi_pickle_item(object, 1);
    if (object->kind != QZI_PICKLE_TUPLE || !first || !second)
        return false;
    if (object->u.seq.count == 2)
        return first->kind == QZI_PICKLE_TENSOR &&
               (second->kind == QZI_PICKLE_TENSOR || second->kind == QZI_PICKLE_NONE);
    return object->u.seq.count == 3 && first->kind == QZI_PICKLE_STR &&
           second->kind == QZI_PICKLE_LIST;
}

bool qzi_pickle_is_tensor(const qzi_pickle_object *value)
{
    return value->kind == QZI_PICKLE_TENSOR || qzi_pickle_is_packed(value) ||
           (value->kind == QZI_PICKLE_INSTANCE && value->u.instance->state &&
            qzi_pickle_is_packed(value->u.instance->state));
}

bool qzi_pickle_belongs(const qzi_pickle_object *key, const qzi_pickle_object *value)
{
    return key->kind == QZI_PICKLE_STR &&
           (qzi_pickle_is_tensor(value) || value->kind == QZI_PICKLE_NONE ||
            (value->kind == QZI_PICKLE_GLOBAL && value->u.global->meaning == QZI_PICKLE_DTYPE));
}

bool qzi_pickle_is_param_key(qzi_pickle_text key)
{
    static const char *const leaves[] = {".weight", ".bias", ".running_mean", ".running_var"};
    for (size_t i = 0; i < QZI_ARRAY_LEN(leaves); i++) {
        size_t size = strlen(leaves[i]);
        if (key.size > size && memcmp(key.data + key.size - size, leaves[i], size) == 0)
            return true;
    }
    return false;
}
