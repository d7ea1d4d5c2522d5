/* SPDX-License-Identifier: MIT */
/*
 * decide.c - which nodes of a fused float graph become int8, which stay in fp32 and why, and which
 * values need parameters of their own.
 */
#include "quant/decide.h"
#include "layers/base/nearest.h"
#include "quant/channels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- words of --fallback ---- */

static bool is_strided_pointwise(const qzi_node *node)
{
    const qzi_conv2d_attr *conv = &node->u.conv;
    return node->op == QZI_OP_CONV2D && conv->kh == 1 && conv->kw == 1 &&
           (conv->stride_h > 1 || conv->stride_w > 1);
}

/* The words that name a node, the most special one first; ends with NULL. */
static void node_words(const qzi_node *node, const char *words[3])
{
    size_t n = 0;
    if (is_strided_pointwise(node))
        words[n++] = "strided_pointwise";
    if (node->op == QZI_OP_ACTIVATION)
        words[n++] = qzi_act_name(node->act);
    else
        words[n++] = qzi_op_name(node->op);
    if (n < 3)
        words[n] = NULL;
}

static qz_status check_words(const qz_graph *graph, const qzi_qconfig *qconfig)
{
    for (size_t i = 0; i < qconfig->fallback_count; i++) {
        const char *word = qconfig->fallback[i];
        if (qzi_support_find(qconfig->backend, word))
            continue;
        qzi_nearest nearest;
        char names[256];
        qzi_nearest_init(&nearest, word);
        const qzi_support *row = NULL;
        while ((row = qzi_support_next(qconfig->backend, row)))
            qzi_nearest_add(&nearest, row->op);
        qzi_nearest_text(&nearest, names, sizeof(names));
        return qzi_fail(graph->ctx, QZ_ERR_UNKNOWN_NAME,
                        "fallback: backend %s has no op '%s'; the nearest are %s",
                        qconfig->backend->name, word, names);
    }
    return QZ_OK;
}

static bool is_asked_for(const qzi_qconfig *qconfig, const char *word)
{
    for (size_t i = 0; i < qconfig->fallback_count; i++)
        if (strcmp(qconfig->fallback[i], word) == 0)
            return true;
    return false;
}

/* ---- excluded names ---- */

static bool is_in_scope(const char *name, const char *scope)
{
    const size_t n = strlen(scope);
    return strncmp(name, scope, n) == 0 && name[n] == '.';
}

/* Sets why the nodes that `name` means are excluded, unless they are already: one node, all of a
 * scope, or what a mark points to. Their number. */
static size_t exclude_name(const qz_graph *graph, const char *name, const char *why,
                           const char **excluded)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        if (strcmp(graph->nodes[i].name, name) == 0 || is_in_scope(graph->nodes[i].name, name)) {
            excluded[i] = excluded[i] ? excluded[i] : why;
            count++;
        }
    if (count)
        return count;
    const qz_value value = qzi_graph_find(graph, name);
    if (value < 0)
        return 0;
    excluded[value] = excluded[value] ? excluded[value] : why;
    return 1;
}

static qz_status mark_excluded(const qz_graph *graph, const qzi_qconfig *qconfig,
                               const char **excluded)
{
    const size_t names_end = qconfig->exclude_count - qconfig->exclude_heads;
    for (size_t i = 0; i < qconfig->exclude_count; i++) {
        const char *name = qconfig->exclude[i];
        const char *why = i < names_end ? "excluded by name" : "heads in float were asked for";
        if (exclude_name(graph, name, why, excluded))
            continue;
        qzi_nearest nearest;
        char names[512];
        qzi_nearest_init(&nearest, name);
        for (size_t k = 0; k < graph->node_count; k++)
            if (graph->nodes[k].op != QZI_OP_INPUT)
                qzi_nearest_add(&nearest, graph->nodes[k].name);
        for (size_t k = 0; k < graph->mark_count; k++)
            qzi_nearest_add(&nearest, graph->marks[k].name);
        qzi_nearest_text(&nearest, names, sizeof(names));
        return qzi_fail(graph->ctx, QZ_ERR_UNKNOWN_NAME,
                        "exclude: the model has no node '%s'; the nearest are %s", name, names);
    }
    for (size_t i = 0; i < graph->node_count; i++)
        if (excluded[i] && graph->nodes[i].op == QZI_OP_INPUT)
            return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                            "exclude: '%s' is an input and computes nothing; exclude the nodes "
                            "that read it",
                            graph->nodes[i].name);
    return QZ_OK;
}

/* ---- deciding ---- */

