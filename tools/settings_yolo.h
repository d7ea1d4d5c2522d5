/* SPDX-License-Identifier: MIT */
/* settings_yolo.h - YOLO's own options: --iou, --rect, --protocol and others. */
#ifndef QZOO_TOOLS_SETTINGS_YOLO_H
#define QZOO_TOOLS_SETTINGS_YOLO_H

#include "options.h"

/* Whether the detector of this name is a YOLO. */
bool settings_is_yolo(qz_context *ctx, const char *model);
/* Changes settings by the options; of eval also by its protocol. Refuses them for other detectors.
 * EXIT_DONE, or EXIT_USAGE after a message. */
int settings_yolo(const tool_options *options, qz_context *ctx, const char *model,
                  qz_detection_options *settings);
/* Whether any of the options was given, or eval's protocol applies. */
bool settings_yolo_given(const tool_options *options);

/* Whether --classes of `run` or `export` has numbers of classes, such as 0,3, and no file of their
 * names. */
bool settings_has_class_numbers(const tool_options *options);
/* These numbers, into an array that the caller frees, also after EXIT_USAGE. */
int settings_class_numbers(const tool_options *options, int32_t **classes, size_t *count);
/* Gives the session these classes. */
int settings_classes(const tool_options *options, qz_context *ctx, qz_session *session);

#endif
