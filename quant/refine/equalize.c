/* SPDX-License-Identifier: MIT */
/*
 * equalize.c - equalization by the error of the layers that read a value.
 *
 * A layer that sums over channels multiplies its weights by the scales of its input before they
 * are quantized. Fine scales for quiet channels make their values exact and their weights coarse
 * beside those of loud channels. The error of a reader's output is estimated as
 *   values:  sum over channels of (error of quantizing x_c) * (sum of squares of its weights),
 *   weights: sum over outputs of step^2 / 12 * (sum over channels and taps of E[(x_c / s_c)^2]),
 * as errors are nearly independent. Where biases are corrected, the mean of x_c costs nothing.
 */
#include "quant/refine/equalize.h"
#include "layers/kernels/words.h"
#include "quant/channels.h"
#include "quant/decide.h"
#include "quant/qparams.h"

#include <math.h>

#include <string.h>

/* What is tried: powers of range over weight, and factors on the scales, by which a value comes
 * nearer to the others that a concat puts beside it. */
static const float alphas[] = {0.0f, 0.25f, 0.5f, 0.75f};
static const float factors[] = {1.0f, 2.0f, 4.0f};
#define ALPHAS ((int)QZI_ARRAY_LEN(alphas))
#define FACTORS ((int)QZI_ARRAY_LEN(factors))
#define CHOICES (ALPHAS * FACTORS)

/* The least part of the largest range, or weight, that counts: dead channels have neither. */
#define LEAST_PART 0x1p-8f

/* The same of scales where a convolution computes a function: words hold all channels in one unit
 * (values.c). */
#define LEAST_SCALE_WORDS 0x1p-5f

/* An input channel of a layer: which observed value it comes from. */
typedef struct origin {
    qz_value value;
    int32_t channel;
} origin;

/* A convolution or linear that reads a DENSE value. */
typedef struct reader {
    const qzi_node *node;
    const float *w; /* [oc][ic / groups][taps] */
    int64_t icg, taps;
    origin *origins; /* [ic] */
} reader;

typedef struct work {
    const qz_graph *graph;
    const qzi_calibration *calibration;
    const qzi_qconfig *qconfig;
    qzi_decision *decisions;
    qzi_values *values;
    uint32_t threads;
    size_t reader_count;
    reader *readers;
    double **power; /* by node: [c]; NULL: not looked at yet, or not observed */
} work;

/* ---- the graph ---- */

/* Whose channel it is, behind nodes that hand channels on. */
static origin origin_of(const work *w, qz_value value, int32_t c)
{
    while (w->decisions[value].channels == QZI_CHANNELS_KEPT) {
        const qzi_node *node = &w->graph->nodes[value];
        size_t k;
        c = qzi_channels_source(w->graph, node, c, &k);
        value = node->in[k];
    }
    return (origin){value, c};
}

static float scale_of(const work *w, origin at)
{
    const qzi_value_q *q = &w->values->list[at.value];
    return q->scale ? q->scale[at.channel] : q->q.scale;
}

static bool is_reader(const work *w, const qzi_node *node)
{
    return (node->op == QZI_OP_CONV2D || node->op == QZI_OP_LINEAR) &&
           w->decisions[node - w->graph->nodes].int8;
}

static qz_status find_readers(work *w)
{
    const qz_graph *graph = w->graph;
    w->readers = qzi_calloc(graph->ctx, graph->node_count, sizeof(*w->readers));
    w->power = qzi_calloc(graph->ctx, graph->node_count, sizeof(*w->power));
    if (!w->readers || !w->power)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        const qzi_param *weight = qzi_node_param(graph, node, QZI_P_WEIGHT);
        if (!is_reader(w, node) || !weight || !weight->tensor.data)
            continue;
        reader *r = &w->readers[w->reader_count++];
        *r = (reader){.node = node,
                      .w = weight->tensor.data,
                      .icg = node->u.conv.ic / node->u.conv.groups,
                      .taps = (int64_t)node->u.conv.kh * node->u.conv.kw};
        r->origins = qzi_calloc(graph->ctx, (size_t)node->u.conv.ic, sizeof(*r->origins));
        if (!r->origins)
            return QZ_ERR_MEMORY;
        for (int32_t c = 0; c < node->u.conv.ic; c++)
            r->origins[c] = origin_of(w, node->in[0], c);
    }
    return QZ_OK;
}

