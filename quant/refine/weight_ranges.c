/* SPDX-License-Identifier: MIT */
/* weight_ranges.c - scales of weights by the least error. */
#include "quant/refine/weight_ranges.h"
#include "quant/refine/layer_weights.h"

#include <string.h>

typedef struct layer_energy {
    qzi_layer at;
    double *sums; /* [ic] */
    bool seen;
} layer_energy;

struct qzi_energies {
    const qz_graph *graph;
    size_t count;
    layer_energy *layers; /* in the order of the int8 graph */
    uint32_t threads;
};

qz_status qzi_energies_create(const qz_graph *graph, const qz_graph *int8_graph, uint32_t threads,
                              qzi_energies **energies)
{
    qzi_layer *layers = NULL;
    qz_status st;
    qzi_energies *e = qzi_calloc(graph->ctx, 1, sizeof(*e));
    *energies = e;
    if (!e)
        return QZ_ERR_MEMORY;
    e->graph = graph;
    e->threads = threads;
    QZI_GOTO(st, qzi_layers_find(graph, int8_graph, &layers, &e->count));
    e->layers = qzi_calloc(graph->ctx, e->count, sizeof(*e->layers));
    if (!e->layers)
        st = QZ_ERR_MEMORY;
    for (size_t i = 0; i < e->count && st == QZ_OK; i++) {
        const size_t ic = (size_t)graph->nodes[layers[i].real].u.conv.ic;
        e->layers[i].at = layers[i];
        e->layers[i].sums = qzi_calloc(graph->ctx, ic, sizeof(double));
        if (!e->layers[i].sums)
            st = QZ_ERR_MEMORY;
    }
fail:
    qzi_free(graph->ctx, layers);
    return st;
}

void qzi_energies_destroy(qzi_energies *energies)
{
    if (!energies)
        return;
    const qz_context *ctx = energies->graph->ctx;
    for (size_t i = 0; energies->layers && i < energies->count; i++)
        qzi_free(ctx, energies->layers[i].sums);
    qzi_free(ctx, energies->layers);
    qzi_free(ctx, energies);
}

typedef struct energy_task {
    const qzk_view *view;
    double *sums;
} energy_task;

/* All places of some channels, in order. */
static void add_channels(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const energy_task *t = arg;
    const qzk_view *v = t->view;
    (void)thread;
    for (int64_t p = 0; p < (int64_t)v->n * v->h * v->w; p++) {
        const float *x = (const float *)v->data + p * v->pixel_stride;
        for (int64_t c = begin; c < end; c++)
            t->sums[c] += (double)x[c] * (double)x[c];
    }
}

qz_status qzi_energies_hook(void *user, const qz_graph *graph, qz_value node, const qzk_view *view)
{
    qzi_energies *e = user;
    const double *done = NULL;
    for (size_t i = 0; i < e->count; i++) {
        layer_energy *layer = &e->layers[i];
        if (graph->nodes[layer->at.real].in[0] != node)
            continue;
        energy_task task = {view, layer->sums};
        if (!done)
            qzi_parallel(graph->ctx, e->threads, view->c, 16, add_channels, &task);
        else /* another layer read the same */
            memcpy(layer->sums, done, (size_t)view->c * sizeof(*done));
        done = layer->sums;
        layer->seen = true;
    }
    return QZ_OK;
}

/* ---- the search ---- */

/* Scales are tried from the present one down to a part of it. */
#define CANDIDATES 56
static double ratio_of(int64_t candidate)
{
    return 1.0 - (double)candidate / 80.0;
}

typedef struct range_task {
    const qz_graph *graph, *int8_graph;
    const layer_energy *layer;
    qzi_weight_form form;
    double *targets; /* [per] for each thread */
    double *errors;  /* [oc][CANDIDATES] */
    int64_t per, taps;
} range_task;

static void find_errors(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const range_task *t = arg;
    const qzi_node *node = &t->int8_graph->nodes[t->layer->at.node];
    const qzi_node *x = &t->int8_graph->nodes[node->in[0]];
    const qzi_conv2d_attr *a = &node->u.conv;
    double *targets = t->targets + (int64_t)thread * t->per;
    for (int64_t o = begin; o < end; o++) {
        const int64_t first = o / (a->oc / a->groups) * (a->ic / a->groups);
        const double step = (double)qzi_layer_step(t->int8_graph, node, o);
        double *errors = t->errors + o * CANDIDATES;
        qzi_layer_targets(t->graph, t->int8_graph, &t->layer->at, o, targets);
        memset(errors, 0, CANDIDATES * sizeof(*errors));
        for (int64_t k = 0; k < t->per; k++) {
            const int32_t c = (int32_t)(first + k / t->taps);
            const double scale = (double)qzi_q_scale(x, c);
            const double weight = t->layer->sums[c] / (scale * scale);
            for (int64_t j = 0; j < CANDIDATES; j++) {
                const double made = step * ratio_of(j);
                const double error =
                    targets[k] - made * qzi_layer_integer(targets[k] / made, t->form);
                errors[j] += weight * error * error;
            }
        }
    }
}

