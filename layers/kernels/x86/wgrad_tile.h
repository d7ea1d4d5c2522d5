/* SPDX-License-Identifier: MIT */
/*
 * wgrad_tile.h - the weight gradient of a dense or grouped convolution (and linear): for each block
 * of pixels a product of two matrices whose rows are pixels, written once over vec.h.
 *
 * Columns are (kh, kw, input channel), as dw has them. A tile is some output channels by a panel of
 * columns, all sums in registers through the whole block, then added to dw. Both operands of a
 * block are copied first: they are read in order then, and padding is zeros like any other value.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_WGRAD_TILE_H
#define QZOO_LAYERS_KERNELS_X86_WGRAD_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/wgrad.h"
#include "layers/kernels/x86/vec.h"

/* Vectors of a panel and output channels of a tile: 28 of 32 sums, and 12 of 16. */
#define WGRAD_VECTORS 2
#if VL == 16
#define WGRAD_ROWS 14
#define WGRAD_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#else
#define WGRAD_ROWS 6
#define WGRAD_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5)
#endif
#define WGRAD_WIDTH (WGRAD_VECTORS * VL)

/* Output channels whose gradients are copied at once, about: with a panel they stay in the
 * second-level cache. */
#define WGRAD_BLOCK_ROWS 252

/* ---- the tile ---- */

typedef struct wgrad_tile_args {
    const float *dy; /* [pixels][rows] */
    const float *x;  /* [pixels][vectors * VL] */
    int64_t pixels;
    float *dw; /* of the first row and column */
    int64_t dw_stride;
    int32_t columns; /* of the panel that exist */
} wgrad_tile_args;

VEC_INLINE void wgrad_add(float *dw, vf v, int left)
{
    const vmask m = vf_mask(QZI_MIN(left, VL));
    if (left >= VL)
        vf_store(dw, vf_add(vf_load(dw), v));
    else
        vf_store_mask(dw, vf_add(vf_load_mask(dw, m), v), m);
}

