/* SPDX-License-Identifier: MIT */
/* picture.h - the pictures that --draw writes: their names, and what is drawn. */
#ifndef QZOO_TOOLS_PICTURE_H
#define QZOO_TOOLS_PICTURE_H

#include "images_find.h"

/* Whether --draw names a file, and not a folder. */
bool picture_is_file(const tool_options *options);
/* Refuses a --draw that names a file of another format than PNG. */
int picture_check_name(const tool_options *options);
/* Refuses, before the work, inputs whose pictures would have one name, or be the input itself. */
int picture_check(const tool_options *options, const image_list *inputs);
/* Makes the folder of --draw. */
int picture_begin(const tool_options *options);
/* Writes the picture of an input. */
int picture_save(const tool_options *options, qz_context *ctx, const char *input,
                 const qz_canvas *picture);

#endif
