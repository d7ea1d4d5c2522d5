/* SPDX-License-Identifier: MIT */
/* shuffle_tile.h - channels in the order of channel_shuffle, float and uint8. */
#ifndef QZOO_LAYERS_KERNELS_X86_SHUFFLE_TILE_H
#define QZOO_LAYERS_KERNELS_X86_SHUFFLE_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

/* Two groups: a0 b0 a1 b1 … The last step may overlap the one before. */
VEC_INLINE void interleave_f32(const float *a, const float *b, float *y, size_t each)
{
    if (each < 4) {
        for (size_t i = 0; i < each; i++) {
            memcpy(y + 2 * i, a + i, sizeof(*y));
            memcpy(y + 2 * i + 1, b + i, sizeof(*y));
        }
        return;
    }
    for (size_t step = 0; step < each; step += 4) {
        const size_t i = QZI_MIN(step, each - 4);
        __m128 p = _mm_loadu_ps(a + i), q = _mm_loadu_ps(b + i);
        _mm_storeu_ps(y + 2 * i, _mm_unpacklo_ps(p, q));
        _mm_storeu_ps(y + 2 * i + 4, _mm_unpackhi_ps(p, q));
    }
}

static void f32_shuffle(const qzk_rows *rows, size_t groups)
{
    const float *x = rows->x;
    float *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    const size_t each = c / groups;
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride) {
        if (groups == 2) {
            interleave_f32(x, x + each, y, each);
            continue;
        }
        for (size_t i = 0; i < each; i++)
            for (size_t g = 0; g < groups; g++)
                memcpy(y + i * groups + g, x + g * each + i, sizeof(*y));
    }
}

/* Two groups: a0 b0 a1 b1 … The last step may overlap the one before. */
VEC_INLINE void interleave_u8(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t each)
{
    if (each < 16) {
        for (size_t i = 0; i < each; i++) {
            y[2 * i] = a[i];
            y[2 * i + 1] = b[i];
        }
        return;
    }
    for (size_t step = 0; step < each; step += 16) {
        const size_t i = QZI_MIN(step, each - 16);
        __m128i p = _mm_loadu_si128((const __m128i *)(a + i));
        __m128i q = _mm_loadu_si128((const __m128i *)(b + i));
        _mm_storeu_si128((__m128i *)(y + 2 * i), _mm_unpacklo_epi8(p, q));
        _mm_storeu_si128((__m128i *)(y + 2 * i + 16), _mm_unpackhi_epi8(p, q));
    }
}

static void u8_shuffle(const qzk_rows *rows, size_t groups)
{
    const uint8_t *x = rows->x;
    uint8_t *y = rows->y;
    const size_t pixels = rows->pixels, c = rows->c;
    const int64_t x_stride = rows->x_stride, y_stride = rows->y_stride;
    const size_t each = c / groups;
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride) {
        if (groups == 2) {
            interleave_u8(x, x + each, y, each);
            continue;
        }
        for (size_t i = 0; i < each; i++)
            for (size_t g = 0; g < groups; g++)
                y[i * groups + g] = x[g * each + i];
    }
}

#endif
