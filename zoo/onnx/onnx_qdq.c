/* SPDX-License-Identifier: MIT */
/*
 * onnx_qdq.c - int8 as float ops between DequantizeLinear and QuantizeLinear, in the patterns that
 * runtimes fuse to integer kernels: every input of an op dequantized, weights and bias too, and
 * its output quantized at once.
 *
 * A fused ReLU or ReLU6 is what QuantizeLinear does anyway where the parameters of the value hold
 * no more than the clamp leaves; where they hold more (they are those of a concat), a Clip on the
 * bytes' own values follows, because one in between would keep the op from being fused.
 *
 * By channel: values have a Div or Mul (qzi_onnx_quantizer). A convolution whose input has scales
 * by channel, which are a part of its weights, dequantizes the bytes with scale 1; its function or
 * residual comes before QuantizeLinear, so that nothing is rounded in between.
 */
#include "zoo/onnx/onnx_emit.h"

#include <string.h>

/* ---- weights ---- */

static bool is_per_channel(const qzi_qweights *qw, int64_t oc)
{
    for (int64_t i = 1; i < oc; i++)
        if (qw->scales[i] != qw->scales[0])
            return true;
    return false;
}

/* A transposed convolution in groups has the channels of all groups in one row: no axis of its
 * weights has a scale for each output channel. Its weights are written as numbers. */
static bool has_no_scale_axis(const qzi_node *node)
{
    return node->op == QZI_OP_CONV_TRANSPOSE2D && node->u.conv.groups > 1 &&
           is_per_channel(node->qw, node->u.conv.oc);
}

static const char *weight_numbers(qzi_onnx_emit *e, const qzi_node *node, const int64_t dims[4])
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const int64_t taps = (int64_t)a->kh * a->kw, icg = a->ic / a->groups;
    float *w = qzi_onnx_alloc(&e->doc, (size_t)(a->oc * icg * taps), sizeof(*w));
    for (int64_t o = 0; w && o < a->oc; o++)
        for (int64_t i = 0; i < icg; i++)
            for (int64_t t = 0; t < taps; t++) {
                const int64_t at = qzi_conv_transpose2d_index(a, i, o, t);
                w[at] = (float)node->qw->w[at] * node->qw->scales[o];
            }
    return w ? qzi_onnx_tensor(&e->doc, qzi_onnx_text(&e->doc, "%s.weight", node->name), QZ_F32, 4,
                               dims, w)
             : "";
}

qzi_onnx_weights qzi_onnx_int8_weights(qzi_onnx_emit *e, const qzi_node *node)
{
    qzi_onnx_doc *doc = &e->doc;
    const qzi_conv2d_attr *a = &node->u.conv;
    const qzi_qweights *qw = node->qw;
    const bool transpose = node->op == QZI_OP_CONV_TRANSPOSE2D;
    const int64_t oc = a->oc, dims[4] = {transpose ? a->ic : oc,
                                         (transpose ? a->oc : a->ic) / a->groups, a->kh, a->kw};
    const int32_t ndim = node->op == QZI_OP_LINEAR && node->flat ? 2 : 4;
    qzi_onnx_weights made = {"", "", "", "", NULL, is_per_channel(qw, a->oc)};
    if (!qw->w) {
        doc->status =
            qzi_fail(e->graph->ctx, QZ_ERR_STATE,
                     "%s: its weights were dropped; export before qz_model_finalize", node->name);
        return made;
    }
    const size_t scales = made.per_channel ? (size_t)a->oc : 1;
    const int8_t *zeros = qzi_onnx_alloc(doc, scales, 1);
    if (!zeros)
        return made;
    made.bias =
        qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.bias", node->name), QZ_S32, 1, &oc, qw->bias);
    if (has_no_scale_axis(node)) {
        made.numbers = weight_numbers(e, node, dims);
        return made;
    }
    made.w =
        qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.weight", node->name), QZ_S8, ndim, dims, qw->w);
    made.scale = qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.weight_scale", node->name), QZ_F32,
                                 made.per_channel, &oc, qw->scales);
    made.zero_point = qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.weight_zero_point", node->name),
                                      QZ_S8, made.per_channel, &oc, zeros);
    return made;
}

