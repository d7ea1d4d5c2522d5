/* SPDX-License-Identifier: MIT */
/*
 * image_stb.c - image files to 8-bit RGB, by stb_image.
 *
 * Only JPEG, PNG and BMP are compiled in. stb_image is a decoder for files that one trusts, so what
 * it does not bound is bounded here, before it runs: image_check.c looks at the markers; file size,
 * image size, the work of progressive JPEGs and the size of any one allocation (a PNG may inflate
 * without end) have limits; its memory is zeroed, since it reads tables that a file did not define.
 *
 * As with Pillow's convert("RGB"): grey and palettes are expanded, alpha is dropped, 16-bit
 * samples keep their high byte.
 */
#include "layers/base/memory.h"
#include "zoo/image/preprocess.h"

#if defined(QZ_HAVE_STB)

#include <limits.h>
#include <string.h>

/* Pixels times scans of a JPEG: 32 scans of the largest image, thousands of a usual one. */
#define SCAN_WORK_MAX ((int64_t)1 << 31)
/* A block of 8 x 8 pixels takes a JPEG a bit or more, so a byte holds no more pixels than these. */
#define JPEG_PIXELS_PER_BYTE 512
#define JPEG_PIXELS_FREE 65536
#define ALLOC_SLACK ((size_t)16 << 20)

/* stb_image passes no user pointer to its allocator, so the call's own is kept here. */
static _Thread_local struct {
    const qz_context *ctx;
    size_t limit;  /* of one allocation */
    size_t failed; /* the one that found no memory; 0: none */
} decoding;

static void *stb_realloc(void *ptr, size_t old_size, size_t new_size)
{
    if (new_size > decoding.limit)
        return NULL;
    void *fresh = qzi_realloc(decoding.ctx, ptr, old_size, new_size);
    if (!fresh)
        decoding.failed = new_size;
    else if (new_size > old_size)
        memset((char *)fresh + old_size, 0, new_size - old_size);
    return fresh;
}

static void *stb_alloc(size_t size)
{
    return stb_realloc(NULL, 0, size);
}

static void stb_free(void *ptr)
{
    qzi_free(decoding.ctx, ptr);
}

#define STBI_MALLOC(size) stb_alloc(size)
#define STBI_REALLOC_SIZED(ptr, old_size, new_size) stb_realloc(ptr, old_size, new_size)
#define STBI_FREE(ptr) stb_free(ptr)
#define STBI_ASSERT(condition) ((void)0)
#define STBI_MAX_DIMENSIONS QZI_IMAGE_SIDE_MAX
/* with them stb_image writes into a static string, which two threads would share */
#define STBI_NO_FAILURE_STRINGS
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#if defined(__GNUC__)
/* gcc reports this one at the end of the file, so it cannot be popped */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wcast-qual"
#endif
#include <stb_image.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

static qz_status decode_failed(const qz_context *ctx, const char *path, const uint8_t *data,
                               size_t size)
{
    if (decoding.failed != 0)
        return qzi_fail_prefix(ctx, qzi_fail_memory(ctx, decoding.failed), "%s", path);
    const char *kind = qzi_image_other_kind(data, size);
    if (kind)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: %s images are not read; convert it to PNG or JPEG", path, kind);
    return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: not a JPEG, PNG or BMP image, or damaged", path);
}

/* scans: 0 where it is no JPEG */
static qz_status check_size(const qz_context *ctx, const char *path, int64_t width, int64_t height,
                            int64_t scans, size_t file_size)
{
    if (width < 1 || height < 1)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: the image has no pixels", path);
    if (width > QZI_IMAGE_SIDE_MAX || height > QZI_IMAGE_SIDE_MAX ||
        width * height > QZI_IMAGE_PIXELS_MAX)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: %d x %d pixels (%s) are too many; make it smaller",
                        path, (int)width, (int)height,
                        qzi_bytes_text((uint64_t)width * (uint64_t)height * 3).text);
    if (scans > SCAN_WORK_MAX / (width * height))
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: the JPEG file has too many scans", path);
    if (scans > 0 && width * height > (int64_t)file_size * JPEG_PIXELS_PER_BYTE + JPEG_PIXELS_FREE)
        return qzi_fail(ctx, QZ_ERR_FORMAT,
                        "%s: the file is truncated: %zu bytes for %d x %d pixels", path, file_size,
                        (int)width, (int)height);
    return QZ_OK;
}

qz_status qzi_image_probe(const qz_context *ctx, const char *path, const uint8_t *data, size_t size,
                          qz_image *image)
{
    int64_t scans;
    const char *fault = qzi_image_fault(data, size, &scans);
    if (fault)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: %s", path, fault);
    int width = 0, height = 0, channels = 0;
    decoding.ctx = ctx;
    decoding.limit = ALLOC_SLACK;
    decoding.failed = 0;
    if (!stbi_info_from_memory(data, (int)size, &width, &height, &channels))
        return decode_failed(ctx, path, data, size);
    /* the height of a BMP is negative where the top row comes first */
    int64_t rows = height < 0 ? -(int64_t)height : height;
    QZI_TRY(check_size(ctx, path, width, rows, scans, size));
    *image = (qz_image){width, (int32_t)rows, NULL};
    return QZ_OK;
}

qz_status qzi_image_decode(const qz_context *ctx, const char *path, const uint8_t *data,
                           size_t size, qz_image *image)
{
    int width = 0, height = 0, channels = 0;
    QZI_TRY(qzi_image_probe(ctx, path, data, size, image));
    /* twice the largest intermediate (four 16-bit samples a pixel), twice the compressed bytes */
    decoding.limit = (size_t)image->width * (size_t)image->height * 16 + size * 2 + ALLOC_SLACK;
    *image = (qz_image){0};
    uint8_t *rgb = stbi_load_from_memory(data, (int)size, &width, &height, &channels, 3);
    if (!rgb)
        return decode_failed(ctx, path, data, size);
    *image = (qz_image){width, height, rgb};
    return QZ_OK;
}

#else

qz_status qzi_image_decode(const qz_context *ctx, const char *path, const uint8_t *data,
                           size_t size, qz_image *image)
{
    (void)data;
    (void)size;
    (void)image;
    return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                    "%s: built without stb_image, images are not read; give a .npy file", path);
}

qz_status qzi_image_probe(const qz_context *ctx, const char *path, const uint8_t *data, size_t size,
                          qz_image *image)
{
    return qzi_image_decode(ctx, path, data, size, image);
}

#endif
