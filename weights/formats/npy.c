/* SPDX-License-Identifier: MIT */
/*
 * npy.c - float32 arrays in numpy's file format.
 *
 * A file is a magic, a version, the length of a header, the header (npy_header.h) and the elements.
 * Only arrays that a network can take are read: '<f4', C order, up to 8 dimensions, in a file
 * exactly as long as its header says. This is checked before memory is allocated.
 */
#include "layers/base/base.h"
#include "layers/base/memory.h"
#include "weights/bytes.h"
#include "weights/file_replace.h"
#include "weights/files.h"
#include "weights/formats/npy_header.h"
#include "weights/qzoo_weights.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- elements: little-endian in files ---- */

enum { BLOCK_BYTES = 4096 };

static bool read_elements(FILE *file, uint8_t *data, size_t bytes)
{
    uint8_t block[BLOCK_BYTES];
    if (!QZI_BIG_ENDIAN)
        return fread(data, 1, bytes, file) == bytes;
    for (size_t n; bytes > 0; bytes -= n, data += n) {
        n = QZI_MIN(bytes, sizeof(block));
        if (fread(block, 1, n, file) != n)
            return false;
        qzi_copy_swapped(data, block, n / sizeof(float), sizeof(float));
    }
    return true;
}

/* ---- reading ---- */

static qz_status read_error(const qz_context *ctx, FILE *file, const char *path)
{
    if (ferror(file))
        return qzi_fail(ctx, QZ_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: the .npy file is truncated", path);
}

/* Reads up to the first element; *data_at is its place in the file. */
static qz_status read_header(const qz_context *ctx, FILE *file, const char *path, qzi_npy_header *h,
                             uint64_t *data_at)
{
    unsigned char start[QZI_NPY_MAGIC_BYTES + 6];
    if (fread(start, 1, QZI_NPY_MAGIC_BYTES + 2, file) != QZI_NPY_MAGIC_BYTES + 2) {
        if (ferror(file))
            return read_error(ctx, file, path);
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: not a .npy file", path);
    }
    if (memcmp(start, QZI_NPY_MAGIC, QZI_NPY_MAGIC_BYTES) != 0)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: not a .npy file", path);
    unsigned version = start[QZI_NPY_MAGIC_BYTES];
    if (version != 1 && version != 2)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: .npy version %u is not read; save it with numpy.save", path, version);
    size_t length_bytes = version == 1 ? 2 : 4;
    unsigned char *at = start + QZI_NPY_MAGIC_BYTES + 2;
    if (fread(at, 1, length_bytes, file) != length_bytes)
        return read_error(ctx, file, path);
    uint32_t length = at[0] | (uint32_t)at[1] << 8;
    if (version == 2)
        length |= (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    char text[QZI_NPY_HEADER_MAX];
    if (length > QZI_NPY_HEADER_MAX)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: the .npy header of %u bytes is no array's", path,
                        length);
    if (fread(text, 1, length, file) != length)
        return read_error(ctx, file, path);
    const char *what = NULL;
    if (qzi_npy_header_parse(text, length, h, &what) != QZ_OK)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: the .npy header cannot be read: %s", path, what);
    *data_at = QZI_NPY_MAGIC_BYTES + 2 + length_bytes + length;
    return QZ_OK;
}

static qz_status check_header(const qz_context *ctx, const char *path, const qzi_npy_header *h,
                              qz_tensor *tensor, size_t *bytes)
{
    if (strcmp(h->descr, "<f4") != 0)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: elements are '%s', wanted is '<f4': convert with astype('float32')",
                        path, h->descr);
    if (h->fortran)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: the array is in Fortran order: convert with numpy.ascontiguousarray",
                        path);
    *tensor = (qz_tensor){.dtype = QZ_F32, .ndim = h->ndim};
    memcpy(tensor->dims, h->dims, sizeof(tensor->dims));
    int64_t count = qz_tensor_numel(tensor);
    if (count < 0 || !qzi_mul_size((size_t)count, sizeof(float), bytes))
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: the shape of the array overflows", path);
    return QZ_OK;
}

