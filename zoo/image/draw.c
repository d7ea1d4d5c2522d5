/* SPDX-License-Identifier: MIT */
/* draw.c - boxes, labels, masks and class maps on RGB rows: integers, clipped to the image. */
#include "zoo/qzoo_draw.h"

#include "layers/base/base.h"
#include "zoo/image/font.h"

#include <math.h>

/* Pixels from (left, top) to before (right, bottom); may be empty or outside the image. */
typedef struct area {
    int64_t left, top, right, bottom;
} area;

static bool is_canvas(const qz_canvas *c)
{
    return c && c->rgb && c->width > 0 && c->height > 0;
}

static uint8_t *pixel_at(const qz_canvas *c, int64_t x, int64_t y)
{
    const size_t stride = c->stride ? c->stride : (size_t)c->width * 3;
    return c->rgb + (size_t)y * stride + (size_t)x * 3;
}

static void fill(const qz_canvas *c, area a, qz_color color)
{
    a.left = QZI_MAX(a.left, 0);
    a.top = QZI_MAX(a.top, 0);
    a.right = QZI_MIN(a.right, c->width);
    a.bottom = QZI_MIN(a.bottom, c->height);
    for (int64_t y = a.top; y < a.bottom; y++) {
        for (int64_t x = a.left; x < a.right; x++) {
            uint8_t *p = pixel_at(c, x, y);
            p[0] = color.r;
            p[1] = color.g;
            p[2] = color.b;
        }
    }
}

/* The pixel edge next to a coordinate. What is far outside is brought near, where it is outside
 * still: no image has so many pixels. */
static int64_t edge_of(float coordinate)
{
    const double far = (double)((int64_t)1 << 40);
    const double x = (double)coordinate;
    return (int64_t)floor((x < -far ? -far : x > far ? far : x) + 0.5);
}

/* ---- colors ---- */

/* Hues are steps of the golden ratio around the circle, so that neighbours are far apart. */
qz_color qz_draw_color(int32_t label)
{
    static const int32_t lightness[3] = {255, 205, 235}, grayness[3] = {0, 40, 90};
    const uint32_t number = (uint32_t)label;
    const int32_t hue = (int32_t)((number * UINT32_C(2654435769) >> 16) * 1536 >> 16);
    const int32_t high = lightness[number % 3], low = grayness[number % 3];
    const int32_t part = hue % 256, span = high - low;
    const uint8_t top = (uint8_t)high, base = (uint8_t)low;
    const uint8_t up = (uint8_t)(low + span * part / 255);
    const uint8_t down = (uint8_t)(high - span * part / 255);
    switch (hue / 256) {
    case 0:
        return (qz_color){top, up, base};
    case 1:
        return (qz_color){down, top, base};
    case 2:
        return (qz_color){base, top, up};
    case 3:
        return (qz_color){base, down, top};
    case 4:
        return (qz_color){up, base, top};
    default:
        return (qz_color){top, base, down};
    }
}

/* Black on light colors, white on dark ones, by the luma of ITU-R BT.601. */
static qz_color ink_on(qz_color color)
{
    const bool light = 299 * color.r + 587 * color.g + 114 * color.b > 128 * 1000;
    return light ? (qz_color){0, 0, 0} : (qz_color){255, 255, 255};
}

/* ---- boxes and labels ---- */

int32_t qz_draw_scale(int32_t width, int32_t height)
{
    const int64_t sides = (int64_t)QZI_MAX(width, 0) + QZI_MAX(height, 0);
    return (int32_t)QZI_MAX((sides + 280) / 560, 1);
}