static bool reads(const reader *r, qz_value value)
{
    for (int32_t c = 0; c < r->node->u.conv.ic; c++)
        if (r->origins[c].value == value)
            return true;
    return false;
}

static void work_free(work *w)
{
    const qz_context *ctx = w->graph->ctx;
    for (size_t i = 0; i < w->reader_count; i++)
        qzi_free(ctx, w->readers[i].origins);
    for (size_t i = 0; w->power && i < w->graph->node_count; i++)
        qzi_free(ctx, w->power[i]);
    qzi_free(ctx, w->readers);
    qzi_free(ctx, w->power);
    qzi_decisions_free(w->graph, w->decisions);
}

/* ---- values ---- */

/* The mean squared error of a profile's values in steps from a zero point. */
static double rounding_error(const qzi_profile *p, float scale, int32_t zero_point, int32_t qmax)
{
    const double step = scale, low = -step * zero_point, high = step * (qmax - zero_point);
    double sum = 0.0;
    for (int32_t i = 0; i < p->bins; i++) {
        const double begin = p->edge[i], end = p->edge[i + 1], width = end - begin;
        const double middle = (begin + end) / 2.0;
        if (p->weight[i] <= 0.0)
            continue;
        if (width >= step && begin >= low && end <= high) {
            sum += p->weight[i] * (step * step / 12.0);
            continue;
        }
        double nearest = qzi_rne(middle / step) * step;
        nearest = QZI_MIN(QZI_MAX(nearest, low), high);
        sum += p->weight[i] * ((middle - nearest) * (middle - nearest) + width * width / 12.0);
    }
    return p->total > 0.0 ? sum / p->total : 0.0;
}

/* A value and the choices for it. */
typedef struct subject {
    qz_value value;
    const qzi_observer *observer;
    int32_t channels;
    float *low, *high; /* [channels]: ranges by channel */
    float *weight;     /* [channels]: largest weight, beside the largest of its reader */
    float *t;          /* [channels] */
    float *scale;      /* [CHOICES][channels] */
    uint8_t zero[CHOICES];
    double *error; /* [CHOICES][channels]: of x */
    double cost[CHOICES];
} subject;

static void subject_free(const qz_context *ctx, subject *s)
{
    qzi_free(ctx, s->low);
    qzi_free(ctx, s->high);
    qzi_free(ctx, s->weight);
    qzi_free(ctx, s->t);
    qzi_free(ctx, s->scale);
    qzi_free(ctx, s->error);
}

static qz_status subject_create(const qz_context *ctx, qz_value value, const qzi_observer *o,
                                subject *s)
{
    const size_t n = (size_t)qzi_observer_channels(o);
    *s = (subject){.value = value, .observer = o, .channels = (int32_t)n};
    s->low = qzi_calloc(ctx, n, sizeof(float));
    s->high = qzi_calloc(ctx, n, sizeof(float));
    s->weight = qzi_calloc(ctx, n, sizeof(float));
    s->t = qzi_calloc(ctx, n, sizeof(float));
    s->scale = qzi_calloc(ctx, n, CHOICES * sizeof(float));
    s->error = qzi_calloc(ctx, n, CHOICES * sizeof(double));
    const bool made = s->low && s->high && s->weight && s->t && s->scale && s->error;
    return made ? QZ_OK : QZ_ERR_MEMORY;
}

/* The largest weight of each channel, as a part of its reader's largest. */
static void find_weights(const work *w, subject *s)
{
    for (size_t i = 0; i < w->reader_count; i++) {
        const reader *r = &w->readers[i];
        const qzi_conv2d_attr *a = &r->node->u.conv;
        const int64_t count = r->icg * r->taps, opg = a->oc / a->groups;
        float top = 0.0f;
        if (!reads(r, s->value) || r->icg == 1)
            continue;
        for (int64_t k = 0; k < a->oc * count; k++)
            top = QZI_MAX(top, fabsf(r->w[k]));
        for (int64_t o = 0; o < a->oc && top > 0.0f; o++)
            for (int64_t c = 0; c < r->icg; c++) {
                const origin *from = &r->origins[o / opg * r->icg + c];
                if (from->value != s->value)
                    continue;
                float *to = &s->weight[from->channel];
                for (int64_t t = 0; t < r->taps; t++)
                    *to = QZI_MAX(*to, fabsf(r->w[(o * r->icg + c) * r->taps + t]) / top);
            }
    }
}

