/* SPDX-License-Identifier: MIT */
/*
 * act_ref.h - the activation functions of values by channel, and the end of their formulas:
 * CONTRACT.md, "by channel".
 */
#ifndef QZOO_LAYERS_KERNELS_REF_ACT_REF_H
#define QZOO_LAYERS_KERNELS_REF_ACT_REF_H

#include "layers/kernels/quadratic.h"
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/ref/requant.h"
#include "layers/kernels/words.h"

/* f of a finite x; what qzk_act_divisor divides is left out. */
static inline float qzk_ref_act(qz_activation act, float x)
{
    if (act == QZ_ACT_HARDSWISH)
        return x * qzk_clampf(x + 3.0f, 0.0f, 6.0f);
    if (act == QZ_ACT_HARDSIGMOID)
        return qzk_clampf(x + 3.0f, 0.0f, 6.0f);
    if (act == QZ_ACT_LEAKY_RELU)
        return x < 0.0f ? x * 0.1f : x;
    const qzk_quadratic *p = &qzk_quadratics[act];
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    bits &= p->mask;
    float u;
    memcpy(&u, &bits, sizeof(u));
    float t = qzk_ref_fmaf(u, p->steps, p->first);
    t = qzk_clampf(t, QZK_QUADRATIC_ZERO, QZK_QUADRATIC_ZERO + QZK_QUADRATIC_PIECES - 1);
    const int i = (int)(t - QZK_QUADRATIC_ZERO);
    return qzk_ref_fmaf(x, p->half, qzk_ref_fmaf(qzk_ref_fmaf(p->c2[i], u, p->c1[i]), u, p->c0[i]));
}

/* clamp(rne(v), lo, hi) of a finite v; lo and hi are bytes. */
static inline uint8_t qzk_ref_byte(float v, float lo, float hi)
{
    return (uint8_t)qzk_rnef(qzk_clampf(v, lo, hi));
}

/* CONTRACT.md, "functions in words", from X on. */
static inline int32_t qzk_ref_word(const qzk_words *words, float x, float k, float zero)
{
    const int32_t last = (QZK_WORD_PIECES << words->shift) - 1;
    const int32_t whole = (int32_t)qzk_rnef(qzk_clampf(x, -32768.0f, 32767.0f));
    const int32_t size = whole < 0 ? -whole : whole, u = size < last ? size : last;
    const int32_t i = u >> words->shift;
    const int32_t h = words->base[i] + ((words->slope[i] * u + 0x4000) >> 15);
    int32_t y = (whole > 0 ? whole : 0) - h;
    y = y > 32767 ? 32767 : y;
    return ((y * (int32_t)k + 0x4000) >> 15) + (int32_t)zero;
}

#endif
