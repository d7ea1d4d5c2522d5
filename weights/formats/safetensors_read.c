/* SPDX-License-Identifier: MIT */
/*
 * safetensors_read.c - reader of the safetensors format: an 8-byte little-endian length, a JSON
 * header {"name": {"dtype", "shape", "data_offsets"}, …, "__metadata__": {"key": "value"}}, and
 * the tensors' bytes one after another without gaps.
 *
 * The header's JSON is read by the strict subset below and not by a JSON library: inference with
 * all optional features off links nothing but libc, libm and pthreadpool, and saved int8 models are
 * safetensors files. Nesting is fixed by the format, so nothing recurses.
 */
#include "weights/bytes.h"
#include "weights/state_dict.h"

#include <string.h>

typedef struct reader {
    qz_state_dict *dict;
    const uint8_t *begin, *p, *end;
    char *text; /* the last string read, decoded; room for the whole header */
    size_t text_size;
    struct record {
        const char *key;
        size_t key_size;
        uint64_t begin, end;
        qzi_raw_tensor raw;
    } * records;
    size_t count, capacity;
} reader;

static const struct {
    const char *name;
    qz_dtype dtype;
} dtypes[] = {
    {"F32", QZ_F32}, {"U8", QZ_U8},     {"I8", QZ_S8},   {"I32", QZ_S32}, {"I64", QZ_S64},
    {"F16", QZ_F16}, {"BF16", QZ_BF16}, {"F64", QZ_F64}, {"I16", QZ_S16}, {"BOOL", QZ_BOOL},
};

const char *qzi_safetensors_dtype_name(qz_dtype dtype)
{
    for (size_t i = 0; i < QZI_ARRAY_LEN(dtypes); i++) {
        if (dtypes[i].dtype == dtype)
            return dtypes[i].name;
    }
    return NULL;
}

bool qzi_safetensors_dtype_parse(const char *name, qz_dtype *dtype)
{
    for (size_t i = 0; i < QZI_ARRAY_LEN(dtypes); i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            *dtype = dtypes[i].dtype;
            return true;
        }
    }
    return false;
}

/* ---- JSON ---- */

static qz_status damaged(const reader *r, const char *what)
{
    return qzi_fail(r->dict->ctx, QZ_ERR_FORMAT, "%s: damaged header at byte %zu (%s)",
                    r->dict->name, (size_t)(r->p - r->dict->bytes), what);
}

static void skip_space(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

/* Takes `c`, after white space, if it comes next. */
static bool accept(reader *r, char c)
{
    skip_space(r);
    if (r->p == r->end || *r->p != (uint8_t)c)
        return false;
    r->p++;
    return true;
}

static qz_status expect(reader *r, char c)
{
    char what[] = "'?' expected";
    what[1] = c;
    return accept(r, c) ? QZ_OK : damaged(r, what);
}

static bool read_hex4(reader *r, uint32_t *value)
{
    *value = 0;
    if (r->end - r->p < 4)
        return false;
    for (int i = 0; i < 4; i++, r->p++) {
        uint32_t c = *r->p, lower = c | 0x20;
        if (c >= '0' && c <= '9')
            *value = *value << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *value = *value << 4 | (lower - 'a' + 10);
        else
            return false;
    }
    return true;
}

static void put_utf8(reader *r, uint32_t code)
{
    char *out = r->text + r->text_size;
    if (code < 0x80) {
        out[0] = (char)code;
        r->text_size += 1;
    } else if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        r->text_size += 2;
    } else if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        r->text_size += 3;
    } else {
        out[0] = (char)(0xF0 | code >> 18);
        out[1] = (char)(0x80 | (code >> 12 & 0x3F));
        out[2] = (char)(0x80 | (code >> 6 & 0x3F));
        out[3] = (char)(0x80 | (code & 0x3F));
        r->text_size += 4;
    }
}

/* \uXXXX, the backslash and u taken; two of them for what lies beyond the basic plane. */
static bool read_unicode_escape(reader *r)
{
    uint32_t code = 0, low = 0;
    if (!read_hex4(r, &code) || code == 0 || (code >= 0xDC00 && code <= 0xDFFF))
        return false;
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
            return false;
        r->p += 2;
        if (!read_hex4(r, &low) || low < 0xDC00 || low > 0xDFFF)
            return false;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    put_utf8(r, code);
    return true;
}

static bool read_escape(reader *r)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (r->p == r->end)
        return false;
    uint8_t c = *r->p++;
    if (c == 'u')
        return read_unicode_escape(r);
    const char *found = c != 0 ? strchr(from, c) : NULL;
    if (!found)
        return false;
    r->text[r->text_size++] = to[found - from];
    return true;
}

