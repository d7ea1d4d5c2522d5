/* SPDX-License-Identifier: MIT */
/*
 * convert.c - makes the int8 graph: types and parameters of values, quantize and dequantize nodes
 * where precisions meet, tables; convert_join.c joins nodes, convert_weights.c has the weights.
 */
#include "quant/convert.h"
#include "quant/channels.h"
#include "quant/convert_join.h"
#include "quant/convert_weights.h"
#include "quant/decide.h"

#include <math.h>
#include <string.h>

/* What the structural rewriting works on; arrays are by node of `graph`. */
typedef struct convert_work {
    const qz_graph *graph;
    qzi_decision *decisions;
    bool *gives_u8; /* the node's value is uint8, else fp32 */
    qzi_qparams *q; /* of the value, or of what it is quantized to; scale 0: never uint8 */
    qz_value *only; /* the only reader of the uint8 value */
    bool *reads;    /* argument of qzi_graph_insert */
    qz_graph *out;
} convert_work;

/* `only`, besides a node: */
enum { NO_READER = -1, SEVERAL_READERS = -2 };

/* ---- parameters of values ---- */

/*
 * int8 nodes compute uint8. So do inputs that only int8 nodes read; one that fp32 nodes read too,
 * or that is an output, stays as it came and is quantized beside.
 */
static void settle_types(convert_work *work)
{
    const qz_graph *graph = work->graph;
    for (size_t i = 0; i < graph->node_count; i++)
        work->gives_u8[i] = work->decisions[i].int8;
    for (size_t i = 0; i < graph->node_count; i++)
        for (size_t k = 0; k < qzi_node_data_count(&graph->nodes[i]); k++)
            if (graph->nodes[graph->nodes[i].in[k]].op == QZI_OP_INPUT && !work->decisions[i].int8)
                work->gives_u8[graph->nodes[i].in[k]] = false;
    for (size_t i = 0; i < graph->output_count; i++)
        if (graph->nodes[graph->outputs[i].value].op == QZI_OP_INPUT)
            work->gives_u8[graph->outputs[i].value] = false;
}

static bool is_valid(const qzi_node *node, const qzi_value_q *value, qzi_channel_kind kind)
{
    if (!value->scale)
        return value->q.scale > 0.0f && isfinite(value->q.scale) && value->q.zero_point >= 0 &&
               value->q.zero_point <= 255;
    bool valid = kind != QZI_CHANNELS_NONE;
    for (int32_t c = 0; valid && c < node->c; c++)
        valid = value->scale[c] > 0.0f && isfinite(value->scale[c]);
    return valid;
}

/* What was observed, or the input's. */
static qz_status spread_qparams(convert_work *work, const qzi_value_q *values)
{
    const qz_graph *graph = work->graph;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        if (work->decisions[i].own_qparams) {
            if (!is_valid(node, &values[i], work->decisions[i].channels))
                return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                                "%s: its value has no valid scale and zero point; calibrate again",
                                node->name);
            work->q[i] = values[i].q;
        } else if (work->decisions[i].fixed.scale > 0.0f) {
            work->q[i] = work->decisions[i].fixed;
        } else if (work->decisions[i].int8) {
            work->q[i] = work->q[node->in[0]];
        }
    }
    return QZ_OK;
}

/* Readers of an fp32 value in fp32 do not count: they do not read what it is quantized to. */
static void find_only_readers(convert_work *work)
{
    const qz_graph *graph = work->graph;
    for (size_t i = 0; i < graph->node_count; i++)
        work->only[i] = NO_READER;
    for (size_t i = 0; i < graph->node_count; i++)
        for (size_t k = 0; k < qzi_node_data_count(&graph->nodes[i]); k++) {
            const qz_value x = graph->nodes[i].in[k];
            if (!work->gives_u8[x] && !work->decisions[i].int8)
                continue;
            const bool first = work->only[x] == NO_READER || work->only[x] == (qz_value)i;
            work->only[x] = first ? (qz_value)i : SEVERAL_READERS;
        }
    for (size_t i = 0; i < graph->output_count; i++)
        if (work->gives_u8[graph->outputs[i].value])
            work->only[graph->outputs[i].value] = SEVERAL_READERS;
}

