/* SPDX-License-Identifier: MIT */
/*
 * png_write.c - RGB rows to a PNG file, by stb_image_write. Its own compressor writes through a
 * null pointer where memory is exhausted, so another takes its place.
 */
#include "weights/deflate.h"

#include "weights/qzoo_weights.h"
#include "zoo/image/preprocess.h"
#include "zoo/qzoo_draw.h"

static qz_status check_image(const qz_context *ctx, const char *path, const qzi_pixels *image)
{
    QZI_TRY(qzi_check_pixels(ctx, path, image));
    if (image->width > QZI_IMAGE_SIDE_MAX || image->height > QZI_IMAGE_SIDE_MAX ||
        (int64_t)image->width * image->height > QZI_IMAGE_PIXELS_MAX)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: %d x %d pixels are too many for a file", path,
                        image->width, image->height);
    return QZ_OK;
}

#if defined(QZ_HAVE_STB)

#include <string.h>

/* stb_image_write passes no user pointer to its allocator, so the call's own is kept here. */
static _Thread_local struct {
    const qz_context *ctx;
    uint8_t *compressed; /* stb_image_write forgets it where there is no memory for the file */
} writing;

static unsigned char *compress_rows(unsigned char *data, int size, int *out_size, int quality)
{
    (void)quality;
    return writing.compressed = qzi_deflate(writing.ctx, data, (size_t)size, out_size);
}

static void write_free(void *ptr)
{
    if (ptr && ptr == writing.compressed)
        writing.compressed = NULL;
    qzi_free(writing.ctx, ptr);
}

#define STBIW_MALLOC(size) qzi_alloc(writing.ctx, (size_t)(size))
#define STBIW_REALLOC_SIZED(ptr, old_size, new_size) \
    qzi_realloc(writing.ctx, ptr, (size_t)(old_size), (size_t)(new_size))
#define STBIW_FREE(ptr) write_free(ptr)
#define STBIW_ASSERT(condition) ((void)0)
#define STBIW_ZLIB_COMPRESS compress_rows
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#if defined(__GNUC__)
/* gcc reports these at the end of the file, so they cannot be popped */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
#include <stb_image_write.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

qz_status qz_image_write_png(qz_context *context, const char *path, const uint8_t *rgb,
                             int32_t width, int32_t height, size_t stride)
{
    int size = 0;
    if (!path)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_image_write_png: path is NULL");
    const qzi_pixels image = {rgb, width, height, stride ? stride : (size_t)width * 3};
    QZI_TRY(check_image(context, path, &image));
    /* rows that are far apart are brought together: stb_image_write counts in int */
    const size_t row = (size_t)width * 3;
    uint8_t *rows = NULL;
    if (image.stride != row) {
        rows = qzi_alloc(context, row * (size_t)height);
        if (!rows)
            return qzi_fail_prefix(context, QZ_ERR_MEMORY, "%s", path);
        for (size_t y = 0; y < (size_t)height; y++)
            memcpy(rows + y * row, rgb + y * image.stride, row);
    }
    writing.ctx = context;
    writing.compressed = NULL;
    uint8_t *file = stbi_write_png_to_mem(rows ? rows : rgb, (int)row, width, height, 3, &size);
    qzi_free(context, writing.compressed);
    qzi_free(context, rows);
    if (!file)
        return qzi_fail_prefix(context, qzi_fail_memory(context, row * (size_t)height), "%s", path);
    const qz_status st = qz_file_save(context, path, file, (size_t)size);
    qzi_free(context, file);
    return st;
}

#else

qz_status qz_image_write_png(qz_context *context, const char *path, const uint8_t *rgb,
                             int32_t width, int32_t height, size_t stride)
{
    if (!path)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_image_write_png: path is NULL");
    const qzi_pixels image = {rgb, width, height, stride ? stride : (size_t)width * 3};
    QZI_TRY(check_image(context, path, &image));
    return qzi_fail(context, QZ_ERR_UNSUPPORTED,
                    "%s: built without stb_image_write, pictures are not written", path);
}

#endif
