/* SPDX-License-Identifier: MIT */
/* check_call.c - operands of one call, and the comparisons. */
#include "check_call.h"

#include <math.h>
#include <string.h>

/* ---- operands ---- */

void *call_space(call *c, size_t n, size_t element)
{
    check_buffer b = check_buffer_new(n * element, element, c->at_front);
    c->buffers[c->count++] = b;
    return b.data;
}

uint8_t *call_random_u8(call *c, size_t n)
{
    uint8_t *x = call_space(c, n, 1);
    check_random_bytes(c->rng, x, n);
    return x;
}

float *call_random_f32(call *c, size_t n, float reach)
{
    float *x = call_space(c, n, sizeof(float));
    bool special = check_one_in(c->rng, 3), halves = check_one_in(c->rng, 4);
    for (size_t i = 0; i < n; i++) {
        x[i] = check_uniform(c->rng, -reach, reach);
        if (halves)
            x[i] = rintf(x[i]) + 0.5f;
        if (special && check_one_in(c->rng, 5))
            x[i] = check_any_float(c->rng);
    }
    return x;
}

/* Output of n elements, prefilled with random bytes. */
void *call_fresh(call *c, size_t n, size_t element)
{
    void *y = call_space(c, n, element);
    check_random_bytes(c->rng, y, n * element);
    return y;
}

float call_random_scale(check_rng *rng)
{
    static const float odd[] = {1.0f, 0.5f, 0.25f, 0x1p-140f, 1e30f, 0.0f, INFINITY};
    if (check_one_in(rng, 8))
        return odd[check_range(rng, 0, (int64_t)QZI_ARRAY_LEN(odd) - 1)];
    return exp2f(check_uniform(rng, -6, 2));
}

int32_t call_random_zp(check_rng *rng)
{
    static const int32_t usual[] = {0, 128, 255};
    return check_one_in(rng, 2) ? (int32_t)check_range(rng, 0, 255) : usual[check_range(rng, 0, 2)];
}

/* The bounds of clampq, minus the zero point: none, ReLU, ReLU6. */
void call_random_bounds(check_rng *rng, int32_t zp, float *lo, float *hi)
{
    *lo = check_one_in(rng, 3) ? 0.0f : (float)-zp;
    *hi = (float)((check_one_in(rng, 3) ? check_range(rng, zp, 255) : 255) - zp);
}

void call_random_clamp(check_rng *rng, float *lo, float *hi)
{
    *lo = check_one_in(rng, 2) ? -INFINITY : 0.0f;
    *hi = check_one_in(rng, 2) ? INFINITY : 6.0f;
}

/* ---- what is right ---- */

float call_clamped(float v, float lo, float hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

uint8_t call_clampq(float v, float lo, float hi, int32_t zp)
{
    return (uint8_t)(isnan(v) ? zp : (int32_t)lrintf(call_clamped(v, lo, hi)) + zp);
}

bool call_same_u8(call *c, size_t i, uint8_t got, uint8_t want)
{
    if (got == want)
        return true;
    snprintf(c->how, sizeof(c->how), "element %zu is %d instead of %d", i, got, want);
    return false;
}

bool call_same_f32(call *c, size_t i, float got, float want)
{
    if (memcmp(&got, &want, sizeof(got)) == 0 || (isnan(got) && isnan(want)))
        return true;
    snprintf(c->how, sizeof(c->how), "element %zu is %a instead of %a", i, (double)got,
             (double)want);
    return false;
}

/* A copy that outlives a run in place. */
void *call_copy_of(call *c, const void *x, size_t n, size_t element)
{
    void *copy = call_space(c, n, element);
    memcpy(copy, x, n * element);
    return copy;
}

call_strided call_random_strided(call *c)
{
    call_strided s = {.pixels = (size_t)check_range(c->rng, 1, 6)};
    s.x_stride = (int64_t)c->n + (check_one_in(c->rng, 2) ? check_range(c->rng, 0, 9) : 0);
    s.y_stride = (int64_t)c->n + (check_one_in(c->rng, 2) ? check_range(c->rng, 0, 9) : 0);
    if (c->in_place)
        s.y_stride = s.x_stride;
    s.x_size = (s.pixels - 1) * (size_t)s.x_stride + c->n;
    s.y_size = (s.pixels - 1) * (size_t)s.y_stride + c->n;
    return s;
}