static bool is_output(const qz_graph *graph, qz_value value)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i].value == value)
            return true;
    return false;
}

/* Quantizing (an input or an fp32 value) can, too. */
static bool writes_any_qparams(const convert_work *work, qz_value value)
{
    const qzi_node *node = &work->graph->nodes[value];
    if (!work->gives_u8[value])
        return true;
    switch (node->op) {
    case QZI_OP_ACTIVATION: /* a table */
        return !qzi_act_is_clamp(node->act);
    case QZI_OP_AVG_POOL2D:
    case QZI_OP_ADAPTIVE_AVG_POOL2D:
        return work->decisions[value].own_qparams;
    case QZI_OP_INPUT:
    case QZI_OP_CONV2D:
    case QZI_OP_LINEAR:
    case QZI_OP_CONV_TRANSPOSE2D:
    case QZI_OP_BATCH_NORM2D:
    case QZI_OP_LAYER_NORM:
    case QZI_OP_GROUP_NORM:
    case QZI_OP_L2_NORM:
    case QZI_OP_LAYER_SCALE:
    case QZI_OP_ADD:
    case QZI_OP_MUL:
    case QZI_OP_CONCAT:
        return true;
    default:
        return false;
    }
}

/*
 * CONTRACT.md: an input of a concat that nothing else reads takes the concat's parameters. One that
 * is a concat itself does so whatever reads it: the features of a dense block are joined again and
 * again, and are requantized nowhere on their way. Not so in a model that PyTorch quantized: there
 * the inputs were clipped to their own ranges, and its values are what is wanted.
 */
static void share_concats(convert_work *work)
{
    const qz_graph *graph = work->graph;
    find_only_readers(work);
    /* from the last to the first: what an outer concat got, its inner ones hand on */
    for (size_t i = graph->node_count; i-- > 0;) {
        const qzi_node *concat = &graph->nodes[i];
        if (concat->op != QZI_OP_CONCAT || !work->decisions[i].own_qparams)
            continue;
        for (size_t k = 0; k < concat->in_count; k++) {
            const qz_value x = concat->in[k];
            const bool joined = graph->nodes[x].op == QZI_OP_CONCAT && work->decisions[x].int8 &&
                                !is_output(graph, x);
            if ((joined || work->only[x] == (qz_value)i) && writes_any_qparams(work, x))
                work->q[x] = work->q[i];
        }
    }
    /* what keeps its input's parameters keeps the new ones */
    for (size_t i = 0; i < graph->node_count; i++)
        if (work->decisions[i].int8 && !work->decisions[i].own_qparams &&
            work->decisions[i].fixed.scale == 0.0f && graph->nodes[i].op != QZI_OP_INPUT)
            work->q[i] = work->q[graph->nodes[i].in[0]];
}

/* ---- parameters by channel ---- */

/* Gives the node a scale and a zero point for each channel; one for all where these are equal. */
static qz_status set_channels(const qz_context *ctx, qzi_node *node, const float *scale,
                              const uint8_t *zero_point)
{
    bool equal = true;
    for (int32_t c = 1; c < node->c; c++)
        equal = equal && scale[c] == scale[0] && zero_point[c] == zero_point[0];
    if (!equal)
        return qzi_node_set_channel_q(ctx, node, scale, zero_point);
    node->q = (qzi_qparams){scale[0], zero_point[0]};
    return QZ_OK;
}

static qz_status keep_channels(const convert_work *work, qzi_node *node)
{
    const qz_context *ctx = work->graph->ctx;
    float *scale = qzi_calloc(ctx, (size_t)node->c, sizeof(*scale));
    uint8_t *zero_point = qzi_alloc(ctx, (size_t)node->c);
    qz_status st = scale && zero_point ? QZ_OK : QZ_ERR_MEMORY;
    for (int32_t c = 0; c < node->c && st == QZ_OK; c++) {
        size_t k;
        const int32_t from = qzi_channels_source(work->out, node, c, &k);
        scale[c] = qzi_q_scale(&work->out->nodes[node->in[k]], from);
        zero_point[c] = (uint8_t)qzi_q_zero(&work->out->nodes[node->in[k]], from);
    }
    if (st == QZ_OK)
        st = set_channels(ctx, node, scale, zero_point);
    qzi_free(ctx, scale);
    qzi_free(ctx, zero_point);
    return st;
}

