/* SPDX-License-Identifier: MIT */
/*
 * f32_conv_tile.h - the inner tiles of the dense float convolution, written once over vec.h:
 * some output pixels by a panel of output channels, all accumulators in registers. f32_conv_call.h
 * cuts a call into them.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_F32_CONV_TILE_H
#define QZOO_LAYERS_KERNELS_X86_F32_CONV_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

/*
 * Vectors of a panel, and pixels of a tile. What limits a tile is loads per multiplication: with
 * AVX-512 three vectors by 9 pixels (27 accumulators of 32 registers) reach 95 % of the peak of
 * the FMA units, two by 14 reach 89 %. With AVX2 two by 6 reach 93 %.
 */
#if VL == 16
#define PANEL_VECTORS 3
#define TILE_PIXELS 9
#define TILE_PIXELS_NARROW 14 /* where no panel has PANEL_VECTORS */
#define PIXELS_MAX 16         /* places for pixels in a table, full vectors of addresses */
#define TILE_NAME "9x48"
#else
#define PANEL_VECTORS 2
#define TILE_PIXELS 6
#define TILE_PIXELS_NARROW 12
#define PIXELS_MAX 12
#define TILE_NAME "6x16"
#endif

/* ---- the tile ---- */

typedef struct tile_args {
    const float *const *rows; /* [runs][PIXELS_MAX]: where the run of a pixel begins */
    int64_t from, to;         /* of each run, in floats */
    int32_t runs;
    bool resume;         /* y holds the sums of the terms before these */
    const float *w;      /* the panel's weights of these terms */
    const float *bias;   /* NULL: more terms follow, the sums go to y as they are */
    size_t panel_floats; /* to the next panel */
    float *y;
    int64_t y_stride;
    int32_t channels;   /* of y, from here on */
    const char *ahead;  /* asked into the second-level cache; NULL: the input after this one */
    int64_t ahead_step; /* bytes for each term */
    float lo, hi;
} tile_args;

/*
 * Accumulators are named variables rather than an array, so that every compiler keeps them in
 * registers; PIXELS and VECTORS are constants, and what they exclude disappears.
 */
#if VL == 16
#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#else
#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#endif

/*
 * A multiplication happens here, and memory is read in the order written. Without it clang loads
 * all inputs of a step first and spills accumulators. It also makes the last row pointers be read
 * again in each step, where general registers do not suffice: gcc would keep them in vector
 * registers, and fetching them from there takes issue slots from the multiplications.
 */
#define FMA_HERE(acc, x, b)                            \
    do {                                               \
        acc = vf_fma(x, b, acc);                       \
        __asm__ volatile("" : "+v"(acc) : : "memory"); \
    } while (0)
#define ROWS_IN_REGISTERS 11
#ifndef PREFETCH_BYTES
#define PREFETCH_BYTES 4096
#endif
/* how far ahead of the multiplications weights are asked for */

/*
 * A vector of y. Only the last vector of a group has fewer channels than lanes; `left` counts
 * from its first one.
 */
VEC_INLINE vf load_y(const float *y, int left)
{
    return left >= VL ? vf_load(y) : vf_load_mask(y, vf_mask(left));
}
VEC_INLINE void store_y(float *y, vf v, int left)
{
    if (left >= VL)
        vf_store(y, v);
    else
        vf_store_mask(y, v, vf_mask(left));
}

