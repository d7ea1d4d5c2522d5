/* SPDX-License-Identifier: MIT */
/*
 * threads.c - teams of threads, and the parallel regions that they run, on pthreadpool.
 *
 * Waking the threads of a pool takes some 50 microseconds, as long as a few layers of a small
 * network. So a run of a model wakes them once. The caller leads a team for the whole run. The
 * pool's threads serve it, and between two regions they wait on one word of memory. A region does
 * not wait for sleeping threads: the threads that are awake do all of its work.
 *
 * Each member has a share of a region's work, always the same for equal regions. So a layer finds
 * in a core's caches what the layer before left there. A member takes pieces of its share from a
 * counter, and then pieces of the other shares until none is left. So the load balances by itself.
 *
 * Opening and closing a region: the leader writes the region, then opens the gate; a member first
 * counts itself busy, then reads the gate again, and touches the region only if it is open. The
 * leader closes the gate when no piece is left, and waits until no member is busy. Each side writes
 * one of the two words and then reads the other, sequentially consistent, so at least one of them
 * sees the other's write. The gate and `left` order the beginning and the end of a team.
 * pthreadpool orders them too, but by futexes, which a race detector does not see.
 *
 * pthreadpool's flag that disables denormals is never set: it would change results.
 */
#include "layers/base/context.h"
#include "layers/base/cpu.h"

#include <pthreadpool.h>
#include <sched.h>
#include <stdatomic.h>

/* Members beyond these begin with the shares of the first. */
#define MAX_SHARES 64

/* Microseconds between two teams during which the pool's threads stay awake. */
#define SOON 2000

/*
 * Turns of a waiting loop, about 40 ns each, before a thread yields its processor. With more
 * threads than processors it yields at once. Otherwise it waits long enough for the next region to
 * begin, because a thread that yields a busy processor gets it back only after milliseconds.
 */
#define PATIENCE (1 << 18)
#define PATIENCE_CROWDED (1 << 8)

typedef struct share {
    _Atomic int64_t next;
    int64_t end;
    char apart[48]; /* the next one is in another cache line */
} share;

typedef struct region {
    qzi_task_fn fn;
    void *arg;
    int64_t piece, shares;
    uint32_t members; /* with numbers below this one take part */
    share share[MAX_SHARES];
} region;

/* The gate: closed, closed for good, or the number of the region that is open. */
enum { GATE_CLOSED, GATE_END, GATE_FIRST };

typedef struct team {
    pthread_t leader;
    uint32_t threads; /* with the leader */
    uint32_t patience;
    qzi_lead_fn lead;
    void *lead_arg;
    _Atomic bool begun; /* the leader leads */
    uint64_t regions;
    region region;
    _Alignas(QZI_ALIGN) _Atomic uint64_t gate;
    _Alignas(QZI_ALIGN) _Atomic int32_t busy;
    _Atomic int32_t left; /* threads of the pool that have */
} team;

/* The team that this thread leads. */
static _Thread_local team *own_team;

/* A region inside a region runs on the calling thread: the others are busy with the outer one. */
static _Thread_local bool inside_region;

static void wait_a_little(const team *t, uint32_t *turns)
{
    if (++*turns < t->patience) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
        return;
    }
    sched_yield();
}

static void work(region *r, uint32_t number)
{
    const bool outer = inside_region;
    const qzi_fpenv env = qzi_fpenv_enter();
    inside_region = true;
    for (int64_t i = 0; i < r->shares; i++) {
        share *s = &r->share[((int64_t)number + i) % r->shares];
        int64_t begin;
        /* the gate publishes: the counters need no order */
        while ((begin = atomic_fetch_add_explicit(&s->next, r->piece, memory_order_relaxed)) <
               s->end)
            r->fn(r->arg, begin, begin + QZI_MIN(r->piece, s->end - begin), number);
    }
    inside_region = outer;
    qzi_fpenv_leave(env);
}

/* What a thread of the pool does until the team ends. */
static void serve(team *t, uint32_t number)
{
    uint64_t done = GATE_CLOSED;
    uint32_t turns = 0;
    for (;;) {
        uint64_t open = atomic_load_explicit(&t->gate, memory_order_relaxed);
        if (open == GATE_END)
            break;
        if (open == GATE_CLOSED || open == done) {
            wait_a_little(t, &turns);
            continue;
        }
        atomic_fetch_add(&t->busy, 1);
        open = atomic_load(&t->gate);
        if (open >= GATE_FIRST) {
            if (number < t->region.members)
                work(&t->region, number);
            done = open;
        }
        atomic_fetch_sub(&t->busy, 1);
        turns = 0;
    }
}

/*
 * One item for each thread of the pool. A thread takes its own item first, and then the items of
 * sleeping threads. Item numbers are unique but do not identify a thread: the leader is recognized
 * by its own mark.
 */
static void join_team(void *context, size_t item)
{
    team *t = context;
    (void)atomic_load_explicit(&t->gate, memory_order_acquire);
    if (pthread_equal(pthread_self(), t->leader)) {
        if (atomic_load_explicit(&t->begun, memory_order_relaxed))
            return; /* the work is done already; the item was that of a sleeping thread */
        atomic_store_explicit(&t->begun, true, memory_order_relaxed);
        t->lead(t->lead_arg);
        atomic_store_explicit(&t->gate, GATE_END, memory_order_release);
        return;
    }
    if (item < t->threads) {
        serve(t, (uint32_t)item);
    } else {
        /* one too many; but a thread that returns may take the leader's item before the leader does
         * */
        for (uint32_t turns = 0; !atomic_load_explicit(&t->begun, memory_order_relaxed);)
            wait_a_little(t, &turns);
    }
    atomic_fetch_add_explicit(&t->left, 1, memory_order_release);
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
    /* The pool is a cache: creating it late does not change the context's meaning. */
    qz_context *c = (qz_context *)(uintptr_t)ctx;
    pthread_mutex_lock(&c->pool_lock);
    if (!c->pool && !c->pool_failed) {
        c->pool = pthreadpool_create(c->threads);
        c->pool_owned = c->pool != NULL;
        c->pool_failed = !c->pool;
    }
    if (c->pool && !c->pool_seen) {
        c->pool_seen = true;
        c->crowded = pthreadpool_get_threads_count(c->pool) > qzi_cpu_usable();
    }
    pthreadpool_t pool = c->pool;
    pthread_mutex_unlock(&c->pool_lock);
    return pool;
}

