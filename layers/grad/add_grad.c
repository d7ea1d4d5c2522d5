/* SPDX-License-Identifier: MIT */
/* add_grad.c - both addends have the gradient of the sum. */
#include "layers/grad/grad.h"

#include <math.h>
#include <string.h>

static void pixels(const qzi_grad_run *r, int64_t begin, int64_t end)
{
    const qzk_view *dy = &r->dy;
    /* the first may be dy itself: the second reads it before */
    for (int k = 1; k >= 0; k--) {
        const qzk_view *dx = &r->dx[k];
        const bool dense = dy->pixel_stride == dy->c && dx->pixel_stride == dy->c;
        const int64_t step = dense ? end - begin : 1;
        for (int64_t p = begin; p < end && dx->data; p += step) {
            const float *from = qzi_view_at(dy, p);
            float *to = qzi_view_at(dx, p);
            const size_t n = (size_t)(step * dy->c);
            if (r->add[k])
                r->kernels->f32_add(to, from, to, n, -INFINITY, INFINITY);
            else if (to != from)
                memcpy(to, from, n * sizeof(*to));
        }
    }
}

static void backward(const qzi_grad_run *r)
{
    qzi_grad_pixels(r, qzi_view_pixels(&r->dy), 16 * (int64_t)r->dy.c, pixels);
}

const qzi_grad_class qzi_grad_add = {
    .op = QZI_OP_ADD,
    .backward = backward,
    .in_place = true,
    .adds = true,
};
