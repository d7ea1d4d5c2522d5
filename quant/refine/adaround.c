/* SPDX-License-Identifier: MIT */
/*
 * adaround.c - rounding of weights by the error of their layer's output.
 *
 * The error of an output channel is quadratic in its integers q: step^2 q'Hq - 2 step q'b, with
 * H = sum x x' of the int8 input's patches x, and b = sum x y of the float layer's outputs y. So no
 * gradient has to be followed in small steps. Weights are rounded one after the other, the error of
 * each made up for by those that are left (Babai's nearest plane, 1986, which is GPTQ). Then single
 * steps up or down that lower the error exactly follow. All sums are in double in one order, those
 * of H exact, so that the bytes are the same everywhere.
 */
#include "quant/refine/adaround.h"
#include "quant/refine/layer_weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One group of output channels that read the same inputs; scratch of one thread. */
typedef struct group {
    const qzi_adaround *work;
    const qzi_layer *layer;
    const qzi_node *node;
    const float *real;      /* [oc][count]: what the float layer computes */
    int64_t k, count;       /* inputs of an output channel, samples */
    int64_t first, outputs; /* output channels */
    int64_t *order;         /* [k]: rows of x, those of little energy first */
    int16_t *x;             /* [k][count] */
    double *means;          /* [k] of x */
    double *h, *l;          /* [k][k]: H with the prior; its Cholesky factor */
    double *prior;          /* [k] */
    double *scratch;        /* for each thread SCRATCH * k */
} group;
#define SCRATCH 6

/* ---- sums ---- */

enum { LANES = 8 };