void qz_draw_box(const qz_canvas *canvas, float x1, float y1, float x2, float y2, qz_color color)
{
    if (!is_canvas(canvas) || !(x1 <= x2) || !(y1 <= y2)) /* NaN, too */
        return;
    const int64_t width = qz_draw_scale(canvas->width, canvas->height);
    area a = {edge_of(x1), edge_of(y1), edge_of(x2), edge_of(y2)};
    a.right = QZI_MAX(a.right, a.left + 1);
    a.bottom = QZI_MAX(a.bottom, a.top + 1);
    const int64_t across = QZI_MIN(width, a.right - a.left);
    const int64_t down = QZI_MIN(width, a.bottom - a.top);
    fill(canvas, (area){a.left, a.top, a.right, a.top + down}, color);
    fill(canvas, (area){a.left, a.bottom - down, a.right, a.bottom}, color);
    fill(canvas, (area){a.left, a.top, a.left + across, a.bottom}, color);
    fill(canvas, (area){a.right - across, a.top, a.right, a.bottom}, color);
}

static void draw_glyph(const qz_canvas *canvas, int64_t left, int64_t top, int64_t scale,
                       const uint8_t *rows, qz_color ink)
{
    for (int64_t y = 0; y < QZI_FONT_HEIGHT; y++) {
        for (int64_t x = 0; x < QZI_FONT_WIDTH; x++) {
            const int64_t px = left + x * scale, py = top + y * scale;
            if (rows[y] >> (QZI_FONT_WIDTH - 1 - x) & 1)
                fill(canvas, (area){px, py, px + scale, py + scale}, ink);
        }
    }
}

void qz_draw_label(const qz_canvas *canvas, float x, float y, const char *text, qz_color color)
{
    if (!is_canvas(canvas) || !text || !*text || isnan(x) || isnan(y))
        return;
    const int64_t scale = qz_draw_scale(canvas->width, canvas->height);
    /* a pixel of the font is free around the text, and between letters */
    const int64_t advance = (QZI_FONT_WIDTH + 1) * scale;
    const int64_t high = (QZI_FONT_HEIGHT + 2) * scale;
    const int64_t most = canvas->width / advance + 2; /* more letters are not seen */
    const size_t count = qzi_font_count(text);
    const int64_t wide = (count < (size_t)most ? (int64_t)count : most) * advance + scale;
    int64_t left = QZI_MIN(edge_of(x), canvas->width - wide), top = edge_of(y) - high;
    left = QZI_MAX(left, 0);
    if (top < 0)
        top = QZI_MAX(edge_of(y), 0);
    const qz_color ink = ink_on(color);
    const uint8_t *rows;
    fill(canvas, (area){left, top, left + wide, top + high}, color);
    left += scale;
    for (int64_t i = 0; i < most && qzi_font_next(&text, &rows); i++, left += advance)
        draw_glyph(canvas, left, top + scale, scale, rows, ink);
}

/* ---- masks ---- */

static void tint(uint8_t *p, qz_color color, uint32_t alpha)
{
    const uint32_t rest = 255 - alpha;
    p[0] = (uint8_t)((p[0] * rest + color.r * alpha + 127) / 255);
    p[1] = (uint8_t)((p[1] * rest + color.g * alpha + 127) / 255);
    p[2] = (uint8_t)((p[2] * rest + color.b * alpha + 127) / 255);
}

void qz_draw_mask(const qz_canvas *canvas, const uint8_t *mask, size_t mask_stride, qz_color color,
                  uint8_t alpha)
{
    if (!is_canvas(canvas) || !mask)
        return;
    const size_t stride = mask_stride ? mask_stride : (size_t)canvas->width;
    for (int64_t y = 0; y < canvas->height; y++) {
        for (int64_t x = 0; x < canvas->width; x++) {
            if (mask[(size_t)y * stride + (size_t)x])
                tint(pixel_at(canvas, x, y), color, alpha);
        }
    }
}

void qz_draw_segmentation(const qz_canvas *canvas, const uint8_t *classes, size_t classes_stride,
                          uint8_t alpha)
{
    if (!is_canvas(canvas) || !classes)
        return;
    const size_t stride = classes_stride ? classes_stride : (size_t)canvas->width;
    for (int64_t y = 0; y < canvas->height; y++) {
        for (int64_t x = 0; x < canvas->width; x++) {
            const uint8_t label = classes[(size_t)y * stride + (size_t)x];
            if (label != 0 && label != 255)
                tint(pixel_at(canvas, x, y), qz_draw_color(label), alpha);
        }
    }
}
