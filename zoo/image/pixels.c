/* SPDX-License-Identifier: MIT */
/* pixels.c - images of any pixel format as RGB rows. */
#include "zoo/image/pixels.h"

/* Bytes of a pixel in its plane, and where red, green and blue are in it (planar: which plane). */
static const struct {
    uint8_t step, red, green, blue;
    bool planar;
} layouts[QZ_PIXELS_COUNT] = {
    [QZ_PIXELS_RGB] = {3, 0, 1, 2, false},       [QZ_PIXELS_BGR] = {3, 2, 1, 0, false},
    [QZ_PIXELS_RGBA] = {4, 0, 1, 2, false},      [QZ_PIXELS_BGRA] = {4, 2, 1, 0, false},
    [QZ_PIXELS_GRAY] = {1, 0, 0, 0, false},      [QZ_PIXELS_RGB_PLANAR] = {1, 0, 1, 2, true},
    [QZ_PIXELS_BGR_PLANAR] = {1, 2, 1, 0, true},
};

static qz_status check(const qz_context *ctx, const char *function, const qz_pixels *image,
                       size_t index)
{
    if ((unsigned)image->format >= QZ_PIXELS_COUNT)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: image %zu: there is no pixel format number %d",
                        function, index, (int)image->format);
    if (!image->data)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: image %zu has no data", function, index);
    if (image->width < 1 || image->height < 1)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: image %zu: %d x %d pixels are no image",
                        function, index, image->width, image->height);
    const size_t step = layouts[image->format].step;
    if (image->stride && image->stride / step < (size_t)image->width)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "%s: image %zu: stride %zu is less than a row of %d pixels", function,
                        index, image->stride, image->width);
    if (image->plane && image->plane / (size_t)image->height <
                            (image->stride ? image->stride : (size_t)image->width))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "%s: image %zu: %zu bytes from plane to plane are less than a plane",
                        function, index, image->plane);
    return QZ_OK;
}

qz_status qzi_pixels_as_rgb(const qz_context *ctx, const char *function, const qz_pixels *image,
                            size_t index, qzi_pixels *rgb, uint8_t **owned)
{
    *owned = NULL;
    QZI_TRY(check(ctx, function, image, index));
    const size_t width = (size_t)image->width, height = (size_t)image->height;
    const size_t step = layouts[image->format].step;
    const size_t stride = image->stride ? image->stride : width * step;
    *rgb = (qzi_pixels){image->data, image->width, image->height, stride};
    if (image->format == QZ_PIXELS_RGB)
        return QZ_OK;
    size_t bytes;
    if (!qzi_mul_size(width * 3, height, &bytes))
        return qzi_fail_memory(ctx, SIZE_MAX);
    uint8_t *out = *owned = qzi_alloc(ctx, bytes);
    if (!out)
        return QZ_ERR_MEMORY;
    const bool planar = layouts[image->format].planar;
    const size_t unit = !planar ? 1 : image->plane ? image->plane : stride * height;
    const uint8_t *red = image->data + layouts[image->format].red * unit;
    const uint8_t *green = image->data + layouts[image->format].green * unit;
    const uint8_t *blue = image->data + layouts[image->format].blue * unit;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0, at = y * stride; x < width; x++, at += step, out += 3) {
            out[0] = red[at];
            out[1] = green[at];
            out[2] = blue[at];
        }
    rgb->rgb = *owned;
    rgb->stride = width * 3;
    return QZ_OK;
}
