/* SPDX-License-Identifier: MIT */
/* fetch_bar.h - the progress of a download: a line that grows on a terminal. */
#ifndef QZOO_TOOLS_FETCH_BAR_H
#define QZOO_TOOLS_FETCH_BAR_H

#include "options.h"

typedef struct fetch_bar {
    const tool_options *options;
    bool announce; /* without a terminal: print one line that names the file */
    bool shown;
} fetch_bar;

/* The options for a fetch (--mirror, --offline …), which reports its progress to `bar`. */
void fetch_bar_options(fetch_bar *bar, qz_fetch_options *fetch);
/* Clears the line. */
void fetch_bar_end(fetch_bar *bar);

#endif
