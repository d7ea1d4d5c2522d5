/* SPDX-License-Identifier: MIT */
/*
 * analysis.c - what quantization cost, node by node: signal to quantization noise of activations,
 * weights and biases, of the first output, and how often both models agree on the top class.
 *
 * Both graphs run on one image after the other. The float run leaves copies of its values, the int8
 * run compares with them as it goes, so memory is bounded by one image. Sums are taken in double in
 * a fixed order, whatever the strides and threads of the runs.
 */
#include "quant/analysis.h"
#include "quant/decide.h"
#include "quant/detail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Independent sums over the channels of a pixel: a fixed order that vectorises. */
#define LANES 8

typedef struct energy {
    double signal, noise; /* sums of f^2 and (f - q)^2 */
} energy;

/* A node of the int8 graph and its counterpart. */
typedef struct pair {
    qz_value float_node; /* has the same value; QZ_NO_VALUE: not compared */
    energy image, total; /* `total` takes `image` over when the whole image is through */
    double weight_db, bias_db;
} pair;

/* What the float run of this image left of a value: dense NHWC. */
typedef struct kept {
    bool wanted;
    qzk_view view; /* data owned; NULL: none */
} kept;

struct qzi_sqnr {
    const qz_context *ctx;
    const qz_graph *float_graph, *int8_graph;
    const qzi_packed *packed[2];       /* float, int8 */
    qzi_exec *exec[2][QZI_STAGES_MAX]; /* made when a stage first runs */
    uint32_t threads;
    pair *pairs;         /* [int8_graph->node_count] */
    kept *kept;          /* [float_graph->node_count] */
    qzi_detail *details; /* [int8_graph->node_count]; NULL: not asked for */
    energy output;
    uint64_t images, agreements;
    bool classifies; /* the first output is N x C */
    qz_sqnr_row *rows;
    qz_analysis_row *analysis; /* with details */
};

static double decibels(energy e)
{
    if (!isfinite(e.signal) || !isfinite(e.noise)) /* a float value overflowed */
        return NAN;
    if (e.noise == 0.0)
        return INFINITY;
    if (e.signal == 0.0)
        return -INFINITY;
    /* 20 log10 of the ratio of norms; two logarithms, as the ratio itself may overflow */
    qzi_fpenv env = qzi_fpenv_enter();
    double db = (qzi_math_log(e.signal) - qzi_math_log(e.noise)) * (10.0 / 2.302585092994045684);
    qzi_fpenv_leave(env);
    return db;
}

static double sum_lanes(const double lanes[LANES])
{
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
           ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

/* Compares runs of floats; q is what int8 gave, already real numbers. */
static void add_run(const float *f, const float *q, int64_t n, double signal[LANES],
                    double noise[LANES])
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            double value = f[i + j], difference = value - (double)q[i + j];
            signal[j] += value * value;
            noise[j] += difference * difference;
        }
    }
    for (int j = 0; i < n; i++, j++) {
        double value = f[i], difference = value - (double)q[i];
        signal[j] += value * value;
        noise[j] += difference * difference;
    }
}

/* The values of a node of the int8 graph beside dense float ones, both within reach. */
static energy compare_views(const qzk_view *real, const qzi_node *node, const qzk_view *view,
                            qzi_reach reach)
{
    double signal[LANES] = {0.0}, noise[LANES] = {0.0};
    int64_t pixels = (int64_t)view->n * view->h * view->w;
    for (int64_t p = 0; p < pixels; p++) {
        const float *f = (const float *)real->data + p * real->pixel_stride;
        if (node->dtype == QZ_F32) {
            add_run(f, (const float *)view->data + p * view->pixel_stride, view->c, signal, noise);
            continue;
        }
        const uint8_t *x = (const uint8_t *)view->data + p * view->pixel_stride;
        float q[16 * LANES];
        for (int32_t c = 0; c < view->c; c += (int32_t)QZI_ARRAY_LEN(q)) {
            int32_t n = QZI_MIN(view->c - c, (int32_t)QZI_ARRAY_LEN(q));
            for (int32_t i = 0; i < n; i++)
                q[i] = qzi_reach_clamp(reach, (float)(x[c + i] - qzi_q_zero(node, c + i)) *
                                                  qzi_q_scale(node, c + i));
            add_run(f + c, q, n, signal, noise);
        }
    }
    return (energy){sum_lanes(signal), sum_lanes(noise)};
}

