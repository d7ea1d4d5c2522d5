/* SPDX-License-Identifier: MIT */
/* crew.h - the threads that a context owns. Only layers/base sees it. */
#ifndef QZOO_LAYERS_BASE_CREW_H
#define QZOO_LAYERS_BASE_CREW_H

#include "layers/base/base.h"

#include <stdatomic.h>

typedef struct qzi_crew qzi_crew;

/* What a thread of a crew does all its life. `number` is 1 or more: 0 is the caller's thread. */
typedef void (*qzi_crew_fn)(qzi_crew *crew, void *arg, uint32_t number);

/*
 * Starts threads - 1 threads, or as many as the system grants: then a warning is logged. Returns
 * NULL where there is no memory or not a single thread: all work is the caller's then. Never waits
 * for a thread.
 */
qzi_crew *qzi_crew_create(const qz_context *ctx, uint32_t threads, qzi_crew_fn fn, void *arg);
/* Waits for the end of the threads: their function must have been told to return. */
void qzi_crew_destroy(const qz_context *ctx, qzi_crew *crew);

/* Threads, with the caller's. */
uint32_t qzi_crew_count(const qzi_crew *crew);

/* Called by thread `number`: sleeps while *word is `seen`. Returns at any time. */
void qzi_crew_sleep(qzi_crew *crew, uint32_t number, const _Atomic uint64_t *word, uint64_t seen);
/* To be called after a sequentially consistent change of the word: wakes threads 1 to count - 1. */
void qzi_crew_wake(qzi_crew *crew, uint32_t count);

#endif
