/* SPDX-License-Identifier: MIT */
/*
 * by_channel_tile.h - ops of uint8 values whose parameters differ by channel.
 *
 * The constants of VB channels are in registers while all pixels pass by, then those of the next.
 * Dense pixels are one run of bytes, whose constants come back after the least common multiple of
 * VB and c: no vector is partly filled, whatever c is.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_BY_CHANNEL_TILE_H
#define QZOO_LAYERS_KERNELS_X86_BY_CHANNEL_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/act_tile.h"
#include "layers/kernels/x86/vec.h"

/* Bytes of a dense run that are done with all constants before the next ones: they remain in the
 * first cache. */
#define BY_CHANNEL_RUN 16384

/* A formula. Where it is inlined it is a constant: a loop exists once for each. */
typedef struct by_channel_op {
    int inputs, rows; /* of constants */
    bool is_function;
    act_class kind; /* of a function */
} by_channel_op;

#define BY_CHANNEL_AFFINE ((by_channel_op){.inputs = 1, .rows = 2})
#define BY_CHANNEL_ADD ((by_channel_op){.inputs = 2, .rows = 3})
#define BY_CHANNEL_MUL ((by_channel_op){.inputs = 2, .rows = 4})
#define BY_CHANNEL_FUNCTION(class) \
    ((by_channel_op){.inputs = 1, .rows = 4, .is_function = true, .kind = (class)})

typedef struct by_channel_call {
    const uint8_t *x, *b; /* b: of two inputs */
    uint8_t *y;
    size_t pixels, c;
    int64_t x_stride, b_stride, y_stride;
    const float *row[4]; /* of constants, in the order of the formula */
    uint8_t lo, hi;
    bool wide;
    act_tables tables; /* of a function */
} by_channel_call;

/* The value v of CONTRACT.md, of one constant of each row. */
VEC_INLINE vf by_channel_value(const by_channel_op op, vf x, vf b, const vf *k,
                               const act_tables *tables)
{
    if (op.is_function)
        return vf_fma(act_value(vf_fma(x, k[0], k[1]), op.kind, tables), k[2], k[3]);
    if (op.rows == 3)
        return vf_fma(x, k[0], vf_fma(b, k[1], k[2]));
    if (op.rows == 4)
        return vf_fma(vf_mul(vf_sub(x, k[0]), vf_sub(b, k[1])), k[2], k[3]);
    return vf_fma(x, k[0], k[1]);
}

/* The constants of VB channels. */
typedef struct by_channel_constants {
    vf k[4][4]; /* [quarter][row] */
} by_channel_constants;

VEC_INLINE by_channel_constants by_channel_load(const by_channel_op op, const by_channel_call *t,
                                                size_t channel)
{
    by_channel_constants c;
    VEC_UNROLL
    for (int q = 0; q < 4; q++)
        VEC_UNROLL
    for (int i = 0; i < 4; i++)
        c.k[q][i] = i < op.rows ? vf_load(t->row[i] + channel + (size_t)q * VL) : vf_zero();
    return c;
}

/* VB bytes; values fit int32, and saturation clamps to 0 and 255. */
VEC_INLINE void by_channel_vector(const by_channel_op op, const by_channel_constants *c,
                                  const act_tables *tables, const uint8_t *x, const uint8_t *b,
                                  uint8_t *y, vb lo, vb hi)
{
    vb v[4];
    VEC_UNROLL
    for (int q = 0; q < 4; q++) {
        const vf from = vf_from_i32(vi_load_u8(x + q * VL));
        const vf other = op.inputs == 1 ? vf_zero() : vf_from_i32(vi_load_u8(b + q * VL));
        v[q] = vf_to_i32(by_channel_value(op, from, other, c->k[q], tables));
    }
    const vb bytes = vb_unlace(vb_pack16(vb_pack32(v[0], v[1]), vb_pack32(v[2], v[3])));
    vb_store(y, op.rows == 4 ? bytes : vb_min(vb_max(bytes, lo), hi));
}

/* At most VL channels of all pixels, of any size: clamped before they are rounded. */
VEC_INLINE void by_channel_column(const by_channel_op op, const by_channel_call *t, size_t channel,
                                  size_t n)
{
    const vf lo = vf_set1(t->lo), hi = vf_set1(t->hi);
    const uint8_t *x = t->x + channel, *b = t->b + (t->b ? channel : 0);
    uint8_t *y = t->y + channel;
    const act_tables tables = t->tables;
    vf k[4];
    VEC_UNROLL
    for (int i = 0; i < 4; i++)
        k[i] = i < op.rows ? vf_load(t->row[i] + channel) : vf_zero();
    for (size_t p = 0; p < t->pixels; p++, x += t->x_stride, y += t->y_stride) {
        const vb from = n == VL ? vi_load_u8(x) : vi_load_u8_n(x, n);
        vf other = vf_zero();
        if (op.inputs == 2) {
            other = vf_from_i32(n == VL ? vi_load_u8(b) : vi_load_u8_n(b, n));
            b += t->b_stride;
        }
        const vf v = by_channel_value(op, vf_from_i32(from), other, k, &tables);
        const vb q = vf_to_i32(vf_clamp(v, lo, hi));
        if (n == VL)
            vi_store_u8(y, q);
        else
            vi_store_u8_n(y, q, n);
    }
}

