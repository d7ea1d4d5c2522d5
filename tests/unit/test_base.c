/* SPDX-License-Identifier: MIT */
/* test_base.c - errors, memory, threads, floating-point environment, CPU detection, the context. */
#include "layers/base/context.h"
#include "layers/base/cpu.h"

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <pthreadpool.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- an allocator that counts and can fail --------------------------------------------------- */

typedef struct counter {
    _Atomic int64_t live, total;
    int64_t fail_at; /* the allocation with this number fails; -1: none */
} counter;

static void *count_alloc(void *user, size_t size, size_t align)
{
    counter *c = user;
    if (atomic_fetch_add(&c->total, 1) == c->fail_at)
        return NULL;
    void *ptr = NULL;
    assert_int_equal(posix_memalign(&ptr, align, size), 0);
    memset(ptr, 0xa5, size); /* nothing may count on zeros */
    atomic_fetch_add(&c->live, 1);
    return ptr;
}

static void count_free(void *user, void *ptr)
{
    counter *c = user;
    assert_non_null(ptr);
    atomic_fetch_sub(&c->live, 1);
    free(ptr);
}

static qz_context *make_context(counter *c, uint32_t threads)
{
    const qz_allocator allocator = {count_alloc, count_free, c};
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.allocator = &allocator;
    o.threads = threads;
    qz_context *ctx = NULL;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
    return ctx;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void *other_thread(void *arg)
{
    (void)arg;
    assert_string_equal(qz_context_message(NULL), "");
    qzi_fail(NULL, QZ_ERR_IO, "of the other thread");
    assert_string_equal(qz_context_message(NULL), "of the other thread");
    return NULL;
}

static void test_message(void **state)
{
    (void)state;
    assert_int_equal(qzi_fail(NULL, QZ_ERR_FORMAT, "%s: %d", "name", 7), QZ_ERR_FORMAT);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(qz_context_message(NULL), "name: 7");

    /* the message itself may be an argument */
    qzi_fail(NULL, QZ_ERR_FORMAT, "again %s", qz_context_message(NULL));
    assert_string_equal(qz_context_message(NULL), "again name: 7");
    assert_int_equal(qzi_fail_prefix(NULL, QZ_ERR_IO, "file %s", "x"), QZ_ERR_IO);
    assert_string_equal(qz_context_message(NULL), "file x: again name: 7");
    assert_int_equal(qzi_fail_memory(NULL, 123), QZ_ERR_MEMORY);
    assert_non_null(strstr(qz_context_message(NULL), "123"));
}

static void test_message_is_one_safe_line(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\nb\r\tc\x1b[2J\x7f", "a?b??c?[2J?"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x88", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x88"},
        {"\x9b 31m", "? 31m"},        /* a C1 control as one byte */
        {"\xc2\x9b", "??"},           /* and in UTF-8 */
        {"\xc3", "?"},                /* cut */
        {"\xe2\x82", "??"},           /* cut */
        {"\xc0\x8a", "??"},           /* overlong newline */
        {"\xed\xa0\x80", "???"},      /* surrogate */
        {"\xf4\x90\x80\x80", "????"}, /* beyond Unicode */
        {"x\xe2\x80\xae"
         "fdp",
         "x???fdp"},             /* right-to-left override */
        {"\xe2\x80\xa8", "???"}, /* line separator */
    };
    for (size_t i = 0; i < QZI_ARRAY_LEN(cases); i++) {
        qzi_fail(NULL, QZ_ERR_IO, "%s", cases[i].in);
        assert_string_equal(qz_context_message(NULL), cases[i].out);
    }
    char longer[5000];
    memset(longer, 'y', sizeof longer);
    longer[sizeof longer - 1] = 0;
    qzi_fail(NULL, QZ_ERR_IO, "%s", longer);
    size_t length = strlen(qz_context_message(NULL));
    assert_in_range(length, 500, sizeof longer - 2);
    qzi_fail_prefix(NULL, QZ_ERR_IO, "%s", "p");
    assert_int_equal(strlen(qz_context_message(NULL)), length);
    qzi_fail_prefix(NULL, QZ_ERR_IO, "%s", longer);
    assert_int_equal(strlen(qz_context_message(NULL)), length);
    /* cut in the middle of a character */
    for (size_t i = 0; i + 2 < sizeof longer; i += 2)
        memcpy(longer + i, "\xc3\xa9", 2);
    qzi_fail(NULL, QZ_ERR_IO, "x%s", longer);
    const char *m = qz_context_message(NULL);
    length = strlen(m);
    assert_true((unsigned char)m[length - 1] == 0xa9 || m[length - 1] == '?');
}

static void test_status(void **state)
{
    (void)state;
    assert_string_equal(qz_status_name(QZ_OK), "QZ_OK");
    assert_string_equal(qz_status_name(QZ_ERR_INTERNAL), "QZ_ERR_INTERNAL");
    assert_string_equal(qz_status_text(QZ_ERR_MEMORY), "out of memory");
    assert_non_null(qz_status_name((qz_status)999));
    assert_non_null(qz_status_text((qz_status)999));
    assert_string_equal(qz_version(), QZ_VERSION_STRING);
}

typedef struct heard {
    int count;
    qz_log_level level;
    char text[64];
} heard;

static void hear(void *user, qz_log_level level, const char *message)
{
    heard *h = user;
    h->count++;
    h->level = level;
    snprintf(h->text, sizeof h->text, "%s", message);
}

static void test_log(void **state)
{
    (void)state;
    heard h = {0};
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.log = hear;
    o.log_user = &h;
    qz_context *ctx;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
    qzi_log(ctx, QZ_LOG_WARNING, "%d\nkeys", 3);
    assert_int_equal(h.count, 1);
    assert_int_equal(h.level, QZ_LOG_WARNING);
    assert_string_equal(h.text, "3?keys");
    qzi_log(NULL, QZ_LOG_INFO, "to nobody");
    qz_context_destroy(ctx);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void test_alloc(void **state)
{
    (void)state;
    counter c = {.fail_at = -1};
    qz_context *ctx = make_context(&c, 1);
    int64_t before = c.live;
    unsigned char *p = qzi_alloc(ctx, 0);
    assert_non_null(p);
    qzi_free(ctx, p);
    qzi_free(ctx, NULL);
    for (size_t size = 1; size < 300; size += 37) {
        p = qzi_alloc(ctx, size);
        assert_int_equal((uintptr_t)p % QZI_ALIGN, 0);
        qzi_free(ctx, p);
    }
    p = qzi_calloc(ctx, 5, 7);
    for (int i = 0; i < 35; i++)
        assert_int_equal(p[i], 0);
    p[34] = 9;
    p = qzi_realloc(ctx, p, 35, 500);
    assert_int_equal(p[34], 9);
    p = qzi_realloc(ctx, p, 500, 1);
    assert_int_equal(p[0], 0);
    c.fail_at = c.total;
    assert_null(qzi_realloc(ctx, p, 1, 100));
    assert_int_equal(p[0], 0); /* still there */
    qzi_free(ctx, p);
    c.fail_at = -1;
    assert_null(qzi_calloc(ctx, SIZE_MAX / 2, 3));
    assert_null(qzi_alloc(ctx, SIZE_MAX));
    assert_null(qzi_alloc(ctx, (size_t)PTRDIFF_MAX + 1));

    char *text = qzi_format(ctx, "%s-%d", "node", 12);
    assert_string_equal(text, "node-12");
    char *copy = qzi_strdup(ctx, text);
    assert_string_equal(copy, text);
    qzi_free(ctx, text);
    qzi_free(ctx, copy);
    assert_int_equal(c.live, before);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);

    p = qzi_alloc(NULL, 100); /* without a context: the C library */
    assert_non_null(p);
    qzi_free(NULL, p);
}

static void test_size_arithmetic(void **state)
{
    (void)state;
    size_t out = 42;
    assert_false(qzi_mul_size(SIZE_MAX, 2, &out));
    assert_false(qzi_mul_size((size_t)1 << 32, (size_t)1 << 32, &out));
    assert_false(qzi_add_size(SIZE_MAX, 1, &out));
    assert_int_equal(out, 42);
    assert_true(qzi_mul_size(SIZE_MAX, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_true(qzi_mul_size(SIZE_MAX, 0, &out));
    assert_int_equal(out, 0);
    assert_true(qzi_add_size(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
}

static void test_grow(void **state)
{
    (void)state;
    counter c = {.fail_at = -1};
    qz_context *ctx = make_context(&c, 1);
    int32_t *items = NULL;
    size_t capacity = 0;
    for (size_t count = 0; count < 1000; count++) {
        assert_int_equal(qzi_grow(ctx, &items, &capacity, count, sizeof *items), QZ_OK);
        assert_true(capacity > count);
        items[count] = (int32_t)count;
    }
    for (int32_t i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    assert_true(c.total < 20); /* it doubles */
    int32_t *before = items;
    c.fail_at = c.total;
    assert_int_equal(qzi_grow(ctx, &items, &capacity, capacity, sizeof *items), QZ_ERR_MEMORY);
    assert_ptr_equal(items, before);
    size_t huge = SIZE_MAX / 2 + 1;
    assert_int_equal(qzi_grow(ctx, &items, &huge, huge, sizeof *items), QZ_ERR_MEMORY);
    qzi_free(ctx, items);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

static void test_arena(void **state)
{
    (void)state;
    counter c = {.fail_at = -1};
    qz_context *ctx = make_context(&c, 1);
    int64_t before = c.live;
    qzi_arena arena;
    qzi_arena_init(&arena, ctx);
    for (int round = 0; round < 2; round++) {
        unsigned char *pieces[400];
        for (int i = 0; i < 400; i++) {
            size_t size = (size_t)(i * 7919 % 9000);
            pieces[i] = qzi_arena_alloc(&arena, size);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % 16, 0);
            for (size_t k = 0; k < size; k++)
                assert_int_equal(pieces[i][k], 0);
            memset(pieces[i], i & 0xff, size);
        }
        for (int i = 0; i < 400; i++) {
            size_t size = (size_t)(i * 7919 % 9000);
            for (size_t k = 0; k < size; k++)
                assert_int_equal(pieces[i][k], i & 0xff);
        }
        assert_string_equal(qzi_arena_strdup(&arena, "text"), "text");
        qzi_arena_free(&arena);
        assert_int_equal(c.live, before);
    }
    /* a large piece does not throw the rest of the block away */
    int64_t total = c.total;
    qzi_arena_alloc(&arena, 16);
    qzi_arena_alloc(&arena, 100000);
    for (int i = 0; i < 100; i++)
        qzi_arena_alloc(&arena, 16);
    assert_int_equal(c.total, total + 2);
    c.fail_at = c.total;
    assert_null(qzi_arena_alloc(&arena, 100000));
    assert_null(qzi_arena_alloc(&arena, SIZE_MAX - 8));
    qzi_arena_free(&arena);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

/* ---- threads --------------------------------------------------------------------------------- */

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
    if (end - begin < c->grain && end != c->units)
        atomic_fetch_add(&c->wrong, 1);
    if (atomic_exchange(&c->busy[thread], true))
        atomic_fetch_add(&c->wrong, 1);
    if (fegetround() != FE_TONEAREST)
        atomic_fetch_add(&c->wrong, 1);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&c->seen[i], 1);
    if (c->nested)
        qzi_parallel(c->ctx, c->threads, 10, 1, false, cover_nested, c);
    if (!atomic_exchange(&c->busy[thread], false))
        atomic_fetch_add(&c->wrong, 1);
}

static void check_cover(const qz_context *ctx, uint32_t threads, int64_t units, int64_t grain,
                        bool nested)
{
    coverage *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->ctx = ctx;
    c->threads = threads;
    c->units = units;
    c->grain = grain;
    c->nested = nested;
    qzi_parallel(ctx, threads, units, grain, (units & 1) != 0, cover, c);
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
    counter c = {.fail_at = -1};
    for (uint32_t threads = 1; threads <= 4; threads += 3) {
        qz_context *ctx = make_context(&c, threads);
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
    counter c = {.fail_at = -1};
    qz_context *ctx = make_context(&c, 3);
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
    counter c = {.fail_at = -1};
    qz_context *ctx = make_context(&c, 1);
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

/* ---- floating-point environment -------------------------------------------------------------- */

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

/* ---- CPU ------------------------------------------------------------------------------------- */

static void test_isa_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < QZ_ISA_COUNT; i++) {
        qz_isa isa = QZ_ISA_COUNT;
        assert_non_null(qz_isa_name((qz_isa)i));
        assert_true(qz_isa_parse(qz_isa_name((qz_isa)i), &isa));
        assert_int_equal(isa, i);
    }
    qz_isa isa = QZ_ISA_REF;
    assert_null(qz_isa_name(QZ_ISA_COUNT));
    assert_false(qz_isa_parse("avx", &isa));
    assert_false(qz_isa_parse("AVX2", &isa));
    assert_false(qz_isa_parse("", &isa));
    assert_int_equal(isa, QZ_ISA_REF);
    assert_true(qz_isa_available(QZ_ISA_AUTO));
    assert_true(qz_isa_available(QZ_ISA_REF));
    assert_false(qz_isa_available(QZ_ISA_COUNT));
    assert_true(qz_isa_available(qz_isa_best()));
    assert_int_not_equal(qz_isa_best(), QZ_ISA_AUTO);
#if defined(QZ_ARCH_X86)
    /* the compiler's own detection agrees */
    __builtin_cpu_init();
    assert_int_equal(qz_isa_available(QZ_ISA_AVX2),
                     __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    assert_int_equal(qz_isa_available(QZ_ISA_AVX512VNNI),
                     __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512f") &&
                         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl"));
    assert_false(qz_isa_available(QZ_ISA_NEON));
#endif
}

static bool has(uint32_t mask, qz_isa isa)
{
    return (mask >> isa & 1) != 0;
}

static void test_isa_rules(void **state)
{
    (void)state;
    const qzi_x86_regs all = {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xe7};
    qzi_x86_regs r = all;
    uint32_t m = qzi_isa_mask_x86(&r);
    assert_true(has(m, QZ_ISA_AVX2) && has(m, QZ_ISA_AVXVNNI) && has(m, QZ_ISA_AVX512) &&
                has(m, QZ_ISA_AVX512VNNI) && has(m, QZ_ISA_REF) && has(m, QZ_ISA_AUTO));
    assert_false(has(m, QZ_ISA_NEON));
    assert_int_equal(qzi_isa_best_of(m), QZ_ISA_AVX512VNNI);

    r.xcr0 = 0x07; /* the system does not save zmm */
    m = qzi_isa_mask_x86(&r);
    assert_false(has(m, QZ_ISA_AVX512) || has(m, QZ_ISA_AVX512VNNI));
    assert_int_equal(qzi_isa_best_of(m), QZ_ISA_AVXVNNI);
    r.xcr0 = 0x67; /* nor the upper sixteen */
    assert_false(has(qzi_isa_mask_x86(&r), QZ_ISA_AVX512));
    r.xcr0 = 0x03; /* not even ymm */
    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_x86(&r)), QZ_ISA_REF);
    r = all;
    r.leaf1_ecx &= ~(1u << 27); /* no xsave by the system */
    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_x86(&r)), QZ_ISA_REF);
    r = all;
    r.leaf1_ecx &= ~(1u << 12); /* AVX2 without FMA is no bundle of ours */
    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_x86(&r)), QZ_ISA_REF);
    static const int needed[] = {16, 17, 30, 31};
    for (size_t i = 0; i < QZI_ARRAY_LEN(needed); i++) {
        r = all;
        r.leaf7_ebx &= ~(1u << needed[i]);
        m = qzi_isa_mask_x86(&r);
        assert_false(has(m, QZ_ISA_AVX512) || has(m, QZ_ISA_AVX512VNNI));
        assert_true(has(m, QZ_ISA_AVX2));
    }
    r = all;
    r.leaf7_ecx = 0;
    r.leaf7_1_eax = 0;
    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_x86(&r)), QZ_ISA_AVX512);

    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_arm(0, 0)), QZ_ISA_REF);
    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_arm(1u << 1, 1u << 13)), QZ_ISA_NEON);
    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_arm(1u << 1 | 1u << 20, 0)), QZ_ISA_DOTPROD);
    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_arm(1u << 1 | 1u << 20, 1u << 13)), QZ_ISA_I8MM);
}

