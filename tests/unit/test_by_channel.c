/* SPDX-License-Identifier: MIT */
/*
 * test_by_channel.c - uint8 values with a scale and a zero point for each channel: every op that
 * takes them is within one step of the real numbers, and has the same bytes on every instruction
 * set and number of threads; the others refuse them by name.
 */
#include "one_op.h"

/* The sizes of one case. */
typedef struct size {
    int32_t n, c, h, w;
} size;

static const size sizes[] = {{2, 5, 6, 7}, {1, 24, 9, 8}, {2, 40, 5, 5}, {1, 72, 7, 3}};

static const qzi_qparams q_in = {0.031f, 120};

/* ---- graphs ---- */

static qz_graph *new_graph(void)
{
    qz_graph *g;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    return g;
}

/* Parameters of its own for each channel. like_relu: zero points of 0. */
static void draw_q(qz_graph *g, qz_value v, bool like_relu)
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
static void move_q(qz_graph *g, qz_value x, qz_value y,
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

static int32_t same(const qzi_node *y, int32_t c)
{
    (void)y;
    return c;
}

/* A value by channel, made of the graph's input. */
static qz_value scaled(qz_graph *g, const char *name, qz_value x, bool like_relu)
{
    char key[32];
    snprintf(key, sizeof(key), "%s.weight", name);
    const qz_value v = qz_layer_scale(g, key, name, x);
    assert_true(v >= 0);
    draw_q(g, v, like_relu);
    return v;
}

static qz_value input(qz_graph *g, const size *s)
{
    const qz_value x = qz_graph_input(g, "input", s->c);
    g->nodes[x].dtype = QZ_U8;
    g->nodes[x].q = q_in;
    return x;
}

static void finish(qz_graph *g, qz_value y)
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

static qz_status keep(void *user, const qz_graph *g, qz_value node, const qzk_view *view)
{
    value *v = &((values *)user)->v[node];
    v->s = (qzi_shape){view->n, view->h, view->w, view->c};
    free(v->x);
    v->x = malloc(sizeof(float) * (size_t)view->n * (size_t)view->h * (size_t)view->w *
                  (size_t)view->c);
    qzi_view_to_nchw(g->ctx, 1, &g->nodes[node], view, v->x, NULL);
    return QZ_OK;
}

static double at(const value *v, int32_t n, int32_t c, int32_t y, int32_t x)
{
    const bool one = v->s.h == 1 && v->s.w == 1; /* the factors of a product */
    return v->x[((n * v->s.c + c) * v->s.h + (one ? 0 : y)) * v->s.w + (one ? 0 : x)];
}

static const float *param(const qz_graph *g, const qzi_node *node, int which)
{
    return g->params[node->param[which]].tensor.data;
}

static double clamped(double v, qz_activation act)
{
    v = act != QZ_ACT_NONE && v < 0.0 ? 0.0 : v;
    return act == QZ_ACT_RELU6 && v > 6.0 ? 6.0 : v;
}

/* The window [*from, *to) of an average inside the image; returns what it counts. */
static int32_t window(const qzi_node *node, int32_t o, int32_t out, int32_t in, int32_t *from,
                      int32_t *to)
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

static double pooled(const qzi_node *node, const value *x, const value *y, int32_t n, int32_t c,
                     int32_t oy, int32_t ox)
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
static double right(const qz_graph *g, const qzi_node *node, const values *all, const value *y,
                    int32_t n, int32_t c, int32_t oy, int32_t ox)
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
        assert_true(qzi_act_is_clamp(node->act));
        return clamped(at(a, n, c, oy, ox), node->act);
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

static void check_node(const qz_graph *g, const qzi_node *node, const values *all, const value *y,
                       const char *what)
{
    for (int32_t n = 0; n < y->s.n; n++)
        for (int32_t c = 0; c < y->s.c; c++)
            for (int32_t i = 0; i < y->s.h * y->s.w; i++) {
                const double scale = (double)qzi_q_scale(node, c);
                const double lowest = -qzi_q_zero(node, c) * scale, highest = lowest + 255 * scale;
                double want = right(g, node, all, y, n, c, i / y->s.w, i % y->s.w);
                want = fmin(fmax(want, lowest), highest);
                const double got = at(y, n, c, i / y->s.w, i % y->s.w);
                if (!(fabs(got - want) <= 0.501 * scale))
                    fail_msg("%s, %s: image %d, channel %d, pixel %d is %g, not %g (a step is %g)",
                             what, node->name, n, c, i, got, want, scale);
            }
}

static void check_graph(qz_graph *g, const size *s, const char *what)
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
        if (g->nodes[i].op != QZI_OP_INPUT)
            check_node(g, &g->nodes[i], &all, &all.v[i], what);
    check_all(g, &x, all.v[g->outputs[0].value].x, what);
    for (size_t i = 0; i < g->node_count; i++)
        free(all.v[i].x);
    free(x.data);
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    qz_graph_destroy(g);
}