VEC_INLINE void tile(const tile_args *a, const int PIXELS, const int VECTORS)
{
    const int width = VECTORS * VL;
    const int left = a->channels - (VECTORS - 1) * VL; /* in the last vector */
#define ROW(i) vf acc##i##_0 = vf_zero(), acc##i##_1 = vf_zero(), acc##i##_2 = vf_zero();
    ROWS(ROW)
#undef ROW
    float *y = a->y;
    if (a->resume) {
#define ROW(i)                                                     \
    if (PIXELS > i) {                                              \
        acc##i##_0 = load_y(y, VECTORS == 1 ? left : VL);          \
        if (VECTORS > 1)                                           \
            acc##i##_1 = load_y(y + VL, VECTORS == 2 ? left : VL); \
        if (VECTORS > 2)                                           \
            acc##i##_2 = load_y(y + 2 * VL, left);                 \
        y += a->y_stride;                                          \
    }
        ROWS(ROW)
#undef ROW
        y = a->y;
    }
    const float *w = a->w;
    const char *ahead = a->ahead;
    const int64_t ahead_step = a->ahead_step;
    const float *const *rows = a->rows;
    const int64_t from = a->from, to = a->to;
    for (int32_t r = a->runs; r > 0; r--, rows += PIXELS_MAX) {
#define ROW(i) const float *x##i = PIXELS > i && i < ROWS_IN_REGISTERS ? rows[i] : NULL;
        ROWS(ROW)
#undef ROW
        if (!a->ahead)
            ahead = (const char *)(rows[PIXELS - 1] + from);
        VEC_NO_UNROLL
        for (int64_t k = from; k < to; k++) {
            vf b0 = vf_load(w);
            vf b1 = VECTORS > 1 ? vf_load(w + VL) : b0;
            vf b2 = VECTORS > 2 ? vf_load(w + 2 * VL) : b0;
            vf_prefetch((const char *)w + PREFETCH_BYTES, width * (int)sizeof(float));
            _mm_prefetch(ahead, _MM_HINT_T1);
            ahead += ahead_step;
            w += width;
#define ROW(i)                                                        \
    if (PIXELS > i) {                                                 \
        vf xi = vf_set1((i < ROWS_IN_REGISTERS ? x##i : rows[i])[k]); \
        FMA_HERE(acc##i##_0, xi, b0);                                 \
        if (VECTORS > 1)                                              \
            FMA_HERE(acc##i##_1, xi, b1);                             \
        if (VECTORS > 2)                                              \
            FMA_HERE(acc##i##_2, xi, b2);                             \
    }
            ROWS(ROW)
#undef ROW
        }
    }
    if (a->bias) {
        const vf lo = vf_set1(a->lo), hi = vf_set1(a->hi);
        const vf bias0 = vf_load(a->bias);
        const vf bias1 = VECTORS > 1 ? vf_load(a->bias + VL) : bias0;
        const vf bias2 = VECTORS > 2 ? vf_load(a->bias + 2 * VL) : bias0;
#define ROW(i)                                                        \
    if (PIXELS > i) {                                                 \
        acc##i##_0 = vf_clamp(vf_add(acc##i##_0, bias0), lo, hi);     \
        if (VECTORS > 1)                                              \
            acc##i##_1 = vf_clamp(vf_add(acc##i##_1, bias1), lo, hi); \
        if (VECTORS > 2)                                              \
            acc##i##_2 = vf_clamp(vf_add(acc##i##_2, bias2), lo, hi); \
    }
        ROWS(ROW)
#undef ROW
    }
#define ROW(i)                                                     \
    if (PIXELS > i) {                                              \
        store_y(y, acc##i##_0, VECTORS == 1 ? left : VL);          \
        if (VECTORS > 1)                                           \
            store_y(y + VL, acc##i##_1, VECTORS == 2 ? left : VL); \
        if (VECTORS > 2)                                           \
            store_y(y + 2 * VL, acc##i##_2, left);                 \
        y += a->y_stride;                                          \
    }
    ROWS(ROW)
#undef ROW
}

/*
 * A single pixel (linear at batch 1) by several wide panels: enough chains to hide the latency,
 * and several streams of weights, which is all that such a call is about.
 */
#define FEW_PANELS 4
#define CHAINS(X) X(0) X(1) X(2) X(3)
static void tile_one_pixel(const tile_args *a)
{
    const int width = PANEL_VECTORS * VL;
#define CHAIN(i)                                            \
    const float *w##i = a->w + (size_t)i * a->panel_floats; \
    vf acc##i##_0 = vf_zero(), acc##i##_1 = vf_zero(), acc##i##_2 = vf_zero();
    CHAINS(CHAIN)
#undef CHAIN
    const float *const *rows = a->rows;
    const int64_t from = a->from, to = a->to;
    int64_t at = 0;
    for (int32_t r = a->runs; r > 0; r--, rows += PIXELS_MAX) {
        const float *x0 = rows[0];
        VEC_NO_UNROLL
        for (int64_t k = from; k < to; k++) {
            vf x = vf_set1(x0[k]);
#define CHAIN(i)                                                                         \
    vf_prefetch((const char *)(w##i + at) + PREFETCH_BYTES, width * (int)sizeof(float)); \
    acc##i##_0 = vf_fma(x, vf_load(w##i + at), acc##i##_0);                              \
    acc##i##_1 = vf_fma(x, vf_load(w##i + at + VL), acc##i##_1);                         \
    if (PANEL_VECTORS > 2)                                                               \
        acc##i##_2 = vf_fma(x, vf_load(w##i + at + 2 * VL), acc##i##_2);
            CHAINS(CHAIN)
#undef CHAIN
            at += width;
        }
    }
    const vf lo = vf_set1(a->lo), hi = vf_set1(a->hi);
#define FINISH(i, j)                                                                            \
    {                                                                                           \
        int left = a->channels - i * width - j * VL;                                            \
        float *y = a->y + i * width + j * VL;                                                   \
        vf_store_mask(y,                                                                        \
                      vf_clamp(vf_add(acc##i##_##j,                                             \
                                      vf_load(a->bias + (size_t)i * a->panel_floats + j * VL)), \
                               lo, hi),                                                         \
                      vf_mask(QZI_MIN(left, VL)));                                              \
    }
#define CHAIN(i)           \
    FINISH(i, 0)           \
    FINISH(i, 1)           \
    if (PANEL_VECTORS > 2) \
    FINISH(i, 2)
    CHAINS(CHAIN)
#undef CHAIN
#undef FINISH
}

#define TILE(pixels, vectors)                                 \
    static void tile_##pixels##x##vectors(const tile_args *a) \
    {                                                         \
        tile(a, pixels, vectors);                             \
    }
#define TILE_ENTRY(pixels, vectors) tile_##pixels##x##vectors,
#define TO_6(X, v) X(1, v) X(2, v) X(3, v) X(4, v) X(5, v) X(6, v)
#define TO_9(X, v) TO_6(X, v) X(7, v) X(8, v) X(9, v)
#define TO_12(X, v) TO_9(X, v) X(10, v) X(11, v) X(12, v)
#define TO_14(X, v) TO_12(X, v) X(13, v) X(14, v)
typedef void (*tile_fn)(const tile_args *a);
#if VL == 16
TO_14(TILE, 1)
TO_14(TILE, 2)
TO_9(TILE, 3)
static const tile_fn tiles_1[] = {TO_14(TILE_ENTRY, 1)};
static const tile_fn tiles_2[] = {TO_14(TILE_ENTRY, 2)};
static const tile_fn tiles_3[] = {TO_9(TILE_ENTRY, 3)};
static const tile_fn *const tiles[] = {tiles_1, tiles_2, tiles_3};
#else
TO_12(TILE, 1)
TO_6(TILE, 2)
static const tile_fn tiles_1[] = {TO_12(TILE_ENTRY, 1)};
static const tile_fn tiles_2[] = {TO_6(TILE_ENTRY, 2)};
static const tile_fn *const tiles[] = {tiles_1, tiles_2};
#endif

#endif