/* In int8 these keep the parameters of what they read. */
static bool keeps_qparams(const qzi_node *node, const qzi_backend *backend)
{
    switch (node->op) {
    case QZI_OP_ACTIVATION:
        return qzi_act_is_clamp(node->act);
    case QZI_OP_AVG_POOL2D:
    case QZI_OP_ADAPTIVE_AVG_POOL2D:
        return !backend->own_average;
    case QZI_OP_MAX_POOL2D:
    case QZI_OP_FLATTEN:
    case QZI_OP_SLICE:
    case QZI_OP_CHANNEL_SHUFFLE:
    case QZI_OP_RESIZE2D:
    case QZI_OP_DROPOUT:
    case QZI_OP_STOCHASTIC_DEPTH:
        return true;
    default:
        return false;
    }
}

/* Sigmoid and hardsigmoid are in [0, 1]: torch's parameters for them cover all of it but 1. */
static bool has_fixed_qparams(const qzi_node *node)
{
    return node->op == QZI_OP_ACTIVATION &&
           (node->act == QZ_ACT_SIGMOID || node->act == QZ_ACT_HARDSIGMOID);
}

/* Why the node cannot or shall not be int8, by itself; allocated, NULL where nothing speaks
 * against it (or memory ran out, then *st is set). */
static char *own_reason(const qz_graph *graph, const qzi_qconfig *qconfig, const qzi_node *node,
                        const char *excluded, qz_status *st)
{
    char *reason = NULL;
    bool found = false;
    const char *words[3];
    node_words(node, words);
    if (excluded) {
        found = true;
        reason = qzi_strdup(graph->ctx, excluded);
    }
    for (size_t i = 0; i < 3 && words[i] && !found; i++) {
        if (!is_asked_for(qconfig, words[i]))
            continue;
        found = true;
        reason = qzi_format(graph->ctx, "fallback of %s was asked for", words[i]);
    }
    for (size_t i = 0; i < 3 && words[i] && !found; i++) {
        const qzi_support *row = qzi_support_find(qconfig->backend, words[i]);
        if (!row)
            continue;
        if (!row->int8) {
            found = true;
            reason = qzi_strdup(graph->ctx, row->reason);
        }
        break; /* the most special row decides */
    }
    if (found && !reason)
        *st = QZ_ERR_MEMORY;
    return reason;
}

static qz_status decide_node(const qz_graph *graph, const qzi_qconfig *qconfig, size_t i,
                             const char *excluded, qzi_decision *decisions)
{
    const qzi_node *node = &graph->nodes[i];
    qzi_decision *decision = &decisions[i];
    bool reads_int8 = qzi_op_has_weights(node->op);
    qz_status st = QZ_OK;
    if (node->op == QZI_OP_QUANTIZE || node->op == QZI_OP_DEQUANTIZE || node->dtype != QZ_F32)
        return qzi_fail(graph->ctx, QZ_ERR_STATE,
                        "%s: the graph is converted already; start from the float graph",
                        node->name);
    if (node->op == QZI_OP_INPUT) {
        decision->int8 = true; /* can be; settled by its readers */
        return QZ_OK;
    }
    decision->reason = own_reason(graph, qconfig, node, excluded, &st);
    if (st != QZ_OK || decision->reason)
        return st;
    for (size_t k = 0; k < qzi_node_data_count(node); k++)
        reads_int8 = reads_int8 || decisions[node->in[k]].int8;
    decision->int8 = reads_int8;
    if (!reads_int8) {
        decision->reason = qzi_format(graph->ctx, "reads only fp32 (%s), so int8 gains nothing",
                                      graph->nodes[node->in[0]].name);
        if (!decision->reason)
            return QZ_ERR_MEMORY;
    }
    return QZ_OK;
}

/* ---- by channel ---- */

/* The only reader of a value; QZ_NO_VALUE for none, several, or a graph output. */
static qz_value only_reader(const qz_graph *graph, qz_value value)
{
    qz_value only = QZ_NO_VALUE;
    for (size_t i = 0; i < graph->node_count; i++)
        for (size_t k = 0; k < qzi_node_data_count(&graph->nodes[i]); k++)
            if (graph->nodes[i].in[k] == value)
                only = (qz_value)i;
    return qzi_graph_readers(graph, value) == 1 ? only : QZ_NO_VALUE;
}

/* Whether `node`, the only reader of convolution or linear `head`, can be computed with it. */
static bool goes_with(const qzi_node *node, qz_value head)
{
    if (node->op == QZI_OP_ACTIVATION)
        return !qzi_act_is_clamp(node->act);
    /* the other summand is there by then */
    return node->op == QZI_OP_ADD && qzi_act_is_clamp(node->act) &&
           head == QZI_MAX(node->in[0], node->in[1]);
}

