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
    qzi_view_to_nchw(node, view, value.data, u8 ? bytes.data : NULL);
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
    qzi_exec_set_hook(session->exec, fn ? call_hook : NULL, session);
}

void qz_session_set_profile(qz_session *session, bool on)
{
    if (session)
        session->profile = qzi_exec_set_profile(session->exec, on);
}

/* Winograd's algorithm has 36 products for a tile of 4x4 outputs, which may reach beyond the image;
 * what it adds and subtracts before and after is not counted. */
static uint64_t products_of(const qzi_node *node, const qzk_conv_kernel *kernel, const qzi_shape *y)
{
    const uint64_t macs = qzi_node_macs(node, y);
    if (!kernel || !strstr(kernel->name, "winograd"))
        return macs;
    const uint64_t tiles = (uint64_t)y->n * (uint64_t)QZI_DIV_UP(y->h, QZK_WINOGRAD_OUT) *
                           (uint64_t)QZI_DIV_UP(y->w, QZK_WINOGRAD_OUT);
    const uint64_t pixels = (uint64_t)y->n * (uint64_t)y->h * (uint64_t)y->w;
    return tiles * QZK_WINOGRAD_POINTS * (macs / (pixels * 9)); /* a tap's: channels in and out */
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
    QZI_TRY(qzi_graph_shapes(graph, &session->input, session->shapes));
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        const qzk_conv_kernel *kernel = qzi_packed_kernel(session->packed, (qz_value)i);
        const qz_value head = qzi_exec_head(session->exec, (qz_value)i);
        const bool needed = qzi_exec_needs(session->exec, (qz_value)i);
        const qzi_traffic traffic = qzi_exec_node_traffic(session->exec, (qz_value)i);
        session->rows[i] = (qz_profile_row){
            .name = node->name,
            .op = qzi_op_name(node->op),
            .kernel = kernel ? kernel->name : "",
            .within = head != QZ_NO_VALUE ? graph->nodes[head].name : NULL,
            .seconds = qzi_exec_node_seconds(session->exec, (qz_value)i),
            .macs = needed ? qzi_node_macs(node, &session->shapes[i]) : 0,
            .products = needed ? products_of(node, kernel, &session->shapes[i]) : 0,
            .tile_m = kernel ? kernel->tile_m : 0,
            .tile_n = kernel ? kernel->tile_n : 0,
            .read_bytes = traffic.read,
            .packed_bytes = traffic.packed,
            .written_bytes = traffic.written};
    }
    *rows = session->rows;
    *count = graph->node_count;
    return QZ_OK;
}

size_t qz_session_arena_bytes(const qz_session *session)
{
    return session ? qzi_exec_arena_bytes(session->exec) : 0;
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
    const qzi_exec_memory m = qzi_exec_memory_of(session->exec);
    *memory = (qz_session_memory){.planned_bytes = m.planned,
                                  .liveness_bytes = m.liveness,
                                  .scratch_bytes = m.scratch,
                                  .packed_bytes = qzi_packed_bytes(session->packed)};
}
