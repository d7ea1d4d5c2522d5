/* SPDX-License-Identifier: MIT */
/*
 * u8s8_rows.h - how the int8 convolution kernels cut their work, and how they find their input.
 *
 * Output pixels are one line of n*oh*ow; a tile is TILE_M of them, whatever row or image they are
 * in, so that small images waste nothing. Some tiles make a block. For each block a table of
 * pointers is filled once, [tile][tap][pixel of the tile], and read for all output channels; a tap
 * that is in the padding points to a row of zero points in the packed weights, so the inner loops
 * know no borders.
 *
 * Where a pixel has few channels and the taps of a kernel row lie side by side (dilation 1, no gaps
 * between pixels), the whole row counts as one tap, a "run" of kw pixels: a 7x7 stem over RGB has 7
 * taps of 28 bytes. Only windows that hang over the left or right border must then be copied.
 *
 * Kernels without VNNI read 16-bit channels: for them the rows are copied and widened as well.
 *
 * A unit of work is a block of pixels times a part of the output channels.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_U8S8_ROWS_H
#define QZOO_LAYERS_KERNELS_X86_U8S8_ROWS_H

#include "layers/base/base.h"
#include "layers/kernels/x86/u8s8_dot.h"

typedef struct rows_plan {
    int64_t pixels; /* of the output, all images */
    int64_t tiles;
    int64_t block_tiles; /* in a block, at most */
    int64_t blocks;
    int32_t taps;      /* pointers for a pixel */
    int32_t run_bytes; /* of a kernel row that is one tap; 0: each tap for itself */
    int32_t parts;     /* parts of the output channels */
    bool parts_first;  /* units go part by part through the blocks, else block by block */
    int32_t tile_m;
    int32_t row_bytes;  /* behind each pointer */
    int64_t wide_bytes; /* of a widened copy of that, in whole vectors; 0: rows are not widened */
} rows_plan;

/*
 * Pointers in a block's table, pixels in a block, bytes of its widened rows, all roughly.
 */
enum { ROWS_TABLE = 2048, ROWS_PIXELS = 112, ROWS_WIDE = 1 << 18 };

/* Runs: bytes of a pixel, and of a run, up to which a kernel row is taken as one tap. */
enum { ROWS_RUN_PIXEL = 8, ROWS_RUN = 128 };

/* Pixels of the largest tile, in whole vectors of pointers; places behind the table to write to. */
enum { ROWS_MAX_TILE = 16, ROWS_SLACK = 8 };

/* Bytes of a kernel row where it may be a run (0: never), whatever the input's strides. */
static inline int32_t rows_run_bytes(const qzk_conv_shape *s)
{
    const int64_t bytes = (int64_t)QZK_CEIL4(s->ic) * s->kw;
    const bool few = QZK_CEIL4(s->ic) <= ROWS_RUN_PIXEL && bytes <= ROWS_RUN;
    return s->groups == 1 && s->kw > 1 && s->dil_w == 1 && few ? (int32_t)bytes : 0;
}

/* channel_blocks: how many pieces the output channels could be cut into. */
static inline rows_plan rows_plan_make(const qzk_conv_args *args, int32_t tile_m,
                                       int64_t channel_blocks, bool widen)
{
    rows_plan plan;
    const qzk_conv_shape *s = args->shape;
    const bool dense = args->in.pixel_stride == QZK_CEIL4(s->ic);
    plan.tile_m = tile_m;
    plan.pixels = (int64_t)args->out.n * args->out.h * args->out.w;
    plan.run_bytes = dense ? rows_run_bytes(s) : 0;
    plan.taps = plan.run_bytes ? s->kh : s->kh * s->kw;
    plan.row_bytes = plan.run_bytes ? plan.run_bytes : QZK_CEIL4(s->ic);
    plan.wide_bytes = widen ? QZI_ROUND_UP((int64_t)plan.row_bytes * 2, VB) : 0;
    plan.tiles = QZI_DIV_UP(plan.pixels, tile_m);
    const int64_t pointers = (int64_t)plan.taps * tile_m; /* of a tile */
    int64_t fit = QZI_MIN(ROWS_TABLE / pointers, ROWS_PIXELS / tile_m);
    if (widen)
        fit = QZI_MIN(fit, ROWS_WIDE / (pointers * plan.wide_bytes));
    const int64_t ways = QZI_MAX(args->ways, 1), few = QZI_DIV_UP(plan.tiles, QZI_MAX(fit, 1));
    plan.parts_first = args->by_channels;
    if (args->by_channels && (channel_blocks % ways == 0 || channel_blocks >= 8 * ways)) {
        plan.blocks = few;
        plan.parts = (int32_t)QZI_MIN(channel_blocks, ways);
    } else if (args->by_channels) { /* a share may end within a part */
        plan.blocks = QZI_MIN(QZI_MAX(few, 2), plan.tiles);
        plan.parts = (int32_t)channel_blocks;
    } else {
        plan.blocks = QZI_MIN(QZI_ROUND_UP(few, ways), plan.tiles);
        const bool even = plan.blocks % ways == 0 || plan.blocks >= 8 * ways;
        plan.parts = (int32_t)QZI_MIN(even ? 1 : ways, channel_blocks);
    }
    plan.block_tiles = QZI_DIV_UP(plan.tiles, QZI_MAX(plan.blocks, 1));
    return plan;
}

