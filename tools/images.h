/* SPDX-License-Identifier: MIT */
/* images.h - the images and arrays that --calib and INPUT name. */
#ifndef QZOO_TOOLS_IMAGES_H
#define QZOO_TOOLS_IMAGES_H

#include "options.h"

typedef struct image_list {
    char **paths; /* files in bytewise order of names */
    size_t count;
    long synthetic; /* that many synthetic images instead; 0 */
} image_list;

/* How images are read from now on: --no-exif; and what is said once for each model. */
void images_begin(const tool_options *options);
/* Says once for each model which recipe is assumed; images_load does it, too. */
void images_note_recipe(const qz_model_info *info);
/* Whether a file of this name is an image or an array, by its suffix. */
bool images_is_image(const char *name);
int images_find(const char *const *what, size_t count, image_list *list);
void images_free(image_list *list);
/*
 * Image `index` as NCHW float32, preprocessed for the model (.npy: unchanged). Free with
 * images_release, after a failure too.
 */
int images_load(qz_context *ctx, const image_list *list, size_t index, const qz_model_info *info,
                qz_tensor *tensor);
void images_release(qz_tensor *tensor);
/*
 * The first `most` images of --calib (without --calib: synthetic images) as one batch. Images of
 * another size than the first are left out. The caller frees batch->data, after a failure too.
 */
int images_gather(const tool_options *options, qz_context *ctx, const qz_model_info *info,
                  size_t most, qz_tensor *batch);
/* The images that --calib names, or 32 synthetic images. */
int images_of_calib(const tool_options *options, image_list *list);

#endif
