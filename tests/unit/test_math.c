/* SPDX-License-Identifier: MIT */
/* test_math.c - the deterministic functions against libm over wide ranges, and rounding. */
#include "layers/base/base.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* glibc is within one unit in the last place: far below what is promised here. */
static double worst;

static void compare(const char *name, double (*ours)(double), double (*libm)(double), double x)
{
    double got = ours(x), want = libm(x);
    if (isnan(want) || isinf(want) || want == 0.0) {
        if (!(isnan(want) ? isnan(got) : got == want && !signbit(got) == !signbit(want)))
            fail_msg("%s(%a) = %a, not %a", name, x, got, want);
        return;
    }
    /* below the normal range only the spacing of the numbers limits */
    double error = fabs(got - want) / fmax(fabs(want), 0x1p-1022);
    double allowed = fabs(want) < 0x1p-1022 ? 0x1p-52 : 1e-14;
    if (!(error <= allowed))
        fail_msg("%s(%a) = %a, not %a: relative error %g", name, x, got, want, error);
    if (fabs(want) >= 0x1p-1022)
        worst = fmax(worst, error);
}

static void sweep(const char *name, double (*ours)(double), double (*libm)(double), double low,
                  double high, int steps)
{
    for (int i = 0; i <= steps; i++)
        compare(name, ours, libm, low + (high - low) * i / steps);
}

/* Every binade, both signs, several mantissas. */
static void sweep_binades(const char *name, double (*ours)(double), double (*libm)(double))
{
    static const double mantissas[] = {
        1.0, 1.1, 1.37, 1.5, 0x1.6a09e667f3bccp0, 0x1.6a09e667f3bcdp0, 1.75, 0x1.fffffffffffffp0};
    for (int e = -1074; e < 1024; e++) {
        for (size_t m = 0; m < QZI_ARRAY_LEN(mantissas); m++) {
            compare(name, ours, libm, ldexp(mantissas[m], e));
            compare(name, ours, libm, -ldexp(mantissas[m], e));
        }
    }
}

static void check(const char *name, double (*ours)(double), double (*libm)(double))
{
    static const double special[] = {0.0, -0.0,      INFINITY,   -INFINITY,
                                     NAN, 0x1p-1074, -0x1p-1074, 0x1.fffffffffffffp1023,
                                     1.0, -1.0};
    worst = 0.0;
    for (size_t i = 0; i < QZI_ARRAY_LEN(special); i++)
        compare(name, ours, libm, special[i]);
    sweep_binades(name, ours, libm);
    sweep(name, ours, libm, -1.0, 1.0, 100003);
    sweep(name, ours, libm, -25.0, 25.0, 100003);
    sweep(name, ours, libm, -800.0, 800.0, 100003);
}

static void test_exp(void **state)
{
    (void)state;
    check("exp", qzi_math_exp, exp);
    sweep("exp", qzi_math_exp, exp, 709.0, 710.0, 20011);
    sweep("exp", qzi_math_exp, exp, -746.0, -708.0, 20011);
    print_message("exp: %.2g\n", worst);
    assert_true(qzi_math_exp(0.0) == 1.0);
}

static void test_tanh(void **state)
{
    (void)state;
    check("tanh", qzi_math_tanh, tanh);
    sweep("tanh", qzi_math_tanh, tanh, 0.34, 0.36, 20011);
    print_message("tanh: %.2g\n", worst);
}

static void test_erf(void **state)
{
    (void)state;
    check("erf", qzi_math_erf, erf);
    sweep("erf", qzi_math_erf, erf, 0.99, 1.01, 20011);
    sweep("erf", qzi_math_erf, erf, -6.1, 6.1, 100003);
    print_message("erf: %.2g\n", worst);
}

static void test_log(void **state)
{
    (void)state;
    check("log", qzi_math_log, log);
    sweep("log", qzi_math_log, log, 0.5, 2.0, 100003);
    sweep("log", qzi_math_log, log, 1.0 - 1e-9, 1.0 + 1e-9, 20011);
    print_message("log: %.2g\n", worst);
}

static void test_log2(void **state)
{
    (void)state;
    check("log2", qzi_math_log2, log2);
    sweep("log2", qzi_math_log2, log2, 0.5, 2.0, 100003);
    sweep("log2", qzi_math_log2, log2, 1.0 - 1e-9, 1.0 + 1e-9, 20011);
    print_message("log2: %.2g\n", worst);
    for (int e = -1074; e < 1024; e++)
        assert_true(qzi_math_log2(ldexp(1.0, e)) == e);
}

/* The bits themselves: another compiler or machine must print the same. */
static void test_bits(void **state)
{
    (void)state;
    uint64_t hash = QZI_FNV_OFFSET;
    for (int i = -4000; i <= 4000; i++) {
        double x = i * 0x1.1p-8;
        double y[] = {qzi_math_exp(x), qzi_math_tanh(x), qzi_math_erf(x), qzi_math_log(fabs(x)),
                      qzi_math_log2(fabs(x))};
        hash = qzi_fnv1a_numbers(y, QZI_ARRAY_LEN(y), sizeof(*y), hash);
    }
    print_message("hash %016llx\n", (unsigned long long)hash);
    assert_true(hash == UINT64_C(0x134d29869aab5bdd));
}

static void check_rne(double x)
{
    double want = nearbyint(x), got = qzi_rne(x);
    if (!(isnan(want) ? isnan(got) : got == want && !signbit(got) == !signbit(want)))
        fail_msg("rne(%a) = %a, not %a", x, got, want);
    float wantf = nearbyintf((float)x), gotf = qzi_rnef((float)x);
    if (!(isnan(wantf) ? isnan(gotf) : gotf == wantf && !signbit(gotf) == !signbit(wantf)))
        fail_msg("rnef(%a) = %a, not %a", x, (double)gotf, (double)wantf);
}

static void test_rne(void **state)
{
    (void)state;
    for (int i = -4000; i <= 4000; i++) {
        check_rne(i * 0.125);
        check_rne(nextafter(i * 0.5, INFINITY));
        check_rne(nextafter(i * 0.5, -INFINITY));
        check_rne((double)nextafterf((float)i * 0.5f, INFINITY));
        check_rne((double)nextafterf((float)i * 0.5f, -INFINITY));
    }
    for (int e = -1074; e < 1024; e++) {
        for (double m = 1.0; m < 2.0; m += 0.0625) {
            check_rne(ldexp(m, e));
            check_rne(-ldexp(m, e));
        }
    }
    for (int i = -20; i < 20; i++) {
        check_rne(0x1p51 + i * 0.5);
        check_rne(0x1p52 + i);
        check_rne(0x1p22 + i * 0.5);
        check_rne(0x1p23 + i * 0.5);
    }
    check_rne(INFINITY);
    check_rne(-INFINITY);
    check_rne(NAN);
    check_rne(-0.0);
}

static void test_rsqrt(void **state)
{
    (void)state;
    for (int i = 1; i < 10000; i++) {
        float x = (float)i * 0.37f;
        volatile float root = sqrtf(x);
        assert_true(qzi_rsqrtf(x) == 1.0f / root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp), cmocka_unit_test(test_tanh),  cmocka_unit_test(test_erf),
        cmocka_unit_test(test_log), cmocka_unit_test(test_log2),  cmocka_unit_test(test_bits),
        cmocka_unit_test(test_rne), cmocka_unit_test(test_rsqrt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
