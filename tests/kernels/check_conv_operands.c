/* SPDX-License-Identifier: MIT */
/*
 * check_conv_operands.c - weights, bias and input of a convolution, hard to get right by luck:
 * extremes that overflow 16 bits, ties, tiny and special floats, garbage between the pixels.
 */
#include "check_conv.h"

#include <math.h>
#include <string.h>

size_t conv_view_bytes(const qzk_view *v, bool int8)
{
    int64_t pixels = (int64_t)v->n * v->h * v->w;
    int64_t elements = (pixels - 1) * v->pixel_stride + (int8 ? QZK_CEIL4(v->c) : v->c);
    return (size_t)elements * (int8 ? 1 : sizeof(float));
}

static int64_t random_stride(check_rng *rng, int32_t c, bool int8, bool plain)
{
    int64_t stride = int8 ? QZK_CEIL4(c) : c;
    if (!plain && check_one_in(rng, 2))
        stride += check_range(rng, 1, 20) * (int8 ? 4 : 1);
    return stride;
}

/* ---- int8 ---- */

static void fill_u8(check_rng *rng, uint8_t *x, size_t n, int kind)
{
    check_random_bytes(rng, x, n); /* kind 0 */
    for (size_t i = 0; i < n; i++) {
        if (kind == 1) /* saturation traps */
            x[i] = check_one_in(rng, 20) ? 0 : 255;
        else if (kind == 2) /* small: products stay exact in what follows, ties are common */
            x[i] &= 3;
        else if (kind == 3 && (x[i] & 3) != 0) /* mostly zero, as after ReLU */
            x[i] = 0;
    }
}

static void fill_s8(check_rng *rng, int8_t *w, size_t n, size_t channel, int kind)
{
    check_random_bytes(rng, w, n);
    for (size_t i = 0; i < n; i++) {
        if (kind == 1) {
            int extreme = i / channel % 2 ? 127 : -128;
            w[i] = (int8_t)(check_one_in(rng, 20) ? -1 - extreme : extreme);
        } else if (kind == 2) {
            w[i] = (int8_t)(w[i] % 2);
        }
    }
}

static float random_mult(check_rng *rng, double depth, int kind)
{
    if (kind == 2) /* powers of two: every second sum is a tie */
        return ldexpf(1.0f, -(int)check_range(rng, 0, 4));
    /* such that outputs cover the range, and a hundred times less or more */
    float usual = (float)(0.02 / sqrt(depth));
    if (kind == 1)
        usual = (float)(0.01 / depth);
    if (check_one_in(rng, 8))
        usual *= exp2f(check_uniform(rng, -7, 7));
    if (check_one_in(rng, 200)) {
        static const float odd[] = {0.0f, INFINITY, 0x1p-140f, 0x1p120f, 1.0f, 0x1p-30f};
        return odd[check_range(rng, 0, (int64_t)QZI_ARRAY_LEN(odd) - 1)];
    }
    return usual * check_uniform(rng, 0.5f, 1.5f);
}

static int32_t random_bias(check_rng *rng, double depth, int kind)
{
    if (check_one_in(rng, 30))
        return check_one_in(rng, 2) ? (1 << 30) - 1 : -((1 << 30) - 1);
    int64_t reach = kind == 2 ? 9 : (int64_t)(20000 * sqrt(depth));
    return (int32_t)check_range(rng, -reach, reach);
}

static int32_t random_zero_point(check_rng *rng)
{
    static const int32_t usual[] = {0, 0, 128, 255};
    return check_one_in(rng, 2) ? (int32_t)check_range(rng, 0, 255) : usual[check_range(rng, 0, 3)];
}

static void fill_int8(check_rng *rng, conv_operands *o, size_t weight_count, bool plain)
{
    const qzk_conv_shape *s = &o->problem.shape;
    size_t channel = weight_count / (size_t)s->oc;
    int kind = plain ? 0 : (int)check_range(rng, 0, 3);
    fill_u8(rng, o->in.data, o->in.size, kind);
    fill_s8(rng, (int8_t *)o->w.data, weight_count, channel, kind);
    for (int32_t i = 0; i < s->oc; i++) {
        ((float *)(void *)o->mult.data)[i] = random_mult(rng, (double)channel, kind);
        ((int32_t *)(void *)o->bias.data)[i] = random_bias(rng, (double)channel, kind);
    }
    o->weights.w_s8 = (const int8_t *)o->w.data;
    o->weights.mult = (const float *)(void *)o->mult.data;
    o->weights.x_zp = random_zero_point(rng);
    if (plain || !check_one_in(rng, 8))
        o->weights.bias_s32 = (const int32_t *)(void *)o->bias.data;
    int32_t y_zp = random_zero_point(rng), lo = 0, hi = 255;
    if (check_one_in(rng, 3))
        lo = y_zp; /* ReLU */
    if (check_one_in(rng, 4))
        hi = (int32_t)check_range(rng, y_zp, 255); /* ReLU6 */
    o->args.y_zp = y_zp;
    o->args.lo = (float)(lo - y_zp);
    o->args.hi = (float)(hi - y_zp);
}

/* ---- float ---- */

/* 1, a few units in the last place beside it, or the same 2^-24 below: half a unit of a sum. */
static float near_half_unit(check_rng *rng)
{
    float v = 1.0f + 0x1p-23f * (float)check_range(rng, -2, 2);
    if (!check_one_in(rng, 4))
        v = ldexpf(v, (int)check_range(rng, -14, -11));
    return check_one_in(rng, 2) ? -v : v;
}