static qz_status load(const qz_context *ctx, FILE *file, const char *path, qz_tensor *tensor)
{
    struct stat info;
    if (fstat(fileno(file), &info) != 0)
        return qzi_fail(ctx, QZ_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return qzi_fail(ctx, QZ_ERR_IO, "%s: not a regular file", path);
    qzi_npy_header h;
    uint64_t data_at;
    QZI_TRY(read_header(ctx, file, path, &h, &data_at));
    size_t bytes;
    qz_tensor t;
    QZI_TRY(check_header(ctx, path, &h, &t, &bytes));
    uint64_t size = (uint64_t)info.st_size;
    if (size < data_at || size - data_at != bytes)
        return qzi_fail(ctx, QZ_ERR_FORMAT,
                        "%s: the shape asks for %s (%zu bytes) of elements, the file has %llu",
                        path, qzi_bytes_text(bytes).text, bytes,
                        (unsigned long long)(size < data_at ? 0 : size - data_at));
    t.data = qzi_alloc(ctx, bytes);
    if (!t.data)
        return qzi_fail_prefix(ctx, QZ_ERR_MEMORY, "%s", path);
    if (!read_elements(file, t.data, bytes)) {
        qzi_free(ctx, t.data);
        return read_error(ctx, file, path);
    }
    *tensor = t;
    return QZ_OK;
}

qz_status qz_npy_load(qz_context *context, const char *path, qz_tensor *tensor)
{
    if (!path || !tensor)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_npy_load: path or tensor is NULL");
    *tensor = (qz_tensor){0};
    FILE *file = NULL;
    QZI_TRY(qzi_file_open(context, path, &file));
    qz_status st = load(context, file, path, tensor);
    fclose(file);
    return st;
}

void qz_npy_free(qz_context *context, qz_tensor *tensor)
{
    if (!tensor)
        return;
    qzi_free(context, tensor->data);
    *tensor = (qz_tensor){0};
}

/* ---- writing ---- */

/* Version 1.0, padded as numpy does so that elements begin at a multiple of 64. Returns bytes. */
static size_t format_header(const qz_tensor *tensor, char out[512])
{
    char *text = out + QZI_NPY_MAGIC_BYTES + 4;
    const size_t room = 512 - (QZI_NPY_MAGIC_BYTES + 4);
    int n = snprintf(text, room, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int32_t i = 0; i < tensor->ndim; i++)
        n += snprintf(text + n, room - (size_t)n, "%s%lld%s", i > 0 ? " " : "",
                      (long long)tensor->dims[i],
                      tensor->ndim == 1 || i + 1 < tensor->ndim ? "," : "");
    n += snprintf(text + n, room - (size_t)n, "), }");
    size_t used = QZI_NPY_MAGIC_BYTES + 4 + (size_t)n;
    size_t total = QZI_ROUND_UP(used + 1, 64);
    memset(out + used, ' ', total - used);
    out[total - 1] = '\n';
    size_t length = total - (QZI_NPY_MAGIC_BYTES + 4);
    memcpy(out, QZI_NPY_MAGIC "\x01", QZI_NPY_MAGIC_BYTES + 2); /* 1 and the literal's own 0 */
    out[QZI_NPY_MAGIC_BYTES + 2] = (char)(length & 0xff);
    out[QZI_NPY_MAGIC_BYTES + 3] = (char)(length >> 8);
    return total;
}

qz_status qz_npy_save(qz_context *context, const char *path, const qz_tensor *tensor)
{
    if (!path || !tensor)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_npy_save: path or tensor is NULL");
    if (tensor->dtype != QZ_F32) {
        const char *name = qz_dtype_name(tensor->dtype);
        return qzi_fail(context, QZ_ERR_UNSUPPORTED, "%s: only float32 is written, not %s", path,
                        name ? name : "an unknown type");
    }
    int64_t count = qz_tensor_numel(tensor);
    size_t bytes;
    if (count < 0 || !qzi_mul_size((size_t)count, sizeof(float), &bytes) ||
        (!tensor->data && count > 0))
        return qzi_fail(context, QZ_ERR_ARGUMENT, "%s: the tensor to write has no valid shape",
                        path);
    char head[512];
    size_t head_bytes = format_header(tensor, head);
    qzi_file_replace file;
    QZI_TRY(qzi_file_replace_open(context, path, &file));
    qz_status st = qzi_file_replace_write(&file, head, head_bytes);
    if (st == QZ_OK)
        st = qzi_file_replace_write_numbers(&file, tensor->data, bytes / sizeof(float),
                                            sizeof(float));
    if (st == QZ_OK)
        return qzi_file_replace_commit(&file);
    qzi_file_replace_discard(&file);
    return st;
}
