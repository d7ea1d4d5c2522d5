/* SPDX-License-Identifier: MIT */
/*
 * npz.c - numpy's archives: a zip of .npy files, each a tensor by the name of its file. (The
 * formats: numpy.lib.format.) An .npy file is "\x93NUMPY", a version, the length of a header and
 * the header, a Python dict as text: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
 */
#include "weights/bytes.h"
#include "weights/formats/npy_header.h"
#include "weights/formats/zip.h"
#include "weights/state_dict.h"

#include <string.h>

typedef struct npy {
    const qz_state_dict *dict;
    const char *name; /* of the entry */
    size_t name_size;
} npy;

static qz_status damaged(const npy *n, const char *what)
{
    return qzi_fail(n->dict->ctx, QZ_ERR_FORMAT, "%s: '%.*s' is a damaged .npy file (%s)",
                    n->dict->name, (int)QZI_MIN(n->name_size, 128), n->name, what);
}

/* "<f4" and similar; byte orders are in the first character. */
static qz_status read_type(const npy *n, const char *descr, qzi_raw_tensor *raw)
{
    static const struct {
        char type[3];
        qz_dtype dtype;
    } types[] = {{"f4", QZ_F32}, {"f8", QZ_F64}, {"f2", QZ_F16}, {"i8", QZ_S64}, {"i4", QZ_S32},
                 {"i2", QZ_S16}, {"i1", QZ_S8},  {"u1", QZ_U8},  {"b1", QZ_BOOL}};
    for (size_t i = 0; i < QZI_ARRAY_LEN(types); i++) {
        if (strchr("<>|", descr[0]) && strcmp(descr + 1, types[i].type) == 0) {
            raw->dtype = types[i].dtype;
            raw->big_endian = descr[0] == '>';
            return QZ_OK;
        }
    }
    return qzi_fail(n->dict->ctx, QZ_ERR_UNSUPPORTED,
                    "%s: '%.*s' has the type '%s', which is not read", n->dict->name,
                    (int)QZI_MIN(n->name_size, 128), n->name, descr);
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

static qz_status add_array(qz_state_dict *dict, const npy *n, const qzi_zip_entry *entry)
{
    const uint8_t *bytes = entry->data;
    qzi_raw_tensor raw = {.in_file = entry->method == 0};
    if (entry->size < 12 || memcmp(bytes, QZI_NPY_MAGIC, QZI_NPY_MAGIC_BYTES) != 0 ||
        bytes[6] < 1 || bytes[6] > 3)
        return damaged(n, "unknown version");
    size_t begin = bytes[6] == 1 ? 10 : 12;
    size_t header = bytes[6] == 1 ? qzi_le16(bytes + 8) : qzi_le32(bytes + 8);
    if (header > entry->size - begin || header > QZI_NPY_HEADER_MAX)
        return damaged(n, "header out of bounds");
    const char *what = NULL;
    qzi_npy_header h;
    qz_status st = qzi_npy_header_parse((const char *)bytes + begin, header, &h, &what);
    if (st == QZ_ERR_UNSUPPORTED)
        return qzi_fail(dict->ctx, st, "%s: '%.*s' is not read: %s", dict->name,
                        (int)QZI_MIN(n->name_size, 128), n->name, what);
    if (st != QZ_OK)
        return damaged(n, what);
    QZI_TRY(read_type(n, h.descr, &raw));
    raw.ndim = h.ndim;
    memcpy(raw.dims, h.dims, sizeof(raw.dims));
    qz_tensor shape = {.dtype = raw.dtype, .ndim = raw.ndim};
    memcpy(shape.dims, raw.dims, sizeof(shape.dims));
    int64_t count = qz_tensor_numel(&shape);
    size_t room = entry->size - begin - header, size = qz_dtype_size(raw.dtype);
    if (count < 0 || room % size != 0 || room / size != (uint64_t)count)
        return damaged(n, "the shape does not fit its bytes");
    raw.data = bytes + begin + header;
    if (h.fortran && count > 0)
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
        const npy n = {.dict = dict, .name = entry->name, .name_size = entry->name_size};
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
