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
    _Atomic int64_t bytes;   /* of the blocks that are not freed yet */
    _Atomic int64_t peak;    /* most of them so far */
    _Atomic int64_t fail_at; /* the allocation of this number fails; -1: none */
} counting;
#define COUNTING_INIT \
    {                 \
        .fail_at = -1 \
    }

/* A block's size is stored before it. */
#define COUNTING_HEADER ((size_t)64)

static inline void *counting_alloc(void *user, size_t size, size_t align)
{
    counting *c = user;
    void *block = NULL;
    if (align > COUNTING_HEADER)
        abort(); /* the library asks for no more than a cache line */
    if (atomic_fetch_add(&c->total, 1) == c->fail_at ||
        posix_memalign(&block, COUNTING_HEADER, size + COUNTING_HEADER) != 0)
        return NULL;
    memcpy(block, &size, sizeof(size));
    memset((char *)block + COUNTING_HEADER, 0xa5, size); /* nothing may count on zeros */
    atomic_fetch_add(&c->live, 1);
    int64_t now = atomic_fetch_add(&c->bytes, (int64_t)size) + (int64_t)size;
    if (now > c->peak)
        c->peak = now;
    return (char *)block + COUNTING_HEADER;
}

static inline void counting_free(void *user, void *ptr)
{
    counting *c = user;
    size_t size;
    if (!ptr)
        abort(); /* free never gets NULL */
    char *block = (char *)ptr - COUNTING_HEADER;
    memcpy(&size, block, sizeof(size));
    atomic_fetch_sub(&c->live, 1);
    atomic_fetch_sub(&c->bytes, (int64_t)size);
    free(block);
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
