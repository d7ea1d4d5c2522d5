/* SPDX-License-Identifier: MIT */
/*
 * file_replace.h - writes a file that is never half there under its final name: a temporary file
 * beside it, fsync, rename. Private.
 */
#ifndef QZOO_WEIGHTS_FILE_REPLACE_H
#define QZOO_WEIGHTS_FILE_REPLACE_H

#include "layers/base/base.h"

typedef struct qzi_file_replace {
    const qz_context *ctx;
    const char *path; /* the caller's */
    char *temporary;  /* NULL: not open */
    int fd;
} qzi_file_replace;

/* Creates the temporary file. QZ_ERR_IO names the path, and so does every failure below. */
qz_status qzi_file_replace_open(const qz_context *ctx, const char *path, qzi_file_replace *file);
qz_status qzi_file_replace_write(const qzi_file_replace *file, const void *data, size_t size);
/* The same of `count` numbers of `size` bytes each, as a little-endian machine holds them. */
qz_status qzi_file_replace_write_numbers(const qzi_file_replace *file, const void *data,
                                         size_t count, size_t size);
/* Gives it its name; when that fails, what stood there before still does. */
qz_status qzi_file_replace_commit(qzi_file_replace *file);
/* Removes what was not committed; nothing where all was. */
void qzi_file_replace_discard(qzi_file_replace *file);

#endif
