/* SPDX-License-Identifier: MIT */
/*
 * act_tile.h - the activation functions of values by channel, as CONTRACT.md, "functions by
 * channel", has them.
 *
 * act_class is a constant where act_value is inlined: a loop exists once for each class, and the
 * tables of the quadratics stay in registers where there are 32 of them.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_ACT_TILE_H
#define QZOO_LAYERS_KERNELS_X86_ACT_TILE_H

#include "layers/kernels/quadratic.h"
#include "layers/kernels/x86/vec.h"

typedef enum act_class {
    ACT_HARDSWISH,
    ACT_HARDSIGMOID,
    ACT_LEAKY_RELU,
    ACT_EVEN,  /* quadratics over |x|, with half of x */
    ACT_WHOLE, /* quadratics over x */
} act_class;

static inline act_class act_class_of(qz_activation act)
{
    switch (act) {
    case QZ_ACT_HARDSWISH:
        return ACT_HARDSWISH;
    case QZ_ACT_HARDSIGMOID:
        return ACT_HARDSIGMOID;
    case QZ_ACT_LEAKY_RELU:
        return ACT_LEAKY_RELU;
    case QZ_ACT_SILU:
    case QZ_ACT_GELU:
        return ACT_EVEN;
    default:
        return ACT_WHOLE;
    }
}

/* The constants of a function. */
typedef struct act_tables {
    vf steps, first;
#if VL == 16
    vf c0[2], c1[2], c2[2];
#else
    const qzk_quadratic *q;
#endif
} act_tables;

VEC_INLINE act_tables act_tables_load(qz_activation act)
{
    const qzk_quadratic *q = &qzk_quadratics[act];
    act_tables t;
    t.steps = vf_set1(q->steps);
    t.first = vf_set1(q->first);
#if VL == 16
    VEC_UNROLL
    for (int i = 0; i < 2; i++) {
        t.c0[i] = vf_load(q->c0 + i * VL);
        t.c1[i] = vf_load(q->c1 + i * VL);
        t.c2[i] = vf_load(q->c2 + i * VL);
    }
#else
    t.q = q;
#endif
    return t;
}

#if VL == 8
VEC_INLINE __m256 act_two_rows(const float low[4], const float high[4])
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}
#endif

/* The quadratic of each lane's piece: the lowest five bits of t. */
VEC_INLINE vf act_quadratic(vf u, vf t, const act_tables *tables)
{
#if VL == 16
    const __m512i i = _mm512_castps_si512(t);
    const vf c0 = _mm512_permutex2var_ps(tables->c0[0], i, tables->c0[1]);
    const vf c1 = _mm512_permutex2var_ps(tables->c1[0], i, tables->c1[1]);
    const vf c2 = _mm512_permutex2var_ps(tables->c2[0], i, tables->c2[1]);
#else
    /* rows of coefficients and a transposition: gathers take three times as long */
    int32_t at[VL];
    const __m256i i = _mm256_and_si256(_mm256_castps_si256(t), _mm256_set1_epi32(31));
    _mm256_storeu_si256((__m256i *)at, i);
    const float(*rows)[4] = tables->q->rows;
    const __m256 r0 = act_two_rows(rows[at[0]], rows[at[4]]);
    const __m256 r1 = act_two_rows(rows[at[1]], rows[at[5]]);
    const __m256 r2 = act_two_rows(rows[at[2]], rows[at[6]]);
    const __m256 r3 = act_two_rows(rows[at[3]], rows[at[7]]);
    const __m256 low01 = _mm256_unpacklo_ps(r0, r1), low23 = _mm256_unpacklo_ps(r2, r3);
    const __m256 high01 = _mm256_unpackhi_ps(r0, r1), high23 = _mm256_unpackhi_ps(r2, r3);
    const vf c0 = _mm256_shuffle_ps(low01, low23, 0x44);
    const vf c1 = _mm256_shuffle_ps(low01, low23, 0xee);
    const vf c2 = _mm256_shuffle_ps(high01, high23, 0x44);
#endif
    return vf_fma(vf_fma(c2, u, c1), u, c0);
}

/* f(x) of finite x. */
VEC_INLINE vf act_value(vf x, const act_class kind, const act_tables *tables)
{
    if (kind == ACT_HARDSWISH || kind == ACT_HARDSIGMOID) {
#if VL == 16
        /* the same: x between -3 and 3 in one instruction, which keeps the sign, and 3 more */
        const vf gate = vf_add(_mm512_range_ps(x, vf_set1(3.0f), 2), vf_set1(3.0f));
#else
        const vf gate = vf_min(vf_max(vf_add(x, vf_set1(3.0f)), vf_zero()), vf_set1(6.0f));
#endif
        return kind == ACT_HARDSWISH ? vf_mul(x, gate) : gate;
    }
    if (kind == ACT_LEAKY_RELU) /* zeros may have another sign, which rounding drops */
        return vf_max(x, vf_mul(x, vf_set1(0.1f)));
    const vf last = vf_set1(QZK_QUADRATIC_ZERO + QZK_QUADRATIC_PIECES - 1);
    const vf u = kind == ACT_EVEN ? vf_abs(x) : x;
    vf t = vf_min(vf_fma(u, tables->steps, tables->first), last);
    if (kind == ACT_WHOLE) /* fma(x, 0, y) is y, but for the sign of a zero */
        return act_quadratic(u, vf_max(t, vf_set1(QZK_QUADRATIC_ZERO)), tables);
    return vf_fma(x, vf_set1(0.5f), act_quadratic(u, t, tables));
}

#endif
