/* SPDX-License-Identifier: MIT */
/* sha256.h - SHA-256 (FIPS 180-4). Private. */
#ifndef QZOO_WEIGHTS_CATALOGUE_SHA256_H
#define QZOO_WEIGHTS_CATALOGUE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct qzi_sha256 {
    uint32_t state[8];
    uint64_t size;     /* bytes so far */
    uint8_t block[64]; /* the last, unfinished one */
} qzi_sha256;

void qzi_sha256_init(qzi_sha256 *sha);
void qzi_sha256_update(qzi_sha256 *sha, const void *data, size_t size);
/* 64 lower-case digits and a NUL; the state is used up. */
void qzi_sha256_final(qzi_sha256 *sha, char hex[65]);

#endif
