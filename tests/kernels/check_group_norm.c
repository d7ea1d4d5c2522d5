/* SPDX-License-Identifier: MIT */
/* check_group_norm.c - the checks of channel sums (group norm) and of L2 norms. */
#include "check_call.h"

#include <math.h>
#include <string.h>

/* Pixels and strides of an input alone. */
static call_strided random_input(call *c)
{
    call_strided s = {.pixels = (size_t)check_range(c->rng, 1, 24)};
    if (c->n <= 40 && check_one_in(c->rng, 4))
        s.pixels = QZK_SUM_PIXELS - (size_t)check_range(c->rng, 0, 3);
    s.x_stride = (int64_t)c->n + (check_one_in(c->rng, 2) ? check_range(c->rng, 0, 9) : 0);
    s.x_size = (s.pixels - 1) * (size_t)s.x_stride + c->n;
    return s;
}

static bool same_f64(call *c, size_t i, double got, double want)
{
    if (memcmp(&got, &want, sizeof(got)) == 0 || (isnan(got) && isnan(want)))
        return true;
    snprintf(c->how, sizeof(c->how), "element %zu is %a instead of %a", i, got, want);
    return false;
}

bool check_f32_channel_sums(call *c)
{
    const call_strided s = random_input(c);
    float *x = call_random_f32(c, s.x_size, 8);
    double *sum = call_fresh(c, c->n, 8), *squares = call_fresh(c, c->n, 8);
    c->k->f32_channel_sums(
        &(qzk_rows){.x = x, .pixels = s.pixels, .c = c->n, .x_stride = s.x_stride}, sum, squares);
    for (size_t i = 0; i < c->n; i++) {
        double a = 0.0, b = 0.0;
        for (size_t p = 0; p < s.pixels; p++) {
            const double v = x[p * (size_t)s.x_stride + i];
            a += v;
            b += v * v;
        }
        if (!same_f64(c, i, sum[i], a) || !same_f64(c, i, squares[i], b))
            return false;
    }
    return true;
}

bool check_u8_channel_sums(call *c)
{
    const call_strided s = random_input(c);
    uint8_t *x = call_random_u8(c, s.x_size);
    uint32_t *sum = call_fresh(c, c->n, 4), *squares = call_fresh(c, c->n, 4);
    if (check_one_in(c->rng, 3)) /* the largest sums */
        memset(x, 255, s.x_size);
    c->k->u8_channel_sums(
        &(qzk_rows){.x = x, .pixels = s.pixels, .c = c->n, .x_stride = s.x_stride}, sum, squares);
    for (size_t i = 0; i < c->n; i++) {
        uint32_t a = 0, b = 0;
        for (size_t p = 0; p < s.pixels; p++) {
            const uint32_t v = x[p * (size_t)s.x_stride + i];
            a += v;
            b += v * v;
        }
        if (sum[i] != a || squares[i] != b) {
            snprintf(c->how, sizeof(c->how), "channel %zu is %u, %u instead of %u, %u", i, sum[i],
                     squares[i], a, b);
            return false;
        }
    }
    return true;
}

/* 1 over the norm of n values; lane k holds the terms k, k + 16, …; then halves are added to
 * halves. */
static float l2_factor(const float *x, size_t n)
{
    float lane[16] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % 16] = check_fmaf(x[i], x[i], lane[i % 16]);
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t k = 0; k < half; k++)
            lane[k] += lane[k + half];
    const float norm = sqrtf(lane[0]);
    return 1.0f / (norm < 1e-12f ? 1e-12f : norm);
}

bool check_f32_l2_norm(call *c)
{
    call_strided s = call_random_strided(c);
    float *x = call_random_f32(c, s.x_size, check_one_in(c->rng, 5) ? 1e-13f : 8);
    const float *x0 = call_copy_of(c, x, s.x_size, 4);
    const float *scale = call_random_f32(c, c->n, 20);
    float *y = c->in_place ? x : call_fresh(c, s.y_size, 4), r = 0;
    const float *y0 = call_copy_of(c, y, s.y_size, 4);
    c->k->f32_l2_norm(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, scale);
    for (size_t i = 0; i < s.y_size; i++) {
        const size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        const float *row = x0 + p * (size_t)s.x_stride;
        if (ch == 0)
            r = l2_factor(row, c->n);
        if (!call_same_f32(c, i, y[i], ch < c->n ? (row[ch] * r) * scale[ch] : y0[i]))
            return false;
    }
    return true;
}

bool check_u8_l2_norm(call *c)
{
    call_strided s = call_random_strided(c);
    uint8_t *x = call_random_u8(c, s.x_size);
    const uint8_t *x0 = call_copy_of(c, x, s.x_size, 1);
    const float *scale = call_random_f32(c, c->n, 900);
    uint8_t *y = c->in_place ? x : call_fresh(c, s.y_size, 1);
    const uint8_t *y0 = call_copy_of(c, y, s.y_size, 1);
    qzk_l2_norm_params q = {.x_zp = call_random_zp(c->rng), .y_zp = call_random_zp(c->rng)};
    q.x_scale = call_random_scale(c->rng);
    call_random_bounds(c->rng, q.y_zp, &q.lo, &q.hi);
    float r = 0;
    c->k->u8_l2_norm(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, scale, &q);
    for (size_t i = 0; i < s.y_size; i++) {
        const size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        const uint8_t *row = x0 + p * (size_t)s.x_stride;
        uint8_t want = y0[i];
        if (ch == 0) {
            double sum = 0.0;
            for (size_t k = 0; k < c->n; k++)
                sum += pow(row[k] - q.x_zp, 2.0);
            const float norm = q.x_scale * sqrtf((float)sum);
            r = q.x_scale / (norm < 1e-12f ? 1e-12f : norm);
        }
        if (ch < c->n)
            want = call_clampq(((float)(row[ch] - q.x_zp) * r) * scale[ch], q.lo, q.hi, q.y_zp);
        if (!call_same_u8(c, i, y[i], want))
            return false;
    }
    return true;
}
