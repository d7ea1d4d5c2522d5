/* SPDX-License-Identifier: MIT */
/*
 * by_channel.h - small graphs whose uint8 values have a scale and a zero point for each channel,
 * and the real numbers that their bytes are nearest to.
 */
#ifndef QZOO_TESTS_UNIT_BY_CHANNEL_H
#define QZOO_TESTS_UNIT_BY_CHANNEL_H

#include "one_op.h"

/* The sizes of one case. */
typedef struct size {
    int32_t n, c, h, w;
} size;

static const qzi_qparams q_in = {0.031f, 120};

/* ---- graphs ---- */

static inline qz_graph *new_graph(void)
{
    qz_graph *g;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    return g;
}

/* Parameters of its own for each channel. like_relu: zero points of 0. */
static inline void draw_q(qz_graph *g, qz_value v, bool like_relu)
{
    float scale[512];
    uint8_t zero[512];
    for (int32_t c = 0; c < g->nodes[v].c; c++) {
        scale[c] = 0.004f + 0.03f * (float)draw(1000) / 1000.0f;
        zero[c] = (uint8_t)(like_relu ? 0 : 100 + draw(60));
    }
    g->nodes[v].dtype = QZ_U8;
    ASSERT_OK(ctx, qzi_node_set_channel_q(ctx, &g->nodes[v], scale, zero));
}

/* Those of channel from(c) of value x. */
static inline void move_q(qz_graph *g, qz_value x, qz_value y,
                          int32_t (*from)(const qzi_node *y, int32_t c))
{
    float scale[4096];
    uint8_t zero[4096];
    for (int32_t c = 0; c < g->nodes[y].c; c++) {
        scale[c] = qzi_q_scale(&g->nodes[x], from(&g->nodes[y], c));
        zero[c] = (uint8_t)qzi_q_zero(&g->nodes[x], from(&g->nodes[y], c));
    }
    g->nodes[y].dtype = QZ_U8;
    ASSERT_OK(ctx, qzi_node_set_channel_q(ctx, &g->nodes[y], scale, zero));
}

static inline int32_t same(const qzi_node *y, int32_t c)
{
    (void)y;
    return c;
}

/* A value by channel, made of the graph's input. */
static inline qz_value scaled(qz_graph *g, const char *name, qz_value x, bool like_relu)
{
    char key[32];
    snprintf(key, sizeof(key), "%s.weight", name);
    const qz_value v = qz_layer_scale(g, key, name, x);
    assert_true(v >= 0);
    draw_q(g, v, like_relu);
    return v;
}

static inline qz_value input(qz_graph *g, const size *s)
{
    const qz_value x = qz_graph_input(g, "input", s->c);
    g->nodes[x].dtype = QZ_U8;
    g->nodes[x].q = q_in;
    return x;
}

static inline void finish(qz_graph *g, qz_value y)
{
    qz_graph_output(g, "out", y);
    draw_params(g);
    for (size_t i = 0; i < g->node_count; i++) /* a variance is not negative */
        if (g->nodes[i].param[QZI_P_VAR] >= 0) {
            qz_tensor *var = &g->params[g->nodes[i].param[QZI_P_VAR]].tensor;
            for (int64_t k = 0; k < qz_tensor_numel(var); k++)
                ((float *)var->data)[k] = 1.0f + 0.5f * fabsf(((float *)var->data)[k]);
        }
    ASSERT_OK(ctx, qz_graph_finish(g));
}

/* ---- what is right ---- */

typedef struct value {
    qzi_shape s;
    float *x; /* NCHW */
} value;

typedef struct values {
    value v[16];
} values;

static inline qz_status keep(void *user, const qz_graph *g, qz_value node, const qzk_view *view)
{
    value *v = &((values *)user)->v[node];
    v->s = (qzi_shape){view->n, view->h, view->w, view->c};
    free(v->x);
    v->x = malloc(sizeof(float) * (size_t)view->n * (size_t)view->h * (size_t)view->w *
                  (size_t)view->c);
    qzi_view_to_nchw(g->ctx, 1, &g->nodes[node], view, v->x, NULL);
    return QZ_OK;
}