/* ---- the two runs ---- */

static void drop_kept(qzi_sqnr *s, qz_value node)
{
    qzi_free(s->ctx, s->kept[node].view.data);
    s->kept[node].view.data = NULL;
}

static qz_status keep_value(void *user, const qz_graph *graph, qz_value node, const qzk_view *view)
{
    qzi_sqnr *s = user;
    kept *k = &s->kept[node];
    if (!k->wanted)
        return QZ_OK;
    /* the executor's own copy of this value had to fit memory: no overflow */
    size_t pixels = (size_t)view->n * (size_t)view->h * (size_t)view->w, c = (size_t)view->c;
    drop_kept(s, node);
    k->view = *view;
    k->view.pixel_stride = view->c;
    k->view.data = qzi_alloc(graph->ctx, pixels * c * sizeof(float));
    if (!k->view.data)
        return QZ_ERR_MEMORY;
    for (size_t p = 0; p < pixels; p++)
        memcpy((float *)k->view.data + p * c,
               (const float *)view->data + p * (size_t)view->pixel_stride, c * sizeof(float));
    return QZ_OK;
}

static void clamp_view(const qzk_view *v, qzi_reach reach)
{
    float *x = v->data;
    const size_t count = (size_t)v->n * (size_t)v->h * (size_t)v->w * (size_t)v->c;
    for (size_t i = 0; i < count && qzi_reach_ends(reach); i++)
        x[i] = qzi_reach_clamp(reach, x[i]);
}

static qz_status compare_value(void *user, const qz_graph *graph, qz_value node,
                               const qzk_view *view)
{
    qzi_sqnr *s = user;
    pair *p = &s->pairs[node];
    if (p->float_node == QZ_NO_VALUE)
        return QZ_OK;
    const qzk_view *real = &s->kept[p->float_node].view;
    if (real->n != view->n || real->h != view->h || real->w != view->w || real->c != view->c)
        return qzi_fail(graph->ctx, QZ_ERR_MISMATCH,
                        "%s: the float and the int8 model have different shapes; compare models "
                        "of one architecture",
                        graph->nodes[node].name);
    /* what nothing reads is no loss */
    const qzi_reach reach = qzi_reach_of(s->float_graph, p->float_node);
    clamp_view(real, reach);
    p->image = compare_views(real, &graph->nodes[node], view, reach);
    qz_status st = QZ_OK;
    if (s->details)
        st = qzi_detail_add(s->ctx, &s->details[node], real, &graph->nodes[node], view, reach,
                            s->threads);
    drop_kept(s, p->float_node);
    return st;
}

/* ---- create ---- */

/*
 * A node of that name itself, not the scope that qzi_graph_find would also know. Both graphs have
 * their nodes in about the same order, so the search goes on where the last one ended.
 */
static qz_value find_node(const qz_graph *graph, const char *name, size_t *next)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        size_t at = (*next + i) % graph->node_count;
        if (strcmp(graph->nodes[at].name, name) == 0) {
            *next = at + 1;
            return (qz_value)at;
        }
    }
    return QZ_NO_VALUE;
}

/* Index of weight i of output channel o, which has `per` weights. */
static int64_t weight_at(const qzi_node *node, int64_t o, int64_t i, int64_t per)
{
    const qzi_conv2d_attr *conv = &node->u.conv;
    const int64_t taps = (int64_t)conv->kh * conv->kw;
    if (node->op != QZI_OP_CONV_TRANSPOSE2D)
        return o * per + i;
    return qzi_conv_transpose2d_index(conv, i / taps, o, i % taps);
}