/* t of an alpha; the largest is 1. */
static void set_divisors(subject *s, float alpha)
{
    float range = 0.0f, weight = 0.0f, top = 0.0f;
    for (int32_t c = 0; c < s->channels; c++) {
        range = QZI_MAX(range, s->high[c] - s->low[c]);
        weight = QZI_MAX(weight, s->weight[c]);
    }
    for (int32_t c = 0; c < s->channels; c++) {
        float ratio = 1.0f;
        if (range > 0.0f)
            ratio *= QZI_MAX((s->high[c] - s->low[c]) / range, LEAST_PART);
        if (weight > 0.0f)
            ratio /= QZI_MAX(s->weight[c] / weight, LEAST_PART);
        s->t[c] = (float)qzi_math_exp((double)alpha * qzi_math_log((double)ratio));
        top = QZI_MAX(top, s->t[c]);
    }
    for (int32_t c = 0; c < s->channels; c++)
        s->t[c] /= top;
}

/* Scales and zero point of one alpha and each factor, into the choices from `first` on. */
static qz_status set_scales(const work *w, subject *s, float alpha, int first, int count)
{
    const qzi_node *node = &w->graph->nodes[s->value];
    const bool words = w->decisions[s->value].head != QZ_NO_VALUE && qzk_words_known(node->act);
    float min, max;
    set_divisors(s, alpha);
    for (int32_t c = 0; c < s->channels && words; c++)
        s->t[c] = QZI_MAX(s->t[c], LEAST_SCALE_WORDS);
    QZI_TRY(qzi_observer_scaled_range(s->observer, s->t, &min, &max));
    for (int k = 0; k < count; k++) {
        const float factor = factors[k];
        const qzi_qparams q = qzi_qparams_affine(min * factor, max * factor, 0, s->observer->qmax);
        s->zero[first + k] = (uint8_t)q.zero_point;
        for (int32_t c = 0; c < s->channels; c++) {
            float scale = q.scale * s->t[c];
            /* by channel the largest byte is at most 6 (CONTRACT.md) */
            if (node->act == QZ_ACT_RELU6)
                scale = QZI_MIN(scale, 6.0f / 255.0f);
            s->scale[(size_t)(first + k) * (size_t)s->channels + (size_t)c] = scale;
        }
    }
    return QZ_OK;
}

/* Errors of all choices, channel by channel. */
typedef struct error_task {
    const qz_context *ctx;
    subject *s;
    bool failed[1024];
} error_task;

static void find_errors(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    error_task *task = arg;
    subject *s = task->s;
    const size_t n = (size_t)s->channels;
    qzi_profile *profile = qzi_alloc(task->ctx, sizeof(*profile));
    task->failed[thread] = task->failed[thread] || !profile;
    for (int64_t c = begin; c < end && profile; c++) {
        qzi_profile_of_channel(&s->observer->tally, (int32_t)c, s->observer->bounds, profile);
        for (int k = 0; k < CHOICES; k++)
            s->error[(size_t)k * n + (size_t)c] = rounding_error(
                profile, s->scale[(size_t)k * n + (size_t)c], s->zero[k], s->observer->qmax);
    }
    qzi_free(task->ctx, profile);
}

/* ---- readers ---- */

/* The power of each channel of a value, once. */
static qz_status find_power(work *w, qz_value value)
{
    const qzi_observer *o = qzi_calibration_observer(w->calibration, value);
    if (w->power[value] || !o)
        return QZ_OK;
    const int32_t n = qzi_observer_channels(o);
    double *power = qzi_calloc(w->graph->ctx, (size_t)n, sizeof(*power));
    w->power[value] = power;
    if (!power)
        return QZ_ERR_MEMORY;
    for (int32_t c = 0; c < n; c++) {
        double mean, second;
        QZI_TRY(qzi_observer_channel_moments(o, c, &mean, &second));
        if (w->qconfig->bias_correction == QZ_BIAS_CORRECTION_IMAGES)
            second -= mean * mean;
        power[c] = QZI_MAX(second, 0.0);
    }
    return QZ_OK;
}

