/* SPDX-License-Identifier: MIT */
/* quantize.c - quantize and dequantize nodes, at the borders of float islands. */
#include "layers/ops/ops.h"

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    const qzi_node *u8 = y->op == QZI_OP_QUANTIZE ? y : x;
    const qzi_node *f32 = y->op == QZI_OP_QUANTIZE ? x : y;
    if (x->c != y->c || u8->dtype != QZ_U8 || f32->dtype != QZ_F32 || !(u8->q.scale > 0.0f))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: joins the wrong types", y->name);
    return QZ_OK;
}

static void border_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
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

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w, 5 * (int64_t)y->c, border_pixels);
}

const qzi_op_class qzi_op_quantize = {
    .op = QZI_OP_QUANTIZE,
    .validate = validate,
    .shape = qzi_shape_kept,
    .run = run,
};

const qzi_op_class qzi_op_dequantize = {
    .op = QZI_OP_DEQUANTIZE,
    .validate = validate,
    .shape = qzi_shape_kept,
    .run = run,
};
