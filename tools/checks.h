/* SPDX-License-Identifier: MIT */
/* checks.h - what can be known before the work is checked before it. */
#ifndef QZOO_TOOLS_CHECKS_H
#define QZOO_TOOLS_CHECKS_H

#include "options.h"

/*
 * Models, weights and images that the command names are there; every output can be written, and no
 * two outputs are one file. Changes nothing. EXIT_DONE, or the status of the message.
 */
int checks_before(const tool_options *options);
/* Whether one of the outputs is standard output, so that no text goes there. */
bool checks_stdout_taken(const tool_options *options);

#endif