/* ---- one op each ---- */

static void test_add(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++)
        for (int k = 0; k < 4; k++) {
            const qz_activation act = k == 1 ? QZ_ACT_RELU : k == 2 ? QZ_ACT_RELU6 : QZ_ACT_NONE;
            qz_graph *g = new_graph();
            const qz_value x = input(g, &sizes[i]);
            const qz_value a = scaled(g, "a", x, false);
            const qz_value y = qz_add(g, "add", a, k == 3 ? x : scaled(g, "b", x, false), act);
            draw_q(g, y, act != QZ_ACT_NONE);
            if (act == QZ_ACT_RELU6) /* 6 is beyond the largest byte */
                for (int32_t c = 0; c < sizes[i].c; c++)
                    g->nodes[y].channel_q->scale[c] *= 0.5f;
            finish(g, y);
            check_graph(g, &sizes[i], "add");
        }
}

static void test_mul(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++)
        for (int k = 0; k < 4; k++) {
            qz_graph *g = new_graph();
            const qz_value x = input(g, &sizes[i]), a = scaled(g, "a", x, false);
            qz_value b = scaled(g, "b", x, false);
            if (k == 1 || k == 2) {
                b = qz_adaptive_avg_pool2d(g, "pool", b, 1, 1);
                draw_q(g, b, false);
            }
            const qz_value y = k == 3 ? qz_mul(g, "mul", a, x) : qz_mul(g, "mul", a, b);
            if (k == 2) { /* the factor first */
                const qz_value first = g->nodes[y].in[0];
                g->nodes[y].in[0] = g->nodes[y].in[1];
                g->nodes[y].in[1] = first;
            }
            draw_q(g, y, false);
            finish(g, y);
            check_graph(g, &sizes[i], "mul");
        }
}

static void test_pools(void **state)
{
    static const qz_pool2d_options averages[] = {
        {.kernel_h = 2, .stride_h = 2},
        {.kernel_h = 3, .stride_h = 1, .padding_h = 1},
        {.kernel_h = 3, .stride_h = 2, .padding_h = 1, .count_exclude_pad = true},
        {.kernel_h = 3, .stride_h = 2, .ceil_mode = true},
    };
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++)
        for (size_t k = 0; k < QZI_ARRAY_LEN(averages) + 4; k++) {
            const bool average = k < QZI_ARRAY_LEN(averages);
            qz_graph *g = new_graph();
            const qz_value x = scaled(g, "x", input(g, &sizes[i]), false);
            qz_value y;
            if (average)
                y = qz_avg_pool2d(g, "pool", x, &averages[k]);
            else if (k < QZI_ARRAY_LEN(averages) + 2)
                y = qz_adaptive_avg_pool2d(g, "pool", x, k % 2 ? 1 : 2, k % 2 ? 1 : 3);
            else /* the second one by rows, then by columns */
                y = qz_max_pool2d(g, "pool", x,
                                  &(qz_pool2d_options){.kernel_h = k % 2 ? 5 : 3,
                                                       .stride_h = 1,
                                                       .padding_h = k % 2 ? 2 : 1});
            if (g->nodes[y].op == QZI_OP_MAX_POOL2D)
                move_q(g, x, y, same);
            else
                draw_q(g, y, k == 0);
            finish(g, y);
            check_graph(g, &sizes[i], "pool");
        }
}

