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
#include "layers/kernels/kernels.h"

typedef struct rows_plan {
    int64_t pixels;      /* of the output, all images */
    int64_t block_tiles; /* tiles in a block */
    int64_t blocks;
    int32_t taps;
    int32_t parts; /* parts of the output channels */
} rows_plan;

/* Pointers in a block's table, roughly; units that two threads should at least find. */
enum { ROWS_TABLE = 2048, ROWS_BLOCK_TILES = 8, ROWS_MIN_UNITS = 16 };

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
    const size_t size = (size_t)plan->block_tiles * (size_t)plan->taps * (size_t)tile_m;
    return QZI_ROUND_UP(size * sizeof(const uint8_t *), QZI_ALIGN);
}

/*
 * Fills the table for `count` pixels from pixel `first`. Places behind the last pixel in its tile
 * stay as they are: the kernels for fewer rows do not read them.
 */
static inline void rows_fill(const qzk_conv_args *args, int32_t tile_m, const uint8_t *zp_row,
                             int64_t first, int64_t count, const uint8_t **table)
{
    const qzk_conv_shape *s = args->shape;
    const qzk_view *in = &args->in;
    const int64_t row_bytes = (int64_t)in->w * in->pixel_stride;
    int64_t ox = first % args->out.w, rest = first / args->out.w;
    int64_t oy = rest % args->out.h, n = rest / args->out.h;
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *image = (const uint8_t *)in->data + n * in->h * row_bytes;
        const int64_t y0 = oy * s->stride_h - s->pad_top;
        const int64_t x0 = ox * s->stride_w - s->pad_left;
        const uint8_t **to = table + i / tile_m * tile_m * s->kh * s->kw + i % tile_m;
        for (int32_t ky = 0; ky < s->kh; ky++) {
            const int64_t y = y0 + (int64_t)ky * s->dil_h;
            const bool inside = y >= 0 && y < in->h;
            for (int32_t kx = 0; kx < s->kw; kx++, to += tile_m) {
                const int64_t x = x0 + (int64_t)kx * s->dil_w;
                *to = inside && x >= 0 && x < in->w ? image + y * row_bytes + x * in->pixel_stride
                                                    : zp_row;
            }
        }
        if (++ox == args->out.w) {
            ox = 0;
            if (++oy == args->out.h) {
                oy = 0;
                n++;
            }
        }
    }
}

#endif
