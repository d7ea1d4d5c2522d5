/* SPDX-License-Identifier: MIT */
/*
 * check_layer_norm.c - the checks of layer norms: CONTRACT.md's formulas once more, with the C
 * library's fmaf, rintf and ldexpf.
 */
#include "check_call.h"

#include <math.h>
#include <string.h>

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
