/* SPDX-License-Identifier: MIT */
/*
 * taps.c - sums of a convolution's input at each tap.
 *
 * Rows first: for each row of the input and each column of the kernel the sum over the row, shared
 * among threads. Then the rows that each row of the kernel meets, in order.
 */
#include "quant/refine/taps.h"

#include <string.h>

/* Output place o meets input o * stride - pad + k * dil. */
static qzi_tap_range gather(int32_t stride, int32_t pad, int32_t offset, int32_t in, int32_t out)
{
    const int64_t least = (int64_t)pad - offset, most = (int64_t)in - 1 + least;
    const int64_t first = least > 0 ? QZI_DIV_UP(least, stride) : 0;
    const int64_t last = most < 0 ? -1 : QZI_MIN(most / stride, (int64_t)out - 1);
    if (last < first)
        return (qzi_tap_range){0, 1, 0};
    return (qzi_tap_range){(int32_t)(first * stride - least), stride, (int32_t)(last - first + 1)};
}

/* A transposed convolution: input i meets output i * stride - pad + k * dil. */
static qzi_tap_range scatter(int32_t stride, int32_t pad, int32_t offset, int32_t in, int32_t out)
{
    const qzi_tap_range inverse = gather(stride, pad, offset, out, in);
    const int64_t least = (int64_t)pad - offset;
    const int64_t first = least > 0 ? QZI_DIV_UP(least, stride) : 0;
    return (qzi_tap_range){(int32_t)first, 1, inverse.count};
}

static qzi_tap_range along(const qzi_node *node, int32_t stride, int32_t pad, int32_t offset,
                           int32_t in, int32_t out)
{
    return node->op == QZI_OP_CONV_TRANSPOSE2D ? scatter(stride, pad, offset, in, out)
                                               : gather(stride, pad, offset, in, out);
}

qzi_tap_range qzi_tap_rows(const qzi_node *node, int32_t k, int32_t in, int32_t out)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    return along(node, a->stride_h, a->pad_h, k * a->dil_h, in, out);
}

qzi_tap_range qzi_tap_columns(const qzi_node *node, int32_t k, int32_t in, int32_t out)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    return along(node, a->stride_w, a->pad_w, k * a->dil_w, in, out);
}

typedef struct rows_task {
    const qzk_view *in;
    const qzi_tap_range *columns; /* [kw] */
    int32_t kw;
    double *real; /* [n * h][kw][c], or bytes */
    uint32_t *bytes;
} rows_task;

static void sum_rows_f32(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const rows_task *t = arg;
    const int64_t c = t->in->c, w = t->in->w;
    (void)thread;
    for (int64_t row = begin; row < end; row++)
        for (int32_t k = 0; k < t->kw; k++) {
            double *restrict sums = t->real + (row * t->kw + k) * c;
            memset(sums, 0, (size_t)c * sizeof(*sums));
            for (int32_t i = 0; i < t->columns[k].count; i++) {
                const int64_t x = row * w + t->columns[k].first + (int64_t)i * t->columns[k].step;
                const float *restrict from = (const float *)t->in->data + x * t->in->pixel_stride;
                for (int64_t j = 0; j < c; j++)
                    sums[j] += (double)from[j];
            }
        }
}

static void sum_rows_u8(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const rows_task *t = arg;
    const int64_t c = t->in->c, w = t->in->w;
    (void)thread;
    for (int64_t row = begin; row < end; row++)
        for (int32_t k = 0; k < t->kw; k++) {
            uint32_t *restrict sums = t->bytes + (row * t->kw + k) * c;
            memset(sums, 0, (size_t)c * sizeof(*sums));
            for (int32_t i = 0; i < t->columns[k].count; i++) {
                const int64_t x = row * w + t->columns[k].first + (int64_t)i * t->columns[k].step;
                const uint8_t *restrict from =
                    (const uint8_t *)t->in->data + x * t->in->pixel_stride;
                for (int64_t j = 0; j < c; j++)
                    sums[j] += from[j];
            }
        }
}

