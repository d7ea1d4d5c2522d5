/* SPDX-License-Identifier: MIT */
/*
 * check_simple_nn.c - the checks of activation functions, products, layer norms and shuffles:
 * CONTRACT.md's formulas once more, with the C library's fmaf, rintf and ldexpf.
 */
#include "check_call.h"

#include "layers/kernels/activation.h"

#include <math.h>
#include <string.h>

/* ---- activation functions ---- */

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

bool check_f32_gelu(call *c)
{
    return check_map(c, c->k->f32_gelu, right_gelu);
}

/* ---- products ---- */

bool check_f32_mul(call *c)
{
    float *a = call_random_f32(c, c->n, 8), *b = call_random_f32(c, c->n, 8);
    const float *a0 = call_copy_of(c, a, c->n, 4), *b0 = call_copy_of(c, b, c->n, 4);
    float *y = !c->in_place ? call_fresh(c, c->n, 4) : check_one_in(c->rng, 2) ? a : b;
    c->k->f32_mul(a, b, y, c->n);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_f32(c, i, y[i], a0[i] * b0[i]))
            return false;
    return true;
}

bool check_f32_mul_channels(call *c)
{
    call_strided s = call_random_strided(c);
    float *x = call_random_f32(c, s.x_size, 8);
    const float *x0 = call_copy_of(c, x, s.x_size, 4), *factor = call_random_f32(c, c->n, 2);
    float *y = c->in_place ? x : call_fresh(c, s.y_size, 4);
    const float *y0 = call_copy_of(c, y, s.y_size, 4);
    c->k->f32_mul_channels(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, factor);
    for (size_t i = 0; i < s.y_size; i++) {
        size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        float want = ch < c->n ? x0[p * (size_t)s.x_stride + ch] * factor[ch] : y0[i];
        if (!call_same_f32(c, i, y[i], want))
            return false;
    }
    return true;
}

static qzk_mul_params random_mul(call *c)
{
    qzk_mul_params p = {.a_zp = call_random_zp(c->rng), .b_zp = call_random_zp(c->rng)};
    p.y_zp = call_random_zp(c->rng);
    p.mult = call_random_scale(c->rng) / 16;
    call_random_bounds(c->rng, p.y_zp, &p.lo, &p.hi);
    return p;
}

static uint8_t right_mul(uint8_t a, uint8_t b, const qzk_mul_params *p)
{
    int32_t product = ((int32_t)a - p->a_zp) * ((int32_t)b - p->b_zp);
    return call_clampq((float)product * p->mult, p->lo, p->hi, p->y_zp);
}

bool check_u8_mul(call *c)
{
    uint8_t *a = call_random_u8(c, c->n), *b = call_random_u8(c, c->n);
    const uint8_t *a0 = call_copy_of(c, a, c->n, 1), *b0 = call_copy_of(c, b, c->n, 1);
    uint8_t *y = !c->in_place ? call_fresh(c, c->n, 1) : check_one_in(c->rng, 2) ? a : b;
    qzk_mul_params p = random_mul(c);
    c->k->u8_mul(a, b, y, c->n, &p);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_u8(c, i, y[i], right_mul(a0[i], b0[i], &p)))
            return false;
    return true;
}

bool check_u8_mul_channels(call *c)
{
    call_strided s = call_random_strided(c);
    uint8_t *x = call_random_u8(c, s.x_size);
    const uint8_t *x0 = call_copy_of(c, x, s.x_size, 1), *factor = call_random_u8(c, c->n);
    uint8_t *y = c->in_place ? x : call_fresh(c, s.y_size, 1);
    const uint8_t *y0 = call_copy_of(c, y, s.y_size, 1);
    qzk_mul_params q = random_mul(c);
    c->k->u8_mul_channels(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, factor, &q);
    for (size_t i = 0; i < s.y_size; i++) {
        size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        uint8_t want = y0[i];
        if (ch < c->n)
            want = right_mul(x0[p * (size_t)s.x_stride + ch], factor[ch], &q);
        if (!call_same_u8(c, i, y[i], want))
            return false;
    }
    return true;
}

/* ---- layer norm ---- */

/* Lane k holds the terms k, k + 16, …; then halves are added to halves. */
static float lanes_sum(const float *terms, size_t n, bool squares)
{
    float lane[16] = {0};
    for (size_t k = 0; k < 16; k++)
        for (size_t i = k; i < n; i += 16)
            lane[k] = squares ? check_fmaf(terms[i], terms[i], lane[k]) : lane[k] + terms[i];
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t k = 0; k < half; k++)
            lane[k] += lane[k + half];
    return lane[0];
}

