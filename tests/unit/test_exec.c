/* SPDX-License-Identifier: MIT */
/*
 * test_exec.c - the planner and the executor on random graphs: every node's value, caught at the
 * moment it is made, must be what its op gives from its inputs' values, so a value that the planner
 * let be overwritten too early is seen. Also: threads, batches and changing sizes.
 */
#include "layers/graph/exec.h"
#include "layers/graph/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static qz_context *ctx;
static uint64_t rng = 1;

static uint32_t draw(uint32_t below)
{
    rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(rng >> 33) % below;
}

static float draw_float(void)
{
    return (float)(int32_t)draw(2001) / 1000.0f - 1.0f;
}

static int setup(void **state)
{
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    (void)state;
    o.threads = 3;
    return qz_context_create(&o, &ctx) == QZ_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    qz_context_destroy(ctx);
    return 0;
}

static void fill_params(qz_graph *g)
{
    for (size_t i = 0; i < g->param_count; i++) {
        int64_t n = qz_tensor_numel(&g->params[i].tensor);
        float *data = qzi_alloc(ctx, (size_t)n * sizeof(*data));
        for (int64_t k = 0; k < n; k++)
            data[k] = draw_float();
        g->params[i].tensor.data = data;
    }
}

/* Windows of all sizes, also some that are taken by rows and columns. */
static qz_value add_max_pool(qz_graph *g, const char *name, qz_value x)
{
    const int32_t kh = (int32_t)(3 + 2 * draw(6)), kw = draw(2) ? kh : (int32_t)(3 + 2 * draw(3));
    return qz_max_pool2d(g, name, x,
                         &(qz_pool2d_options){.kernel_h = kh,
                                              .kernel_w = kw,
                                              .stride_h = 1,
                                              .padding_h = kh / 2,
                                              .padding_w = kw / 2});
}

/* A random graph of `size` layers whose images keep their size. */
static qz_graph *random_graph(size_t size)
{
    qz_graph *g;
    qz_value values[64];
    size_t count = 0;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    values[count++] = qz_graph_input(g, "input", (int32_t)(3 + draw(6)));
    while (count < size) {
        char name[16];
        qz_value x = values[draw((uint32_t)count)], y = values[draw((uint32_t)count)];
        if (draw(3)) /* mostly chains, so that values die */
            x = values[count - 1];
        /* gates are one pixel large and read by products only */
        if (g->nodes[x].op == QZI_OP_ADAPTIVE_AVG_POOL2D ||
            g->nodes[y].op == QZI_OP_ADAPTIVE_AVG_POOL2D)
            continue;
        snprintf(name, sizeof(name), "n%zu", count);
        switch (draw(11)) {
        case 0:
            x = qz_activate(g, name, x, draw(2) ? QZ_ACT_RELU : QZ_ACT_RELU6);
            break;
        case 1:
            for (size_t k = 0; k < count && g->nodes[y].c != g->nodes[x].c; k++)
                y = values[k];
            if (g->nodes[y].c != g->nodes[x].c)
                y = x;
            x = qz_add(g, name, x, y, draw(2) ? QZ_ACT_RELU : QZ_ACT_NONE);
            break;
        case 2: {
            qz_value in[] = {x, y, values[draw((uint32_t)count)]};
            if (g->nodes[in[2]].op == QZI_OP_ADAPTIVE_AVG_POOL2D)
                in[2] = x;
            if (g->nodes[x].c > 64 || g->nodes[y].c > 64 || g->nodes[in[2]].c > 64)
                continue;
            x = qz_concat(g, name, in, 1 + draw(3));
            break;
        }
        case 3:
            x = draw(2) ? qz_dropout(g, name, x, 0.5f) : qz_stochastic_depth(g, name, x, 0.2f);
            break;
        case 5: {
            const int32_t half = g->nodes[x].c / 2;
            if (g->nodes[x].c % 2 == 0 && draw(2)) { /* of two periods */
                const int32_t from = (int32_t)draw((uint32_t)half);
                x = qz_pick_channels(g, name, x, from, (int32_t)(1 + draw((uint32_t)(half - from))),
                                     half);
                break;
            }
            const int32_t first = (int32_t)draw((uint32_t)g->nodes[x].c);
            x = qz_slice_channels(g, name, x, first,
                                  (int32_t)(1 + draw((uint32_t)(g->nodes[x].c - first))));
            break;
        }
        case 6: {
            int32_t groups = (int32_t)(1 + draw(4));
            x = qz_channel_shuffle(g, name, x, g->nodes[x].c % groups ? 1 : groups);
            break;
        }
        case 7: { /* an image, or one factor for each channel of it; either comes first */
            for (size_t k = 0; k < count && g->nodes[y].c != g->nodes[x].c; k++)
                y = values[k];
            if (g->nodes[y].c != g->nodes[x].c)
                y = x;
            if (draw(2)) {
                char gate[24];
                snprintf(gate, sizeof(gate), "gate%zu", count);
                values[count++] = y = qz_adaptive_avg_pool2d(g, gate, y, 1, 1);
                snprintf(name, sizeof(name), "n%zu", count);
            }
            x = draw(2) ? qz_mul(g, name, x, y) : qz_mul(g, name, y, x);
            break;
        }
        case 8:
            x = qz_activate(g, name, x, QZ_ACT_HARDSWISH);
            break;
        case 9:
            x = qz_layer_scale(g, name, name, x);
            break;
        case 4:
            x = add_max_pool(g, name, x);
            break;
        default:
            x = qz_conv2d(g, name, x,
                          &(qz_conv2d_options){.out_channels = (int32_t)(1 + draw(20)),
                                               .kernel_h = 3,
                                               .padding_h = 1,
                                               .bias = draw(2)});
            break;
        }
        values[count++] = x;
    }
    qz_graph_output(g, "last", values[count - 1]);
    if (draw(2))
        qz_graph_output(g, "inner", values[draw((uint32_t)count)]);
    assert_int_equal(qz_graph_finish(g), QZ_OK);
    fill_params(g);
    return g;
}