static int64_t now_us(void)
{
    return (int64_t)(qzi_now() * 1e6);
}

void qzi_team_run(const qz_context *ctx, uint32_t threads, qzi_lead_fn lead, void *arg)
{
    pthreadpool_t pool = NULL;
    if (threads > 1 && ctx && ctx->threads > 1 && !inside_region && !own_team)
        pool = get_pool(ctx);
    const size_t count = pool ? pthreadpool_get_threads_count(pool) : 1;
    if (count <= 1) {
        lead(arg);
        return;
    }
    team t;
    t.leader = pthread_self();
    t.threads = (uint32_t)QZI_MIN((size_t)threads, count);
    t.patience = ctx->crowded ? PATIENCE_CROWDED : PATIENCE;
    t.lead = lead;
    t.lead_arg = arg;
    t.regions = GATE_FIRST;
    atomic_store_explicit(&t.begun, false, memory_order_relaxed);
    atomic_store_explicit(&t.busy, 0, memory_order_relaxed);
    atomic_store_explicit(&t.left, 0, memory_order_relaxed);
    atomic_store_explicit(&t.gate, GATE_CLOSED, memory_order_release);
    /*
     * Runs that followed one another closely will go on so: the pool's threads look out for the
     * next one for some 20 ms then, and waking them costs nothing. Else they sleep at once.
     */
    const int64_t idle = now_us() - atomic_load_explicit(&ctx->team_ended, memory_order_relaxed);
    const uint32_t flags = idle < SOON ? 0 : PTHREADPOOL_FLAG_YIELD_WORKERS;
    own_team = &t;
    pthreadpool_parallelize_1d(pool, join_team, &t, count, flags);
    own_team = NULL;
    (void)atomic_load_explicit(&t.left, memory_order_acquire);
    qz_context *c = (qz_context *)(uintptr_t)ctx; /* a note of its own, as the pool is */
    atomic_store_explicit(&c->team_ended, now_us(), memory_order_relaxed);
}

/* A region that a member starts, alone. */
static void run_alone(int64_t units, qzi_task_fn fn, void *arg)
{
    const bool outer = inside_region;
    const qzi_fpenv env = qzi_fpenv_enter();
    inside_region = true;
    fn(arg, 0, units, 0);
    inside_region = outer;
    qzi_fpenv_leave(env);
}

/* Fills and runs the team's next region. */
static void run_region(team *t, int64_t tasks, int64_t units, int64_t grain, qzi_task_fn fn,
                       void *arg)
{
    region *r = &t->region;
    r->fn = fn;
    r->arg = arg;
    r->members = (uint32_t)tasks;
    r->shares = QZI_MIN(tasks, (int64_t)MAX_SHARES);
    /* a share is taken in halves: best balance for the fewest steps */
    const int64_t least = units / r->shares, more = units % r->shares;
    r->piece = least > 2 * grain ? least / 2 + 1 : least + 1;
    for (int64_t i = 0, begin = 0; i < r->shares; i++) {
        atomic_store_explicit(&r->share[i].next, begin, memory_order_relaxed);
        begin += least + (i < more);
        r->share[i].end = begin;
    }
    atomic_store(&t->gate, t->regions++);
    work(r, 0);
    atomic_store(&t->gate, GATE_CLOSED);
    for (uint32_t turns = 0; atomic_load(&t->busy) != 0;)
        wait_a_little(t, &turns);
}

typedef struct single {
    int64_t tasks, units, grain;
    qzi_task_fn fn;
    void *arg;
} single;

/* A team for one region. Where there are no threads for a team, there is none. */
static void lead_single(void *context)
{
    const single *s = context;
    const int64_t tasks = own_team ? QZI_MIN(s->tasks, (int64_t)own_team->threads) : 1;
    if (tasks > 1)
        run_region(own_team, tasks, s->units, s->grain, s->fn, s->arg);
    else
        run_alone(s->units, s->fn, s->arg);
}

void qzi_parallel(const qz_context *ctx, uint32_t threads, int64_t units, int64_t grain,
                  qzi_task_fn fn, void *arg)
{
    if (units <= 0)
        return;
    grain = QZI_MAX(grain, 1);
    single s = {QZI_MIN((int64_t)threads, units / grain), units, grain, fn, arg};
    if (s.tasks <= 1 || inside_region)
        run_alone(units, fn, arg);
    else if (own_team)
        lead_single(&s);
    else
        qzi_team_run(ctx, (uint32_t)s.tasks, lead_single, &s);
}

struct qzi_mutex {
    pthread_mutex_t handle;
};

qzi_mutex *qzi_mutex_create(const qz_context *ctx)
{
    qzi_mutex *mutex = qzi_alloc(ctx, sizeof(*mutex));
    if (mutex && pthread_mutex_init(&mutex->handle, NULL) != 0) {
        qzi_free(ctx, mutex);
        (void)qzi_fail_memory(ctx, sizeof(*mutex));
        return NULL;
    }
    return mutex;
}

void qzi_mutex_destroy(const qz_context *ctx, qzi_mutex *mutex)
{
    if (!mutex)
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
