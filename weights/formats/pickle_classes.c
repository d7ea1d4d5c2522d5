/* SPDX-License-Identifier: MIT */
/*
 * pickle_classes.c - names of classes that a checkpoint keeps beside its weights: `classes`,
 * `class_names` (a list, or a dict of indices), torchvision's `class_to_idx` or its inverse
 * `idx_to_class`; of a module also
 * ultralytics' `names`. They become the metadata string "classes": one a line, in the order of the
 * indices.
 */
#include "weights/bytes.h"
#include "weights/formats/pickle_find.h"

#include <string.h>

#define CLASSES_MAX 100000

static bool index_of(const qzi_pickle_object *object, size_t count, size_t *index)
{
    int64_t value = -1;
    if (object->kind == QZI_PICKLE_INT) {
        value = object->u.integer;
    } else if (object->kind == QZI_PICKLE_STR && object->u.text.size > 0 &&
               object->u.text.size < 10) {
        value = 0;
        for (size_t i = 0; i < object->u.text.size && value >= 0; i++) {
            char c = object->u.text.data[i];
            value = c >= '0' && c <= '9' ? 10 * value + (c - '0') : -1;
        }
    }
    *index = (size_t)value;
    return value >= 0 && (uint64_t)value < count;
}

/* The names of a list, or of a dict {name: index} or {index: name}; false: it is none of these. */
static bool gather(const qzi_pickle_object *value, const qzi_pickle_object **names, size_t count)
{
    if (value->kind != QZI_PICKLE_DICT) {
        for (size_t i = 0; i < count; i++)
            names[i] = value->u.seq.items[i];
    } else {
        for (size_t i = 0; i < count; i++) {
            const qzi_pickle_object *key = value->u.seq.items[2 * i];
            const qzi_pickle_object *item = value->u.seq.items[2 * i + 1];
            bool by_name = item->kind == QZI_PICKLE_INT;
            size_t index;
            if (!index_of(by_name ? item : key, count, &index) || names[index])
                return false;
            names[index] = by_name ? key : item;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (!names[i] || names[i]->kind != QZI_PICKLE_STR ||
            !qzi_utf8_valid(names[i]->u.text.data, names[i]->u.text.size) ||
            memchr(names[i]->u.text.data, '\n', names[i]->u.text.size))
            return false;
    return true;
}

static qz_status keep(qz_state_dict *dict, const qzi_pickle_object *const *names, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += names[i]->u.text.size + 1;
    QZI_TRY(qzi_dict_charge(dict, size));
    char *text = qzi_arena_alloc(&dict->arena, size);
    if (!text)
        return QZ_ERR_MEMORY;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const qzi_pickle_text name = names[i]->u.text;
        if (name.size > 0)
            memcpy(text + at, name.data, name.size);
        at += name.size;
        text[at++] = i + 1 < count ? '\n' : '\0';
    }
    return qzi_dict_add_metadata(dict, QZ_METADATA_CLASSES, text);
}

static qz_status take(qz_state_dict *dict, const qzi_pickle_object *value)
{
    const bool is_dict = value->kind == QZI_PICKLE_DICT;
    if (!is_dict && value->kind != QZI_PICKLE_LIST && value->kind != QZI_PICKLE_TUPLE)
        return QZ_OK;
    const size_t count = value->u.seq.count / (is_dict ? 2 : 1);
    if (count == 0 || count > CLASSES_MAX)
        return QZ_OK;
    const qzi_pickle_object **names =
        qzi_calloc(dict->ctx, count, sizeof(const qzi_pickle_object *));
    if (!names)
        return QZ_ERR_MEMORY;
    qz_status st = gather(value, names, count) ? keep(dict, names, count) : QZ_OK;
    qzi_free(dict->ctx, names);
    return st;
}

qz_status qzi_pickle_take_classes(qz_state_dict *dict, const qzi_pickle_object *items, bool module)
{
    static const char *const words[] = {"classes", "class_names", "class_to_idx", "idx_to_class",
                                        "names"};
    for (size_t i = 0; i < QZI_ARRAY_LEN(words) - !module; i++) {
        qzi_pickle_object *value = qzi_pickle_member(items, words[i]);
        if (qz_state_dict_metadata(dict, QZ_METADATA_CLASSES))
            return QZ_OK;
        if (value && value->kind == QZI_PICKLE_INSTANCE && qzi_pickle_as_dict(value))
            value = qzi_pickle_as_dict(value);
        if (value)
            QZI_TRY(take(dict, value));
    }
    return QZ_OK;
}
