/* SPDX-License-Identifier: MIT */
/*
 * onnx_float.c - the float form of each op. What an operator set does not have yet is written in
 * parts: HardSwish (14), LayerNormalization (17), Mish (18), Gelu (20).
 */
#include "zoo/onnx/onnx_emit.h"

#include <string.h>

/* ---- activations ---- */

/* x * g(x), where g(x) has the name `gate`. */
static void gated(qzi_onnx_emit *e, const char *name, const char *in, const char *gate,
                  const char *out)
{
    QZI_ONNX_NODE(&e->doc, "Mul", name, out, in, gate);
}

static void hard_sigmoid(qzi_onnx_emit *e, const char *name, const char *in, const char *out)
{
    QziOnnx__NodeProto *node = QZI_ONNX_NODE(&e->doc, "HardSigmoid", name, out, in);
    qzi_onnx_attr_float(&e->doc, node, "alpha", 1.0f / 6.0f);
    qzi_onnx_attr_float(&e->doc, node, "beta", 0.5f);
}

/* x * (erf(x / sqrt(2)) + 1) / 2, in the nodes that PyTorch writes: runtimes know the pattern */
static void gelu(qzi_onnx_emit *e, const char *name, const char *in, const char *out)
{
    qzi_onnx_doc *doc = &e->doc;
    if (e->options->opset >= 20) {
        QZI_ONNX_NODE(doc, "Gelu", name, out, in);
        return;
    }
    const char *root = qzi_onnx_number(e, name, "sqrt_two", 1.41421356237309504880f);
    const char *one = qzi_onnx_number(e, name, "one", 1.0f);
    const char *half = qzi_onnx_number(e, name, "half", 0.5f);
    const char *scaled = qzi_onnx_text(doc, "%s_scaled", name);
    const char *erf = qzi_onnx_text(doc, "%s_erf", name);
    const char *plus = qzi_onnx_text(doc, "%s_erf_plus_one", name);
    const char *twice = qzi_onnx_text(doc, "%s_twice", name);
    QZI_ONNX_NODE(doc, "Div", scaled, scaled, in, root);
    QZI_ONNX_NODE(doc, "Erf", erf, erf, scaled);
    QZI_ONNX_NODE(doc, "Add", plus, plus, erf, one);
    QZI_ONNX_NODE(doc, "Mul", twice, twice, in, plus);
    QZI_ONNX_NODE(doc, "Mul", name, out, twice, half);
}

static void leaky_relu(qzi_onnx_emit *e, const char *name, const char *in, const char *out)
{
    QziOnnx__NodeProto *node = QZI_ONNX_NODE(&e->doc, "LeakyRelu", name, out, in);
    qzi_onnx_attr_float(&e->doc, node, "alpha", 0.1f);
}

/* x * tanh(softplus(x)) */
static void mish(qzi_onnx_emit *e, const char *name, const char *in, const char *out)
{
    qzi_onnx_doc *doc = &e->doc;
    if (e->options->opset >= 18) {
        QZI_ONNX_NODE(doc, "Mish", name, out, in);
        return;
    }
    const char *soft = qzi_onnx_text(doc, "%s_softplus", name);
    const char *gate = qzi_onnx_text(doc, "%s_gate", name);
    QZI_ONNX_NODE(doc, "Softplus", soft, soft, in);
    QZI_ONNX_NODE(doc, "Tanh", gate, gate, soft);
    gated(e, name, in, gate, out);
}

/* `name` is that of the node, and the root of the names of its parts. */
static void activation(qzi_onnx_emit *e, qz_activation act, const char *name, const char *in,
                       const char *out)
{
    qzi_onnx_doc *doc = &e->doc;
    const char *gate = qzi_onnx_text(doc, "%s_gate", name);
    switch (act) {
    case QZ_ACT_RELU:
        QZI_ONNX_NODE(doc, "Relu", name, out, in);
        break;
    case QZ_ACT_RELU6: {
        const char *lo = qzi_onnx_number(e, name, "min", 0.0f);
        const char *hi = qzi_onnx_number(e, name, "max", 6.0f);
        QZI_ONNX_NODE(doc, "Clip", name, out, in, lo, hi);
        break;
    }
    case QZ_ACT_HARDSIGMOID:
        hard_sigmoid(e, name, in, out);
        break;
    case QZ_ACT_HARDSWISH:
        if (e->options->opset >= 14) {
            QZI_ONNX_NODE(doc, "HardSwish", name, out, in);
            break;
        }
        hard_sigmoid(e, gate, in, gate);
        gated(e, name, in, gate, out);
        break;
    case QZ_ACT_SIGMOID:
        QZI_ONNX_NODE(doc, "Sigmoid", name, out, in);
        break;
    case QZ_ACT_SILU:
        QZI_ONNX_NODE(doc, "Sigmoid", gate, gate, in);
        gated(e, name, in, gate, out);
        break;
    case QZ_ACT_GELU:
        gelu(e, name, in, out);
        break;
    case QZ_ACT_LEAKY_RELU:
        leaky_relu(e, name, in, out);
        break;
    case QZ_ACT_MISH:
        mish(e, name, in, out);
        break;
    case QZ_ACT_NONE:
    case QZ_ACT_COUNT:
        QZI_ONNX_NODE(doc, "Identity", name, out, in);
        break;
    }
}