bool check_f32_layer_norm(call *c)
{
    call_strided s = call_random_strided(c);
    float *x = call_random_f32(c, s.x_size, 8);
    const float *x0 = call_copy_of(c, x, s.x_size, 4);
    const float *weight = call_random_f32(c, c->n, 2), *bias = call_random_f32(c, c->n, 2);
    const float eps = check_one_in(c->rng, 3) ? 1e-5f : 1e-6f;
    float *y = c->in_place ? x : call_fresh(c, s.y_size, 4);
    const float *y0 = call_copy_of(c, y, s.y_size, 4);
    float *centred = call_space(c, c->n, 4), r = 0, mean = 0;
    c->k->f32_layer_norm(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, weight, bias,
                         eps);
    for (size_t i = 0; i < s.y_size; i++) {
        size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        if (ch == 0 && c->n > 0) {
            const float *row = x0 + p * (size_t)s.x_stride;
            mean = lanes_sum(row, c->n, false) / (float)c->n;
            for (size_t k = 0; k < c->n; k++)
                centred[k] = row[k] - mean;
            r = 1.0f / sqrtf(lanes_sum(centred, c->n, true) / (float)c->n + eps);
        }
        float want = ch < c->n ? check_fmaf(centred[ch] * r, weight[ch], bias[ch]) : y0[i];
        if (!call_same_f32(c, i, y[i], want))
            return false;
    }
    return true;
}

/* Mean and factor of one pixel, from exact sums. */
static void moments_u8(const uint8_t *row, size_t n, const qzk_layer_norm_params *q, float *mean,
                       float *r)
{
    int64_t sum = 0, squares = 0, count = (int64_t)n;
    for (size_t k = 0; k < n; k++) {
        sum += row[k];
        squares += (int64_t)row[k] * row[k];
    }
    *mean = (float)((double)sum / (double)n);
    float v = (float)((double)(count * squares - sum * sum) / ((double)n * (double)n));
    *r = q->x_scale * (1.0f / sqrtf(v * q->x_scale * q->x_scale + q->eps));
}

bool check_u8_layer_norm(call *c)
{
    call_strided s = call_random_strided(c);
    uint8_t *x = call_random_u8(c, s.x_size);
    const uint8_t *x0 = call_copy_of(c, x, s.x_size, 1);
    float *weight = call_random_f32(c, c->n, 40), *bias = call_random_f32(c, c->n, 40);
    uint8_t *y = c->in_place ? x : call_fresh(c, s.y_size, 1);
    const uint8_t *y0 = call_copy_of(c, y, s.y_size, 1);
    qzk_layer_norm_params q = {.y_zp = call_random_zp(c->rng), .eps = 1e-6f};
    q.x_scale = call_random_scale(c->rng);
    call_random_bounds(c->rng, q.y_zp, &q.lo, &q.hi);
    float mean = 0, r = 0;
    c->k->u8_layer_norm(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, weight, bias,
                        &q);
    for (size_t i = 0; i < s.y_size; i++) {
        size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        const uint8_t *row = x0 + p * (size_t)s.x_stride;
        uint8_t want = y0[i];
        if (ch == 0 && c->n > 0)
            moments_u8(row, c->n, &q, &mean, &r);
        if (ch < c->n) {
            float v = check_fmaf(((float)row[ch] - mean) * r, weight[ch], bias[ch]);
            want = call_clampq(v, q.lo, q.hi, q.y_zp);
        }
        if (!call_same_u8(c, i, y[i], want))
            return false;
    }
    return true;
}

/* ---- shuffle ---- */

/* Few and many groups that divide the channels. */
static size_t random_groups(call *c)
{
    size_t groups = (size_t)check_range(c->rng, 1, 8);
    if (c->n % 2 == 0 && check_one_in(c->rng, 2))
        groups = 2;
    return c->n % groups == 0 ? groups : 1;
}

/* Where channel ch of the output comes from. */
static size_t shuffled_from(size_t ch, size_t groups, size_t n)
{
    return ch % groups * (n / groups) + ch / groups;
}

bool check_u8_shuffle(call *c)
{
    call_strided s = call_random_strided(c);
    const size_t groups = random_groups(c);
    const uint8_t *x = call_random_u8(c, s.x_size);
    uint8_t *y = call_fresh(c, s.y_size, 1);
    const uint8_t *y0 = call_copy_of(c, y, s.y_size, 1);
    c->k->u8_shuffle(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, groups);
    for (size_t i = 0; i < s.y_size; i++) {
        size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        uint8_t want = y0[i];
        if (ch < c->n)
            want = x[p * (size_t)s.x_stride + shuffled_from(ch, groups, c->n)];
        if (!call_same_u8(c, i, y[i], want))
            return false;
    }
    return true;
}

bool check_f32_shuffle(call *c)
{
    call_strided s = call_random_strided(c);
    const size_t groups = random_groups(c);
    const float *x = call_random_f32(c, s.x_size, 8);
    float *y = call_fresh(c, s.y_size, 4);
    const float *y0 = call_copy_of(c, y, s.y_size, 4);
    c->k->f32_shuffle(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, groups);
    for (size_t i = 0; i < s.y_size; i++) {
        size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        const float *want = &y0[i];
        if (ch < c->n)
            want = &x[p * (size_t)s.x_stride + shuffled_from(ch, groups, c->n)];
        if (memcmp(&y[i], want, sizeof(*y)) != 0) { /* bytes are moved, NaN too */
            snprintf(c->how, sizeof(c->how), "element %zu is %a", i, (double)y[i]);
            return false;
        }
    }
    return true;
}