/* A unit: its pixels, and which part of the output channels. */
typedef struct rows_unit {
    int64_t block, first, count, part;
} rows_unit;

static inline rows_unit rows_unit_at(const rows_plan *plan, int64_t unit)
{
    rows_unit u;
    u.block = plan->parts_first ? unit % plan->blocks : unit / plan->parts;
    u.part = plan->parts_first ? unit / plan->blocks : unit % plan->parts;
    /* blocks differ by a tile at most */
    const int64_t end = plan->tiles * (u.block + 1) / plan->blocks * plan->tile_m;
    u.first = plan->tiles * u.block / plan->blocks * plan->tile_m;
    u.count = QZI_MIN(end, plan->pixels) - u.first;
    return u;
}

static inline int64_t rows_units(const rows_plan *plan)
{
    return plan->blocks * plan->parts;
}

/* Pointers of a block. */
static inline size_t rows_pointers(const rows_plan *plan)
{
    return (size_t)plan->block_tiles * (size_t)plan->taps * (size_t)plan->tile_m;
}

/* Bytes of the pointers alone. */
static inline size_t rows_table_size(const rows_plan *plan)
{
    return QZI_ROUND_UP((rows_pointers(plan) + ROWS_SLACK) * sizeof(const uint8_t *), QZI_ALIGN);
}

/* Bytes from one copied window to the next: whole vectors. */
static inline size_t rows_window(const rows_plan *plan)
{
    return QZI_ROUND_UP((size_t)plan->run_bytes, VB);
}

/* The pointers, a copy of every window that could hang over a border, and widened rows. */
static inline size_t rows_scratch_size(const rows_plan *plan)
{
    const size_t row = rows_window(plan) + (size_t)plan->wide_bytes;
    return rows_table_size(plan) + QZI_ROUND_UP(rows_pointers(plan) * row, QZI_ALIGN);
}

/* A pointer in each 64-bit lane: that of `inside` where 0 <= y < h and 0 <= x < w. */
VEC_INLINE vb rows_choose(vb y, vb x, vb h, vb w, vb inside, vb outside)
{
#if VB == 64
    const __mmask8 ok = _mm512_cmplt_epu64_mask(y, h); /* a negative y is a huge one */
    return _mm512_mask_blend_epi64(_mm512_mask_cmplt_epu64_mask(ok, x, w), outside, inside);
#else
    const vb minus = _mm256_set1_epi64x(-1);
    const vb y_ok = _mm256_and_si256(_mm256_cmpgt_epi64(h, y), _mm256_cmpgt_epi64(y, minus));
    const vb x_ok = _mm256_and_si256(_mm256_cmpgt_epi64(w, x), _mm256_cmpgt_epi64(x, minus));
    return _mm256_blendv_epi8(outside, inside, _mm256_and_si256(y_ok, x_ok));
#endif
}

#if VB == 64
#define ROWS_SET1(x) _mm512_set1_epi64(x)
#else
#define ROWS_SET1(x) _mm256_set1_epi64x(x)
#endif

/*
 * The runs of one pixel that hangs over the left or right border: copies what is inside, and zero
 * points around it, to `window`. `to` are the pixel's pointers, tile_m apart. Returns the first
 * free byte behind the copies.
 */
