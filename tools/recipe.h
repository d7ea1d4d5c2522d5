/* SPDX-License-Identifier: MIT */
/* recipe.h - the recipe for images: the model's own, changed by --size, --resize, --mean, … */
#ifndef QZOO_TOOLS_RECIPE_H
#define QZOO_TOOLS_RECIPE_H

#include "report.h"

/* Whether the values of the options make sense, alone and beside each other. EXIT_DONE, or
 * EXIT_USAGE after a message. */
int recipe_check(const tool_options *options);
/*
 * Changes the model's recipe as the options say; without options nothing is done. `file` is the
 * saved model's path, whose own recipe is overridden with a note, or NULL. Before the first session
 * and before calibration.
 */
int recipe_apply(const tool_options *options, qz_context *ctx, qz_model *model, const char *file);
/* The line about a recipe that is only assumed: weights of a file without a recipe of their own. */
void recipe_note(const tool_options *options, const qz_model_info *info);
/* "resize 256, crop 224x224, bilinear, mean 0.485,0.456,0.406, std …". Cut to `size` bytes. */
void recipe_text(const qz_preprocess *recipe, char *text, size_t size);
/* The same as an object, with the words of ONNX's metadata. */
json_t *recipe_json(const qz_preprocess *recipe);

#endif