static double power_of(const work *w, origin at)
{
    const qzi_observer *o = qzi_calibration_observer(w->calibration, at.value);
    if (!w->power[at.value])
        return 0.0;
    return w->power[at.value][qzi_observer_channels(o) > 1 ? at.channel : 0];
}

/* What a reader's output suffers by each choice, output channel by output channel. */
typedef struct cost_task {
    const work *w;
    const reader *r;
    const subject *s;
    const float *scales; /* [CHOICES][ic] */
    double *energy;      /* [oc] */
    double *noise;       /* [CHOICES][oc]: of values */
    float *largest;      /* [CHOICES][oc]: weight times scale */
} cost_task;

static void find_costs(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const cost_task *t = arg;
    const reader *r = t->r;
    const qzi_conv2d_attr *a = &r->node->u.conv;
    const int64_t opg = a->oc / a->groups;
    (void)thread;
    for (int64_t o = begin; o < end; o++) {
        double energy = 0.0, noise[CHOICES] = {0.0};
        float largest[CHOICES] = {0.0f};
        for (int64_t i = 0; i < r->icg; i++) {
            const int64_t c = o / opg * r->icg + i;
            const origin *from = &r->origins[c];
            double squares = 0.0;
            float top = 0.0f;
            for (int64_t k = 0; k < r->taps; k++) {
                const float x = fabsf(r->w[(o * r->icg + i) * r->taps + k]);
                squares += (double)x * (double)x;
                top = QZI_MAX(top, x);
            }
            energy += squares * power_of(t->w, *from);
            for (int k = 0; k < CHOICES; k++)
                largest[k] = QZI_MAX(largest[k], top * t->scales[k * a->ic + c]);
            if (from->value == t->s->value)
                for (int k = 0; k < CHOICES; k++)
                    noise[k] += squares * t->s->error[k * t->s->channels + from->channel];
        }
        t->energy[o] = energy;
        for (int k = 0; k < CHOICES; k++) {
            t->noise[k * a->oc + o] = noise[k];
            t->largest[k * a->oc + o] = largest[k];
        }
    }
}

/* Adds the cost of each choice for one reader, beside the energy of its output. */
static void add_costs(const cost_task *t, subject *s)
{
    const reader *r = t->r;
    const qzi_conv2d_attr *a = &r->node->u.conv;
    const int64_t opg = a->oc / a->groups;
    double energy = 0.0;
    for (int64_t o = 0; o < a->oc; o++)
        energy += t->energy[o];
    for (int k = 0; k < CHOICES && energy > 0.0; k++) {
        double sum = 0.0, inputs = 0.0;
        float all = 0.0f;
        for (int64_t o = 0; o < a->oc; o++)
            all = QZI_MAX(all, t->largest[k * a->oc + o]);
        for (int64_t o = 0; o < a->oc; o++) {
            if (o % opg == 0) {
                inputs = 0.0;
                for (int64_t c = o / opg * r->icg; c < (o / opg + 1) * r->icg; c++) {
                    const double scale = t->scales[k * a->ic + c];
                    inputs += power_of(t->w, r->origins[c]) / (scale * scale);
                }
            }
            const double top = t->w->qconfig->per_channel ? t->largest[k * a->oc + o] : all;
            const double step = top / 127.5;
            sum += t->noise[k * a->oc + o] + step * step / 12.0 * (double)r->taps * inputs;
        }
        s->cost[k] += sum / energy;
    }
}

