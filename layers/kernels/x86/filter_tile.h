/* SPDX-License-Identifier: MIT */
/*
 * filter_tile.h - the two passes of Pillow's resize. Across, a lane of 16 bytes is an output pixel:
 * two pixels of the input are three pairs of 16-bit numbers, and one instruction multiplies and
 * adds a pair. Sums are exact modulo 2^32, so that no order matters.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_FILTER_TILE_H
#define QZOO_LAYERS_KERNELS_X86_FILTER_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

#define FILTER_HALF (1 << (QZK_FILTER_BITS - 1))
#define FILTER_LANES (VB / 16) /* outputs of a vector */

#if VL == 16
#define FILTER(name) _mm512_##name
#define FILTER_ROWS 4 /* at once */
VEC_INLINE vb filter_load(const uint8_t *const p[FILTER_LANES], size_t at)
{
    vb v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(p[0] + at)));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p[1] + at)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p[2] + at)), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p[3] + at)), 3);
}
VEC_INLINE vb filter_lanes(__m128i v)
{
    return _mm512_broadcast_i32x4(v);
}
/* 16 numbers as bytes, in order */
VEC_INLINE __m128i filter_bytes(vb v)
{
    return _mm512_cvtusepi32_epi8(_mm512_max_epi32(v, _mm512_setzero_si512()));
}
#else
#define FILTER(name) _mm256_##name
#define FILTER_ROWS 2 /* at once */
VEC_INLINE vb filter_load(const uint8_t *const p[FILTER_LANES], size_t at)
{
    const vb v = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(p[0] + at)));
    return _mm256_inserti128_si256(v, _mm_loadu_si128((const __m128i *)(p[1] + at)), 1);
}
VEC_INLINE vb filter_lanes(__m128i v)
{
    return _mm256_broadcastsi128_si256(v);
}
/* 8 numbers as bytes, in order; the others are 0 */
VEC_INLINE __m128i filter_bytes(vb v)
{
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return _mm_packus_epi16(words, _mm_setzero_si128());
}
#endif

/* Pixels 0 and 1, or 2 and 3, of each lane as pairs of 16 bits: red, green, blue, nothing. The
 * pixels begin `before` bytes behind the lane's first. */
VEC_INLINE vb filter_pattern(int pair, int before)
{
    const char a = (char)(6 * pair + before);
    return filter_lanes(_mm_setr_epi8(a, -1, (char)(a + 3), -1, (char)(a + 1), -1, (char)(a + 4),
                                      -1, (char)(a + 2), -1, (char)(a + 5), -1, -1, -1, -1, -1));
}

/* acc + the sums of pairs of products */
VEC_INLINE vb filter_dot(vb acc, vb x, vb w)
{
#if defined(__AVX512VNNI__)
    __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
    return acc;
#else
    return FILTER(add_epi32)(acc, FILTER(madd_epi16)(x, w));
#endif
}

/* The lanes from output `lane` of a group on, of `rows` rows: their pixels, 4 bytes each. Weights
 * of a whole row are more than the nearest cache holds: each is loaded once for these rows. */
VEC_INLINE void filter_pixels(const qzk_filter_row *row, const uint8_t *x, size_t group,
                              size_t lane, const int before, const size_t rows,
                              __m128i out[FILTER_ROWS])
{
    const vb patterns[2] = {filter_pattern(0, before), filter_pattern(1, before)};
    const int16_t *w = row->spread + group * row->loads * 4 * QZK_FILTER_GROUP * 8 + lane * 8;
    const uint8_t *p[FILTER_LANES];
    vb high[FILTER_ROWS], low[FILTER_ROWS];
    VEC_UNROLL
    for (size_t r = 0; r < rows; r++) {
        high[r] = FILTER(set1_epi32)(0);
        low[r] = FILTER(set1_epi32)(FILTER_HALF);
    }
    for (size_t i = 0; i < FILTER_LANES; i++)
        p[i] = x + (size_t)row->start[group * QZK_FILTER_GROUP + lane + i] * 3 - (size_t)before;
    for (size_t l = 0; l < row->loads; l++, w += 4 * QZK_FILTER_GROUP * 8) {
        const vb w0 = vb_load(w), w1 = vb_load(w + QZK_FILTER_GROUP * 8);
        const vb w2 = vb_load(w + 2 * QZK_FILTER_GROUP * 8);
        const vb w3 = vb_load(w + 3 * QZK_FILTER_GROUP * 8);
        VEC_UNROLL
        for (size_t r = 0; r < rows; r++) {
            const vb bytes = filter_load(p, r * row->x_stride + l * 12);
            const vb first = FILTER(shuffle_epi8)(bytes, patterns[0]);
            const vb second = FILTER(shuffle_epi8)(bytes, patterns[1]);
            high[r] = filter_dot(filter_dot(high[r], first, w0), second, w2);
            low[r] = filter_dot(filter_dot(low[r], first, w1), second, w3);
        }
    }
    VEC_UNROLL
    for (size_t r = 0; r < rows; r++) {
        const vb sum = FILTER(add_epi32)(FILTER(slli_epi32)(high[r], QZK_FILTER_LOW_BITS), low[r]);
        out[r] = filter_bytes(FILTER(srai_epi32)(sum, QZK_FILTER_BITS));
    }
}

