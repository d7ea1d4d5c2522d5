/* SPDX-License-Identifier: MIT */
/*
 * fma_ref.h - fused multiply-add of floats, exact and inline on CPUs without the instruction.
 *
 * fmaf() of the C library is exact too, but without -mfma it is a call for each multiply-add (and
 * a slow emulation where the CPU has no such instruction), which keeps loops from vectorising.
 * Here double does the work: a product of two floats is exact in double, so only the sum and the
 * conversion back to float round. Rounding twice is wrong exactly where the first rounding hides
 * on which side of a midpoint between two floats the sum lies; both ways below deal with that.
 */
#ifndef QZOO_LAYERS_KERNELS_REF_FMA_REF_H
#define QZOO_LAYERS_KERNELS_REF_FMA_REF_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Where the compiler has the instruction, or where doubles are not computed as doubles. */
#if defined(__FMA__) || defined(__aarch64__) || defined(__FP_FAST_FMAF) || FLT_EVAL_METHOD != 0
#define QZK_REF_FMAF_IS_LIBM 1
#else
#define QZK_REF_FMAF_IS_LIBM 0
#endif

static inline uint64_t qzk_ref_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

/*
 * fmaf(x, w, acc), any arguments: the sum is rounded to odd (toward zero, then the last bit set if
 * anything was lost), after which the conversion to float rounds as if it saw the exact sum,
 * subnormal results included, because 53 >= 24 + 2 (Boldo, Melquiond: "Emulation of FMA and
 * correctly rounded sums: proved algorithms using rounding to odd").
 */
static inline float qzk_ref_fmaf(float x, float w, float acc)
{
#if QZK_REF_FMAF_IS_LIBM
    return fmaf(x, w, acc);
#else
    double product = (double)x * (double)w;
    double addend = (double)acc;
    double sum = product + addend;
    /* product + addend == sum + error exactly (Knuth's two-sum); NaN where sum is not finite */
    double part = sum - product;
    double error = (product - (sum - part)) + (addend - part);
    uint64_t bits = qzk_ref_bits(sum);
    uint64_t inexact = fabs(error) > 0.0;
    uint64_t away = (bits ^ qzk_ref_bits(error)) >> 63; /* sum is larger than the exact value */
    bits = (bits - (away & inexact)) | inexact;
    memcpy(&sum, &bits, sizeof(sum));
    return (float)sum;
#endif
}

/*
 * The fast way, for many accumulators side by side: sum and convert, and collect in *doubt (its
 * highest bit) whether any sum came to lie on a midpoint of two floats, 29 bits apart from double;
 * if so the caller does the whole again with qzk_ref_fmaf. `acc` holds a float's value.
 *
 * Sums below the normal floats have their midpoints elsewhere. They are exact anyway, so that only
 * one rounding happens, if no factor is tiny: x and w are 0 or at least QZK_REF_TINY = 2^-66 in
 * magnitude, so their last bits weigh at least 2^-89, every sum is a multiple of 2^-178, and what
 * is below 2^-125 fits into the 53 bits of a double.
 */
static inline double qzk_ref_fma_step(double x, double w, double acc, uint64_t *doubt)
{
    double sum = x * w + acc;
    *doubt |= ((qzk_ref_bits(sum) & 0x1fffffff) ^ 0x10000000) - 1;
    return (double)(float)sum;
}

/* Highest bit set where 0 < |v| < 2^-66. */
static inline uint32_t qzk_ref_tiny(float v)
{
    const uint32_t limit = (127 - 66) << 23;
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    bits &= 0x7fffffff;
    return (bits - limit) & ~(bits - 1);
}

#endif
