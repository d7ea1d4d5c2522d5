/* SPDX-License-Identifier: MIT */
/* preprocess.h - what the files of this folder share. Private. */
#ifndef QZOO_ZOO_IMAGE_PREPROCESS_H
#define QZOO_ZOO_IMAGE_PREPROCESS_H

#include "layers/base/base.h"
#include "zoo/qzoo_image.h"

/* 8-bit RGB rows, `stride` bytes apart. */
typedef struct qzi_pixels {
    const uint8_t *rgb;
    int32_t width, height;
    size_t stride;
} qzi_pixels;

/* Which part of the resized image is wanted. */
typedef struct qzi_window {
    int64_t full_width, full_height; /* of the whole resized image */
    int64_t x, y;
    int32_t width, height; /* inside the whole */
} qzi_window;

/*
 * The window of Pillow's resize of an image, into rows of window->width * 3 bytes. Work and memory
 * are those of the window, not of the whole.
 */
qz_status qzi_resize_window(const qz_context *ctx, const qzi_pixels *in, const qzi_window *window,
                            qz_interpolation interpolation, uint8_t *out);

/* QZ_ERR_ARGUMENT unless there are pixels and rows do not overlap. */
qz_status qzi_check_pixels(const qz_context *ctx, const char *function, const qzi_pixels *in);

/* Largest side of an image file, which is also JPEG's own limit. */
#define QZI_IMAGE_SIDE_MAX 65535

/*
 * What makes a JPEG or BMP file unsafe or incomplete for stb_image, in words; NULL where nothing
 * does and for other files. *scans: of a JPEG, else 0.
 */
const char *qzi_image_fault(const uint8_t *data, size_t size, int64_t *scans);

#endif