static void test_cpu(void **state)
{
    (void)state;
    qz_cpu_info info;
    memset(&info, 0xff, sizeof info);
    qz_cpu_query(&info);
    print_message("cpu: %s, %u/%u cores, L1d %zu, L2 %zu, L3 %zu, best %s, usable %u\n", info.name,
                  info.physical_cores, info.logical_cores, info.l1d_bytes, info.l2_bytes,
                  info.l3_bytes, qz_isa_name(qz_isa_best()), qzi_cpu_usable());
    assert_in_range(strlen(info.name), 1, sizeof info.name - 1);
    assert_in_range(info.physical_cores, 1, info.logical_cores);
    assert_in_range(info.l1d_bytes, 4 << 10, 1 << 20);
    assert_true(info.l2_bytes >= info.l1d_bytes);
    assert_true(info.l2_bytes <= (size_t)64 << 20);
    assert_true(info.l3_bytes > 0);
    assert_true(qzi_cpu_usable() >= 1);
}

/* ---- context --------------------------------------------------------------------------------- */

static void test_context_options(void **state)
{
    (void)state;
    qz_context *ctx = (qz_context *)&ctx;
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.size = 0;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_ERR_ARGUMENT);
    assert_null(ctx);
    o.size = sizeof o + 8;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_context_create(NULL, NULL), QZ_ERR_ARGUMENT);

    o.size = offsetof(qz_context_options, threads); /* an older caller */
    o.threads = 100000;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
    qz_context_destroy(ctx);
    o.size = sizeof o;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_ERR_ARGUMENT);
    o.threads = 0;
    o.isa = QZ_ISA_COUNT;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_ERR_ARGUMENT);
    o.isa = qz_isa_available(QZ_ISA_NEON) ? QZ_ISA_AVX2 : QZ_ISA_NEON;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_ERR_UNSUPPORTED);
    assert_non_null(strstr(qz_context_message(NULL), qz_isa_name(o.isa)));
    o.isa = QZ_ISA_REF;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
    assert_int_equal(qz_context_isa(ctx), QZ_ISA_REF);
    assert_true(qz_context_threads(ctx) >= 1);
    qz_context_destroy(ctx);
    const qz_allocator half = {count_alloc, NULL, NULL};
    o.allocator = &half;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_ERR_ARGUMENT);
    qz_context_destroy(NULL);

    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    assert_int_equal(qz_context_isa(ctx), qz_isa_best());
    qz_context_destroy(ctx);
}

