/* SPDX-License-Identifier: MIT */
/* options_apply.h - whether the options that were given have an effect. */
#ifndef QZOO_TOOLS_OPTIONS_APPLY_H
#define QZOO_TOOLS_OPTIONS_APPLY_H

#include "options.h"

/* Refuses an option that the command would ignore beside the others, and options that contradict
 * each other. EXIT_DONE, or EXIT_USAGE after a message. */
int options_apply(const tool_options *options);
/* The same for a model that turned out to be float, and is not quantized. */
int options_apply_float(const tool_options *options);
/* The same for a model of this task, such as "detection": what a model file is for is known when
 * the file is open. */
int options_apply_task(const tool_options *options, const char *task);

#endif
