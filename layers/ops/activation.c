/* SPDX-License-Identifier: MIT */
/* activation.c - a stand-alone ReLU or ReLU6. In int8 it keeps its input's parameters. */
#include "layers/ops/ops.h"

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    if (y->c != x->c || y->dtype != x->dtype || y->act == QZ_ACT_NONE)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: input and output differ", y->name);
    if (y->dtype == QZ_U8 &&
        (y->q.scale != x->q.scale || y->q.zero_point != x->q.zero_point || !(y->q.scale > 0.0f)))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: must share its input's scale", y->name);
    return QZ_OK;
}

static qz_status shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    (void)n;
    *out = *in;
    return QZ_OK;
}

static void run_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzi_node *node = r->node;
    const qzk_view *x = &r->in[0], *y = &r->out;
    size_t c = (size_t)x->c, pixels = (size_t)(end - begin);
    if (x->pixel_stride == y->pixel_stride && x->pixel_stride == (int64_t)c) {
        c *= pixels; /* dense: one run */
        pixels = 1;
    }
    if (node->dtype == QZ_U8) {
        int32_t lo, hi;
        qzi_act_range_u8(node->act, &node->q, &lo, &hi);
        const uint8_t *px = (const uint8_t *)x->data + begin * x->pixel_stride;
        uint8_t *py = (uint8_t *)y->data + begin * y->pixel_stride;
        for (; pixels; pixels--, px += x->pixel_stride, py += y->pixel_stride)
            r->kernels->u8_clamp(px, py, c, (uint8_t)lo, (uint8_t)hi);
    } else {
        float lo, hi;
        qzi_act_range_f32(node->act, &lo, &hi);
        const float *px = (const float *)x->data + begin * x->pixel_stride;
        float *py = (float *)y->data + begin * y->pixel_stride;
        for (; pixels; pixels--, px += x->pixel_stride, py += y->pixel_stride)
            r->kernels->f32_clamp(px, py, c, lo, hi);
    }
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w,
                   2 * (int64_t)y->c * (int64_t)qz_dtype_size(r->node->dtype), run_pixels);
}

const qzi_op_class qzi_op_activation = {
    .op = QZI_OP_ACTIVATION,
    .validate = validate,
    .shape = shape,
    .run = run,
    .in_place = true,
};
