/* SPDX-License-Identifier: MIT */
/*
 * torch_int8_script.c - frozen TorchScript archives (torch_int8.h, "script"): each call in the text
 * of forward() must be a node of the model's own graph, with the same op and the same inputs, and
 * brings its scale and zero point.
 *
 * Layers with weights are recognized by the names of their packed parameters, all others by what
 * they read, so that the order of the text is free.
 */
#include "weights/formats/torch_script.h"
#include "zoo/torch/torch_import.h"

#include <string.h>

/* torch's number of the type quint8. */
#define SCALAR_TYPE_QUINT8 13

enum { MAX_READ = 16 };

struct script {
    qzi_torch_import *import;
    const qzi_decision *decisions;
    bool *seen;       /* by node */
    bool dequantized; /* the last value was */
    const qzi_script_call *call;
};

/*
 * Arguments: T a tensor, L a list of tensors, P packed parameters, Q a scale and a zero point,
 * . any one, * any number. The value of the op DROPOUT is its argument, and of DEQUANTIZE too.
 */
struct script_op {
    const char *function;
    const char *args;
    qzi_op op;
    qz_activation act;
};
static const struct script_op ops[] = {
    {"torch.quantize_per_tensor", "IQ.", QZI_OP_INPUT, QZ_ACT_NONE},
    {"ops.quantized.conv2d", "TPQ", QZI_OP_CONV2D, QZ_ACT_NONE},
    {"ops.quantized.conv2d_relu", "TPQ", QZI_OP_CONV2D, QZ_ACT_RELU},
    {"ops.quantized.linear", "TPQ", QZI_OP_LINEAR, QZ_ACT_NONE},
    {"ops.quantized.linear_relu", "TPQ", QZI_OP_LINEAR, QZ_ACT_RELU},
    {"ops.quantized.add", "TTQ", QZI_OP_ADD, QZ_ACT_NONE},
    {"ops.quantized.add_relu", "TTQ", QZI_OP_ADD, QZ_ACT_RELU},
    {"ops.quantized.mul", "TTQ", QZI_OP_MUL, QZ_ACT_NONE},
    {"ops.quantized.cat", "L.Q", QZI_OP_CONCAT, QZ_ACT_NONE},
    {"ops.quantized.hardswish", "TQ", QZI_OP_ACTIVATION, QZ_ACT_HARDSWISH},
    {"torch.hardsigmoid", "T", QZI_OP_ACTIVATION, QZ_ACT_HARDSIGMOID},
    {"torch.sigmoid", "T", QZI_OP_ACTIVATION, QZ_ACT_SIGMOID},
    {"torch.relu", "T", QZI_OP_ACTIVATION, QZ_ACT_RELU},
    {"torch.adaptive_avg_pool2d", "T.", QZI_OP_ADAPTIVE_AVG_POOL2D, QZ_ACT_NONE},
    {"torch.avg_pool2d", "T*", QZI_OP_AVG_POOL2D, QZ_ACT_NONE},
    {"torch.max_pool2d", "T*", QZI_OP_MAX_POOL2D, QZ_ACT_NONE},
    {"torch.flatten", "T*", QZI_OP_FLATTEN, QZ_ACT_NONE},
    {"torch.reshape", "T*", QZI_OP_FLATTEN, QZ_ACT_NONE},
    {"torch.dropout", "T*", QZI_OP_DROPOUT, QZ_ACT_NONE},
    {"torch.dequantize", "T", QZI_OP_DEQUANTIZE, QZ_ACT_NONE},
};

/* The arguments of a call, separated. */
struct operands {
    qz_value tensors[MAX_READ];
    size_t count;
    const char *packed;
    double scale;
    int64_t zero_point;
    bool has_qparams;
};

static qz_status fail_call(const struct script *s, qz_status status, const char *what)
{
    return qzi_fail(s->import->model->ctx, status, "%s: line %zu of its TorchScript: %s %s",
                    s->import->path, s->call->line, s->call->function, what);
}

