/* SPDX-License-Identifier: MIT */
/*
 * crew.c - threads of a context's own: how they start, sleep and wake.
 *
 * A pthreadpool of the context's own would do less: pthreadpool_create does not look at what
 * pthread_create returns, and waits for ever for a thread that the system refused (a limit of
 * processes, of a user or a container). Its regions end only when every thread has woken and come
 * by, so beside other load the caller waits for threads that had nothing to do. It spins up to 40
 * milliseconds for that.
 *
 * Each thread sleeps on a condition of its own, so that waking the few that are needed costs
 * nothing for the others. A sleeper first notes that it sleeps, then reads the word; who changes
 * the word then reads the notes. Both do so sequentially consistent, so one sees the other.
 */
#include "layers/base/crew.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

/* Kernels take little, but the sanitizers' frames are wide. */
#define STACK_BYTES ((size_t)2 << 20)

typedef struct member {
    qzi_crew *crew;
    uint32_t number;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Alignas(QZI_ALIGN) _Atomic bool asleep;
} member;

struct qzi_crew {
    qzi_crew_fn fn;
    void *arg;
    uint32_t count; /* with the caller's */
    member *members;
};

static void *member_main(void *arg)
{
    member *m = arg;
    m->crew->fn(m->crew, m->crew->arg, m->number);
    return NULL;
}

static bool prepare_member(member *m)
{
    atomic_init(&m->asleep, false);
    if (pthread_mutex_init(&m->lock, NULL) != 0)
        return false;
    if (pthread_cond_init(&m->changed, NULL) != 0) {
        pthread_mutex_destroy(&m->lock);
        return false;
    }
    return true;
}

static void forget_member(member *m)
{
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
}

/* Starts threads until the system refuses one; returns its reason, or 0. */
static int start_members(qzi_crew *crew, uint32_t threads)
{
    pthread_attr_t attr;
    int reason = pthread_attr_init(&attr);
    if (reason != 0)
        return reason;
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES); /* a wish only */
    /* signals are for the application's threads, but for faults and profilers */
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
    sigset_t others, before;
    sigfillset(&others);
    for (size_t i = 0; i < QZI_ARRAY_LEN(own); i++)
        sigdelset(&others, own[i]);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    while (reason == 0 && crew->count < threads) {
        member *m = &crew->members[crew->count];
        m->crew = crew;
        m->number = crew->count;
        if (!prepare_member(m))
            break;
        reason = pthread_create(&m->thread, &attr, member_main, m);
        if (reason == 0)
            crew->count++;
        else
            forget_member(m);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return reason;
}

qzi_crew *qzi_crew_create(const qz_context *ctx, uint32_t threads, qzi_crew_fn fn, void *arg)
{
    qzi_crew *crew = qzi_alloc(ctx, sizeof(*crew));
    if (!crew)
        return NULL;
    *crew = (qzi_crew){.fn = fn, .arg = arg, .count = 1};
    crew->members = qzi_calloc(ctx, threads, sizeof(*crew->members));
    const int reason = crew->members ? start_members(crew, threads) : ENOMEM;
    if (crew->count < threads)
        qzi_log(ctx, QZ_LOG_WARNING,
                "%u threads were asked for, and the system grants %u (%s); see the limits of "
                "processes of the user (ulimit -u) and of the container (pids.max)",
                threads, crew->count, reason ? strerror(reason) : "no mutex is left");
    if (crew->count > 1)
        return crew;
    qzi_crew_destroy(ctx, crew);
    return NULL;
}

void qzi_crew_destroy(const qz_context *ctx, qzi_crew *crew)
{
    if (!crew)
        return;
    for (uint32_t i = 1; i < crew->count; i++) {
        pthread_join(crew->members[i].thread, NULL);
        forget_member(&crew->members[i]);
    }
    qzi_free(ctx, crew->members);
    qzi_free(ctx, crew);
}

uint32_t qzi_crew_count(const qzi_crew *crew)
{
    return crew->count;
}

void qzi_crew_sleep(qzi_crew *crew, uint32_t number, const _Atomic uint64_t *word, uint64_t seen)
{
    member *m = &crew->members[number];
    pthread_mutex_lock(&m->lock);
    atomic_store(&m->asleep, true);
    while (atomic_load(word) == seen)
        pthread_cond_wait(&m->changed, &m->lock);
    atomic_store(&m->asleep, false);
    pthread_mutex_unlock(&m->lock);
}

void qzi_crew_wake(qzi_crew *crew, uint32_t count)
{
    for (uint32_t i = 1; i < QZI_MIN(count, crew->count); i++) {
        member *m = &crew->members[i];
        if (!atomic_load(&m->asleep))
            continue;
        pthread_mutex_lock(&m->lock);
        pthread_cond_signal(&m->changed);
        pthread_mutex_unlock(&m->lock);
    }
}