/* Weights and bias as numbers: bias scales are s_x * s_w, as CONTRACT.md rounds them. */
static void dequantized_weights(qzi_onnx_emit *e, const qzi_node *node, qzi_onnx_call *call)
{
    qzi_onnx_doc *doc = &e->doc;
    const qzi_onnx_weights made = qzi_onnx_int8_weights(e, node);
    const size_t scales = made.per_channel ? (size_t)node->u.conv.oc : 1;
    const int64_t dims[1] = {(int64_t)scales};
    const qzi_node *x = &e->graph->nodes[node->in[0]];
    const float sx = x->channel_q ? 1.0f : x->q.scale;
    float *bias_scale = qzi_onnx_alloc(doc, scales, sizeof(*bias_scale));
    call->weight = qzi_onnx_text(doc, "%s.weight_dequantized", node->name);
    call->bias = qzi_onnx_text(doc, "%s.bias_dequantized", node->name);
    if (!bias_scale)
        return;
    for (size_t i = 0; i < scales; i++)
        bias_scale[i] = sx * node->qw->scales[i];
    const char *scale = qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.bias_scale", node->name),
                                        QZ_F32, made.per_channel, dims, bias_scale);
    if (made.numbers) {
        call->weight = made.numbers;
    } else {
        QziOnnx__NodeProto *w = QZI_ONNX_NODE(
            doc, "DequantizeLinear", qzi_onnx_text(doc, "%s.weight_dequantize", node->name),
            call->weight, made.w, made.scale, made.zero_point);
        if (made.per_channel)
            qzi_onnx_attr_int(doc, w, "axis", node->op == QZI_OP_CONV_TRANSPOSE2D);
    }
    QziOnnx__NodeProto *b =
        QZI_ONNX_NODE(doc, "DequantizeLinear", qzi_onnx_text(doc, "%s.bias_dequantize", node->name),
                      call->bias, made.bias, scale);
    if (made.per_channel)
        qzi_onnx_attr_int(doc, b, "axis", 0);
}

/* ---- clamps ---- */

bool qzi_onnx_clamp_range(const qzi_node *node, int32_t *lo, int32_t *hi)
{
    *lo = 0;
    *hi = 255;
    if (qzi_act_is_clamp(node->act))
        qzi_act_range_u8(node->act, &node->q, lo, hi);
    return *lo > 0 || *hi < 255;
}

static void quantize(qzi_onnx_emit *e, qz_value value, const char *name, const char *in,
                     const char *out)
{
    qzi_onnx_quantizer(e, value, "QuantizeLinear", name, in, out);
}

static const char *dequantize(qzi_onnx_emit *e, qz_value value, const char *in, const char *out)
{
    qzi_onnx_quantizer(e, value, "DequantizeLinear", qzi_onnx_text(&e->doc, "%s_dequantize", out),
                       in, out);
    return out;
}

/* Bytes `in` with the parameters of the value, to bytes between lo and hi. */
static void clamp(qzi_onnx_emit *e, qz_value value, const char *in, int32_t lo, int32_t hi)
{
    const qzi_node *node = &e->graph->nodes[value];
    const char *name = node->name;
    const char *wide = dequantize(e, value, in, qzi_onnx_text(&e->doc, "%s_unclamped", name));
    const char *clamped = qzi_onnx_text(&e->doc, "%s_clamped", name);
    if (hi == 255 && lo == node->q.zero_point) {
        QZI_ONNX_NODE(&e->doc, "Relu", clamped, clamped, wide);
    } else {
        const char *min =
            qzi_onnx_number(e, name, "min", (float)(lo - node->q.zero_point) * node->q.scale);
        const char *max =
            qzi_onnx_number(e, name, "max", (float)(hi - node->q.zero_point) * node->q.scale);
        QZI_ONNX_NODE(&e->doc, "Clip", clamped, clamped, wide, min, max);
    }
    quantize(e, value, qzi_onnx_text(&e->doc, "%s_clamped_quantize", name), clamped,
             qzi_onnx_give(e, value, QZI_ONNX_U8));
}

