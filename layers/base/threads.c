/* SPDX-License-Identifier: MIT */
/*
 * threads.c - parallel regions on pthreadpool.
 *
 * A region has as many tasks as threads were asked for. Each has a share of the work, always the
 * same for equal regions, so that a layer finds in the caches of a core what the layer before left
 * there. It draws pieces of its share from a counter, and then of the others' shares until none is
 * left, so the load balances by itself; the task's index is the thread number, and since a task
 * runs once, no number is in use twice at a time. pthreadpool's flag that disables denormals is
 * never set: it would change results.
 */
#include "layers/base/context.h"

#include <pthreadpool.h>
#include <stdatomic.h>

/* Pieces for each thread: enough to balance, few enough to keep the counter cheap. */
#define PIECES_PER_THREAD 2

/* A region inside a region runs on the thread that asks: the pool is busy with the outer one. */
static _Thread_local bool inside_region;

/* Tasks beyond these begin with the shares of the first. */
#define MAX_SHARES 64

typedef struct share {
    _Atomic int64_t next;
    int64_t end;
    char apart[48]; /* the next one is in another cache line */
} share;

typedef struct region {
    qzi_task_fn fn;
    void *arg;
    int64_t piece, shares;
    share share[MAX_SHARES];
    /*
     * What the caller wrote is seen by the workers, and what they wrote by the caller. The pool
     * sees to that too, but by futexes, of which a race detector knows nothing.
     */
    _Atomic int32_t gate;
} region;

static void run_units(qzi_task_fn fn, void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    bool outer = inside_region;
    inside_region = true;
    qzi_fpenv env = qzi_fpenv_enter();
    fn(arg, begin, end, thread);
    qzi_fpenv_leave(env);
    inside_region = outer;
}

static void run_task(void *context, size_t index)
{
    region *r = context;
    (void)atomic_load_explicit(&r->gate, memory_order_acquire);
    for (int64_t i = 0; i < r->shares; i++) {
        share *s = &r->share[((int64_t)index + i) % r->shares];
        int64_t begin;
        /* the gate publishes: the counters need no order */
        while ((begin = atomic_fetch_add_explicit(&s->next, r->piece, memory_order_relaxed)) <
               s->end)
            run_units(r->fn, r->arg, begin, begin + QZI_MIN(r->piece, s->end - begin),
                      (uint32_t)index);
    }
    atomic_fetch_add_explicit(&r->gate, 1, memory_order_release);
}

uint32_t qzi_threads_of_pool(void *pool)
{
    return (uint32_t)pthreadpool_get_threads_count(pool);
}

void qzi_threads_destroy(qz_context *ctx)
{
    if (ctx->pool_owned)
        pthreadpool_destroy(ctx->pool);
    ctx->pool = NULL;
    ctx->pool_owned = false;
}

static pthreadpool_t get_pool(const qz_context *ctx)
{
    /* The pool is a cache: making it late does not change what the context is. */
    qz_context *c = (qz_context *)(uintptr_t)ctx;
    pthread_mutex_lock(&c->pool_lock);
    if (c->pool == NULL && !c->pool_failed) {
        c->pool = pthreadpool_create(c->threads);
        c->pool_owned = c->pool != NULL;
        c->pool_failed = c->pool == NULL;
    }
    pthreadpool_t pool = c->pool;
    pthread_mutex_unlock(&c->pool_lock);
    return pool;
}

void qzi_parallel(const qz_context *ctx, uint32_t threads, int64_t units, int64_t grain, bool last,
                  qzi_task_fn fn, void *arg)
{
    if (units <= 0)
        return;
    grain = QZI_MAX(grain, 1);
    int64_t tasks = QZI_MIN((int64_t)threads, (units - 1) / grain + 1);
    pthreadpool_t pool = NULL;
    if (tasks > 1 && ctx != NULL && ctx->threads > 1 && !inside_region)
        pool = get_pool(ctx);
    if (pool != NULL)
        tasks = QZI_MIN(tasks, (int64_t)pthreadpool_get_threads_count(pool));
    if (pool == NULL || tasks <= 1) {
        run_units(fn, arg, 0, units, 0);
        return;
    }
    int64_t piece = QZI_MAX(grain, (units - 1) / (tasks * PIECES_PER_THREAD) + 1);
    region r;
    r.fn = fn;
    r.arg = arg;
    r.piece = piece;
    r.shares = QZI_MIN(tasks, (int64_t)MAX_SHARES);
    const int64_t pieces = (units - 1) / piece + 1; /* a few for each task: nothing overflows */
    for (int64_t i = 0; i < r.shares; i++) {
        atomic_init(&r.share[i].next, pieces * i / r.shares * piece);
        r.share[i].end = QZI_MIN(pieces * (i + 1) / r.shares * piece, units);
    }
    atomic_init(&r.gate, 0);
    atomic_store_explicit(&r.gate, 1, memory_order_release);
    pthreadpool_parallelize_1d(pool, run_task, &r, (size_t)tasks,
                               last ? PTHREADPOOL_FLAG_YIELD_WORKERS : 0);
    (void)atomic_load_explicit(&r.gate, memory_order_acquire);
}

struct qzi_mutex {
    pthread_mutex_t handle;
};

qzi_mutex *qzi_mutex_create(const qz_context *ctx)
{
    qzi_mutex *mutex = qzi_alloc(ctx, sizeof *mutex);
    if (mutex != NULL && pthread_mutex_init(&mutex->handle, NULL) != 0) {
        qzi_free(ctx, mutex);
        return NULL;
    }
    return mutex;
}

void qzi_mutex_destroy(const qz_context *ctx, qzi_mutex *mutex)
{
    if (mutex == NULL)
        return;
    pthread_mutex_destroy(&mutex->handle);
    qzi_free(ctx, mutex);
}

void qzi_mutex_lock(qzi_mutex *mutex)
{
    pthread_mutex_lock(&mutex->handle);
}

void qzi_mutex_unlock(qzi_mutex *mutex)
{
    pthread_mutex_unlock(&mutex->handle);
}
