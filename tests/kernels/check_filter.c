/* SPDX-License-Identifier: MIT */
/* check_filter.c - the checks of Pillow's two passes: the sums once more, in 64 bits. */
#include "check_call.h"

#include <string.h>

enum { OUTPUTS = 24, LOADS = 3, TAPS = 4 * LOADS };

typedef struct filter {
    int32_t first[OUTPUTS], counts[OUTPUTS], weights[OUTPUTS * TAPS];
    int16_t spread[OUTPUTS * LOADS * 32];
} filter;

static uint8_t to_byte(int64_t sum)
{
    const int64_t value = (sum + (1 << 21)) >> 22;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Magnitudes of an output's weights sum to at most 1.4, as the bicubic filter's. */
static int32_t random_weight(call *c, size_t taps)
{
    const int64_t most = (int64_t)1400 * (1 << 22) / 1000 / (int64_t)taps;
    return (int32_t)check_range(c->rng, -most, most);
}

/* Rising places of `taps` pixels in a row of `width`, of which there are 2 more. */
static void random_places(call *c, filter *f, size_t outputs, int64_t taps, int64_t width)
{
    int64_t at = 0;
    for (size_t i = 0; i < outputs; i++) {
        at += check_range(c->rng, 0, 3);
        at = QZI_MIN(width - taps, at);
        if (check_one_in(c->rng, 20))
            at = width - taps;
        f->first[i] = (int32_t)at;
        f->counts[i] = (int32_t)taps;
    }
}

static void spread(filter *f, size_t outputs, size_t loads)
{
    memset(f->spread, 0, sizeof(f->spread));
    for (size_t i = 0; i < outputs; i++)
        for (size_t t = 0; t < 4 * loads; t++) {
            const int32_t w = f->weights[i * 4 * loads + t];
            int16_t *high =
                f->spread + ((((i / 4) * loads + t / 4) * 2 + t / 2 % 2) * 8 + i % 4) * 8;
            for (size_t ch = 0; ch < 3; ch++) {
                high[2 * ch + t % 2] = (int16_t)(w >> 11);
                high[32 + 2 * ch + t % 2] = (int16_t)(w & 2047);
            }
        }
}

bool check_u8_filter_row(call *c)
{
    static filter f;
    const size_t outputs = (size_t)check_range(c->rng, 1, OUTPUTS);
    const size_t loads = (size_t)check_range(c->rng, 1, LOADS), taps = 4 * loads;
    const size_t filled = QZI_DIV_UP(outputs, 4) * 4;
    const int64_t width = (int64_t)taps + check_range(c->rng, 2, 30);
    random_places(c, &f, outputs, (int64_t)taps, width);
    for (size_t i = 0; i < outputs * taps; i++)
        f.weights[i] = random_weight(c, taps);
    size_t inner = 0;
    for (size_t i = outputs; i < filled; i++)
        f.first[i] = f.first[outputs - 1];
    while (inner < filled / 4 &&
           3 * (int64_t)f.first[inner * 4 + 3] + 12 * ((int64_t)loads - 1) + 16 <= 3 * width)
        inner++;
    for (size_t i = inner * 4; i < filled; i++)
        f.first[i] = QZI_MAX(f.first[i], 2);
    spread(&f, outputs, loads);
    const size_t rows = (size_t)check_range(c->rng, 1, 6), across = outputs * 3;
    const size_t x_stride = (size_t)width * 3 + (size_t)check_range(c->rng, 0, 5);
    const uint8_t *x = call_random_u8(c, (rows - 1) * x_stride + (size_t)width * 3);
    uint8_t *y = call_fresh(c, rows * across, 1);
    const qzk_filter_row row = {.x = x,
                                .y = y,
                                .rows = rows,
                                .x_stride = x_stride,
                                .y_stride = across,
                                .outputs = outputs,
                                .first = f.first,
                                .counts = f.counts,
                                .weights = f.weights,
                                .taps = taps,
                                .start = f.first,
                                .spread = f.spread,
                                .loads = loads,
                                .inner = inner};
    c->k->u8_filter_row(&row);
    for (size_t i = 0; i < rows * across; i++) {
        const size_t output = i % across / 3;
        const uint8_t *p = x + i / across * x_stride + (size_t)f.first[output] * 3 + i % 3;
        int64_t sum = 0;
        for (size_t t = 0; t < taps; t++)
            sum += (int64_t)f.weights[output * taps + t] * p[t * 3];
        if (!call_same_u8(c, i, y[i], to_byte(sum)))
            return false;
    }
    return true;
}

bool check_u8_filter_column(call *c)
{
    int32_t weights[TAPS];
    const size_t taps = (size_t)check_range(c->rng, 1, TAPS);
    const size_t stride = c->n + (size_t)check_range(c->rng, 0, 9);
    const uint8_t *x = call_random_u8(c, (taps - 1) * stride + c->n);
    uint8_t *y = call_fresh(c, c->n, 1);
    for (size_t t = 0; t < taps; t++)
        weights[t] = random_weight(c, taps);
    c->k->u8_filter_column(x, stride, weights, taps, y, c->n);
    for (size_t i = 0; i < c->n; i++) {
        int64_t sum = 0;
        for (size_t t = 0; t < taps; t++)
            sum += (int64_t)weights[t] * x[t * stride + i];
        if (!call_same_u8(c, i, y[i], to_byte(sum)))
            return false;
    }
    return true;
}