/* A string, into r->text; decoding never makes it longer. */
static qz_status read_string(reader *r)
{
    QZI_TRY(expect(r, '"'));
    r->text_size = 0;
    for (;;) {
        if (r->p == r->end)
            return damaged(r, "string without an end");
        uint8_t c = *r->p++;
        if (c == '"')
            break;
        if (c < 0x20)
            return damaged(r, "control character in a string");
        if (c != '\\')
            r->text[r->text_size++] = (char)c;
        else if (!read_escape(r))
            return damaged(r, "bad escape");
    }
    if (!qzi_utf8_valid(r->text, r->text_size))
        return damaged(r, "not UTF-8");
    r->text[r->text_size] = '\0';
    return QZ_OK;
}

/* The same, kept as long as the dict. */
static qz_status keep_string(reader *r, const char **kept)
{
    QZI_TRY(qzi_dict_charge(r->dict, r->text_size + 1));
    char *copy = qzi_arena_alloc(&r->dict->arena, r->text_size + 1);
    if (!copy)
        return QZ_ERR_MEMORY;
    memcpy(copy, r->text, r->text_size + 1);
    *kept = copy;
    return QZ_OK;
}

/* A natural number below 2^63. */
static qz_status read_natural(reader *r, uint64_t *number)
{
    skip_space(r);
    const uint8_t *first = r->p;
    *number = 0;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
        uint64_t digit = *r->p - (uint64_t)'0';
        if (*number > (INT64_MAX - digit) / 10)
            return damaged(r, "number too large");
        *number = *number * 10 + digit;
    }
    if (r->p == first || (*first == '0' && r->p - first > 1))
        return damaged(r, "natural number expected");
    return QZ_OK;
}

/* ---- the header ---- */

static qz_status read_dtype(reader *r, struct record *record)
{
    static const char *const others[] = {"U16", "U32", "U64", "F8_E4M3", "F8_E5M2", "C64", "F4"};
    QZI_TRY(read_string(r));
    if (qzi_safetensors_dtype_parse(r->text, &record->raw.dtype))
        return QZ_OK;
    qz_status st = QZ_ERR_FORMAT;
    for (size_t i = 0; i < QZI_ARRAY_LEN(others); i++) {
        if (strcmp(others[i], r->text) == 0)
            st = QZ_ERR_UNSUPPORTED;
    }
    return qzi_fail(r->dict->ctx, st, "%s: '%.200s' has the dtype '%.20s', which is not read",
                    r->dict->name, record->key, r->text);
}

static qz_status read_shape(reader *r, struct record *record)
{
    qzi_raw_tensor *raw = &record->raw;
    uint64_t dim = 0;
    QZI_TRY(expect(r, '['));
    if (accept(r, ']'))
        return QZ_OK;
    do {
        if (raw->ndim == QZ_MAX_DIMS)
            return qzi_fail(r->dict->ctx, QZ_ERR_UNSUPPORTED,
                            "%s: '%.200s' has more than %d dimensions", r->dict->name, record->key,
                            QZ_MAX_DIMS);
        QZI_TRY(read_natural(r, &dim));
        raw->dims[raw->ndim++] = (int64_t)dim;
    } while (accept(r, ','));
    return expect(r, ']');
}

static qz_status read_offsets(reader *r, struct record *record)
{
    QZI_TRY(expect(r, '['));
    QZI_TRY(read_natural(r, &record->begin));
    QZI_TRY(expect(r, ','));
    QZI_TRY(read_natural(r, &record->end));
    return expect(r, ']');
}

/* The object that describes a tensor: each of three fields once, in any order. */
static qz_status read_record(reader *r, struct record *record)
{
    static const struct {
        const char *name;
        qz_status (*read)(reader *r, struct record *record);
    } fields[] = {{"dtype", read_dtype}, {"shape", read_shape}, {"data_offsets", read_offsets}};
    unsigned seen = 0;
    QZI_TRY(expect(r, '{'));
    do {
        QZI_TRY(read_string(r));
        QZI_TRY(expect(r, ':'));
        size_t i = 0;
        while (i < QZI_ARRAY_LEN(fields) && strcmp(fields[i].name, r->text) != 0)
            i++;
        if (i == QZI_ARRAY_LEN(fields) || (seen & 1U << i) != 0)
            return damaged(r, "unknown or repeated field of a tensor");
        seen |= 1U << i;
        QZI_TRY(fields[i].read(r, record));
    } while (accept(r, ','));
    QZI_TRY(expect(r, '}'));
    return seen == 7 ? QZ_OK : damaged(r, "a tensor without dtype, shape or data_offsets");
}

static qz_status read_metadata(reader *r)
{
    const char *key = NULL, *value = NULL;
    QZI_TRY(expect(r, '{'));
    if (accept(r, '}'))
        return QZ_OK;
    do {
        QZI_TRY(read_string(r));
        QZI_TRY(keep_string(r, &key));
        QZI_TRY(expect(r, ':'));
        QZI_TRY(read_string(r));
        QZI_TRY(keep_string(r, &value));
        QZI_TRY(qzi_dict_add_metadata(r->dict, key, value));
    } while (accept(r, ','));
    return expect(r, '}');
}

