/* SPDX-License-Identifier: MIT */
/*
 * activation_ref.c - the activation functions that are no clamp. Float throughout, because they
 * run over every element of a network's activations; a few units in the last place.
 */
#include "layers/kernels/activation.h"
#include "layers/kernels/ref/fma_ref.h"
#include "layers/kernels/ref/ref.h"
#include "layers/kernels/ref/requant.h"

/* clamp(x + 3, 0, 6); NaN stays */
static float gate6(float x)
{
    return qzk_clampf(x + 3.0f, 0.0f, 6.0f);
}

/* exp(-a) for 0 <= a <= QZK_EXP_LIMIT */
static float exp_minus(float a)
{
    static const float c[QZK_EXP_TERMS] = {QZK_EXP_COEFFICIENTS};
    float k = qzk_rnef(a * -QZK_LOG2_E);
    float r = qzk_ref_fmaf(k, -QZK_LN2_HI, -a);
    r = qzk_ref_fmaf(k, -QZK_LN2_LO, r);
    float p = c[0];
    for (int i = 1; i < QZK_EXP_TERMS; i++)
        p = qzk_ref_fmaf(p, r, c[i]);
    uint32_t bits = (uint32_t)((int32_t)k + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof(power));
    return p * power;
}

/* What sigmoid and SiLU share: sigmoid(x) = num / den. */
static float sigmoid_parts(float x, float *den)
{
    float a = fabsf(x);
    float e = exp_minus(a < QZK_EXP_LIMIT ? a : QZK_EXP_LIMIT);
    *den = 1.0f + e;
    return x < 0.0f ? e : 1.0f;
}

/* erfc(a) / 2 for a >= 0 */
static float half_erfc(float a)
{
    static const float c[QZK_ERFC_TERMS] = {QZK_ERFC_COEFFICIENTS};
    a = a < QZK_ERFC_LIMIT ? a : QZK_ERFC_LIMIT;
    float t = 1.0f / qzk_ref_fmaf(a, 0.5f, 1.0f);
    float p = c[QZK_ERFC_TERMS - 1];
    for (int i = QZK_ERFC_TERMS - 2; i >= 0; i--)
        p = qzk_ref_fmaf(p, t, c[i]);
    return ((p * t) * 0.5f) * exp_minus(a * a);
}

void qzk_f32_hardsigmoid__ref(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = gate6(x[i]) / 6.0f;
}

void qzk_f32_hardswish__ref(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] * gate6(x[i])) / 6.0f;
}

void qzk_f32_sigmoid__ref(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float den, num = sigmoid_parts(x[i], &den);
        y[i] = x[i] == x[i] ? num / den : x[i];
    }
}

void qzk_f32_silu__ref(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float den, num = sigmoid_parts(x[i], &den);
        y[i] = (x[i] * num) / den;
    }
}

void qzk_f32_gelu__ref(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float h = half_erfc(fabsf(x[i]) * QZK_SQRT_HALF);
        y[i] = x[i] < 0.0f ? x[i] * h : qzk_ref_fmaf(-x[i], h, x[i]);
    }
}

void qzk_f32_leaky_relu__ref(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] < 0.0f ? x[i] * QZK_LEAKY_SLOPE : x[i];
}

/* tanh(ln(1 + n)) = n (n + 2) / (n (n + 2) + 2) with n = exp(x); for x >= 0 divided by n^2 */
void qzk_f32_mish__ref(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float a = fabsf(x[i]), num, den;
        float e = exp_minus(a < QZK_EXP_LIMIT ? a : QZK_EXP_LIMIT);
        if (x[i] < 0.0f) {
            num = e * (e + 2.0f);
            den = num + 2.0f;
        } else {
            num = qzk_ref_fmaf(e, 2.0f, 1.0f);
            den = qzk_ref_fmaf(e + e, e, num);
        }
        y[i] = (x[i] * num) / den;
    }
}

void qzk_u8_lut__ref(const uint8_t *x, uint8_t *y, size_t n, const uint8_t table[256])
{
    for (size_t i = 0; i < n; i++)
        y[i] = table[x[i]];
}