static int64_t least(const double *errors)
{
    int64_t best = 0;
    for (int64_t j = 1; j < CANDIDATES; j++)
        best = errors[j] < errors[best] ? j : best;
    return best;
}

/* Gives an output channel its new scale; one that its bias forbids stays. */
static void apply(const range_task *t, int64_t o, int64_t candidate)
{
    const qzi_node *node = &t->int8_graph->nodes[t->layer->at.node];
    const float scale = (float)((double)node->qw->scales[o] * ratio_of(candidate));
    if (!qzi_layer_set_scale(t->int8_graph, node, o, scale))
        return;
    const double step = (double)qzi_layer_step(t->int8_graph, node, o);
    qzi_layer_targets(t->graph, t->int8_graph, &t->layer->at, o, t->targets);
    for (int64_t k = 0; k < t->per; k++)
        node->qw->w[qzi_layer_weight_at(node, o, k / t->taps, k % t->taps)] =
            (int8_t)qzi_layer_integer(t->targets[k] / step, t->form);
}

/* Whether all biases allow the scale that a layer would have. */
static bool fits(const range_task *t, int64_t oc, int64_t candidate)
{
    const qzi_node *node = &t->int8_graph->nodes[t->layer->at.node];
    for (int64_t o = 0; o < oc; o++) {
        const float step =
            (float)((double)qzi_layer_step(t->int8_graph, node, o) * ratio_of(candidate) * 0.99);
        const float bias = node->qw->bias_f32[o] / step;
        if (!(bias < 0x1p30f && bias > -0x1p30f))
            return false;
    }
    return true;
}

static bool choose(const range_task *t, int64_t oc)
{
    double sums[CANDIDATES] = {0.0};
    bool changed = false;
    for (int64_t o = 0; o < oc; o++) {
        const int64_t best = least(t->errors + o * CANDIDATES);
        for (int64_t j = 0; j < CANDIDATES; j++)
            sums[j] += t->errors[o * CANDIDATES + j];
        if (t->form.per_channel && best > 0) {
            apply(t, o, best);
            changed = true;
        }
    }
    const int64_t best = least(sums);
    if (t->form.per_channel || best == 0 || !fits(t, oc, best))
        return changed;
    for (int64_t o = 0; o < oc; o++)
        apply(t, o, best);
    return true;
}

static qz_status settle(range_task *t, uint32_t threads, bool *changed)
{
    const qz_context *ctx = t->graph->ctx;
    const qzi_conv2d_attr *a = &t->int8_graph->nodes[t->layer->at.node].u.conv;
    qz_status st = QZ_ERR_MEMORY;
    t->taps = (int64_t)a->kh * a->kw;
    t->per = a->ic / a->groups * t->taps;
    t->targets = qzi_alloc(ctx, (size_t)t->per * threads * sizeof(double));
    t->errors = qzi_alloc(ctx, (size_t)a->oc * CANDIDATES * sizeof(double));
    if (t->targets && t->errors) {
        qzi_parallel(ctx, threads, a->oc, 1024 / t->per + 1, find_errors, t);
        *changed = choose(t, a->oc);
        st = QZ_OK;
    }
    qzi_free(ctx, t->targets);
    qzi_free(ctx, t->errors);
    return st;
}

qz_status qzi_weight_ranges(const qz_graph *graph, qz_graph *int8_graph,
                            const qzi_energies *energies, qzi_weight_form form, size_t *changed,
                            size_t *skipped)
{
    const qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = QZ_OK;
    *changed = *skipped = 0;
    for (size_t i = 0; i < energies->count && st == QZ_OK; i++) {
        range_task task = {graph, int8_graph, &energies->layers[i], form, NULL, NULL, 0, 0};
        bool better = false;
        if (energies->layers[i].seen)
            st = settle(&task, energies->threads, &better);
        *changed += better;
        *skipped += !energies->layers[i].seen;
    }
    qzi_fpenv_leave(env);
    return st;
}
