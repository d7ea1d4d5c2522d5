/* SPDX-License-Identifier: MIT */
/* output_file.h - a result file that is written whole or not at all. */
#ifndef QZOO_TOOLS_OUTPUT_FILE_H
#define QZOO_TOOLS_OUTPUT_FILE_H

#include <stdio.h>

typedef struct output_file {
    const char *path; /* "-": standard output */
    FILE *stream;     /* what is written here becomes the file */
    char *bytes;
    size_t size;
} output_file;

/* Begins a file. Returns EXIT_DONE, or EXIT_FAILED: there is nothing to close then. */
int output_open(const char *path, output_file *file);
/*
 * Writes the file; returns EXIT_DONE. Where `status` is a failure nothing is written, and where
 * writing fails the path keeps its old content; the status is returned.
 */
int output_close(output_file *file, int status);
/* Writes a whole file; "-" is standard output. */
int output_save(const char *path, const void *bytes, size_t size);
/* What the library calls the path: "/dev/stdout" for "-". */
const char *output_path(const char *path);

#endif
