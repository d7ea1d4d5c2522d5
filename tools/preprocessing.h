/* SPDX-License-Identifier: MIT */
/* preprocessing.h - how images are prepared: the model's own way, changed by --size, --mean, … */
#ifndef QZOO_TOOLS_PREPROCESSING_H
#define QZOO_TOOLS_PREPROCESSING_H

#include "report.h"

/* Whether the values of the options make sense, alone and beside each other. EXIT_DONE, or
 * EXIT_USAGE after a message. */
int preprocessing_check(const tool_options *options);
/*
 * Changes the model's preprocessing as the options say; without options nothing is done. `file` is
 * the saved model's path, whose own way is overridden with a note, or NULL. Before the first
 * session and before calibration.
 */
int preprocessing_apply(const tool_options *options, qz_context *ctx, qz_model *model,
                        const char *file);
/* The line about preprocessing that is only assumed: weights of a file without one of their own. */
void preprocessing_note(const tool_options *options, const qz_model_info *info);
/* "resize 256, crop 224x224, bilinear, mean 0.485,0.456,0.406, std …". Cut to `size` bytes. */
void preprocessing_text(const qz_preprocess *preprocess, char *text, size_t size);
/* The same as an object, with the words of ONNX's metadata. */
json_t *preprocessing_json(const qz_preprocess *preprocess);

#endif
