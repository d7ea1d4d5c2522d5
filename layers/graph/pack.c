/* SPDX-License-Identifier: MIT */
/* pack.c - chooses kernels for an instruction set and packs every node's weights for them. */
#include "layers/graph/exec.h"

#include <string.h>

struct qzi_packed {
    const qz_context *ctx;
    qzk_kernels kernels;
    size_t count;
    qzi_packed_node *nodes; /* one for each node of the graph */
    /* All blobs, in the order in which a run reads them. One block, for huge pages: a network's
     * weights are more pages than a CPU remembers the places of. */
    char *block;
    size_t bytes;
};

/*
 * The packed weights of an earlier call of the same layer, which are those of node i too; NULL
 * where there is none. int8 weights are packed with the parameters of the values, which differ.
 */
static const qzi_packed_node *packed_call(const qzi_packed *p, const qz_graph *graph, size_t i)
{
    const qzi_node *node = &graph->nodes[i];
    for (size_t k = 0; node->call > 0 && node->dtype == QZ_F32 && k < i; k++) {
        const qzi_node *other = &graph->nodes[k];
        if (other->op == node->op && other->dtype == QZ_F32 &&
            p->nodes[k].kernel == p->nodes[i].kernel && p->nodes[k].bytes == p->nodes[i].bytes &&
            memcmp(other->param, node->param, sizeof(node->param)) == 0 &&
            memcmp(&other->u, &node->u, sizeof(node->u)) == 0)
            return &p->nodes[k];
    }
    return NULL;
}

/* All nodes that have something to pack, once: first without blobs, then with them. */
static qz_status pack_nodes(qzi_packed *p, const qz_graph *graph, const qzi_shape *shapes)
{
    const qzi_node *inputs[QZI_MAX_INPUTS];
    qzi_op_node n;
    size_t at = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_op_class *op = qzi_op_get(graph->nodes[i].op);
        qzi_packed_node *node = &p->nodes[i];
        if (!op->pack)
            continue;
        qzi_graph_op_node(graph, (qz_value)i, inputs, &n);
        n.winograd = shapes ? &shapes[i] : NULL;
        if (!p->block)
            QZI_TRY(op->pack(&n, &p->kernels, node));
        const qzi_packed_node *same = packed_call(p, graph, i);
        if (same) {
            node->blob = same->blob;
            continue;
        }
        if (p->block) {
            node->blob = p->block + at;
            QZI_TRY(op->pack(&n, &p->kernels, node));
        }
        if (node->bytes > SIZE_MAX / 4 || !qzi_add_size(at, node->bytes, &at))
            return qzi_fail_memory(p->ctx, SIZE_MAX);
        at = QZI_ROUND_UP(at, (size_t)QZI_ALIGN);
    }
    p->bytes = at;
    return QZ_OK;
}

/* shapes: of all values, for the choice of Winograd's algorithm; NULL: none of it */
qz_status qzi_packed_create_shapes(const qz_graph *graph, qz_isa isa, const qzi_shape *shapes,
                                   qzi_packed **packed)
{
    const qz_context *ctx = graph->ctx;
    qzi_packed *p = qzi_calloc(ctx, 1, sizeof(*p));
    if (!p)
        return QZ_ERR_MEMORY;
    p->ctx = ctx;
    p->count = graph->node_count;
    p->nodes = qzi_calloc(ctx, p->count, sizeof(*p->nodes));
    if (!p->nodes) {
        qzi_free(ctx, p);
        return QZ_ERR_MEMORY;
    }
    qzk_init(&p->kernels, isa == QZ_ISA_AUTO ? qz_context_isa(ctx) : isa);
    qzi_fpenv env = qzi_fpenv_enter(); /* multipliers are computed here */
    qz_status st = pack_nodes(p, graph, shapes);
    if (st == QZ_OK) {
        p->block = qzi_alloc(ctx, p->bytes);
        st = p->block ? pack_nodes(p, graph, shapes) : QZ_ERR_MEMORY;
    }
    qzi_fpenv_leave(env);
    if (st != QZ_OK) {
        qzi_packed_destroy(p);
        return st;
    }
    *packed = p;
    return QZ_OK;
}

qz_status qzi_packed_create(const qz_graph *graph, qz_isa isa, qzi_packed **packed)
{
    return qzi_packed_create_shapes(graph, isa, NULL, packed);
}

qz_status qzi_packed_create_winograd(const qz_graph *graph, qz_isa isa, int32_t h, int32_t w,
                                     qzi_packed **packed)
{
    qzi_shape *shapes = NULL;
    QZI_TRY(qzi_graph_image_shapes(graph, h, w, &shapes));
    qz_status st = qzi_packed_create_shapes(graph, isa, shapes, packed);
    qzi_free(graph->ctx, shapes);
    return st;
}

qz_status qzi_packed_repack(qzi_packed *packed, const qz_graph *graph, qz_value node)
{
    const qzi_node *inputs[QZI_MAX_INPUTS];
    qzi_op_node n;
    qzi_graph_op_node(graph, node, inputs, &n);
    qzi_fpenv env = qzi_fpenv_enter();
    const qz_status st =
        qzi_op_get(graph->nodes[node].op)->pack(&n, &packed->kernels, &packed->nodes[node]);
    qzi_fpenv_leave(env);
    return st;
}

void qzi_packed_destroy(qzi_packed *packed)
{
    if (!packed)
        return;
    qzi_free(packed->ctx, packed->block);
    qzi_free(packed->ctx, packed->nodes);
    qzi_free(packed->ctx, packed);
}

size_t qzi_packed_bytes(const qzi_packed *packed)
{
    return packed->bytes;
}

const qzk_kernels *qzi_packed_kernels(const qzi_packed *packed)
{
    return &packed->kernels;
}

const qzk_conv_kernel *qzi_packed_kernel(const qzi_packed *packed, qz_value node)
{
    return packed->nodes[node].kernel;
}

const qzi_packed_node *qzi_packed_at(const qzi_packed *packed, qz_value node)
{
    return &packed->nodes[node];
}