typedef struct caught {
    float *values[64]; /* NHWC, dense */
    qzk_view views[64];
} caught;

static qz_status catch_value(void *user, const qz_graph *graph, qz_value node, const qzk_view *view)
{
    caught *c = user;
    size_t pixels = (size_t)view->n * (size_t)view->h * (size_t)view->w;
    (void)graph;
    c->values[node] = malloc(pixels * (size_t)view->c * sizeof(float));
    c->views[node] = *view;
    for (size_t p = 0; p < pixels; p++)
        memcpy(c->values[node] + p * (size_t)view->c,
               (const float *)view->data + (int64_t)p * view->pixel_stride,
               (size_t)view->c * sizeof(float));
    return QZ_OK;
}

static float act(qz_activation a, float v)
{
    if (a == QZ_ACT_HARDSWISH)
        return v * fminf(fmaxf(v + 3.0f, 0.0f), 6.0f) / 6.0f;
    if (a != QZ_ACT_NONE && v < 0.0f)
        v = 0.0f;
    return a == QZ_ACT_RELU6 && v > 6.0f ? 6.0f : v;
}

static float tap(const caught *c, qz_value v, int32_t n, int32_t y, int32_t x, int32_t ch,
                 float outside)
{
    const qzk_view *s = &c->views[v];
    if (y < 0 || x < 0 || y >= s->h || x >= s->w)
        return outside;
    return c->values[v][(((int64_t)n * s->h + y) * s->w + x) * s->c + ch];
}

