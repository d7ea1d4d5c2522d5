/* SPDX-License-Identifier: MIT */
/*
 * check_activation.c - the checks of activation functions: CONTRACT.md's formulas once more, with
 * the C library's fmaf, rintf and ldexpf.
 */
#include "check_call.h"

#include "layers/kernels/activation.h"

#include <math.h>

static float horner(const float *c, int n, float t)
{
    float sum = c[0];
    for (int i = 1; i < n; i++)
        sum = check_fmaf(sum, t, c[i]);
    return sum;
}

static float exp_minus(float a)
{
    static const float c[] = {QZK_EXP_COEFFICIENTS};
    float k = rintf(-(a * 0x1.715476p+0f));
    float r = check_fmaf(k, -0x1.7f7d1cp-20f, check_fmaf(k, -0x1.62e4p-1f, -a));
    return ldexpf(horner(c, QZK_EXP_TERMS, r), (int)k);
}

static float half_erfc(float a)
{
    static const float rising[] = {QZK_ERFC_COEFFICIENTS};
    float falling[QZK_ERFC_TERMS];
    for (int i = 0; i < QZK_ERFC_TERMS; i++)
        falling[i] = rising[QZK_ERFC_TERMS - 1 - i];
    a = fminf(a, 9.3f);
    float t = 1.0f / check_fmaf(a, 0.5f, 1.0f);
    return horner(falling, QZK_ERFC_TERMS, t) * t * 0.5f * exp_minus(a * a);
}

static float gate6(float x)
{
    return isnan(x) ? x : fminf(fmaxf(x + 3.0f, 0.0f), 6.0f);
}

static float right_hardsigmoid(float x)
{
    return gate6(x) / 6.0f;
}

static float right_hardswish(float x)
{
    return x * gate6(x) / 6.0f;
}

static float right_sigmoid(float x)
{
    float e = exp_minus(fminf(fabsf(x), 87.0f));
    return isnan(x) ? x : (x < 0 ? e : 1.0f) / (1.0f + e);
}

static float right_silu(float x)
{
    float e = exp_minus(fminf(fabsf(x), 87.0f));
    return x * (x < 0 ? e : 1.0f) / (1.0f + e);
}

static float right_leaky_relu(float x)
{
    return x < 0 ? x * 0.1f : x;
}

static float right_mish(float x)
{
    float e = exp_minus(fminf(fabsf(x), 87.0f));
    float n = x < 0 ? e * (e + 2.0f) : fmaf(e, 2.0f, 1.0f);
    float d = x < 0 ? n + 2.0f : fmaf(e + e, e, n);
    return x * n / d;
}

static float right_gelu(float x)
{
    float h = half_erfc(fabsf(x) * 0x1.6a09e6p-1f);
    return x < 0 ? x * h : check_fmaf(-x, h, x);
}

static bool check_map(call *c, void (*map)(const float *x, float *y, size_t n),
                      float (*right)(float x))
{
    float *x = call_random_f32(c, c->n, check_one_in(c->rng, 3) ? 100.0f : 8.0f);
    const float *x0 = call_copy_of(c, x, c->n, 4);
    float *y = c->in_place ? x : call_fresh(c, c->n, 4);
    map(x, y, c->n);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_f32(c, i, y[i], right(x0[i])))
            return false;
    return true;
}

bool check_f32_hardsigmoid(call *c)
{
    return check_map(c, c->k->f32_hardsigmoid, right_hardsigmoid);
}

bool check_f32_hardswish(call *c)
{
    return check_map(c, c->k->f32_hardswish, right_hardswish);
}

bool check_f32_sigmoid(call *c)
{
    return check_map(c, c->k->f32_sigmoid, right_sigmoid);
}

bool check_f32_silu(call *c)
{
    return check_map(c, c->k->f32_silu, right_silu);
}

bool check_f32_leaky_relu(call *c)
{
    return check_map(c, c->k->f32_leaky_relu, right_leaky_relu);
}

bool check_f32_mish(call *c)
{
    return check_map(c, c->k->f32_mish, right_mish);
}

bool check_f32_gelu(call *c)
{
    return check_map(c, c->k->f32_gelu, right_gelu);
}
