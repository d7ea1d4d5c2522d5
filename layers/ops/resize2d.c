/* SPDX-License-Identifier: MIT */
/*
 * resize2d.c - an image in the size of another value, by nearest or bilinear interpolation, as
 * torch's interpolate without align_corners.
 *
 * Bilinear: a thread blends two input rows into its scratch, then the columns of that row into an
 * output row. Most of the work is the columns; a blended row is small and remains near.
 */
#include "layers/ops/resize.h"

#include <string.h>

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *y = n->node;
    if (y->in_count != 2)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: reads an image and a size", y->name);
    if (y->u.resize.mode != QZ_RESIZE_NEAREST && y->u.resize.mode != QZ_RESIZE_BILINEAR)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: %d is no mode of resizing", y->name,
                        (int)y->u.resize.mode);
    if (n->inputs[0]->flat || n->inputs[1]->flat)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: resizes images, not features", y->name);
    QZI_TRY(qzi_check_alike(n));
    if (y->u.resize.mode == QZ_RESIZE_BILINEAR && (n->inputs[0]->channel_q || y->channel_q))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: bilinear reads no parameters by channel",
                        y->name);
    return qzi_check_moves(n);
}

static qz_status shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    *out = in[0];
    out->h = in[1].h;
    out->w = in[1].w;
    if (in[1].n != in[0].n)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: reads %d images and the size of %d",
                        n->node->name, in[0].n, in[1].n);
    return QZ_OK;
}

/* ---- scratch of a thread: bilinear's columns, then a blended row ---- */

static size_t taps_bytes(const qzi_op_run *r)
{
    return QZI_ROUND_UP((size_t)r->out.w * sizeof(qzk_resize_tap), (size_t)QZI_ALIGN);
}

static size_t scratch(const qzi_op_run *r)
{
    if (qzi_resize_moves(r->node, &r->in[0], &r->out))
        return 0;
    const size_t row = (size_t)r->in[0].w * (size_t)qzi_pixel_stride(r->node->dtype, r->out.c);
    return taps_bytes(r) + row * sizeof(float);
}

/* ---- rows ---- */

static char *row_of(const qzi_op_run *r, const qzk_view *view, int64_t row)
{
    return (char *)view->data +
           (size_t)(row * view->w * view->pixel_stride) * qz_dtype_size(r->node->dtype);
}

static void move_row(const qzi_op_run *r, int64_t row)
{
    const qzk_view *x = &r->in[0], *y = &r->out;
    const size_t size = qz_dtype_size(r->node->dtype), bytes = (size_t)y->c * size;
    const size_t x_step = (size_t)x->pixel_stride * size, y_step = (size_t)y->pixel_stride * size;
    const int32_t at = qzi_resize_nearest((int32_t)(row % y->h), x->h, y->h);
    const char *from = row_of(r, x, row / y->h * x->h + at);
    char *to = row_of(r, y, row);
    for (int32_t ox = 0; ox < y->w; ox++, to += y_step)
        memcpy(to, from + (size_t)qzi_resize_nearest(ox, x->w, y->w) * x_step, bytes);
}

static void blend_rows(const qzi_op_run *r, int64_t image, const qzi_resize_blend *b,
                       float *blended)
{
    const qzk_view *x = &r->in[0];
    const bool u8 = r->node->dtype == QZ_U8;
    const int64_t stride = qzi_pixel_stride(r->node->dtype, x->c);
    const char *first = row_of(r, x, image * x->h + b->first);
    const char *second = row_of(r, x, image * x->h + b->second);
    const bool whole = x->pixel_stride == stride; /* a row is one run */
    const size_t n = (size_t)(whole ? x->w * stride : x->c);
    for (int32_t ix = 0; ix < (whole ? 1 : x->w); ix++, blended += stride) {
        const int64_t at = ix * x->pixel_stride;
        if (u8)
            r->kernels->u8_blend((const uint8_t *)first + at, (const uint8_t *)second + at,
                                 r->node->q.zero_point, b->w_first, b->w_second, blended, n);
        else
            r->kernels->f32_blend((const float *)(const void *)first + at,
                                  (const float *)(const void *)second + at, b->w_first, b->w_second,
                                  blended, n);
    }
}

static void make_taps(const qzi_op_run *r, qzk_resize_tap *taps)
{
    const int64_t stride = qzi_pixel_stride(r->node->dtype, r->out.c);
    for (int32_t ox = 0; ox < r->out.w; ox++) {
        const qzi_resize_blend b = qzi_resize_blend_of(ox, r->in[0].w, r->out.w);
        taps[ox] = (qzk_resize_tap){b.first * stride, b.second * stride, b.w_first, b.w_second};
    }
}

static void run_rows(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const qzi_op_run *r = arg;
    const qzk_view *y = &r->out;
    if (qzi_resize_moves(r->node, &r->in[0], &r->out)) {
        for (int64_t row = begin; row < end; row++)
            move_row(r, row);
        return;
    }
    char *mine = (char *)r->scratch + thread * r->scratch_stride;
    qzk_resize_tap *taps = (qzk_resize_tap *)(void *)mine;
    float *blended = (float *)(void *)(mine + taps_bytes(r));
    make_taps(r, taps);
    for (int64_t row = begin; row < end; row++) {
        const qzi_resize_blend b = qzi_resize_blend_of((int32_t)(row % y->h), r->in[0].h, y->h);
        const qzk_resize_row columns = {.x = blended,
                                        .y = row_of(r, y, row),
                                        .taps = taps,
                                        .pixels = (size_t)y->w,
                                        .c = (size_t)y->c,
                                        .y_stride = y->pixel_stride};
        blend_rows(r, row / y->h, &b, blended);
        if (r->node->dtype == QZ_U8)
            r->kernels->u8_resize_row(&columns, r->node->q.zero_point);
        else
            r->kernels->f32_resize_row(&columns);
    }
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    const int64_t cost = 4 * (int64_t)y->w * y->c * (int64_t)qz_dtype_size(r->node->dtype);
    qzi_op_run copy = *r;
    qzi_parallel(r->ctx, r->threads, (int64_t)y->n * y->h,
                 QZI_MAX(65536 / QZI_MAX(cost, (int64_t)1), (int64_t)1), run_rows, &copy);
}

const qzi_op_class qzi_op_resize2d = {
    .op = QZI_OP_RESIZE2D,
    .validate = validate,
    .shape = shape,
    .scratch = scratch,
    .run = run,
    .reads_channel_q = true,
    .writes_channel_q = true,
};