static void test_large_window(void **state)
{
    const size s = {1, 20, 12, 11}; /* more taps than the stack holds */
    (void)state;
    qz_graph *g = new_graph();
    const qz_value x = scaled(g, "x", input(g, &s), false);
    const qz_value y = qz_adaptive_avg_pool2d(g, "pool", x, 1, 1);
    draw_q(g, y, false);
    finish(g, y);
    check_graph(g, &s, "pool of 132 pixels");
}

static void test_affine(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++)
        for (int k = 0; k < 4; k++) {
            float constants[2][512];
            qz_graph *g = new_graph();
            const qz_value x = scaled(g, "x", input(g, &sizes[i]), false);
            for (size_t c = 0; c < 2 * 512; c++)
                constants[c / 512][c % 512] = draw_float();
            const qz_value y = k == 0   ? qz_channel_affine(g, "y", x, constants[0], constants[1])
                               : k == 3 ? qz_activate(g, "y", x, QZ_ACT_RELU)
                                        : qz_batch_norm2d(g, "y", x, 1e-5f);
            if (k == 2)
                g->nodes[y].act = QZ_ACT_RELU;
            if (k == 3) {
                draw_q(g, x, true);
                move_q(g, x, y, same);
            } else {
                draw_q(g, y, k == 2);
            }
            finish(g, y);
            check_graph(g, &sizes[i], "affine");
        }
}

/* ---- ops that move bytes ---- */

static int32_t sliced(const qzi_node *y, int32_t c)
{
    return qzi_slice_channel(y, c);
}

static int32_t shuffled(const qzi_node *y, int32_t c)
{
    return c % 4 * (y->c / 4) + c / 4;
}

static int32_t flattened(const qzi_node *y, int32_t c)
{
    (void)y;
    return c / 6;
}

static void test_moves(void **state)
{
    const size s = {2, 24, 6, 5};
    (void)state;
    for (int k = 0; k < 8; k++) {
        qz_graph *g = new_graph();
        const qz_value in = input(g, &s);
        qz_value x = scaled(g, "x", in, false), y;
        int32_t (*from)(const qzi_node *, int32_t) = same;
        if (k < 3) {
            from = sliced;
            y = k == 2 ? qz_pick_channels(g, "y", x, 1, 2, 6)
                       : qz_slice_channels(g, "y", x, k == 0 ? 3 : 8, 9);
        } else if (k == 3) {
            from = shuffled;
            y = qz_channel_shuffle(g, "y", x, 4);
        } else if (k == 4) {
            from = flattened;
            x = qz_adaptive_avg_pool2d(g, "pool", x, 2, 3);
            draw_q(g, x, false);
            y = qz_flatten(g, "y", x);
        } else if (k == 5) {
            y = qz_stochastic_depth(g, "y", x, 0.5f);
        } else if (k == 6) {
            y = qz_dropout(g, "y", x, 0.5f);
        } else {
            const qz_value small =
                qz_max_pool2d(g, "small", in, &(qz_pool2d_options){.kernel_h = 2, .stride_h = 2});
            g->nodes[small].dtype = QZ_U8;
            g->nodes[small].q = q_in;
            y = qz_resize2d(g, "y", x, small, QZ_RESIZE_NEAREST);
        }
        move_q(g, x, y, from);
        finish(g, y);
        check_graph(g, &s, "moves");
    }
}

