/* SPDX-License-Identifier: MIT */
/*
 * quantize.c - where precisions meet: the graph's input (NCHW float to NHWC float or uint8), and
 * quantize and dequantize nodes at the borders of islands.
 */
#include "layers/ops/ops.h"

static qz_status shape_same(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    (void)n;
    *out = *in;
    return QZ_OK;
}

static qz_status validate_input(const qzi_op_node *n)
{
    if (n->node->c < 1 || n->node->in_count != 0)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: an input needs channels", n->node->name);
    if (n->node->dtype == QZ_U8 && !(n->node->q.scale > 0.0f))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: int8 without a scale", n->node->name);
    return QZ_OK;
}

static void run_input_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
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

static void run_input(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w, 8 * (int64_t)y->c, run_input_pixels);
}

static qz_status validate_border(const qzi_op_node *n)
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    const qzi_node *u8 = y->op == QZI_OP_QUANTIZE ? y : x;
    const qzi_node *f32 = y->op == QZI_OP_QUANTIZE ? x : y;
    if (x->c != y->c || u8->dtype != QZ_U8 || f32->dtype != QZ_F32 || !(u8->q.scale > 0.0f))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: joins the wrong types", y->name);
    return QZ_OK;
}

static void run_border_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzk_view *x = &r->in[0], *y = &r->out;
    size_t c = (size_t)x->c, pixels = (size_t)(end - begin);
    const char *px = (const char *)x->data +
                     (size_t)(begin * x->pixel_stride) * qz_dtype_size(r->inputs[0]->dtype);
    char *py = (char *)y->data + (size_t)(begin * y->pixel_stride) * qz_dtype_size(r->node->dtype);
    size_t step_x = (size_t)x->pixel_stride * qz_dtype_size(r->inputs[0]->dtype);
    size_t step_y = (size_t)y->pixel_stride * qz_dtype_size(r->node->dtype);
    if (x->pixel_stride == (int64_t)c && y->pixel_stride == (int64_t)c) {
        c *= pixels;
        pixels = 1;
    }
    for (; pixels; pixels--, px += step_x, py += step_y) {
        if (r->node->op == QZI_OP_QUANTIZE)
            r->kernels->quantize((const float *)(const void *)px, (uint8_t *)py, c,
                                 1.0f / r->node->q.scale, r->node->q.zero_point);
        else
            r->kernels->dequantize((const uint8_t *)px, (float *)(void *)py, c,
                                   r->inputs[0]->q.scale, r->inputs[0]->q.zero_point);
    }
}

static void run_border(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w, 5 * (int64_t)y->c, run_border_pixels);
}

const qzi_op_class qzi_op_input = {
    .op = QZI_OP_INPUT,
    .validate = validate_input,
    .shape = shape_same,
    .run = run_input,
};

const qzi_op_class qzi_op_quantize = {
    .op = QZI_OP_QUANTIZE,
    .validate = validate_border,
    .shape = shape_same,
    .run = run_border,
};

const qzi_op_class qzi_op_dequantize = {
    .op = QZI_OP_DEQUANTIZE,
    .validate = validate_border,
    .shape = shape_same,
    .run = run_border,
};