/* ---- convolution, linear ---- */

static void conv_or_linear(qzi_onnx_emit *e, const qzi_onnx_call *call, const char *out)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    const qzi_conv2d_attr *a = &node->u.conv;
    const int64_t dims[4] = {a->oc, a->ic / a->groups, a->kh, a->kw};
    const bool gemm = node->op == QZI_OP_LINEAR && node->flat;
    const char *in[3] = {call->in[0], call->weight, call->bias};
    if (!in[1]) {
        in[1] = qzi_onnx_param(e, node, QZI_P_WEIGHT, gemm ? 2 : 4, dims);
        in[2] = qzi_onnx_param(e, node, QZI_P_BIAS, 1, dims);
    }
    QziOnnx__NodeProto *made = qzi_onnx_node(&e->doc, gemm ? "Gemm" : "Conv", node->name, out, in,
                                             in[2][0] != '\0' ? 3 : 2);
    if (gemm)
        qzi_onnx_attr_int(&e->doc, made, "transB", 1);
    else
        qzi_onnx_conv_attrs(e, node, made);
}

/* ---- norms ---- */

static void batch_norm(qzi_onnx_emit *e, const qzi_onnx_call *call, const char *out)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    const char *scale = qzi_onnx_param(e, node, QZI_P_WEIGHT, 0, NULL);
    const char *bias = qzi_onnx_param(e, node, QZI_P_BIAS, 0, NULL);
    const char *mean = qzi_onnx_param(e, node, QZI_P_MEAN, 0, NULL);
    const char *var = qzi_onnx_param(e, node, QZI_P_VAR, 0, NULL);
    QziOnnx__NodeProto *made = QZI_ONNX_NODE(&e->doc, "BatchNormalization", node->name, out,
                                             call->in[0], scale, bias, mean, var);
    qzi_onnx_attr_float(&e->doc, made, "epsilon", node->u.bn.eps);
}

/* Over channels, which are not last: transposed there and back. */
static void layer_norm_whole(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    static const int64_t to_last[4] = {0, 2, 3, 1}, to_first[4] = {0, 3, 1, 2};
    qzi_onnx_doc *doc = &e->doc;
    const qzi_node *node = &e->graph->nodes[call->value];
    const char *in = call->in[0], *out = call->out;
    const char *scale = qzi_onnx_param(e, node, QZI_P_WEIGHT, 0, NULL);
    const char *bias = qzi_onnx_param(e, node, QZI_P_BIAS, 0, NULL);
    QziOnnx__NodeProto *made;
    if (!node->flat) {
        in = qzi_onnx_text(doc, "%s_channels_last", node->name);
        out = qzi_onnx_text(doc, "%s_normalized", node->name);
        made = QZI_ONNX_NODE(doc, "Transpose", in, in, call->in[0]);
        qzi_onnx_attr_ints(doc, made, "perm", to_last, 4);
    }
    made = QZI_ONNX_NODE(doc, "LayerNormalization", node->name, out, in, scale, bias);
    qzi_onnx_attr_int(doc, made, "axis", -1);
    qzi_onnx_attr_float(doc, made, "epsilon", node->u.bn.eps);
    if (!node->flat) {
        made = QZI_ONNX_NODE(doc, "Transpose", qzi_onnx_text(doc, "%s_channels_first", node->name),
                             call->out, out);
        qzi_onnx_attr_ints(doc, made, "perm", to_first, 4);
    }
}

static const char *mean_of(qzi_onnx_emit *e, const char *name, const char *part, const char *in)
{
    static const int64_t channels[1] = {1};
    const char *out = qzi_onnx_text(&e->doc, "%s_%s", name, part);
    QziOnnx__NodeProto *made = QZI_ONNX_NODE(&e->doc, "ReduceMean", out, out, in);
    qzi_onnx_attr_ints(&e->doc, made, "axes", channels, 1);
    qzi_onnx_attr_int(&e->doc, made, "keepdims", 1);
    return out;
}

