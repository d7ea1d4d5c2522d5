/* SPDX-License-Identifier: MIT */
/* image_names.h - what a file is by the suffix of its name. */
#ifndef QZOO_TOOLS_IMAGE_NAMES_H
#define QZOO_TOOLS_IMAGE_NAMES_H

#include <stdbool.h>

/* Whether `name` is longer than `suffix` and ends in it, in any case of letters. */
bool has_suffix(const char *name, const char *suffix);
/* Whether a file of this name is read as an image or an array: .jpg, .png, .npy, … */
bool images_is_image(const char *name);
/* An array: .npy. */
bool images_is_array(const char *name);
/* Statistics of calibration images: .qzstats. */
bool images_is_statistics(const char *name);
/* A list of files: .txt. */
bool images_is_list(const char *name);

#endif
