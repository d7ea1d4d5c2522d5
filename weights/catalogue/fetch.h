/* SPDX-License-Identifier: MIT */
/* fetch.h - one HTTP transfer, between fetch.c (what is wanted) and fetch_curl.c. Private. */
#ifndef QZOO_WEIGHTS_CATALOGUE_FETCH_H
#define QZOO_WEIGHTS_CATALOGUE_FETCH_H

#include "layers/base/base.h"
#include "weights/qzoo_weights.h"

#define QZI_VALIDATOR_MAX 256

typedef struct qzi_transfer {
    const qz_context *ctx;
    const char *url;
    const char *path; /* of the file that is written, for messages */
    int fd;
    bool allow_http;
    const char *ca_file; /* NULL: the system's */
    uint32_t timeout;    /* seconds */
    uint64_t limit;      /* most bytes that the file may have */
    uint64_t expected;   /* its exact size; 0: not known */
    /* Bytes that the file has, to go on from if the server's copy is still that of `validator`;
     * afterwards what it has now, and the validator ("" when the server sends none that counts). */
    uint64_t done;
    char validator[QZI_VALIDATOR_MAX];
    /* Called once before the first byte is written, when the validator is that of the answer. */
    void (*started)(void *user, const struct qzi_transfer *transfer);
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
    /* what came out */
    long http_status;     /* 0: none */
    bool passing;         /* the failure may be gone at the next try */
    uint32_t retry_after; /* seconds that the server asks for; 0: none */
} qzi_transfer;

/* QZ_OK: the file has all its bytes. QZ_ERR_NETWORK, _IO, _CHECKSUM (a wrong size), _CANCELLED. */
qz_status qzi_transfer_run(qzi_transfer *transfer);

#endif
