/* SPDX-License-Identifier: MIT */
/*
 * winograd.h - what the kernels of Winograd's F(4x4, 3x3) share: its points, its weights, and where
 * it is used. CONTRACT.md has the formulas.
 *
 * 3x3 convolutions of stride 1 by 36 products for 16 outputs instead of 144 (Winograd 1980; Lavin
 * and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015). The points are 0, +-a, +-b
 * and infinity with a = sqrt(1/2), b = sqrt(2): of those tried they have the smallest error, a
 * third of that of the usual 0, +-1, +-2 (bench/NOTES.md), because no power of a point is large.
 */
#ifndef QZOO_LAYERS_KERNELS_WINOGRAD_H
#define QZOO_LAYERS_KERNELS_WINOGRAD_H

#include "layers/base/base.h"
#include "layers/kernels/kernels.h"

enum {
    QZK_WINOGRAD_OUT = 4,     /* a tile of 4x4 outputs */
    QZK_WINOGRAD_IN = 6,      /* reads 6x6 inputs, */
    QZK_WINOGRAD_POINTS = 36, /* and has as many products */
};
#define QZK_WINOGRAD_A 0.707106769f /* sqrt(1/2) and sqrt(2), rounded to float */
#define QZK_WINOGRAD_B 1.41421354f

/* Whether the kernels can do it. */
bool qzk_winograd_supports(const qzk_conv_shape *shape);

/* u[6 * i + j] from the 3x3 kernel w: computed in double, rounded once. */
void qzk_winograd_weights(const float *w, float *u);

/* The tiles of a call, counted through images, rows and columns. */
typedef struct qzk_winograd_grid {
    int32_t rows, columns; /* of tiles in an image */
    int64_t tiles;
} qzk_winograd_grid;
typedef struct qzk_winograd_tile {
    int32_t n, y, x; /* image, first output row and column */
} qzk_winograd_tile;

static inline qzk_winograd_grid qzk_winograd_grid_of(const qzk_view *out)
{
    qzk_winograd_grid g;
    g.rows = out->h / QZK_WINOGRAD_OUT + (out->h % QZK_WINOGRAD_OUT != 0);
    g.columns = out->w / QZK_WINOGRAD_OUT + (out->w % QZK_WINOGRAD_OUT != 0);
    g.tiles = (int64_t)out->n * g.rows * g.columns;
    return g;
}

static inline qzk_winograd_tile qzk_winograd_tile_at(const qzk_winograd_grid *g, int64_t index)
{
    const int64_t row = index / g->columns;
    qzk_winograd_tile t;
    t.x = (int32_t)(index - row * g->columns) * QZK_WINOGRAD_OUT;
    t.n = (int32_t)(row / g->rows);
    t.y = (int32_t)(row - (int64_t)t.n * g->rows) * QZK_WINOGRAD_OUT;
    return t;
}

/*
 * The address of each of the 36 pixels that a tile reads; outside the image that of `zeros`, a row
 * of in.c zeros.
 */
static inline void qzk_winograd_pixels(const qzk_conv_args *args, qzk_winograd_tile tile,
                                       const float *zeros, const float **pixels)
{
    const qzk_view *in = &args->in;
    const int64_t top = (int64_t)tile.y - args->shape->pad_top;
    const int64_t left = (int64_t)tile.x - args->shape->pad_left;
    for (int64_t y = top; y < top + QZK_WINOGRAD_IN; y++)
        for (int64_t x = left; x < left + QZK_WINOGRAD_IN; x++) {
            const bool inside = y >= 0 && y < in->h && x >= 0 && x < in->w;
            const int64_t pixel = ((int64_t)tile.n * in->h + y) * in->w + x;
            *pixels++ = inside ? (const float *)in->data + pixel * in->pixel_stride : zeros;
        }
}

/* Reports the outputs of a tile as done, in some channels, row by row. */
static inline void qzk_winograd_done(const qzk_conv_args *args, qzk_winograd_tile tile,
                                     int64_t channel, int64_t channels)
{
    const qzk_view *out = &args->out;
    const int32_t rows = QZI_MIN(out->h - tile.y, QZK_WINOGRAD_OUT);
    for (int32_t r = 0; r < rows; r++)
        qzk_conv_done(args, ((int64_t)tile.n * out->h + tile.y + r) * out->w + tile.x,
                      QZI_MIN(out->w - tile.x, QZK_WINOGRAD_OUT), channel, channels);
}

#endif
