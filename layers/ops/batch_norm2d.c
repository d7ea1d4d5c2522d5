/* SPDX-License-Identifier: MIT */
/* batch_norm2d.c - batch norm in eval mode that no convolution absorbed, float and int8. */
#include "layers/ops/by_channel.h"

#include <math.h>

static qz_status validate(const qzi_op_node *n)
{
    QZI_TRY(qzi_check_alike(n));
    if (!(n->node->u.bn.eps >= 0.0f))
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: eps must not be negative", n->node->name);
    QZI_TRY(qzi_check_range(n));
    return qzi_check_scales(n);
}

/* The blob is scale[c] and shift[c] of CONTRACT.md; rows of them by channel. */
static qz_status pack(const qzi_op_node *n, const qzk_kernels *kernels, qzi_packed_node *packed)
{
    const qzi_node *node = n->node;
    size_t c = (size_t)node->c;
    (void)kernels;
    QZI_TRY(qzi_check_loaded(n, QZI_P_VAR));
    const float *gamma = n->params[QZI_P_WEIGHT]->data, *beta = n->params[QZI_P_BIAS]->data;
    const float *mean = n->params[QZI_P_MEAN]->data, *var = n->params[QZI_P_VAR]->data;
    const bool by_channel = qzi_by_channel(n);
    packed->bytes = by_channel ? qzi_channel_rows_bytes(node->c, 2) : 2 * c * sizeof(float);
    if (!packed->blob)
        return QZ_OK;
    float *scale = by_channel ? qzi_channel_row(packed->blob, node->c, 0) : packed->blob;
    float *shift = by_channel ? qzi_channel_row(packed->blob, node->c, 1) : scale + c;
    for (size_t i = 0; i < c; i++) {
        scale[i] = gamma[i] * qzi_rsqrtf(var[i] + node->u.bn.eps);
        shift[i] = beta[i] - mean[i] * scale[i];
        if (node->dtype == QZ_U8 && !by_channel) {
            scale[i] = (n->inputs[0]->q.scale * scale[i]) / node->q.scale;
            shift[i] = shift[i] / node->q.scale;
        }
    }
    return by_channel ? qzi_channel_affine(n, packed->blob) : QZ_OK;
}

static void apply(const qzi_op_run *r, qzk_region region)
{
    const qzi_node *node = r->node;
    const qzk_view *x = &r->in[0], *y = &r->out;
    const float *scale = (const float *)r->packed->blob + region.channel;
    const float *shift = scale + node->c;
    const size_t pixels = (size_t)region.count, c = (size_t)region.channels;
    if (qzi_run_by_channel(r)) {
        qzi_channel_affine_apply(r, region);
        return;
    }
    if (node->dtype == QZ_U8) {
        int32_t lo, hi, zp = node->q.zero_point;
        qzi_act_range_u8(node->act, &node->q, &lo, &hi);
        r->kernels->u8_affine(QZI_ROWS(uint8_t, x, y, region),
                              &(qzk_affine_params){scale, shift, r->inputs[0]->q.zero_point, zp,
                                                   (float)(lo - zp), (float)(hi - zp)});
        return;
    }
    float *py = QZI_AT(float, y, region);
    r->kernels->f32_affine(QZI_ROWS(float, x, y, region), scale, shift);
    if (node->act != QZ_ACT_NONE) {
        float lo, hi;
        qzi_act_range_f32(node->act, &lo, &hi);
        for (size_t p = 0; p < pixels; p++, py += y->pixel_stride)
            r->kernels->f32_clamp(py, py, c, lo, hi);
    }
}

static void run(const qzi_op_run *r)
{
    qzi_run_elements(r, 8);
}

const qzi_op_class qzi_op_batch_norm2d = {
    .op = QZI_OP_BATCH_NORM2D,
    .validate = validate,
    .shape = qzi_shape_kept,
    .pack = pack,
    .run = run,
    .apply = apply,
    .in_place = true,
    .reads_channel_q = true,
    .writes_channel_q = true,
};