/* What weight i of output channel o is multiplied by before it is quantized: its input's scale
 * where that differs by channel. The error then counts as much as it does in the layer's sums. */
static double folded(const qzi_node *node, const qzi_node *x, int32_t o, int64_t i)
{
    const qzi_conv2d_attr *conv = &node->u.conv;
    const int32_t taps = conv->kh * conv->kw, icg = conv->ic / conv->groups;
    if (!x->channel_q)
        return 1.0;
    return (double)x->channel_q->scale[o / (conv->oc / conv->groups) * icg + (int32_t)(i / taps)];
}

/* `real`: the layer of the float graph, whose value may be that of another node. */
static void compare_weights(const qzi_sqnr *s, const qzi_node *node, const qzi_node *real, pair *p)
{
    const qzi_node *x = &s->int8_graph->nodes[node->in[0]];
    const qzi_qweights *qw = node->qw;
    const qzi_param *weight = qzi_node_param(s->float_graph, real, QZI_P_WEIGHT);
    const qzi_param *bias = qzi_node_param(s->float_graph, real, QZI_P_BIAS);
    int32_t oc = node->u.conv.oc;

    qzi_fpenv env = qzi_fpenv_enter();
    int64_t count = weight && weight->tensor.data ? qz_tensor_numel(&weight->tensor) : 0;
    if (qw->w && count > 0 && count % oc == 0) {
        energy e = {0.0, 0.0};
        int64_t per = count / oc;
        const float *w = weight->tensor.data;
        for (int32_t o = 0; o < oc; o++) {
            for (int64_t i = 0; i < per; i++) {
                const int64_t at = weight_at(node, o, i, per);
                double value = (double)w[at] * folded(node, x, o, i);
                double difference = value - (double)((float)qw->w[at] * qw->scales[o]);
                e.signal += value * value;
                e.noise += difference * difference;
            }
        }
        p->weight_db = decibels(e);
    }
    if (bias && bias->tensor.data && qz_tensor_numel(&bias->tensor) == oc) {
        energy e = {0.0, 0.0};
        const float *b = bias->tensor.data;
        const float sx = x->channel_q ? 1.0f : x->q.scale; /* the weights have it */
        for (int32_t o = 0; o < oc; o++) {
            double difference = b[o] - (double)qw->bias[o] * (double)(sx * qw->scales[o]);
            e.signal += (double)b[o] * b[o];
            e.noise += difference * difference;
        }
        p->bias_db = decibels(e);
    }
    qzi_fpenv_leave(env);
}

/* Whether a convolution of the int8 graph computes what follows it in the float graph, too. */
static bool is_joined(const qzi_node *node, const qzi_node *layer)
{
    return qzi_op_has_weights(node->op) &&
           (node->in_count > layer->in_count || node->act != layer->act);
}

static void pair_nodes(qzi_sqnr *s)
{
    size_t next = 0;
    for (size_t i = 0; i < s->int8_graph->node_count; i++) {
        const qzi_node *node = &s->int8_graph->nodes[i];
        pair *p = &s->pairs[i];
        *p = (pair){.float_node = QZ_NO_VALUE, .weight_db = NAN, .bias_db = NAN};
        /* what only carries values between precisions is nobody's layer; an input is, where it
         * is quantized on the way in */
        if (node->op == QZI_OP_QUANTIZE || node->op == QZI_OP_DEQUANTIZE ||
            (node->op == QZI_OP_INPUT && node->dtype == QZ_F32))
            continue;
        p->float_node = find_node(s->float_graph, node->name, &next);
        if (p->float_node == QZ_NO_VALUE)
            continue;
        const qzi_node *layer = &s->float_graph->nodes[p->float_node];
        if (is_joined(node, layer) && node->source >= 0 &&
            (size_t)node->source < s->float_graph->node_count)
            p->float_node = node->source;
        s->kept[p->float_node].wanted = true;
        if (node->qw)
            compare_weights(s, node, layer, p);
    }
}