static qz_status read_member(reader *r, bool *had_metadata)
{
    QZI_TRY(read_string(r));
    if (strcmp(r->text, "__metadata__") == 0) {
        if (*had_metadata)
            return damaged(r, "__metadata__ occurs twice");
        *had_metadata = true;
        QZI_TRY(expect(r, ':'));
        return read_metadata(r);
    }
    QZI_TRY(qzi_dict_charge(r->dict, sizeof(*r->records)));
    QZI_TRY(qzi_grow(r->dict->ctx, &r->records, &r->capacity, r->count, sizeof(*r->records)));
    struct record *record = &r->records[r->count++];
    *record = (struct record){.key_size = r->text_size};
    QZI_TRY(keep_string(r, &record->key));
    QZI_TRY(expect(r, ':'));
    return read_record(r, record);
}

static qz_status read_header(reader *r)
{
    bool had_metadata = false;
    QZI_TRY(expect(r, '{'));
    if (!accept(r, '}')) {
        do
            QZI_TRY(read_member(r, &had_metadata));
        while (accept(r, ','));
        QZI_TRY(expect(r, '}'));
    }
    skip_space(r);
    return r->p == r->end ? QZ_OK : damaged(r, "something after the header's end");
}

/* ---- tensors ---- */

static bool record_before(const void *arg, size_t a, size_t b)
{
    const struct record *x = (const struct record *)arg + a, *y = (const struct record *)arg + b;
    return x->begin != y->begin ? x->begin < y->begin : x->end < y->end;
}

/* Tensors fill the rest of the file without gaps and without sharing a byte. */
static qz_status check_layout(const reader *r, size_t data_size)
{
    const qz_state_dict *dict = r->dict;
    size_t *order = qzi_calloc(dict->ctx, r->count, sizeof(*order));
    uint64_t at = 0;
    const char *wrong = NULL;
    if (!order)
        return QZ_ERR_MEMORY;
    qzi_sort_indices(order, r->count, record_before, r->records);
    for (size_t i = 0; i < r->count && !wrong; i++) {
        const struct record *record = &r->records[order[i]];
        if (record->begin != at || record->end < at || record->end > data_size)
            wrong = record->key;
        at = record->end;
    }
    qzi_free(dict->ctx, order);
    if (wrong)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                        "%s: the bytes of '%.200s' overlap others, leave a gap or lie outside the "
                        "file; it is damaged",
                        dict->name, wrong);
    if (at != data_size)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                        "%s: is longer than its tensors; the file is damaged", dict->name);
    return QZ_OK;
}

static qz_status add_record(reader *r, struct record *record, const uint8_t *data)
{
    qzi_raw_tensor *raw = &record->raw;
    qz_tensor shape = {.dtype = raw->dtype, .ndim = raw->ndim};
    memcpy(shape.dims, raw->dims, sizeof(shape.dims));
    int64_t count = qz_tensor_numel(&shape);
    uint64_t bytes = record->end - record->begin;
    size_t size = qz_dtype_size(raw->dtype);
    if (count < 0 || bytes % size != 0 || bytes / size != (uint64_t)count)
        return qzi_fail(
            r->dict->ctx, QZ_ERR_FORMAT,
            "%s: the shape of '%.200s' does not fit its %llu bytes; the file is damaged",
            r->dict->name, record->key, (unsigned long long)bytes);
    qzi_raw_set_dense(raw);
    raw->data = data + record->begin;
    raw->in_file = true;
    return qzi_dict_add(r->dict, record->key, record->key_size, raw);
}

static qz_status read_all(reader *r)
{
    size_t header = (size_t)(r->end - r->begin), data_size = r->dict->size - 8 - header;
    QZI_TRY(qzi_dict_charge(r->dict, header + 1));
    r->text = qzi_alloc(r->dict->ctx, header + 1);
    if (!r->text)
        return QZ_ERR_MEMORY;
    QZI_TRY(read_header(r));
    QZI_TRY(check_layout(r, data_size));
    for (size_t i = 0; i < r->count; i++)
        QZI_TRY(add_record(r, &r->records[i], r->end));
    return QZ_OK;
}

qz_status qzi_read_safetensors(qz_state_dict *dict)
{
    uint64_t header = qzi_le64(dict->bytes);
    if (header > dict->size - 8 || header > QZI_SAFETENSORS_HEADER_MAX)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                        "%s: is truncated or damaged: its header claims %llu bytes of a file of "
                        "%zu",
                        dict->name, (unsigned long long)header, dict->size);
    reader r = {.dict = dict, .begin = dict->bytes + 8, .p = dict->bytes + 8};
    r.end = r.begin + header;
    qz_status st = read_all(&r);
    qzi_free(dict->ctx, r.text);
    qzi_free(dict->ctx, r.records);
    return st;
}
