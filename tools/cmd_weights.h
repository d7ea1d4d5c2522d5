/* SPDX-License-Identifier: MIT */
/* cmd_weights.h - between cmd_weights.c (catalogue and cache) and cmd_weights_file.c (files). */
#ifndef QZOO_TOOLS_CMD_WEIGHTS_H
#define QZOO_TOOLS_CMD_WEIGHTS_H

#include "options.h"

/* qzoo weights show FILE; qzoo weights convert IN OUT. */
int weights_show(const tool_options *options, qz_context *ctx);
int weights_convert(const tool_options *options, qz_context *ctx);

#endif
