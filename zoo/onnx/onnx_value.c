/* SPDX-License-Identifier: MIT */
/* onnx_value.c - names of values, their forms, and constants. */
#include "zoo/onnx/onnx_emit.h"

#include <string.h>

/* ---- values ---- */

/* The form in which outputs leave the graph. */
static qzi_onnx_form output_form(const qzi_onnx_emit *e)
{
    return e->options->io_fp16 ? QZI_ONNX_F16 : QZI_ONNX_F32;
}

/* The first output that the value is; NULL: none. */
static const char *output_name(const qzi_onnx_emit *e, qz_value value)
{
    for (size_t i = 0; i < e->graph->output_count; i++)
        if (e->graph->outputs[i].value == value)
            return e->graph->outputs[i].name;
    return NULL;
}

/* The form that the node itself computes has its plain name. */
static qzi_onnx_form own_form(const qzi_onnx_emit *e, qz_value value)
{
    if (e->graph->nodes[value].op == QZI_OP_INPUT)
        return output_form(e);
    return e->options->format == QZ_ONNX_FP16 && !e->kept[value] ? QZI_ONNX_F16 : QZI_ONNX_F32;
}

/* A segmenter's node "out" is the output "out", which is another form of it in half precision. */
static bool is_output_name(const qz_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (strcmp(graph->outputs[i].name, name) == 0)
            return true;
    return false;
}

static bool is_key(const qz_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->param_count; i++)
        if (strcmp(graph->params[i].key, name) == 0)
            return true;
    return false;
}

const char *qzi_onnx_give(qzi_onnx_emit *e, qz_value value, qzi_onnx_form form)
{
    const qzi_node *node = &e->graph->nodes[value];
    const char *output = form == output_form(e) ? output_name(e, value) : NULL;
    const char *name = output ? output : node->name;
    if (!output && is_key(e->graph, name)) /* convnext's layer_scale is both */
        name = qzi_onnx_text(&e->doc, "%s_value", name);
    if (form == QZI_ONNX_U8)
        name = qzi_onnx_text(&e->doc, "%s_quantized", node->name);
    else if (form == QZI_ONNX_F32 && node->op == QZI_OP_INPUT && node->dtype == QZ_U8)
        name = qzi_onnx_text(&e->doc, "%s_dequantized", node->name);
    else if (!output && (form != own_form(e, value) || is_output_name(e->graph, node->name)))
        name =
            qzi_onnx_text(&e->doc, form == QZI_ONNX_F16 ? "%s_float16" : "%s_float32", node->name);
    e->values[value].name[form] = name;
    return name;
}

