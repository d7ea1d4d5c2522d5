/* SPDX-License-Identifier: MIT */
/*
 * threads.c - teams of threads, and the parallel regions that they run.
 *
 * Waking threads takes some 50 microseconds, as long as a few layers of a small network. So a run
 * of a model wakes them once. The caller leads a team for the whole run. The other members serve
 * it, and between two regions they wait on one word of memory. A region does not wait for sleeping
 * threads: the threads that are awake do all of its work. Members are the context's own crew
 * (crew.c), or the threads of the caller's pthreadpool.
 *
 * Each member has a share of a region's work, always the same for equal regions. So a layer finds
 * in a core's caches what the layer before left there. A member takes pieces of its share from a
 * counter, and then pieces of the other shares until none is left. So the load balances by itself.
 *
 * Opening and closing a region: the leader writes the region, then opens the gate; a member first
 * counts itself busy, then reads the gate again, and touches the region only if it is open. The
 * leader closes the gate when no piece is left, and waits until no member is busy. Each side writes
 * one of the two words and then reads the other, sequentially consistent, so at least one of them
 * sees the other's write. In a caller's pool the gate and `left` also order the beginning and the
 * end of a team. pthreadpool orders them too, but by futexes, which a race detector does not see.
 *
 * Beside other load the system may take the processor from a member that holds a piece, and the
 * leader can only wait: milliseconds, where the whole run takes one. So no wait spins for long, and
 * a leader that had to wait goes on with fewer members for a while (`pace`).
 *
 * pthreadpool's flag that disables denormals is never set: it would change results.
 */
#include "layers/base/context.h"
#include "layers/base/cpu.h"
#include "layers/base/crew.h"

#include <pthreadpool.h>
#include <stdatomic.h>
#include <time.h>

/* Members beyond these begin with the shares of the first. */
#define MAX_SHARES 64

/* All times are in microseconds. */

/* Runs that follow one another within this time will go on so: the threads stay awake for it. */
#define SOON 2000

/* A member that waited this long sleeps: with a processor of its own, or without. */
#define PATIENCE 2000
#define PATIENCE_CROWDED 20

/* A leader that waited this long beyond what its own work took naps between two looks. */
#define NAP_AFTER 100
#define NAP 50

/* A leader that waited this long beyond twice its own work's time takes fewer members: where each
 * has a processor of its own, or not. They are fewer */
#define STALL 500
#define STALL_CROWDED 50
/* for this time, and longer when it happens again. */
#define PACE_LEAST 100000
#define PACE_MOST 1600000

/* With more threads than processors, a team begins with this many. */
#define PACE_CROWD 8

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

/* The gate is a number that grows with each change. Its two low bits are its state: closed for a
 * moment, open, closed between runs, closed for good. */
enum { GATE_CLOSED, GATE_OPEN, GATE_REST, GATE_END, GATE_STATE = 3, GATE_STEP = 4 };

/* How many members the machine's load allows. */
typedef struct pace {
    uint32_t most;   /* with the leader */
    bool stalled;    /* since `most` grew */
    int64_t grow_at; /* when one more is tried */
    int64_t period;
} pace;

struct qzi_team {
    uint32_t threads; /* that take part in this run, with the leader */
    int64_t patience, stall;
    uint64_t turn; /* of the gate */
    region region;
    _Alignas(QZI_ALIGN) _Atomic uint64_t gate;
    _Alignas(QZI_ALIGN) _Atomic int32_t busy;
    /* a crew's: */
    _Alignas(QZI_ALIGN) pthread_mutex_t leading; /* one run at a time */
    qzi_crew *crew;                              /* the leader's; NULL: a caller's pool */
    int64_t ended;                               /* when the last run did */
    pace pace;
    /* a caller's pool's: */
    pthread_t leader;
    qzi_lead_fn lead;
    void *lead_arg;
    _Atomic bool begun;   /* the leader leads */
    _Atomic int32_t left; /* threads of the pool that have */
};
typedef struct qzi_team team;

/* The team that this thread leads. */
static _Thread_local team *own_team;

/* A region inside a region runs on the calling thread: the others are busy with the outer one. */
static _Thread_local bool inside_region;

static int64_t now_us(void)
{
    return (int64_t)(qzi_now() * 1e6);
}

/* ---- waiting ---- */

typedef struct waiting {
    uint32_t turns;
    int64_t since, time;
} waiting;

/* One short turn of a waiting loop; returns how long the loop has lasted, as known. */
static int64_t wait_turn(waiting *w)
{
    if (++w->turns % 64 != 0) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
        return w->time;
    }
    const int64_t now = now_us();
    if (w->since == 0)
        w->since = now;
    w->time = now - w->since;
    return w->time;
}

