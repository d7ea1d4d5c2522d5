/* SPDX-License-Identifier: MIT */
/* l2_norm.c - divides each pixel by the L2 norm of its channels, then a factor for each channel. */
#include "layers/ops/ops.h"

static qz_status validate(const qzi_op_node *n)
{
    QZI_TRY(qzi_check_alike(n));
    return qzi_check_scales(n);
}

/* The blob is scale[c]; in int8 divided by the output's scale. */
static qz_status pack(const qzi_op_node *n, const qzk_kernels *kernels, qzi_packed_node *packed)
{
    const qzi_node *node = n->node;
    const size_t c = (size_t)node->c;
    (void)kernels;
    QZI_TRY(qzi_check_loaded(n, QZI_P_WEIGHT));
    packed->bytes = c * sizeof(float);
    if (!packed->blob)
        return QZ_OK;
    const float *weight = n->params[QZI_P_WEIGHT]->data;
    float *scale = packed->blob;
    for (size_t i = 0; i < c; i++)
        scale[i] = node->dtype == QZ_U8 ? weight[i] / node->q.scale : weight[i];
    return QZ_OK;
}

static void run_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzi_node *node = r->node;
    const qzk_region part = {.first = begin, .count = end - begin, .channels = node->c};
    const qzk_view *x = &r->in[0], *y = &r->out;
    const float *scale = r->packed->blob;
    if (node->dtype == QZ_U8) {
        const qzi_qparams *qx = &r->inputs[0]->q;
        const int32_t zp = node->q.zero_point;
        const qzk_l2_norm_params p = {
            .x_scale = qx->scale,
            .x_zp = qx->zero_point,
            .y_zp = zp,
            .lo = (float)-zp,
            .hi = (float)(255 - zp),
        };
        r->kernels->u8_l2_norm(QZI_ROWS(uint8_t, x, y, part), scale, &p);
    } else {
        r->kernels->f32_l2_norm(QZI_ROWS(float, x, y, part), scale);
    }
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w, 4 * (int64_t)y->c, run_pixels);
}

const qzi_op_class qzi_op_l2_norm = {
    .op = QZI_OP_L2_NORM,
    .validate = validate,
    .shape = qzi_shape_kept,
    .pack = pack,
    .run = run,
    .in_place = true,
};