static const char *part_of(qzi_onnx_emit *e, const char *op, const char *name, const char *part,
                           const char *a, const char *b)
{
    const char *out = qzi_onnx_text(&e->doc, "%s_%s", name, part);
    const char *const in[2] = {a, b};
    qzi_onnx_node(&e->doc, op, out, out, in, b ? 2 : 1);
    return out;
}

static void layer_norm(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    const char *name = node->name;
    const int64_t dims[3] = {node->c, 1, 1};
    if (e->options->opset >= 17) {
        layer_norm_whole(e, call);
        return;
    }
    const int32_t ndim = node->flat ? 1 : 3;
    const char *scale = qzi_onnx_param(e, node, QZI_P_WEIGHT, ndim, dims);
    const char *bias = qzi_onnx_param(e, node, QZI_P_BIAS, ndim, dims);
    const char *eps = qzi_onnx_number(e, name, "epsilon", node->u.bn.eps);
    const char *mean = mean_of(e, name, "mean", call->in[0]);
    const char *d = part_of(e, "Sub", name, "centred", call->in[0], mean);
    const char *square = part_of(e, "Mul", name, "square", d, d);
    const char *var = mean_of(e, name, "variance", square);
    const char *shifted = part_of(e, "Add", name, "variance_epsilon", var, eps);
    const char *root = part_of(e, "Sqrt", name, "deviation", shifted, NULL);
    const char *normal = part_of(e, "Div", name, "normalized", d, root);
    const char *scaled = part_of(e, "Mul", name, "scaled", normal, scale);
    QZI_ONNX_NODE(&e->doc, "Add", name, call->out, scaled, bias);
}

/* ---- one factor or term for each channel ---- */

static void layer_scale(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    const int64_t dims[3] = {node->c, 1, 1};
    const char *scale = qzi_onnx_param(e, node, QZI_P_WEIGHT, 3, dims);
    QZI_ONNX_NODE(&e->doc, "Mul", node->name, call->out, call->in[0], scale);
}

static void channel_affine(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    const int64_t dims[3] = {node->c, 1, 1};
    const char *scale = qzi_onnx_floats(e, qzi_onnx_text(&e->doc, "%s_factor", node->name), 3, dims,
                                        node->constants);
    const char *shift = qzi_onnx_floats(e, qzi_onnx_text(&e->doc, "%s_shift", node->name), 3, dims,
                                        node->constants + node->c);
    const char *scaled = part_of(e, "Mul", node->name, "scaled", call->in[0], scale);
    QZI_ONNX_NODE(&e->doc, "Add", node->name, call->out, scaled, shift);
}

/* ---- ops that move values ---- */

static void pick(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    int64_t *channels = qzi_calloc(e->graph->ctx, (size_t)node->c, sizeof(*channels));
    if (!channels) {
        e->doc.status = QZ_ERR_MEMORY;
        return;
    }
    for (int32_t c = 0; c < node->c; c++)
        channels[c] = qzi_slice_channel(node, c);
    const char *indices = qzi_onnx_row(e, node->name, "channels", channels, (size_t)node->c);
    qzi_onnx_attr_int(&e->doc,
                      QZI_ONNX_NODE(&e->doc, "Gather", node->name, call->out, call->in[0], indices),
                      "axis", 1);
    qzi_free(e->graph->ctx, channels);
}

static void slice(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    if (node->u.slice.period > 0) {
        pick(e, call);
        return;
    }
    const int64_t first = node->u.slice.first, end = first + node->c, axis = 1;
    const char *starts = qzi_onnx_row(e, node->name, "starts", &first, 1);
    const char *ends = qzi_onnx_row(e, node->name, "ends", &end, 1);
    const char *axes = qzi_onnx_row(e, node->name, "axes", &axis, 1);
    QZI_ONNX_NODE(&e->doc, "Slice", node->name, call->out, call->in[0], starts, ends, axes);
}

static void channel_shuffle(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    static const int64_t swapped[5] = {0, 2, 1, 3, 4};
    qzi_onnx_doc *doc = &e->doc;
    const qzi_node *node = &e->graph->nodes[call->value];
    const qzi_shape *s = &e->shapes[call->value];
    const int64_t groups = node->u.shuffle.groups;
    /* 0: as it was */
    const int64_t apart[5] = {0, groups, node->c / groups, s->h, s->w};
    const int64_t together[4] = {0, node->c, s->h, s->w};
    const char *apart_shape = qzi_onnx_row(e, node->name, "groups_shape", apart, 5);
    const char *together_shape = qzi_onnx_row(e, node->name, "shape", together, 4);
    const char *grouped = part_of(e, "Reshape", node->name, "groups", call->in[0], apart_shape);
    const char *turned = qzi_onnx_text(doc, "%s_swapped", node->name);
    QziOnnx__NodeProto *made = QZI_ONNX_NODE(doc, "Transpose", turned, turned, grouped);
    qzi_onnx_attr_ints(doc, made, "perm", swapped, 5);
    QZI_ONNX_NODE(doc, "Reshape", node->name, call->out, turned, together_shape);
}

