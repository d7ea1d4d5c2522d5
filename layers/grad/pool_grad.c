/* SPDX-License-Identifier: MIT */
/* pool_grad.c - poolings. Windows add to the pixels that they read, in order: row by row, then
 * column by column of the output. */
#include "layers/grad/grad.h"
#include "layers/ops/window.h"

#include <math.h>
#include <string.h>

static unsigned max_needs(const qzi_node *node, const qzi_train_mode *mode)
{
    (void)node;
    (void)mode;
    return QZI_NEEDS_X(0) | QZI_NEEDS_Y;
}

/* The first pixel of a window that has the maximum takes its gradient, as in torch. */
static void max_window(const qzi_grad_run *r, const qzi_pool_window *w, int64_t image_pixel,
                       int64_t out_pixel, int32_t channel, int32_t channels)
{
    const qzk_view *x = &r->x[0];
    const float *restrict y = qzi_view_at(&r->y, out_pixel) + channel;
    const float *restrict dy = qzi_view_at(&r->dy, out_pixel) + channel;
    int32_t open[QZI_GRAD_PART]; /* -1: nobody has taken it */
    memset(open, 0xff, sizeof(open));
    for (int32_t iy = w->y0; iy < w->y1; iy++) {
        for (int32_t ix = w->x0; ix < w->x1; ix++) {
            const int64_t at = image_pixel + (int64_t)iy * x->w + ix;
            const float *restrict v = qzi_view_at(x, at) + channel;
            float *restrict dx = qzi_view_at(&r->dx[0], at) + channel;
            for (int32_t c = 0; c < channels; c++) {
                /* equal, or NaN */
                const int32_t here = (v[c] < y[c] ? 0 : -1) & (v[c] > y[c] ? 0 : -1) & open[c];
                const float sum = dx[c] + dy[c];
                dx[c] = here ? sum : dx[c];
                open[c] &= ~here;
            }
        }
    }
}

static void average_window(const qzi_grad_run *r, const qzi_pool_window *w, int64_t image_pixel,
                           int64_t out_pixel, int32_t channel, int32_t channels)
{
    const float *dy = qzi_view_at(&r->dy, out_pixel) + channel;
    float g[QZI_GRAD_PART];
    for (int32_t c = 0; c < channels; c++)
        g[c] = dy[c] / (float)w->count;
    for (int32_t iy = w->y0; iy < w->y1; iy++) {
        for (int32_t ix = w->x0; ix < w->x1; ix++) {
            const int64_t at = image_pixel + (int64_t)iy * r->dx[0].w + ix;
            float *dx = qzi_view_at(&r->dx[0], at) + channel;
            for (int32_t c = 0; c < channels; c++)
                dx[c] = dx[c] + g[c];
        }
    }
}

static void pool_image(const qzi_grad_run *r, int32_t image, int32_t channel, int32_t channels)
{
    const qzk_view *dx = &r->dx[0], *dy = &r->dy;
    const bool max = r->node->op == QZI_OP_MAX_POOL2D;
    int64_t out_pixel = (int64_t)image * dy->h * dy->w;
    const int64_t image_pixel = (int64_t)image * dx->h * dx->w;
    qzi_grad_clear(dx, image, channel, channels);
    for (int32_t oy = 0; oy < dy->h; oy++) {
        for (int32_t ox = 0; ox < dy->w; ox++, out_pixel++) {
            const qzi_pool_window w = qzi_pool_window_of(r->node, dx, dy, oy, ox);
            if (max)
                max_window(r, &w, image_pixel, out_pixel, channel, channels);
            else
                average_window(r, &w, image_pixel, out_pixel, channel, channels);
        }
    }
}

static void backward(const qzi_grad_run *r)
{
    qzi_grad_images(r, &r->dy, pool_image);
}

const qzi_grad_class qzi_grad_max_pool2d = {
    .op = QZI_OP_MAX_POOL2D,
    .needs = max_needs,
    .backward = backward,
};

const qzi_grad_class qzi_grad_avg_pool2d = {.op = QZI_OP_AVG_POOL2D, .backward = backward};

const qzi_grad_class qzi_grad_adaptive_avg_pool2d = {
    .op = QZI_OP_ADAPTIVE_AVG_POOL2D,
    .backward = backward,
};
