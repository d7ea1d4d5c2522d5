/* SPDX-License-Identifier: MIT */
/* image_file.c - image files and their bytes in memory to pixels that are the right way up. */
#include "weights/files.h"
#include "zoo/image/preprocess.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static qz_status read_open_file(const qz_context *ctx, const char *path, FILE *file, uint8_t **data,
                                size_t *size)
{
    struct stat st;
    if (fstat(fileno(file), &st) != 0)
        return qzi_fail_errno(ctx, path, "cannot be read", errno);
    if (st.st_size < 0 || (uint64_t)st.st_size > QZI_IMAGE_FILE_MAX)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: larger than %zu MiB, which no image here is", path,
                        QZI_IMAGE_FILE_MAX >> 20);
    *data = qzi_alloc(ctx, st.st_size > 0 ? (size_t)st.st_size : 1);
    if (!*data)
        return QZ_ERR_MEMORY;
    *size = fread(*data, 1, (size_t)st.st_size, file);
    return ferror(file) ? qzi_fail_errno(ctx, path, "cannot be read", errno) : QZ_OK;
}

static qz_status read_file(const qz_context *ctx, const char *path, uint8_t **data, size_t *size)
{
    FILE *file = NULL;
    QZI_TRY(qzi_file_open(ctx, path, &file));
    qz_status st = read_open_file(ctx, path, file, data, size);
    fclose(file);
    return st;
}

static qz_status decode(const qz_context *ctx, const void *bytes, size_t size, const char *name,
                        const qz_image_options *options, qz_image *image)
{
    qz_image_options o;
    QZI_TRY(qzi_options_take(ctx, options, &o, sizeof(o), "qz_image_options"));
    if (size > QZI_IMAGE_FILE_MAX)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: larger than %zu MiB, which no image here is", name,
                        QZI_IMAGE_FILE_MAX >> 20);
    if (qzi_image_is_webp(bytes, size))
        QZI_TRY(qzi_image_decode_webp(ctx, name, bytes, size, image));
    else if (o.indices && qzi_image_has_indices(bytes, size))
        QZI_TRY(qzi_image_decode_indices(ctx, name, bytes, size, image));
    else
        QZI_TRY(qzi_image_decode(ctx, name, bytes, size, image));
    if (o.no_exif)
        return QZ_OK;
    qz_status st = qzi_exif_turn(ctx, qzi_exif_orientation(bytes, size), image);
    if (st != QZ_OK) {
        qzi_free(ctx, image->rgb);
        *image = (qz_image){0};
    }
    return st;
}

qz_status qz_image_check(qz_context *context, const char *path, int32_t *width, int32_t *height)
{
    if (!path)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_image_check: path is NULL");
    uint8_t *data = NULL;
    size_t size = 0;
    qz_image image = {0};
    qz_status st = read_file(context, path, &data, &size);
    if (st == QZ_OK)
        st = qzi_image_is_webp(data, size) ? qzi_image_probe_webp(context, path, data, size, &image)
                                           : qzi_image_probe(context, path, data, size, &image);
    qzi_free(context, data);
    if (width)
        *width = image.width;
    if (height)
        *height = image.height;
    return st;
}

qz_status qz_image_load_with(qz_context *context, const char *path, const qz_image_options *options,
                             qz_image *image)
{
    if (!path || !image)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_image_load: path or image is NULL");
    *image = (qz_image){0};
    uint8_t *data = NULL;
    size_t size = 0;
    qz_status st = read_file(context, path, &data, &size);
    if (st == QZ_OK)
        st = decode(context, data, size, path, options, image);
    qzi_free(context, data);
    return st;
}

qz_status qz_image_load(qz_context *context, const char *path, qz_image *image)
{
    return qz_image_load_with(context, path, NULL, image);
}

qz_status qz_image_parse_with(qz_context *context, const void *bytes, size_t size, const char *name,
                              const qz_image_options *options, qz_image *image)
{
    if (!bytes || !name || !image)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_image_parse: bytes, name or image is NULL");
    *image = (qz_image){0};
    return decode(context, bytes, size, name, options, image);
}

qz_status qz_image_parse(qz_context *context, const void *bytes, size_t size, const char *name,
                         qz_image *image)
{
    return qz_image_parse_with(context, bytes, size, name, NULL, image);
}

void qz_image_free(qz_context *context, qz_image *image)
{
    if (!image)
        return;
    qzi_free(context, image->rgb);
    *image = (qz_image){0};
}
