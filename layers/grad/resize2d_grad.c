/* SPDX-License-Identifier: MIT */
/* resize2d_grad.c - an output pixel adds to the pixels that it was blended of, in order: row by
 * row, then column by column of the output. */
#include "layers/grad/grad.h"
#include "layers/ops/resize.h"

static void add_to(const qzk_view *dx, int64_t pixel, int32_t channel, int32_t channels,
                   const float *dy, float weight)
{
    float *to = qzi_view_at(dx, pixel) + channel;
    for (int32_t c = 0; c < channels; c++)
        to[c] = to[c] + dy[c] * weight;
}

static void resize_image(const qzi_grad_run *r, int32_t image, int32_t channel, int32_t channels)
{
    const qzk_view *dx = &r->dx[0], *dy = &r->dy;
    const bool moves = qzi_resize_moves(r->node, dx, dy);
    const int64_t first = (int64_t)image * dx->h * dx->w;
    int64_t pixel = (int64_t)image * dy->h * dy->w;
    qzi_grad_clear(dx, image, channel, channels);
    for (int32_t oy = 0; oy < dy->h; oy++) {
        const qzi_resize_blend row = qzi_resize_blend_of(oy, dx->h, dy->h);
        const int64_t near_row = first + (int64_t)qzi_resize_nearest(oy, dx->h, dy->h) * dx->w;
        const int64_t row0 = first + (int64_t)row.first * dx->w;
        const int64_t row1 = first + (int64_t)row.second * dx->w;
        for (int32_t ox = 0; ox < dy->w; ox++, pixel++) {
            const float *from = qzi_view_at(dy, pixel) + channel;
            if (moves) {
                const int32_t near = qzi_resize_nearest(ox, dx->w, dy->w);
                add_to(dx, near_row + near, channel, channels, from, 1.0f);
                continue;
            }
            const qzi_resize_blend b = qzi_resize_blend_of(ox, dx->w, dy->w);
            add_to(dx, row0 + b.first, channel, channels, from, row.w_first * b.w_first);
            add_to(dx, row0 + b.second, channel, channels, from, row.w_first * b.w_second);
            add_to(dx, row1 + b.first, channel, channels, from, row.w_second * b.w_first);
            add_to(dx, row1 + b.second, channel, channels, from, row.w_second * b.w_second);
        }
    }
}

static void backward(const qzi_grad_run *r)
{
    qzi_grad_images(r, &r->dy, resize_image);
}

const qzi_grad_class qzi_grad_resize2d = {.op = QZI_OP_RESIZE2D, .backward = backward};
