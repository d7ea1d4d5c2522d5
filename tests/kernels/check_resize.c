/* SPDX-License-Identifier: MIT */
/*
 * check_resize.c - the checks of a bilinear resize's two blends: CONTRACT.md's formulas once more,
 * with the C library's fmaf and lrintf.
 */
#include "check_call.h"

static float blended(float a, float b, float wa, float wb)
{
    return check_fmaf(b, wb, a * wa);
}

static float random_weight(call *c)
{
    return (float)check_range(c->rng, 0, 1 << 20) / (float)(1 << 20);
}

bool check_f32_blend(call *c)
{
    const float *a = call_random_f32(c, c->n, 8);
    const float *b = check_one_in(c->rng, 3) ? a : call_random_f32(c, c->n, 8);
    float *y = call_fresh(c, c->n, 4), w = random_weight(c);
    c->k->f32_blend(a, b, 1.0f - w, w, y, c->n);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_f32(c, i, y[i], blended(a[i], b[i], 1.0f - w, w)))
            return false;
    return true;
}

bool check_u8_blend(call *c)
{
    const uint8_t *a = call_random_u8(c, c->n);
    const uint8_t *b = check_one_in(c->rng, 3) ? a : call_random_u8(c, c->n);
    float *y = call_fresh(c, c->n, 4), w = random_weight(c);
    const int32_t zp = call_random_zp(c->rng);
    c->k->u8_blend(a, b, zp, 1.0f - w, w, y, c->n);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_f32(c, i, y[i],
                           blended((float)(a[i] - zp), (float)(b[i] - zp), 1.0f - w, w)))
            return false;
    return true;
}

/* Pixels of c->n channels from random places of a row. */
typedef struct row_call {
    qzk_resize_tap taps[40];
    call_strided s;
    qzk_resize_row row;
} row_call;

static void random_row(call *c, row_call *r, float reach, size_t element)
{
    const int64_t pixels = check_range(c->rng, 1, 9);
    r->s = call_random_strided(c);
    r->s.pixels = QZI_MIN(r->s.pixels, QZI_ARRAY_LEN(r->taps));
    for (size_t p = 0; p < r->s.pixels; p++) {
        const float w = random_weight(c);
        r->taps[p] =
            (qzk_resize_tap){check_range(c->rng, 0, pixels - 1) * (int64_t)c->n,
                             check_range(c->rng, 0, pixels - 1) * (int64_t)c->n, 1.0f - w, w};
    }
    r->row = (qzk_resize_row){.x = call_random_f32(c, (size_t)pixels * c->n, reach),
                              .y = call_fresh(c, r->s.y_size, element),
                              .taps = r->taps,
                              .pixels = r->s.pixels,
                              .c = c->n,
                              .y_stride = r->s.y_stride};
}

/* The blend that element i of the output is; false between the pixels. */
static bool wanted(const row_call *r, size_t i, float *v)
{
    const size_t p = i / (size_t)r->s.y_stride, ch = i % (size_t)r->s.y_stride;
    if (p >= r->s.pixels || ch >= r->row.c)
        return false;
    const qzk_resize_tap *tap = &r->taps[p];
    *v = blended(r->row.x[(size_t)tap->first + ch], r->row.x[(size_t)tap->second + ch],
                 tap->w_first, tap->w_second);
    return true;
}

bool check_f32_resize_row(call *c)
{
    row_call r;
    random_row(c, &r, 8, 4);
    const float *y = r.row.y, *y0 = call_copy_of(c, y, r.s.y_size, 4);
    c->k->f32_resize_row(&r.row);
    for (size_t i = 0; i < r.s.y_size; i++) {
        float want = y0[i];
        wanted(&r, i, &want);
        if (!call_same_f32(c, i, y[i], want))
            return false;
    }
    return true;
}

bool check_u8_resize_row(call *c)
{
    row_call r;
    const int32_t zp = call_random_zp(c->rng);
    random_row(c, &r, 300, 1);
    const uint8_t *y = r.row.y, *y0 = call_copy_of(c, y, r.s.y_size, 1);
    c->k->u8_resize_row(&r.row, zp);
    for (size_t i = 0; i < r.s.y_size; i++) {
        float v;
        const uint8_t want =
            wanted(&r, i, &v) ? call_clampq(v, (float)-zp, (float)(255 - zp), zp) : y0[i];
        if (!call_same_u8(c, i, y[i], want))
            return false;
    }
    return true;
}