/* Groups from `begin` to `end` of `rows` rows. */
VEC_INLINE void filter_groups(const qzk_filter_row *row, const uint8_t *x, uint8_t *y, size_t begin,
                              size_t end, const int before, const size_t rows)
{
    const __m128i close = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    y += begin * 3 * QZK_FILTER_GROUP;
    for (size_t group = begin; group < end; group++, y += 3 * QZK_FILTER_GROUP) {
        const size_t left = row->outputs - group * QZK_FILTER_GROUP;
        __m128i v[FILTER_ROWS], behind[FILTER_ROWS];
        filter_pixels(row, x, group, 0, before, rows, v);
        if (FILTER_LANES < QZK_FILTER_GROUP)
            filter_pixels(row, x, group, FILTER_LANES, before, rows, behind);
        VEC_UNROLL
        for (size_t r = 0; r < rows; r++) {
            if (FILTER_LANES < QZK_FILTER_GROUP)
                v[r] = _mm_unpacklo_epi64(v[r], behind[r]);
            v[r] = _mm_shuffle_epi8(v[r], close);
        }
        /* the next group overwrites what is too much; of the last ones nothing may be */
        if (3 * left >= sizeof(__m128i)) {
            VEC_UNROLL
            for (size_t r = 0; r < rows; r++)
                _mm_storeu_si128((__m128i *)(y + r * row->y_stride), v[r]);
            continue;
        }
        for (size_t r = 0; r < rows; r++)
            memcpy(y + r * row->y_stride, &v[r], 3 * QZI_MIN(left, (size_t)QZK_FILTER_GROUP));
    }
}

VEC_INLINE void filter_rows(const qzk_filter_row *row, size_t first, const size_t rows)
{
    const size_t groups = QZI_DIV_UP(row->outputs, QZK_FILTER_GROUP);
    const uint8_t *x = row->x + first * row->x_stride;
    uint8_t *y = row->y + first * row->y_stride;
    filter_groups(row, x, y, 0, row->inner, 0, rows);
    filter_groups(row, x, y, row->inner, groups, 4, rows);
}

static void u8_filter_row(const qzk_filter_row *row)
{
    size_t r = 0;
    for (; r + FILTER_ROWS <= row->rows; r += FILTER_ROWS)
        filter_rows(row, r, FILTER_ROWS);
    for (; r < row->rows; r++)
        filter_rows(row, r, 1);
}

/* ---- down ---- */

VEC_INLINE vb filter_sum(const uint8_t *x, size_t stride, const int32_t *weights, size_t taps,
                         size_t n)
{
    vb sum = vi_set1(FILTER_HALF);
    for (size_t t = 0; t < taps; t++, x += stride) {
        const vb bytes = n < VL ? vi_load_u8_n(x, n) : vi_load_u8(x);
        sum = FILTER(add_epi32)(sum, FILTER(mullo_epi32)(bytes, vi_set1(weights[t])));
    }
    return FILTER(srai_epi32)(sum, QZK_FILTER_BITS);
}

static void u8_filter_column(const uint8_t *x, size_t stride, const int32_t *weights, size_t taps,
                             uint8_t *y, size_t n)
{
    size_t i = 0;
    for (; i + VB <= n; i += VB) {
        vb sums[4];
        VEC_UNROLL
        for (size_t k = 0; k < 4; k++)
            sums[k] = vi_set1(FILTER_HALF);
        const uint8_t *p = x + i;
        for (size_t t = 0; t < taps; t++, p += stride) {
            const vb w = vi_set1(weights[t]);
            VEC_UNROLL
            for (size_t k = 0; k < 4; k++)
                sums[k] =
                    FILTER(add_epi32)(sums[k], FILTER(mullo_epi32)(vi_load_u8(p + k * VL), w));
        }
        VEC_UNROLL
        for (size_t k = 0; k < 4; k++) {
            const __m128i bytes = filter_bytes(FILTER(srai_epi32)(sums[k], QZK_FILTER_BITS));
            memcpy(y + i + k * VL, &bytes, VL);
        }
    }
    for (; i < n; i += VL) {
        const size_t left = QZI_MIN(n - i, (size_t)VL);
        const __m128i bytes = filter_bytes(filter_sum(x + i, stride, weights, taps, left));
        memcpy(y + i, &bytes, left);
    }
}

#endif
