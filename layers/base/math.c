/* SPDX-License-Identifier: MIT */
/*
 * math.c - exp, tanh, erf, log and rounding, with the same bits on every machine.
 *
 * Only + - * / and explicit fma on doubles (built with -ffp-contract=off), in the default
 * environment. Relative error below 1e-14; in fact a few units in the last place.
 */
#include "layers/base/base.h"

#include <math.h>
#include <string.h>

#define LN2_HI 0x1.62e42fefa0000p-1 /* ln 2 with 19 low bits zero: k * LN2_HI is exact */
#define LN2_LO 0x1.cf79abc9e3b3ap-40
#define LOG2_E 0x1.71547652b82fep+0

/* c[0] + c[1] t + … + c[n-1] t^(n-1) */
static double polynomial(const double *c, int n, double t)
{
    double sum = c[n - 1];
    for (int i = n - 2; i >= 0; i--)
        sum = fma(sum, t, c[i]);
    return sum;
}

/* 1/2!, 1/3!, …, 1/17! */
static const double exp_tail[16] = {
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5040.0,
    1.0 / 40320.0,
    1.0 / 362880.0,
    1.0 / 3628800.0,
    1.0 / 39916800.0,
    1.0 / 479001600.0,
    1.0 / 6227020800.0,
    1.0 / 87178291200.0,
    1.0 / 1307674368000.0,
    1.0 / 20922789888000.0,
    1.0 / 355687428096000.0,
};

/* 2^k for -1022 <= k <= 1023 */
static double power_of_two(int k)
{
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* exp(r) - 1 for |r| <= 0.75, with full relative accuracy near 0 */
static double expm1_small(double r)
{
    return fma(r * r, polynomial(exp_tail, 16, r), r);
}

double qzi_math_exp(double x)
{
    if (x != x)
        return x;
    if (x > 709.8)
        return INFINITY;
    if (x < -745.2)
        return 0.0;
    double k = qzi_rne(x * LOG2_E);
    double r = fma(-k, LN2_HI, x);
    r = fma(-k, LN2_LO, r);
    double y = 1.0 + expm1_small(r);
    /* two factors: the first keeps y normal, the second rounds once where the result is not */
    int n = (int)k;
    int half = n / 2;
    return y * power_of_two(half) * power_of_two(n - half);
}

double qzi_math_tanh(double x)
{
    if (x != x || x == 0.0)
        return x;
    double a = fabs(x), y;
    if (a < 0.35) {
        double e = expm1_small(2.0 * a);
        y = e / (e + 2.0);
    } else if (a < 20.0) {
        y = 1.0 - 2.0 / (qzi_math_exp(2.0 * a) + 1.0);
    } else {
        y = 1.0;
    }
    return copysign(y, x);
}

/* tests/unit/gen/erf_coefficients.py prints these. |x| < 1: erf(x) / x in x^2 - 1/2. */
static const double erf_near[14] = {
    0x1.ee51eb23cb7eap-1,  -0x1.1fd16292151fdp-2,  0x1.454368017b042p-4,  -0x1.2b902b7b2f224p-6,
    0x1.c82aa249df4a1p-9,  -0x1.263991b81d62ep-11, 0x1.486638bc934bfp-14, -0x1.429e938bb3fb3p-17,
    0x1.1ad5ee09b7c4dp-20, -0x1.bf8e5ad031f42p-24, 0x1.428e75eef326cp-27, -0x1.aad6f12f0a592p-31,
    0x1.06139757ceda2p-34, -0x1.29b9f1b3df556p-38};

static const double erf_far[4][18] = {
    {0x1.eea5557137ae0p-1, 0x1.e723726b824a9p-4, -0x1.6d5a95d0a1b3ap-3, 0x1.1c2a02beb6a99p-3,
     -0x1.6d5a95d0a8e2dp-5, -0x1.e723726b75a2bp-7, 0x1.3ca3d72e94d2cp-6, -0x1.36d73a65ecb0ap-8,
     -0x1.35ae4fb43b234p-9, 0x1.c0380d88e655ap-10, -0x1.85b3d151e9cfdp-14, -0x1.0acf353ecb714p-12,
     0x1.45cc7994de082p-14, 0x1.2d574ba32d17bp-16, -0x1.d70efbc5f9ed6p-17, 0x1.32b587a24f780p-21,
     0x1.7c67db8e155e0p-20, -0x1.305d37a851c9dp-22},
    {0x1.ffcaa8f4c9beap-1, 0x1.1d83170fbf6fcp-9, -0x1.64e3dcd3af2d3p-8, 0x1.119da0c46cc88p-7,
     -0x1.1a89b97cf1214p-7, 0x1.90e81283fccadp-8, -0x1.6ecdbf63b4dcep-9, 0x1.1c610bc8e5f86p-11,
     0x1.11551b52fb796p-12, -0x1.06717857ad0fap-12, 0x1.4a84c20123815p-14, 0x1.58bbca2bba994p-18,
     -0x1.d88c48f8a82b3p-17, 0x1.3ad68181439ecp-18, 0x1.9f3af4d2b1565p-23, -0x1.595d63766c65ep-21,
     0x1.495bf0556d5dep-23, 0x1.8353e53661806p-26},
    {0x1.ffffe710d565ep-1, 0x1.6a597219a93d4p-18, -0x1.3d0e43d6734d9p-16, 0x1.62ccea63cb29ap-15,
     -0x1.1c07721adce45p-14, 0x1.586bafc9b36e3p-14, -0x1.46153fb62cc1cp-14, 0x1.e827fafc968b1p-15,
     -0x1.1f63056912abap-15, 0x1.013525a7dacb3p-16, -0x1.3773e12d91261p-18, 0x1.dd8021aae75eap-22,
     0x1.dc69f55490dbfp-22, -0x1.43f06e7cae34dp-22, 0x1.8ddc35b8e5308p-24, -0x1.83eccdb1df23fp-28,
     -0x1.343ba005050efp-27, 0x1.09106bf9376f0p-28},
    {0x1.fffffffffc9e8p-1, 0x1.13af4b073426cp-36, -0x1.589aeca77412ep-34, 0x1.196dc909d4181p-32,
     -0x1.516df9ded3a84p-31, 0x1.3c50c4d6cf49cp-30, -0x1.e231663274ea7p-30, 0x1.32cc7ae01965bp-29,
     -0x1.4bdaa5175f52ep-29, 0x1.34eb0df2cfb4cp-29, -0x1.f3c0648ce5cf8p-30, 0x1.6211655d7e466p-30,
     -0x1.b6eeba458ade7p-31, 0x1.d5f44c45b407ap-32, -0x1.b6ffafedb1324p-33, 0x1.7643bcac8a5aap-34,
     -0x1.0868bb808e67ap-35, 0x1.91cf9a8617489p-38},
};

double qzi_math_erf(double x)
{
    static const double centre[4] = {1.5, 2.5, 3.5, 5.0};
    if (x != x)
        return x;
    double a = fabs(x);
    if (a < 1.0)
        return x * polynomial(erf_near, 14, fma(a, a, -0.5));
    if (a >= 6.0)
        return copysign(1.0, x);
    int piece = a < 4.0 ? (int)a - 1 : 3;
    return copysign(polynomial(erf_far[piece], 18, a - centre[piece]), x);
}

/* 2/3, 2/5, …, 2/23 */
static const double log_tail[11] = {
    2.0 / 3.0,  2.0 / 5.0,  2.0 / 7.0,  2.0 / 9.0,  2.0 / 11.0, 2.0 / 13.0,
    2.0 / 15.0, 2.0 / 17.0, 2.0 / 19.0, 2.0 / 21.0, 2.0 / 23.0,
};

/*
 * x = 2^e * m with m in [sqrt(1/2), sqrt(2)); returns ln m. With f = m - 1 (exact) and
 * s = f / (2 + f), ln m = 2 atanh s = f - s f + s^3 (2/3 + 2/5 s^2 + …).
 */
static double log_split(double x, double *e)
{
    int shift = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        shift = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000);
    double m;
    memcpy(&m, &bits, sizeof(m));
    if (m >= 0x1.6a09e667f3bcdp+0) {
        m *= 0.5;
        exponent++;
    }
    *e = (double)(exponent + shift);
    double f = m - 1.0;
    double s = f / (2.0 + f);
    double z = s * s;
    return f - s * (f - z * polynomial(log_tail, 11, z));
}

