/* SPDX-License-Identifier: MIT */
/*
 * bias_correct.c - bias correction by images, in order.
 *
 * Nothing is convolved to measure: the mean of a convolution's output follows from the means of its
 * input at each tap (taps.h). Those of the int8 input are exact integers.
 */
#include "quant/refine/bias_correct.h"
#include "quant/refine/taps.h"

#include <math.h>

typedef struct layer_means {
    qzi_layer at;
    double *sums;  /* [tap][ic] */
    int64_t count; /* places of the output */
} layer_means;

struct qzi_float_means {
    const qz_graph *graph;
    size_t count;
    layer_means *layers; /* in the order of the int8 graph */
    uint32_t threads;
};

static size_t taps_of(const qzi_node *node)
{
    return (size_t)node->u.conv.kh * (size_t)node->u.conv.kw;
}

static size_t sums_of(const qzi_node *node)
{
    return taps_of(node) * (size_t)node->u.conv.ic;
}

qz_status qzi_float_means_create(const qz_graph *graph, const qz_graph *int8_graph,
                                 uint32_t threads, qzi_float_means **means)
{
    qzi_layer *layers = NULL;
    qz_status st;
    qzi_float_means *m = qzi_calloc(graph->ctx, 1, sizeof(*m));
    if (!m)
        return QZ_ERR_MEMORY;
    m->graph = graph;
    m->threads = threads;
    QZI_GOTO(st, qzi_layers_find(graph, int8_graph, &layers, &m->count));
    m->layers = qzi_calloc(graph->ctx, m->count, sizeof(*m->layers));
    if (!m->layers) {
        m->count = 0;
        st = QZ_ERR_MEMORY;
        goto fail;
    }
    for (size_t i = 0; i < m->count; i++) {
        layer_means *layer = &m->layers[i];
        layer->at = layers[i];
        layer->sums =
            qzi_calloc(graph->ctx, sums_of(&graph->nodes[layers[i].real]), sizeof(*layer->sums));
        if (!layer->sums) {
            st = QZ_ERR_MEMORY;
            goto fail;
        }
    }
    qzi_free(graph->ctx, layers);
    *means = m;
    return QZ_OK;
fail:
    qzi_free(graph->ctx, layers);
    qzi_float_means_destroy(m);
    return st;
}

void qzi_float_means_destroy(qzi_float_means *means)
{
    if (!means)
        return;
    const qz_context *ctx = means->graph->ctx;
    for (size_t i = 0; i < means->count; i++)
        qzi_free(ctx, means->layers[i].sums);
    qzi_free(ctx, means->layers);
    qzi_free(ctx, means);
}

qz_status qzi_float_means_hook(void *user, const qz_graph *graph, qz_value node,
                               const qzk_view *view)
{
    qzi_float_means *m = user;
    for (size_t i = 0; i < m->count; i++) {
        layer_means *layer = &m->layers[i];
        const qzi_node *real = &graph->nodes[layer->at.real];
        qzi_shape out;
        if (real->in[0] != node)
            continue;
        QZI_TRY(qzi_layer_out_size(graph, layer->at.real, view, &out));
        QZI_TRY(qzi_taps_add_f32(graph->ctx, m->threads, real, view, out.h, out.w, layer->sums));
        layer->count += (int64_t)out.n * out.h * out.w;
    }
    return QZ_OK;
}

/* ---- the mean error ---- */

/* What the weights alone make of the sums of floats. */
static double real_sum(const qzi_node *node, const float *w, const double *sums, int64_t o)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const int64_t icg = a->ic / a->groups, first = o / (a->oc / a->groups) * icg;
    double sum = 0.0;
    for (int64_t tap = 0; tap < (int64_t)taps_of(node); tap++)
        for (int64_t i = 0; i < icg; i++)
            sum += (double)w[qzi_layer_weight_at(node, o, i, tap)] * sums[tap * a->ic + first + i];
    return sum;
}

