/* SPDX-License-Identifier: MIT */
/*
 * words.h - activation functions of values by channel in 16-bit whole numbers, twice as many to a
 * vector as floats. CONTRACT.md, "functions in words", has the formula.
 */
#ifndef QZOO_LAYERS_KERNELS_WORDS_H
#define QZOO_LAYERS_KERNELS_WORDS_H

#include "layers/qzoo_graph.h"

enum { QZK_WORD_PIECES = 64 };

/* A function in words, whose units are chosen for the outputs of one convolution. */
typedef struct qzk_words {
    int32_t shift;                                         /* a piece is 2^shift units of x wide */
    float unit;                                            /* of x, about */
    int16_t base[QZK_WORD_PIECES], slope[QZK_WORD_PIECES]; /* of h: units, and 2^-15 */
} qzk_words;

/* Whether a function may be computed in words. */
bool qzk_words_known(qz_activation act);

/*
 * Whether words are used for outputs of these n scales and zero points, and how: CONTRACT.md's W,
 * shift and pieces.
 */
bool qzk_words_choose(qz_activation act, const float *scales, const float *zeros, int32_t n,
                      qzk_words *words);

/* CONTRACT.md's k of an output's scale; 0: the scale is not for words of this unit. */
float qzk_words_factor(float unit, float scale);

#endif
