/* SPDX-License-Identifier: MIT */
/* eval_stats.c - Wilson's interval and McNemar's exact test. */
#include "eval_stats.h"

#include <math.h>

/* The 97.5 % point of the normal distribution. */
#define Z95 1.959963984540054

void eval_wilson95(size_t correct, size_t count, double *low, double *high)
{
    const double n = (double)count, p = (double)correct / n, z2 = Z95 * Z95;
    *low = *high = (double)NAN;
    if (count == 0)
        return;
    const double middle = p + z2 / (2.0 * n);
    const double half = Z95 * sqrt(p * (1.0 - p) / n + z2 / (4.0 * n * n));
    /* rounding must not leave 0 and 1, which the formula reaches exactly */
    *low = correct == 0 ? 0.0 : (middle - half) / (1.0 + z2 / n);
    *high = correct == count ? 1.0 : (middle + half) / (1.0 + z2 / n);
}

/* C(n, k) / 2^n: the mantissa and the exponent apart, so that neither factor leaves double. */
static double binomial_half(size_t n, size_t k)
{
    double mantissa = 1.0;
    int exponent, all = 0;
    for (size_t j = 1; j <= k; j++) {
        mantissa = frexp(mantissa * ((double)(n - k + j) / (double)j), &exponent);
        all += exponent;
    }
    return ldexp(mantissa, all - (int)n);
}

double eval_mcnemar(size_t only_first, size_t only_second)
{
    const size_t n = only_first + only_second;
    const size_t less = only_first < only_second ? only_first : only_second;
    double sum = 1.0, term = 1.0; /* of C(n, i) for i from `less` down, in units of C(n, less) */
    if (only_first == only_second)
        return 1.0;
    for (size_t i = less; i > 0 && term > 0.0; i--) {
        term *= (double)i / (double)(n - i + 1);
        sum += term;
    }
    const double p = 2.0 * sum * binomial_half(n, less);
    return p < 1.0 ? p : 1.0;
}
