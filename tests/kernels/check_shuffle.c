/* SPDX-License-Identifier: MIT */
/*
 * check_shuffle.c - the checks of shuffles: CONTRACT.md's formulas once more, with the C library's
 * fmaf, rintf and ldexpf.
 */
#include "check_call.h"

#include <string.h>

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
