/* SPDX-License-Identifier: MIT */
/*
 * session_profile.c - looking into a session's runs: values of nodes, times, memory.
 */
#include "layers/kernels/winograd.h"
#include "zoo/model/session.h"

#include <string.h>

const char *qz_session_node_name(const qz_session *session, const char *name)
{
    if (!session || !name)
        return NULL;
    qz_value value = qzi_graph_find(session->graph, name);
    return value != QZ_NO_VALUE ? session->graph->nodes[value].name : NULL;
}

static qz_status call_hook(void *user, const qz_graph *graph, qz_value index, const qzk_view *view)
{
    qz_session *s = user;
    const qzi_node *node = &graph->nodes[index];
    qz_tensor value = {
        .dtype = QZ_F32, .ndim = node->flat ? 2 : 4, .dims = {view->n, view->c, view->h, view->w}};
    qz_tensor bytes = value;
    bool u8 = node->dtype == QZ_U8;
    size_t count = (size_t)qz_tensor_numel(&value);
    QZI_TRY(qzi_buffer_reserve(s->ctx, &s->hook_value, count, sizeof(float)));
    if (u8)
        QZI_TRY(qzi_buffer_reserve(s->ctx, &s->hook_bytes, count, 1));
    value.data = s->hook_value.data;
    bytes.data = s->hook_bytes.data;
    bytes.dtype = QZ_U8;
    qzi_view_to_nchw(s->ctx, s->threads, node, view, value.data, u8 ? bytes.data : NULL);
    (void)qzi_fail(s->ctx, QZ_OK, "%s", ""); /* an older message is not this run's */
    const qz_status st = s->hook(s->hook_user, node->name, &value, u8 ? &bytes : NULL);
    if (st == QZ_OK || qz_context_message(s->ctx)[0] != '\0')
        return st;
    return qzi_fail(s->ctx, st, "%s: the node hook ended the run", node->name);
}

void qz_session_set_node_hook(qz_session *session, qz_node_fn fn, void *user)
{
    if (!session)
        return;
    session->hook = fn;
    session->hook_user = user;
    for (size_t i = 0; i < QZI_STAGE_COUNT && session->exec[i]; i++)
        qzi_exec_set_hook(session->exec[i], fn ? call_hook : NULL, session);
}

void qz_session_set_profile(qz_session *session, bool on)
{
    if (!session)
        return;
    session->profile = QZ_OK;
    for (size_t i = 0; i < QZI_STAGE_COUNT && session->exec[i] && session->profile == QZ_OK; i++)
        session->profile = qzi_exec_set_profile(session->exec[i], on);
}

/* Taps of one axis that lie inside the input, of all outputs. */
static uint64_t taps_inside(int32_t out, int32_t in, int32_t kernel, int32_t stride,
                            int32_t padding, int32_t dilation)
{
    uint64_t count = 0;
    for (int64_t o = 0; o < out; o++)
        for (int64_t k = 0; k < kernel; k++) {
            const int64_t at = o * stride - padding + k * dilation;
            count += at >= 0 && at < in;
        }
    return count;
}

/* Products of the taps inside the input: what a kernel that skips padding does at least. It does
 * more at the padding's edge, where a tile has pixels of both kinds. */
static uint64_t products_inside(const qzi_node *node, uint64_t macs, const qzi_shape *x,
                                const qzi_shape *y)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const uint64_t all = (uint64_t)y->h * (uint64_t)y->w * (uint64_t)a->kh * (uint64_t)a->kw;
    return macs / all * taps_inside(y->h, x->h, a->kh, a->stride_h, a->pad_h, a->dil_h) *
           taps_inside(y->w, x->w, a->kw, a->stride_w, a->pad_w, a->dil_w);
}

/* Winograd's algorithm has 36 products for a tile of 4x4 outputs, which may reach beyond the image;
 * what it adds and subtracts before and after is not counted. */
static uint64_t products_of(const qzi_node *node, const qzk_conv_kernel *kernel,
                            const qzi_shape *shapes, const qzi_shape *y)
{
    const uint64_t macs = qzi_node_macs(node, y);
    if (kernel && kernel->skips_padding && node->op == QZI_OP_CONV2D &&
        (node->u.conv.dil_h > 1 || node->u.conv.dil_w > 1))
        return products_inside(node, macs, &shapes[node->in[0]], y);
    if (!kernel || !strstr(kernel->name, "winograd"))
        return macs;
    const uint64_t tiles = (uint64_t)y->n * (uint64_t)QZI_DIV_UP(y->h, QZK_WINOGRAD_OUT) *
                           (uint64_t)QZI_DIV_UP(y->w, QZK_WINOGRAD_OUT);
    const uint64_t pixels = (uint64_t)y->n * (uint64_t)y->h * (uint64_t)y->w;
    return tiles * QZK_WINOGRAD_POINTS * (macs / (pixels * 9)); /* a tap's: channels in and out */
}

