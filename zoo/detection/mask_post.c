/* SPDX-License-Identifier: MIT */
/* mask_post.c - maskrcnn_inference and paste_masks_in_image. */
#include "zoo/detection/mask_post.h"

#include <math.h>

enum { PADDING = 1, SIDE = QZI_MASK_SIDE + 2 * PADDING }; /* of the mask with a border of zeros */

/* Larger coordinates than these are of no image. */
#define COORDINATE_MAX 1e9f

void qzi_mask_probabilities(const qzi_map *logits, int64_t roi, int32_t label, float *mask)
{
    for (int64_t p = 0; p < QZI_MASK_VALUES; p++)
        mask[p] = qzi_sigmoid(qzi_map_at(logits, roi * QZI_MASK_VALUES + p, label));
}

/* ---- one axis ---- */

/* The box along an axis, and the pixels of it that are in the image. */
typedef struct span {
    int64_t from, length; /* of the box, in whole pixels */
    int32_t begin, end;   /* of the image */
} span;

/* expand_boxes, then truncation to integers. False: no pixel is in the image. */
static bool span_of(float low, float high, int32_t size, span *s)
{
    const float scale = (float)((double)SIDE / QZI_MASK_SIDE);
    const float half = (high - low) * 0.5f * scale, centre = (high + low) * 0.5f;
    const float from = centre - half, to = centre + half;
    if (!(from > -COORDINATE_MAX && to < COORDINATE_MAX && from <= to))
        return false;
    const int64_t first = (int64_t)from, last = (int64_t)to;
    s->from = first;
    s->length = QZI_MAX(last - first + 1, 1);
    s->begin = (int32_t)QZI_MIN(QZI_MAX(first, 0), size);
    s->end = (int32_t)QZI_MAX(QZI_MIN(last + 1, size), 0);
    return s->begin < s->end;
}

typedef struct tap {
    int32_t low, high;
    float low_weight, high_weight;
} tap;

/* F.interpolate(mode="bilinear", align_corners=False) from SIDE to the span's length. */
static tap tap_of(const span *s, int32_t pixel)
{
    const float scale = (float)SIDE / (float)s->length;
    double at = (double)scale * ((double)(pixel - s->from) + 0.5) - 0.5; /* as in transform.c */
    at = at < 0.0 ? 0.0 : at;
    tap t = {.low = QZI_MIN((int32_t)at, SIDE - 1)};
    t.high = t.low < SIDE - 1 ? t.low + 1 : t.low;
    t.high_weight = (float)(at - (double)t.low);
    t.high_weight = t.high_weight > 1.0f ? 1.0f : t.high_weight;
    t.low_weight = 1.0f - t.high_weight;
    return t;
}

/* ---- both axes ---- */

/* The rows of the padded mask at the columns of the image that the box has. */
static void stretch_rows(const float *mask, const span *xs, float *rows)
{
    const int32_t columns = xs->end - xs->begin;
    for (int32_t x = 0; x < columns; x++) {
        const tap t = tap_of(xs, xs->begin + x);
        for (int32_t y = 0; y < SIDE; y++) {
            const bool inside = y >= PADDING && y < SIDE - PADDING;
            const float *row = mask + (y - PADDING) * QZI_MASK_SIDE - PADDING;
            const float low = inside && t.low >= PADDING && t.low < SIDE - PADDING ? row[t.low] : 0;
            const float high =
                inside && t.high >= PADDING && t.high < SIDE - PADDING ? row[t.high] : 0;
            rows[(size_t)y * (size_t)columns + (size_t)x] =
                low * t.low_weight + high * t.high_weight;
        }
    }
}

qz_status qzi_mask_paste(const qz_context *ctx, const float *mask, qzi_box box, int32_t height,
                         int32_t width, float *probabilities, uint8_t *bytes)
{
    span xs, ys;
    const size_t pixels = (size_t)height * (size_t)width;
    if (probabilities)
        memset(probabilities, 0, pixels * sizeof(*probabilities));
    if (bytes)
        memset(bytes, 0, pixels);
    if (!span_of(box.x1, box.x2, width, &xs) || !span_of(box.y1, box.y2, height, &ys))
        return QZ_OK;
    const size_t columns = (size_t)(xs.end - xs.begin);
    float *rows = qzi_calloc(ctx, columns, SIDE * sizeof(*rows));
    if (!rows)
        return QZ_ERR_MEMORY;
    stretch_rows(mask, &xs, rows);
    for (int32_t y = ys.begin; y < ys.end; y++) {
        const tap t = tap_of(&ys, y);
        const float *low = rows + (size_t)t.low * columns, *high = rows + (size_t)t.high * columns;
        const size_t at = (size_t)y * (size_t)width + (size_t)xs.begin;
        for (size_t x = 0; probabilities && x < columns; x++)
            probabilities[at + x] = low[x] * t.low_weight + high[x] * t.high_weight;
        for (size_t x = 0; bytes && x < columns; x++)
            bytes[at + x] = low[x] * t.low_weight + high[x] * t.high_weight > 0.5f;
    }
    qzi_free(ctx, rows);
    return QZ_OK;
}
