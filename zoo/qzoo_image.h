/* SPDX-License-Identifier: MIT */
/*
 * qzoo_image.h - images: read them, resize them, and make of them what a network takes.
 */
#ifndef QZOO_IMAGE_H
#define QZOO_IMAGE_H

#include "qzoo_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Pillow's filters; bilinear and bicubic are antialiased. */
typedef enum qz_interpolation {
    QZ_INTERPOLATION_BILINEAR = 0,
    QZ_INTERPOLATION_BICUBIC,
    QZ_INTERPOLATION_NEAREST,
    QZ_INTERPOLATION_COUNT
} qz_interpolation;
/* "bilinear", "bicubic", "nearest"; NULL for another number. */
QZ_API const char *qz_interpolation_name(qz_interpolation interpolation);

/*
 * How images are prepared for a network: resize, centre crop (black where the image is smaller),
 * divide by 255, subtract mean, divide by std. torchvision's Resize(N), Resize((H, W)), CenterCrop
 * and Normalize.
 */
typedef struct qz_preprocess {
    int32_t resize;         /* the shorter side's length, the ratio is kept; 0: no such resizing */
    int32_t crop_h, crop_w; /* both 0: no crop, the whole resized image */
    float mean[3], std[3]; /* of red, green, blue, in units of 0..1, whatever the channels' order */
    qz_interpolation interpolation;
    int32_t resize_h,
        resize_w; /* both above 0: the image gets this size, and `resize` is not used */
    bool bgr;     /* the network's first channel is blue */
} qz_preprocess;

/* 8-bit RGB pixels. Free with qz_image_free. */
typedef struct qz_image {
    int32_t width, height;
    uint8_t *rgb; /* rows of width * 3 bytes */
} qz_image;
/* How an image file is read. Begin with QZ_IMAGE_OPTIONS_INIT: zero is the default everywhere. */
typedef struct qz_image_options {
    size_t size;  /* sizeof(qz_image_options) */
    bool no_exif; /* leave the pixels as they are stored. Otherwise they are turned upright by the
                     EXIF orientation of a JPEG or PNG, as Pillow's ImageOps.exif_transpose turns
                     them; damaged EXIF data is ignored */
    /* what a PNG file stores in place of colors: the index into the palette, or the gray value of 1
     * to 8 bits as it is, the same byte as red, green and blue. Masks of classes are files of this
     * kind. Other files are read as always; gray of 16 bits is QZ_ERR_FORMAT */
    bool indices;
} qz_image_options;
#define QZ_IMAGE_OPTIONS_INIT QZ_OPTIONS_INIT(qz_image_options)
/*
 * Reads a JPEG, PNG or BMP file (built with stb_image), turned upright by its EXIF orientation.
 * QZ_ERR_IO, QZ_ERR_FORMAT, QZ_ERR_UNSUPPORTED (built without images), QZ_ERR_MEMORY; the message
 * begins with the path. image->rgb is NULL then.
 */
QZ_API qz_status qz_image_load(qz_context *context, const char *path, qz_image *image);
/* The same of a file's bytes in memory, which are not kept; messages use `name` as the path. */
QZ_API qz_status qz_image_parse(qz_context *context, const void *bytes, size_t size,
                                const char *name, qz_image *image);
/* qz_image_load with options; NULL: the defaults. */
QZ_API qz_status qz_image_load_with(qz_context *context, const char *path,
                                    const qz_image_options *options, qz_image *image);
/* qz_image_parse with options; NULL: the defaults. */
QZ_API qz_status qz_image_parse_with(qz_context *context, const void *bytes, size_t size,
                                     const char *name, const qz_image_options *options,
                                     qz_image *image);
/*
 * Finds what can be known of an image file without decoding it, in about the time of reading it:
 * its kind, its size, segments and chunks that are whole and in order, the checksums of a PNG.
 * Failures are those of qz_image_load. width and height, before turning, may be NULL.
 */
QZ_API qz_status qz_image_check(qz_context *context, const char *path, int32_t *width,
                                int32_t *height);
/* Leaves the image empty; NULL, and an empty one, are fine. */
QZ_API void qz_image_free(qz_context *context, qz_image *image);
/* How the bytes of an image are laid out. */
typedef enum qz_pixel_format {
    QZ_PIXELS_RGB = 0, /* 3 bytes a pixel */
    QZ_PIXELS_BGR,
    QZ_PIXELS_RGBA, /* 4 bytes a pixel; alpha is not looked at */
    QZ_PIXELS_BGRA,
    QZ_PIXELS_GRAY,       /* 1 byte a pixel: red, green and blue alike */
    QZ_PIXELS_RGB_PLANAR, /* a whole image of red, one of green, one of blue */
    QZ_PIXELS_BGR_PLANAR,
    QZ_PIXELS_COUNT
} qz_pixel_format;

/* An 8-bit image of the caller's. */
typedef struct qz_pixels {
    qz_pixel_format format;
    int32_t width, height;
    size_t stride; /* bytes from row to row; 0: rows follow each other */
    size_t plane;  /* planar formats: bytes from plane to plane; 0: planes follow each other */
    const uint8_t *data;
} qz_pixels;

/* The size of what a recipe makes of an image of width x height: its crop, or the resized image.
 * QZ_ERR_ARGUMENT: a recipe that makes no sense, or a side of more than 65535 pixels. */
QZ_API qz_status qz_preprocess_size(qz_context *context, const qz_preprocess *recipe, int32_t width,
                                    int32_t height, int32_t *out_width, int32_t *out_height);
/* Applies a recipe: output 1 x 3 x H x W float32 into `out`, of the size of qz_preprocess_size. */
QZ_API qz_status qz_image_preprocess(qz_context *context, const uint8_t *rgb, int32_t width,
                                     int32_t height, size_t stride, const qz_preprocess *recipe,
                                     float *out);
/* Pillow's Image.resize, 8-bit RGB: two passes, 22-bit fixed point, uint8 between. */
QZ_API qz_status qz_image_resize(qz_context *context, const uint8_t *rgb, int32_t width,
                                 int32_t height, size_t stride, int32_t out_width,
                                 int32_t out_height, qz_interpolation interpolation, uint8_t *out);

/* The i-th synthetic calibration image: 1 x 3 x h x w, coarse structure plus noise, the same on
 * every machine. */
QZ_API void qz_synthetic_image(int64_t index, int32_t h, int32_t w, float *out);
/* The same with values from 0 to 1, as detectors take images. */
QZ_API void qz_synthetic_unit_image(int64_t index, int32_t h, int32_t w, float *out);

#ifdef __cplusplus
}
#endif
#endif
