/* SPDX-License-Identifier: MIT */
/* image_webp.c - WebP files to 8-bit RGB, by libwebp. Alpha is dropped, as Pillow's convert("RGB")
 * drops it; animations are refused. */
#include "zoo/image/preprocess.h"

#include <string.h>

#if defined(QZ_HAVE_WEBP)
#include <webp/decode.h>
#endif

bool qzi_image_is_webp(const uint8_t *data, size_t size)
{
    return size >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0;
}

#if defined(QZ_HAVE_WEBP)

qz_status qzi_image_probe_webp(const qz_context *ctx, const char *path, const uint8_t *data,
                               size_t size, qz_image *image)
{
    WebPBitstreamFeatures info;
    const size_t riff =
        data[4] | (size_t)data[5] << 8 | (size_t)data[6] << 16 | (size_t)data[7] << 24;
    VP8StatusCode code = WebPGetFeatures(data, size, &info);
    if (code != VP8_STATUS_OK)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: the WebP file is %s", path,
                        code == VP8_STATUS_NOT_ENOUGH_DATA ? "truncated" : "damaged");
    if (info.has_animation)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: animated WebP images are not read; convert it to PNG or JPEG", path);
    if (info.width < 1 || info.height < 1 ||
        (int64_t)info.width * info.height > QZI_IMAGE_PIXELS_MAX)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: %d x %d pixels are too many; make it smaller",
                        path, info.width, info.height);
    if (riff > size - 8)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: the WebP file is truncated", path);
    *image = (qz_image){info.width, info.height, NULL};
    return QZ_OK;
}

qz_status qzi_image_decode_webp(const qz_context *ctx, const char *path, const uint8_t *data,
                                size_t size, qz_image *image)
{
    qz_image info = {0};
    QZI_TRY(qzi_image_probe_webp(ctx, path, data, size, &info));
    const size_t row = (size_t)info.width * 3, bytes = row * (size_t)info.height;
    uint8_t *rgb = qzi_alloc(ctx, bytes);
    if (!rgb)
        return QZ_ERR_MEMORY;
    if (!WebPDecodeRGBInto(data, size, rgb, bytes, (int)row)) {
        qzi_free(ctx, rgb);
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: the WebP file is truncated or damaged", path);
    }
    *image = (qz_image){info.width, info.height, rgb};
    return QZ_OK;
}

#else

qz_status qzi_image_decode_webp(const qz_context *ctx, const char *path, const uint8_t *data,
                                size_t size, qz_image *image)
{
    (void)data;
    (void)size;
    (void)image;
    return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                    "%s: built without libwebp, WebP images are not read; convert it to PNG or "
                    "JPEG",
                    path);
}

qz_status qzi_image_probe_webp(const qz_context *ctx, const char *path, const uint8_t *data,
                               size_t size, qz_image *image)
{
    return qzi_image_decode_webp(ctx, path, data, size, image);
}

#endif
