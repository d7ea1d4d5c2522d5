/* SPDX-License-Identifier: MIT */
/*
 * onnx_qoperator.c - int8 as integer ops on bytes: ONNX's own, com.microsoft's where ONNX has none,
 * and the float form between DequantizeLinear and QuantizeLinear where neither has one.
 */
#include "quant/channels.h"
#include "zoo/onnx/onnx_emit.h"

/* What an integer op knows of a value. */
typedef struct bytes {
    const char *x, *scale, *zero_point;
} bytes;

static bytes bytes_of(qzi_onnx_emit *e, qz_value value)
{
    const char *x = qzi_onnx_want(e, value, QZI_ONNX_U8);
    return (bytes){x, qzi_onnx_scale(e, value), qzi_onnx_zero_point(e, value)};
}

static bool same_parameters(const qzi_node *a, const qzi_node *b)
{
    return a->q.scale == b->q.scale && a->q.zero_point == b->q.zero_point;
}

/* ---- ops with parameters of their own ---- */

static void conv_or_linear(qzi_onnx_emit *e, qz_value value, const char *out)
{
    const qzi_node *node = &e->graph->nodes[value];
    const qzi_onnx_weights w = qzi_onnx_int8_weights(e, node);
    const bytes x = bytes_of(e, node->in[0]);
    const char *scale = qzi_onnx_scale(e, value), *zero_point = qzi_onnx_zero_point(e, value);
    if (node->op == QZI_OP_LINEAR && node->flat) {
        QziOnnx__NodeProto *made =
            QZI_ONNX_NODE(&e->doc, "com.microsoft.QGemm", node->name, out, x.x, x.scale,
                          x.zero_point, w.w, w.scale, w.zero_point, w.bias, scale, zero_point);
        qzi_onnx_attr_int(&e->doc, made, "transB", 1);
        return;
    }
    qzi_onnx_conv_attrs(e, node,
                        QZI_ONNX_NODE(&e->doc, "QLinearConv", node->name, out, x.x, x.scale,
                                      x.zero_point, w.w, w.scale, w.zero_point, scale, zero_point,
                                      w.bias));
}

static void two_inputs(qzi_onnx_emit *e, qz_value value, const char *op, const char *out)
{
    const qzi_node *node = &e->graph->nodes[value];
    const bytes a = bytes_of(e, node->in[0]), b = bytes_of(e, node->in[1]);
    const char *scale = qzi_onnx_scale(e, value), *zero_point = qzi_onnx_zero_point(e, value);
    QZI_ONNX_NODE(&e->doc, op, node->name, out, a.x, a.scale, a.zero_point, b.x, b.scale,
                  b.zero_point, scale, zero_point);
}

static QziOnnx__NodeProto *one_input(qzi_onnx_emit *e, qz_value value, const char *op,
                                     const char *out)
{
    const qzi_node *node = &e->graph->nodes[value];
    const bytes x = bytes_of(e, node->in[0]);
    const char *scale = qzi_onnx_scale(e, value), *zero_point = qzi_onnx_zero_point(e, value);
    return QZI_ONNX_NODE(&e->doc, op, node->name, out, x.x, x.scale, x.zero_point, scale,
                         zero_point);
}

static void concat(qzi_onnx_emit *e, qz_value value, const char *out)
{
    const qzi_node *node = &e->graph->nodes[value];
    const char **in = qzi_onnx_alloc(&e->doc, 2 + 3 * node->in_count, sizeof(*in));
    if (!in)
        return;
    in[0] = qzi_onnx_scale(e, value);
    in[1] = qzi_onnx_zero_point(e, value);
    for (size_t i = 0; i < node->in_count; i++) {
        const bytes x = bytes_of(e, node->in[i]);
        in[2 + 3 * i] = x.x;
        in[3 + 3 * i] = x.scale;
        in[4 + 3 * i] = x.zero_point;
    }
    QziOnnx__NodeProto *made = qzi_onnx_node(&e->doc, "com.microsoft.QLinearConcat", node->name,
                                             out, in, 2 + 3 * node->in_count);
    qzi_onnx_attr_int(&e->doc, made, "axis", 1);
}

/* ---- ops on bytes whatever they mean ---- */

/* Ops that reorder or choose bytes of their input: float's own forms take bytes. */
static bool moves_bytes(const qzi_onnx_emit *e, const qzi_node *node)
{
    if (node->op != QZI_OP_CONCAT || node->channel_q) /* joined: it has its inputs' parameters */
        return qzi_channels_moved(node);
    for (size_t i = 0; i < node->in_count; i++)
        if (!same_parameters(&e->graph->nodes[node->in[i]], node))
            return false;
    return true;
}