/* The values that have no logarithm in the usual sense; true when *y is the answer. */
static bool log_special(double x, double *y)
{
    if (x != x || x == INFINITY)
        *y = x;
    else if (x == 0.0)
        *y = -INFINITY;
    else if (x < 0.0)
        *y = NAN;
    else
        return false;
    return true;
}

double qzi_math_log(double x)
{
    double y, e;
    if (log_special(x, &y))
        return y;
    y = log_split(x, &e);
    return fma(e, LN2_HI, fma(e, LN2_LO, y));
}

double qzi_math_log2(double x)
{
    double y, e;
    if (log_special(x, &y))
        return y;
    y = log_split(x, &e);
    return fma(y, LOG2_E, e);
}

float qzi_rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}

double qzi_rne(double x)
{
    if (!(fabs(x) < 0x1p52)) /* already whole, infinite or NaN */
        return x;
    int64_t whole = (int64_t)x;
    double rest = fabs(x - (double)whole); /* exact */
    if (rest > 0.5 || (rest == 0.5 && (whole & 1) != 0))
        whole += x < 0.0 ? -1 : 1;
    return copysign((double)whole, x);
}

float qzi_rnef(float x)
{
    if (!(fabsf(x) < 0x1p23f))
        return x;
    int32_t whole = (int32_t)x;
    float rest = fabsf(x - (float)whole);
    if (rest > 0.5f || (rest == 0.5f && (whole & 1) != 0))
        whole += x < 0.0f ? -1 : 1;
    return copysignf((float)whole, x);
}
