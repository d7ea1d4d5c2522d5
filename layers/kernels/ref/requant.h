/* SPDX-License-Identifier: MIT */
/*
 * requant.h - the scalar rules of CONTRACT.md that several ops share: rounding to nearest even and
 * clampq. Runs are under round-to-nearest without flush to zero (kernels.h).
 */
#ifndef QZOO_LAYERS_KERNELS_REF_REQUANT_H
#define QZOO_LAYERS_KERNELS_REF_REQUANT_H

#include <stdint.h>

/*
 * Rounds half to even, for |v| <= 2^22: in [2^23, 2^24) floats are the integers, so the sum is
 * rounded to an integer and the difference is exact. No library call, and it vectorises.
 */
static inline float qzk_rnef(float v)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23 */
    return (v + magic) - magic;
}

/* clampq of CONTRACT.md; lo and hi already minus zp, both within [-255, 255]. */
static inline uint8_t qzk_clampq(float v, float lo, float hi, int32_t zp)
{
    v = v < lo ? lo : v;
    v = v > hi ? hi : v;
    v = v == v ? v : 0.0f;
    return (uint8_t)((int32_t)qzk_rnef(v) + zp);
}

/* The float clamp of ReLU, ReLU6 and fused activations: NaN stays NaN, -0 stays -0. */
static inline float qzk_clampf(float v, float lo, float hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

#endif