/* CONTRACT.md, one output value at a time. */
static float expected(const qz_graph *g, const caught *c, qz_value v, int32_t n, int32_t y,
                      int32_t x, int32_t ch)
{
    const qzi_node *node = &g->nodes[v];
    qz_value a = node->in[0];
    switch (node->op) {
    case QZI_OP_ACTIVATION:
        return act(node->act, tap(c, a, n, y, x, ch, 0));
    case QZI_OP_ADD:
        return act(node->act, tap(c, a, n, y, x, ch, 0) + tap(c, node->in[1], n, y, x, ch, 0));
    case QZI_OP_MUL: {
        const qzk_view *s = &c->views[a], *t = &c->views[node->in[1]];
        return tap(c, a, n, y % s->h, x % s->w, ch, 0) *
               tap(c, node->in[1], n, y % t->h, x % t->w, ch, 0);
    }
    case QZI_OP_SLICE:
        return tap(c, a, n, y, x, qzi_slice_channel(node, ch), 0);
    case QZI_OP_CHANNEL_SHUFFLE: {
        int32_t groups = node->u.shuffle.groups;
        return tap(c, a, n, y, x, ch % groups * (node->c / groups) + ch / groups, 0);
    }
    case QZI_OP_LAYER_SCALE: {
        const float *factor = qzi_node_param(g, node, QZI_P_WEIGHT)->tensor.data;
        return tap(c, a, n, y, x, ch, 0) * factor[ch];
    }
    case QZI_OP_ADAPTIVE_AVG_POOL2D: {
        const qzk_view *s = &c->views[a];
        float sum = 0.0f;
        for (int32_t k = 0; k < s->h * s->w; k++)
            sum += tap(c, a, n, k / s->w, k % s->w, ch, 0);
        return sum / (float)(s->h * s->w);
    }
    case QZI_OP_CONCAT: {
        size_t k = 0;
        while (ch >= g->nodes[node->in[k]].c)
            ch -= g->nodes[node->in[k++]].c;
        return tap(c, node->in[k], n, y, x, ch, 0);
    }
    case QZI_OP_MAX_POOL2D: {
        float best = -INFINITY;
        const qzi_pool2d_attr *p = &node->u.pool;
        for (int k = 0; k < p->kh * p->kw; k++)
            best = fmaxf(best, tap(c, a, n, y + k / p->kw - p->pad_h, x + k % p->kw - p->pad_w, ch,
                                   -INFINITY));
        return best;
    }
    case QZI_OP_CONV2D: {
        const float *w = qzi_node_param(g, node, QZI_P_WEIGHT)->tensor.data;
        const qzi_param *bias = qzi_node_param(g, node, QZI_P_BIAS);
        int32_t ic = node->u.conv.ic;
        float acc = 0.0f;
        for (int k = 0; k < 9; k++) {
            for (int32_t i = 0; i < ic; i++)
                acc = fmaf(tap(c, a, n, y + k / 3 - 1, x + k % 3 - 1, i, 0.0f),
                           w[(ch * ic + i) * 9 + k], acc);
        }
        return acc + (bias ? ((const float *)bias->tensor.data)[ch] : 0.0f);
    }
    default:
        return tap(c, a, n, y, x, ch, 0);
    }
}

static void check_values(const qz_graph *g, const caught *c)
{
    for (size_t i = 0; i < g->node_count; i++) {
        const qzk_view *s = &c->views[i];
        const float *at = c->values[i];
        if (g->nodes[i].op == QZI_OP_INPUT)
            continue;
        for (int32_t n = 0; n < s->n; n++)
            for (int32_t y = 0; y < s->h; y++)
                for (int32_t x = 0; x < s->w; x++)
                    for (int32_t ch = 0; ch < s->c; ch++, at++) {
                        float e = expected(g, c, (qz_value)i, n, y, x, ch);
                        if (memcmp(at, &e, sizeof(e)) != 0 && *at != e)
                            fail_msg("%s (%s) [%d %d %d %d]: %.9g, expected %.9g", g->nodes[i].name,
                                     qzi_op_name(g->nodes[i].op), n, y, x, ch, (double)*at,
                                     (double)e);
                    }
    }
}

static qz_tensor random_input(const qz_graph *g, int64_t n, int64_t h, int64_t w)
{
    qz_tensor t = {.dtype = QZ_F32, .ndim = 4, .dims = {n, g->nodes[0].c, h, w}};
    float *data = malloc((size_t)qz_tensor_numel(&t) * sizeof(*data));
    for (int64_t i = 0; i < qz_tensor_numel(&t); i++)
        data[i] = draw_float();
    t.data = data;
    return t;
}

/* The outputs are, to the last bit, the values that the hook saw. */
static void check_outputs(const qz_graph *g, qzi_exec *exec, const caught *c)
{
    for (size_t i = 0; i < g->output_count; i++) {
        qz_value v = g->outputs[i].value;
        qz_tensor out = {0};
        assert_int_equal(qzi_exec_output_shape(exec, i, &out), QZ_OK);
        size_t bytes = (size_t)qz_tensor_numel(&out) * sizeof(float);
        float *got = malloc(bytes), *want = malloc(bytes);
        qzi_exec_output(exec, i, got);
        qzk_view dense = c->views[v];
        dense.data = c->values[v];
        dense.pixel_stride = dense.c;
        qzi_view_to_nchw(ctx, 1, &g->nodes[v], &dense, want, NULL);
        assert_memory_equal(got, want, bytes);
        free(got);
        free(want);
    }
}

/* How many nodes of the graph follow a convolution (plan.h). */
static size_t count_followers(const qz_graph *g, const qzi_shape *in)
{
    qzi_plan *plan;
    size_t count = 0;
    assert_int_equal(qzi_plan_create(g, in, &plan), QZ_OK);
    for (size_t i = 0; i < g->node_count; i++)
        count += plan->values[i].head != QZ_NO_VALUE;
    qzi_plan_destroy(plan);
    return count;
}