qz_status qzi_sqnr_create(const qz_graph *float_graph, const qzi_packed *float_packed,
                          const qz_graph *int8_graph, const qzi_packed *int8_packed,
                          uint32_t threads, bool details, qzi_sqnr **sqnr)
{
    const qz_context *ctx = float_graph->ctx;
    *sqnr = NULL;
    if (float_graph->output_count < 1 || int8_graph->output_count < 1)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "a model without outputs cannot be compared");

    qzi_sqnr *s = qzi_calloc(ctx, 1, sizeof(*s));
    if (!s)
        return QZ_ERR_MEMORY;
    s->ctx = ctx;
    s->float_graph = float_graph;
    s->int8_graph = int8_graph;
    s->classifies = float_graph->nodes[float_graph->outputs[0].value].flat;
    s->pairs = qzi_calloc(ctx, int8_graph->node_count, sizeof(*s->pairs));
    s->kept = qzi_calloc(ctx, float_graph->node_count, sizeof(*s->kept));
    s->rows = qzi_calloc(ctx, int8_graph->node_count, sizeof(*s->rows));
    qz_status st = QZ_OK;
    if (details) {
        s->details = qzi_calloc(ctx, int8_graph->node_count, sizeof(*s->details));
        s->analysis = qzi_calloc(ctx, int8_graph->node_count, sizeof(*s->analysis));
    }
    if (!s->pairs || !s->kept || !s->rows || (details && (!s->details || !s->analysis))) {
        st = QZ_ERR_MEMORY;
        goto fail;
    }
    s->packed[0] = float_packed;
    s->packed[1] = int8_packed;
    s->threads = threads;
    pair_nodes(s);
    *sqnr = s;
    return QZ_OK;

fail:
    qzi_sqnr_destroy(s);
    return st;
}

static void drop_all_kept(qzi_sqnr *s)
{
    for (size_t i = 0; s->kept && i < s->float_graph->node_count; i++)
        drop_kept(s, (qz_value)i);
}

void qzi_sqnr_destroy(qzi_sqnr *sqnr)
{
    if (!sqnr)
        return;
    drop_all_kept(sqnr);
    for (size_t i = 0; i < QZI_STAGES_MAX; i++) {
        qzi_exec_destroy(sqnr->exec[0][i]);
        qzi_exec_destroy(sqnr->exec[1][i]);
    }
    for (size_t i = 0; sqnr->details && i < sqnr->int8_graph->node_count; i++)
        qzi_detail_free(sqnr->ctx, &sqnr->details[i]);
    qzi_free(sqnr->ctx, sqnr->details);
    qzi_free(sqnr->ctx, sqnr->analysis);
    qzi_free(sqnr->ctx, sqnr->kept);
    qzi_free(sqnr->ctx, sqnr->pairs);
    qzi_free(sqnr->ctx, sqnr->rows);
    qzi_free(sqnr->ctx, sqnr);
}

/* ---- images ---- */

qz_status qzi_sqnr_run(qzi_sqnr *sqnr, bool int8, size_t stage, const qzi_exec_input *inputs,
                       size_t input_count, qzi_exec **exec)
{
    qzi_exec **at = &sqnr->exec[int8][stage];
    if (!*at) {
        QZI_TRY(qzi_exec_create(sqnr->packed[int8], int8 ? sqnr->int8_graph : sqnr->float_graph,
                                sqnr->threads, at));
        qzi_exec_set_hook(*at, int8 ? compare_value : keep_value, sqnr);
    }
    *exec = *at;
    return qzi_exec_run_inputs(*at, inputs, input_count);
}

