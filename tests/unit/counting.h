/* SPDX-License-Identifier: MIT */
/* counting.h - an allocator that counts what lives, and fails where a test asks for it. */
#ifndef QZOO_TESTS_UNIT_COUNTING_H
#define QZOO_TESTS_UNIT_COUNTING_H

#include "layers/base/base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct counting {
    _Atomic int64_t live;    /* blocks that are not freed yet */
    _Atomic int64_t total;   /* allocations asked for */
    _Atomic int64_t fail_at; /* the allocation of this number fails; -1: none */
} counting;
#define COUNTING_INIT \
    {                 \
        0, 0, -1      \
    }

static inline void *counting_alloc(void *user, size_t size, size_t align)
{
    counting *c = user;
    void *ptr = NULL;
    if (atomic_fetch_add(&c->total, 1) == c->fail_at || posix_memalign(&ptr, align, size) != 0)
        return NULL;
    memset(ptr, 0xa5, size); /* nothing may count on zeros */
    atomic_fetch_add(&c->live, 1);
    return ptr;
}

static inline void counting_free(void *user, void *ptr)
{
    counting *c = user;
    if (ptr == NULL)
        abort(); /* free never gets NULL */
    atomic_fetch_sub(&c->live, 1);
    free(ptr);
}

/* A context on this allocator; NULL when it cannot be made. threads 0: as many as there are. */
static inline qz_context *counting_context(counting *c, uint32_t threads)
{
    const qz_allocator allocator = {counting_alloc, counting_free, c};
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.allocator = &allocator;
    o.threads = threads;
    o.cache_dir = "/nowhere";
    qz_context *ctx = NULL;
    qz_context_create(&o, &ctx);
    return ctx;
}

/*
 * for (int64_t n = 0; counting_fail(&c, n); n++) { … make the call; leave the loop when it works …
 * } lets the n-th allocation from here on fail.
 */
static inline bool counting_fail(counting *c, int64_t n)
{
    c->fail_at = c->total + n;
    return true;
}

#endif