/* Rows of nodes that no stage ran. */
static void fill_idle_rows(qz_session *session)
{
    const qz_graph *graph = session->graph;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        const qzk_conv_kernel *kernel = qzi_packed_kernel(session->packed, (qz_value)i);
        session->rows[i] = (qz_profile_row){.name = node->name,
                                            .op = qzi_op_name(node->op),
                                            .kernel = kernel ? kernel->name : "",
                                            .tile_m = kernel ? kernel->tile_m : 0,
                                            .tile_n = kernel ? kernel->tile_n : 0};
        for (size_t stage = 0; stage < QZI_STAGE_COUNT && session->exec[stage]; stage++)
            session->rows[i].seconds += qzi_exec_node_seconds(session->exec[stage], (qz_value)i);
    }
}

/* What is known of the nodes that a stage ran. */
static qz_status fill_rows(qz_session *session, size_t stage)
{
    const qz_graph *graph = session->graph;
    const qzi_exec *exec = session->exec[stage];
    qzi_shape inputs[QZI_STAGE_COUNT] = {0};
    inputs[stage] = session->inputs[stage];
    for (size_t i = 0; i < graph->node_count; i++) /* a shape's channels are the graph's */
        if (graph->nodes[i].op == QZI_OP_INPUT && graph->nodes[i].u.input.index == (int32_t)stage)
            inputs[stage].c = graph->nodes[i].c;
    QZI_TRY(qzi_graph_shapes(graph, inputs, session->shapes));
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        qz_profile_row *row = &session->rows[i];
        const qz_value head = qzi_exec_head(exec, (qz_value)i);
        if (!qzi_exec_needs(exec, (qz_value)i))
            continue;
        const qzi_traffic traffic = qzi_exec_node_traffic(exec, (qz_value)i);
        row->within = head != QZ_NO_VALUE ? graph->nodes[head].name : NULL;
        row->macs = qzi_node_macs(node, &session->shapes[i]);
        row->products = products_of(node, qzi_packed_kernel(session->packed, (qz_value)i),
                                    session->shapes, &session->shapes[i]);
        row->read_bytes = traffic.read;
        row->packed_bytes = traffic.packed;
        row->written_bytes = traffic.written;
    }
    return QZ_OK;
}

qz_status qz_session_profile(qz_session *session, const qz_profile_row **rows, size_t *count)
{
    if (!session || !rows || !count)
        return qzi_fail(session ? session->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_session_profile: session, rows or count is NULL");
    const qz_graph *graph = session->graph;
    if (!session->ran)
        return qzi_fail(session->ctx, QZ_ERR_STATE, "there is no profile: the session has not run");
    if (session->profile != QZ_OK)
        return QZ_ERR_MEMORY;
    if (!session->rows)
        session->rows = qzi_calloc(session->ctx, graph->node_count, sizeof(*session->rows));
    if (!session->shapes)
        session->shapes = qzi_calloc(session->ctx, graph->node_count, sizeof(*session->shapes));
    if (!session->rows || !session->shapes)
        return QZ_ERR_MEMORY;
    fill_idle_rows(session);
    for (size_t stage = 0; stage < QZI_STAGE_COUNT; stage++)
        if (session->inputs[stage].n > 0)
            QZI_TRY(fill_rows(session, stage));
    *rows = session->rows;
    *count = graph->node_count;
    return QZ_OK;
}

size_t qz_session_arena_bytes(const qz_session *session)
{
    size_t bytes = 0;
    for (size_t i = 0; session && i < QZI_STAGE_COUNT && session->exec[i]; i++)
        bytes += qzi_exec_arena_bytes(session->exec[i]);
    return bytes;
}

size_t qz_session_packed_bytes(const qz_session *session)
{
    return session ? qzi_packed_bytes(session->packed) : 0;
}

void qz_session_get_memory(const qz_session *session, qz_session_memory *memory)
{
    if (!memory)
        return;
    *memory = (qz_session_memory){0};
    if (!session)
        return;
    for (size_t i = 0; i < QZI_STAGE_COUNT && session->exec[i]; i++) {
        const qzi_exec_memory m = qzi_exec_memory_of(session->exec[i]);
        memory->planned_bytes += m.planned;
        memory->liveness_bytes += m.liveness;
        memory->scratch_bytes += m.scratch;
    }
    memory->packed_bytes = qzi_packed_bytes(session->packed);
}