static void fill_f32(check_rng *rng, float *x, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) {
        switch (kind) {
        case 0:
            x[i] = check_uniform(rng, -1, 1);
            break;
        case 1: /* after ReLU, with zeros of both signs */
            x[i] = check_uniform(rng, -1, 1);
            if (x[i] < 0)
                x[i] = check_one_in(rng, 8) ? -0.0f : 0.0f;
            break;
        case 2: /* few bits: sums are often midpoints of two floats */
            x[i] = ldexpf((float)check_range(rng, -4096, 4096), (int)check_range(rng, -1, 1));
            break;
        case 3: /* a sum becomes subnormal */
            x[i] = ldexpf(check_uniform(rng, -1, 1), (int)check_range(rng, -76, -60));
            break;
        case 4: /* now and then infinity, NaN, the largest float, a subnormal */
            x[i] = check_one_in(rng, 300) ? check_any_float(rng) : check_uniform(rng, -1, 1);
            break;
        case 5: /* sums that are not quite midpoints, but rounded to double are */
            x[i] = near_half_unit(rng);
            break;
        case 6: /* the same among the subnormals */
            x[i] = ldexpf(near_half_unit(rng), -64);
            break;
        default: /* sums overflow */
            x[i] = ldexpf(check_uniform(rng, -1, 1), (int)check_range(rng, 60, 64));
            break;
        }
    }
}

static void fill_float(check_rng *rng, conv_operands *o, size_t weight_count, bool plain)
{
    const qzk_conv_shape *s = &o->problem.shape;
    int kind = plain ? 0 : (int)check_range(rng, 0, 7);
    fill_f32(rng, (float *)(void *)o->in.data, o->in.size / sizeof(float), kind);
    if (kind == 1)
        kind = 0;
    fill_f32(rng, (float *)(void *)o->w.data, weight_count, kind);
    fill_f32(rng, (float *)(void *)o->bias.data, (size_t)s->oc, kind);
    o->weights.w_f32 = (const float *)(void *)o->w.data;
    if (plain || !check_one_in(rng, 4))
        o->weights.bias_f32 = (const float *)(void *)o->bias.data;
    o->args.lo = -INFINITY;
    o->args.hi = INFINITY;
    if (check_one_in(rng, 3))
        o->args.lo = 0.0f;
    if (check_one_in(rng, 4))
        o->args.hi = 6.0f;
}

/* Bytes and floats that a view does not own but that lie inside it: results must not change. */
static void spoil_gaps(check_rng *rng, const conv_operands *o)
{
    const qzk_view *v = &o->args.in;
    int64_t pixels = (int64_t)v->n * v->h * v->w;
    for (int64_t p = 0; p < pixels; p++) {
        int64_t end = p + 1 < pixels ? v->pixel_stride : o->int8 ? QZK_CEIL4(v->c) : v->c;
        for (int64_t c = v->c; c < end; c++) {
            if (o->int8)
                ((uint8_t *)v->data)[p * v->pixel_stride + c] = (uint8_t)check_u64(rng);
            else
                ((float *)v->data)[p * v->pixel_stride + c] = check_one_in(rng, 2) ? NAN : 1e30f;
        }
    }
}

conv_operands conv_operands_new(check_rng *rng, const conv_problem *problem, bool int8,
                                bool at_front, bool plain)
{
    conv_operands o = {.int8 = int8, .problem = *problem};
    const qzk_conv_shape *s = &problem->shape;
    size_t weight_count = (size_t)s->oc * (size_t)(s->ic / s->groups) * (size_t)(s->kh * s->kw);
    o.args.in = (qzk_view){.n = problem->n, .h = problem->ih, .w = problem->iw, .c = s->ic};
    o.args.out = (qzk_view){.n = problem->n, .h = problem->oh, .w = problem->ow, .c = s->oc};
    o.args.in.pixel_stride = random_stride(rng, s->ic, int8, plain);
    o.args.out.pixel_stride = random_stride(rng, s->oc, int8, plain);
    o.in = check_buffer_new(conv_view_bytes(&o.args.in, int8), 4, at_front);
    o.w = check_buffer_new(weight_count * (int8 ? 1 : sizeof(float)), int8 ? 1 : 4, at_front);
    o.bias = check_buffer_new((size_t)s->oc * 4, 4, at_front);
    o.mult = check_buffer_new((size_t)s->oc * 4, 4, at_front);
    o.args.in.data = o.in.data;
    if (int8)
        fill_int8(rng, &o, weight_count, plain);
    else
        fill_float(rng, &o, weight_count, plain);
    spoil_gaps(rng, &o);
    if (int8 && !plain && check_one_in(rng, 2)) {
        const bool residual = check_one_in(rng, 4);
        const qz_activation act = residual || check_one_in(rng, 3)
                                      ? QZ_ACT_NONE
                                      : (qz_activation)check_range(rng, 0, QZ_ACT_COUNT - 1);
        conv_channels_fill(rng, &o, act, residual, at_front);
    }
    check_buffer_protect(&o.in, true);
    check_buffer_protect(&o.w, true);
    check_buffer_protect(&o.bias, true);
    check_buffer_protect(&o.mult, true);
    return o;
}

void conv_operands_free(conv_operands *o)
{
    check_buffer_free(&o->in);
    check_buffer_free(&o->w);
    check_buffer_free(&o->bias);
    check_buffer_free(&o->mult);
    check_buffer_free(&o->zps);
    check_buffer_free(&o->second);
    check_buffer_free(&o->zero);
    check_buffer_free(&o->residual);
    check_buffer_free(&o->words);
}
