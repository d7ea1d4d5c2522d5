/* SPDX-License-Identifier: MIT */
/*
 * npz.c - numpy's archives: a zip of .npy files, each a tensor by the name of its file. (The
 * formats: numpy.lib.format.) An .npy file is "\x93NUMPY", a version, the length of a header and
 * the header, a Python dict as text: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
 */
#include "weights/bytes.h"
#include "weights/formats/zip.h"
#include "weights/state_dict.h"

#include <string.h>

#define HEADER_MAX 4096

typedef struct npy {
    const qz_state_dict *dict;
    const char *name; /* of the entry */
    size_t name_size;
    const char *p, *end; /* the header */
    bool fortran;
} npy;

static qz_status damaged(const npy *n, const char *what)
{
    return qzi_fail(n->dict->ctx, QZ_ERR_FORMAT, "%s: '%.*s' is a damaged .npy file (%s)",
                    n->dict->name, (int)QZI_MIN(n->name_size, 128), n->name, what);
}

/* ---- the header ---- */

static bool accept(npy *n, const char *text)
{
    size_t size = strlen(text);
    while (n->p < n->end && (*n->p == ' ' || *n->p == '\n'))
        n->p++;
    if ((size_t)(n->end - n->p) < size || memcmp(n->p, text, size) != 0)
        return false;
    n->p += size;
    return true;
}

/* A string in either kind of quotes, without escapes. */
static bool read_string(npy *n, const char **text, size_t *size)
{
    char quote = accept(n, "'") ? '\'' : accept(n, "\"") ? '"' : '\0';
    *text = n->p;
    const char *end = quote != '\0' ? memchr(n->p, quote, (size_t)(n->end - n->p)) : NULL;
    if (!end)
        return false;
    *size = (size_t)(end - n->p);
    n->p = end + 1;
    return true;
}

static qz_status read_descr(npy *n, qzi_raw_tensor *raw)
{
    static const struct {
        char type[3];
        qz_dtype dtype;
    } types[] = {{"f4", QZ_F32}, {"f8", QZ_F64}, {"f2", QZ_F16}, {"i8", QZ_S64}, {"i4", QZ_S32},
                 {"i2", QZ_S16}, {"i1", QZ_S8},  {"u1", QZ_U8},  {"b1", QZ_BOOL}};
    const char *text = NULL;
    size_t size = 0;
    if (!read_string(n, &text, &size))
        return qzi_fail(n->dict->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: '%.*s' is an array of records, which is not read", n->dict->name,
                        (int)QZI_MIN(n->name_size, 128), n->name);
    for (size_t i = 0; size == 3 && i < QZI_ARRAY_LEN(types); i++) {
        if (memcmp(text + 1, types[i].type, 2) == 0 && strchr("<>|", text[0]) && text[0] != '\0') {
            raw->dtype = types[i].dtype;
            raw->big_endian = text[0] == '>';
            return QZ_OK;
        }
    }
    return qzi_fail(n->dict->ctx, QZ_ERR_UNSUPPORTED,
                    "%s: '%.*s' has the type '%.*s', which is not read", n->dict->name,
                    (int)QZI_MIN(n->name_size, 128), n->name, (int)QZI_MIN(size, 32), text);
}

static qz_status read_shape(npy *n, qzi_raw_tensor *raw)
{
    if (!accept(n, "("))
        return damaged(n, "no shape");
    while (!accept(n, ")")) {
        uint64_t dim = 0;
        const char *first = n->p;
        for (; n->p < n->end && *n->p >= '0' && *n->p <= '9'; n->p++) {
            uint64_t digit = (uint64_t)(*n->p - '0');
            if (dim > (INT64_MAX - digit) / 10)
                return damaged(n, "a dimension is too large");
            dim = dim * 10 + digit;
        }
        if (n->p == first)
            return damaged(n, "a dimension is not a natural number");
        if (raw->ndim == QZ_MAX_DIMS)
            return qzi_fail(n->dict->ctx, QZ_ERR_UNSUPPORTED,
                            "%s: '%.*s' has more than %d dimensions", n->dict->name,
                            (int)QZI_MIN(n->name_size, 128), n->name, QZ_MAX_DIMS);
        raw->dims[raw->ndim++] = (int64_t)dim;
        bool comma = accept(n, ",");
        while (n->p < n->end && *n->p == ' ')
            n->p++;
        if (!comma && (n->p == n->end || *n->p != ')'))
            return damaged(n, "bad shape");
    }
    return QZ_OK;
}

