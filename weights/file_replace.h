/* SPDX-License-Identifier: MIT */
/*
 * file_replace.h - writes a file that is never half there under its final name. Private.
 *
 * The bytes go into a file without a name (O_TMPFILE), which the system removes however the process
 * ends, and get the name when they are all there. Where the file system has no such files, a short
 * temporary name in the same folder is used, and removed after a failure.
 *
 * A symbolic link is followed: its target is replaced, the link stays. Devices and pipes are
 * written to. "/dev/stdout" is this process's standard output as it is open now.
 */
#ifndef QZOO_WEIGHTS_FILE_REPLACE_H
#define QZOO_WEIGHTS_FILE_REPLACE_H

#include "layers/base/base.h"

typedef struct qzi_file_replace {
    const qz_context *ctx;
    const char *path; /* the caller's, for messages */
    char *target;     /* the name that the bytes get; NULL: they are written in place */
    char *temporary;  /* the name until then; NULL: none */
    int fd;
} qzi_file_replace;

/*
 * Opens the file. Every message names the path. QZ_ERR_IO: it cannot be opened for writing;
 * QZ_ERR_WRITE, also below: the disk is full or writing failed.
 */
qz_status qzi_file_replace_open(const qz_context *ctx, const char *path, qzi_file_replace *file);
/* QZ_ERR_CANCELLED too. */
qz_status qzi_file_replace_write(const qzi_file_replace *file, const void *data, size_t size);
/* The same of `count` numbers of `size` bytes each, as a little-endian machine holds them. */
qz_status qzi_file_replace_write_numbers(const qzi_file_replace *file, const void *data,
                                         size_t count, size_t size);
/* Gives it its name; when that fails, the path keeps its old content. */
qz_status qzi_file_replace_commit(qzi_file_replace *file);
/* Removes what was not committed; nothing where all was. */
void qzi_file_replace_discard(qzi_file_replace *file);

#endif
