/* SPDX-License-Identifier: MIT */
/* test_threads.c - parallel regions, mutexes, the floating-point environment. */
#include "counting.h"
#include "layers/base/base.h"

#include <fenv.h>
#include <pthread.h>
#include <pthreadpool.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- threads ---- */

#define UNITS 5000
typedef struct coverage {
    const qz_context *ctx;
    uint32_t threads;
    _Atomic int32_t seen[UNITS];
    _Atomic bool busy[16];
    _Atomic int32_t calls, wrong;
    int64_t units, grain;
    bool nested;
} coverage;

static void cover_nested(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    coverage *c = arg;
    if (begin != 0 || end != 10 || thread != 0)
        atomic_fetch_add(&c->wrong, 1);
}

static void cover(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    coverage *c = arg;
    atomic_fetch_add(&c->calls, 1);
    if (thread >= c->threads || begin < 0 || begin >= end || end > c->units) {
        atomic_fetch_add(&c->wrong, 1);
        return;
    }
    if (end - begin < c->grain && c->units >= c->grain)
        atomic_fetch_add(&c->wrong, 1);
    if (atomic_exchange(&c->busy[thread], true))
        atomic_fetch_add(&c->wrong, 1);
    if (fegetround() != FE_TONEAREST)
        atomic_fetch_add(&c->wrong, 1);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&c->seen[i], 1);
    if (c->nested)
        qzi_parallel(c->ctx, c->threads, 10, 1, cover_nested, c);
    if (!atomic_exchange(&c->busy[thread], false))
        atomic_fetch_add(&c->wrong, 1);
}

static void check_cover(const qz_context *ctx, uint32_t threads, int64_t units, int64_t grain,
                        bool nested)
{
    coverage *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->ctx = ctx;
    c->threads = threads;
    c->units = units;
    c->grain = grain;
    c->nested = nested;
    qzi_parallel(ctx, threads, units, grain, cover, c);
    assert_int_equal(c->wrong, 0);
    for (int64_t i = 0; i < UNITS; i++)
        assert_int_equal(c->seen[i], i < units ? 1 : 0);
    if (units == 0)
        assert_int_equal(c->calls, 0);
    if (threads == 1 && units > 0)
        assert_int_equal(c->calls, 1);
    free(c);
}

static void check_all_covers(const qz_context *ctx)
{
    static const int64_t units[] = {0, 1, 2, 3, 7, 8, 64, 999, UNITS};
    static const int64_t grains[] = {1, 3, 100, 100000};
    for (size_t u = 0; u < QZI_ARRAY_LEN(units); u++) {
        for (size_t g = 0; g < QZI_ARRAY_LEN(grains); g++) {
            for (uint32_t threads = 1; threads <= 9; threads += 2)
                check_cover(ctx, threads, units[u], grains[g], (u + g) % 2 != 0);
        }
    }
}

static void test_parallel(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    for (uint32_t threads = 1; threads <= 4; threads += 3) {
        qz_context *ctx = counting_context(&c, threads);
        assert_int_equal(qz_context_threads(ctx), threads);
        check_all_covers(ctx);
        qz_context_destroy(ctx);
        assert_int_equal(c.live, 0);
    }
    check_cover(NULL, 3, 100, 1, false);

    pthreadpool_t pool = pthreadpool_create(3);
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.threadpool = pool;
    qz_context *ctx;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
    assert_int_equal(qz_context_threads(ctx), 3);
    check_all_covers(ctx);
    qz_context_destroy(ctx);
    assert_int_equal(pthreadpool_get_threads_count(pool), 3); /* still the caller's */
    o.threads = 2;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
    assert_int_equal(qz_context_threads(ctx), 2);
    qz_context_destroy(ctx);
    pthreadpool_destroy(pool);
}

static void *parallel_caller(void *arg)
{
    for (int i = 0; i < 50; i++)
        check_cover(arg, 3, 997, 1, false);
    return NULL;
}

static void test_parallel_from_threads(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 3);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, parallel_caller, ctx), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

static void test_mutex(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    qzi_mutex *mutex = qzi_mutex_create(ctx);
    assert_non_null(mutex);
    qzi_mutex_lock(mutex);
    qzi_mutex_unlock(mutex);
    qzi_mutex_destroy(ctx, mutex);
    qzi_mutex_destroy(ctx, NULL);
    c.fail_at = c.total;
    assert_null(qzi_mutex_create(ctx));
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

/* ---- floating-point environment ---- */

#if defined(QZ_ARCH_X86)
#include <xmmintrin.h>
static void test_flush_to_zero(void **state)
{
    (void)state;
    uint32_t saved = _mm_getcsr();
    uint32_t odd = 0x1f80u | 0x8040u | 0x6000u | 0x20u; /* FTZ, DAZ, towards zero, a sticky flag */
    _mm_setcsr(odd);
    qzi_fpenv env = qzi_fpenv_enter();
    uint32_t inside = _mm_getcsr();
    volatile float tiny = 1e-38f;
    volatile float half = tiny * 0.5f; /* a denormal */
    bool kept = half > 0.0f;
    qzi_fpenv_leave(env);
    uint32_t after = _mm_getcsr();
    _mm_setcsr(saved);
    assert_int_equal(inside & ~0x3fu, 0x1f80);
    assert_true(kept);
    assert_int_equal(after, odd);
}
#endif

static void test_rounding_mode(void **state)
{
    (void)state;
    static const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST};
    for (size_t i = 0; i < QZI_ARRAY_LEN(modes); i++) {
        fesetround(modes[i]);
        qzi_fpenv env = qzi_fpenv_enter();
        volatile float one = 1.0f, small = 0x1p-24f;
        volatile float sum = one + small, difference = -one - small;
        qzi_fpenv_leave(env);
        int after = fegetround();
        /* rounding half to even needs no mode */
        volatile double x = 2.5, y = -0.75;
        double rx = qzi_rne(x), ry = qzi_rne(y);
        float rz = qzi_rnef(3.5f);
        fesetround(FE_TONEAREST);
        assert_true(sum == 1.0f && difference == -1.0f);
        assert_int_equal(after, modes[i]);
        assert_true(rx == 2.0 && ry == -1.0 && rz == 4.0f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_parallel_from_threads),
        cmocka_unit_test(test_mutex),
#if defined(QZ_ARCH_X86)
        cmocka_unit_test(test_flush_to_zero),
#endif
        cmocka_unit_test(test_rounding_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