bool qzi_onnx_is_alias(const qzi_node *node)
{
    return node->op == QZI_OP_DROPOUT || node->op == QZI_OP_STOCHASTIC_DEPTH;
}

/* ---- all of them ---- */

/* The op alone, without a fused activation. */
static qz_status plain_op(qzi_onnx_emit *e, const qzi_onnx_call *call, const char *out)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    QziOnnx__NodeProto *made;
    switch (node->op) {
    case QZI_OP_CONV2D:
    case QZI_OP_LINEAR:
        conv_or_linear(e, call, out);
        return QZ_OK;
    case QZI_OP_BATCH_NORM2D:
        batch_norm(e, call, out);
        return QZ_OK;
    case QZI_OP_CONV_TRANSPOSE2D:
        qzi_onnx_conv_transpose(e, call, out);
        return QZ_OK;
    case QZI_OP_GROUP_NORM:
        qzi_onnx_group_norm(e, call, out);
        return QZ_OK;
    case QZI_OP_L2_NORM:
        qzi_onnx_l2_norm(e, call, out);
        return QZ_OK;
    case QZI_OP_LAYER_NORM:
        layer_norm(e, call);
        return QZ_OK;
    case QZI_OP_LAYER_SCALE:
        layer_scale(e, call);
        return QZ_OK;
    case QZI_OP_CHANNEL_AFFINE:
        channel_affine(e, call);
        return QZ_OK;
    case QZI_OP_ACTIVATION:
        activation(e, node->act, node->name, call->in[0], out);
        return QZ_OK;
    case QZI_OP_MAX_POOL2D:
        return qzi_onnx_max_pool(e, call);
    case QZI_OP_AVG_POOL2D:
        return qzi_onnx_avg_pool(e, call);
    case QZI_OP_ADAPTIVE_AVG_POOL2D:
        return qzi_onnx_adaptive_pool(e, call);
    case QZI_OP_FLATTEN:
        made = QZI_ONNX_NODE(&e->doc, "Flatten", node->name, out, call->in[0]);
        qzi_onnx_attr_int(&e->doc, made, "axis", 1);
        return QZ_OK;
    case QZI_OP_ADD:
        QZI_ONNX_NODE(&e->doc, "Add", node->name, out, call->in[0], call->in[1]);
        return QZ_OK;
    case QZI_OP_MUL:
        QZI_ONNX_NODE(&e->doc, "Mul", node->name, out, call->in[0], call->in[1]);
        return QZ_OK;
    case QZI_OP_CONCAT:
        made = qzi_onnx_node(&e->doc, "Concat", node->name, out, call->in, node->in_count);
        qzi_onnx_attr_int(&e->doc, made, "axis", 1);
        return QZ_OK;
    case QZI_OP_SLICE:
        slice(e, call);
        return QZ_OK;
    case QZI_OP_CHANNEL_SHUFFLE:
        channel_shuffle(e, call);
        return QZ_OK;
    case QZI_OP_RESIZE2D:
        return qzi_onnx_resize(e, call);
    case QZI_OP_DROPOUT:
    case QZI_OP_STOCHASTIC_DEPTH:
        QZI_ONNX_NODE(&e->doc, "Identity", node->name, out, call->in[0]);
        return QZ_OK;
    case QZI_OP_INPUT:
    case QZI_OP_QUANTIZE:
    case QZI_OP_DEQUANTIZE:
    case QZI_OP_COUNT:
        break;
    }
    return qzi_fail(e->graph->ctx, QZ_ERR_INTERNAL, "%s: %s has no float form", node->name,
                    qzi_op_name(node->op));
}

qz_status qzi_onnx_float_op(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    if (node->op == QZI_OP_ACTIVATION || call->act == QZ_ACT_NONE)
        return plain_op(e, call, call->out);
    const char *before = qzi_onnx_text(&e->doc, "%s_linear", node->name);
    QZI_TRY(plain_op(e, call, before));
    activation(e, call->act, qzi_onnx_text(&e->doc, "%s_%s", node->name, qzi_act_name(call->act)),
               before, call->out);
    return QZ_OK;
}
