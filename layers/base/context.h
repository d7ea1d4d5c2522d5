/* SPDX-License-Identifier: MIT */
/* context.h - what a context holds. Only layers/base sees it. */
#ifndef QZOO_LAYERS_BASE_CONTEXT_H
#define QZOO_LAYERS_BASE_CONTEXT_H

#include "layers/base/base.h"

#include <pthread.h>
#include <stdatomic.h>

struct qz_context {
    qz_allocator allocator; /* complete: the C library's where the caller gave none */
    qz_log_fn log;          /* NULL: silence */
    void *log_user;
    qz_isa isa;       /* resolved, never AUTO */
    uint32_t threads; /* resolved, at least 1 */
    char *cache_dir;  /* NULL: none is known */
    /* The pool that runs regions: the caller's, or our own, made when first needed. */
    pthread_mutex_t pool_lock; /* guards the creation */
    void *pool;                /* a pthreadpool_t */
    bool pool_owned;
    bool pool_failed;           /* no threads to be had: regions run on the caller's */
    bool pool_seen, crowded;    /* it has more threads than there are processors */
    _Atomic int64_t team_ended; /* when the last run did, in microseconds of qzi_now */
};

/* The C library's allocator. */
extern const qz_allocator qzi_default_allocator;

/* Frees the context's own pool, if it has one. */
void qzi_threads_destroy(qz_context *ctx);
/* Threads of a caller's pool. */
uint32_t qzi_threads_of_pool(void *pool);

#endif