static void clip(qzi_onnx_emit *e, const char *name, const char *in, int32_t lo, int32_t hi,
                 const char *out)
{
    const uint8_t low = (uint8_t)lo, high = (uint8_t)hi;
    const char *min =
        qzi_onnx_numbers(&e->doc, qzi_onnx_text(&e->doc, "%s_min", name), QZ_U8, 0, &low, 1);
    const char *max =
        qzi_onnx_numbers(&e->doc, qzi_onnx_text(&e->doc, "%s_max", name), QZ_U8, 0, &high, 1);
    QZI_ONNX_NODE(&e->doc, "Clip", name, out, in, min, max);
}

/* ---- nodes ---- */

/* Whether there is an integer form, written to `out`. */
static bool integer_form(qzi_onnx_emit *e, qz_value value, const char *out)
{
    const qzi_node *node = &e->graph->nodes[value];
    int64_t pads[4];
    if (qzi_onnx_by_channel(e, value))
        return false;
    switch (node->op) {
    case QZI_OP_CONV2D:
    case QZI_OP_LINEAR:
        conv_or_linear(e, value, out);
        return true;
    case QZI_OP_ADD:
        two_inputs(e, value, "com.microsoft.QLinearAdd", out);
        return true;
    case QZI_OP_MUL:
        two_inputs(e, value, "com.microsoft.QLinearMul", out);
        return true;
    case QZI_OP_CONCAT:
        concat(e, value, out);
        return true;
    case QZI_OP_AVG_POOL2D:
        if (!qzi_onnx_pool_pads(e, value, pads))
            return false;
        qzi_onnx_pool_attrs(e, node, one_input(e, value, "com.microsoft.QLinearAveragePool", out),
                            pads);
        return true;
    case QZI_OP_ADAPTIVE_AVG_POOL2D:
        if (node->u.adaptive.out_h != 1 || node->u.adaptive.out_w != 1)
            return false;
        qzi_onnx_attr_int(&e->doc,
                          one_input(e, value, "com.microsoft.QLinearGlobalAveragePool", out),
                          "channels_last", 0);
        return true;
    case QZI_OP_ACTIVATION:
        if (node->act != QZ_ACT_SIGMOID)
            return false;
        one_input(e, value, "com.microsoft.QLinearSigmoid", out);
        return true;
    default:
        return false;
    }
}

/* The clamp of a node of its own, or the one left behind an integer op. */
static qz_status with_clamp(qzi_onnx_emit *e, qz_value value)
{
    const qzi_node *node = &e->graph->nodes[value];
    int32_t lo, hi;
    const bool clamps = qzi_onnx_clamp_range(node, &lo, &hi);
    if (node->op == QZI_OP_ACTIVATION && qzi_act_is_clamp(node->act)) {
        const char *in = qzi_onnx_want(e, node->in[0], QZI_ONNX_U8);
        clip(e, node->name, in, lo, hi, qzi_onnx_give(e, value, QZI_ONNX_U8));
        return e->doc.status;
    }
    if (!clamps)
        return integer_form(e, value, qzi_onnx_text(&e->doc, "%s_quantized", node->name))
                   ? (qzi_onnx_give(e, value, QZI_ONNX_U8), e->doc.status)
                   : qzi_onnx_through_float(e, value);
    const char *wide = qzi_onnx_text(&e->doc, "%s_unclamped", node->name);
    if (!integer_form(e, value, wide))
        return qzi_onnx_through_float(e, value);
    clip(e, qzi_onnx_text(&e->doc, "%s_clamp", node->name), wide, lo, hi,
         qzi_onnx_give(e, value, QZI_ONNX_U8));
    return e->doc.status;
}

qz_status qzi_onnx_qoperator_op(qzi_onnx_emit *e, qz_value value)
{
    const qzi_node *node = &e->graph->nodes[value];
    if (node->op == QZI_OP_QUANTIZE || node->op == QZI_OP_INPUT)
        return qzi_onnx_qdq_op(e, value); /* the border is the same */
    if (!moves_bytes(e, node))
        return with_clamp(e, value);
    const qzi_onnx_call call = {.value = value,
                                .in = qzi_onnx_want_inputs(e, node, QZI_ONNX_U8),
                                .out = qzi_onnx_give(e, value, QZI_ONNX_U8)};
    return qzi_onnx_float_op(e, &call);
}