static qz_status cost_of_reader(work *w, const reader *r, subject *s)
{
    const qz_context *ctx = w->graph->ctx;
    const qzi_conv2d_attr *a = &r->node->u.conv;
    const size_t ic = (size_t)a->ic, oc = (size_t)a->oc;
    float *scales = qzi_calloc(ctx, CHOICES * ic, sizeof(*scales));
    float *largest = qzi_calloc(ctx, CHOICES * oc, sizeof(*largest));
    double *energy = qzi_calloc(ctx, oc, sizeof(*energy));
    double *noise = qzi_calloc(ctx, CHOICES * oc, sizeof(*noise));
    qz_status st = scales && largest && energy && noise ? QZ_OK : QZ_ERR_MEMORY;
    for (size_t c = 0; c < ic && st == QZ_OK; c++) {
        const origin *from = &r->origins[c];
        st = find_power(w, from->value);
        for (size_t k = 0; k < CHOICES; k++)
            scales[k * ic + c] = from->value == s->value
                                     ? s->scale[k * (size_t)s->channels + (size_t)from->channel]
                                     : scale_of(w, *from);
    }
    if (st == QZ_OK) {
        cost_task task = {w, r, s, scales, energy, noise, largest};
        qzi_parallel(ctx, w->threads, a->oc, 8, find_costs, &task);
        add_costs(&task, s);
    }
    qzi_free(ctx, scales);
    qzi_free(ctx, largest);
    qzi_free(ctx, energy);
    qzi_free(ctx, noise);
    return st;
}

/* ---- the choice ---- */

static qz_status find_cost(work *w, subject *s)
{
    const qz_context *ctx = w->graph->ctx;
    error_task errors = {.ctx = ctx, .s = s};
    qzi_parallel(ctx, QZI_MIN(w->threads, 1024), s->channels, 32, find_errors, &errors);
    for (size_t i = 0; i < QZI_ARRAY_LEN(errors.failed); i++)
        if (errors.failed[i])
            return QZ_ERR_MEMORY;
    for (size_t i = 0; i < w->reader_count; i++) {
        const reader *r = &w->readers[i];
        if (reads(r, s->value))
            QZI_TRY(cost_of_reader(w, r, s));
    }
    return QZ_OK;
}

static qz_status take(work *w, const subject *s, int choice, size_t *changed)
{
    const float *scale = s->scale + (size_t)choice * (size_t)s->channels;
    bool equal = true;
    for (int32_t c = 1; c < s->channels; c++)
        equal = equal && scale[c] == scale[0];
    *changed += !equal;
    return qzi_values_set(w->values, s->value, s->channels, scale, s->zero[choice]);
}

static qz_status equalize_value(work *w, subject *s, size_t *changed)
{
    const qzi_qconfig *q = w->qconfig;
    int best = 0;
    QZI_TRY(qzi_observer_channel_ranges(s->observer, w->threads, s->low, s->high));
    find_weights(w, s);
    if (q->equalize == QZ_EQUALIZATION_ALPHA) {
        QZI_TRY(set_scales(w, s, (float)q->equalize_alpha, 0, 1));
        return take(w, s, 0, changed);
    }
    for (int i = 0; i < ALPHAS; i++)
        QZI_TRY(set_scales(w, s, alphas[i], i * FACTORS, FACTORS));
    QZI_TRY(find_cost(w, s));
    for (int k = 1; k < CHOICES; k++)
        if (s->cost[k] < s->cost[best])
            best = k;
    return best == 0 ? QZ_OK : take(w, s, best, changed);
}

static qz_status equalize_all(work *w, size_t *changed)
{
    const qz_graph *graph = w->graph;
    QZI_TRY(qzi_decide(graph, w->qconfig, &w->decisions));
    QZI_TRY(find_readers(w));
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_observer *o = qzi_calibration_observer(w->calibration, (qz_value)i);
        subject s;
        if (w->decisions[i].channels != QZI_CHANNELS_DENSE || !o || qzi_observer_channels(o) < 2)
            continue;
        QZI_TRY(qzi_check_cancelled(graph->ctx));
        qz_status st = subject_create(graph->ctx, (qz_value)i, o, &s);
        const qzi_fpenv env = qzi_fpenv_enter();
        if (st == QZ_OK)
            st = equalize_value(w, &s, changed);
        qzi_fpenv_leave(env);
        subject_free(graph->ctx, &s);
        if (st != QZ_OK)
            return qzi_fail_prefix(graph->ctx, st, "%s", graph->nodes[i].name);
    }
    return QZ_OK;
}

qz_status qzi_equalize(const qz_graph *graph, const qzi_calibration *calibration,
                       qzi_values *values, size_t *changed)
{
    work w = {.graph = graph,
              .calibration = calibration,
              .qconfig = qzi_calibration_qconfig(calibration),
              .values = values,
              .threads = QZI_MAX(qzi_calibration_threads(calibration), 1)};
    const qz_status st = equalize_all(&w, changed);
    work_free(&w);
    return st;
}