void qzi_sqnr_end_image(qzi_sqnr *sqnr, bool whole)
{
    qzi_fpenv env = qzi_fpenv_enter();
    for (size_t i = 0; i < sqnr->int8_graph->node_count; i++) {
        pair *p = &sqnr->pairs[i];
        if (whole) {
            p->total.signal += p->image.signal;
            p->total.noise += p->image.noise;
        }
        p->image = (energy){0.0, 0.0};
    }
    qzi_fpenv_leave(env);
    sqnr->images += whole;
    drop_all_kept(sqnr);
}

static qz_status fetch_output(const qz_context *ctx, qzi_exec *exec, float **data, int64_t *count)
{
    qz_tensor t;
    QZI_TRY(qzi_exec_output_shape(exec, 0, &t));
    *count = qz_tensor_numel(&t);
    *data = qzi_alloc(ctx, (size_t)*count * sizeof(float));
    if (!*data)
        return QZ_ERR_MEMORY;
    qzi_exec_output(exec, 0, *data);
    return QZ_OK;
}

static int64_t top_class(const float *x, int64_t n)
{
    int64_t top = 0;
    for (int64_t i = 1; i < n; i++) {
        if (x[i] > x[top])
            top = i;
    }
    return top;
}

static qz_status add_one(qzi_sqnr *s, const qz_tensor *image)
{
    float *real = NULL, *quantized = NULL;
    int64_t n = 0, quantized_n = 0;
    const qzi_exec_input input = {.tensor = image};
    qzi_exec *exec;
    bool whole = false;
    qz_status st = QZ_OK;
    QZI_GOTO(st, qzi_sqnr_run(s, false, 0, &input, 1, &exec));
    QZI_GOTO(st, fetch_output(s->ctx, exec, &real, &n));
    if (!qzi_all_finite(real, (size_t)n)) {
        st = qzi_fail(s->ctx, QZ_ERR_NUMERIC,
                      "the float model's output has NaN or infinity, with which nothing can be "
                      "compared; check the image's values and the weights");
        goto fail;
    }
    QZI_GOTO(st, qzi_sqnr_run(s, true, 0, &input, 1, &exec));
    QZI_GOTO(st, fetch_output(s->ctx, exec, &quantized, &quantized_n));
    if (n != quantized_n) {
        st = qzi_fail(s->ctx, QZ_ERR_MISMATCH,
                      "the float and the int8 model have different shapes; compare models of one "
                      "architecture");
        goto fail;
    }

    double signal[LANES] = {0.0}, noise[LANES] = {0.0};
    qzi_fpenv env = qzi_fpenv_enter();
    add_run(real, quantized, n, signal, noise);
    s->output.signal += sum_lanes(signal);
    s->output.noise += sum_lanes(noise);
    qzi_fpenv_leave(env);
    whole = true;
    if (s->classifies && top_class(real, n) == top_class(quantized, n))
        s->agreements++;
fail:
    qzi_sqnr_end_image(s, whole);
    qzi_free(s->ctx, real);
    qzi_free(s->ctx, quantized);
    return st;
}

qz_status qzi_sqnr_add(qzi_sqnr *sqnr, const qz_tensor *image)
{
    if (image->dtype != QZ_F32 || image->ndim != 4 || !image->data || qz_tensor_numel(image) < 1)
        return qzi_fail(sqnr->ctx, QZ_ERR_ARGUMENT, "a float32 image N x C x H x W is needed");
    qz_tensor one = *image;
    one.dims[0] = 1;
    for (int64_t i = 0; i < image->dims[0]; i++) {
        one.data = (float *)image->data + i * qz_tensor_numel(&one);
        QZI_TRY(add_one(sqnr, &one));
    }
    return QZ_OK;
}

/* ---- results ---- */

/* Worst first, NaN last, equals in the order of the graph. */
typedef struct ranked {
    double db;
    size_t node;
} ranked;

