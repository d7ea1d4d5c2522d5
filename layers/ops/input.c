/* SPDX-License-Identifier: MIT */
/* input.c - the graph's input: NCHW float to NHWC float or uint8. */
#include "layers/ops/ops.h"

static qz_status shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    (void)n;
    *out = *in;
    return QZ_OK;
}

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
        const float *x = (const float *)r->external->data + image * plane * y->c + first;
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

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w, 8 * (int64_t)y->c, input_pixels);
}

const qzi_op_class qzi_op_input = {
    .op = QZI_OP_INPUT,
    .validate = validate,
    .shape = shape,
    .run = run,
};
