/* SPDX-License-Identifier: MIT */
/* test_context.c - CPU detection, options of a context. */
#include "counting.h"
#include "layers/base/base.h"
#include "layers/base/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- CPU ---- */

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
#if defined(QZ_ARCH_X86) && defined(QZ_VECTOR_KERNELS)
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
    const qzi_x86_regs all = {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu,
                              0xffffffffu, 0x600e7,     true};
    qzi_x86_regs r = all;
    uint32_t m = qzi_isa_mask_x86(&r);
    assert_true(has(m, QZ_ISA_AVX2) && has(m, QZ_ISA_AVXVNNI) && has(m, QZ_ISA_AVX512) &&
                has(m, QZ_ISA_AVX512VNNI) && has(m, QZ_ISA_REF) && has(m, QZ_ISA_AUTO));
    assert_false(has(m, QZ_ISA_NEON));
    assert_int_equal(qzi_isa_best_of(m), QZ_ISA_AMX);

    r.tiles = false; /* the system does not let this process */
    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_x86(&r)), QZ_ISA_AVX512VNNI);
    r = all;
    r.leaf7_edx &= ~(1u << 25); /* tiles, but not of int8 */
    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_x86(&r)), QZ_ISA_AVX512VNNI);
    r = all;
    r.xcr0 = 0xe7;
    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_x86(&r)), QZ_ISA_AVX512VNNI);
    r = all;
    r.leaf7_ecx = 0;
    assert_int_equal(qzi_isa_best_of(qzi_isa_mask_x86(&r)), QZ_ISA_AVXVNNI);

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
    memset(&info, 0xff, sizeof(info));
    qz_cpu_query(&info);
    print_message("cpu: %s, %u/%u cores, L1d %zu, L2 %zu, L3 %zu, best %s, usable %u\n", info.name,
                  info.physical_cores, info.logical_cores, info.l1d_bytes, info.l2_bytes,
                  info.l3_bytes, qz_isa_name(qz_isa_best()), qzi_cpu_usable());
    assert_in_range(strlen(info.name), 1, sizeof(info.name) - 1);
    assert_in_range(info.physical_cores, 1, info.logical_cores);
    assert_in_range(info.l1d_bytes, 4 << 10, 1 << 20);
    assert_true(info.l2_bytes >= info.l1d_bytes);
    assert_true(info.l2_bytes <= (size_t)64 << 20);
    assert_true(info.l3_bytes > 0);
    assert_true(qzi_cpu_usable() >= 1);
}

/* ---- context ---- */

static void test_context_options(void **state)
{
    (void)state;
    qz_context *ctx = (qz_context *)&ctx;
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.size = 0;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_ERR_ARGUMENT);
    assert_null(ctx);
    o.size = sizeof(o) + 8;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_context_create(NULL, NULL), QZ_ERR_ARGUMENT);

    o.size = offsetof(qz_context_options, threads); /* an older caller */
    o.threads = 100000;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
    qz_context_destroy(ctx);
    o.size = sizeof(o);
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
    const qz_allocator half = {counting_alloc, NULL, NULL};
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
    if (!expected)
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
    counting c = COUNTING_INIT;
    const qz_allocator allocator = {counting_alloc, counting_free, &c};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_isa_names),
        cmocka_unit_test(test_isa_rules),
        cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_context_options),
        cmocka_unit_test(test_context_out_of_memory),
        cmocka_unit_test(test_cache_dir), /* last: it changes the environment */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