static void join_nodes(const qz_graph *graph, qzi_decision *decisions)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        const bool head = node->op == QZI_OP_CONV2D || node->op == QZI_OP_LINEAR;
        if (!head || !decisions[i].int8 || node->act != QZ_ACT_NONE)
            continue;
        const qz_value reader = only_reader(graph, (qz_value)i);
        if (reader == QZ_NO_VALUE || !decisions[reader].int8 ||
            !goes_with(&graph->nodes[reader], (qz_value)i))
            continue;
        decisions[i].into = reader;
        decisions[i].own_qparams = false;
        decisions[reader].head = (qz_value)i;
    }
}

/* ---- parameters ---- */

/* Values with parameters of their own: what int8 nodes compute, and fp32 that int8 nodes read. */
static void decide_qparams(const qz_graph *graph, const qzi_qconfig *qconfig,
                           qzi_decision *decisions)
{
    const qzi_backend *backend = qconfig->backend;
    const bool by_channel = qzi_qconfig_by_channel(qconfig);
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        if (node->op == QZI_OP_INPUT)
            decisions[i].int8 = false;
        else if (decisions[i].int8 && !by_channel && has_fixed_qparams(node))
            decisions[i].fixed = (qzi_qparams){1.0f / 256.0f, 0};
        else if (decisions[i].int8 && !keeps_qparams(node, backend))
            decisions[i].own_qparams = true;
    }
    for (size_t i = 0; i < graph->node_count; i++)
        for (size_t k = 0; k < qzi_node_data_count(&graph->nodes[i]) && decisions[i].int8; k++) {
            const qz_value x = graph->nodes[i].in[k];
            if (graph->nodes[x].op == QZI_OP_INPUT)
                decisions[x].int8 = decisions[x].own_qparams = true;
            else if (!decisions[x].int8)
                decisions[x].own_qparams = true;
        }
    if (by_channel) {
        join_nodes(graph, decisions);
        qzi_channels_find(graph, decisions);
    }
}

qz_status qzi_decide(const qz_graph *graph, const qzi_qconfig *qconfig, qzi_decision **decisions)
{
    qzi_decision *made = qzi_calloc(graph->ctx, graph->node_count, sizeof(*made));
    const char **excluded = qzi_calloc(graph->ctx, graph->node_count, sizeof(*excluded));
    qz_status st;
    if (!made || !excluded) {
        st = QZ_ERR_MEMORY;
        goto fail;
    }
    QZI_GOTO(st, check_words(graph, qconfig));
    QZI_GOTO(st, mark_excluded(graph, qconfig, excluded));
    for (size_t i = 0; i < graph->node_count; i++)
        made[i].into = made[i].head = QZ_NO_VALUE;
    for (size_t i = 0; i < graph->node_count; i++)
        QZI_GOTO(st, decide_node(graph, qconfig, i, excluded[i], made));
    decide_qparams(graph, qconfig, made);
    qzi_free(graph->ctx, excluded);
    *decisions = made;
    return QZ_OK;
fail:
    qzi_free(graph->ctx, excluded);
    qzi_decisions_free(graph, made);
    return st;
}

void qzi_decisions_free(const qz_graph *graph, qzi_decision *decisions)
{
    for (size_t i = 0; decisions && i < graph->node_count; i++)
        qzi_free(graph->ctx, decisions[i].reason);
    qzi_free(graph->ctx, decisions);
}

static qzi_reach reach_of_act(qz_activation act)
{
    switch ((int)act) {
    case QZ_ACT_SILU:
    case QZ_ACT_MISH:
        return (qzi_reach){-5.0f, INFINITY};
    case QZ_ACT_HARDSWISH:
        return (qzi_reach){-3.0f, INFINITY};
    case QZ_ACT_HARDSIGMOID:
        return (qzi_reach){-3.0f, 3.0f};
    default:
        return (qzi_reach){-INFINITY, INFINITY};
    }
}

qzi_reach qzi_reach_of(const qz_graph *graph, qz_value value)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        if (node->op == QZI_OP_ACTIVATION && node->in[0] == value &&
            qzi_graph_readers(graph, value) == 1)
            return reach_of_act(node->act);
    }
    return reach_of_act(QZ_ACT_NONE);
}

qzi_reach qzi_decide_reach(const qz_graph *graph, const qzi_qconfig *qconfig, qz_value value)
{
    const qzi_reach reach = qzi_reach_of(graph, value);
    const bool torchs = reach.low > -4.0f; /* hardswish, hardsigmoid */
    return torchs && !qconfig->own_ranges ? reach_of_act(QZ_ACT_NONE) : reach;
}

bool qzi_reach_ends(qzi_reach reach)
{
    return reach.low > -INFINITY || reach.high < INFINITY;
}