static int worse_first(const void *left, const void *right)
{
    const ranked *a = left, *b = right;
    if (isnan(a->db) != isnan(b->db))
        return isnan(a->db) ? 1 : -1;
    if (a->db < b->db || a->db > b->db)
        return a->db < b->db ? -1 : 1;
    return a->node < b->node ? -1 : a->node > b->node;
}

qz_status qzi_sqnr_rows(qzi_sqnr *sqnr, const qz_sqnr_row **rows, size_t *count)
{
    const qz_graph *graph = sqnr->int8_graph;
    ranked *order = qzi_calloc(sqnr->ctx, graph->node_count, sizeof(*order));
    if (!order)
        return QZ_ERR_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        const pair *p = &sqnr->pairs[i];
        if (p->float_node != QZ_NO_VALUE)
            order[n++] = (ranked){sqnr->images ? decibels(p->total) : (double)NAN, i};
    }
    qsort(order, n, sizeof(*order), worse_first);
    for (size_t i = 0; i < n; i++) {
        const pair *p = &sqnr->pairs[order[i].node];
        qz_node_info info;
        qz_graph_node_at(graph, order[i].node, &info);
        sqnr->rows[i] = (qz_sqnr_row){
            .name = info.name,
            .op = info.op,
            .is_int8 = info.is_int8,
            .activation_db = order[i].db,
            .weight_db = p->weight_db,
            .bias_db = p->bias_db,
        };
        if (sqnr->details) {
            qzi_detail_row(&sqnr->details[order[i].node], &graph->nodes[order[i].node],
                           p->total.signal, p->total.noise, &sqnr->analysis[i]);
            sqnr->analysis[i].sqnr = sqnr->rows[i];
        }
    }
    qzi_free(sqnr->ctx, order);
    *rows = sqnr->rows;
    *count = n;
    return QZ_OK;
}

const qz_analysis_row *qzi_sqnr_analysis(const qzi_sqnr *sqnr)
{
    return sqnr->analysis;
}

double qzi_sqnr_output_db(const qzi_sqnr *sqnr)
{
    return sqnr->images ? decibels(sqnr->output) : (double)NAN;
}

double qzi_sqnr_worst_output_db(const qzi_sqnr *sqnr, const char *skip)
{
    const qz_graph *graph = sqnr->int8_graph;
    double worst = NAN;
    for (size_t i = 0; i < graph->output_count && sqnr->images > 0; i++) {
        const pair *p = &sqnr->pairs[graph->outputs[i].value];
        if (strncmp(graph->outputs[i].name, skip, strlen(skip)) == 0 ||
            p->float_node == QZ_NO_VALUE || (p->total.signal == 0.0 && p->total.noise == 0.0))
            continue;
        const double db = decibels(p->total);
        worst = isnan(worst) || db < worst ? db : worst;
    }
    return worst;
}

double qzi_sqnr_kind_db(const qzi_sqnr *sqnr, const char *kind)
{
    const qz_graph *graph = sqnr->int8_graph;
    const size_t length = strlen(kind);
    energy all = {0};
    for (size_t i = 0; i < graph->output_count && sqnr->images > 0; i++) {
        const char *name = graph->outputs[i].name;
        const pair *p = &sqnr->pairs[graph->outputs[i].value];
        if (strncmp(name, kind, length) != 0 || (name[length] != '\0' && name[length] != '.') ||
            p->float_node == QZ_NO_VALUE)
            continue;
        all.signal += p->total.signal;
        all.noise += p->total.noise;
    }
    return all.signal == 0.0 && all.noise == 0.0 ? (double)NAN : decibels(all);
}

double qzi_sqnr_top1_agreement(const qzi_sqnr *sqnr)
{
    if (!sqnr->classifies || sqnr->images == 0)
        return NAN;
    return (double)sqnr->agreements / (double)sqnr->images;
}
