/* SPDX-License-Identifier: MIT */
/* qat.c - see qat.h. */
#include "quant/qat/qat.h"

#include <math.h>
#include <string.h>

/* Of a node's weights. */
typedef struct qat_weights {
    qz_value norm;
    int64_t oc, per; /* channels, weights of one */
    size_t count;    /* of ranges: 1, or oc */
    qzi_moving_range *ranges;
    qzi_fake_quant *params;
    float *factor;         /* [oc]: gamma / sqrt(running_var + eps), or 1 */
    float *deviation;      /* [oc]: sqrt(running_var + eps) */
    double *factor_change; /* [oc]: the gradient of factor, of the output's division */
    float *used;           /* fake quantized */
    float *gradient;       /* of `used` */
    uint8_t *inside;       /* [oc][per / 8 + 1] */
} qat_weights;

typedef struct qat_value {
    qzi_moving_range range;
    qzi_fake_quant params;
    bool fixed;
} qat_value;

struct qzi_qat {
    const qz_context *ctx;
    qz_graph *graph;
    qzi_backward *backward;
    bool observe;
    qat_weights **weights; /* by node; NULL: not fake quantized */
    qat_value **values;
};

static void free_weights(const qz_context *ctx, qat_weights *w)
{
    if (!w)
        return;
    qzi_free(ctx, w->ranges);
    qzi_free(ctx, w->params);
    qzi_free(ctx, w->factor);
    qzi_free(ctx, w->deviation);
    qzi_free(ctx, w->factor_change);
    qzi_free(ctx, w->used);
    qzi_free(ctx, w->gradient);
    qzi_free(ctx, w->inside);
    qzi_free(ctx, w);
}

void qzi_qat_destroy(qzi_qat *qat)
{
    if (!qat)
        return;
    for (size_t i = 0; i < qat->graph->node_count; i++) {
        if (qat->weights)
            free_weights(qat->ctx, qat->weights[i]);
        if (qat->values)
            qzi_free(qat->ctx, qat->values[i]);
    }
    qzi_free(qat->ctx, qat->weights);
    qzi_free(qat->ctx, qat->values);
    qzi_free(qat->ctx, qat);
}

qz_status qzi_qat_create(qz_graph *graph, qzi_qat **out)
{
    qzi_qat *qat = qzi_calloc(graph->ctx, 1, sizeof(*qat));
    if (!qat)
        return QZ_ERR_MEMORY;
    qat->ctx = graph->ctx;
    qat->graph = graph;
    qat->observe = true;
    qat->weights = qzi_calloc(qat->ctx, graph->node_count, sizeof(*qat->weights));
    qat->values = qzi_calloc(qat->ctx, graph->node_count, sizeof(*qat->values));
    if (!qat->weights || !qat->values) {
        qzi_qat_destroy(qat);
        return QZ_ERR_MEMORY;
    }
    *out = qat;
    return QZ_OK;
}

static size_t mask_bytes(const qat_weights *w)
{
    return (size_t)w->per / 8 + 1;
}

static qz_status alloc_weights(const qz_context *ctx, qat_weights *w)
{
    const size_t oc = (size_t)w->oc, all = oc * (size_t)w->per;
    w->ranges = qzi_calloc(ctx, w->count, sizeof(*w->ranges));
    w->params = qzi_calloc(ctx, w->count, sizeof(*w->params));
    w->factor = qzi_calloc(ctx, oc, sizeof(*w->factor));
    w->deviation = qzi_calloc(ctx, oc, sizeof(*w->deviation));
    w->factor_change = qzi_calloc(ctx, oc, sizeof(*w->factor_change));
    w->used = qzi_calloc(ctx, all, sizeof(*w->used));
    w->gradient = qzi_calloc(ctx, all, sizeof(*w->gradient));
    w->inside = qzi_calloc(ctx, oc, mask_bytes(w));
    return w->ranges && w->params && w->factor && w->deviation && w->factor_change && w->used &&
                   w->gradient && w->inside
               ? QZ_OK
               : QZ_ERR_MEMORY;
}