static inline uint8_t *rows_copy_windows(const qzk_conv_args *args, const rows_plan *plan,
                                         const uint8_t *zp_row, int64_t n, int64_t y0, int64_t x0,
                                         uint8_t *window, const uint8_t **to)
{
    const qzk_conv_shape *s = args->shape;
    const qzk_view *in = &args->in;
    const int64_t pixel_words = in->pixel_stride / 4;
    const int64_t left = QZI_MIN(QZI_MAX(-x0, 0), s->kw) * pixel_words;
    const int64_t right = QZI_MIN(in->w - x0, s->kw) * pixel_words;
    for (int32_t ky = 0; ky < s->kh; ky++, to += plan->tile_m) {
        const int64_t y = y0 + (int64_t)ky * s->dil_h;
        if (y < 0 || y >= in->h || left >= right)
            continue; /* zero points only: as it is */
        /* as a number: its first words may lie outside the tensor, and are not read */
        const uintptr_t from =
            (uintptr_t)in->data + (uintptr_t)(((n * in->h + y) * in->w + x0) * in->pixel_stride);
        for (int32_t word = 0; word < plan->run_bytes / 4; word += VL) {
            const vb zp = vb_load(zp_row + word * 4);
            const int32_t first = (int32_t)QZI_MIN(QZI_MAX(left - word, 0), VL);
            const int32_t last = (int32_t)QZI_MIN(QZI_MAX(right - word, 0), VL);
            vb_store(window + word * 4,
                     vb_load_range((const void *)(from + (uintptr_t)word * 4), first, last, zp));
        }
        *to = window;
        window += rows_window(plan);
    }
    return window;
}

/*
 * The pixels of one tile: image, and place of the window's corner in it, as numbers and as an
 * address (often outside the image, so no pointer yet).
 */
typedef struct rows_tile {
    int64_t image[ROWS_MAX_TILE], y0[ROWS_MAX_TILE], x0[ROWS_MAX_TILE], corner[ROWS_MAX_TILE];
    int64_t x_step[ROWS_MAX_TILE], corner_step[ROWS_MAX_TILE]; /* 0, 1, 2, ... pixels further */
    int64_t n, oy, ox;                                         /* the next tile's first pixel */
    bool inside; /* all taps of all its pixels, for sure */
} rows_tile;

static inline void rows_tile_init(const qzk_conv_args *args, int64_t first, rows_tile *t)
{
    for (int32_t m = 0; m < ROWS_MAX_TILE; m++) {
        t->x_step[m] = (int64_t)m * args->shape->stride_w;
        t->corner_step[m] = t->x_step[m] * args->in.pixel_stride;
    }
    t->ox = first % args->out.w;
    t->oy = first / args->out.w % args->out.h;
    t->n = first / args->out.w / args->out.h;
}

/* Goes `pixels` further, to the end of the row at most. */
static inline void rows_tile_advance(const qzk_conv_args *args, rows_tile *t, int64_t pixels)
{
    t->ox += pixels;
    if (t->ox == args->out.w) {
        t->ox = 0;
        if (++t->oy == args->out.h) {
            t->oy = 0;
            t->n++;
        }
    }
}

/* Places behind the `valid` pixels repeat the last one. */
static inline void rows_tile_next(const qzk_conv_args *args, int32_t tile_m, int32_t valid,
                                  rows_tile *t)
{
    const qzk_conv_shape *s = args->shape;
    const qzk_view *in = &args->in;
    const int32_t places = QZI_ROUND_UP(tile_m, VB / 8);
    if (valid == tile_m && t->ox + tile_m <= args->out.w) { /* all in one row */
        const int64_t y = t->oy * s->stride_h - s->pad_top, x = t->ox * s->stride_w - s->pad_left;
        const int64_t corner =
            (int64_t)in->data + ((t->n * in->h + y) * in->w + x) * in->pixel_stride;
        for (int32_t m = 0; m < places; m += VB / 8) {
            vb_store(t->image + m, ROWS_SET1(t->n));
            vb_store(t->y0 + m, ROWS_SET1(y));
            vb_store(t->x0 + m, VEC_OP(add_epi64)(ROWS_SET1(x), vb_load(t->x_step + m)));
            vb_store(t->corner + m,
                     VEC_OP(add_epi64)(ROWS_SET1(corner), vb_load(t->corner_step + m)));
        }
        rows_tile_advance(args, t, tile_m);
        t->inside = y >= 0 && y + (int64_t)(s->kh - 1) * s->dil_h < in->h && x >= 0 &&
                    x + t->x_step[tile_m - 1] + (int64_t)(s->kw - 1) * s->dil_w < in->w;
        return;
    }
    t->inside = false;
    for (int32_t m = 0; m < places; m++) {
        t->image[m] = t->n;
        t->y0[m] = t->oy * s->stride_h - s->pad_top;
        t->x0[m] = t->ox * s->stride_w - s->pad_left;
        t->corner[m] =
            (int64_t)in->data + ((t->n * in->h + t->y0[m]) * in->w + t->x0[m]) * in->pixel_stride;
        if (m + 1 < valid)
            rows_tile_advance(args, t, 1);
    }
    rows_tile_advance(args, t, 1);
}

