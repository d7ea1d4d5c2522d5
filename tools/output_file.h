/* SPDX-License-Identifier: MIT */
/* output_file.h - a result file that is written whole or not at all. */
#ifndef QZOO_TOOLS_OUTPUT_FILE_H
#define QZOO_TOOLS_OUTPUT_FILE_H

#include <stdio.h>

typedef struct output_file {
    const char *path;
    char *temporary; /* the file's name until it is whole; NULL: written in place */
    FILE *stream;
} output_file;

/*
 * Opens `path` for writing; "-" is standard output. Returns EXIT_DONE, or the status of the message
 * that was printed: there is nothing to close then.
 */
int output_open(const char *path, output_file *file);
/*
 * Closes the file and gives it its name; returns EXIT_DONE. Where `status` or a write failed, the
 * path keeps its old content, and the status is returned.
 */
int output_close(output_file *file, int status);

#endif