static inline double at(const value *v, int32_t n, int32_t c, int32_t y, int32_t x)
{
    const bool one = v->s.h == 1 && v->s.w == 1; /* the factors of a product */
    return v->x[((n * v->s.c + c) * v->s.h + (one ? 0 : y)) * v->s.w + (one ? 0 : x)];
}

static inline const float *param(const qz_graph *g, const qzi_node *node, int which)
{
    return g->params[node->param[which]].tensor.data;
}

static inline double clamped(double v, qz_activation act)
{
    v = act != QZ_ACT_NONE && v < 0.0 ? 0.0 : v;
    return act == QZ_ACT_RELU6 && v > 6.0 ? 6.0 : v;
}

static inline double function_of(qz_activation act, double x)
{
    switch (act) {
    case QZ_ACT_HARDSWISH:
        return x * fmin(fmax(x + 3.0, 0.0), 6.0) / 6.0;
    case QZ_ACT_HARDSIGMOID:
        return fmin(fmax(x + 3.0, 0.0), 6.0) / 6.0;
    case QZ_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case QZ_ACT_SILU:
        return x / (1.0 + exp(-x));
    case QZ_ACT_GELU:
        return 0.5 * x * erfc(-x * sqrt(0.5));
    case QZ_ACT_LEAKY_RELU:
        return x < 0.0 ? 0.1 * x : x;
    case QZ_ACT_MISH:
        return x * tanh(log1p(exp(x)));
    default:
        return clamped(x, act);
    }
}

/* The window [*from, *to) of an average inside the image; returns what it counts. */
static inline int32_t window(const qzi_node *node, int32_t o, int32_t out, int32_t in,
                             int32_t *from, int32_t *to)
{
    if (node->op == QZI_OP_ADAPTIVE_AVG_POOL2D) {
        *from = o * in / out;
        *to = ((o + 1) * in + out - 1) / out;
        return *to - *from;
    }
    const qzi_pool2d_attr *a = &node->u.pool;
    const int32_t first = o * a->stride_h - a->pad_h;
    const int32_t end = QZI_MIN(first + a->kh, in + a->pad_h);
    *from = QZI_MAX(first, 0);
    *to = QZI_MIN(end, in);
    return a->count_exclude_pad ? *to - *from : end - first;
}

static inline double pooled(const qzi_node *node, const value *x, const value *y, int32_t n,
                            int32_t c, int32_t oy, int32_t ox)
{
    int32_t y0, y1, x0, x1;
    const int32_t count =
        window(node, oy, y->s.h, x->s.h, &y0, &y1) * window(node, ox, y->s.w, x->s.w, &x0, &x1);
    double sum = 0.0, most = -1e9;
    for (int32_t iy = y0; iy < y1; iy++)
        for (int32_t ix = x0; ix < x1; ix++) {
            sum += at(x, n, c, iy, ix);
            most = fmax(most, at(x, n, c, iy, ix));
        }
    return node->op == QZI_OP_MAX_POOL2D ? most : sum / count;
}