/* A longer turn, without the processor. */
static void wait_nap(waiting *w)
{
    (void)nanosleep(&(struct timespec){0, NAP * 1000}, NULL);
    w->time = now_us() - w->since;
}

/* ---- members ---- */

static void set_gate(team *t, uint64_t state)
{
    t->turn += GATE_STEP;
    atomic_store(&t->gate, t->turn | state);
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

/* What a member does until the gate closes for good. A thread of a caller's pool has no crew. */
static void serve(team *t, qzi_crew *crew, uint32_t number)
{
    uint64_t done = GATE_CLOSED;
    waiting w = {0};
    for (;;) {
        uint64_t gate = atomic_load_explicit(&t->gate, memory_order_relaxed);
        const uint64_t state = gate & GATE_STATE;
        if (state == GATE_END)
            break;
        if (state == GATE_OPEN && gate != done) {
            atomic_fetch_add(&t->busy, 1);
            gate = atomic_load(&t->gate);
            if ((gate & GATE_STATE) == GATE_OPEN) {
                if (number < t->region.members)
                    work(&t->region, number);
                done = gate;
            }
            atomic_fetch_sub(&t->busy, 1);
            w = (waiting){0};
        } else if (state == GATE_REST || wait_turn(&w) > t->patience) {
            if (crew) {
                qzi_crew_sleep(crew, number, &t->gate, gate);
                w = (waiting){0};
            } else {
                wait_nap(&w);
            }
        }
    }
}

/* ---- regions ---- */

/* The leader had to wait for `late` members: the machine has other load. */
static void pace_down(team *t, int32_t late)
{
    pace *p = &t->pace;
    const int64_t now = now_us();
    const bool again = now < p->grow_at + p->period;
    t->threads = (uint32_t)QZI_MAX((int32_t)t->threads - QZI_MAX(late, 1), 1);
    p->period = again ? QZI_MIN(2 * p->period, PACE_MOST) : PACE_LEAST;
    p->grow_at = now + p->period;
    p->most = t->threads;
    p->stalled = true;
}

/* How many members a run takes, of those that it may. */
static uint32_t pace_of_run(team *t, uint32_t threads)
{
    pace *p = &t->pace;
    if (p->most < qzi_crew_count(t->crew) && now_us() >= p->grow_at) {
        if (!p->stalled)
            p->period = QZI_MAX(p->period / 2, PACE_LEAST);
        p->stalled = false;
        p->most++;
        p->grow_at = now_us() + p->period;
    }
    return QZI_MIN(threads, p->most);
}

/* Waits until no member is busy, after a region in which the leader worked for `worked`. */
static void await_members(team *t, int64_t worked)
{
    waiting w = {0};
    int32_t busy, late = 0;
    while ((busy = atomic_load(&t->busy)) != 0) {
        const int64_t time = wait_turn(&w);
        if (time > 2 * worked + t->stall)
            late = busy;
        if (time > worked + NAP_AFTER)
            wait_nap(&w);
    }
    if (late != 0 && t->crew)
        pace_down(t, late);
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
    const int64_t begun = now_us();
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
    set_gate(t, GATE_OPEN);
    if (t->crew)
        qzi_crew_wake(t->crew, r->members);
    work(r, 0);
    set_gate(t, GATE_CLOSED);
    if (atomic_load(&t->busy) != 0)
        await_members(t, now_us() - begun);
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

/* ---- teams of the context's own crew ---- */

static void serve_crew(qzi_crew *crew, void *arg, uint32_t number)
{
    serve(arg, crew, number);
}

static void team_destroy(const qz_context *ctx, team *t)
{
    if (!t)
        return;
    if (t->crew) {
        set_gate(t, GATE_END);
        qzi_crew_wake(t->crew, qzi_crew_count(t->crew));
        qzi_crew_destroy(ctx, t->crew);
    }
    pthread_mutex_destroy(&t->leading);
    qzi_free(ctx, t);
}

/* NULL where the system grants no thread. */
static team *team_create(const qz_context *ctx)
{
    team *t = qzi_calloc(ctx, 1, sizeof(*t));
    if (!t)
        return NULL;
    if (pthread_mutex_init(&t->leading, NULL) != 0) {
        qzi_free(ctx, t);
        return NULL;
    }
    atomic_init(&t->busy, 0);
    atomic_init(&t->gate, GATE_REST);
    const bool crowded = ctx->threads > qzi_cpu_usable();
    t->patience = crowded ? PATIENCE_CROWDED : PATIENCE;
    t->stall = crowded ? STALL_CROWDED : STALL;
    t->crew = qzi_crew_create(ctx, ctx->threads, serve_crew, t);
    if (!t->crew) {
        team_destroy(ctx, t);
        return NULL;
    }
    t->pace.most = QZI_MIN(qzi_crew_count(t->crew), QZI_MAX(qzi_cpu_usable(), PACE_CROWD));
    return t;
}

void qzi_threads_destroy(qz_context *ctx)
{
    team_destroy(ctx, ctx->team);
    ctx->team = NULL;
}

/* The context's own team, made when first needed. NULL where there is none to be had. */
static team *get_team(const qz_context *ctx)
{
    /* The team is a cache: creating it late does not change the context's meaning. */
    qz_context *c = (qz_context *)(uintptr_t)ctx;
    pthread_mutex_lock(&c->team_lock);
    if (!c->team && !c->team_failed && c->threads > 1) {
        c->team = team_create(c);
        c->team_failed = !c->team;
    }
    team *t = c->team;
    pthread_mutex_unlock(&c->team_lock);
    return t;
}

uint32_t qzi_threads_granted(const qz_context *ctx)
{
    if (ctx->pool || ctx->threads <= 1)
        return ctx->threads;
    const team *t = get_team(ctx);
    return t ? qzi_crew_count(t->crew) : 1;
}

/* Runs lead on the calling thread, and its regions too. */
static void lead_alone(qzi_lead_fn lead, void *arg)
{
    team solo;
    solo.threads = 1;
    own_team = &solo;
    lead(arg);
    own_team = NULL;
}

static void lead_crew(team *t, uint32_t threads, qzi_lead_fn lead, void *arg)
{
    pthread_mutex_lock(&t->leading);
    t->threads = pace_of_run(t, threads);
    if (t->threads <= 1) {
        pthread_mutex_unlock(&t->leading);
        lead_alone(lead, arg);
        return;
    }
    const int64_t idle = now_us() - t->ended;
    set_gate(t, GATE_CLOSED);
    qzi_crew_wake(t->crew, t->threads);
    own_team = t;
    lead(arg);
    own_team = NULL;
    set_gate(t, idle < SOON ? GATE_CLOSED : GATE_REST);
    t->ended = now_us();
    pthread_mutex_unlock(&t->leading);
}

/* ---- teams of a caller's pool ---- */

uint32_t qzi_threads_of_pool(void *pool)
{
    return (uint32_t)pthreadpool_get_threads_count(pool);
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
        set_gate(t, GATE_END);
        return;
    }
    if (item < t->threads) {
        serve(t, NULL, (uint32_t)item);
    } else {
        /* one too many; but a thread that returns may take the leader's item before the leader does
         * */
        for (waiting w = {0}; !atomic_load_explicit(&t->begun, memory_order_relaxed);) {
            if (wait_turn(&w) > t->patience)
                wait_nap(&w);
        }
    }
    atomic_fetch_add_explicit(&t->left, 1, memory_order_release);
}

static void lead_pool(const qz_context *ctx, uint32_t threads, qzi_lead_fn lead, void *arg)
{
    const size_t count = pthreadpool_get_threads_count(ctx->pool);
    if (count <= 1) {
        lead_alone(lead, arg);
        return;
    }
    team t = {
        .threads = (uint32_t)QZI_MIN((size_t)threads, count),
        .patience = PATIENCE,
        .stall = STALL,
        .leader = pthread_self(),
        .lead = lead,
        .lead_arg = arg,
    };
    atomic_store_explicit(&t.begun, false, memory_order_relaxed);
    atomic_store_explicit(&t.busy, 0, memory_order_relaxed);
    atomic_store_explicit(&t.left, 0, memory_order_relaxed);
    atomic_store_explicit(&t.gate, GATE_CLOSED, memory_order_release);
    /* Between runs that follow one another closely the pool's threads need not be woken. */
    const int64_t idle = now_us() - atomic_load_explicit(&ctx->team_ended, memory_order_relaxed);
    const uint32_t flags = idle < SOON ? 0 : PTHREADPOOL_FLAG_YIELD_WORKERS;
    own_team = &t;
    pthreadpool_parallelize_1d(ctx->pool, join_team, &t, count, flags);
    own_team = NULL;
    (void)atomic_load_explicit(&t.left, memory_order_acquire);
    qz_context *c = (qz_context *)(uintptr_t)ctx; /* a note of its own, as the team is */
    atomic_store_explicit(&c->team_ended, now_us(), memory_order_relaxed);
}

void qzi_team_run(const qz_context *ctx, uint32_t threads, qzi_lead_fn lead, void *arg)
{
    if (own_team || inside_region) {
        lead(arg);
        return;
    }
    const bool may = threads > 1 && ctx && ctx->threads > 1;
    team *t = may && !ctx->pool ? get_team(ctx) : NULL;
    if (t)
        lead_crew(t, threads, lead, arg);
    else if (may && ctx->pool)
        lead_pool(ctx, threads, lead, arg);
    else
        lead_alone(lead, arg);
}

/* ---- mutexes ---- */

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
