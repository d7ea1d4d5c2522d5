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

/* The part of an image that the network sees, after resizing; black pixels are around it. */
typedef struct qzi_crop {
    const uint8_t *rows;           /* of width * 3 bytes */
    size_t stride;                 /* bytes between them */
    int32_t width, height;         /* at most the recipe's crop */
    int32_t left, top;             /* black columns and rows before it */
    int32_t out_width, out_height; /* what the network takes, black pixels among it */
    uint8_t *resized;              /* what the caller frees; NULL: rows are the image's own */
} qzi_crop;

/* The recipe makes sense: QZ_ERR_ARGUMENT says what does not. */
qz_status qzi_preprocess_check_recipe(const qz_context *ctx, const qz_preprocess *recipe);
/* The size of what a recipe makes of usual images; as it was, where the recipe says nothing. */
void qzi_preprocess_usual(const qz_preprocess *recipe, int32_t *height, int32_t *width);
/* Pixels and recipe can be used. */
qz_status qzi_preprocess_check(const qz_context *ctx, const char *function, const qzi_pixels *in,
                               const qz_preprocess *recipe);
/* Resizes and crops as the recipe says. */
qz_status qzi_preprocess_crop(const qz_context *ctx, const qzi_pixels *in,
                              const qz_preprocess *recipe, qzi_crop *crop);
/* The float that each byte of a channel becomes: (v / 255 - mean) / std in three float32
 * operations, as torch does. */
void qzi_preprocess_table(const qz_preprocess *recipe, float table[3][256]);

/* QZ_ERR_ARGUMENT unless there are pixels and rows do not overlap. */
qz_status qzi_check_pixels(const qz_context *ctx, const char *function, const qzi_pixels *in);

/* Largest side of an image file, which is also JPEG's own limit. */
#define QZI_IMAGE_SIDE_MAX 65535

/* Largest file that is taken for an image. */
#define QZI_IMAGE_FILE_MAX ((size_t)256 << 20)
/* Most pixels of an image file. */
#define QZI_IMAGE_PIXELS_MAX ((int64_t)1 << 26)

/* The pixels of a JPEG, PNG or BMP file; messages begin with `path`. */
qz_status qzi_image_decode(const qz_context *ctx, const char *path, const uint8_t *data,
                           size_t size, qz_image *image);

/* The same of WebP files (built with libwebp, otherwise QZ_ERR_UNSUPPORTED). */
qz_status qzi_image_decode_webp(const qz_context *ctx, const char *path, const uint8_t *data,
                                size_t size, qz_image *image);
/* Both without the pixels: what can be known of the file without decoding it, and the size. */
qz_status qzi_image_probe(const qz_context *ctx, const char *path, const uint8_t *data, size_t size,
                          qz_image *image);
qz_status qzi_image_probe_webp(const qz_context *ctx, const char *path, const uint8_t *data,
                               size_t size, qz_image *image);
bool qzi_image_is_webp(const uint8_t *data, size_t size);
/* A PNG file with a palette, or with gray values of other than 8 bits. */
bool qzi_image_has_indices(const uint8_t *data, size_t size);
/* Its stored samples, each as red, green and blue. */
qz_status qzi_image_decode_indices(const qz_context *ctx, const char *path, const uint8_t *data,
                                   size_t size, qz_image *image);
/* PNG's checksum. */
uint32_t qzi_image_crc32(const uint8_t *p, size_t size);
/*
 * The name of the kind of image that the first bytes show, where no decoder here reads that kind:
 * "GIF", "TIFF", …; NULL for other bytes.
 */
const char *qzi_image_other_kind(const uint8_t *data, size_t size);

/* The orientation that the file's EXIF data has, 1 to 8; 1 where it has none or is damaged. */
int qzi_exif_orientation(const uint8_t *data, size_t size);
/* Turns the pixels upright; of another number than 2 to 8 nothing is done. */
qz_status qzi_exif_turn(const qz_context *ctx, int orientation, qz_image *image);

/*
 * What makes a JPEG, PNG or BMP file unsafe or incomplete for stb_image, in words; NULL where
 * nothing does and for other files. *scans: of a JPEG, else 0.
 */
const char *qzi_image_fault(const uint8_t *data, size_t size, int64_t *scans);

#endif