/* ---- arguments ---- */

static bool take_tensor(const qzi_script_value *value, struct operands *o)
{
    if (value->kind != QZI_SCRIPT_TENSOR || o->count == MAX_READ)
        return false;
    o->tensors[o->count++] = value->tensor;
    return true;
}

static bool take_list(const qzi_script_value *value, struct operands *o)
{
    bool good = value->kind == QZI_SCRIPT_LIST && value->count > 0;
    for (size_t i = 0; good && i < value->count; i++)
        good = take_tensor(&value->items[i], o);
    return good;
}

static bool take_qparams(const qzi_script_value *scale, const qzi_script_value *zero_point,
                         struct operands *o)
{
    if (scale->kind != QZI_SCRIPT_NUMBER || zero_point->kind != QZI_SCRIPT_NUMBER ||
        !zero_point->whole)
        return false;
    o->scale = scale->number;
    /* what is out of range is found with the node's name */
    bool small = zero_point->number >= -1.0 && zero_point->number <= 256.0;
    o->zero_point = small ? (int64_t)zero_point->number : -1;
    o->has_qparams = true;
    return true;
}

/* Takes the call's arguments as the pattern says; false where they are others. */
static bool take_args(const qzi_script_call *call, const char *pattern, struct operands *o)
{
    size_t used = 0;
    *o = (struct operands){0};
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '*')
            return true;
        const qzi_script_value *arg = &call->args[used];
        used += *pattern == 'Q' ? 2 : 1;
        if (used > call->count)
            return false;
        if (*pattern == 'P')
            o->packed = arg->path;
        bool good = *pattern == '.' || (*pattern == 'I' && arg->kind == QZI_SCRIPT_IMAGE) ||
                    (*pattern == 'T' && take_tensor(arg, o)) ||
                    (*pattern == 'L' && take_list(arg, o)) ||
                    (*pattern == 'P' && arg->kind == QZI_SCRIPT_PATH) ||
                    (*pattern == 'Q' && take_qparams(arg, arg + 1, o));
        if (!good)
            return false;
    }
    return used == call->count;
}

/* ---- nodes ---- */

/* What runs at inference: the value before a dropout. */
static qz_value skip_dropout(const qz_graph *graph, qz_value value)
{
    while (graph->nodes[value].op == QZI_OP_DROPOUT ||
           graph->nodes[value].op == QZI_OP_STOCHASTIC_DEPTH)
        value = graph->nodes[value].in[0];
    return value;
}

static bool reads(const qz_graph *graph, const qzi_node *node, const struct operands *o)
{
    if (node->in_count != o->count)
        return false;
    bool same = true, swapped = o->count == 2 && node->op != QZI_OP_CONCAT;
    for (size_t i = 0; i < o->count; i++) {
        same &= skip_dropout(graph, node->in[i]) == o->tensors[i];
        swapped &= skip_dropout(graph, node->in[i]) == o->tensors[o->count - 1 - i];
    }
    return same || swapped;
}

/*
 * The module of packed parameters: "features.0.0" of "features.0.0._packed_params" and of
 * "_jit_pass_hoist_conv_packed_params.features.0.0._packed_params.1".
 */
static bool is_module_of(const char *packed, const char *module)
{
    static const char hoisted[] = "_jit_pass_hoist_conv_packed_params.";
    static const char suffix[] = "._packed_params";
    size_t size = strlen(module);
    if (strncmp(packed, hoisted, sizeof(hoisted) - 1) == 0)
        packed += sizeof(hoisted) - 1;
    return strncmp(packed, module, size) == 0 &&
           strncmp(packed + size, suffix, sizeof(suffix) - 1) == 0;
}