static void random_graphs_compute_what_they_say(void **state)
{
    size_t followers = 0;
    (void)state;
    for (int round = 0; round < 150; round++) {
        qz_graph *g = random_graph(4 + draw(24));
        qzi_packed *packed;
        qzi_exec *exec;
        caught c = {0};
        assert_int_equal(qzi_packed_create(g, QZ_ISA_REF, &packed), QZ_OK);
        assert_int_equal(qzi_exec_create(packed, g, 1 + draw(3), &exec), QZ_OK);
        qz_tensor x = random_input(g, 1 + draw(2), 2 + draw(5), 1 + draw(6));
        qzi_exec_set_hook(exec, catch_value, &c);
        assert_int_equal(qzi_exec_run(exec, &x, 1, false), QZ_OK);
        check_values(g, &c);
        check_outputs(g, exec, &c); /* still what they were when made */
        /* without a hook, convolutions apply what follows them */
        const qzi_shape shape = {(int32_t)x.dims[0], (int32_t)x.dims[2], (int32_t)x.dims[3],
                                 (int32_t)x.dims[1]};
        followers += count_followers(g, &shape);
        qzi_exec_set_hook(exec, NULL, NULL);
        assert_int_equal(qzi_exec_run(exec, &x, 1, false), QZ_OK);
        check_outputs(g, exec, &c);
        for (size_t i = 0; i < g->node_count; i++)
            free(c.values[i]);
        free(x.data);
        qzi_exec_destroy(exec);
        qzi_packed_destroy(packed);
        qz_graph_destroy(g);
    }
    print_message("%zu nodes followed a convolution\n", followers);
    assert_true(followers > 10);
}

/* A plan never takes less than what is alive at once, and little more. */
static void plans_are_tight(void **state)
{
    double worst = 1.0;
    (void)state;
    for (int round = 0; round < 300; round++) {
        qz_graph *g = random_graph(4 + draw(40));
        qzi_shape in = {1, 16, 16, g->nodes[0].c};
        qzi_plan *plan;
        assert_int_equal(qzi_plan_create(g, &in, &plan), QZ_OK);
        assert_true(plan->arena_bytes >= plan->liveness_bytes);
        worst = fmax(worst, (double)plan->arena_bytes / (double)plan->liveness_bytes);
        qzi_plan_destroy(plan);
        qz_graph_destroy(g);
    }
    print_message("arena over liveness bound, worst of 300 graphs: %.3f\n", worst);
    assert_true(worst < 1.25);
}

static void sizes_may_change_from_run_to_run(void **state)
{
    qz_graph *g = random_graph(20);
    qzi_packed *packed;
    qzi_exec *exec;
    float *first[12];
    (void)state;
    assert_int_equal(qzi_packed_create(g, QZ_ISA_AUTO, &packed), QZ_OK);
    assert_int_equal(qzi_exec_create(packed, g, 2, &exec), QZ_OK);
    qz_tensor inputs[12];
    for (int i = 0; i < 12; i++) /* more sizes than plans are kept */
        inputs[i] = random_input(g, 1, 3 + i, 14 - i);
    for (int pass = 0; pass < 3; pass++) {
        for (int i = 0; i < 12; i++) {
            qz_tensor out = {0};
            assert_int_equal(qzi_exec_run(exec, &inputs[i], 1, false), QZ_OK);
            assert_int_equal(qzi_exec_output_shape(exec, 0, &out), QZ_OK);
            size_t bytes = (size_t)qz_tensor_numel(&out) * sizeof(float);
            out.data = malloc(bytes);
            qzi_exec_output(exec, 0, out.data);
            if (pass == 0) {
                first[i] = out.data;
            } else {
                assert_memory_equal(first[i], out.data, bytes);
                free(out.data);
            }
        }
    }
    for (int i = 0; i < 12; i++) {
        free(first[i]);
        free(inputs[i].data);
    }
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    qz_graph_destroy(g);
}