/* Row i of those that a row of the kernel meets, over all images. */
static size_t row_at(const qzk_view *in, qzi_tap_range rows, int64_t i)
{
    return (size_t)(i / rows.count * in->h + rows.first + i % rows.count * rows.step);
}

static qz_status begin_rows(const qz_context *ctx, const qzi_node *node, const qzk_view *in,
                            int32_t ow, size_t item, rows_task *task, qzi_tap_range **columns,
                            void **sums)
{
    const int32_t kw = node->u.conv.kw;
    const size_t rows = (size_t)in->n * (size_t)in->h;
    *columns = qzi_alloc(ctx, (size_t)kw * sizeof(**columns));
    *sums = qzi_alloc(ctx, rows * (size_t)kw * (size_t)in->c * item);
    *task = (rows_task){.in = in, .columns = *columns, .kw = kw};
    if (!*columns || !*sums)
        return QZ_ERR_MEMORY;
    for (int32_t k = 0; k < kw; k++)
        (*columns)[k] = qzi_tap_columns(node, k, in->w, ow);
    return QZ_OK;
}

static int64_t grain_of(const qzk_view *in, int32_t kw)
{
    return QZI_MAX(1, 32768 / ((int64_t)in->w * in->c * kw + 1));
}

qz_status qzi_taps_add_f32(const qz_context *ctx, uint32_t threads, const qzi_node *node,
                           const qzk_view *in, int32_t oh, int32_t ow, double *sums)
{
    qzi_tap_range *columns;
    rows_task task;
    void *rows_sums;
    const qz_status st = begin_rows(ctx, node, in, ow, sizeof(double), &task, &columns, &rows_sums);
    if (st == QZ_OK) {
        const size_t width = (size_t)task.kw * (size_t)in->c;
        task.real = rows_sums;
        qzi_parallel(ctx, threads, (int64_t)in->n * in->h, grain_of(in, task.kw), sum_rows_f32,
                     &task);
        for (int32_t k = 0; k < node->u.conv.kh; k++) {
            const qzi_tap_range rows = qzi_tap_rows(node, k, in->h, oh);
            double *to = sums + (size_t)k * width;
            for (int64_t i = 0; i < (int64_t)in->n * rows.count; i++) {
                const double *from = task.real + row_at(in, rows, i) * width;
                for (size_t j = 0; j < width; j++)
                    to[j] += from[j];
            }
        }
    }
    qzi_free(ctx, columns);
    qzi_free(ctx, rows_sums);
    return st;
}

qz_status qzi_taps_add_u8(const qz_context *ctx, uint32_t threads, const qzi_node *node,
                          const qzk_view *in, int32_t oh, int32_t ow, int64_t *sums,
                          int64_t *places)
{
    qzi_tap_range *columns;
    rows_task task;
    void *rows_sums;
    const qz_status st =
        begin_rows(ctx, node, in, ow, sizeof(uint32_t), &task, &columns, &rows_sums);
    if (st == QZ_OK) {
        const size_t width = (size_t)task.kw * (size_t)in->c;
        task.bytes = rows_sums;
        qzi_parallel(ctx, threads, (int64_t)in->n * in->h, grain_of(in, task.kw), sum_rows_u8,
                     &task);
        for (int32_t k = 0; k < node->u.conv.kh; k++) {
            const qzi_tap_range rows = qzi_tap_rows(node, k, in->h, oh);
            const int64_t count = (int64_t)in->n * rows.count;
            int64_t *to = sums + (size_t)k * width;
            for (int64_t i = 0; i < count; i++) {
                const uint32_t *from = task.bytes + row_at(in, rows, i) * width;
                for (size_t j = 0; j < width; j++)
                    to[j] += from[j];
            }
            for (int32_t kc = 0; kc < task.kw; kc++)
                places[k * task.kw + kc] += count * columns[kc].count;
        }
    }
    qzi_free(ctx, columns);
    qzi_free(ctx, rows_sums);
    return st;
}