/*
 * Finds the rows of `count` pixels from pixel `first`, a tile at a time and tap by tap. Writes
 * whole vectors of pointers, up to ROWS_SLACK places too many; those behind the last pixel in its
 * tile hold some valid pointer.
 */
static inline void rows_find(const qzk_conv_args *args, const rows_plan *plan,
                             const uint8_t *zp_row, int64_t first, int64_t count, void *scratch)
{
    const int32_t tile_m = plan->tile_m;
    const qzk_conv_shape *s = args->shape;
    const qzk_view *in = &args->in;
    const int64_t row_bytes = (int64_t)in->w * in->pixel_stride;
    const uint8_t **table = scratch;
    if (s->kh == 1 && s->kw == 1 && s->stride_h == 1 && s->stride_w == 1 && s->pad_top == 0 &&
        s->pad_left == 0 && args->out.h == in->h && args->out.w == in->w) {
        for (int64_t i = 0; i < count; i++)
            table[i] = (const uint8_t *)in->data + (first + i) * in->pixel_stride;
        for (int64_t i = count; i % tile_m != 0; i++)
            table[i] = table[count - 1];
        return;
    }
    uint8_t *window = (uint8_t *)scratch + rows_table_size(plan);
    const int32_t kw = plan->run_bytes ? 1 : s->kw;
    const int64_t width = plan->run_bytes ? in->w - s->kw + 1 : in->w; /* for left ends of taps */
    const vb h = ROWS_SET1(in->h), w = ROWS_SET1(QZI_MAX(width, 0));
    const vb outside = ROWS_SET1((int64_t)zp_row);
    rows_tile t;
    rows_tile_init(args, first, &t);
    for (int64_t done = 0; done < count; done += tile_m) {
        const int32_t valid = (int32_t)QZI_MIN(tile_m, count - done);
        rows_tile_next(args, tile_m, valid, &t);
        const uint8_t **tile = table;
        for (int32_t ky = 0; ky < s->kh; ky++) {
            for (int32_t kx = 0; kx < kw; kx++, table += tile_m) {
                const int64_t dy = (int64_t)ky * s->dil_h, dx = (int64_t)kx * s->dil_w;
                const vb offset = ROWS_SET1(dy * row_bytes + dx * in->pixel_stride);
                for (int32_t m = 0; t.inside && m < tile_m; m += VB / 8)
                    vb_store(table + m, VEC_OP(add_epi64)(vb_load(t.corner + m), offset));
                for (int32_t m = 0; !t.inside && m < tile_m; m += VB / 8) {
                    const vb y = VEC_OP(add_epi64)(vb_load(t.y0 + m), ROWS_SET1(dy));
                    const vb x = VEC_OP(add_epi64)(vb_load(t.x0 + m), ROWS_SET1(dx));
                    const vb p = VEC_OP(add_epi64)(vb_load(t.corner + m), offset);
                    vb_store(table + m, rows_choose(y, x, h, w, p, outside));
                }
            }
        }
        for (int32_t m = 0; plan->run_bytes && !t.inside && m < valid; m++)
            if (t.x0[m] < 0 || t.x0[m] >= width)
                window = rows_copy_windows(args, plan, zp_row, t.image[m], t.y0[m], t.x0[m], window,
                                           tile + m);
    }
}

/* Copies every row with its channels widened to 16 bits, and lets the table point to the copies. */
static inline void rows_widen(const rows_plan *plan, int64_t count, void *scratch)
{
    const uint8_t **table = scratch;
    const int64_t pointers = QZI_DIV_UP(count, plan->tile_m) * plan->tile_m * plan->taps;
    uint8_t *to =
        (uint8_t *)scratch + rows_table_size(plan) + rows_pointers(plan) * rows_window(plan);
    for (int64_t i = 0; i < pointers; i++, to += plan->wide_bytes) {
        const uint8_t *from = table[i];
        int32_t at = 0;
        for (; at + VB / 2 <= plan->row_bytes; at += VB / 2)
            vb_store(to + 2 * at, vb_widen(from + at));
        if (at < plan->row_bytes)
            vb_store(to + 2 * at, vb_widen_part(from + at, (plan->row_bytes - at) / 4));
        table[i] = to;
    }
}

/* Fills the table for `count` pixels from pixel `first`. */
static inline void rows_fill(const qzk_conv_args *args, const rows_plan *plan,
                             const uint8_t *zp_row, int64_t first, int64_t count, void *scratch)
{
    rows_find(args, plan, zp_row, first, count, scratch);
    if (plan->wide_bytes)
        rows_widen(plan, count, scratch);
}

#endif