static qz_status find_node(const struct script *s, const struct script_op *op,
                           const struct operands *o, size_t *found)
{
    const qz_graph *graph = s->import->model->graph;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        if (s->seen[i] || node->op != op->op || !reads(graph, node, o) ||
            (o->packed && !is_module_of(o->packed, node->name)))
            continue;
        if (node->act != op->act)
            return fail_call(s, QZ_ERR_MISMATCH, "has another activation than the model's layer");
        *found = i;
        return QZ_OK;
    }
    return qzi_fail(s->import->model->ctx, QZ_ERR_MISMATCH,
                    "%s: line %zu of its TorchScript: %s%s%s is no layer of %s that reads those "
                    "values; is this an int8 file of %s?",
                    s->import->path, s->call->line, s->call->function, o->packed ? " of " : "",
                    o->packed ? o->packed : "", s->import->model->arch->info.name,
                    s->import->model->arch->info.name);
}

/* Whether argument `index` is this pair of numbers, written twice or once. */
static bool is_pair(const qzi_script_call *call, size_t index, int32_t h, int32_t w)
{
    const double want[2] = {h, w};
    if (index >= call->count || call->args[index].kind != QZI_SCRIPT_LIST)
        return false;
    const qzi_script_value *list = &call->args[index];
    bool same = list->count == 1 || list->count == 2;
    for (size_t i = 0; i < 2 && same; i++) {
        const qzi_script_value *item = &list->items[list->count == 2 ? i : 0];
        same = item->kind == QZI_SCRIPT_NUMBER && item->number == want[i];
    }
    return same;
}

static bool has_geometry(const qzi_script_call *call, const qzi_node *node)
{
    const qzi_pool2d_attr *pool = &node->u.pool;
    switch (node->op) {
    case QZI_OP_ADAPTIVE_AVG_POOL2D:
        return is_pair(call, 1, node->u.adaptive.out_h, node->u.adaptive.out_w);
    case QZI_OP_MAX_POOL2D:
    case QZI_OP_AVG_POOL2D:
        return is_pair(call, 1, pool->kh, pool->kw) &&
               is_pair(call, 2, pool->stride_h, pool->stride_w) &&
               is_pair(call, 3, pool->pad_h, pool->pad_w);
    case QZI_OP_INPUT:
    case QZI_OP_CHANNEL_AFFINE:
        return call->args[3].kind == QZI_SCRIPT_NUMBER &&
               call->args[3].number == SCALAR_TYPE_QUINT8;
    default:
        return true;
    }
}

/*
 * A convolution's packed numbers: (spatial dimensions, stride, padding, dilation, output padding,
 * groups, transposed); archives of before 2021 do not have them all.
 */
static bool config_fits(const qz_tensor *config, const qzi_conv2d_attr *conv)
{
    const int32_t want[11] = {2,
                              conv->stride_h,
                              conv->stride_w,
                              conv->pad_h,
                              conv->pad_w,
                              conv->dil_h,
                              conv->dil_w,
                              0,
                              0,
                              conv->groups,
                              0};
    if (config->dtype != QZ_S16 || qz_tensor_numel(config) != (int64_t)QZI_ARRAY_LEN(want))
        return true;
    for (size_t i = 0; i < QZI_ARRAY_LEN(want); i++) {
        int16_t value;
        memcpy(&value, (const char *)config->data + i * sizeof(value), sizeof(value));
        if (value != want[i])
            return false;
    }
    return true;
}

static qz_status set_weights(const struct script *s, size_t node, const char *packed)
{
    qzi_torch_import *import = s->import;
    const qzi_node *layer = &import->model->graph->nodes[node];
    const char *weight_key, *bias_key, *config_key;
    const qz_tensor *weight, *bias, *config;
    const qz_tensor_quant *quant;
    QZI_TRY(qzi_torch_find(import, packed, ".weight", &weight_key, &weight, &quant));
    QZI_TRY(qzi_torch_find(import, packed, ".bias", &bias_key, &bias, NULL));
    QZI_TRY(qzi_torch_find(import, packed, ".config", &config_key, &config, NULL));
    if (!weight)
        return qzi_torch_fail_missing(import, weight_key);
    if (config && layer->op == QZI_OP_CONV2D && !config_fits(config, &layer->u.conv))
        return fail_call(s, QZ_ERR_MISMATCH,
                         "has another stride, padding, dilation or groups than the model's layer");
    return qzi_torch_set_weights(import, node, weight_key, weight, quant, bias_key, bias);
}

