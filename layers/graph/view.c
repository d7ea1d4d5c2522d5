/* SPDX-License-Identifier: MIT */
/*
 * view.c - a value as the caller reads it: dense NCHW floats.
 *
 * Pixels are taken in blocks that stay in the first cache while each channel is written as one run.
 */
#include "layers/graph/exec.h"

#define BLOCK 256 /* pixels */

typedef struct view_task {
    const qzk_view *view;
    const float *table;             /* the float of each byte; NULL: the view holds floats */
    const qzi_channel_q *channel_q; /* in place of the table; NULL: none */
    float *out;
    uint8_t *bytes; /* NULL: not asked for */
    int64_t blocks; /* of an image */
} view_task;

/* `count` pixels of one channel. */
static void copy_f32(const float *x, int64_t stride, int64_t count, float *out)
{
    for (int64_t p = 0; p < count; p++)
        out[p] = x[p * stride];
}

static void copy_u8(const uint8_t *x, int64_t stride, int64_t count, const float table[256],
                    float *out)
{
    for (int64_t p = 0; p < count; p++)
        out[p] = table[x[p * stride]];
}

static void copy_scaled(const uint8_t *x, int64_t stride, int64_t count, int32_t zero_point,
                        float scale, float *out)
{
    for (int64_t p = 0; p < count; p++)
        out[p] = (float)(x[p * stride] - zero_point) * scale;
}

static void copy_bytes(const uint8_t *x, int64_t stride, int64_t count, uint8_t *out)
{
    for (int64_t p = 0; p < count; p++)
        out[p] = x[p * stride];
}

static void copy_blocks(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const view_task *t = arg;
    const qzk_view *view = t->view;
    const int64_t plane = (int64_t)view->h * view->w, stride = view->pixel_stride;
    (void)thread;
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t image = unit / t->blocks, first = unit % t->blocks * BLOCK;
        const int64_t count = QZI_MIN(plane - first, (int64_t)BLOCK);
        const int64_t from = (image * plane + first) * stride;
        for (int32_t c = 0; c < view->c; c++) {
            const int64_t to = (image * view->c + c) * plane + first;
            const uint8_t *u8 = (const uint8_t *)view->data + from + c;
            if (t->channel_q)
                copy_scaled(u8, stride, count, t->channel_q->zero_point[c], t->channel_q->scale[c],
                            t->out + to);
            else if (t->table)
                copy_u8(u8, stride, count, t->table, t->out + to);
            else
                copy_f32((const float *)view->data + from + c, stride, count, t->out + to);
            if (t->bytes)
                copy_bytes(u8, stride, count, t->bytes + to);
        }
    }
}

void qzi_view_to_nchw(const qz_context *ctx, uint32_t threads, const qzi_node *node,
                      const qzk_view *view, float *out, uint8_t *bytes)
{
    const int64_t plane = (int64_t)view->h * view->w;
    float table[256];
    view_task task = {.view = view, .channel_q = node->channel_q, .out = out, .bytes = bytes};
    task.blocks = QZI_DIV_UP(plane, BLOCK);
    qzi_fpenv env = qzi_fpenv_enter();
    for (int32_t i = 0; i < 256 && node->dtype == QZ_U8; i++) {
        table[i] = (float)(i - node->q.zero_point) * node->q.scale;
        task.table = table;
    }
    qzi_fpenv_leave(env);
    qzi_parallel(ctx, threads, view->n * task.blocks, QZI_MAX(65536 / (BLOCK * view->c), 1),
                 copy_blocks, &task);
}
