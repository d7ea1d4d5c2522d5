/* SPDX-License-Identifier: MIT */
/* cmd_weights.h - the subcommands of cmd_weights.c that cmd_weights_file.c implements. */
#ifndef QZOO_TOOLS_CMD_WEIGHTS_H
#define QZOO_TOOLS_CMD_WEIGHTS_H

#include "options.h"

/* qzoo weights show FILE; qzoo weights convert IN OUT. */
int weights_show(const tool_options *options, qz_context *ctx);
int weights_convert(const tool_options *options, qz_context *ctx);

#endif