static qz_status read_header(npy *n, qzi_raw_tensor *raw)
{
    unsigned seen = 0;
    const char *key = NULL;
    size_t size = 0;
    if (!accept(n, "{"))
        return damaged(n, "no header");
    while (!accept(n, "}")) {
        if (!read_string(n, &key, &size) || !accept(n, ":"))
            return damaged(n, "bad header");
        while (n->p < n->end && *n->p == ' ')
            n->p++;
        unsigned field = 0;
        if (size == 5 && memcmp(key, "descr", 5) == 0) {
            field = 1;
            QZI_TRY(read_descr(n, raw));
        } else if (size == 5 && memcmp(key, "shape", 5) == 0) {
            field = 2;
            if ((seen & field) == 0)
                QZI_TRY(read_shape(n, raw));
        } else if (size == 13 && memcmp(key, "fortran_order", 13) == 0) {
            field = 4;
            n->fortran = accept(n, "True");
            if (!n->fortran && !accept(n, "False"))
                return damaged(n, "bad fortran_order");
        }
        if (field == 0 || (seen & field) != 0)
            return damaged(n, "unknown or repeated field");
        seen |= field;
        if (!accept(n, ",") && (n->p == n->end || *n->p != '}'))
            return damaged(n, "bad header");
    }
    return seen == 7 ? QZ_OK : damaged(n, "a field is missing");
}

/* ---- arrays ---- */

/* Strides of the first dimension fastest. The shape was checked against the bytes. */
static void set_fortran(qzi_raw_tensor *raw)
{
    int64_t stride = 1;
    for (int32_t i = 0; i < raw->ndim; i++) {
        raw->strides[i] = stride;
        stride *= QZI_MAX(raw->dims[i], 1);
    }
}

static qz_status add_array(qz_state_dict *dict, npy *n, const qzi_zip_entry *entry)
{
    const uint8_t *bytes = entry->data;
    qzi_raw_tensor raw = {.in_file = entry->method == 0};
    if (entry->size < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0 || bytes[6] < 1 || bytes[6] > 3)
        return damaged(n, "unknown version");
    size_t begin = bytes[6] == 1 ? 10 : 12;
    size_t header = bytes[6] == 1 ? qzi_le16(bytes + 8) : qzi_le32(bytes + 8);
    if (header > entry->size - begin || header > HEADER_MAX)
        return damaged(n, "header out of bounds");
    n->p = (const char *)bytes + begin;
    n->end = n->p + header;
    QZI_TRY(read_header(n, &raw));
    qz_tensor shape = {.dtype = raw.dtype, .ndim = raw.ndim};
    memcpy(shape.dims, raw.dims, sizeof(shape.dims));
    int64_t count = qz_tensor_numel(&shape);
    size_t room = entry->size - begin - header, size = qz_dtype_size(raw.dtype);
    if (count < 0 || room % size != 0 || room / size != (uint64_t)count)
        return damaged(n, "the shape does not fit its bytes");
    raw.data = bytes + begin + header;
    if (n->fortran && count > 0)
        set_fortran(&raw);
    else
        qzi_raw_set_dense(&raw);
    return qzi_dict_add(dict, n->name, n->name_size - strlen(".npy"), &raw);
}

qz_status qzi_read_npz(const qzi_zip *zip)
{
    qz_state_dict *dict = zip->dict;
    for (size_t i = 0; i < zip->count; i++) {
        qzi_zip_entry *entry = &zip->entries[i];
        npy n = {.dict = dict, .name = entry->name, .name_size = entry->name_size};
        if (entry->name_size <= 4 || memcmp(entry->name + entry->name_size - 4, ".npy", 4) != 0)
            return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                            "%s: is a zip archive of neither torch.save (no data.pkl) nor numpy "
                            "('%.*s' is no .npy)",
                            dict->name, (int)QZI_MIN(entry->name_size, 128), entry->name);
        QZI_TRY(qzi_zip_read(zip, entry));
        QZI_TRY(add_array(dict, &n, entry));
    }
    if (zip->count == 0)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT, "%s: is an empty zip archive (no data.pkl)",
                        dict->name);
    return QZ_OK;
}
