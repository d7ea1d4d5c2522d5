/* SPDX-License-Identifier: MIT */
/*
 * u8s8_finish.h - from the sums of a tile to bytes, by channel: CONTRACT.md, "by channel".
 *
 * A tile hands over its sums in memory, so that its inner loop keeps its registers, and one
 * function that is not inlined finishes them. A vector of bytes comes from four vectors of sums:
 * of `vectors` (1 to 4) vectors of channels, 4 / vectors pixels side by side. The residual's bytes
 * take the way back of the output's: slices of pixels, vb_uncollect, four shuffles of bytes.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_U8S8_FINISH_H
#define QZOO_LAYERS_KERNELS_X86_U8S8_FINISH_H

#include "layers/kernels/x86/act_tile.h"
#include "layers/kernels/x86/u8s8_dot.h"
#include "layers/kernels/x86/words_tile.h"

enum {
    FINISH_PAD = 3,   /* vectors behind the sums that are read, zeros */
    FINISH_MOST = 16, /* vectors of words of a tile, and of residuals that are loaded at once */
};

/* How v is made: by a function (as act_class), or with a residual. Otherwise vb_scale does it. */
enum { FINISH_RESIDUAL = ACT_WHOLE + 1 };

/* What is the same for all tiles of a block. */
typedef struct finish {
    bool later;        /* sums are not finished where they are */
    const float *zero; /* where they are finished there by channel: out_zero */
    bool limit;
    qz_activation act;
    const packed_head *words;   /* NULL: the function is not in words */
    vb word_k[2], word_zero[2]; /* by finish_words_set, for finish_in_registers */
    const float *mult;          /* then `step` further out_mult or residual_mult, then out_zero */
    size_t step;
    vb lo, hi;               /* bytes */
    const uint8_t *residual; /* of the block's first channel in the first pixel; NULL: none */
    int64_t residual_stride;
} finish;

/* Where the pixels of a tile are: pixel i in row i % rows, column i / rows; or, listed, each. */
typedef struct finish_place {
    uint8_t *out;
    int64_t stride, row;
    const uint8_t *residual;
    int64_t residual_stride, residual_row;
    int32_t rows_log2;    /* 1, 2 or 4 rows */
    int32_t channels;     /* that are stored */
    uint8_t *const *outs; /* listed, all but `channel` */
    const uint8_t *const *residuals;
    int64_t channel;
} finish_place;

/* The vectors of `mult` in packed weights: one for each vector of channels, by channel three. */
static inline size_t finish_vectors(const qzk_conv_shape *s)
{
    return s->by_channel ? 3 : 1;
}

/* `mult`: of the block's first vector; `vectors`: of all channels. `channel`: the first. */
VEC_INLINE finish finish_init(const qzk_conv_args *args, const float *mult, size_t vectors,
                              int64_t channel)
{
    const packed_head *head = args->packed;
    finish f = {.later = false};
    if (!args->shape->by_channel)
        return f;
    f.later = head->residual || head->act != QZ_ACT_NONE;
    f.zero = f.later ? NULL : mult + 2 * vectors * VL;
    f.limit = head->limit != 0;
    f.act = head->act;
    f.words = head->in_words ? head : NULL;
    f.mult = mult;
    f.step = vectors * VL;
    f.lo = VEC_OP(set1_epi8)((char)(int32_t)args->lo);
    f.hi = VEC_OP(set1_epi8)((char)(int32_t)args->hi);
    if (head->residual) {
        f.residual = (const uint8_t *)args->residual.data + channel;
        f.residual_stride = args->residual.pixel_stride;
    }
    return f;
}

/* The residual `pixels` further. */
VEC_INLINE const uint8_t *finish_at(const finish *f, int64_t pixels)
{
    return f->residual ? f->residual + pixels * f->residual_stride : NULL;
}

/* The float of byte `at` of each word of a 128-bit lane; `transposed`: bytes 4 * i + at. */
VEC_INLINE vf finish_bytes(vb r, const int at, const bool transposed)
{
    const int first = transposed ? at : 4 * at, step = transposed ? 4 : 1;
    const __m128i order =
        _mm_setr_epi8((char)first, -1, -1, -1, (char)(first + step), -1, -1, -1,
                      (char)(first + 2 * step), -1, -1, -1, (char)(first + 3 * step), -1, -1, -1);
#if VB == 64
    return _mm512_cvtepi32_ps(_mm512_shuffle_epi8(r, _mm512_broadcast_i32x4(order)));
#else
    return _mm256_cvtepi32_ps(_mm256_shuffle_epi8(r, _mm256_broadcastsi128_si256(order)));
#endif
}