/* ---- the three steps of a channel shuffle, each between bytes ---- */

static const char *moved(qzi_onnx_emit *e, qz_value value, const char *op, const char *step,
                         const char *in, const char *shape, const int64_t *perm, bool last)
{
    qzi_onnx_doc *doc = &e->doc;
    const char *name = e->graph->nodes[value].name;
    const char *number = qzi_onnx_text(doc, "%s_%s", name, step);
    const char *const inputs[2] = {in, shape};
    QziOnnx__NodeProto *made = qzi_onnx_node(doc, op, number, number, inputs, shape ? 2 : 1);
    if (perm)
        qzi_onnx_attr_ints(doc, made, "perm", perm, 5);
    const char *bytes =
        last ? qzi_onnx_give(e, value, QZI_ONNX_U8) : qzi_onnx_text(doc, "%s_bytes", number);
    quantize(e, value, qzi_onnx_text(doc, "%s_quantize", number), number, bytes);
    return last ? bytes : dequantize(e, value, bytes, qzi_onnx_text(doc, "%s_again", number));
}

static void channel_shuffle(qzi_onnx_emit *e, qz_value value, const char *in)
{
    static const int64_t swapped[5] = {0, 2, 1, 3, 4};
    const qzi_node *node = &e->graph->nodes[value];
    const qzi_shape *s = &e->shapes[value];
    const int64_t groups = node->u.shuffle.groups;
    const int64_t apart[5] = {0, groups, node->c / groups, s->h, s->w};
    const int64_t together[4] = {0, node->c, s->h, s->w};
    const char *apart_shape = qzi_onnx_row(e, node->name, "groups_shape", apart, 5);
    const char *together_shape = qzi_onnx_row(e, node->name, "shape", together, 4);
    in = moved(e, value, "Reshape", "groups", in, apart_shape, NULL, false);
    in = moved(e, value, "Transpose", "swapped", in, NULL, swapped, false);
    moved(e, value, "Reshape", "joined", in, together_shape, NULL, true);
}

bool qzi_onnx_by_channel(const qzi_onnx_emit *e, qz_value value)
{
    const qzi_node *inputs[QZI_MAX_INPUTS];
    qzi_op_node n;
    qzi_graph_op_node(e->graph, value, inputs, &n);
    return qzi_by_channel(&n);
}

/* ---- convolutions by channel ---- */

static bool is_uniform(const uint8_t *zero_point, int32_t c)
{
    for (int32_t i = 1; i < c; i++)
        if (zero_point[i] != zero_point[0])
            return false;
    return true;
}

/* The input's bytes less their zero points, whose scales are in the weights. */
static const char *unscaled(qzi_onnx_emit *e, const qzi_node *node)
{
    qzi_onnx_doc *doc = &e->doc;
    const qzi_node *x = &e->graph->nodes[node->in[0]];
    const uint8_t *zero_point = x->channel_q->zero_point;
    const bool each = !is_uniform(zero_point, x->c);
    const int64_t row[3] = {x->c, 1, 1};
    const uint8_t zero = each ? 0 : zero_point[0];
    const float one = 1.0f;
    const char *in = qzi_onnx_want(e, node->in[0], QZI_ONNX_U8);
    const char *out = qzi_onnx_text(doc, "%s_input", node->name);
    const char *bytes = each ? qzi_onnx_text(doc, "%s_bytes", out) : out;
    const char *ones =
        qzi_onnx_numbers(doc, qzi_onnx_text(doc, "%s_scale", out), QZ_F32, 0, &one, 1);
    const char *zeros =
        qzi_onnx_numbers(doc, qzi_onnx_text(doc, "%s_zero_point", out), QZ_U8, 0, &zero, 1);
    QZI_ONNX_NODE(doc, "DequantizeLinear", qzi_onnx_text(doc, "%s_dequantize", out), bytes, in,
                  ones, zeros);
    if (!each)
        return out;
    float *shift = qzi_onnx_alloc(doc, (size_t)x->c, sizeof(*shift));
    for (int32_t c = 0; shift && c < x->c; c++)
        shift[c] = (float)zero_point[c];
    if (!shift)
        return out;
    const char *less = qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s_shift", out), QZ_F32,
                                       x->flat ? 1 : 3, row, shift);
    QZI_ONNX_NODE(doc, "Sub", out, out, bytes, less);
    return out;
}