static double dot(const double *restrict a, const double *restrict b, int64_t n)
{
    double lanes[LANES] = {0.0}, sum = 0.0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            lanes[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        sum += a[i] * b[i];
    for (int j = 0; j < LANES; j++)
        sum += lanes[j];
    return sum;
}

/* Exact: 255^2 times the samples fits. */
static int32_t dot_integers(const int16_t *restrict a, const int16_t *restrict b, int64_t n)
{
    int32_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (int32_t)a[i] * b[i];
    return sum;
}

static double dot_mixed(const int16_t *restrict a, const float *restrict b, int64_t n)
{
    double lanes[LANES] = {0.0}, sum = 0.0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            lanes[j] += (double)a[i + j] * (double)b[i + j];
    for (; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    for (int j = 0; j < LANES; j++)
        sum += lanes[j];
    return sum;
}

static void add_scaled(double *restrict to, const double *restrict from, double factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += factor * from[i];
}

/* ---- the quadratic form ---- */

/* Row k of the group's inputs: an input channel at a tap. */
static void take_row(const group *g, const qzi_samples *samples, int64_t k, int16_t *x)
{
    const qzi_conv2d_attr *a = &g->node->u.conv;
    const int64_t taps = (int64_t)a->kh * a->kw, icg = a->ic / a->groups;
    const int64_t channel = g->first / (a->oc / a->groups) * icg + k / taps;
    const float *from = samples->rows + k % taps * a->ic + channel;
    for (int64_t s = 0; s < g->count; s++)
        x[s] = (int16_t)from[s * samples->width];
}

/* Rows are ordered by energy. */
typedef struct energy {
    double sum;
    int64_t k;
} energy;

static int compare(const void *a, const void *b)
{
    const energy *x = a, *y = b;
    if (x->sum != y->sum)
        return x->sum < y->sum ? -1 : 1;
    return x->k < y->k ? -1 : x->k > y->k;
}

typedef struct fill_task {
    group *g;
    const qzi_samples *samples;
} fill_task;

static void fill_rows(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const fill_task *t = arg;
    group *g = t->g;
    (void)thread;
    for (int64_t k = begin; k < end; k++) {
        int16_t *x = g->x + k * g->count;
        int64_t sum = 0;
        take_row(g, t->samples, g->order[k], x);
        for (int64_t s = 0; s < g->count; s++)
            sum += x[s];
        g->means[k] = g->work->centered ? (double)sum / (double)g->count : 0.0;
    }
}

static void fill_products(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const fill_task *t = arg;
    group *g = t->g;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        for (int64_t j = 0; j <= i; j++) {
            const double sum = dot_integers(g->x + i * g->count, g->x + j * g->count, g->count);
            const double product = sum - (double)g->count * g->means[i] * g->means[j];
            g->h[i * g->k + j] = product;
            g->h[j * g->k + i] = product;
        }
}

/* The lower factor of H, in place of nothing: rows are dots of rows before them. */
static void factor(group *g)
{
    for (int64_t i = 0; i < g->k; i++) {
        double *row = g->l + i * g->k;
        for (int64_t j = 0; j < i; j++)
            row[j] = (g->h[i * g->k + j] - dot(row, g->l + j * g->k, j)) / g->l[j * g->k + j];
        const double rest = g->h[i * g->k + i] - dot(row, row, i);
        row[i] = sqrt(QZI_MAX(rest, g->prior[i] * 0.5));
    }
}

/* ---- one output channel ---- */

/*
 * Where steps are many, a weight is rounded down or up, as in AdaRound: free ones follow the noise
 * of few images (mobilenet_v2 in fbgemm lost 15 of 500). Where steps are few, any integer will do.
 */
static double bound(const group *g, double q, double steps)
{
    if (g->work->form.bits < 7)
        return q;
    const double low = floor(steps), high = ceil(steps);
    return qzi_layer_integer(q < low ? low : q > high ? high : q, g->work->form);
}

/* Nearest plane: from the last row, that of the largest energy, to the first. */
static void round_in_order(const group *g, const double *b, const double *targets, double step,
                           double *rest, double *q)
{
    memcpy(rest, b, (size_t)g->k * sizeof(*b));
    for (int64_t i = 0; i < g->k; i++)
        rest[i] = (rest[i] - dot(g->l + i * g->k, rest, i)) / g->l[i * g->k + i];
    for (int64_t i = g->k; i-- > 0;) {
        const double *row = g->l + i * g->k;
        q[i] = bound(g, qzi_layer_integer(rest[i] / (row[i] * step), g->work->form),
                     targets[g->order[i]] / step);
        add_scaled(rest, row, -step * q[i], i);
    }
}

/* slope = H step q - b; returns the error but for what q does not change. */
static double find_slope(const group *g, const double *b, double step, const double *q,
                         double *slope)
{
    double error = 0.0;
    for (int64_t i = 0; i < g->k; i++)
        slope[i] = -b[i];
    for (int64_t i = 0; i < g->k; i++)
        if (q[i] != 0.0)
            add_scaled(slope, g->h + i * g->k, step * q[i], g->k);
    for (int64_t i = 0; i < g->k; i++)
        error += step * q[i] * (slope[i] - b[i]);
    return error;
}

/* Single steps that lower the error, over and over; returns the error. */
static double descend(const group *g, const double *b, const double *targets, double step,
                      double *q, double *slope)
{
    const double low = qzi_weight_low(g->work->form.bits);
    const double high = qzi_weight_high(g->work->form.bits);
    find_slope(g, b, step, q, slope);
    for (int64_t round = 0; round < g->work->iterations; round++) {
        bool moved = false;
        for (int64_t i = 0; i < g->k; i++) {
            const double own = step * g->h[i * g->k + i];
            const double d = slope[i] < 0.0 ? 1.0 : -1.0;
            /* 2 d step slope + step^2 H < 0, by more than rounding */
            if (2.0 * fabs(slope[i]) <= own * 1.0000001 || q[i] + d < low || q[i] + d > high ||
                bound(g, q[i] + d, targets[g->order[i]] / step) != q[i] + d)
                continue;
            q[i] += d;
            add_scaled(slope, g->h + i * g->k, d * step, g->k);
            moved = true;
        }
        if (!moved)
            break;
    }
    return find_slope(g, b, step, q, slope);
}

/* Scales that are tried beside the present one, where steps are few. */
static const double ratios[] = {1.0, 0.92, 0.85, 1.08};

static int64_t weight_index(const group *g, int64_t o, int64_t row)
{
    const int64_t taps = (int64_t)g->node->u.conv.kh * g->node->u.conv.kw;
    return qzi_layer_weight_at(g->node, o, g->order[row] / taps, g->order[row] % taps);
}

static void find_products(const group *g, int64_t o, double *targets, double *b)
{
    const float *y = g->real + o * g->count;
    double mean = 0.0;
    for (int64_t s = 0; s < g->count; s++)
        mean += (double)y[s];
    for (int64_t i = 0; i < g->k; i++)
        b[i] = dot_mixed(g->x + i * g->count, y, g->count) - mean * g->means[i];
    qzi_layer_targets(g->work->graph, g->work->int8_graph, g->layer, o, targets);
    for (int64_t i = 0; i < g->k; i++)
        b[i] += g->prior[i] * targets[g->order[i]];
}

static void round_output(const group *g, int64_t o, double *scratch)
{
    double *b = scratch, *q = b + g->k, *best = q + g->k, *slope = best + g->k;
    double *rest = slope + g->k, *targets = rest + g->k;
    const qzi_weight_form form = g->work->form;
    const float scale = g->node->qw->scales[o];
    const double step = (double)qzi_layer_step(g->work->int8_graph, g->node, o);
    double chosen = 1.0;
    bool better = false;
    find_products(g, o, targets, b);
    for (int64_t i = 0; i < g->k; i++)
        q[i] = g->node->qw->w[weight_index(g, o, i)];
    double least = find_slope(g, b, step, q, slope);
    const int64_t count = form.per_channel && form.bits < 7 ? (int64_t)QZI_ARRAY_LEN(ratios) : 1;
    for (int64_t r = 0; r < 2 * count; r++) {
        double now = ratios[r / 2];
        if (r % 2)
            for (int64_t i = 0; i < g->k; i++)
                q[i] = qzi_layer_integer(targets[g->order[i]] / (step * now), form);
        else
            round_in_order(g, b, targets, step * now, rest, q);
        double error = descend(g, b, targets, step * now, q, slope);
        const double product = dot(q, b, g->k), square = dot(q, slope, g->k) + product;
        if (form.per_channel && form.bits < 7 && product > 0.0 &&
            square > 0.0) { /* the best scale for these */
            const double ratio = now * product / square;
            if (ratio > 0.5 && ratio < 2.0) {
                now = (double)(float)((double)scale * ratio) / (double)scale;
                error = descend(g, b, targets, step * now, q, slope);
            }
        }
        if (!(error < least))
            continue;
        least = error;
        chosen = now;
        better = true;
        memcpy(best, q, (size_t)g->k * sizeof(*q));
    }
    if (!better || (chosen != 1.0 && !qzi_layer_set_scale(g->work->int8_graph, g->node, o,
                                                          (float)((double)scale * chosen))))
        return;
    for (int64_t i = 0; i < g->k; i++)
        g->node->qw->w[weight_index(g, o, i)] = (int8_t)best[i];
}

static void round_outputs(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const group *g = arg;
    for (int64_t o = begin; o < end; o++)
        round_output(g, g->first + o, g->scratch + (int64_t)thread * SCRATCH * g->k);
}

/* ---- a layer ---- */

static void round_group(group *g, const qzi_samples *samples, uint32_t threads, energy *energies)
{
    const qz_context *ctx = g->work->graph->ctx;
    fill_task task = {g, samples};
    double trace = 0.0;
    for (int64_t k = 0; k < g->k; k++) {
        take_row(g, samples, k, g->x);
        energies[k] = (energy){(double)dot_integers(g->x, g->x, g->count), k};
    }
    qsort(energies, (size_t)g->k, sizeof(*energies), compare);
    for (int64_t k = 0; k < g->k; k++)
        g->order[k] = energies[k].k;
    qzi_parallel(ctx, threads, g->k, 16, fill_rows, &task);
    qzi_parallel(ctx, threads, g->k, 16, fill_products, &task);
    for (int64_t k = 0; k < g->k; k++)
        trace += g->h[k * g->k + k];
    /* Few samples say little of how inputs go together. As many of them as there are inputs weigh
     * as much as the weights' own values: then 32 images cannot settle a linear layer. */
    const double part = (double)g->k / (double)g->count;
    const double least = QZI_MAX(trace / (double)g->k * 0x1p-10, 1.0);
    for (int64_t k = 0; k < g->k; k++) {
        g->prior[k] = part * g->h[k * g->k + k] + least;
        g->h[k * g->k + k] += g->prior[k];
    }
    factor(g);
    qzi_parallel(ctx, threads, g->outputs, 4, round_outputs, g);
}

static qz_status round_layer(const qzi_adaround *work, const qzi_walk_layer *at,
                             const qzi_samples *samples, const float *real)
{
    const qz_context *ctx = work->graph->ctx;
    const qzi_node *node = &work->int8_graph->nodes[at->layer->node];
    const qzi_conv2d_attr *a = &node->u.conv;
    const int64_t k = (int64_t)(a->ic / a->groups) * a->kh * a->kw;
    group g = {.work = work,
               .layer = at->layer,
               .node = node,
               .real = real,
               .k = k,
               .count = samples->count,
               .outputs = a->oc / a->groups};
    const size_t n = (size_t)k;
    energy *energies = qzi_alloc(ctx, n * sizeof(*energies));
    g.order = qzi_alloc(ctx, n * sizeof(*g.order));
    g.x = qzi_alloc(ctx, n * (size_t)g.count * sizeof(*g.x));
    g.means = qzi_alloc(ctx, n * sizeof(*g.means));
    g.prior = qzi_alloc(ctx, n * sizeof(*g.prior));
    g.h = qzi_alloc(ctx, n * n * sizeof(*g.h));
    g.l = qzi_alloc(ctx, n * n * sizeof(*g.l));
    g.scratch = qzi_alloc(ctx, n * SCRATCH * work->threads * sizeof(*g.scratch));
    const bool room = energies && g.order && g.x && g.means && g.prior && g.h && g.l && g.scratch;
    for (int32_t i = 0; i < a->groups && room; i++) {
        g.first = i * g.outputs;
        round_group(&g, samples, work->threads, energies);
    }
    qzi_free(ctx, energies);
    qzi_free(ctx, g.order);
    qzi_free(ctx, g.x);
    qzi_free(ctx, g.means);
    qzi_free(ctx, g.prior);
    qzi_free(ctx, g.h);
    qzi_free(ctx, g.l);
    qzi_free(ctx, g.scratch);
    return room ? QZ_OK : QZ_ERR_MEMORY;
}

qz_status qzi_adaround_visit(void *user, const qzi_walk_layer *at, bool *changed)
{
    qzi_adaround *work = user;
    qz_context *ctx = work->graph->ctx;
    const qzi_node *node = &work->int8_graph->nodes[at->layer->node];
    const qzi_node *from = &work->graph->nodes[at->layer->real];
    const qzi_param *weight = qzi_node_param(work->graph, from, QZI_P_WEIGHT);
    qzi_samples samples = {0};
    if (node->op == QZI_OP_CONV_TRANSPOSE2D)
        return QZ_OK;
    qz_status st = qzi_samples_take(work->int8_graph, at->layer->node, at->execs, at->count,
                                    at->samples, work->threads, &samples);
    float *real =
        st == QZ_OK
            ? qzi_alloc(ctx, (size_t)node->u.conv.oc * (size_t)samples.count * sizeof(*real))
            : NULL;
    if (st == QZ_OK && !real)
        st = QZ_ERR_MEMORY;
    const qzi_fpenv env = qzi_fpenv_enter();
    if (st == QZ_OK)
        st = qzi_samples_multiply(ctx, work->threads, at->real, from, weight->tensor.data, real);
    if (st == QZ_OK)
        st = round_layer(work, at, &samples, real);
    qzi_fpenv_leave(env);
    qzi_free(ctx, real);
    qzi_samples_free(ctx, &samples);
    if (st == QZ_OK) {
        work->rounded++;
        *changed = true;
    }
    return st;
}