/* ---- nodes of the new graph ---- */

static qz_status make_activation(const convert_work *work, qzi_node *node)
{
    node->tables = qzi_alloc(work->graph->ctx, 256);
    if (!node->tables)
        return QZ_ERR_MEMORY;
    qzi_act_table(node->act, work->out->nodes[node->in[0]].q, node->q, node->tables);
    return QZ_OK;
}

static qz_status make_tables(const convert_work *work, qzi_node *concat)
{
    const qz_context *ctx = work->graph->ctx;
    size_t bytes;
    if (!qzi_mul_size(concat->in_count, 256, &bytes))
        return qzi_fail_memory(ctx, SIZE_MAX);
    concat->tables = qzi_alloc(ctx, bytes);
    if (!concat->tables)
        return QZ_ERR_MEMORY;
    for (size_t k = 0; k < concat->in_count; k++)
        qzi_requant_table(work->q[concat->in[k]], concat->q, concat->tables + 256 * k);
    return QZ_OK;
}

/* Tables of values with one scale for all channels. */
static qz_status set_tables(const convert_work *work, size_t i, qzi_node *node)
{
    const qzi_decision *decision = &work->decisions[i];
    if (!decision->int8 || node->channel_q)
        return QZ_OK;
    if (node->op == QZI_OP_CONCAT)
        return make_tables(work, node);
    if (node->op == QZI_OP_ACTIVATION && !qzi_act_is_clamp(node->act) &&
        decision->head == QZ_NO_VALUE && !work->out->nodes[node->in[0]].channel_q)
        return make_activation(work, node);
    return QZ_OK;
}

static qz_status set_nodes(convert_work *work, const qzi_value_q *values)
{
    const qz_context *ctx = work->graph->ctx;
    for (size_t i = 0; i < work->graph->node_count; i++) {
        qzi_node *node = &work->out->nodes[i];
        const qzi_decision *decision = &work->decisions[i];
        node->dtype = work->gives_u8[i] ? QZ_U8 : QZ_F32;
        node->q = work->q[i];
        node->source = (qz_value)i;
        if (decision->reason && !(node->fallback = qzi_strdup(ctx, decision->reason)))
            return QZ_ERR_MEMORY;
        if (decision->own_qparams && values[i].scale)
            QZI_TRY(set_channels(ctx, node, values[i].scale, values[i].zero_point));
        if (decision->channels == QZI_CHANNELS_KEPT)
            QZI_TRY(keep_channels(work, node));
        QZI_TRY(set_tables(work, i, node));
    }
    return QZ_OK;
}

/* ---- borders ---- */

/* <source>.quant or <source>.dequant; with underscores where the model has that name itself. */
static char *border_name(const convert_work *work, qz_value value, const char *suffix)
{
    const char *source = work->graph->nodes[value].name;
    char *name = qzi_format(work->graph->ctx, "%s.%s", source, suffix);
    while (name && qzi_graph_find(work->out, name) >= 0) {
        char *longer = qzi_format(work->graph->ctx, "%s_", name);
        qzi_free(work->graph->ctx, name);
        name = longer;
    }
    return name;
}

