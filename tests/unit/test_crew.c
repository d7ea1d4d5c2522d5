/* SPDX-License-Identifier: MIT */
/* test_crew.c - the threads of a context where the system refuses some: pthread_create is wrapped
 * by the linker, and fails when told to. */
#include "counting.h"
#include "layers/base/base.h"
#include "layers/base/cpu.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int granted; /* threads that may still be created */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    if (granted-- <= 0)
        return EAGAIN;
    return __real_pthread_create(thread, attr, fn, arg);
}

typedef struct warnings {
    int count;
    char last[256];
} warnings;

static void take_warning(void *user, qz_log_level level, const char *message)
{
    warnings *w = user;
    if (level != QZ_LOG_WARNING || strstr(message, "usable CPU"))
        return; /* CPUs are the next test's */
    w->count++;
    snprintf(w->last, sizeof(w->last), "%s", message);
}

static void add_units(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    (void)thread;
    atomic_fetch_add((_Atomic int64_t *)arg, end - begin);
}

/* A context that asks for `asked` threads while the system grants `more` beside the caller's. */
static void check_granted(uint32_t asked, int more)
{
    counting c = COUNTING_INIT;
    warnings w = {0};
    const qz_allocator allocator = {counting_alloc, counting_free, &c};
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.allocator = &allocator;
    o.threads = asked;
    o.log = take_warning;
    o.log_user = &w;
    qz_context *ctx;
    granted = more;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
    const uint32_t count = QZI_MIN(asked, (uint32_t)more + 1);
    for (int i = 0; i < 3; i++) {
        _Atomic int64_t units = 0;
        qzi_parallel(ctx, asked, 10000, 1, add_units, &units);
        assert_int_equal(units, 10000);
        assert_int_equal(qz_context_threads(ctx), count);
    }
    assert_int_equal(w.count, count < asked);
    if (count < asked) {
        char expected[64];
        snprintf(expected, sizeof(expected), "%u threads were asked for, and the system grants %u",
                 asked, count);
        assert_non_null(strstr(w.last, expected));
    }
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

/* pthreadpool_create waited here for ever. */
static void test_refused(void **state)
{
    (void)state;
    for (int more = 0; more < 5; more++)
        check_granted(4, more);
    check_granted(2, 0);
    check_granted(1, 0);
}

/* Memory for the threads' records: the caller's thread does the work. */
static void test_no_memory(void **state)
{
    (void)state;
    for (int64_t at = 0; at < 3; at++) {
        counting c = COUNTING_INIT;
        qz_context *ctx = counting_context(&c, 3);
        granted = 2;
        c.fail_at = c.total + at;
        _Atomic int64_t units = 0;
        qzi_parallel(ctx, 3, 1000, 1, add_units, &units);
        assert_int_equal(units, 1000);
        assert_int_equal(qz_context_threads(ctx), 1);
        qz_context_destroy(ctx);
        assert_int_equal(c.live, 0);
    }
}

static void count_warning(void *user, qz_log_level level, const char *message)
{
    *(int *)user += level == QZ_LOG_WARNING && strstr(message, "usable CPU");
}

static void test_more_than_cpus(void **state)
{
    (void)state;
    const uint32_t usable = qzi_cpu_usable();
    int count = 0;
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.log = count_warning;
    o.log_user = &count;
    for (uint32_t more = 0; more < 2; more++) {
        qz_context *ctx;
        o.threads = usable + more;
        assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
        assert_int_equal(count, more);
        qz_context_destroy(ctx);
    }
}

/* A region whose second half blocks for 20 ms: the leader notices, and goes on with fewer. */
static void block(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    (void)begin;
    (void)end;
    if (thread != 0) {
        atomic_fetch_add((_Atomic int32_t *)arg, 1);
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    } else {
        const double start = qzi_now(); /* long enough for the other thread to take its share */
        while (qzi_now() < start + 0.001)
            ;
    }
}

static void test_pace(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 2);
    granted = 1;
    _Atomic int32_t helped = 0;
    const double start = qzi_now();
    int runs = 0;
    for (; qzi_now() < start + 0.15; runs++)
        qzi_parallel(ctx, 2, 2, 1, block, &helped);
    /* at once, after 100 ms, and once more where this machine has other load */
    print_message("%d regions, %d with help\n", runs, helped);
    assert_in_range(helped, 0, 4);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_more_than_cpus),
        cmocka_unit_test(test_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
