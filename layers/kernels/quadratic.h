/* SPDX-License-Identifier: MIT */
/*
 * quadratic.h - the activation functions of values by channel that are made of quadratics.
 * CONTRACT.md, "functions by channel", has the formula.
 */
#ifndef QZOO_LAYERS_KERNELS_QUADRATIC_H
#define QZOO_LAYERS_KERNELS_QUADRATIC_H

#include "layers/kernels/kernels.h"
#include "layers/qzoo_graph.h"

enum { QZK_QUADRATIC_PIECES = 32 };

/* 2^23: the sum of this float and a number of a piece has the number in its lowest bits. */
#define QZK_QUADRATIC_ZERO 8388608.0f

typedef struct qzk_quadratic {
    float steps, first; /* piece: of clamp(fma(u, steps, first), ZERO, ZERO + PIECES - 1) */
    uint32_t mask;      /* u: these bits of x, all of them or all but the sign */
    float half;         /* f = fma(x, half, fma(fma(c2, u, c1), u, c0)) */
    float c0[QZK_QUADRATIC_PIECES], c1[QZK_QUADRATIC_PIECES], c2[QZK_QUADRATIC_PIECES];
    float rows[QZK_QUADRATIC_PIECES][4]; /* the same by piece: c0, c1, c2, 0 */
} qzk_quadratic;

/* By qz_activation; those that are not made of quadratics are zeros. */
extern const qzk_quadratic qzk_quadratics[QZ_ACT_COUNT];

#endif