static void convert(qzi_onnx_emit *e, qz_value value, qzi_onnx_form from, qzi_onnx_form to)
{
    const char *source = e->values[value].name[from];
    const char *name = qzi_onnx_give(e, value, to);
    if (from == QZI_ONNX_U8) {
        qzi_onnx_quantizer(e, value, "DequantizeLinear",
                           qzi_onnx_text(&e->doc, "%s_dequantize", e->graph->nodes[value].name),
                           source, name);
        return;
    }
    QziOnnx__NodeProto *cast =
        QZI_ONNX_NODE(&e->doc, "Cast", qzi_onnx_text(&e->doc, "%s_cast", name), name, source);
    qzi_onnx_attr_int(&e->doc, cast, "to",
                      to == QZI_ONNX_F16 ? QZI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16
                                         : QZI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
}

const char *qzi_onnx_want(qzi_onnx_emit *e, qz_value value, qzi_onnx_form form)
{
    for (int from = 0; from < QZI_ONNX_FORMS && !e->values[value].name[form]; from++)
        if (e->values[value].name[from])
            convert(e, value, (qzi_onnx_form)from, form);
    return e->values[value].name[form] ? e->values[value].name[form] : "";
}

const char *const *qzi_onnx_want_inputs(qzi_onnx_emit *e, const qzi_node *node, qzi_onnx_form form)
{
    static const char *const none[QZI_MAX_INPUTS]; /* for a poisoned document */
    const char **names = qzi_onnx_alloc(&e->doc, qzi_node_data_count(node), sizeof(*names));
    if (!names)
        return none;
    for (size_t i = 0; i < qzi_node_data_count(node); i++)
        names[i] = qzi_onnx_want(e, node->in[i], form);
    return names;
}

const char *qzi_onnx_scale(qzi_onnx_emit *e, qz_value value)
{
    const qzi_node *node = &e->graph->nodes[value];
    const char **name = &e->values[value].scale;
    const int64_t row[3] = {node->c, 1, 1};
    if (!*name && node->channel_q)
        *name = qzi_onnx_tensor(&e->doc, qzi_onnx_text(&e->doc, "%s_scale", node->name), QZ_F32,
                                node->flat ? 1 : 3, row, node->channel_q->scale);
    if (!*name)
        *name = qzi_onnx_numbers(&e->doc, qzi_onnx_text(&e->doc, "%s_scale", node->name), QZ_F32, 0,
                                 &node->q.scale, 1);
    return *name;
}

const char *qzi_onnx_zero_point(qzi_onnx_emit *e, qz_value value)
{
    const qzi_node *node = &e->graph->nodes[value];
    const uint8_t zero_point = (uint8_t)node->q.zero_point;
    const char **name = &e->values[value].zero_point;
    const int64_t channels = node->c;
    if (!*name && node->channel_q)
        *name = qzi_onnx_tensor(&e->doc, qzi_onnx_text(&e->doc, "%s_zero_point", node->name), QZ_U8,
                                1, &channels, node->channel_q->zero_point);
    if (!*name)
        *name = qzi_onnx_numbers(&e->doc, qzi_onnx_text(&e->doc, "%s_zero_point", node->name),
                                 QZ_U8, 0, &zero_point, 1);
    return *name;
}

/* As many ones as the value has channels. */
static const char *ones_of(qzi_onnx_emit *e, const qzi_node *node)
{
    const int64_t channels = node->c;
    const char *name = qzi_onnx_text(&e->doc, "%s_ones", node->name);
    if (qzi_onnx_has_tensor(&e->doc, name))
        return name;
    float *ones = qzi_onnx_alloc(&e->doc, (size_t)node->c, sizeof(*ones));
    for (int32_t c = 0; ones && c < node->c; c++)
        ones[c] = 1.0f;
    return ones ? qzi_onnx_tensor(&e->doc, name, QZ_F32, 1, &channels, ones) : name;
}

void qzi_onnx_quantizer(qzi_onnx_emit *e, qz_value value, const char *op, const char *name,
                        const char *in, const char *out)
{
    const qzi_node *node = &e->graph->nodes[value];
    const char *scale = qzi_onnx_scale(e, value), *zero_point = qzi_onnx_zero_point(e, value);
    if (!node->channel_q) {
        QZI_ONNX_NODE(&e->doc, op, name, out, in, scale, zero_point);
        return;
    }
    const char *ones = ones_of(e, node);
    const char *units = qzi_onnx_text(&e->doc, "%s_units", name);
    if (strcmp(op, "QuantizeLinear") == 0) {
        QZI_ONNX_NODE(&e->doc, "Div", units, units, in, scale);
        QZI_ONNX_NODE(&e->doc, op, name, out, units, ones, zero_point);
    } else {
        QZI_ONNX_NODE(&e->doc, op, name, units, in, ones, zero_point);
        QZI_ONNX_NODE(&e->doc, "Mul", units, out, units, scale);
    }
}

int64_t qzi_onnx_batch(const qzi_onnx_emit *e, qz_value value)
{
    return e->stage && e->stage[value] != QZI_STAGE_IMAGE ? e->rois[e->stage[value]]
                                                          : e->options->batch;
}

int32_t qzi_onnx_dims(const qzi_onnx_emit *e, qz_value value, int64_t dims[4])
{
    const qzi_shape *s = &e->shapes[value];
    dims[0] = qzi_onnx_batch(e, value);
    dims[1] = s->c;
    dims[2] = s->h;
    dims[3] = s->w;
    return e->graph->nodes[value].flat ? 2 : 4;
}

/* ---- constants ---- */

const char *qzi_onnx_floats(qzi_onnx_emit *e, const char *name, int32_t ndim, const int64_t *dims,
                            const float *v)
{
    if (!e->half)
        return qzi_onnx_tensor(&e->doc, name, QZ_F32, ndim, dims, v);
    size_t count = 1;
    for (int32_t i = 0; i < ndim; i++)
        count *= (size_t)dims[i];
    uint16_t *halves = qzi_onnx_alloc(&e->doc, count, sizeof(*halves));
    if (!halves)
        return name;
    for (size_t i = 0; i < count; i++)
        halves[i] = qzi_onnx_half(v[i]);
    return qzi_onnx_tensor(&e->doc, name, QZ_F16, ndim, dims, halves);
}

const char *qzi_onnx_param(qzi_onnx_emit *e, const qzi_node *node, int which, int32_t ndim,
                           const int64_t *dims)
{
    const qzi_param *param = qzi_node_param(e->graph, node, which);
    if (!param || e->doc.status != QZ_OK)
        return "";
    if (!param->tensor.data) {
        e->doc.status =
            qzi_fail(e->graph->ctx, QZ_ERR_STATE,
                     "%s: its data was dropped; export before qz_model_finalize", param->key);
        return "";
    }
    /* layers that share a parameter may differ in precision */
    const char *name = param->key;
    if (e->options->format == QZ_ONNX_FP16 && !e->half)
        name = qzi_onnx_text(&e->doc, "%s_float32", param->key);
    if (qzi_onnx_has_tensor(&e->doc, name))
        return name;
    if (!dims) {
        ndim = param->tensor.ndim;
        dims = param->tensor.dims;
    }
    return qzi_onnx_floats(e, name, ndim, dims, param->tensor.data);
}

const char *qzi_onnx_number(qzi_onnx_emit *e, const char *name, const char *suffix, float v)
{
    const char *full = qzi_onnx_text(&e->doc, "%s_%s", name, suffix);
    const uint16_t half = qzi_onnx_half(v);
    return e->half ? qzi_onnx_numbers(&e->doc, full, QZ_F16, 0, &half, 1)
                   : qzi_onnx_numbers(&e->doc, full, QZ_F32, 0, &v, 1);
}

const char *qzi_onnx_row(qzi_onnx_emit *e, const char *name, const char *suffix, const int64_t *v,
                         size_t count)
{
    return qzi_onnx_numbers(&e->doc, qzi_onnx_text(&e->doc, "%s_%s", name, suffix), QZ_S64, 1, v,
                            count);
}
