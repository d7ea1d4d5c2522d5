/* SPDX-License-Identifier: MIT */
/* memory.h - how much memory is free, and sizes as people write them. */
#ifndef QZOO_LAYERS_BASE_MEMORY_H
#define QZOO_LAYERS_BASE_MEMORY_H

#include "layers/qzoo_base.h"

/* The same, read from files below `root`, without the process's own limit: for tests. */
uint64_t qzi_memory_free(const char *root);

/* "2.05 GB" (1e9 bytes), "700 bytes". */
typedef struct qzi_bytes {
    char text[24];
} qzi_bytes;
qzi_bytes qzi_bytes_text(uint64_t bytes);

/*
 * QZ_OK where `bytes` can be had; else QZ_ERR_MEMORY with the line "WHAT takes 2.05 GB, and 1.20 GB
 * of memory are free; HINT". A caller's own allocator is not second-guessed.
 */
qz_status qzi_check_memory(const qz_context *ctx, uint64_t bytes, const char *what,
                           const char *hint);

#endif
