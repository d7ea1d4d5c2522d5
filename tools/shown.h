/* SPDX-License-Identifier: MIT */
/* shown.h - texts of files and users, made safe for a terminal. */
#ifndef QZOO_TOOLS_SHOWN_H
#define QZOO_TOOLS_SHOWN_H

#include <stddef.h>

/*
 * Copies `text`; control characters and bytes that are not UTF-8 become \x1b. Cut to `size` bytes,
 * with the NUL. Returns `out`.
 */
const char *shown(const char *text, char *out, size_t size);

#endif
