/* SPDX-License-Identifier: MIT */
/* test_eval_stats.c - Wilson's interval and McNemar's test against exact values (fractions). */
#include "tools/eval_stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void wilson(void **state)
{
    (void)state;
    static const struct {
        size_t correct, count;
        double low, high;
    } cases[] = {
        {0, 10, 0.0, 0.2775327998628892},
        {10, 10, 0.7224672001371106, 1.0},
        {5, 10, 0.236593090512564, 0.763406909487436},
        {410, 500, 0.7839253300173655, 0.851195092087241},
        {403, 500, 0.7690603702807669, 0.8382735333567632},
        {81, 263, 0.2552885198782742, 0.36620957698280004},
        {1, 1, 0.20654931437723742, 1.0},
    };
    double low, high;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        eval_wilson95(cases[i].correct, cases[i].count, &low, &high);
        assert_true(fabs(low - cases[i].low) < 1e-12 && fabs(high - cases[i].high) < 1e-12);
    }
    eval_wilson95(0, 0, &low, &high);
    assert_true(isnan(low) && isnan(high));
}

static void mcnemar(void **state)
{
    (void)state;
    static const struct {
        size_t first, second;
        double p;
    } cases[] = {
        {0, 0, 1.0},
        {0, 1, 1.0},
        {0, 5, 0.0625},
        {1, 9, 0.021484375},
        {10, 25, 0.01667384780012071},
        {59, 6, 4.964650327128617e-12},
        {12, 8, 0.5034446716308594},
        {1000, 1100, 0.030720707864242296}, /* where 2^-n is no double */
        {2000, 2000, 1.0},
        {3, 1500, 0.0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const double p = eval_mcnemar(cases[i].first, cases[i].second);
        assert_true(fabs(p - cases[i].p) <= 1e-12 * cases[i].p);
        assert_true(p == eval_mcnemar(cases[i].second, cases[i].first));
    }
    assert_true(eval_mcnemar(500000, 500500) > 0.6 && eval_mcnemar(500000, 500500) < 0.63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wilson),
        cmocka_unit_test(mcnemar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