VEC_INLINE void wgrad_tile(const wgrad_tile_args *a, const int ROWS_, const int VECTORS)
{
#define ROW(i) vf acc##i##_0 = vf_zero(), acc##i##_1 = vf_zero();
    WGRAD_EACH(ROW)
#undef ROW
    const float *dy = a->dy, *x = a->x;
    VEC_NO_UNROLL
    for (int64_t p = a->pixels; p > 0; p--) {
        const vf x0 = vf_load(x);
        const vf x1 = VECTORS > 1 ? vf_load(x + VL) : x0;
        x += VECTORS * VL;
#define ROW(i)                                      \
    if (ROWS_ > i) {                                \
        const vf d = vf_set1(dy[i]);                \
        acc##i##_0 = vf_fma(d, x0, acc##i##_0);     \
        if (VECTORS > 1)                            \
            acc##i##_1 = vf_fma(d, x1, acc##i##_1); \
    }
        WGRAD_EACH(ROW)
#undef ROW
        dy += ROWS_;
    }
    float *dw = a->dw;
#define ROW(i)                                               \
    if (ROWS_ > i) {                                         \
        wgrad_add(dw, acc##i##_0, a->columns);               \
        if (VECTORS > 1)                                     \
            wgrad_add(dw + VL, acc##i##_1, a->columns - VL); \
        dw += a->dw_stride;                                  \
    }
    WGRAD_EACH(ROW)
#undef ROW
}

#define WGRAD_TILE(rows, vectors)                                       \
    static void wgrad_tile_##rows##x##vectors(const wgrad_tile_args *a) \
    {                                                                   \
        wgrad_tile(a, rows, vectors);                                   \
    }
#define WGRAD_ENTRY(rows, vectors) wgrad_tile_##rows##x##vectors,
#define WGRAD_TO_6(X, v) X(1, v) X(2, v) X(3, v) X(4, v) X(5, v) X(6, v)
#if VL == 16
#define WGRAD_TO_ALL(X, v) \
    WGRAD_TO_6(X, v) X(7, v) X(8, v) X(9, v) X(10, v) X(11, v) X(12, v) X(13, v) X(14, v)
#else
#define WGRAD_TO_ALL(X, v) WGRAD_TO_6(X, v)
#endif
WGRAD_TO_ALL(WGRAD_TILE, 1)
WGRAD_TO_ALL(WGRAD_TILE, 2)
typedef void (*wgrad_tile_fn)(const wgrad_tile_args *a);
static const wgrad_tile_fn wgrad_tiles[WGRAD_VECTORS][WGRAD_ROWS] = {
    {WGRAD_TO_ALL(WGRAD_ENTRY, 1)},
    {WGRAD_TO_ALL(WGRAD_ENTRY, 2)},
};

/* ---- one call ---- */

/* Units are panels of columns, in blocks of output channels, in groups. */
typedef struct wgrad_cut {
    int32_t icg, ocg, columns, panels;
    int32_t blocks; /* of a group's output channels; they differ by a channel at most */
} wgrad_cut;

static wgrad_cut wgrad_cut_of(const qzk_wgrad_args *args)
{
    const qzk_conv_shape *s = args->shape;
    wgrad_cut c = {.icg = s->ic / s->groups, .ocg = s->oc / s->groups};
    c.columns = s->kh * s->kw * c.icg;
    c.panels = QZI_DIV_UP(c.columns, WGRAD_WIDTH);
    c.blocks = QZI_DIV_UP(c.ocg, WGRAD_BLOCK_ROWS);
    /* where there are few panels, threads share the channels */
    const int32_t ways = QZI_MAX(args->ways, 1);
    if ((int64_t)c.panels * s->groups < 4 * (int64_t)ways)
        c.blocks = QZI_MIN(QZI_ROUND_UP(c.blocks, ways), QZI_DIV_UP(c.ocg, 4));
    return c;
}

static int32_t wgrad_first_row(const wgrad_cut *c, int32_t block)
{
    return (int32_t)((int64_t)c->ocg * block / c->blocks);
}

static bool wgrad_supports(const qzk_conv_shape *shape)
{
    (void)shape;
    return true;
}

static size_t wgrad_scratch_size(const qzk_wgrad_args *args)
{
    const wgrad_cut c = wgrad_cut_of(args);
    const size_t rows = (size_t)QZI_DIV_UP(c.ocg, c.blocks) + WGRAD_WIDTH;
    return QZI_ROUND_UP(QZK_GRAD_PIXELS * (rows * sizeof(float) + sizeof(qzk_wgrad_pixel)), 64u);
}

static int64_t wgrad_units(const qzk_wgrad_args *args)
{
    const wgrad_cut c = wgrad_cut_of(args);
    return (int64_t)c.panels * c.blocks * args->shape->groups;
}

/* Columns first ... first + width - 1 of a group, of each pixel. */
static void wgrad_copy_x(const qzk_wgrad_args *args, const wgrad_cut *c, int32_t group,
                         int32_t first, int32_t width, int32_t vectors,
                         const qzk_wgrad_pixel *pixels, int64_t count, float *to)
{
    static const float zeros[WGRAD_WIDTH];
    const int32_t stride = vectors * VL;
    for (int32_t at = 0; at < width;) {
        /* a run of channels of one tap */
        const int32_t tap = (first + at) / c->icg, channel = (first + at) % c->icg;
        const int32_t run = QZI_MIN(c->icg - channel, width - at);
        const int32_t kh = tap / args->shape->kw, kw = tap % args->shape->kw;
        const int32_t from = group * c->icg + channel;
        float *y = to + at;
        const vmask m0 = vf_mask(QZI_MIN(run, VL)), m1 = vf_mask(QZI_MAX(run - VL, 0));
        for (int64_t p = 0; p < count; p++, y += stride) {
            const float *x = qzk_wgrad_tap(args, &pixels[p], kh, kw, NULL);
            x = x ? x + from : zeros;
            vf_store_mask(y, vf_load_mask(x, m0), m0);
            if (run > VL)
                vf_store_mask(y + VL, vf_load_mask(x + VL, m1), m1);
        }
        at += run;
    }
    for (int64_t p = 0; p < count && width < stride; p++)
        memset(to + p * stride + width, 0, (size_t)(stride - width) * sizeof(*to));
}

/* The rows of each tile, pixel by pixel. */
static void wgrad_copy_dy(const qzk_wgrad_args *args, int32_t first, int32_t rows, int32_t tiles,
                          int64_t pixel, int64_t count, float *to)
{
    for (int32_t t = 0; t < tiles; t++) {
        const int32_t begin = rows * t / tiles, n = rows * (t + 1) / tiles - begin;
        const float *dy =
            (const float *)args->dy.data + pixel * args->dy.pixel_stride + first + begin;
        const vmask m = vf_mask(QZI_MIN(n, VL));
        for (int64_t p = 0; p < count; p++, dy += args->dy.pixel_stride, to += n)
            vf_store_mask(to, vf_load_mask(dy, m), m);
    }
}

/* Panels begin ... end - 1 of one block of one group's output channels. */
static void wgrad_run_block(const qzk_wgrad_args *args, const wgrad_cut *c, int32_t group,
                            int32_t block, int32_t begin, int32_t end, float *scratch)
{
    const int64_t total = (int64_t)args->dy.n * args->dy.h * args->dy.w;
    const int32_t row = wgrad_first_row(c, block), rows = wgrad_first_row(c, block + 1) - row;
    const int32_t tiles = QZI_DIV_UP(rows, WGRAD_ROWS);
    const int32_t first_row = group * c->ocg + row;
    float *x = scratch, *dy = x + QZK_GRAD_PIXELS * WGRAD_WIDTH;
    qzk_wgrad_pixel *pixels = (qzk_wgrad_pixel *)(dy + (size_t)QZK_GRAD_PIXELS * (size_t)rows);
    for (int64_t first = 0; first < total; first += QZK_GRAD_PIXELS) {
        const int64_t count = QZI_MIN(total - first, (int64_t)QZK_GRAD_PIXELS);
        qzk_wgrad_pixels(args, first, count, pixels);
        wgrad_copy_dy(args, first_row, rows, tiles, first, count, dy);
        for (int32_t panel = begin; panel < end; panel++) {
            const int32_t column = panel * WGRAD_WIDTH;
            const int32_t width = QZI_MIN(c->columns - column, WGRAD_WIDTH);
            const int32_t vectors = QZI_DIV_UP(width, VL);
            wgrad_copy_x(args, c, group, column, width, vectors, pixels, count, x);
            for (int32_t t = 0; t < tiles; t++) {
                const int32_t at = rows * t / tiles, n = rows * (t + 1) / tiles - at;
                wgrad_tiles[vectors - 1][n - 1](&(wgrad_tile_args){
                    .dy = dy + at * count,
                    .x = x,
                    .pixels = count,
                    .dw = args->dw + (int64_t)(first_row + at) * c->columns + column,
                    .dw_stride = c->columns,
                    .columns = width,
                });
            }
        }
    }
}

static void wgrad_run(const qzk_wgrad_args *args, int64_t begin, int64_t end, void *scratch)
{
    const wgrad_cut c = wgrad_cut_of(args);
    while (begin < end) {
        const int32_t panel = (int32_t)(begin % c.panels);
        const int64_t rest = begin / c.panels;
        const int32_t stop = (int32_t)QZI_MIN((int64_t)c.panels, panel + (end - begin));
        wgrad_run_block(args, &c, (int32_t)(rest / c.blocks), (int32_t)(rest % c.blocks), panel,
                        stop, scratch);
        begin += stop - panel;
    }
}

const qzk_wgrad_kernel QZK_BUNDLE(qzk_f32_wgrad) = {
    .name = "f32_wgrad" QZK_BUNDLE_NAME,
    .isa = QZK_BUNDLE_ISA,
    .supports = wgrad_supports,
    .scratch_size = wgrad_scratch_size,
    .units = wgrad_units,
    .run = wgrad_run,
};

#endif
