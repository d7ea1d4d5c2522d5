/* SPDX-License-Identifier: MIT */
/* file_target.h - what a path that will be written names. Private. */
#ifndef QZOO_WEIGHTS_FILE_TARGET_H
#define QZOO_WEIGHTS_FILE_TARGET_H

#include "layers/base/base.h"

enum qzi_target {
    QZI_TARGET_FILE,     /* a regular file, there or not: to be replaced */
    QZI_TARGET_IN_PLACE, /* a device or pipe */
    QZI_TARGET_STDOUT,   /* this process's standard output */
};

/* *target: the path with its links followed, freed by the caller. QZ_ERR_IO: a folder, a socket, a
 * circle of links. */
qz_status qzi_target_find(const qz_context *ctx, const char *path, enum qzi_target *kind,
                          char **target);

#endif