/* ---- calls ---- */

/* The node that is quantized first: the image, or what transform_input makes of it. */
static bool find_image(const struct script *s, size_t *node)
{
    const qz_graph *graph = s->import->model->graph;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_op op = graph->nodes[i].op;
        if ((op == QZI_OP_INPUT || op == QZI_OP_CHANNEL_AFFINE) && s->decisions[i].own_qparams &&
            !s->seen[i]) {
            *node = i;
            return true;
        }
    }
    return false;
}

static qz_status read_call(void *user, const qzi_script_call *call, int32_t *tensor)
{
    struct script *s = user;
    const struct script_op *op = NULL;
    struct operands o;
    size_t node = 0;
    s->call = call;
    for (size_t i = 0; i < QZI_ARRAY_LEN(ops) && !op; i++)
        if (strcmp(ops[i].function, call->function) == 0)
            op = &ops[i];
    if (!op)
        return fail_call(s, QZ_ERR_UNSUPPORTED, "is not known as an int8 op");
    if (!take_args(call, op->args, &o) || s->dequantized)
        return fail_call(s, QZ_ERR_UNSUPPORTED, "has arguments of other kinds than it should");
    if (op->op == QZI_OP_DROPOUT || op->op == QZI_OP_DEQUANTIZE) {
        s->dequantized = op->op == QZI_OP_DEQUANTIZE;
        *tensor = o.tensors[0];
        return QZ_OK;
    }
    if (op->op != QZI_OP_INPUT)
        QZI_TRY(find_node(s, op, &o, &node));
    else if (!find_image(s, &node))
        return fail_call(s, QZ_ERR_MISMATCH, "quantizes the image a second time");
    const qzi_node *found = &s->import->model->graph->nodes[node];
    if (!has_geometry(call, found))
        return fail_call(s, QZ_ERR_MISMATCH,
                         "has another window, stride, padding or type than the model's layer");
    if (o.has_qparams)
        QZI_TRY(
            qzi_torch_set_qparams(s->import, node, qzi_torch_module(found), o.scale, o.zero_point));
    if (o.packed)
        QZI_TRY(set_weights(s, node, o.packed));
    s->seen[node] = true;
    *tensor = (int32_t)node;
    return QZ_OK;
}

qz_status qzi_torch_read_script(qzi_torch_import *import, const qzi_decision *decisions,
                                const char *code)
{
    const qz_graph *graph = import->model->graph;
    struct script s = {.import = import, .decisions = decisions};
    const qzi_script_reader reader = {.ctx = import->model->ctx,
                                      .path = import->path,
                                      .arena = &import->arena,
                                      .user = &s,
                                      .call = read_call};
    qzi_script_value result = {0};
    s.seen = qzi_arena_alloc(&import->arena, graph->node_count * sizeof(*s.seen));
    if (!s.seen)
        return QZ_ERR_MEMORY;
    QZI_TRY(qzi_script_read(&reader, code, &result));
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_op op = graph->nodes[i].op;
        bool needed = op == QZI_OP_CONV2D || op == QZI_OP_LINEAR || decisions[i].own_qparams;
        if (needed && !s.seen[i])
            return qzi_fail(import->model->ctx, QZ_ERR_MISMATCH,
                            "%s: its TorchScript has no %s; is this an int8 file of %s?",
                            import->path, qzi_torch_module(&graph->nodes[i]),
                            import->model->arch->info.name);
    }
    if (result.kind != QZI_SCRIPT_TENSOR || !s.dequantized ||
        result.tensor != skip_dropout(graph, graph->outputs[0].value))
        return qzi_fail(import->model->ctx, QZ_ERR_MISMATCH,
                        "%s: its TorchScript does not return the model's dequantized output",
                        import->path);
    return QZ_OK;
}
