/* SPDX-License-Identifier: MIT */
/* input.c - the graph's input: NCHW float to NHWC float or uint8, or the bytes of an image. */
#include "layers/ops/ops.h"

#include <string.h>

static qz_status validate(const qzi_op_node *n)
{
    if (n->node->c < 1 || n->node->in_count != 0)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: an input needs channels", n->node->name);
    if (n->node->dtype == QZ_U8 && !(n->node->q.scale > 0.0f))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: int8 without a scale", n->node->name);
    return QZ_OK;
}

static void input_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzi_node *node = r->node;
    const qzk_view *y = &r->out;
    int64_t plane = (int64_t)y->h * y->w;
    size_t c = (size_t)y->c;
    while (begin < end) {
        int64_t image = begin / plane, first = begin % plane;
        int64_t count = QZI_MIN(end - begin, plane - first);
        const float *x = (const float *)r->external->tensor->data + image * plane * y->c + first;
        if (node->dtype == QZ_U8)
            r->kernels->quantize_nchw(x, plane, c, (size_t)count,
                                      (uint8_t *)y->data + begin * y->pixel_stride, y->pixel_stride,
                                      1.0f / node->q.scale, node->q.zero_point);
        else
            r->kernels->f32_nchw_to_nhwc(x, plane, c, (size_t)count,
                                         (float *)y->data + begin * y->pixel_stride,
                                         y->pixel_stride);
        begin += count;
    }
}

/* One row of pixels from column `from` to `to`, 4 bytes apart; row NULL is black. */
static void image_row(const qzi_byte_image *image, const uint8_t *row, int32_t from, int32_t to,
                      uint8_t *out)
{
    const uint8_t black[3] = {image->table[0][0], image->table[1][0], image->table[2][0]};
    const int32_t begin = row ? QZI_MIN(QZI_MAX(image->left, from), to) : to;
    const int32_t end = row ? QZI_MIN(QZI_MAX(image->left + image->columns, begin), to) : to;
    const uint8_t *pixel = row ? row + 3 * (size_t)(begin - image->left) : NULL;
    for (int32_t x = from; x < begin; x++, out += QZK_CEIL4(3))
        memcpy(out, black, 3);
    for (int32_t x = begin; x < end; x++, out += QZK_CEIL4(3), pixel += 3) {
        out[0] = image->table[0][pixel[0]];
        out[1] = image->table[1][pixel[1]];
        out[2] = image->table[2][pixel[2]];
    }
    for (int32_t x = end; x < to; x++, out += QZK_CEIL4(3))
        memcpy(out, black, 3);
}

static void image_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzi_byte_image *image = r->external->image;
    uint8_t *out = (uint8_t *)r->out.data + begin * r->out.pixel_stride;
    while (begin < end) {
        const int32_t y = (int32_t)(begin / image->w), from = (int32_t)(begin % image->w);
        const int32_t to = (int32_t)QZI_MIN((int64_t)image->w, from + (end - begin));
        const int32_t line = y - image->top;
        const bool inside = line >= 0 && line < image->rows_in;
        image_row(image, inside ? image->rows + (size_t)line * image->stride : NULL, from, to, out);
        out += (int64_t)(to - from) * r->out.pixel_stride;
        begin += to - from;
    }
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    const qzi_exec_input *external = r->external;
    if (external->fill) {
        external->fill(external->user, r->ctx, r->node, y, r->threads);
        return;
    }
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w, 8 * (int64_t)y->c,
                   external->image ? image_pixels : input_pixels);
}

const qzi_op_class qzi_op_input = {
    .op = QZI_OP_INPUT,
    .validate = validate,
    .shape = qzi_shape_kept,
    .run = run,
};
