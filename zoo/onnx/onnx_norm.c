/* SPDX-License-Identifier: MIT */
/* onnx_norm.c - norms that ONNX has no operator for, in parts: group norm, L2 norm. */
#include "zoo/onnx/onnx_emit.h"

static const char *named(qzi_onnx_emit *e, const qzi_node *node, const char *part)
{
    return qzi_onnx_text(&e->doc, "%s_%s", node->name, part);
}

/* `count` equal numbers. */
static const char *constant(qzi_onnx_emit *e, const qzi_node *node, const char *part, int64_t count,
                            float value)
{
    float *v = qzi_onnx_alloc(&e->doc, (size_t)count, sizeof(*v));
    for (int64_t i = 0; v && i < count; i++)
        v[i] = value;
    return v ? qzi_onnx_floats(e, named(e, node, part), 1, &count, v) : "";
}

/* A group as one channel of an instance norm, then factor and term of each channel: the nodes that
 * PyTorch writes. */
void qzi_onnx_group_norm(qzi_onnx_emit *e, const qzi_onnx_call *call, const char *out)
{
    qzi_onnx_doc *doc = &e->doc;
    const qzi_node *node = &e->graph->nodes[call->value];
    const qzi_shape *s = &e->shapes[call->value];
    const int64_t groups = node->u.bn.groups, dims[3] = {node->c, 1, 1};
    /* 0: as it was; -1: all the rest */
    const int64_t apart[3] = {0, groups, -1}, together[4] = {0, node->c, s->h, s->w};
    const int32_t ndim = node->flat ? 1 : 3;
    const char *apart_shape = qzi_onnx_row(e, node->name, "groups_shape", apart, 3);
    const char *together_shape = qzi_onnx_row(e, node->name, "shape", together, node->flat ? 2 : 4);
    const char *ones = constant(e, node, "ones", groups, 1.0f);
    const char *zeros = constant(e, node, "zeros", groups, 0.0f);
    const char *scale = qzi_onnx_param(e, node, QZI_P_WEIGHT, ndim, dims);
    const char *bias = qzi_onnx_param(e, node, QZI_P_BIAS, ndim, dims);
    const char *grouped = named(e, node, "groups"), *normal = named(e, node, "groups_normalized");
    const char *joined = named(e, node, "normalized"), *scaled = named(e, node, "scaled");
    QZI_ONNX_NODE(doc, "Reshape", grouped, grouped, call->in[0], apart_shape);
    QziOnnx__NodeProto *made =
        QZI_ONNX_NODE(doc, "InstanceNormalization", normal, normal, grouped, ones, zeros);
    qzi_onnx_attr_float(doc, made, "epsilon", node->u.bn.eps);
    QZI_ONNX_NODE(doc, "Reshape", joined, joined, normal, together_shape);
    QZI_ONNX_NODE(doc, "Mul", scaled, scaled, joined, scale);
    QZI_ONNX_NODE(doc, "Add", node->name, out, scaled, bias);
}

/* As torch.nn.functional.normalize, then a factor for each channel. */
void qzi_onnx_l2_norm(qzi_onnx_emit *e, const qzi_onnx_call *call, const char *out)
{
    static const int64_t channels[1] = {1};
    qzi_onnx_doc *doc = &e->doc;
    const qzi_node *node = &e->graph->nodes[call->value];
    const int64_t dims[3] = {node->c, 1, 1};
    const char *scale = qzi_onnx_param(e, node, QZI_P_WEIGHT, node->flat ? 1 : 3, dims);
    const char *least = qzi_onnx_number(e, node->name, "least", QZK_L2_NORM_MIN);
    const char *norm = named(e, node, "norm"), *at_least = named(e, node, "norm_at_least");
    const char *normal = named(e, node, "normalized");
    QziOnnx__NodeProto *made;
    if (e->options->opset >= 18) {
        const char *axes = qzi_onnx_row(e, node->name, "axes", channels, 1);
        made = QZI_ONNX_NODE(doc, "ReduceL2", norm, norm, call->in[0], axes);
    } else {
        made = QZI_ONNX_NODE(doc, "ReduceL2", norm, norm, call->in[0]);
        qzi_onnx_attr_ints(doc, made, "axes", channels, 1);
    }
    qzi_onnx_attr_int(doc, made, "keepdims", 1);
    QZI_ONNX_NODE(doc, "Max", at_least, at_least, norm, least);
    QZI_ONNX_NODE(doc, "Div", normal, normal, call->in[0], at_least);
    QZI_ONNX_NODE(doc, "Mul", node->name, out, normal, scale);
}