/* One node behind `value` for all its readers of the other precision; none where there are none. */
static qz_status insert_border(convert_work *work, qz_value value)
{
    qz_graph *out = work->out;
    const bool to_float = work->gives_u8[value];
    bool any = false;
    qz_value inserted;
    for (size_t i = 0; i < out->node_count; i++) {
        const qzi_node *node = &out->nodes[i];
        bool reads = false;
        for (size_t k = 0; k < qzi_node_data_count(node); k++)
            reads = reads || node->in[k] == value;
        work->reads[i] = reads && (node->dtype == QZ_U8) != to_float;
        any = any || work->reads[i];
    }
    if (!any)
        return QZ_OK;
    char *name = border_name(work, value, to_float ? "dequant" : "quant");
    if (!name)
        return QZ_ERR_MEMORY;
    const qz_status st =
        qzi_graph_insert(out, value, to_float ? QZI_OP_DEQUANTIZE : QZI_OP_QUANTIZE, name,
                         work->reads, false, &inserted);
    qzi_free(work->graph->ctx, name);
    if (st == QZ_OK) {
        qzi_node *node = &out->nodes[inserted];
        node->dtype = to_float ? QZ_F32 : QZ_U8;
        node->q = to_float ? (qzi_qparams){0} : work->q[value];
        node->source = QZ_NO_VALUE;
    }
    return st;
}

/* ---- the two passes ---- */

static void work_free(convert_work *work)
{
    const qz_context *ctx = work->graph->ctx;
    qzi_decisions_free(work->graph, work->decisions);
    qzi_free(ctx, work->gives_u8);
    qzi_free(ctx, work->q);
    qzi_free(ctx, work->only);
    qzi_free(ctx, work->reads);
}

static qz_status work_create(const qz_graph *graph, const qzi_qconfig *qconfig, convert_work *work)
{
    const size_t n = graph->node_count;
    *work = (convert_work){.graph = graph};
    QZI_TRY(qzi_decide(graph, qconfig, &work->decisions));
    work->gives_u8 = qzi_calloc(graph->ctx, n, sizeof(*work->gives_u8));
    work->q = qzi_calloc(graph->ctx, n, sizeof(*work->q));
    work->only = qzi_calloc(graph->ctx, n, sizeof(*work->only));
    /* a border behind every node at most */
    work->reads = qzi_calloc(graph->ctx, n, 2 * sizeof(*work->reads));
    if (!work->gives_u8 || !work->q || !work->only || !work->reads)
        return QZ_ERR_MEMORY;
    return QZ_OK;
}

qz_status qzi_convert_structure(const qz_graph *graph, const qzi_qconfig *qconfig,
                                const qzi_value_q *values, qz_graph **int8_graph)
{
    convert_work work;
    qz_status st;
    QZI_GOTO(st, work_create(graph, qconfig, &work));
    settle_types(&work);
    QZI_GOTO(st, spread_qparams(&work, values));
    if (!qconfig->imported)
        share_concats(&work);
    QZI_GOTO(st, qzi_graph_clone(graph, false, &work.out));
    QZI_GOTO(st, set_nodes(&work, values));
    /* from the last value to the first: what is still to be looked at keeps its index */
    for (size_t i = graph->node_count; i-- > 0;)
        QZI_GOTO(st, insert_border(&work, (qz_value)i));
    if (qzi_qconfig_by_channel(qconfig))
        QZI_GOTO(st, qzi_convert_join(work.out, graph, work.decisions));
    *int8_graph = work.out;
    work.out = NULL;
fail:
    qz_graph_destroy(work.out);
    work_free(&work);
    return st;
}

qz_status qzi_convert_values(const qz_graph *graph, const qzi_qconfig *qconfig,
                             const qzi_value_q *values, qz_graph **int8_graph)
{
    qz_graph *out = NULL;
    qz_status st;
    QZI_GOTO(st, qzi_convert_structure(graph, qconfig, values, &out));
    QZI_GOTO(st, qzi_convert_weights(graph, qzi_qconfig_weight_form(qconfig), out));
    QZI_GOTO(st, qzi_graph_verify(out));
    *int8_graph = out;
    out = NULL;
fail:
    qz_graph_destroy(out);
    return st;
}

qz_status qzi_convert(const qz_graph *graph, const qzi_calibration *calibration,
                      qz_graph **int8_graph)
{
    qzi_values values;
    QZI_TRY(qzi_calibration_check(calibration));
    qz_status st = qzi_values_find(graph, calibration, &values);
    if (st == QZ_OK)
        st = qzi_convert_values(graph, qzi_calibration_qconfig(calibration), values.list,
                                int8_graph);
    qzi_values_free(&values);
    return st;
}