/* The same of integers: exact. */
static int64_t integer_sum(const qzi_node *node, const int64_t *sums, int64_t o)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const int64_t icg = a->ic / a->groups, first = o / (a->oc / a->groups) * icg;
    int64_t sum = 0;
    for (int64_t tap = 0; tap < (int64_t)taps_of(node); tap++)
        for (int64_t i = 0; i < icg; i++)
            sum +=
                node->qw->w[qzi_layer_weight_at(node, o, i, tap)] * sums[tap * a->ic + first + i];
    return sum;
}

/* Sums of (q - zero point) of the int8 layer's input. */
static qz_status sum_input(const qz_graph *graph, const qzi_walk_layer *at, uint32_t threads,
                           int64_t *sums)
{
    const qzi_node *node = &graph->nodes[at->layer->node], *x = &graph->nodes[node->in[0]];
    const int32_t ic = node->u.conv.ic;
    int64_t *places = qzi_calloc(graph->ctx, taps_of(node), sizeof(*places));
    qz_status st = places ? QZ_OK : QZ_ERR_MEMORY;
    for (size_t i = 0; i < at->count && st == QZ_OK; i++) {
        const qzk_view in = qzi_exec_value(at->execs[i], node->in[0]);
        qzi_shape out;
        st = qzi_layer_out_size(graph, at->layer->node, &in, &out);
        if (st == QZ_OK)
            st = qzi_taps_add_u8(graph->ctx, threads, node, &in, out.h, out.w, sums, places);
    }
    for (size_t tap = 0; tap < taps_of(node) && st == QZ_OK; tap++)
        for (int32_t k = 0; k < ic; k++)
            sums[tap * (size_t)ic + (size_t)k] -= places[tap] * qzi_q_zero(x, k);
    qzi_free(graph->ctx, places);
    return st;
}

/* shifts[oc]: the mean error of each output channel. */
static qz_status find_means(const qz_graph *graph, const qz_graph *int8_graph,
                            const layer_means *layer, const qzi_walk_layer *at, uint32_t threads,
                            float *shifts)
{
    const qzi_node *node = &int8_graph->nodes[at->layer->node];
    const qzi_param *weight = qzi_node_param(graph, &graph->nodes[layer->at.real], QZI_P_WEIGHT);
    int64_t *sums = qzi_calloc(graph->ctx, sums_of(node), sizeof(*sums));
    const qz_status st = sums ? sum_input(int8_graph, at, threads, sums) : QZ_ERR_MEMORY;
    for (int64_t o = 0; o < node->u.conv.oc && st == QZ_OK; o++) {
        const double real = real_sum(node, weight->tensor.data, layer->sums, o);
        const double made =
            (double)integer_sum(node, sums, o) * (double)qzi_layer_step(int8_graph, node, o);
        shifts[o] = (float)((real - made) / (double)layer->count);
    }
    qzi_free(graph->ctx, sums);
    return st;
}

/* ---- layers with an activation ---- */

typedef struct correction {
    const qz_graph *graph;
    qz_graph *int8_graph;
    const qzi_float_means *means;
    uint32_t threads;
    size_t corrected;
    qzi_adaround *rounding; /* of each layer before its correction; NULL */
} correction;

/* The activation that works on the layer's sums alone: fused, or the only reader. */
static qz_activation activation_of(const qz_graph *graph, qz_value layer)
{
    if (graph->nodes[layer].act != QZ_ACT_NONE)
        return graph->nodes[layer].act;
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].op == QZI_OP_ACTIVATION && graph->nodes[i].in[0] == layer &&
            qzi_graph_readers(graph, layer) == 1)
            return graph->nodes[i].act;
    return QZ_ACT_NONE;
}

