/* SPDX-License-Identifier: MIT */
/* files.h - small things that everything which touches files here needs. Private. */
#ifndef QZOO_WEIGHTS_FILES_H
#define QZOO_WEIGHTS_FILES_H

#include "layers/base/base.h"

#include <stdio.h>

/* QZ_ERR_IO: "path: what: the system's text for errno". */
qz_status qzi_fail_errno(const qz_context *ctx, const char *path, const char *what, int error);
/* QZ_ERR_WRITE: the disk is full, or writing failed. */
qz_status qzi_fail_write(const qz_context *ctx, const char *path, int error);
/* Writes all bytes. QZ_ERR_WRITE names `path`; QZ_ERR_CANCELLED. */
qz_status qzi_write_all(const qz_context *ctx, const char *path, int fd, const void *data,
                        size_t size);
/* The folder that holds the path, to be freed with qzi_free; NULL: no memory. */
char *qzi_folder_of(const qz_context *ctx, const char *path);
/* Makes a rename in the folder last. Not all file systems can; the file is whole in any case. */
void qzi_sync_folder(const char *folder);

/* Opens a regular file for reading, which the caller closes. QZ_ERR_IO: it is not there, or is a
 * folder, a device or a pipe; a pipe that nobody writes to is refused, not waited for. */
qz_status qzi_file_open(const qz_context *ctx, const char *path, FILE **file);

#endif
