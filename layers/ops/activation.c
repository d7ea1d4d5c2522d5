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

/* By channel, of a function: rows of x_mult, x_shift, mult, shift. */
static qz_status pack(const qzi_op_node *n, const qzk_kernels *kernels, qzi_packed_node *packed)
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    (void)kernels;
    packed->bytes =
        qzi_by_channel(n) && !qzi_act_is_clamp(y->act) ? qzi_channel_rows_bytes(y->c, 4) : 0;
    if (!packed->blob || packed->bytes == 0)
        return QZ_OK;
    float *x_mult = qzi_channel_row(packed->blob, y->c, 0);
    float *x_shift = qzi_channel_row(packed->blob, y->c, 1);
    float *mult = qzi_channel_row(packed->blob, y->c, 2);
    float *shift = qzi_channel_row(packed->blob, y->c, 3);
    for (int32_t c = 0; c < y->c; c++) {
        x_mult[c] = qzi_q_scale(x, c);
        x_shift[c] = -((float)qzi_q_zero(x, c) * x_mult[c]);
        mult[c] = 1.0f / (qzk_act_divisor(y->act) * qzi_q_scale(y, c));
        shift[c] = (float)qzi_q_zero(y, c);
        /* no function is larger than 6 or 6 times its argument */
        const float most = 6.0f * QZI_MAX(255.0f * x_mult[c], 1.0f);
        QZI_TRY(qzi_channel_term(n, packed->blob, c, most));
        QZI_TRY(qzi_channel_term(n, packed->blob, c, most * mult[c]));
    }
    qzi_channel_rows_wrap(packed->blob, y->c, 4);
    return QZ_OK;
}

static void apply_function(const qzi_op_run *r, qzk_region region)
{
    const qzk_view *x = &r->in[0], *y = &r->out;
    const qzk_act_channels_params p = {
        .act = r->node->act,
        .x_mult = qzi_channel_row_of(r, 0, region.channel),
        .x_shift = qzi_channel_row_of(r, 1, region.channel),
        .mult = qzi_channel_row_of(r, 2, region.channel),
        .shift = qzi_channel_row_of(r, 3, region.channel),
        .wide = qzi_channel_wide(r->packed->blob),
    };
    r->kernels->u8_act_channels(QZI_ROWS(uint8_t, x, y, region), &p);
}

static void apply(const qzi_op_run *r, qzk_region region)
{
    const qzi_node *node = r->node;
    const qzk_view *x = &r->in[0], *y = &r->out;
    size_t c = (size_t)region.channels, pixels = (size_t)region.count;
    if (qzi_run_by_channel(r) && !qzi_act_is_clamp(node->act)) {
        apply_function(r, region);
        return;
    }
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
    .pack = pack,
    .run = run,
    .apply = apply,
    .in_place = true,
    .reads_channel_q = true,
    .writes_channel_q = true,
};
