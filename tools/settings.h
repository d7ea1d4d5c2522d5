/* SPDX-License-Identifier: MIT */
/* settings.h - a detector's settings: --set, --size and --rois. */
#ifndef QZOO_TOOLS_SETTINGS_H
#define QZOO_TOOLS_SETTINGS_H

#include "options.h"

/*
 * Looks at --set, --size and --rois before the work, for the detector of this name; nothing is done
 * for other models. EXIT_DONE, EXIT_USAGE or EXIT_INPUT after a message.
 */
int settings_check(const tool_options *options, qz_context *ctx, const char *name);
/* Changes the model's settings by --set and --size. Nothing where it is no detector. */
int settings_apply(const tool_options *options, qz_context *ctx, qz_model *model);
/* Gives the session the boxes of --rois, where it is given. */
int settings_rois(const tool_options *options, qz_context *ctx, qz_session *session);

#endif
