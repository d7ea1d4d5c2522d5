/* SPDX-License-Identifier: MIT */
/* context.h - what a context holds. Only layers/base sees it. */
#ifndef QZOO_LAYERS_BASE_CONTEXT_H
#define QZOO_LAYERS_BASE_CONTEXT_H

#include "layers/base/base.h"

#include <pthread.h>
#include <stdatomic.h>

struct qz_context {
    qz_allocator allocator; /* complete: the C library's where the caller gave none */
    bool own_allocator;     /* the caller gave it */
    qz_log_fn log;          /* NULL: silence */
    void *log_user;
    qz_isa isa;       /* resolved, never AUTO */
    uint32_t threads; /* as asked for, resolved, at least 1 */
    char *cache_dir;  /* NULL: none is known */
    /* What runs regions: the caller's pool, or a team of our own, made when first needed. */
    void *pool;                 /* a pthreadpool_t; NULL: our own */
    atomic_bool cancelled;      /* by qz_context_cancel */
    _Atomic int64_t team_ended; /* when the pool's last run did, in microseconds of qzi_now */
    pthread_mutex_t team_lock;  /* guards the creation */
    struct qzi_team *team;
    bool team_failed; /* no threads to be had: regions run on the caller's */
};

/* The C library's allocator. */
extern const qz_allocator qzi_default_allocator;

/* Ends the context's own threads, if it has any. */
void qzi_threads_destroy(qz_context *ctx);
/* Threads that the system grants, with the caller's; starts them. */
uint32_t qzi_threads_granted(const qz_context *ctx);
/* Threads of a caller's pool. */
uint32_t qzi_threads_of_pool(void *pool);

#endif