/* Of a value by channel, the network's own, and another one by channel; `first` channels of it. */
static void test_concat(void **state)
{
    static const int32_t firsts[] = {24, 8, 5};
    const size s = {2, 24, 6, 5};
    (void)state;
    for (size_t k = 0; k < QZI_ARRAY_LEN(firsts); k++) {
        float scale[512];
        uint8_t zero[512];
        qz_graph *g = new_graph();
        const qz_value in = input(g, &s);
        qz_value a = scaled(g, "a", in, false), parts[3];
        if (firsts[k] != 24) {
            const qz_value whole = a;
            a = qz_slice_channels(g, "slice", a, 24 - firsts[k], firsts[k]);
            move_q(g, whole, a, sliced);
        }
        parts[0] = a;
        parts[1] = in;
        parts[2] = scaled(g, "b", in, false);
        const qz_value y = qz_concat(g, "cat", parts, 3);
        size_t channel = 0;
        for (int i = 0; i < 3; i++)
            for (int32_t c = 0; c < g->nodes[parts[i]].c; c++, channel++) {
                scale[channel] = qzi_q_scale(&g->nodes[parts[i]], c);
                zero[channel] = (uint8_t)qzi_q_zero(&g->nodes[parts[i]], c);
            }
        g->nodes[y].dtype = QZ_U8;
        ASSERT_OK(ctx, qzi_node_set_channel_q(ctx, &g->nodes[y], scale, zero));
        finish(g, y);
        check_graph(g, &s, "concat");
    }
}

/* ---- what only carries them ---- */

static void add_text(void *user, const char *text)
{
    char *all = user;
    strncat(all, text, 4095 - strlen(all));
}

static void test_copies(void **state)
{
    const size s = {1, 24, 4, 4};
    char text[4096] = "";
    bool readers[3] = {false, true, false};
    qz_graph *copy;
    qz_value inserted;
    (void)state;
    qz_graph *g = new_graph();
    const qz_value y = scaled(g, "y", scaled(g, "x", input(g, &s), false), false);
    finish(g, y);
    ASSERT_OK(ctx, qzi_graph_clone(g, true, &copy));
    assert_ptr_not_equal(copy->nodes[y].channel_q, g->nodes[y].channel_q);
    assert_memory_equal(copy->nodes[y].channel_q->scale, g->nodes[y].channel_q->scale,
                        24 * sizeof(float));
    assert_memory_equal(copy->nodes[y].channel_q->zero_point, g->nodes[y].channel_q->zero_point,
                        24);
    float largest = 0.0f;
    for (int32_t c = 0; c < 24; c++)
        largest = fmaxf(largest, qzi_q_scale(&g->nodes[y], c));
    assert_true(g->nodes[y].q.scale == largest);
    qz_graph_print(g, add_text, text);
    assert_non_null(strstr(text, "uint8 by channel"));
    qz_node_info info;
    qz_graph_node_at(g, (size_t)y, &info);
    assert_true(info.by_channel);
    qz_graph_node_at(g, 0, &info);
    assert_false(info.by_channel);
    /* nodes move, and their parameters with them */
    ASSERT_OK(ctx, qzi_graph_insert(copy, 0, QZI_OP_DROPOUT, "drop", readers, false, &inserted));
    copy->nodes[inserted].dtype = QZ_U8;
    copy->nodes[inserted].q = q_in;
    assert_null(copy->nodes[inserted].channel_q);
    ASSERT_OK(ctx, qzi_graph_verify(copy));
    bool keep_node[4] = {true, false, true, true};
    const qz_value redirect[4] = {0, 0, 0, 0};
    ASSERT_OK(ctx, qzi_graph_remove(copy, keep_node, redirect));
    assert_memory_equal(copy->nodes[y].channel_q->scale, g->nodes[y].channel_q->scale,
                        24 * sizeof(float));
    qz_graph_destroy(copy);
    check_graph(g, &s, "two scales");
}

/* ---- refusals ---- */

static void refuse(qz_graph *g, qz_value y, qz_status status, const char *message)
{
    qz_graph_output(g, "out", y);
    draw_params(g);
    assert_int_equal(qz_graph_finish(g), status);
    if (!strstr(qz_context_message(ctx), message))
        fail_msg("\"%s\" does not say \"%s\"", qz_context_message(ctx), message);
    qz_graph_destroy(g);
}