qz_status qzi_qat_weights(qzi_qat *qat, qz_value node, qz_value norm, bool per_channel,
                          int32_t qmin, int32_t qmax)
{
    const qz_graph *g = qat->graph;
    const qzi_node *n = &g->nodes[node];
    const qzi_param *param = qzi_node_param(g, n, QZI_P_WEIGHT);
    if ((n->op != QZI_OP_CONV2D && n->op != QZI_OP_LINEAR) || !param)
        return qzi_fail(qat->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: only convolutions and linear layers "
                        "train with quantized weights",
                        n->name);
    if (norm != QZ_NO_VALUE && n->param[QZI_P_BIAS] >= 0)
        return qzi_fail(qat->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: its bias before a batch norm is not trained quantized", n->name);
    qat_weights *w = qzi_calloc(qat->ctx, 1, sizeof(*w));
    if (!w)
        return QZ_ERR_MEMORY;
    w->norm = norm;
    w->oc = n->u.conv.oc;
    w->per = qz_tensor_numel(&param->tensor) / w->oc;
    w->count = per_channel ? (size_t)w->oc : 1;
    const qz_status st = alloc_weights(qat->ctx, w);
    if (st != QZ_OK) {
        free_weights(qat->ctx, w);
        return st;
    }
    for (size_t i = 0; i < w->count; i++)
        w->params[i] = (qzi_fake_quant){1.0f, 0, qmin, qmax};
    free_weights(qat->ctx, qat->weights[node]);
    qat->weights[node] = w;
    return QZ_OK;
}

qz_status qzi_qat_value(qzi_qat *qat, qz_value node, int32_t qmin, int32_t qmax)
{
    qat_value *v = qzi_calloc(qat->ctx, 1, sizeof(*v));
    if (!v)
        return QZ_ERR_MEMORY;
    v->params = (qzi_fake_quant){1.0f, 0, qmin, qmax};
    qzi_free(qat->ctx, qat->values[node]);
    qat->values[node] = v;
    return QZ_OK;
}

qz_status qzi_qat_fixed(qzi_qat *qat, qz_value node, qzi_qparams q)
{
    QZI_TRY(qzi_qat_value(qat, node, 0, 255));
    qat->values[node]->params.scale = q.scale;
    qat->values[node]->params.zero_point = q.zero_point;
    qat->values[node]->fixed = true;
    return QZ_OK;
}

void qzi_qat_observe(qzi_qat *qat, bool on)
{
    qat->observe = on;
}

void qzi_qat_attach(qzi_qat *qat, qzi_backward *backward)
{
    qat->backward = backward;
}

const qzi_fake_quant *qzi_qat_weight_params(const qzi_qat *qat, qz_value node, size_t *count)
{
    const qat_weights *w = qat->weights[node];
    *count = w ? w->count : 0;
    return w ? w->params : NULL;
}

const qzi_fake_quant *qzi_qat_value_params(const qzi_qat *qat, qz_value node)
{
    return qat->values[node] ? &qat->values[node]->params : NULL;
}

/* ---- weights ---- */

typedef struct weights_task {
    qzi_qat *qat;
    qat_weights *w;
    const float *from;
    float *to; /* the parameter's gradient */
} weights_task;

static qzi_fake_quant *params_of(const qat_weights *w, int64_t channel)
{
    return &w->params[w->count > 1 ? channel : 0];
}

static void scale_weights(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const weights_task *t = arg;
    (void)thread;
    for (int64_t i = begin * t->w->per; i < end * t->w->per; i++)
        t->w->used[i] = t->from[i] * t->w->factor[i / t->w->per];
}

static void quantize_weights(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const weights_task *t = arg;
    qat_weights *w = t->w;
    (void)thread;
    for (int64_t o = begin; o < end; o++) {
        float *used = w->used + o * w->per;
        qzi_fake_quantize(params_of(w, o), used, used, 0, (size_t)w->per, -INFINITY, INFINITY,
                          w->inside + (size_t)o * mask_bytes(w));
    }
}

static void observe_weights(const qat_weights *w)
{
    const int64_t each = w->count > 1 ? w->per : w->per * w->oc;
    for (size_t k = 0; k < w->count; k++) {
        const float *x = w->used + (int64_t)k * each;
        float min = x[0], max = x[0];
        for (int64_t i = 1; i < each; i++) {
            min = QZI_MIN(min, x[i]);
            max = QZI_MAX(max, x[i]);
        }
        qzi_moving_range_add(&w->ranges[k], min, max, QZI_MOVING_CONSTANT);
        qzi_fake_quant_choose(&w->params[k], w->ranges[k].min, w->ranges[k].max, true);
    }
}

static const float *param_data(const qzi_qat *qat, qz_value node, int which)
{
    return qzi_node_param(qat->graph, &qat->graph->nodes[node], which)->tensor.data;
}

static const float *hook_weights(void *user, const qzi_grad_run *r)
{
    qzi_qat *qat = user;
    qat_weights *w = qat->weights[r->number];
    weights_task t = {qat, w, r->params[QZI_P_WEIGHT]->data, NULL};
    for (int64_t o = 0; o < w->oc; o++) {
        w->factor[o] = w->deviation[o] = 1.0f;
        if (w->norm == QZ_NO_VALUE)
            continue;
        const float var = param_data(qat, w->norm, QZI_P_VAR)[o];
        w->deviation[o] = sqrtf(var + qat->graph->nodes[w->norm].u.bn.eps);
        w->factor[o] = param_data(qat, w->norm, QZI_P_WEIGHT)[o] / w->deviation[o];
    }
    qzi_parallel(r->ctx, r->threads, w->oc, 16, scale_weights, &t);
    if (qat->observe)
        observe_weights(w);
    qzi_parallel(r->ctx, r->threads, w->oc, 16, quantize_weights, &t);
    return w->used;
}

static float *hook_gradient(void *user, qz_value node)
{
    qzi_qat *qat = user;
    const qat_weights *w = qat->weights[node];
    memset(w->gradient, 0, (size_t)(w->oc * w->per) * sizeof(float));
    return w->gradient;
}

/* dw += g * factor; the factor's gradient has g * w. */
static void return_gradient(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const weights_task *t = arg;
    qat_weights *w = t->w;
    (void)thread;
    for (int64_t o = begin; o < end; o++) {
        const uint8_t *inside = w->inside + (size_t)o * mask_bytes(w);
        double sum = 0.0;
        for (int64_t i = 0; i < w->per; i++) {
            const float g = inside[i / 8] >> i % 8 & 1 ? w->gradient[o * w->per + i] : 0.0f;
            t->to[o * w->per + i] = t->to[o * w->per + i] + g * w->factor[o];
            sum += (double)g * (double)t->from[o * w->per + i];
        }
        w->factor_change[o] += sum;
    }
}

static void hook_gradient_done(void *user, const qzi_grad_run *r)
{
    qzi_qat *qat = user;
    qat_weights *w = qat->weights[r->number];
    weights_task t = {qat, w, r->params[QZI_P_WEIGHT]->data, r->dparam[QZI_P_WEIGHT]};
    if (t.to)
        qzi_parallel(r->ctx, r->threads, w->oc, 16, return_gradient, &t);
    if (w->norm == QZ_NO_VALUE)
        return;
    float *gamma = qzi_backward_gradient(qat->backward,
                                         (size_t)qat->graph->nodes[w->norm].param[QZI_P_WEIGHT]);
    for (int64_t o = 0; o < w->oc && gamma; o++)
        gamma[o] = gamma[o] + (float)(w->factor_change[o] / (double)w->deviation[o]);
}

/* ---- values ---- */

/* Elements whose range a thread looks at, and whose bits are whole bytes. */
#define BLOCK 4096

typedef struct value_task {
    const qzi_grad_run *r;
    const qzi_fake_quant *q;
    float *data;
    int64_t count;
    float lo, hi;
    float *ranges; /* of threads: min, max */
    const float *factor;
    int32_t c;
} value_task;

#define LANES 16

static void find_range(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const value_task *t = arg;
    const int64_t first = begin * BLOCK, stop = QZI_MIN(end * BLOCK, t->count);
    const int64_t whole = stop - (stop - first) % LANES;
    float min[LANES], max[LANES];
    for (int k = 0; k < LANES; k++) {
        min[k] = t->ranges[2 * thread];
        max[k] = t->ranges[2 * thread + 1];
    }
    for (int64_t i = first; i < whole; i += LANES) {
        const float *x = t->data + i;
        for (int k = 0; k < LANES; k++) {
            min[k] = x[k] < min[k] ? x[k] : min[k];
            max[k] = x[k] > max[k] ? x[k] : max[k];
        }
    }
    for (int64_t i = whole; i < stop; i++) {
        min[0] = t->data[i] < min[0] ? t->data[i] : min[0];
        max[0] = t->data[i] > max[0] ? t->data[i] : max[0];
    }
    for (int k = 1; k < LANES; k++) {
        min[0] = QZI_MIN(min[0], min[k]);
        max[0] = QZI_MAX(max[0], max[k]);
    }
    t->ranges[2 * thread] = min[0];
    t->ranges[2 * thread + 1] = max[0];
}

static void quantize_value(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const value_task *t = arg;
    const int64_t stop = QZI_MIN(end * BLOCK, t->count);
    (void)thread;
    qzi_fake_quantize(t->q, t->data, t->data, (size_t)(begin * BLOCK),
                      (size_t)(stop - begin * BLOCK), t->lo, t->hi, t->r->hook_kept);
}

static void mask_gradient(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    static const int32_t bit[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const value_task *t = arg;
    const uint8_t *inside = t->r->hook_kept;
    const int64_t stop = QZI_MIN(end * BLOCK, t->count), whole = stop - stop % 8;
    (void)thread;
    for (int64_t i = begin * BLOCK; i < whole; i += 8) {
        const int32_t bits = inside[i / 8];
        float *x = t->data + i;
        for (int k = 0; k < 8; k++)
            x[k] = bits & bit[k] ? x[k] : 0.0f;
    }
    for (int64_t i = whole; i < stop; i++)
        t->data[i] = inside[i / 8] & bit[i % 8] ? t->data[i] : 0.0f;
}

static void divide(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const value_task *t = arg;
    (void)thread;
    for (int64_t p = begin; p < end; p++)
        for (int32_t k = 0; k < t->c; k++)
            t->data[p * t->c + k] = t->data[p * t->c + k] / t->factor[k];
}

static int64_t blocks_of(const value_task *t)
{
    return QZI_DIV_UP(t->count, BLOCK);
}

static value_task task_of(const qzi_grad_run *r, const qzk_view *view)
{
    return (value_task){.r = r,
                        .data = view->data,
                        .count = qzi_view_pixels(view) * view->c,
                        .lo = -INFINITY,
                        .hi = INFINITY,
                        .c = view->c};
}

static void observe_value(value_task *t, qat_value *v)
{
    enum { THREADS = 64 };
    float ranges[2 * THREADS];
    const uint32_t threads = QZI_MIN(t->r->threads, (uint32_t)THREADS);
    for (int i = 0; i < THREADS; i++) {
        ranges[2 * i] = INFINITY;
        ranges[2 * i + 1] = -INFINITY;
    }
    t->ranges = ranges;
    qzi_parallel(t->r->ctx, threads, blocks_of(t), 4, find_range, t);
    float min = INFINITY, max = -INFINITY;
    for (int i = 0; i < THREADS; i++) {
        min = QZI_MIN(min, ranges[2 * i]);
        max = QZI_MAX(max, ranges[2 * i + 1]);
    }
    if (!(min <= max)) /* nothing but NaN: the loss says so */
        return;
    qzi_moving_range_add(&v->range, min, max, QZI_MOVING_CONSTANT);
    qzi_fake_quant_choose(&v->params, v->range.min, v->range.max, false);
}

static void hook_forward(void *user, const qzi_grad_run *r)
{
    qzi_qat *qat = user;
    const qat_weights *w = qat->weights[r->number];
    qat_value *v = qat->values[r->number];
    value_task t = task_of(r, &r->y);
    if (w && w->norm != QZ_NO_VALUE) {
        t.factor = w->factor;
        qzi_parallel(r->ctx, r->threads, qzi_view_pixels(&r->y), 64, divide, &t);
    }
    if (!v)
        return;
    if (qat->observe && !v->fixed)
        observe_value(&t, v);
    t.q = &v->params;
    if (r->node->act == QZ_ACT_RELU || r->node->act == QZ_ACT_RELU6)
        qzi_act_range_f32(r->node->act, &t.lo, &t.hi);
    qzi_parallel(r->ctx, r->threads, blocks_of(&t), 4, quantize_value, &t);
}

static void hook_backward(void *user, const qzi_grad_run *r)
{
    qzi_qat *qat = user;
    qat_weights *w = qat->weights[r->number];
    value_task t = task_of(r, &r->dy);
    if (qat->values[r->number])
        qzi_parallel(r->ctx, r->threads, blocks_of(&t), 4, mask_gradient, &t);
    if (!w || w->norm == QZ_NO_VALUE)
        return;
    /* y = z / factor: dz = dy / factor, the factor's gradient -sum(dy * y) / factor */
    const double *sums = qzi_grad_sums(r, &r->dy, &r->y, r->scratch);
    for (int64_t o = 0; o < w->oc; o++)
        w->factor_change[o] = -sums[w->oc + o] / (double)w->factor[o];
    t.factor = w->factor;
    qzi_parallel(r->ctx, r->threads, qzi_view_pixels(&r->dy), 64, divide, &t);
}

/* ---- hooks ---- */

static unsigned hook_kinds(void *user, qz_value node)
{
    const qzi_qat *qat = user;
    const qat_weights *w = qat->weights[node];
    const bool divides = w && w->norm != QZ_NO_VALUE;
    return (w ? QZI_HOOK_WEIGHTS : 0u) | (divides ? QZI_HOOK_VALUE | QZI_HOOK_READS_Y : 0u) |
           (qat->values[node] ? QZI_HOOK_VALUE : 0u);
}

static size_t hook_kept(void *user, qz_value node, const qzi_shape *shape)
{
    const qzi_qat *qat = user;
    const size_t count = (size_t)shape->n * (size_t)shape->h * (size_t)shape->w * (size_t)shape->c;
    return qat->values[node] ? count / 8 + 1 : 0;
}

void qzi_qat_hooks(qzi_qat *qat, qzi_step_hooks *hooks)
{
    *hooks = (qzi_step_hooks){
        .user = qat,
        .kinds = hook_kinds,
        .kept = hook_kept,
        .forward = hook_forward,
        .backward = hook_backward,
        .weights = hook_weights,
        .gradient = hook_gradient,
        .gradient_done = hook_gradient_done,
    };
}
