/* SPDX-License-Identifier: MIT */
/* wgrad.h - the places of the pixels that a weight gradient sums over. Private. */
#ifndef QZOO_LAYERS_KERNELS_WGRAD_H
#define QZOO_LAYERS_KERNELS_WGRAD_H

#include "layers/kernels/grad.h"

/* An output pixel: the image, and where the first tap of its window is in the input. */
typedef struct qzk_wgrad_pixel {
    int64_t image; /* its first pixel in the input */
    int32_t y, x;
} qzk_wgrad_pixel;

/* Pixels first ... first + count - 1 of the output. */
static inline void qzk_wgrad_pixels(const qzk_wgrad_args *args, int64_t first, int64_t count,
                                    qzk_wgrad_pixel *pixels)
{
    const qzk_conv_shape *s = args->shape;
    const qzk_view *x = &args->x, *dy = &args->dy;
    const int64_t row = first / dy->w;
    int32_t ox = (int32_t)(first % dy->w), oy = (int32_t)(row % dy->h);
    int64_t n = row / dy->h;
    for (int64_t i = 0; i < count; i++) {
        pixels[i].image = n * x->h * x->w;
        pixels[i].y = oy * s->stride_h - s->pad_top;
        pixels[i].x = ox * s->stride_w - s->pad_left;
        if (++ox < dy->w)
            continue;
        ox = 0;
        if (++oy == dy->h) {
            oy = 0;
            n++;
        }
    }
}

/* The channels that a tap of a pixel reads; `zeros` where the tap is in the padding. */
static inline const float *qzk_wgrad_tap(const qzk_wgrad_args *args, const qzk_wgrad_pixel *pixel,
                                         int32_t kh, int32_t kw, const float *zeros)
{
    const qzk_view *x = &args->x;
    const int64_t iy = pixel->y + (int64_t)kh * args->shape->dil_h;
    const int64_t ix = pixel->x + (int64_t)kw * args->shape->dil_w;
    if (iy < 0 || ix < 0 || iy >= x->h || ix >= x->w)
        return zeros;
    return (const float *)x->data + (pixel->image + iy * x->w + ix) * x->pixel_stride;
}

#endif
