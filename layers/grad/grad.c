/* SPDX-License-Identifier: MIT */
/* grad.c - functions that the backward of several ops share. */
#include "layers/grad/grad.h"

#include <string.h>

/* Memory traffic that is worth another thread. */
#define GRAIN_BYTES 32768

typedef struct pixels_task {
    const qzi_grad_run *r;
    qzi_grad_pixels_fn fn;
} pixels_task;

static void run_pixels(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const pixels_task *task = arg;
    (void)thread;
    task->fn(task->r, begin, end);
}

void qzi_grad_pixels(const qzi_grad_run *r, int64_t pixels, int64_t bytes, qzi_grad_pixels_fn fn)
{
    pixels_task task = {r, fn};
    const int64_t grain = GRAIN_BYTES / QZI_MAX(bytes, (int64_t)1);
    qzi_parallel(r->ctx, r->threads, pixels, QZI_MAX(grain, (int64_t)1), run_pixels, &task);
}

/* ---- elements ---- */

typedef struct elements_task {
    const qzi_grad_run *r;
    const qzk_view *v;
    qzi_grad_elements_fn fn;
} elements_task;

static void run_elements(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const elements_task *task = arg;
    const qzk_view *dy = &task->r->dy, *dx = &task->r->dx[0], *v = task->v ? task->v : dy;
    const bool dense =
        dy->pixel_stride == dy->c && dx->pixel_stride == dy->c && v->pixel_stride == dy->c;
    const int64_t step = dense ? end - begin : 1;
    (void)thread;
    for (int64_t p = begin; p < end; p += step)
        task->fn(task->r, qzi_view_at(dy, p), qzi_view_at(v, p), qzi_view_at(dx, p),
                 (size_t)(step * dy->c));
}

void qzi_grad_elements(const qzi_grad_run *r, const qzk_view *v, qzi_grad_elements_fn fn)
{
    elements_task task = {r, v, fn};
    const int64_t grain = GRAIN_BYTES / (12 * (int64_t)r->dy.c);
    qzi_parallel(r->ctx, r->threads, qzi_view_pixels(&r->dy), QZI_MAX(grain, (int64_t)1),
                 run_elements, &task);
}

/* ---- sums by channel ---- */

typedef struct sums_task {
    const qzi_grad_run *r;
    const qzk_view *a, *b;
    double *blocks; /* [block][2][c] */
} sums_task;

static int64_t blocks_of(const qzk_view *v)
{
    return QZI_DIV_UP(qzi_view_pixels(v), QZK_SUM_PIXELS);
}

size_t qzi_grad_sums_bytes(const qzk_view *a)
{
    return QZI_ROUND_UP((size_t)(blocks_of(a) + 1) * 2 * (size_t)a->c * sizeof(double),
                        (size_t)QZI_ALIGN);
}

static void sum_blocks(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const sums_task *task = arg;
    const qzk_view *a = task->a, *b = task->b;
    const int64_t pixels = qzi_view_pixels(a);
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        const int64_t first = i * QZK_SUM_PIXELS;
        const size_t count = (size_t)QZI_MIN(pixels - first, (int64_t)QZK_SUM_PIXELS);
        double *sum = task->blocks + i * 2 * a->c;
        if (b) {
            task->r->grad->f32_channel_products(qzi_view_at(a, first), a->pixel_stride,
                                                qzi_view_at(b, first), b->pixel_stride, count,
                                                (size_t)a->c, sum, sum + a->c);
            continue;
        }
        const qzk_rows rows = {.x = qzi_view_at(a, first),
                               .pixels = count,
                               .c = (size_t)a->c,
                               .x_stride = a->pixel_stride};
        task->r->kernels->f32_channel_sums(&rows, sum, sum + a->c);
    }
}

const double *qzi_grad_sums(const qzi_grad_run *r, const qzk_view *a, const qzk_view *b, void *room)
{
    const int64_t blocks = blocks_of(a), c = 2 * (int64_t)a->c;
    double *all = room;
    sums_task task = {r, a, b, all + c};
    qzi_parallel(r->ctx, r->threads, blocks, QZI_MAX(GRAIN_BYTES / (4096 * (int64_t)a->c), 1),
                 sum_blocks, &task);
    memset(all, 0, (size_t)c * sizeof(*all));
    for (int64_t b_index = 0; b_index < blocks; b_index++)
        for (int64_t k = 0; k < c; k++)
            all[k] += task.blocks[b_index * c + k];
    return all;
}

/* ---- images ---- */

typedef struct images_task {
    const qzi_grad_run *r;
    qzi_grad_image_fn fn;
    int32_t parts, channels;
} images_task;

static void run_images(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const images_task *task = arg;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        const int32_t channel = (int32_t)(i % task->parts) * QZI_GRAD_PART;
        task->fn(task->r, (int32_t)(i / task->parts), channel,
                 QZI_MIN(task->channels - channel, QZI_GRAD_PART));
    }
}

void qzi_grad_images(const qzi_grad_run *r, const qzk_view *v, qzi_grad_image_fn fn)
{
    images_task task = {r, fn, QZI_DIV_UP(v->c, QZI_GRAD_PART), v->c};
    qzi_parallel(r->ctx, r->threads, (int64_t)v->n * task.parts, 1, run_images, &task);
}

void qzi_grad_clear(const qzk_view *v, int32_t image, int32_t channel, int32_t channels)
{
    const int64_t pixels = (int64_t)v->h * v->w;
    for (int64_t p = 0; p < pixels; p++)
        memset(qzi_view_at(v, image * pixels + p) + channel, 0, (size_t)channels * sizeof(float));
}

/* ---- the fused clamp ---- */

typedef struct clamp_task {
    const qzi_grad_run *r;
    const qzk_view *dy;
    float lo, hi;
} clamp_task;

static void clamp_pixels(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const clamp_task *task = arg;
    const qzk_view *dy = task->dy, *y = &task->r->y;
    const bool dense = dy->pixel_stride == dy->c && y->pixel_stride == y->c;
    const int64_t step = dense ? end - begin : 1;
    (void)thread;
    for (int64_t p = begin; p < end; p += step)
        task->r->grad->f32_mask(qzi_view_at(dy, p), qzi_view_at(y, p), qzi_view_at(dy, p),
                                (size_t)(step * dy->c), task->lo, task->hi);
}

void qzi_grad_clamp(const qzi_grad_run *r, const qzk_view *dy, qz_activation act)
{
    clamp_task task = {.r = r, .dy = dy};
    qzi_act_range_f32(act, &task.lo, &task.hi);
    const int64_t grain = GRAIN_BYTES / (12 * (int64_t)dy->c);
    qzi_parallel(r->ctx, r->threads, qzi_view_pixels(dy), QZI_MAX(grain, (int64_t)1), clamp_pixels,
                 &task);
}