VEC_INLINE vb finish_pack(const vf *v, vb lo, vb hi)
{
    const vb ab = VEC_OP(packs_epi32)(VEC_OP(cvtps_epi32)(v[0]), VEC_OP(cvtps_epi32)(v[1]));
    const vb cd = VEC_OP(packs_epi32)(VEC_OP(cvtps_epi32)(v[2]), VEC_OP(cvtps_epi32)(v[3]));
    return VEC_OP(min_epu8)(VEC_OP(max_epu8)(VEC_OP(packus_epi16)(ab, cd), lo), hi);
}

/* Four vectors of sums to scaled values; N and kind are constants. r: the residual's bytes. */
VEC_INLINE void finish_values(const finish *f, const act_tables *tables, const vb *acc, vb r, vf *v,
                              const int N, const int kind, const bool transposed)
{
    VEC_UNROLL
    for (int j = 0; j < 4; j++) {
        const int n = j % N;
        const vf sum = VEC_OP(cvtepi32_ps)(acc[j]);
        const vf mult = vf_load(f->mult + n * VL);
        const vf second = vf_load(f->mult + f->step + n * VL);
        const vf zero = vf_load(f->mult + 2 * f->step + n * VL);
        if (kind == FINISH_RESIDUAL)
            v[j] = vf_fma(sum, mult, vf_fma(finish_bytes(r, j, transposed), second, zero));
        else
            v[j] = vf_fma(act_value(vf_mul(sum, mult), (act_class)kind, tables), second, zero);
    }
    if (f->limit) {
        VEC_UNROLL
        for (int j = 0; j < 4; j++)
            v[j] = vf_min(v[j], vf_set1(255.0f));
    }
}

/* `count` sums to x in words, as the bits of floats; the multiplier repeats after N. */
VEC_INLINE void finish_words_scale(const finish *f, vb *acc, const int count, const int N)
{
    VEC_UNROLL
    for (int i = 0; i < count; i++) {
        const vf m = vf_load(f->mult + i % N * VL);
        acc[i] = VEC_CAST(vf_mul(VEC_OP(cvtepi32_ps)(acc[i]), m));
    }
    if (f->limit) { /* no more than words saturate to */
        VEC_UNROLL
        for (int i = 0; i < count; i++)
            acc[i] = VEC_CAST(vf_min(VEC_CASTF(acc[i]), vf_set1(32767.0f)));
    }
}

/* Two vectors of x, as finish_words_scale leaves them, to one of words. */
VEC_INLINE vb finish_words_pack(vb a, vb b)
{
    return vb_pack32(VEC_OP(cvtps_epi32)(VEC_CASTF(a)), VEC_OP(cvtps_epi32)(VEC_CASTF(b)));
}

/* What the values of all pixels of a tile share. */
typedef struct finish_words {
    word_tables tables;
    vb k[2], zero[2];
} finish_words;

VEC_INLINE vb finish_words_bytes(const finish_words *words, const vb *x)
{
    vb y[2];
    word_values(x, words->k, words->zero, &words->tables, y);
    return vb_pack16(y[0], y[1]);
}

/* Whole floats of the channels of four vectors of sums, as vb_pack32 lays two and two. */
VEC_INLINE void finish_words_row(const float *from, const int N, vb *to)
{
    VEC_UNROLL
    for (int p = 0; p < 2; p++)
        to[p] = vb_pack32(vf_to_i32(vf_load(from + 2 * p % N * VL)),
                          vf_to_i32(vf_load(from + (2 * p + 1) % N * VL)));
}

/* For tiles of N vectors. */
VEC_INLINE void finish_words_set(finish *f, const int N)
{
    if (!f->words)
        return;
    finish_words_row(f->mult + f->step, N, f->word_k);
    finish_words_row(f->mult + 2 * f->step, N, f->word_zero);
}

