/* SPDX-License-Identifier: MIT */
/* walk.c - runs the kept images, whole or node by node. */
#include "quant/refine/walk.h"

#include <string.h>

/* The float node that has the parameters of an int8 node, in the same call of the layer. */
static qz_value find_real(const qz_graph *graph, const qz_graph *int8_graph, const qzi_node *node,
                          size_t *next)
{
    const qzi_param *weight = qzi_node_param(int8_graph, node, QZI_P_WEIGHT);
    for (size_t i = 0; weight && i < graph->node_count; i++) {
        const size_t at = (*next + i) % graph->node_count;
        const qzi_node *real = &graph->nodes[at];
        const qzi_param *own = qzi_node_param(graph, real, QZI_P_WEIGHT);
        if (real->op == node->op && real->call == node->call && own &&
            strcmp(own->key, weight->key) == 0) {
            *next = at + 1;
            return (qz_value)at;
        }
    }
    return QZ_NO_VALUE;
}

qz_status qzi_layers_find(const qz_graph *graph, const qz_graph *int8_graph, qzi_layer **layers,
                          size_t *count)
{
    size_t next = 0;
    qzi_layer *found = qzi_calloc(graph->ctx, int8_graph->node_count, sizeof(*found));
    *layers = NULL;
    *count = 0;
    if (!found)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < int8_graph->node_count; i++) {
        const qzi_node *node = &int8_graph->nodes[i];
        if (!node->qw)
            continue;
        const qz_value real = find_real(graph, int8_graph, node, &next);
        if (real != QZ_NO_VALUE)
            found[(*count)++] = (qzi_layer){(qz_value)i, real};
    }
    *layers = found;
    return QZ_OK;
}

int64_t qzi_layer_weight_at(const qzi_node *node, int64_t o, int64_t i, int64_t tap)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const int64_t taps = (int64_t)a->kh * a->kw, icg = a->ic / a->groups;
    return node->op == QZI_OP_CONV_TRANSPOSE2D ? qzi_conv_transpose2d_index(a, i, o, tap)
                                               : (o * icg + i) * taps + tap;
}

/* Only the first stage of a detector takes an image; nodes of the others do not run. */
#define MAX_INPUTS 8

qz_status qzi_walk_run(qzi_exec *exec, const qz_graph *graph, const qz_tensor *image)
{
    qzi_exec_input inputs[MAX_INPUTS] = {{.tensor = image, .finite = true}};
    return qzi_exec_run_inputs(exec, inputs, graph->input_count);
}

/* The images in one of the graphs. */
typedef struct lane {
    const qz_graph *graph;
    size_t count;
    qzi_packed *packed;
    qzi_exec *exec[QZI_KEPT_MAX];
    qzi_exec_input inputs[QZI_KEPT_MAX][MAX_INPUTS];
} lane;

static qz_status lane_add(lane *l, const qz_tensor *image, uint32_t threads)
{
    const size_t i = l->count;
    l->inputs[i][0] = (qzi_exec_input){.tensor = image, .finite = true};
    QZI_TRY(qzi_exec_create(l->packed, l->graph, threads, &l->exec[i]));
    l->count++;
    return qzi_exec_begin(l->exec[i], l->inputs[i], l->graph->input_count);
}

static qz_status lane_begin(lane *l, const qz_graph *graph)
{
    l->graph = graph;
    return qzi_packed_create(graph, QZ_ISA_AUTO, &l->packed);
}

static void lane_end(lane *l)
{
    for (size_t i = 0; i < l->count; i++)
        qzi_exec_destroy(l->exec[i]);
    qzi_packed_destroy(l->packed);
}

static qz_status lane_step(lane *l, qz_value node)
{
    for (size_t i = 0; i < l->count; i++)
        QZI_TRY(qzi_exec_step(l->exec[i], l->inputs[i], node));
    return QZ_OK;
}

static qz_status planned(const qz_graph *graph, const qz_tensor *image, size_t *bytes)
{
    lane *l = qzi_calloc(graph->ctx, 1, sizeof(*l));
    if (!l)
        return QZ_ERR_MEMORY;
    qz_status st = lane_begin(l, graph);
    if (st == QZ_OK)
        st = lane_add(l, image, 1);
    if (st == QZ_OK)
        *bytes = qzi_exec_memory_of(l->exec[0]).planned;
    lane_end(l);
    qzi_free(graph->ctx, l);
    return st;
}

