/* SPDX-License-Identifier: MIT */
/*
 * traffic.c - how many bytes each node of a plan must move, counted from its views alone: a bound
 * to hold beside measured times, not a measurement.
 */
#include "layers/graph/plan.h"

static uint64_t pixels_of(const qzi_shape *s)
{
    return (uint64_t)s->n * (uint64_t)s->h * (uint64_t)s->w;
}

/* What reading c channels of every pixel takes: kernels.h, extents of views. */
static uint64_t read_of(const qzi_shape *s, int32_t c, qz_dtype dtype)
{
    return pixels_of(s) * (uint64_t)qzi_pixel_stride(dtype, c) * qz_dtype_size(dtype);
}

static uint64_t written_of(const qzi_shape *s, int32_t c, qz_dtype dtype)
{
    return pixels_of(s) * (uint64_t)c * qz_dtype_size(dtype);
}

static bool read_before(const qzi_node *node, size_t k)
{
    for (size_t i = 0; i < k; i++) {
        if (node->in[i] == node->in[k])
            return true;
    }
    return false;
}

qzi_traffic qzi_plan_traffic(const qz_graph *graph, const qzi_plan *plan, qz_value value,
                             bool follows)
{
    const qzi_node *node = &graph->nodes[value];
    const qzi_shape *out = &plan->shapes[value];
    const bool concat = node->op == QZI_OP_CONCAT;
    qzi_traffic t = {0};
    if (plan->values[value].aliased)
        return t;
    if (node->op == QZI_OP_INPUT)
        t.read = written_of(out, out->c, QZ_F32); /* the caller's, dense */
    if (!concat)
        t.written = written_of(out, out->c, node->dtype);
    for (size_t k = 0; k < qzi_node_data_count(node); k++) {
        const qz_value x = node->in[k];
        const qzi_shape *in = &plan->shapes[x];
        if (concat && plan->values[x].placed_in == value && plan->values[x].placed_at == (int32_t)k)
            continue; /* its producer wrote it there */
        if (concat)
            t.written += written_of(in, in->c, node->dtype);
        if (concat || !read_before(node, k))
            t.read +=
                read_of(in, node->op == QZI_OP_SLICE ? node->c : in->c, graph->nodes[x].dtype);
    }
    if (follows) { /* what it overwrites is near: its convolution's output, counted there */
        t.read -= read_of(out, out->c, node->dtype);
        t.written = 0;
    }
    return t;
}