/* Inputs of an int8 node as numbers. */
static const char *const *number_inputs(qzi_onnx_emit *e, const qzi_node *node)
{
    if (!node->qw || !e->graph->nodes[node->in[0]].channel_q)
        return qzi_onnx_want_inputs(e, node, QZI_ONNX_F32);
    const char **names = qzi_onnx_alloc(&e->doc, node->in_count, sizeof(*names));
    if (!names)
        return NULL;
    names[0] = unscaled(e, node);
    for (size_t i = 1; i < node->in_count; i++)
        names[i] = qzi_onnx_want(e, node->in[i], QZI_ONNX_F32);
    return names;
}

/* The float form, and a residual that it reads. */
static qz_status float_form(qzi_onnx_emit *e, qzi_onnx_call *call, const char *out)
{
    const qzi_node *node = &e->graph->nodes[call->value];
    const bool sums = node->qw && node->in_count > 1;
    call->out = sums ? qzi_onnx_text(&e->doc, "%s_addend", node->name) : out;
    QZI_TRY(qzi_onnx_float_op(e, call));
    if (sums)
        QZI_ONNX_NODE(&e->doc, "Add", qzi_onnx_text(&e->doc, "%s_sum", node->name), out, call->out,
                      call->in[1]);
    return e->doc.status;
}

/* ---- nodes ---- */

/* The float form between bytes, with the clamp that is left behind it. */
static qz_status between(qzi_onnx_emit *e, qz_value value, bool weights)
{
    qzi_onnx_doc *doc = &e->doc;
    const qzi_node *node = &e->graph->nodes[value];
    int32_t lo, hi;
    const bool clamps = qzi_onnx_clamp_range(node, &lo, &hi);
    const bool alone = node->op == QZI_OP_ACTIVATION && qzi_act_is_clamp(node->act);
    qzi_onnx_call call = {.value = value, .in = number_inputs(e, node)};
    QZI_TRY(doc->status);
    if (!qzi_act_is_clamp(node->act))
        call.act = node->act; /* of an ACTIVATION, the op itself */
    if (alone) {              /* on the bytes that it reads, which have its parameters */
        clamp(e, value, qzi_onnx_want(e, node->in[0], QZI_ONNX_U8), lo, hi);
        return doc->status;
    }
    if (weights)
        dequantized_weights(e, node, &call);
    const char *number = qzi_onnx_text(doc, "%s_float", node->name);
    QZI_TRY(float_form(e, &call, number));
    const char *quantized = clamps ? qzi_onnx_text(doc, "%s_unclamped_quantized", node->name)
                                   : qzi_onnx_give(e, value, QZI_ONNX_U8);
    quantize(e, value, qzi_onnx_text(doc, "%s_quantize", node->name), number, quantized);
    if (clamps)
        clamp(e, value, quantized, lo, hi);
    return doc->status;
}

qz_status qzi_onnx_through_float(qzi_onnx_emit *e, qz_value value)
{
    return between(e, value, e->graph->nodes[value].qw != NULL);
}

qz_status qzi_onnx_qdq_op(qzi_onnx_emit *e, qz_value value)
{
    const qzi_node *node = &e->graph->nodes[value];
    if (node->op == QZI_OP_QUANTIZE || node->op == QZI_OP_INPUT) {
        const char *in =
            node->op == QZI_OP_INPUT ? node->name : qzi_onnx_want(e, node->in[0], QZI_ONNX_F32);
        quantize(e, value, qzi_onnx_text(&e->doc, "%s_quantize", node->name), in,
                 qzi_onnx_give(e, value, QZI_ONNX_U8));
        return e->doc.status;
    }
    if (node->op == QZI_OP_CHANNEL_SHUFFLE && !node->channel_q) {
        channel_shuffle(e, value, qzi_onnx_want(e, node->in[0], QZI_ONNX_F32));
        return e->doc.status;
    }
    return between(e, value, node->qw != NULL);
}
