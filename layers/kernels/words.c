/* SPDX-License-Identifier: MIT */
/* words.c - see words.h. */
#include "layers/kernels/words.h"
#include "layers/kernels/ref/requant.h"

#include <string.h>

enum { MAX_SHIFT = 9 }; /* 64 pieces of 2^9 units: all of 0 ... 32767 */

typedef struct word_function {
    float reach;                                         /* of h */
    float base[QZK_WORD_PIECES], slope[QZK_WORD_PIECES]; /* parts of reach, and 1 */
} word_function;

static const word_function functions[QZ_ACT_COUNT] = {
#include "layers/kernels/words.inc"
};

bool qzk_words_known(qz_activation act)
{
    return functions[act].reach > 0.0f;
}

float qzk_words_factor(float unit, float scale)
{
    const float k = unit / scale * 0x1p15f;
    /* fewer would be no exact factor, more no word */
    return k >= 64.0f && k < 32767.0f ? qzk_rnef(k) : 0.0f;
}

static bool fits(float unit, const float *scales, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (!(qzk_words_factor(unit, scales[i]) > 0.0f))
            return false;
    return true;
}

bool qzk_words_choose(qz_activation act, const float *scales, const float *zeros, int32_t n,
                      qzk_words *words)
{
    const word_function *f = &functions[act];
    float top = 0.0f;
    if (!qzk_words_known(act))
        return false;
    for (int32_t i = 0; i < n; i++) {
        const float end = (255.0f - zeros[i]) * scales[i];
        top = end > top ? end : top;
    }
    float parts = (float)(QZK_WORD_PIECES << MAX_SHIFT); /* of reach: units */
    words->shift = MAX_SHIFT;
    while (words->shift > 0 && f->reach / parts * 32767.0f < top) {
        words->shift--;
        parts *= 0.5f;
    }
    words->unit = f->reach / parts;
    if (!(words->unit * 32767.0f >= top) || !fits(words->unit, scales, n))
        return false;
    for (int i = 0; i < QZK_WORD_PIECES; i++) {
        words->base[i] = (int16_t)qzk_rnef(f->base[i] * parts);
        words->slope[i] = (int16_t)qzk_rnef(f->slope[i] * 0x1p15f);
    }
    return true;
}
