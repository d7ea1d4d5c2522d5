/* SPDX-License-Identifier: MIT */
/* channel_shuffle.c - channel i of group g becomes channel i * groups + g (ShuffleNet). */
#include "layers/ops/by_channel.h"

static int32_t channel_of(const qzi_op_node *n, int32_t c)
{
    const int32_t groups = n->node->u.shuffle.groups;
    return c % groups * (n->node->c / groups) + c / groups;
}

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    if (y->c != x->c || y->u.shuffle.groups < 1 || y->c % y->u.shuffle.groups != 0)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: channels do not divide into groups", y->name);
    return qzi_check_moved(n, channel_of);
}

static qz_status shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    *out = *in;
    out->c = n->node->c;
    return QZ_OK;
}

static void shuffle_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzk_view *x = &r->in[0], *y = &r->out;
    size_t pixels = (size_t)(end - begin), c = (size_t)y->c;
    size_t groups = (size_t)r->node->u.shuffle.groups;
    if (r->node->dtype == QZ_U8)
        r->kernels->u8_shuffle(&(qzk_rows){(const uint8_t *)x->data + begin * x->pixel_stride,
                                           (uint8_t *)y->data + begin * y->pixel_stride, pixels, c,
                                           x->pixel_stride, y->pixel_stride},
                               groups);
    else
        r->kernels->f32_shuffle(&(qzk_rows){(const float *)x->data + begin * x->pixel_stride,
                                            (float *)y->data + begin * y->pixel_stride, pixels, c,
                                            x->pixel_stride, y->pixel_stride},
                                groups);
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w,
                   2 * (int64_t)y->c * (int64_t)qz_dtype_size(r->node->dtype), shuffle_pixels);
}

const qzi_op_class qzi_op_channel_shuffle = {
    .op = QZI_OP_CHANNEL_SHUFFLE,
    .validate = validate,
    .shape = shape,
    .run = run,
    .reads_channel_q = true,
    .writes_channel_q = true,
};