/* The sums of both layers at the samples, biases included: [oc][count]. */
static qz_status find_sums(const correction *c, const qzi_walk_layer *at, float **real,
                           float **made)
{
    const qzi_node *node = &c->int8_graph->nodes[at->layer->node];
    const qzi_node *from = &c->graph->nodes[at->layer->real];
    const qzi_param *weight = qzi_node_param(c->graph, from, QZI_P_WEIGHT);
    const qzi_param *bias = qzi_node_param(c->graph, from, QZI_P_BIAS);
    const int64_t oc = node->u.conv.oc, per = qz_tensor_numel(&weight->tensor) / oc;
    qz_context *ctx = c->graph->ctx;
    const size_t size = (size_t)(oc * at->real->count) * sizeof(float);
    qzi_samples samples = {0};
    float *w = qzi_alloc(ctx, (size_t)(oc * per) * sizeof(*w));
    qz_status st = QZ_ERR_MEMORY;
    *real = qzi_alloc(ctx, size);
    *made = qzi_alloc(ctx, size);
    if (!w || !*real || !*made)
        goto fail;
    for (int64_t i = 0; i < oc * per; i++)
        w[i] = (float)node->qw->w[i] * qzi_layer_step(c->int8_graph, node, i / per);
    QZI_GOTO(st, qzi_samples_take(c->int8_graph, at->layer->node, at->execs, at->count, at->samples,
                                  c->threads, &samples));
    QZI_GOTO(st, qzi_samples_multiply(ctx, c->threads, &samples, node, w, *made));
    QZI_GOTO(st, qzi_samples_multiply(ctx, c->threads, at->real, from, weight->tensor.data, *real));
    for (int64_t i = 0; i < oc * samples.count; i++) {
        (*made)[i] += node->qw->bias_f32[i / samples.count];
        (*real)[i] += bias ? ((const float *)bias->tensor.data)[i / samples.count] : 0.0f;
    }
fail:
    qzi_samples_free(ctx, &samples);
    qzi_free(ctx, w);
    return st;
}

/* Shifts of all channels, shared among threads. */
typedef struct shift_task {
    const qzk_kernels *kernels;
    qz_activation act;
    int64_t count;
    const float *real, *made;
    float *scratch; /* 4 runs of `count` for each thread */
    float *shifts;
} shift_task;

static void activate(const shift_task *t, const float *x, float shift, float *y)
{
    for (int64_t i = 0; i < t->count; i++)
        y[i] = x[i] + shift;
    qzi_act_f32(t->kernels, t->act, y, y, (size_t)t->count);
}

/* Squared error behind the activation. */
static double error_of(const float *real, const float *made, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += ((double)real[i] - (double)made[i]) * ((double)real[i] - (double)made[i]);
    return sum;
}

/* Newton's steps for the smallest squares; slopes are differences over `h`. */
#define NEWTON_STEPS 4

static float find_shift(const shift_task *t, const float *real, const float *made, float *scratch,
                        float mean)
{
    float *goal = scratch, *now = goal + t->count, *next = now + t->count;
    double energy = 0.0, least, error;
    float best = 0.0f;
    activate(t, real, 0.0f, goal);
    activate(t, made, 0.0f, now);
    least = error_of(goal, now, t->count);
    activate(t, made, mean, now);
    if ((error = error_of(goal, now, t->count)) < least) {
        least = error;
        best = mean;
    }
    for (int64_t i = 0; i < t->count; i++)
        energy += (double)real[i] * (double)real[i];
    const float h = (float)sqrt(energy / (double)t->count) * 0.0078125f;
    float at = best;
    for (int step = 0; step < NEWTON_STEPS && h > 0.0f; step++) {
        double slope = 0.0, square = 0.0;
        activate(t, made, at, now);
        activate(t, made, at + h, next);
        for (int64_t i = 0; i < t->count; i++) {
            const double g = ((double)next[i] - (double)now[i]) / (double)h;
            slope += g * ((double)goal[i] - (double)now[i]);
            square += g * g;
        }
        if (!(square > 0.0))
            break;
        at += (float)(slope / square);
        activate(t, made, at, now);
        error = error_of(goal, now, t->count);
        if (!(error < least))
            break;
        least = error;
        best = at;
    }
    return best;
}

