/* SPDX-License-Identifier: MIT */
/* options_parse.h - reads the words after a command. */
#ifndef QZOO_TOOLS_OPTIONS_PARSE_H
#define QZOO_TOOLS_OPTIONS_PARSE_H

#include "options.h"

/*
 * Parses argv after the name of `command`, which takes the options of `groups`. Returns EXIT_DONE,
 * or the status to exit with after a message. Free the options with options_free either way.
 */
int options_parse(const char *command, unsigned groups, int argc, char **argv,
                  tool_options *options);

/* A decimal number and nothing beside it, from `min` to `max`; *out is unchanged otherwise. */
bool parse_whole(const char *text, long min, long max, long *out);

#endif