/* The real number that a node's output is the nearest byte of; NAN: of an op that moves bytes. */
static inline double right(const qz_graph *g, const qzi_node *node, const values *all,
                           const value *y, int32_t n, int32_t c, int32_t oy, int32_t ox)
{
    const value *a = &all->v[node->in[0]], *b = &all->v[node->in[node->in_count - 1]];
    switch (node->op) {
    case QZI_OP_ADD:
        return clamped(at(a, n, c, oy, ox) + at(b, n, c, oy, ox), node->act);
    case QZI_OP_MUL:
        return at(a, n, c, oy, ox) * at(b, n, c, oy, ox);
    case QZI_OP_LAYER_SCALE:
        return at(a, n, c, oy, ox) * param(g, node, QZI_P_WEIGHT)[c];
    case QZI_OP_CHANNEL_AFFINE:
        return at(a, n, c, oy, ox) * node->constants[c] + node->constants[node->c + c];
    case QZI_OP_BATCH_NORM2D: {
        const double s = param(g, node, QZI_P_WEIGHT)[c] /
                         sqrt((double)param(g, node, QZI_P_VAR)[c] + (double)node->u.bn.eps);
        return clamped((at(a, n, c, oy, ox) - param(g, node, QZI_P_MEAN)[c]) * s +
                           param(g, node, QZI_P_BIAS)[c],
                       node->act);
    }
    case QZI_OP_MAX_POOL2D:
    case QZI_OP_AVG_POOL2D:
    case QZI_OP_ADAPTIVE_AVG_POOL2D:
        return pooled(node, a, y, n, c, oy, ox);
    case QZI_OP_ACTIVATION:
        return function_of(node->act, at(a, n, c, oy, ox));
    case QZI_OP_SLICE:
        return at(a, n, qzi_slice_channel(node, c), oy, ox);
    case QZI_OP_CHANNEL_SHUFFLE: {
        const int32_t groups = node->u.shuffle.groups;
        return at(a, n, c % groups * (node->c / groups) + c / groups, oy, ox);
    }
    case QZI_OP_FLATTEN: {
        const int32_t plane = a->s.h * a->s.w;
        return at(a, n, c / plane, c % plane / a->s.w, c % plane % a->s.w);
    }
    case QZI_OP_CONCAT:
        for (size_t i = 0; i < node->in_count; c -= g->nodes[node->in[i]].c, i++)
            if (c < g->nodes[node->in[i]].c)
                return at(&all->v[node->in[i]], n, c, oy, ox);
        return NAN;
    case QZI_OP_RESIZE2D:
        return at(a, n, c, oy * a->s.h / y->s.h, ox * a->s.w / y->s.w);
    default:
        return at(a, n, c, oy, ox);
    }
}

static inline void check_node(const qz_graph *g, const qzi_node *node, const values *all,
                              const value *y, const char *what)
{
    for (int32_t n = 0; n < y->s.n; n++)
        for (int32_t c = 0; c < y->s.c; c++)
            for (int32_t i = 0; i < y->s.h * y->s.w; i++) {
                const double scale = (double)qzi_q_scale(node, c);
                const double lowest = -qzi_q_zero(node, c) * scale, highest = lowest + 255 * scale;
                double want = right(g, node, all, y, n, c, i / y->s.w, i % y->s.w);
                want = fmin(fmax(want, lowest), highest);
                const double got = at(y, n, c, i / y->s.w, i % y->s.w);
                /* of functions by channel: CONTRACT.md */
                const double off = node->op == QZI_OP_ACTIVATION ? 5e-4 : 0.0;
                if (!(fabs(got - want) <= 0.501 * scale + off))
                    fail_msg("%s, %s: image %d, channel %d, pixel %d is %g, not %g (a step is %g)",
                             what, node->name, n, c, i, got, want, scale);
            }
}

static inline void check_graph(qz_graph *g, const size *s, const char *what)
{
    qzi_packed *packed;
    qzi_exec *exec;
    values all = {0};
    qz_tensor x = draw_image(s->n, s->c, s->h, s->w, q_in);
    assert_true(g->node_count <= QZI_ARRAY_LEN(all.v));
    ASSERT_OK(ctx, qzi_packed_create(g, QZ_ISA_REF, &packed));
    ASSERT_OK(ctx, qzi_exec_create(packed, g, 1, &exec));
    qzi_exec_set_hook(exec, keep, &all);
    ASSERT_OK(ctx, qzi_exec_run(exec, &x, 1, false));
    for (size_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].op != QZI_OP_INPUT && !g->nodes[i].qw)
            check_node(g, &g->nodes[i], &all, &all.v[i], what);
    check_all(g, &x, all.v[g->outputs[0].value].x, what);
    for (size_t i = 0; i < g->node_count; i++)
        free(all.v[i].x);
    free(x.data);
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    qz_graph_destroy(g);
}

#endif