qz_status qzi_walk_count(const qz_graph *graph, const qz_graph *int8_graph, const qzi_kept *kept,
                         size_t *count)
{
    size_t sum = 0, real = 0, made = 0;
    *count = 0;
    for (size_t i = 0; i < kept->count; i++) {
        const int64_t *dims = kept->image[i].dims;
        if (i == 0 || memcmp(dims, kept->image[i - 1].dims, 4 * sizeof(*dims)) != 0) {
            QZI_TRY(planned(graph, &kept->image[i], &real));
            QZI_TRY(planned(int8_graph, &kept->image[i], &made));
        }
        sum += real + made;
        if (i > 0 && sum > QZI_WALK_BYTES)
            break;
        ++*count;
    }
    return QZ_OK;
}

typedef struct walk {
    lane real, made;
    uint32_t threads;
    qz_value next; /* node of the float graph */
    qzi_layer *layers;
    size_t layer_count;
    int64_t places;
    qzi_samples *samples; /* by layer, from the float step to the visit */
} walk;

/* Float nodes up to `last`, the input of which is taken before it runs. */
static qz_status step_real(walk *w, qz_value last)
{
    for (; w->next <= last; w->next++) {
        if (!qzi_exec_needs(w->real.exec[0], w->next))
            continue;
        for (size_t i = 0; i < w->layer_count; i++)
            if (w->layers[i].real == w->next)
                QZI_TRY(qzi_samples_take(w->real.graph, w->next, w->real.exec, w->real.count,
                                         w->places, w->threads, &w->samples[i]));
        QZI_TRY(lane_step(&w->real, w->next));
    }
    return QZ_OK;
}

static qz_status step(walk *w, qz_value node, qzi_walk_visit visit, void *user)
{
    bool changed = false;
    if (!qzi_exec_needs(w->made.exec[0], node))
        return QZ_OK;
    for (size_t i = 0; i < w->layer_count; i++) {
        if (w->layers[i].node != node)
            continue;
        QZI_TRY(step_real(w, w->layers[i].real));
        const qzi_walk_layer at = {&w->layers[i], w->made.exec, w->made.count, w->places,
                                   &w->samples[i]};
        QZI_TRY(visit(user, &at, &changed));
        qzi_samples_free(w->made.graph->ctx, &w->samples[i]);
    }
    if (changed)
        QZI_TRY(qzi_packed_repack(w->made.packed, w->made.graph, node));
    return lane_step(&w->made, node);
}

static qz_status run(walk *w, const qzi_kept *kept, size_t count, uint32_t threads,
                     qzi_walk_visit visit, void *user)
{
    for (size_t i = 0; i < count; i++) {
        QZI_TRY(lane_add(&w->real, &kept->image[i], threads));
        QZI_TRY(lane_add(&w->made, &kept->image[i], threads));
    }
    for (size_t i = 0; i < w->made.graph->node_count && count > 0; i++)
        QZI_TRY(step(w, (qz_value)i, visit, user));
    return QZ_OK;
}

qz_status qzi_walk_layers(const qz_graph *graph, const qz_graph *int8_graph, const qzi_kept *kept,
                          size_t count, int64_t places, uint32_t threads, qzi_walk_visit visit,
                          void *user)
{
    const qz_context *ctx = graph->ctx;
    qz_status st = QZ_ERR_MEMORY;
    walk *w = qzi_calloc(ctx, 1, sizeof(*w));
    if (!w)
        return QZ_ERR_MEMORY;
    w->threads = threads;
    w->places = places;
    QZI_GOTO(st, lane_begin(&w->real, graph));
    QZI_GOTO(st, lane_begin(&w->made, int8_graph));
    QZI_GOTO(st, qzi_layers_find(graph, int8_graph, &w->layers, &w->layer_count));
    w->samples = qzi_calloc(ctx, w->layer_count, sizeof(*w->samples));
    st = w->samples ? run(w, kept, count, threads, visit, user) : QZ_ERR_MEMORY;
fail:
    for (size_t i = 0; w->samples && i < w->layer_count; i++)
        qzi_samples_free(ctx, &w->samples[i]);
    lane_end(&w->real);
    lane_end(&w->made);
    qzi_free(ctx, w->samples);
    qzi_free(ctx, w->layers);
    qzi_free(ctx, w);
    return st;
}