/* Channels from `channel` on, VL at a time. */
VEC_INLINE void by_channel_columns(const by_channel_op op, const by_channel_call *t, size_t channel)
{
    for (; channel < t->c; channel += VL)
        by_channel_column(op, t, channel, QZI_MIN(t->c - channel, (size_t)VL));
}

VEC_INLINE void by_channel_strided(const by_channel_op op, const by_channel_call *t)
{
    const vb lo = vb_set1_8(t->lo), hi = vb_set1_8(t->hi);
    const act_tables tables = t->tables;
    size_t i = 0;
    for (; i + VB <= t->c && !t->wide; i += VB) {
        const by_channel_constants k = by_channel_load(op, t, i);
        const uint8_t *x = t->x + i, *b = t->b + (t->b ? i : 0);
        uint8_t *y = t->y + i;
        for (size_t p = 0; p < t->pixels; p++) {
            by_channel_vector(op, &k, &tables, x, b, y, lo, hi);
            x += t->x_stride;
            y += t->y_stride;
            if (op.inputs == 2)
                b += t->b_stride;
        }
    }
    by_channel_columns(op, t, i);
}

/* Bytes after which a dense run's constants come back at a vector's start. */
VEC_INLINE size_t by_channel_period(size_t c)
{
    const size_t common = QZI_MIN(c & (~c + 1), (size_t)VB); /* VB is a power of two */
    return c / common * VB;
}

VEC_INLINE void by_channel_dense(const by_channel_op op, const by_channel_call *t)
{
    const vb lo = vb_set1_8(t->lo), hi = vb_set1_8(t->hi);
    const act_tables tables = t->tables;
    const size_t bytes = t->pixels * t->c, whole = bytes / VB * VB;
    const size_t period = by_channel_period(t->c);
    const size_t run = QZI_MAX(BY_CHANNEL_RUN / period, (size_t)1) * period;
    for (size_t first = 0; first < whole; first += run) {
        const size_t end = QZI_MIN(first + run, whole);
        for (size_t i = 0; i < period && first + i < end; i += VB) {
            const by_channel_constants k = by_channel_load(op, t, i % t->c);
            for (size_t at = first + i; at < end; at += period)
                by_channel_vector(op, &k, &tables, t->x + at, t->b + (t->b ? at : 0), t->y + at, lo,
                                  hi);
        }
    }
    if (whole == bytes)
        return;
    by_channel_call tail = *t; /* one pixel of what is left */
    tail.x += whole;
    tail.b += t->b ? whole : 0;
    tail.y += whole;
    tail.pixels = 1;
    tail.c = bytes - whole;
    for (int i = 0; i < op.rows; i++)
        tail.row[i] += whole % t->c;
    by_channel_columns(op, &tail, 0);
}

VEC_INLINE void by_channel_run(const by_channel_op op, const by_channel_call *t)
{
    const int64_t c = (int64_t)t->c;
    const bool dense = t->x_stride == c && t->y_stride == c && (op.inputs == 1 || t->b_stride == c);
    if (dense && !t->wide && c > 0)
        by_channel_dense(op, t);
    else
        by_channel_strided(op, t);
}

/* All that is no constant of the formula; act: NONE, or a function. */
VEC_INLINE by_channel_call by_channel_of(const qzk_rows *rows, qz_activation act)
{
    return (by_channel_call){
        .x = rows->x,
        .y = rows->y,
        .pixels = rows->pixels,
        .c = rows->c,
        .x_stride = rows->x_stride,
        .y_stride = rows->y_stride,
        .hi = 255,
        .tables = act_tables_load(act),
    };
}

static void u8_affine_channels(const qzk_rows *rows, const qzk_affine_channels_params *p)
{
    by_channel_call t = by_channel_of(rows, QZ_ACT_NONE);
    t.row[0] = p->mult;
    t.row[1] = p->shift;
    t.lo = p->lo;
    t.hi = p->hi;
    t.wide = p->wide;
    by_channel_run(BY_CHANNEL_AFFINE, &t);
}

static void u8_act_channels(const qzk_rows *rows, const qzk_act_channels_params *p)
{
    by_channel_call t = by_channel_of(rows, p->act);
    t.row[0] = p->x_mult;
    t.row[1] = p->x_shift;
    t.row[2] = p->mult;
    t.row[3] = p->shift;
    t.wide = p->wide;
    switch (act_class_of(p->act)) {
    case ACT_HARDSWISH:
        by_channel_run(BY_CHANNEL_FUNCTION(ACT_HARDSWISH), &t);
        break;
    case ACT_HARDSIGMOID:
        by_channel_run(BY_CHANNEL_FUNCTION(ACT_HARDSIGMOID), &t);
        break;
    case ACT_LEAKY_RELU:
        by_channel_run(BY_CHANNEL_FUNCTION(ACT_LEAKY_RELU), &t);
        break;
    case ACT_EVEN:
        by_channel_run(BY_CHANNEL_FUNCTION(ACT_EVEN), &t);
        break;
    case ACT_WHOLE:
        by_channel_run(BY_CHANNEL_FUNCTION(ACT_WHOLE), &t);
        break;
    }
}

