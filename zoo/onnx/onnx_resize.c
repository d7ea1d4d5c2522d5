/* SPDX-License-Identifier: MIT */
/* onnx_resize.c - resizing an image: sizes are known at export. */
#include "zoo/onnx/onnx_emit.h"

#include <math.h>

/* The scale from which runtimes compute `out`, by floor(in * scale) in float or in double. */
static float scale_of(int32_t in, int32_t out)
{
    const float scale = (float)out / (float)in;
    return (double)in * (double)scale < (double)out ? nextafterf(scale, INFINITY) : scale;
}

qz_status qzi_onnx_resize(qzi_onnx_emit *e, const qzi_onnx_call *call)
{
    qzi_onnx_doc *doc = &e->doc;
    const qzi_node *node = &e->graph->nodes[call->value];
    const qzi_shape *x = &e->shapes[node->in[0]], *y = &e->shapes[call->value];
    const bool nearest = node->u.resize.mode == QZ_RESIZE_NEAREST;
    const int64_t sizes[4] = {qzi_onnx_batch(e, call->value), y->c, y->h, y->w};
    const float scales[4] = {1.0f, 1.0f, scale_of(x->h, y->h), scale_of(x->w, y->w)};
    QziOnnx__NodeProto *made;
    if (sizes[0] > 0) {
        const char *name = qzi_onnx_row(e, node->name, "sizes", sizes, 4);
        made = QZI_ONNX_NODE(doc, "Resize", node->name, call->out, call->in[0], "", "", name);
    } else { /* sizes would fix the batch */
        const char *name = qzi_onnx_numbers(doc, qzi_onnx_text(doc, "%s_scales", node->name),
                                            QZ_F32, 1, scales, 4);
        made = QZI_ONNX_NODE(doc, "Resize", node->name, call->out, call->in[0], "", name);
    }
    /* half_pixel and nearest are the standard's defaults */
    if (nearest) {
        qzi_onnx_attr_text(doc, made, "coordinate_transformation_mode", "asymmetric");
        qzi_onnx_attr_text(doc, made, "nearest_mode", "floor");
    } else {
        qzi_onnx_attr_text(doc, made, "mode", "linear");
    }
    return QZ_OK;
}
