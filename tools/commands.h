/* SPDX-License-Identifier: MIT */
/* commands.h - the table of commands, and the function of each command (cmd_NAME.c). */
#ifndef QZOO_TOOLS_COMMANDS_H
#define QZOO_TOOLS_COMMANDS_H

#include "options.h"

typedef struct tool_command {
    const char *name;
    const char *args;    /* of the usage line */
    const char *summary; /* one line */
    unsigned options;    /* OPT_* groups */
    int (*run)(const tool_options *options);
} tool_command;

extern const tool_command tool_commands[];      /* ends with name NULL */
extern const char *const tool_later_commands[]; /* of the contract, not built yet; ends with NULL */

int cmd_list(const tool_options *options);
int cmd_bench(const tool_options *options);
int cmd_run(const tool_options *options);
int cmd_eval(const tool_options *options);
int cmd_calibrate(const tool_options *options);
int cmd_quantize(const tool_options *options);
int cmd_export(const tool_options *options);
int cmd_weights(const tool_options *options);
int cmd_cpu(const tool_options *options);

#endif