VEC_INLINE finish_words finish_words_load(const finish *f, const int N)
{
    finish_words words = {.tables = word_tables_load(f->words)};
    finish_words_row(f->mult + f->step, N, words.k);
    finish_words_row(f->mult + 2 * f->step, N, words.zero);
    return words;
}

/* How the pixels of a tile are placed; a constant where it is used. */
typedef enum finish_layout { FINISH_LINE, FINISH_ROWS, FINISH_LISTED } finish_layout;

VEC_INLINE uint8_t *finish_out(const finish_place *to, int64_t pixel, const finish_layout layout)
{
    if (layout == FINISH_LISTED)
        return to->outs[pixel] + to->channel;
    if (layout == FINISH_LINE)
        return to->out + pixel * to->stride;
    const int64_t column = pixel >> to->rows_log2, row = pixel - (column << to->rows_log2);
    return to->out + column * to->stride + row * to->row;
}

VEC_INLINE const uint8_t *finish_in(const finish_place *to, int64_t pixel,
                                    const finish_layout layout)
{
    if (layout == FINISH_LISTED)
        return to->residuals[pixel] + to->channel;
    if (layout == FINISH_LINE)
        return to->residual + pixel * to->residual_stride;
    const int64_t column = pixel >> to->rows_log2, row = pixel - (column << to->rows_log2);
    return to->residual + column * to->residual_stride + row * to->residual_row;
}

/* Stores the bytes of up to 4 / N pixels from `m` on. */
VEC_INLINE void finish_store(const finish_place *to, int32_t m, int32_t count, vb q, const int N,
                             const bool transposed, const finish_layout layout)
{
    const int pixels = 4 / N;
    q = transposed ? vb_transpose4(q) : vb_collect(q, N);
    VEC_UNROLL
    for (int j = 0; j < pixels; j++)
        if (m + j < count)
            vb_store_slice(finish_out(to, m + j, layout), q, pixels, j, to->channels);
}

/* The residual's bytes of up to 4 / N pixels from `m` on; behind the last: again the last. */
VEC_INLINE vb finish_residual(const finish_place *to, int32_t m, int32_t count, const int N,
                              const finish_layout layout)
{
    const int pixels = 4 / N;
    const uint8_t *from[4];
    VEC_UNROLL
    for (int j = 0; j < pixels; j++)
        from[j] = finish_in(to, QZI_MIN(m + j, count - 1), layout);
    return vb_uncollect(vb_load_slices(from, pixels, to->channels), N);
}

VEC_INLINE void finish_loop(const finish *fin, const vb *acc, int32_t count,
                            const finish_place *place, const int N, const int kind,
                            const bool transposed, const finish_layout layout)
{
    /* copies: bytes that are stored could be theirs, for all that a compiler knows */
    const finish f = *fin;
    const finish_place to = *place;
    const int pixels = 4 / N; /* that one vector of bytes has */
    const bool function = kind != FINISH_RESIDUAL;
    const act_tables tables = act_tables_load(function ? f.act : QZ_ACT_NONE);
    /* Where stores are of parts of vectors, all loads are before the first: a load waits for a
     * store that touches its place, and the output may be where the residual is. */
    const bool first = kind == FINISH_RESIDUAL && to.channels < N * VL;
    vb r[FINISH_MOST];
    for (int32_t m = 0, i = 0; m < count && first; m += pixels, i++)
        vb_store(&r[i], finish_residual(&to, m, count, N, layout));
    for (int32_t m = 0, i = 0; m < count; m += pixels, i++, acc += pixels * N) {
        vb v[4], bytes = VEC_LOGIC(setzero)();
        vf y[4];
        VEC_UNROLL
        for (int j = 0; j < 4; j++)
            v[j] = vb_load(acc + j);
        if (kind == FINISH_RESIDUAL)
            bytes = first ? vb_load(&r[i]) : finish_residual(&to, m, count, N, layout);
        finish_values(&f, &tables, v, bytes, y, N, kind, transposed);
        finish_store(&to, m, count, finish_pack(y, f.lo, f.hi), N, transposed, layout);
    }
}

