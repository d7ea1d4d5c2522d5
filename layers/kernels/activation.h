/* SPDX-License-Identifier: MIT */
/*
 * activation.h - the constants of the float activation functions, for every bundle. CONTRACT.md
 * says in which order they are used.
 */
#ifndef QZOO_LAYERS_KERNELS_ACTIVATION_H
#define QZOO_LAYERS_KERNELS_ACTIVATION_H

/* exp(-a) for 0 <= a <= QZK_EXP_LIMIT: -a = k ln 2 + r, and 2^k is normal. */
#define QZK_EXP_LIMIT 87.0f
#define QZK_LOG2_E 0x1.715476p+0f
#define QZK_LN2_HI 0x1.62e400p-1f /* k * LN2_HI is exact */
#define QZK_LN2_LO 0x1.7f7d1cp-20f

/* 1/7!, 1/6!, …, 1/2!, 1, 1: the order of Horner's rule */
#define QZK_EXP_TERMS 8
#define QZK_EXP_COEFFICIENTS \
    1.0f / 5040.0f, 1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f, 1.0f

#define QZK_LEAKY_SLOPE 0.1f /* of LeakyReLU */

/*
 * erfc(a) = t p(t) exp(-a^2) with t = 1 / (1 + a/2), 0 <= a <= QZK_ERFC_LIMIT; relative error of
 * t p(t) below 6e-8. tests/unit/gen/erfc_coefficients.py prints them.
 */
#define QZK_SQRT_HALF 0x1.6a09e6p-1f
#define QZK_ERFC_LIMIT 9.3f
#define QZK_ERFC_TERMS 9
#define QZK_ERFC_COEFFICIENTS                                                        \
    0x1.20dbc4p-2f, 0x1.211e4cp-2f, 0x1.f25d68p-3f, 0x1.9d3086p-3f, -0x1.905e36p-6f, \
        0x1.1982aap-2f, -0x1.f0163ep-2f, 0x1.220ea2p-2f, -0x1.e1b1aap-5f

#endif
