/* SPDX-License-Identifier: MIT */
/* filter_ref.c - the two passes of Pillow's resize of 8-bit RGB pixels, in 22-bit fixed point. */
#include "layers/base/base.h"
#include "layers/kernels/ref/ref.h"

#define HALF (1 << (QZK_FILTER_BITS - 1))

static uint8_t to_byte(int32_t sum)
{
    const int32_t value = sum >> QZK_FILTER_BITS; /* arithmetic: rounds down below 0 too */
    return (uint8_t)QZI_MAX(QZI_MIN(value, 255), 0);
}

static void filter_one(const qzk_filter_row *row, const uint8_t *x, uint8_t *y)
{
    for (size_t i = 0; i < row->outputs; i++, y += 3) {
        const int32_t *w = row->weights + i * row->taps;
        const uint8_t *p = x + (size_t)row->first[i] * 3;
        int32_t red = HALF, green = HALF, blue = HALF;
        for (int32_t t = 0; t < row->counts[i]; t++, p += 3) {
            red += p[0] * w[t];
            green += p[1] * w[t];
            blue += p[2] * w[t];
        }
        y[0] = to_byte(red);
        y[1] = to_byte(green);
        y[2] = to_byte(blue);
    }
}

void qzk_u8_filter_row__ref(const qzk_filter_row *row)
{
    for (size_t r = 0; r < row->rows; r++)
        filter_one(row, row->x + r * row->x_stride, row->y + r * row->y_stride);
}

/* By blocks, whose sums the compiler keeps in vectors. */
void qzk_u8_filter_column__ref(const uint8_t *x, size_t stride, const int32_t *weights, size_t taps,
                               uint8_t *y, size_t n)
{
    enum { BLOCK = 64 };
    int32_t sums[BLOCK];
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        const size_t count = QZI_MIN(n - begin, (size_t)BLOCK);
        for (size_t i = 0; i < BLOCK; i++)
            sums[i] = HALF;
        for (size_t t = 0; t < taps; t++) {
            const uint8_t *p = x + t * stride + begin;
            for (size_t i = 0; i < count; i++)
                sums[i] += p[i] * weights[t];
        }
        for (size_t i = 0; i < count; i++)
            y[begin + i] = to_byte(sums[i]);
    }
}
