/* SPDX-License-Identifier: MIT */
/*
 * u8s8_rows.h - how the int8 convolution kernels cut their work, and how they find their input.
 *
 * Output pixels are one line of n*oh*ow; a tile is TILE_M of them, whatever row or image they are
 * in, so that small images waste nothing. Some tiles make a block. For each block a table of
 * pointers is filled once, [tile][tap][pixel of the tile], and read for all output channels; a tap
 * that lies in the padding points to a row of zero points in the packed weights, so the inner loops
 * know no borders.
 *
 * A unit of work is a block of pixels times a part of the output channels.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_U8S8_ROWS_H
#define QZOO_LAYERS_KERNELS_X86_U8S8_ROWS_H

#include "layers/base/base.h"
#include "layers/kernels/x86/u8s8_vec.h"

typedef struct rows_plan {
    int64_t pixels;      /* of the output, all images */
    int64_t block_tiles; /* tiles in a block */
    int64_t blocks;
    int32_t taps;
    int32_t parts; /* parts of the output channels */
} rows_plan;

/* Pointers in a block's table, roughly; units that two threads should at least find. */
enum { ROWS_TABLE = 2048, ROWS_BLOCK_TILES = 8, ROWS_MIN_UNITS = 16 };

/* Pixels of the largest tile, in whole vectors of pointers; places behind the table to write to. */
enum { ROWS_MAX_TILE = 16, ROWS_SLACK = 8 };

/* channel_blocks: how many pieces the output channels could be cut into. */
static inline rows_plan rows_plan_make(const qzk_conv_args *args, int32_t taps, int32_t tile_m,
                                       int64_t channel_blocks)
{
    rows_plan plan;
    plan.pixels = (int64_t)args->out.n * args->out.h * args->out.w;
    plan.taps = taps;
    const int64_t tiles = QZI_DIV_UP(plan.pixels, tile_m);
    const int64_t fit = ROWS_TABLE / ((int64_t)taps * tile_m);
    plan.block_tiles = QZI_MAX(1, QZI_MIN(fit, ROWS_BLOCK_TILES));
    plan.blocks = QZI_DIV_UP(tiles, plan.block_tiles);
    plan.block_tiles = QZI_DIV_UP(tiles, QZI_MAX(plan.blocks, 1)); /* even out the last one */
    plan.blocks = tiles > 0 ? QZI_DIV_UP(tiles, plan.block_tiles) : 0;
    const int64_t parts = QZI_DIV_UP(ROWS_MIN_UNITS, QZI_MAX(plan.blocks, 1));
    plan.parts = (int32_t)QZI_MIN(parts, channel_blocks);
    return plan;
}

static inline int64_t rows_units(const rows_plan *plan)
{
    return plan->blocks * plan->parts;
}

static inline size_t rows_table_size(const rows_plan *plan, int32_t tile_m)
{
    const size_t size =
        (size_t)plan->block_tiles * (size_t)plan->taps * (size_t)tile_m + ROWS_SLACK;
    return QZI_ROUND_UP(size * sizeof(const uint8_t *), QZI_ALIGN);
}

/* A pointer in each 64-bit lane: that of `inside` where 0 <= y < h and 0 <= x < w. */
VEC_INLINE vec rows_choose(vec y, vec x, vec h, vec w, vec inside, vec outside)
{
#if VEC_BYTES == 64
    const __mmask8 ok = _mm512_cmplt_epu64_mask(y, h); /* a negative y is a huge one */
    return _mm512_mask_blend_epi64(_mm512_mask_cmplt_epu64_mask(ok, x, w), outside, inside);
#else
    const vec minus = _mm256_set1_epi64x(-1);
    const vec y_ok = _mm256_and_si256(_mm256_cmpgt_epi64(h, y), _mm256_cmpgt_epi64(y, minus));
    const vec x_ok = _mm256_and_si256(_mm256_cmpgt_epi64(w, x), _mm256_cmpgt_epi64(x, minus));
    return _mm256_blendv_epi8(outside, inside, _mm256_and_si256(y_ok, x_ok));
#endif
}

#if VEC_BYTES == 64
#define ROWS_SET1(x) _mm512_set1_epi64(x)
#else
#define ROWS_SET1(x) _mm256_set1_epi64x(x)
#endif

/*
 * Fills the table for `count` pixels from pixel `first`, a tile at a time and tap by tap. Writes
 * whole vectors of pointers, up to ROWS_SLACK places too many; those behind the last pixel in its
 * tile hold some valid pointer.
 */
static inline void rows_fill(const qzk_conv_args *args, const int32_t tile_m, const uint8_t *zp_row,
                             int64_t first, int64_t count, const uint8_t **table)
{
    const qzk_conv_shape *s = args->shape;
    const qzk_view *in = &args->in;
    const int64_t row_bytes = (int64_t)in->w * in->pixel_stride;
    if (s->kh == 1 && s->kw == 1 && s->stride_h == 1 && s->stride_w == 1 && s->pad_top == 0 &&
        s->pad_left == 0 && args->out.h == in->h && args->out.w == in->w) {
        for (int64_t i = 0; i < count; i++)
            table[i] = (const uint8_t *)in->data + (first + i) * in->pixel_stride;
        return;
    }
    const vec h = ROWS_SET1(in->h), w = ROWS_SET1(in->w), outside = ROWS_SET1((int64_t)zp_row);
    int64_t ox = first % args->out.w, rest = first / args->out.w;
    int64_t oy = rest % args->out.h, n = rest / args->out.h;
    for (int64_t done = 0; done < count; done += tile_m) {
        /* corners of the windows: often outside the image, so no pointers yet */
        int64_t corner[ROWS_MAX_TILE] = {0}, y0[ROWS_MAX_TILE] = {0}, x0[ROWS_MAX_TILE] = {0};
        for (int32_t m = 0; m < tile_m; m++) {
            y0[m] = oy * s->stride_h - s->pad_top;
            x0[m] = ox * s->stride_w - s->pad_left;
            corner[m] =
                (int64_t)in->data + (n * in->h + y0[m]) * row_bytes + x0[m] * in->pixel_stride;
            if (done + m + 1 < count && ++ox == args->out.w) {
                ox = 0;
                if (++oy == args->out.h) {
                    oy = 0;
                    n++;
                }
            }
        }
        for (int32_t ky = 0; ky < s->kh; ky++) {
            for (int32_t kx = 0; kx < s->kw; kx++, table += tile_m) {
                const int64_t dy = (int64_t)ky * s->dil_h, dx = (int64_t)kx * s->dil_w;
                const vec offset = ROWS_SET1(dy * row_bytes + dx * in->pixel_stride);
                for (int32_t m = 0; m < tile_m; m += VEC_BYTES / 8) {
                    const vec y = VEC_OP(add_epi64)(vec_load(y0 + m), ROWS_SET1(dy));
                    const vec x = VEC_OP(add_epi64)(vec_load(x0 + m), ROWS_SET1(dx));
                    const vec p = VEC_OP(add_epi64)(vec_load(corner + m), offset);
                    vec_store(table + m, rows_choose(y, x, h, w, p, outside));
                }
            }
        }
    }
}

#endif
