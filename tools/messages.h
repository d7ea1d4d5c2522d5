/* SPDX-License-Identifier: MIT */
/* messages.h - exit statuses, and messages on stderr: failures, notes, progress. */
#ifndef QZOO_TOOLS_MESSAGES_H
#define QZOO_TOOLS_MESSAGES_H

#include "qzoo.h"

/* Exit statuses: scripts rely on them. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,      /* the work failed */
    EXIT_USAGE = 2,       /* an unknown model, option or value */
    EXIT_INPUT = 3,       /* an input is missing, damaged or does not fit */
    EXIT_FETCH = 4,       /* the network or a checksum */
    EXIT_UNSUPPORTED = 5, /* not supported here, yet, or by this CPU */
};

/* Prints a line on stdout, with nothing in it that moves a terminal's cursor. */
void tool_print(const char *fmt, ...) QZ_PRINTF(1, 2);
/* Prints "qzoo: …" on stderr; returns `status`. */
int tool_fail(int status, const char *fmt, ...) QZ_PRINTF(2, 3);
/* Whether tool_fail has printed anything. */
bool tool_has_failed(void);
/* Prints "qzoo: warning: …" on stderr, unless `quiet`, once; keeps it for the rows of JSON. */
void tool_warning(bool quiet, const char *text);
/* The warnings since tool_warnings_clear; NULL: no more. */
const char *tool_warning_at(size_t index);
void tool_warnings_clear(void);
/* Reports memory that the program itself did not get; returns EXIT_FAILED. */
int tool_fail_memory(void);
/*
 * The library names the options of its structs ("options.num_classes"); this makes the program's of
 * them ("--num-classes"), where the program has one of that name. Cut to `size`; returns `text`.
 */
const char *tool_words(const char *message, char *text, size_t size);
/* Prints the library's message; returns the exit status of its code. */
int tool_fail_status(qz_context *ctx, qz_status status);
int tool_exit_of(qz_status status);
/* Prints "what 12/32" on stderr when stderr is a terminal and not `quiet`. */
void tool_progress(bool quiet, const char *what, size_t done, size_t total);
/* Prints a note for people on stderr, unless `quiet`. */
void tool_note(bool quiet, const char *fmt, ...) QZ_PRINTF(2, 3);

#endif
