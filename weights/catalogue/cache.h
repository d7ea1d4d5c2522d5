/* SPDX-License-Identifier: MIT */
/* cache.h - the folder of fetched files, between cache.c and fetch.c. Private. */
#ifndef QZOO_WEIGHTS_CATALOGUE_CACHE_H
#define QZOO_WEIGHTS_CATALOGUE_CACHE_H

#include "layers/base/base.h"
#include "weights/qzoo_weights.h"

/* Suffixes of what lies beside a file: an unfinished download, what it is of, the lock. */
#define QZI_CACHE_PART ".part"
#define QZI_CACHE_PART_INFO ".part-info"
#define QZI_CACHE_LOCK ".lock"

/* Path of the file in the own cache, with a suffix; freed with qzi_free. */
qz_status qzi_cache_path(const qz_context *ctx, const qz_weights_info *info, const char *suffix,
                         char **path);
/* Creates the cache folder and those above it. */
qz_status qzi_cache_make_folder(const qz_context *ctx);

/* Whether the 64 digits begin with those that are known. */
bool qzi_cache_hash_fits(const qz_weights_info *info, const char *hex);

/*
 * A lock that dies with its process. `*fd` is -1 when another holds it. Unlocking removes its file.
 */
qz_status qzi_cache_lock(const qz_context *ctx, const char *path, int *fd);
void qzi_cache_unlock(const char *path, int fd);

#endif
