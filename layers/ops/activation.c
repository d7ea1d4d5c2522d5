/* SPDX-License-Identifier: MIT */
/*
 * activation.c - a stand-alone activation. In int8 ReLU and ReLU6 keep their input's parameters;
 * the others are a table from byte to byte.
 */
#include "layers/ops/by_channel.h"

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *y = n->node;
    QZI_TRY(qzi_check_alike(n));
    if (y->act <= QZ_ACT_NONE || y->act >= QZ_ACT_COUNT)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: has no function", y->name);
    if (y->dtype != QZ_U8)
        return QZ_OK;
    QZI_TRY(qzi_check_scales(n));
    if (qzi_act_is_clamp(y->act)) {
        QZI_TRY(qzi_check_range(n));
        return qzi_check_moves(n);
    }
    if (!qzi_by_channel(n) && !y->tables)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: int8 without a table", y->name);
    return QZ_OK;
}

void qzi_act_f32(const qzk_kernels *kernels, qz_activation act, const float *x, float *y, size_t n)
{
    float lo, hi;
    switch (act) {
    case QZ_ACT_HARDSWISH:
        kernels->f32_hardswish(x, y, n);
        break;
    case QZ_ACT_HARDSIGMOID:
        kernels->f32_hardsigmoid(x, y, n);
        break;
    case QZ_ACT_SIGMOID:
        kernels->f32_sigmoid(x, y, n);
        break;
    case QZ_ACT_SILU:
        kernels->f32_silu(x, y, n);
        break;
    case QZ_ACT_GELU:
        kernels->f32_gelu(x, y, n);
        break;
    case QZ_ACT_LEAKY_RELU:
        kernels->f32_leaky_relu(x, y, n);
        break;
    case QZ_ACT_MISH:
        kernels->f32_mish(x, y, n);
        break;
    case QZ_ACT_NONE:
    case QZ_ACT_RELU:
    case QZ_ACT_RELU6:
    case QZ_ACT_COUNT:
        qzi_act_range_f32(act, &lo, &hi);
        kernels->f32_clamp(x, y, n, lo, hi);
        break;
    }
}

void qzi_act_table(qz_activation act, qzi_qparams x, qzi_qparams y, uint8_t table[256])
{
    uint8_t bytes[256];
    float values[256];
    qzk_kernels kernels; /* the reference's; all bundles compute the same */
    const qzi_fpenv env = qzi_fpenv_enter();
    qzk_init(&kernels, QZ_ISA_REF);
    for (size_t i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    kernels.dequantize(bytes, values, 256, x.scale, x.zero_point);
    qzi_act_f32(&kernels, act, values, values, 256);
    kernels.quantize(values, table, 256, 1.0f / y.scale, y.zero_point);
    qzi_fpenv_leave(env);
}

static void apply(const qzi_op_run *r, qzk_region region)
{
    const qzi_node *node = r->node;
    const qzk_view *x = &r->in[0], *y = &r->out;
    size_t c = (size_t)region.channels, pixels = (size_t)region.count;
    if (x->pixel_stride == y->pixel_stride && x->pixel_stride == (int64_t)c) {
        c *= pixels; /* dense: one run */
        pixels = 1;
    }
    if (node->dtype == QZ_U8) {
        const bool clamp = qzi_act_is_clamp(node->act);
        int32_t lo, hi;
        qzi_act_range_channels(node, &lo, &hi);
        const uint8_t *px = QZI_AT(uint8_t, x, region);
        uint8_t *py = QZI_AT(uint8_t, y, region);
        for (; pixels; pixels--, px += x->pixel_stride, py += y->pixel_stride) {
            if (clamp)
                r->kernels->u8_clamp(px, py, c, (uint8_t)lo, (uint8_t)hi);
            else
                r->kernels->u8_lut(px, py, c, node->tables);
        }
    } else {
        const float *px = QZI_AT(float, x, region);
        float *py = QZI_AT(float, y, region);
        for (; pixels; pixels--, px += x->pixel_stride, py += y->pixel_stride)
            qzi_act_f32(r->kernels, node->act, px, py, c);
    }
}

static void run(const qzi_op_run *r)
{
    qzi_run_elements(r, 2 * (int64_t)qz_dtype_size(r->node->dtype));
}

const qzi_op_class qzi_op_activation = {
    .op = QZI_OP_ACTIVATION,
    .validate = validate,
    .shape = qzi_shape_kept,
    .run = run,
    .apply = apply,
    .in_place = true,
    .reads_channel_q = true,
    .writes_channel_q = true,
};
