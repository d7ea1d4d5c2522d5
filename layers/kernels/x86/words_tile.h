/* SPDX-License-Identifier: MIT */
/* words_tile.h - activation functions in 16-bit words: CONTRACT.md, "functions in words". */
#ifndef QZOO_LAYERS_KERNELS_X86_WORDS_TILE_H
#define QZOO_LAYERS_KERNELS_X86_WORDS_TILE_H

#include "layers/kernels/x86/u8s8_dot.h"

/* The constants of a function. */
typedef struct word_tables {
    vb last; /* units of x in the last piece */
    __m128i shift;
#if VB == 64
    vb base[2], slope[2];
#else
    const uint8_t *pieces;
#endif
} word_tables;

VEC_INLINE word_tables word_tables_load(const packed_head *head)
{
    word_tables t;
    t.last = VEC_OP(set1_epi16)((int16_t)((QZK_WORD_PIECES << head->shift) - 1));
    t.shift = _mm_cvtsi32_si128(head->shift);
#if VB == 64
    VEC_UNROLL
    for (int i = 0; i < 2; i++) {
        t.base[i] = vb_load(head->pieces + i * VB);
        t.slope[i] = vb_load(head->pieces + (2 + i) * VB);
    }
#else
    t.pieces = head->pieces;
#endif
    return t;
}

#if VB == 32
/* Entries `i` of a table of 64 bytes. Its parts of 16 are xored with the part before each: a lookup
 * returns 0 where 16 was taken from the index too often. */
VEC_INLINE vb vb_lookup64(const uint8_t *table, const vb *i)
{
    vb y = vb_lookup16(vb_load16(table), i[0]);
    VEC_UNROLL
    for (int k = 1; k < 4; k++)
        y = vb_xor(y, vb_lookup16(vb_load16(table + 16 * k), i[k]));
    return y;
}
#endif

/* Two vectors of x to k * f(x) + zero, each in 16-bit lanes. */
VEC_INLINE void word_values(const vb *x, const vb *k, const vb *zero, const word_tables *tables,
                            vb *y)
{
    vb u[2], i[2], base[2], slope[2];
    VEC_UNROLL
    for (int p = 0; p < 2; p++) {
        u[p] = VEC_OP(min_epu16)(VEC_OP(abs_epi16)(x[p]), tables->last);
        i[p] = VEC_OP(srl_epi16)(u[p], tables->shift);
    }
#if VB == 64
    VEC_UNROLL
    for (int p = 0; p < 2; p++) {
        base[p] = _mm512_permutex2var_epi16(tables->base[0], i[p], tables->base[1]);
        slope[p] = _mm512_permutex2var_epi16(tables->slope[0], i[p], tables->slope[1]);
    }
#else
    vb at[4] = {vb_pack16(i[0], i[1])};
    VEC_UNROLL
    for (int n = 1; n < 4; n++)
        at[n] = vb_subs_s8(at[n - 1], vb_set1_8(16));
    const vb base_low = vb_lookup64(tables->pieces, at);
    const vb base_high = vb_lookup64(tables->pieces + QZK_WORD_PIECES, at);
    const vb slope_low = vb_lookup64(tables->pieces + 2 * QZK_WORD_PIECES, at);
    const vb slope_high = vb_lookup64(tables->pieces + 3 * QZK_WORD_PIECES, at);
    base[0] = vb_unpack_lo8(base_low, base_high);
    base[1] = vb_unpack_hi8(base_low, base_high);
    slope[0] = vb_unpack_lo8(slope_low, slope_high);
    slope[1] = vb_unpack_hi8(slope_low, slope_high);
#endif
    VEC_UNROLL
    for (int p = 0; p < 2; p++) {
        const vb h = VEC_OP(add_epi16)(base[p], VEC_OP(mulhrs_epi16)(slope[p], u[p]));
        const vb f = VEC_OP(subs_epi16)(VEC_OP(max_epi16)(x[p], VEC_LOGIC(setzero)()), h);
        y[p] = VEC_OP(adds_epi16)(VEC_OP(mulhrs_epi16)(f, k[p]), zero[p]);
    }
}

#endif
