/* SPDX-License-Identifier: MIT */
/* onnx_conv.c - attributes of convolutions; transposed convolutions. */
#include "zoo/onnx/onnx_emit.h"

void qzi_onnx_conv_attrs(qzi_onnx_emit *e, const qzi_node *node, QziOnnx__NodeProto *made)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const int64_t kernel[2] = {a->kh, a->kw}, strides[2] = {a->stride_h, a->stride_w};
    const int64_t dilations[2] = {a->dil_h, a->dil_w};
    const int64_t pads[4] = {a->pad_h, a->pad_w, a->pad_h, a->pad_w};
    qzi_onnx_attr_ints(&e->doc, made, "dilations", dilations, 2);
    qzi_onnx_attr_int(&e->doc, made, "group", a->groups);
    qzi_onnx_attr_ints(&e->doc, made, "kernel_shape", kernel, 2);
    qzi_onnx_attr_ints(&e->doc, made, "pads", pads, 4);
    qzi_onnx_attr_ints(&e->doc, made, "strides", strides, 2);
}

void qzi_onnx_conv_transpose(qzi_onnx_emit *e, const qzi_onnx_call *call, const char *out)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    const int64_t extra[2] = {node->u.transpose.out_pad_h, node->u.transpose.out_pad_w};
    const char *in[3] = {call->in[0], call->weight, call->bias};
    if (!in[1]) {
        in[1] = qzi_onnx_param(e, node, QZI_P_WEIGHT, 0, NULL);
        in[2] = qzi_onnx_param(e, node, QZI_P_BIAS, 0, NULL);
    }
    QziOnnx__NodeProto *made =
        qzi_onnx_node(&e->doc, "ConvTranspose", node->name, out, in, in[2][0] != '\0' ? 3 : 2);
    qzi_onnx_conv_attrs(e, node, made);
    qzi_onnx_attr_ints(&e->doc, made, "output_padding", extra, 2);
}
