/* SPDX-License-Identifier: MIT */
/*
 * pickle_object.c - the objects that a pickle makes, charged to its budget, and what is said of a
 * damaged one.
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
