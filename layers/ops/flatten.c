/* SPDX-License-Identifier: MIT */
/*
 * flatten.c - an image to features. Flattening a 1x1 image moves nothing; a larger one goes from
 * NHWC to torch's feature order (c, h, w).
 */
#include "layers/ops/by_channel.h"

/* The channel of the image that feature c is of. */
static int32_t channel_of(const qzi_op_node *n, int32_t c)
{
    return c / (n->node->c / n->inputs[0]->c);
}

static qz_status validate(const qzi_op_node *n)
{
    if (n->node->c % n->inputs[0]->c != 0)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: its features are no planes of its input",
                        n->node->name);
    return qzi_check_moved(n, channel_of);
}

static qz_status shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    if ((int64_t)in->h * in->w * in->c != n->node->c)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: %d features expected, the image gives %lld",
                        n->node->name, n->node->c, (long long)in->h * in->w * in->c);
    *out = (qzi_shape){.n = in->n, .h = 1, .w = 1, .c = n->node->c};
    return QZ_OK;
}

static void run(const qzi_op_run *r)
{
    const qzk_view *x = &r->in[0], *y = &r->out;
    int64_t plane = (int64_t)x->h * x->w;
    for (int64_t image = 0; image < x->n; image++) {
        if (r->node->dtype == QZ_F32) {
            r->kernels->f32_nhwc_to_nchw((const float *)x->data + image * plane * x->pixel_stride,
                                         x->pixel_stride, (size_t)x->c, (size_t)plane,
                                         (float *)y->data + image * y->pixel_stride, plane);
            continue;
        }
        const uint8_t *px = (const uint8_t *)x->data + image * plane * x->pixel_stride;
        uint8_t *py = (uint8_t *)y->data + image * y->pixel_stride;
        for (int64_t p = 0; p < plane; p++)
            for (int32_t c = 0; c < x->c; c++)
                py[c * plane + p] = px[p * x->pixel_stride + c];
    }
}

const qzi_op_class qzi_op_flatten = {
    .op = QZI_OP_FLATTEN,
    .validate = validate,
    .shape = shape,
    .run = run,
    .alias = true, /* where the image is 1x1 */
    .reads_channel_q = true,
    .writes_channel_q = true,
};