static void u8_add_channels(const qzk_rows *rows, const uint8_t *b, int64_t b_stride,
                            const qzk_add_channels_params *p)
{
    by_channel_call t = by_channel_of(rows, QZ_ACT_NONE);
    t.b = b;
    t.b_stride = b_stride;
    t.row[0] = p->a_mult;
    t.row[1] = p->b_mult;
    t.row[2] = p->shift;
    t.lo = p->lo;
    t.hi = p->hi;
    t.wide = p->wide;
    by_channel_run(BY_CHANNEL_ADD, &t);
}

static void u8_mul_pair_channels(const qzk_rows *rows, const uint8_t *b, int64_t b_stride,
                                 const qzk_mul_channels_params *p)
{
    by_channel_call t = by_channel_of(rows, QZ_ACT_NONE);
    t.b = b;
    t.b_stride = b_stride;
    t.row[0] = p->a_zero;
    t.row[1] = p->b_zero;
    t.row[2] = p->mult;
    t.row[3] = p->shift;
    t.wide = p->wide;
    by_channel_run(BY_CHANNEL_MUL, &t);
}

static void u8_factor_channels(const uint8_t *b, size_t c, const qzk_mul_channels_params *p,
                               float *mult, float *shift)
{
    for (size_t i = 0; i < c; i += VL) {
        const size_t n = QZI_MIN(c - i, (size_t)VL);
        const vmask m = vf_mask((int)n);
        const vf x = vf_from_i32(n == VL ? vi_load_u8(b + i) : vi_load_u8_n(b + i, n));
        const vf f = vf_mul(vf_sub(x, vf_load(p->b_zero + i)), vf_load(p->mult + i));
        vf_store_mask(mult + i, f, m);
        vf_store_mask(shift + i, vf_sub(vf_load(p->shift + i), vf_mul(vf_load(p->a_zero + i), f)),
                      m);
    }
}

VEC_INLINE vf by_channel_average(vb sum, const qzk_avgpool_channels_params *p, size_t channel)
{
    const vf x = vf_from_i32(vi_sub32(sum, vb_load(p->offset + channel)));
    return vf_fma(x, vf_load(p->mult + channel), vf_load(p->shift + channel));
}

static void u8_avgpool_channels(const uint8_t *const *taps, size_t count, size_t c,
                                const qzk_avgpool_channels_params *p, uint8_t *y)
{
    const vf lo = vf_zero(), hi = vf_set1(255.0f);
    size_t i = 0;
    for (; i + VB <= c && !p->wide; i += VB) {
        vb sum0 = vb_zero(), sum1 = vb_zero(), sum2 = vb_zero(), sum3 = vb_zero();
        for (size_t t = 0; t < count; t++) {
            const uint8_t *x = taps[t] + i;
            sum0 = vi_add32(sum0, vi_load_u8(x));
            sum1 = vi_add32(sum1, vi_load_u8(x + VL));
            sum2 = vi_add32(sum2, vi_load_u8(x + 2 * VL));
            sum3 = vi_add32(sum3, vi_load_u8(x + 3 * VL));
        }
        const vb a = vf_to_i32(by_channel_average(sum0, p, i));
        const vb b = vf_to_i32(by_channel_average(sum1, p, i + VL));
        const vb d = vf_to_i32(by_channel_average(sum2, p, i + 2 * VL));
        const vb e = vf_to_i32(by_channel_average(sum3, p, i + 3 * VL));
        vb_store(y + i, vb_unlace(vb_pack16(vb_pack32(a, b), vb_pack32(d, e))));
    }
    for (; i + 2 * VL <= c; i += 2 * VL) {
        vb sum0 = vb_zero(), sum1 = vb_zero();
        for (size_t t = 0; t < count; t++) {
            sum0 = vi_add32(sum0, vi_load_u8(taps[t] + i));
            sum1 = vi_add32(sum1, vi_load_u8(taps[t] + i + VL));
        }
        vi_store_u8(y + i, vf_to_i32(vf_clamp(by_channel_average(sum0, p, i), lo, hi)));
        vi_store_u8(y + i + VL, vf_to_i32(vf_clamp(by_channel_average(sum1, p, i + VL), lo, hi)));
    }
    for (; i < c; i += VL) {
        const size_t n = QZI_MIN(c - i, (size_t)VL);
        vb sum = vb_zero();
        if (n == VL)
            for (size_t t = 0; t < count; t++)
                sum = vi_add32(sum, vi_load_u8(taps[t] + i));
        else
            for (size_t t = 0; t < count; t++)
                sum = vi_add32(sum, vi_load_u8_n(taps[t] + i, n));
        const vb q = vf_to_i32(vf_clamp(by_channel_average(sum, p, i), lo, hi));
        if (n == VL)
            vi_store_u8(y + i, q);
        else
            vi_store_u8_n(y + i, q, n);
    }
}

#endif