static void bad_inputs_are_refused(void **state)
{
    qz_graph *g = random_graph(6);
    qzi_packed *packed;
    qzi_exec *exec;
    (void)state;
    assert_int_equal(qzi_packed_create(g, QZ_ISA_AUTO, &packed), QZ_OK);
    assert_int_equal(qzi_exec_create(packed, g, 1, &exec), QZ_OK);
    qz_tensor x = random_input(g, 1, 4, 4), bad = x, out = {0};
    assert_int_equal(qzi_exec_output_shape(exec, 0, &out), QZ_ERR_STATE);
    ((float *)x.data)[7] = NAN;
    assert_int_equal(qzi_exec_run(exec, &x, 1, false), QZ_ERR_NUMERIC);
    ((float *)x.data)[7] = -INFINITY;
    assert_int_equal(qzi_exec_run(exec, &x, 1, false), QZ_ERR_NUMERIC);
    ((float *)x.data)[7] = 0.5f;
    assert_int_equal(qzi_exec_run(exec, &x, 1, false), QZ_OK);
    bad.dims[2] = 0;
    assert_int_equal(qzi_exec_run(exec, &bad, 1, false), QZ_ERR_ARGUMENT);
    bad = x;
    bad.dims[1]++;
    assert_int_equal(qzi_exec_run(exec, &bad, 1, false), QZ_ERR_ARGUMENT);
    bad = x;
    bad.ndim = 3;
    assert_int_equal(qzi_exec_run(exec, &bad, 1, false), QZ_ERR_ARGUMENT);
    bad = x;
    bad.dims[0] = INT64_C(1) << 40;
    assert_int_equal(qzi_exec_run(exec, &bad, 1, false), QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_exec_run(exec, &x, 2, false), QZ_ERR_ARGUMENT);
    free(x.data);
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    qz_graph_destroy(g);
}

/* Runs g, whose parameters are set, and compares every value. */
static void run_and_check(qz_graph *g, int64_t h, int64_t w)
{
    qzi_packed *packed;
    qzi_exec *exec;
    caught c = {0};
    assert_int_equal(qz_graph_finish(g), QZ_OK);
    assert_int_equal(qzi_packed_create(g, QZ_ISA_AUTO, &packed), QZ_OK);
    assert_int_equal(qzi_exec_create(packed, g, 1, &exec), QZ_OK);
    qz_tensor x = random_input(g, 2, h, w);
    qzi_exec_set_hook(exec, catch_value, &c);
    assert_int_equal(qzi_exec_run(exec, &x, 1, false), QZ_OK);
    check_values(g, &c);
    for (size_t i = 0; i < g->node_count; i++)
        free(c.values[i]);
    free(x.data);
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    qz_graph_destroy(g);
}

/* A sum or product of slices that overlap must not be written over one of them. */
static void slices_of_one_tensor_may_overlap(void **state)
{
    (void)state;
    for (int32_t first = 0; first <= 40; first += 4) {
        for (int swapped = 0; swapped < 4; swapped++) {
            qz_graph *g;
            assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
            qz_value x = qz_graph_input(g, "input", 90);
            qz_value a = qz_slice_channels(g, "a", x, first, 50);
            qz_value b = qz_slice_channels(g, "b", x, 20, 50);
            qz_value p = swapped & 1 ? b : a, q = swapped & 1 ? a : b;
            x = swapped & 2 ? qz_mul(g, "mul", p, q) : qz_add(g, "add", p, q, QZ_ACT_NONE);
            qz_graph_output(g, "output", x);
            run_and_check(g, 3, 4);
        }
    }
}

/* The factors come first, and nobody knows before the run that they are one pixel large. */
static void factors_of_unknown_size(void **state)
{
    (void)state;
    for (int swapped = 0; swapped < 2; swapped++) {
        qz_graph *g;
        assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
        qz_value x = qz_graph_input(g, "input", 7);
        qz_value gate = qz_max_pool2d(
            g, "gate", x, &(qz_pool2d_options){.kernel_h = 3, .stride_h = 3, .ceil_mode = true});
        x = swapped ? qz_mul(g, "mul", x, gate) : qz_mul(g, "mul", gate, x);
        qz_graph_output(g, "output", x);
        g->nodes[gate].op = QZI_OP_ADAPTIVE_AVG_POOL2D; /* as the check knows it */
        g->nodes[gate].u.adaptive.out_h = g->nodes[gate].u.adaptive.out_w = 1;
        run_and_check(g, 3, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_compute_what_they_say),
        cmocka_unit_test(plans_are_tight),
        cmocka_unit_test(sizes_may_change_from_run_to_run),
        cmocka_unit_test(bad_inputs_are_refused),
        cmocka_unit_test(slices_of_one_tensor_may_overlap),
        cmocka_unit_test(factors_of_unknown_size),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