static void test_refusals(void **state)
{
    const size s = {1, 8, 4, 4};
    (void)state;
    qz_graph *g = new_graph();
    qz_value x = input(g, &s);
    draw_q(g, x, false);
    refuse(g, x, QZ_ERR_INTERNAL, "input: input writes no parameters by channel");

    g = new_graph();
    x = scaled(g, "x", input(g, &s), false);
    qz_value y = qz_layer_norm(g, "norm", x, 1e-5f);
    g->nodes[y].dtype = QZ_U8;
    g->nodes[y].q = q_in;
    refuse(g, y, QZ_ERR_INTERNAL, "norm: layer_norm reads no parameters by channel");

    g = new_graph();
    x = scaled(g, "x", input(g, &s), false);
    y = qz_resize2d(g, "resize", x, x, QZ_RESIZE_BILINEAR);
    move_q(g, x, y, same);
    refuse(g, y, QZ_ERR_INTERNAL, "resize: bilinear");

    g = new_graph();
    x = scaled(g, "x", input(g, &s), false);
    y = qz_concat(g, "cat", (qz_value[]){x, 0}, 2);
    draw_q(g, y, false);
    refuse(g, y, QZ_ERR_INTERNAL, "cat: must share the scales of x");

    g = new_graph();
    x = scaled(g, "x", input(g, &s), false);
    y = qz_slice_channels(g, "slice", x, 1, 4);
    draw_q(g, y, false);
    refuse(g, y, QZ_ERR_INTERNAL, "slice: must share its input's scale");

    /* no byte is 0 in all channels */
    g = new_graph();
    x = scaled(g, "x", input(g, &s), false);
    y = qz_add(g, "add", x, x, QZ_ACT_RELU);
    draw_q(g, y, true);
    g->nodes[y].channel_q->zero_point[3] = 1;
    refuse(g, y, QZ_ERR_INTERNAL, "add: relu has another range of bytes in channel 3");

    static const float bad[] = {0.0f, -1.0f, INFINITY, NAN};
    for (size_t i = 0; i < QZI_ARRAY_LEN(bad); i++) {
        g = new_graph();
        x = scaled(g, "x", input(g, &s), false);
        g->nodes[x].channel_q->scale[2] = bad[i];
        refuse(g, x, QZ_ERR_INTERNAL, "x: channel 2 has the scale");
    }
}

/* Numbers with which a sum could be infinite are refused; those below are clamped. */
static void test_far_apart(void **state)
{
    static const float scales[] = {1e-37f, 1e-10f};
    const size s = {1, 8, 4, 4};
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(scales); i++)
        for (int k = 0; k < 4; k++) {
            qz_graph *g = new_graph();
            const qz_value x = scaled(g, "x", input(g, &s), false);
            const qz_value y = k == 0   ? qz_add(g, "y", x, x, QZ_ACT_NONE)
                               : k == 1 ? qz_mul(g, "y", x, x)
                               : k == 2 ? qz_adaptive_avg_pool2d(g, "y", x, 2, 2)
                                        : qz_batch_norm2d(g, "y", x, 1e-5f);
            draw_q(g, y, false);
            g->nodes[y].channel_q->scale[5] = scales[i];
            finish(g, y);
            if (i == 1) {
                check_graph(g, &s, "far apart");
                continue;
            }
            qzi_packed *packed;
            assert_int_equal(qzi_packed_create(g, QZ_ISA_REF, &packed), QZ_ERR_NUMERIC);
            assert_non_null(strstr(qz_context_message(ctx), "y: the scales of channel 5"));
            qz_graph_destroy(g);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),      cmocka_unit_test(test_mul),
        cmocka_unit_test(test_pools),    cmocka_unit_test(test_large_window),
        cmocka_unit_test(test_affine),   cmocka_unit_test(test_moves),
        cmocka_unit_test(test_concat),   cmocka_unit_test(test_copies),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_far_apart),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