static void check_cache_dir(const char *asked, const char *expected)
{
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.cache_dir = asked;
    qz_context *ctx;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
    if (expected == NULL)
        assert_null(qz_context_cache_dir(ctx));
    else
        assert_string_equal(qz_context_cache_dir(ctx), expected);
    qz_context_destroy(ctx);
}

static void test_cache_dir(void **state)
{
    (void)state;
    setenv("QZOO_HOME", "/q", 1);
    setenv("XDG_CACHE_HOME", "/x", 1);
    setenv("HOME", "/h", 1);
    check_cache_dir("/mine", "/mine");
    check_cache_dir(NULL, "/q");
    setenv("QZOO_HOME", "", 1);
    check_cache_dir(NULL, "/x/qzoo");
    setenv("XDG_CACHE_HOME", "relative", 1);
    check_cache_dir(NULL, "/h/.cache/qzoo");
    unsetenv("XDG_CACHE_HOME");
    check_cache_dir(NULL, "/h/.cache/qzoo");
    unsetenv("HOME");
    check_cache_dir(NULL, NULL);
}

static void test_context_out_of_memory(void **state)
{
    (void)state;
    counter c = {.fail_at = -1};
    const qz_allocator allocator = {count_alloc, count_free, &c};
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.allocator = &allocator;
    o.cache_dir = "/somewhere";
    qz_context *ctx;
    for (c.fail_at = 0;; c.fail_at++) {
        atomic_store(&c.total, 0);
        qz_status st = qz_context_create(&o, &ctx);
        if (st == QZ_OK)
            break;
        assert_int_equal(st, QZ_ERR_MEMORY);
        assert_null(ctx);
        assert_int_equal(c.live, 0);
    }
    assert_int_equal(c.fail_at, 2);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

/* ---- small things ---------------------------------------------------------------------------- */

static void test_tensor(void **state)
{
    (void)state;
    assert_string_equal(qz_dtype_name(QZ_F32), "float32");
    assert_string_equal(qz_dtype_name(QZ_BOOL), "bool");
    assert_null(qz_dtype_name(QZ_DTYPE_COUNT));
    assert_int_equal(qz_dtype_size(QZ_S64), 8);
    assert_int_equal(qz_dtype_size(QZ_BF16), 2);
    assert_int_equal(qz_dtype_size(QZ_DTYPE_COUNT), 0);
    for (int i = 0; i < QZ_DTYPE_COUNT; i++)
        assert_true(qz_dtype_name((qz_dtype)i) != NULL && qz_dtype_size((qz_dtype)i) > 0);

    qz_tensor t = {.ndim = 0};
    assert_int_equal(qz_tensor_numel(&t), 1);
    t = (qz_tensor){.ndim = 3, .dims = {2, 3, 4}};
    assert_int_equal(qz_tensor_numel(&t), 24);
    t.dims[1] = -3;
    assert_int_equal(qz_tensor_numel(&t), -1);
    t = (qz_tensor){.ndim = 3, .dims = {INT64_MAX, 2, 0}};
    assert_int_equal(qz_tensor_numel(&t), 0);
    t.dims[2] = 1;
    assert_int_equal(qz_tensor_numel(&t), -1);
    t.dims[1] = 1;
    assert_true(qz_tensor_numel(&t) == INT64_MAX);
    t.ndim = QZ_MAX_DIMS + 1;
    assert_int_equal(qz_tensor_numel(&t), -1);
    t.ndim = -1;
    assert_int_equal(qz_tensor_numel(&t), -1);
}

static void test_hash_and_clock(void **state)
{
    (void)state;
    assert_true(qzi_fnv1a("", 0, QZI_FNV_OFFSET) == UINT64_C(0xcbf29ce484222325));
    assert_true(qzi_fnv1a("a", 1, QZI_FNV_OFFSET) == UINT64_C(0xaf63dc4c8601ec8c));
    uint64_t h = qzi_fnv1a("conv1", 5, QZI_FNV_OFFSET);
    assert_true(qzi_fnv1a(".weight", 7, h) == UINT64_C(0x69a29a2cee47d254));
    double a = qzi_now();
    assert_true(qzi_now() >= a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_message_is_one_safe_line),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_size_arithmetic),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_parallel_from_threads),
        cmocka_unit_test(test_mutex),
#if defined(QZ_ARCH_X86)
        cmocka_unit_test(test_flush_to_zero),
#endif
        cmocka_unit_test(test_rounding_mode),
        cmocka_unit_test(test_isa_names),
        cmocka_unit_test(test_isa_rules),
        cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_context_options),
        cmocka_unit_test(test_context_out_of_memory),
        cmocka_unit_test(test_tensor),
        cmocka_unit_test(test_hash_and_clock),
        cmocka_unit_test(test_cache_dir), /* last: it changes the environment */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
