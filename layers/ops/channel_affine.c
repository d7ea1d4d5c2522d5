/* SPDX-License-Identifier: MIT */
/*
 * channel_affine.c - a factor for each channel that is a parameter (layer scale), or a factor and
 * an offset that are constants (transform_input).
 */
#include "layers/ops/by_channel.h"

#include <string.h>

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *y = n->node;
    QZI_TRY(qzi_check_alike(n));
    if (y->op == QZI_OP_CHANNEL_AFFINE && !y->constants)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: has no constants", y->name);
    return qzi_check_scales(n);
}

/* The blob is scale[c] and shift[c]; in int8 the scale from x - zp to y, the shift in steps of y.
 * By channel they are rows.
 */
static qz_status pack(const qzi_op_node *n, const qzk_kernels *kernels, qzi_packed_node *packed)
{
    const qzi_node *node = n->node;
    size_t c = (size_t)node->c;
    (void)kernels;
    if (node->op == QZI_OP_LAYER_SCALE)
        QZI_TRY(qzi_check_loaded(n, QZI_P_WEIGHT));
    const bool by_channel = qzi_by_channel(n);
    packed->bytes = by_channel ? qzi_channel_rows_bytes(node->c, 2) : 2 * c * sizeof(float);
    if (!packed->blob)
        return QZ_OK;
    float *scale = by_channel ? qzi_channel_row(packed->blob, node->c, 0) : packed->blob;
    float *shift = by_channel ? qzi_channel_row(packed->blob, node->c, 1) : scale + c;
    if (node->op == QZI_OP_LAYER_SCALE) {
        memcpy(scale, n->params[QZI_P_WEIGHT]->data, c * sizeof(float));
        memset(shift, 0, c * sizeof(float));
    } else {
        memcpy(scale, node->constants, c * sizeof(float));
        memcpy(shift, node->constants + c, c * sizeof(float));
    }
    if (by_channel)
        return qzi_channel_affine(n, packed->blob);
    for (size_t i = 0; i < c && node->dtype == QZ_U8; i++) {
        scale[i] = (n->inputs[0]->q.scale * scale[i]) / node->q.scale;
        shift[i] = shift[i] / node->q.scale;
    }
    return QZ_OK;
}

static void apply(const qzi_op_run *r, qzk_region region)
{
    const qzi_node *node = r->node;
    const qzk_view *x = &r->in[0], *y = &r->out;
    const float *scale = (const float *)r->packed->blob + region.channel;
    const float *shift = scale + node->c;
    if (qzi_run_by_channel(r)) {
        qzi_channel_affine_apply(r, region);
    } else if (node->dtype == QZ_U8) {
        const int32_t zp = node->q.zero_point;
        r->kernels->u8_affine(QZI_ROWS(uint8_t, x, y, region),
                              &(qzk_affine_params){scale, shift, r->inputs[0]->q.zero_point, zp,
                                                   (float)-zp, (float)(255 - zp)});
    } else if (node->op == QZI_OP_LAYER_SCALE) {
        r->kernels->f32_mul_channels(QZI_ROWS(float, x, y, region), scale);
    } else {
        r->kernels->f32_affine(QZI_ROWS(float, x, y, region), scale, shift);
    }
}

static void run(const qzi_op_run *r)
{
    qzi_run_elements(r, 2 * (int64_t)qz_dtype_size(r->node->dtype));
}

const qzi_op_class qzi_op_layer_scale = {
    .op = QZI_OP_LAYER_SCALE,
    .validate = validate,
    .shape = qzi_shape_kept,
    .pack = pack,
    .run = run,
    .apply = apply,
    .in_place = true,
    .reads_channel_q = true,
    .writes_channel_q = true,
};

const qzi_op_class qzi_op_channel_affine = {
    .op = QZI_OP_CHANNEL_AFFINE,
    .validate = validate,
    .shape = qzi_shape_kept,
    .pack = pack,
    .run = run,
    .apply = apply,
    .in_place = true,
    .reads_channel_q = true,
    .writes_channel_q = true,
};