VEC_INLINE void finish_loop_words(const finish *fin, const vb *acc, int32_t count,
                                  const finish_place *place, const int N, const bool transposed,
                                  const finish_layout layout)
{
    const finish f = *fin;
    const finish_place to = *place;
    const int pixels = 4 / N;
    const finish_words words = finish_words_load(&f, N);
    for (int32_t m = 0; m < count; m += pixels, acc += pixels * N) {
        vb v[4];
        VEC_UNROLL
        for (int j = 0; j < 4; j++)
            v[j] = vb_load(acc + j);
        finish_words_scale(&f, v, 4, N);
        const vb x[2] = {finish_words_pack(v[0], v[1]), finish_words_pack(v[2], v[3])};
        finish_store(&to, m, count, finish_words_bytes(&words, x), N, transposed, layout);
    }
}

VEC_INLINE void finish_kinds(const finish *f, const vb *acc, int32_t count, const finish_place *to,
                             const int N, const bool transposed, const finish_layout layout)
{
    if (f->residual) {
        finish_loop(f, acc, count, to, N, FINISH_RESIDUAL, transposed, layout);
        return;
    }
    if (f->words) {
        finish_loop_words(f, acc, count, to, N, transposed, layout);
        return;
    }
    switch (act_class_of(f->act)) {
    case ACT_HARDSWISH:
        finish_loop(f, acc, count, to, N, ACT_HARDSWISH, transposed, layout);
        break;
    case ACT_HARDSIGMOID:
        finish_loop(f, acc, count, to, N, ACT_HARDSIGMOID, transposed, layout);
        break;
    case ACT_LEAKY_RELU:
        finish_loop(f, acc, count, to, N, ACT_LEAKY_RELU, transposed, layout);
        break;
    case ACT_EVEN:
        finish_loop(f, acc, count, to, N, ACT_EVEN, transposed, layout);
        break;
    case ACT_WHOLE:
        finish_loop(f, acc, count, to, N, ACT_WHOLE, transposed, layout);
        break;
    }
}

#if VB == 64
/*
 * Finishes a tile in the registers where its sums are, for words and, where whole vectors are
 * stored, residuals: false where that is not for it. Words are packed first, which leaves room for
 * the tables. count, N and layout are constants.
 */
VEC_INLINE bool finish_in_registers(const finish *f, vb *acc, const int count, const int N,
                                    const finish_place *to, const finish_layout layout)
{
    const int pixels = 4 / N, last = count * N - 1, sums = count * N;
    if (f->words) {
        vb x[FINISH_MOST];
        finish_words_scale(f, acc, sums, N);
        VEC_UNROLL
        for (int m = 0; m < count; m += pixels) {
            const int a = m * N;
            x[2 * (m / pixels)] = finish_words_pack(acc[a], acc[QZI_MIN(a + 1, last)]);
            x[2 * (m / pixels) + 1] =
                finish_words_pack(acc[QZI_MIN(a + 2, last)], acc[QZI_MIN(a + 3, last)]);
        }
        const finish_words words = {
            .tables = word_tables_load(f->words),
            .k = {f->word_k[0], f->word_k[1]},
            .zero = {f->word_zero[0], f->word_zero[1]},
        };
        VEC_UNROLL
        for (int m = 0; m < count; m += pixels)
            finish_store(to, m, count, finish_words_bytes(&words, x + 2 * (m / pixels)), N, false,
                         layout);
        return true;
    }
    if (!f->residual || to->channels < N * VL)
        return false;
    VEC_UNROLL
    for (int m = 0; m < count; m += pixels) {
        const int a = m * N;
        const vb v[4] = {acc[a], acc[QZI_MIN(a + 1, last)], acc[QZI_MIN(a + 2, last)],
                         acc[QZI_MIN(a + 3, last)]};
        const vb r = finish_residual(to, m, count, N, layout);
        vf y[4];
        finish_values(f, NULL, v, r, y, N, FINISH_RESIDUAL, false);
        finish_store(to, m, count, finish_pack(y, f->lo, f->hi), N, false, layout);
    }
    return true;
}
#endif

/* Finishes `count` pixels; sums[pixel][vector], then FINISH_PAD vectors. */
#define FINISH_TILE(n, transposed, layout)                                                       \
    static __attribute__((noinline)) void finish_tile_##n(const finish *f, const vb *sums,       \
                                                          int32_t count, const finish_place *to) \
    {                                                                                            \
        finish_kinds(f, sums, count, to, n, transposed, layout);                                 \
    }

#endif