static void find_shifts(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const shift_task *t = arg;
    for (int64_t o = begin; o < end; o++)
        t->shifts[o] = find_shift(t, t->real + o * t->count, t->made + o * t->count,
                                  t->scratch + (int64_t)thread * 3 * t->count, t->shifts[o]);
}

/* Takes the means in shifts[oc], and puts in what leaves the smallest error. */
static qz_status refine_shifts(const correction *c, const qzi_walk_layer *at, qz_activation act,
                               float *shifts)
{
    const qz_context *ctx = c->graph->ctx;
    qzk_kernels kernels;
    float *real = NULL, *made = NULL;
    qz_status st = find_sums(c, at, &real, &made);
    const size_t run = 3 * (size_t)at->real->count * sizeof(float);
    float *scratch = st == QZ_OK ? qzi_alloc(ctx, c->threads * run) : NULL;
    if (st == QZ_OK && !scratch)
        st = QZ_ERR_MEMORY;
    if (st == QZ_OK) {
        qzk_init(&kernels, qz_context_isa(ctx));
        shift_task task = {&kernels, act, at->real->count, real, made, scratch, shifts};
        qzi_parallel(ctx, c->threads, c->int8_graph->nodes[at->layer->node].u.conv.oc, 8,
                     find_shifts, &task);
    }
    qzi_free(ctx, scratch);
    qzi_free(ctx, real);
    qzi_free(ctx, made);
    return st;
}

/* ---- the correction ---- */

/* A bias that would leave its range stays as it was. */
static void apply_shifts(qz_graph *int8_graph, qzi_node *node, const float *shifts)
{
    for (int64_t o = 0; o < node->u.conv.oc; o++) {
        const float bias = node->qw->bias_f32[o] + shifts[o];
        const float steps = qzi_rnef(bias / qzi_layer_step(int8_graph, node, o));
        if (!(fabsf(steps) < 0x1p30f))
            continue;
        node->qw->bias_f32[o] = bias;
        node->qw->bias[o] = (int32_t)steps;
    }
}

static qz_status visit(void *user, const qzi_walk_layer *at, bool *changed)
{
    correction *c = user;
    const layer_means *layer = NULL;
    qzi_node *node = &c->int8_graph->nodes[at->layer->node];
    const qz_activation act = activation_of(c->graph, at->layer->real);
    for (size_t i = 0; i < c->means->count; i++)
        if (c->means->layers[i].at.node == at->layer->node)
            layer = &c->means->layers[i];
    if (c->rounding)
        QZI_TRY(qzi_adaround_visit(c->rounding, at, changed));
    if (!layer || layer->count == 0)
        return QZ_OK;
    float *shifts = qzi_calloc(c->graph->ctx, (size_t)node->u.conv.oc, sizeof(*shifts));
    if (!shifts)
        return QZ_ERR_MEMORY;
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = find_means(c->graph, c->int8_graph, layer, at, c->threads, shifts);
    if (st == QZ_OK && act != QZ_ACT_NONE && node->op != QZI_OP_CONV_TRANSPOSE2D)
        st = refine_shifts(c, at, act, shifts);
    if (st == QZ_OK) {
        apply_shifts(c->int8_graph, node, shifts);
        c->corrected++;
        *changed = true;
    }
    qzi_fpenv_leave(env);
    qzi_free(c->graph->ctx, shifts);
    return st;
}

qz_status qzi_bias_correct(const qz_graph *graph, qz_graph *int8_graph, const qzi_kept *kept,
                           size_t count, const qzi_float_means *means, qzi_adaround *rounding,
                           uint32_t threads, size_t *corrected, size_t *skipped)
{
    correction c = {.graph = graph,
                    .int8_graph = int8_graph,
                    .means = means,
                    .threads = threads,
                    .rounding = rounding};
    const int64_t places = rounding ? QZI_ADAROUND_SAMPLES : QZI_SAMPLES;
    QZI_TRY(qzi_walk_layers(graph, int8_graph, kept, count, places, threads, visit, &c));
    *corrected = c.corrected;
    *skipped = means->count - c.corrected;
    return QZ_OK;
}
