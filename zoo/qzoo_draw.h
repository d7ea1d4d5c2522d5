/* SPDX-License-Identifier: MIT */
/*
 * qzoo_draw.h - draw boxes, labels, masks and class maps on 8-bit RGB images.
 *
 * Everything is clipped to the image, and is integer arithmetic: a picture has the same bytes on
 * every machine. The functions take no memory and cannot fail; what has no place in the image, such
 * as a box with NaN, is not drawn.
 */
#ifndef QZOO_DRAW_H
#define QZOO_DRAW_H

#include "qzoo_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The image to draw on: the caller's rows of width * 3 bytes, `stride` bytes apart. */
typedef struct qz_canvas {
    uint8_t *rgb;
    int32_t width, height;
    size_t stride; /* 0: width * 3 */
} qz_canvas;

/* Red, green and blue, 0 to 255. */
typedef struct qz_color {
    uint8_t r, g, b;
} qz_color;

/* The color of a class: always the same, and far from those of neighbouring numbers. */
QZ_API qz_color qz_draw_color(int32_t label);
/* Width of lines, and size of a pixel of letters, in pixels of an image of this size: 1 or more. */
QZ_API int32_t qz_draw_scale(int32_t width, int32_t height);
/*
 * The outline of a box from the pixel of (x1, y1) to the one before (x2, y2), in pixels, inside the
 * box. A box without an area is one pixel wide or high. Edges outside the image are not drawn. A
 * box whose corners are swapped, or that has NaN, is not drawn.
 */
QZ_API void qz_draw_box(const qz_canvas *canvas, float x1, float y1, float x2, float y2,
                        qz_color color);
/*
 * Text in black or white on a background of the color, above the point (x, y), the upper left
 * corner of a box; below it where there is no room above. Where the text leaves the image at the
 * right side, it moves to the left, and is cut where the image is narrower. Letters are ASCII;
 * other characters of UTF-8 are shown as '?'.
 */
QZ_API void qz_draw_label(const qz_canvas *canvas, float x, float y, const char *text,
                          qz_color color);
/*
 * Tints the pixels whose byte of the mask is not 0. The mask has the canvas's size: rows of
 * `mask_stride` bytes (0: the canvas's width). alpha: 0 (nothing) to 255 (the color alone).
 */
QZ_API void qz_draw_mask(const qz_canvas *canvas, const uint8_t *mask, size_t mask_stride,
                         qz_color color, uint8_t alpha);
/*
 * Tints each pixel with the color of its class (qz_draw_color). Class 0 is the background and 255
 * is no class: both remain as they are. The map has one byte a pixel, as a mask.
 */
QZ_API void qz_draw_segmentation(const qz_canvas *canvas, const uint8_t *classes,
                                 size_t classes_stride, uint8_t alpha);
/* The alpha of masks and class maps that the program uses. */
#define QZ_DRAW_ALPHA 115

/*
 * Writes an 8-bit RGB image as a PNG file: rows `stride` bytes apart (0: width * 3). The file is
 * written whole or not at all. QZ_ERR_ARGUMENT: no image, or a side of more than 65535 pixels or
 * more than 2^26 pixels in all; QZ_ERR_IO, QZ_ERR_WRITE (the disk is full), QZ_ERR_MEMORY,
 * QZ_ERR_UNSUPPORTED (built without stb_image_write). Messages begin with the path.
 */
QZ_API qz_status qz_image_write_png(qz_context *context, const char *path, const uint8_t *rgb,
                                    int32_t width, int32_t height, size_t stride);

#ifdef __cplusplus
}
#endif
#endif
