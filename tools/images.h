/* SPDX-License-Identifier: MIT */
/* images.h - the images and arrays that --calib and INPUT name. */
#ifndef QZOO_TOOLS_IMAGES_H
#define QZOO_TOOLS_IMAGES_H

#include "image_names.h"
#include "images_find.h"

/* How images are read from now on: --no-exif; and what is said once for each model. */
void images_begin(const tool_options *options);
/* Says once for each model which preprocessing is assumed; images_load does it, too. */
void images_note_preprocessing(const qz_model_info *info);
/*
 * Looks at every file of the list before the work begins: arrays whole, of images all that is known
 * without decoding (qz_image_check). Names the first that is bad; with --skip-bad names each, which
 * images_drop_bad then takes off lists.
 */
int images_check(const tool_options *options, qz_context *ctx, const image_list *list);
/* The same of --calib and of run's inputs; and says what their folders hold beside images. */
int images_check_all(const tool_options *options, qz_context *ctx);
/*
 * Image `index` as NCHW float32, preprocessed for the model (.npy: unchanged). Free with
 * images_release, after a failure too.
 */
int images_load(qz_context *ctx, const image_list *list, size_t index, const qz_model_info *info,
                qz_tensor *tensor);
void images_release(qz_tensor *tensor);
/* An image file's pixels, turned upright unless --no-exif. Free with qz_image_free. */
int images_load_rgb(qz_context *ctx, const char *path, qz_image *image);
/* Arrays and images, each of a size of its own. */
typedef struct image_tensors {
    qz_tensor *list;
    size_t count;
} image_tensors;
/* The first `most` images of --calib (without --calib: synthetic images). Free it after a failure,
 * too. */
int images_gather(const tool_options *options, qz_context *ctx, const qz_model_info *info,
                  size_t most, image_tensors *images);
void images_gather_free(image_tensors *images);
/*
 * The same as one batch. Images of another size than the first are left out, and counted on stderr.
 * The caller frees batch->data, after a failure too.
 */
int images_gather_batch(const tool_options *options, qz_context *ctx, const qz_model_info *info,
                        size_t most, qz_tensor *batch);
/* The images that --calib names in the order of their paths, or 32 synthetic images. */
int images_of_calib(const tool_options *options, image_list *list);

#endif
