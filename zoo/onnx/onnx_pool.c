/* SPDX-License-Identifier: MIT */
/*
 * onnx_pool.c - pooling. Sizes are known at export, so windows are expressed by explicit padding:
 * runtimes differ in what ceil_mode means, and none has torch's adaptive pooling.
 */
#include "zoo/onnx/onnx_emit.h"

/* Padding at the end of an axis with which rounding down makes `out` windows. */
static int64_t end_pad(int64_t in, int64_t k, int64_t stride, int64_t pad, int64_t out)
{
    if (in + 2 * pad >= k && (in + 2 * pad - k) / stride + 1 == out)
        return pad;
    return (out - 1) * stride + k - in - pad;
}

bool qzi_onnx_pool_pads(const qzi_onnx_emit *e, qz_value value, int64_t pads[4])
{
    const qzi_node *node = &e->graph->nodes[value];
    const qzi_pool2d_attr *a = &node->u.pool;
    const qzi_shape *x = &e->shapes[node->in[0]], *y = &e->shapes[value];
    pads[0] = a->pad_h;
    pads[1] = a->pad_w;
    pads[2] = end_pad(x->h, a->kh, a->stride_h, a->pad_h, y->h);
    pads[3] = end_pad(x->w, a->kw, a->stride_w, a->pad_w, y->w);
    /* an average counts the padding asked for, but not what ceil mode reaches beyond it */
    return node->op == QZI_OP_MAX_POOL2D || a->count_exclude_pad ||
           (pads[2] == a->pad_h && pads[3] == a->pad_w);
}

void qzi_onnx_pool_attrs(qzi_onnx_emit *e, const qzi_node *node, QziOnnx__NodeProto *made,
                         const int64_t pads[4])
{
    const qzi_pool2d_attr *a = &node->u.pool;
    const int64_t kernel[2] = {a->kh, a->kw}, strides[2] = {a->stride_h, a->stride_w};
    qzi_onnx_attr_ints(&e->doc, made, "kernel_shape", kernel, 2);
    qzi_onnx_attr_ints(&e->doc, made, "pads", pads, 4);
    qzi_onnx_attr_ints(&e->doc, made, "strides", strides, 2);
    if (node->op == QZI_OP_AVG_POOL2D)
        qzi_onnx_attr_int(&e->doc, made, "count_include_pad", !a->count_exclude_pad);
}

qz_status qzi_onnx_max_pool(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    int64_t pads[4];
    qzi_onnx_pool_pads(e, call->value, pads);
    qzi_onnx_pool_attrs(
        e, node, QZI_ONNX_NODE(&e->doc, "MaxPool", node->name, call->out, call->in[0]), pads);
    return QZ_OK;
}

qz_status qzi_onnx_avg_pool(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    qzi_onnx_doc *doc = &e->doc;
    const qzi_node *node = &e->graph->nodes[call->value];
    int64_t pads[4];
    const bool plain = qzi_onnx_pool_pads(e, call->value, pads);
    /* OpenCV averages as if count_include_pad were left out, so zeros that count are a Pad's */
    const bool counts = !node->u.pool.count_exclude_pad && (pads[0] || pads[1]);
    if (plain && !counts) {
        qzi_onnx_pool_attrs(
            e, node, QZI_ONNX_NODE(doc, "AveragePool", node->name, call->out, call->in[0]), pads);
        return QZ_OK;
    }
    /* zeros that count, then what does not */
    const int64_t around[8] = {0, 0, pads[0], pads[1], 0, 0, pads[0], pads[1]};
    const int64_t beyond[4] = {0, 0, pads[2] - pads[0], pads[3] - pads[1]};
    const char *padded = qzi_onnx_text(doc, "%s_padded", node->name);
    const char *amount = qzi_onnx_row(e, node->name, "pads", around, 8);
    QZI_ONNX_NODE(doc, "Pad", padded, padded, call->in[0], amount);
    qzi_node exclusive = *node;
    exclusive.u.pool.count_exclude_pad = true;
    qzi_onnx_pool_attrs(e, &exclusive,
                        QZI_ONNX_NODE(doc, "AveragePool", node->name, call->out, padded), beyond);
    return QZ_OK;
}

/* The averages along an axis as a matrix: torch's windows [o * in / out, ceil((o + 1) * in / out)).
 * The weight of input i in output o is at (o * o_step + i * i_step). */
static const char *axis_matrix(qzi_onnx_emit *e, const char *name, int32_t in, int32_t out,
                               bool columns)
{
    const int64_t dims[2] = {columns ? in : out, columns ? out : in};
    float *m = qzi_onnx_alloc(&e->doc, (size_t)in * (size_t)out, sizeof(*m));
    if (!m)
        return name;
    for (int64_t o = 0; o < out; o++) {
        const int64_t first = o * in / out, end = QZI_DIV_UP((o + 1) * in, out);
        for (int64_t i = first; i < end; i++)
            m[columns ? i * out + o : o * in + i] = 1.0f / (float)(end - first);
    }
    return qzi_onnx_floats(e, name, 2, dims, m);
}

qz_status qzi_onnx_adaptive_pool(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    qzi_onnx_doc *doc = &e->doc;
    const qzi_node *node = &e->graph->nodes[call->value];
    const qzi_shape *x = &e->shapes[node->in[0]], *y = &e->shapes[call->value];
    if (y->h == 1 && y->w == 1) {
        QZI_ONNX_NODE(doc, "GlobalAveragePool", node->name, call->out, call->in[0]);
    } else if (x->h % y->h == 0 && x->w % y->w == 0) {
        const int64_t kernel[2] = {x->h / y->h, x->w / y->w};
        QziOnnx__NodeProto *made =
            QZI_ONNX_NODE(doc, "AveragePool", node->name, call->out, call->in[0]);
        qzi_onnx_attr_ints(doc, made, "kernel_shape", kernel, 2);
        qzi_onnx_attr_ints(doc, made, "strides", kernel, 2);
    } else {
        const char *rows =
            axis_matrix(e, qzi_onnx_text(doc, "%s_rows", node->name), x->h, y->h, false);
        const char *columns =
            axis_matrix(e, qzi_onnx_text(doc, "%s_columns", node->name), x->w, y->w, true);
        const char *half_done = qzi_onnx_text(doc, "%s_row_averages", node->name);
        QZI_ONNX_NODE(doc, "MatMul", half_done, half_done, rows, call->in[0]);
        QZI_ONNX_NODE(doc, "MatMul", node->name, call->out, half_done, columns);
    }
    return QZ_OK;
}
