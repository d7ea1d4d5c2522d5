/* SPDX-License-Identifier: MIT */
/*
 * coco_polygon.c - the mask of a polygon by pycocotools' rule (rleFrPoly), to the pixel.
 *
 * The rule: corners are rounded to a grid five times as fine as the pixels. The outline goes from
 * corner to corner in steps of one grid point along the longer side. Where the outline passes
 * between the grid columns 5c + 2 and 5c + 3, which is the middle of the pixel column c, the mask
 * changes in that column: from the row on whose middle is not above the outline. What is changed
 * twice is not changed.
 *
 * pycocotools lists all points of the outline and sorts the changes. Here only the steps over a
 * column's middle are computed, by the same formulas, and the changes are bits of a bitmap. So
 * memory depends on the image alone, whatever corners a damaged file has.
 */
#include "zoo/eval/coco_mask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FINE 5

typedef struct outline {
    int32_t width, height;
    uint64_t *bits;       /* one for each pixel, column by column, and one for the end */
    size_t first, behind; /* words that have bits */
} outline;

/* The outline passes the middle of column c; the lesser row of the two points is `row`. */
static void change(outline *o, int64_t c, int32_t row)
{
    double y = ((double)row + .5) / (double)FINE - .5;
    y = y < 0 ? 0 : y > (double)o->height ? (double)o->height : y;
    const size_t at = (size_t)c * (size_t)o->height + (size_t)ceil(y), word = at / 64;
    o->bits[word] ^= UINT64_C(1) << at % 64;
    o->first = QZI_MIN(o->first, word);
    o->behind = QZI_MAX(o->behind, word + 1);
}

/* The columns whose middles are passed between the grid columns lo and hi: [*begin, *end). */
static void columns(const outline *o, int32_t lo, int32_t hi, int64_t *begin, int64_t *end)
{
    /* 5c + 2 >= lo and 5c + 3 <= hi */
    *begin = lo <= 2 ? 0 : (lo + 2) / FINE;
    *end = hi < 3 ? 0 : (hi - 3) / FINE + 1;
    *end = QZI_MIN(*end, o->width);
}

/* An edge that is at least as wide as high, from left to right. */
static void wide_edge(outline *o, int32_t xs, int32_t ys, int32_t xe, int32_t ye)
{
    const double slope = (double)(ye - ys) / (xe - xs);
    int64_t begin, end;
    columns(o, xs, xe, &begin, &end);
    for (int64_t c = begin; c < end; c++) {
        const double t = (double)(FINE * c + 2 - xs);
        const int32_t left = (int32_t)(ys + slope * t + .5);
        const int32_t right = (int32_t)(ys + slope * (t + 1) + .5);
        change(o, c, QZI_MIN(left, right));
    }
}

static int32_t column_at(int32_t xs, double slope, int64_t t)
{
    return (int32_t)(xs + slope * (double)t + .5);
}

/* An edge that is higher than wide, from top to bottom. */
static void high_edge(outline *o, int32_t xs, int32_t ys, int32_t xe, int32_t ye)
{
    const int64_t steps = ye - ys;
    const double slope = (double)(xe - xs) / (double)steps;
    int64_t begin, end;
    columns(o, QZI_MIN(xs, xe), QZI_MAX(xs, xe), &begin, &end);
    for (int64_t c = begin; c < end; c++) {
        const int32_t middle = (int32_t)(FINE * c + 2); /* passed to or from middle + 1 */
        /* the last step on the side where the edge begins: estimated, then corrected */
        int64_t t = (int64_t)(((double)middle + .5 - xs) / slope);
        t = t < 0 ? 0 : t >= steps ? steps - 1 : t;
        if (slope > 0) {
            while (t > 0 && column_at(xs, slope, t) > middle)
                t--;
            while (t < steps && column_at(xs, slope, t + 1) <= middle)
                t++;
        } else {
            while (t > 0 && column_at(xs, slope, t) <= middle)
                t--;
            while (t < steps && column_at(xs, slope, t + 1) > middle)
                t++;
        }
        if (t < steps)
            change(o, c, (int32_t)(ys + t));
    }
}

static void edge(outline *o, int32_t xs, int32_t ys, int32_t xe, int32_t ye)
{
    const int32_t dx = abs(xe - xs), dy = abs(ye - ys);
    if (dx == 0)
        return; /* stays in its column */
    const bool wide = dx >= dy, turned = wide ? xs > xe : ys > ye;
    const int32_t x0 = turned ? xe : xs, y0 = turned ? ye : ys;
    const int32_t x1 = turned ? xs : xe, y1 = turned ? ys : ye;
    if (wide)
        wide_edge(o, x0, y0, x1, y1);
    else
        high_edge(o, x0, y0, x1, y1);
}

/* The bits, in order. */
static qz_status list_changes(const qz_context *ctx, const outline *o, qzi_coco_mask *mask)
{
    const size_t end = (size_t)o->width * (size_t)o->height;
    size_t count = 0;
    for (size_t w = o->first; w < o->behind; w++)
        count += (size_t)__builtin_popcountll(o->bits[w]);
    mask->flips = qzi_calloc(ctx, count, sizeof(*mask->flips));
    if (!mask->flips)
        return QZ_ERR_MEMORY;
    for (size_t w = o->first; w < o->behind; w++) {
        for (uint64_t word = o->bits[w]; word; word &= word - 1) {
            const size_t at = w * 64 + (size_t)__builtin_ctzll(word);
            if (at < end)
                mask->flips[mask->count++] = (uint32_t)at;
        }
    }
    return QZ_OK;
}

/* On the fine grid, as a C conversion rounds: towards zero. */
static int32_t fine(double coordinate)
{
    return (int32_t)(FINE * coordinate + .5);
}

qz_status qzi_coco_mask_of_polygon(const qz_context *ctx, const double *xy, size_t points,
                                   int32_t width, int32_t height, qzi_coco_mask *mask)
{
    const size_t words = (size_t)width * (size_t)height / 64 + 1;
    outline o = {.width = width, .height = height, .first = words};
    *mask = (qzi_coco_mask){0};
    o.bits = qzi_calloc(ctx, words, sizeof(*o.bits));
    if (!o.bits)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < points; i++) {
        const double *from = xy + 2 * i, *to = xy + 2 * (i + 1 < points ? i + 1 : 0);
        edge(&o, fine(from[0]), fine(from[1]), fine(to[0]), fine(to[1]));
    }
    const qz_status st = list_changes(ctx, &o, mask);
    qzi_free(ctx, o.bits);
    return st;
}
