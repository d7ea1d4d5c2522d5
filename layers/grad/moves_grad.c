/* SPDX-License-Identifier: MIT */
/* moves_grad.c - the backward of ops that move values: concat, slice, channel_shuffle, flatten. */
#include "layers/grad/grad.h"

#include <string.h>

static void move(float *to, const float *from, int32_t count, bool add)
{
    if (!add) {
        memcpy(to, from, (size_t)count * sizeof(*to));
        return;
    }
    for (int32_t i = 0; i < count; i++)
        to[i] = to[i] + from[i];
}

static void concat_pixels(const qzi_grad_run *r, int64_t begin, int64_t end)
{
    for (int64_t p = begin; p < end; p++) {
        const float *end_of = qzi_view_at(&r->dy, p) + r->dy.c;
        for (size_t k = r->node->in_count; k-- > 0;) {
            const qzk_view *dx = &r->dx[k];
            end_of -= r->inputs[k]->c;
            if (dx->data)
                move(qzi_view_at(dx, p), end_of, r->inputs[k]->c, r->add[k]);
        }
    }
}

static void concat(const qzi_grad_run *r)
{
    qzi_grad_pixels(r, qzi_view_pixels(&r->dy), 8 * (int64_t)r->dy.c, concat_pixels);
}

const qzi_grad_class qzi_grad_concat = {
    .op = QZI_OP_CONCAT,
    .backward = concat,
    .adds = true,
};

static void slice_pixels(const qzi_grad_run *r, int64_t begin, int64_t end)
{
    const qzi_node *node = r->node;
    const qzk_view *dx = &r->dx[0];
    const int32_t run = node->u.slice.period > 0 ? node->u.slice.run : node->c;
    for (int64_t p = begin; p < end; p++) {
        const float *from = qzi_view_at(&r->dy, p);
        float *to = qzi_view_at(dx, p);
        if (!r->add[0])
            memset(to, 0, (size_t)dx->c * sizeof(*to));
        for (int32_t c = 0; c < node->c; c += run)
            move(to + qzi_slice_channel(node, c), from + c, run, r->add[0]);
    }
}

static void slice(const qzi_grad_run *r)
{
    qzi_grad_pixels(r, qzi_view_pixels(&r->dy), 8 * (int64_t)r->dx[0].c, slice_pixels);
}

const qzi_grad_class qzi_grad_slice = {
    .op = QZI_OP_SLICE,
    .backward = slice,
    .adds = true,
};

/* The groups become the channels of a group: shuffling by these is the way back. */
static void shuffle_pixels(const qzi_grad_run *r, int64_t begin, int64_t end)
{
    const qzk_view *dy = &r->dy, *dx = &r->dx[0];
    const qzk_rows rows = qzi_grad_rows(dy, dx, begin, end);
    r->kernels->f32_shuffle(&rows, (size_t)(dy->c / r->node->u.shuffle.groups));
}

static void shuffle(const qzi_grad_run *r)
{
    qzi_grad_pixels(r, qzi_view_pixels(&r->dy), 8 * (int64_t)r->dy.c, shuffle_pixels);
}

const qzi_grad_class qzi_grad_channel_shuffle = {
    .op = QZI_OP_CHANNEL_SHUFFLE,
    .backward = shuffle,
};

static void flatten(const qzi_grad_run *r)
{
    const qzk_view *dx = &r->dx[0];
    const int64_t plane = (int64_t)dx->h * dx->w;
    for (int64_t image = 0; image < dx->n; image++) {
        const float *from = qzi_view_at(&r->dy, image);
        float *to = qzi_view_at(dx, image * plane);
        if (plane == 1 && to != from)
            memcpy(to, from, (size_t)dx->c * sizeof(*to));
        else if (plane > 1)
            r->kernels->f32_nchw_to_nhwc(from, plane, (size_t)dx->c, (size_t)plane, to,
                                         dx->pixel_stride);
    }
}

const qzi_grad_class qzi_grad_flatten = {.op = QZI_OP_FLATTEN, .backward = flatten};
