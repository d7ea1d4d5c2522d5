/* SPDX-License-Identifier: MIT */
/*
 * check_fmaf.c - qzk_ref_fmaf and qzk_ref_fma_step of the reference against a plain fmaf, and that
 * against the C library's where it is known to be right.
 *
 * Random bit patterns almost never meet the cases that matter, so most cases are built: sums on or
 * beside a midpoint of two floats with the rest far below, subnormal results, overflow by half a
 * unit, cancellation, signed zeros, infinity and NaN.
 */
#include "check_kernels.h"
#include "layers/kernels/ref/fma_ref.h"

/*
 * The sum of the exact product and acc, rounded to double, with what that left over (Knuth's
 * two-sum): conversion to float is wrong only where the double lies on the midpoint of two floats
 * and the rest says which of them is nearer.
 */
float check_fmaf(float x, float w, float acc)
{
    double product = (double)x * (double)w, sum = product + (double)acc;
    double part = sum - product, rest = (product - (sum - part)) + ((double)acc - part);
    float near = (float)sum;
    if (!isfinite(sum) || !(fabs(rest) > 0))
        return near;
    float other = nextafterf(near, sum > (double)near ? INFINITY : -INFINITY);
    /* beyond the largest float is, for rounding, a float more */
    double a = isinf(near) ? copysign(0x1p128, sum) : (double)near;
    double b = isinf(other) ? copysign(0x1p128, sum) : (double)other;
    if (a == sum || (a + b) / 2 != sum)
        return near;
    return (rest > 0) == (b > a) ? other : near;
}

static uint32_t bits_of(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

/* A float of random sign and fraction, of the exponent given; short fractions are likely. */
static float with_exponent(check_rng *rng, int exponent)
{
    uint32_t fraction = (uint32_t)check_u64(rng) & 0x7fffff;
    if (check_one_in(rng, 2))
        fraction &= ~0u << check_range(rng, 0, 23);
    float v = ldexpf((float)(0x800000 | fraction), exponent - 23);
    return check_one_in(rng, 2) ? -v : v;
}

static void make_case(check_rng *rng, float *x, float *w, float *acc)
{
    int ex = (int)check_range(rng, -126, 127), ew;
    switch (check_range(rng, 0, 8)) {
    case 0: /* anything */
        *x = check_any_float(rng), *w = check_any_float(rng), *acc = check_any_float(rng);
        break;
    case 1: /* like a network's numbers */
        *x = check_uniform(rng, -4, 4), *w = check_uniform(rng, -1, 1);
        *acc = check_uniform(rng, -8, 8);
        break;
    case 2: /* the product reaches from around to far below the last bit of acc */
        ew = (int)check_range(rng, -60, 60);
        *x = with_exponent(rng, ew), *w = with_exponent(rng, ex / 4);
        *acc = with_exponent(rng, ew + ex / 4 + (int)check_range(rng, 20, 54));
        break;
    case 3: /* acc reaches far below the last bit of the product */
        ew = (int)check_range(rng, -60, 60);
        *x = with_exponent(rng, ew), *w = with_exponent(rng, ex / 4);
        *acc = with_exponent(rng, ew + ex / 4 - (int)check_range(rng, 0, 54));
        break;
    case 4: /* cancellation */
        ew = (int)check_range(rng, -40, 40);
        *x = with_exponent(rng, ew), *w = with_exponent(rng, ex / 4);
        *acc = -(*x * *w);
        if (check_one_in(rng, 2))
            *acc = nextafterf(*acc, check_one_in(rng, 2) ? INFINITY : -INFINITY);
        break;
    case 5: /* subnormal sums; products whose bits reach below the least float */
        *x = with_exponent(rng, (int)check_range(rng, -126, -20));
        *w = ldexpf(with_exponent(rng, 0), (int)check_range(rng, -160, -120) - ilogbf(*x));
        *acc = check_one_in(rng, 4)
                   ? 0.0f
                   : ldexpf(with_exponent(rng, 0), -(int)check_range(rng, 120, 149));
        break;
    case 6: /* overflow by about half a unit */
        *acc = check_one_in(rng, 2) ? FLT_MAX : with_exponent(rng, 127);
        *x = with_exponent(rng, (int)check_range(rng, 0, 100));
        *w = ldexpf(check_one_in(rng, 2) ? 1.0f : with_exponent(rng, 0),
                    (int)check_range(rng, 100, 104) - ilogbf(*x));
        break;
    case 7: /* half a unit beside a subnormal acc, where a unit does not shrink with acc */
        ew = (int)check_range(rng, -50, 50);
        *acc = ldexpf((float)check_range(rng, -0x7fffff, 0x7fffff), -149);
        *x = ldexpf(1.0f + FLT_EPSILON * (float)check_range(rng, -1, 1), -75 + ew);
        *w = ldexpf(1.0f - FLT_EPSILON * (float)check_range(rng, -1, 1), -75 - ew);
        break;
    default: /* a product of exactly half a unit of acc, or one bit beside it */
        *acc = with_exponent(rng, (int)check_range(rng, -100, 100));
        *x = ldexpf(1.0f + (check_one_in(rng, 2) ? FLT_EPSILON : 0.0f), ilogbf(*acc) / 2);
        *w = ldexpf(1.0f - (check_one_in(rng, 2) ? FLT_EPSILON : 0.0f),
                    ilogbf(*acc) - 24 - ilogbf(*x));
        if (check_one_in(rng, 2))
            *w = -*w;
        break;
    }
}

/* What a convolution takes from the step: its result, or qzk_ref_fmaf's where that is in doubt. */
static float by_step(float x, float w, float acc)
{
    uint64_t doubt = 0;
    double sum = qzk_ref_fma_step(x, w, acc, &doubt);
    bool tiny = (qzk_ref_tiny(x) | qzk_ref_tiny(w)) >> 31;
    return tiny || doubt >> 63 ? qzk_ref_fmaf(x, w, acc) : (float)sum;
}

static const char *const name[] = {"qzk_ref_fmaf", "step", "the C library's fmaf"};
#ifdef __GLIBC__
static const int ways = 3;
#else
static const int ways = 2;
#endif

int check_suite_fmaf(const check_options *options, int64_t *compared)
{
    int64_t runs = options->runs ? options->runs : 20000000;
    check_rng rng = {options->seed};
    int64_t rounded_twice_wrong = 0;
    int failures = 0;
    for (int64_t i = 0; i < runs; i++) {
        float x, w, acc;
        make_case(&rng, &x, &w, &acc);
        float want = check_fmaf(x, w, acc);
        float got[] = {qzk_ref_fmaf(x, w, acc), by_step(x, w, acc), fmaf(x, w, acc)};
        for (int k = 0; k < ways; k++) {
            if (bits_of(want) == bits_of(got[k]) || (want != want && got[k] != got[k]))
                continue;
            if (failures++ < 10)
                printf("%s(%a, %a, %a) = %a instead of %a\n", name[k], (double)x, (double)w,
                       (double)acc, (double)got[k], (double)want);
        }
        float naive = (float)((double)x * (double)w + (double)acc);
        rounded_twice_wrong += naive != want && want == want;
        *compared += ways;
    }
    printf("fmaf: rounding twice would have been wrong in %" PRId64 " cases\n",
           rounded_twice_wrong);
    /* the cases are there to be hard */
    return failures + (runs >= 1000000 && rounded_twice_wrong == 0);
}
