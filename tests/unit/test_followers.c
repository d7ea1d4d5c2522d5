/* SPDX-License-Identifier: MIT */
/*
 * test_followers.c - element-wise nodes that convolutions apply to each region of their output:
 * which do, also where they write into a concat, and that the bytes are those of a pass of their
 * own.
 */
#include "layers/graph/exec.h"
#include "layers/graph/graph.h"
#include "layers/graph/plan.h"
#include "weights/qzoo_weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static qz_context *ctx;

static int setup(void **state)
{
    (void)state;
    return qz_context_create(NULL, &ctx) == QZ_OK ? 0 : -1;
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
        qz_tensor *t = &g->params[i].tensor;
        t->data = qzi_alloc(ctx, (size_t)qz_tensor_numel(t) * sizeof(float));
        assert_non_null(t->data);
        qz_random_uniform(g->params[i].key, "", -0.5, 0.5, qz_tensor_numel(t), t->data);
    }
}

static qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t oc, int32_t k,
                     int32_t groups)
{
    return qz_conv2d(
        g, name, x,
        &(qz_conv2d_options){
            .out_channels = oc, .kernel_h = k, .padding_h = k / 2, .groups = groups, .bias = true});
}

static qz_graph *residual_graph(void)
{
    qz_graph *g;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    qz_value x = conv(g, "stem", qz_graph_input(g, "input", 5), 40, 3, 1);
    x = qz_activate(g, "follows.stem", x, QZ_ACT_HARDSWISH);
    qz_value y = conv(g, "depthwise", x, 40, 5, 40);
    y = qz_activate(g, "follows.depthwise", y, QZ_ACT_SILU);
    y = qz_stochastic_depth(g, "drop", conv(g, "project", y, 40, 1, 1), 0.5f);
    x = qz_add(g, "follows.project", y, x, QZ_ACT_RELU);
    y = conv(g, "expand", x, 72, 1, 1);
    /* the last one computed has it, though it is the second input; and what comes after that */
    x = qz_add(g, "follows.shortcut", y, conv(g, "shortcut", x, 72, 3, 1), QZ_ACT_NONE);
    x = qz_layer_scale(g, "scale.weight", "follows.shortcut.scale", x);
    x = qz_activate(g, "follows.grouped", conv(g, "grouped", x, 72, 3, 9), QZ_ACT_HARDSIGMOID);
    /* read twice; computed before what is added to it */
    y = conv(g, "twice", x, 72, 1, 1);
    x = qz_add(g, "apart", qz_activate(g, "apart.activation", y, QZ_ACT_RELU), y, QZ_ACT_NONE);
    y = conv(g, "early", x, 72, 3, 1);
    x = qz_add(g, "apart.late", y,
               qz_max_pool2d(g, "pool", x,
                             &(qz_pool2d_options){.kernel_h = 3, .stride_h = 1, .padding_h = 1}),
               QZ_ACT_NONE);
    /* what is written into a concat follows, too */
    const qz_value side = qz_activate(g, "follows.side", conv(g, "side", x, 24, 1, 1), QZ_ACT_SILU);
    x = qz_activate(g, "follows.main", conv(g, "main", x, 24, 1, 1), QZ_ACT_MISH);
    y = qz_activate(g, "follows.inner", conv(g, "inner", x, 24, 3, 1), QZ_ACT_LEAKY_RELU);
    y = qz_add(g, "follows.inner.sum", x, y, QZ_ACT_NONE);
    x = qz_concat(g, "cat", (qz_value[]){y, side}, 2);
    qz_graph_output(g, "last", x);
    assert_int_equal(qz_graph_finish(g), QZ_OK);
    fill_params(g);
    return g;
}

/* A hook sees every value, so nothing follows. */
static qz_status look(void *user, const qz_graph *graph, qz_value node, const qzk_view *view)
{
    (void)user, (void)graph, (void)node, (void)view;
    return QZ_OK;
}

/* The caller frees it. */
static float *run(qzi_exec *exec, const qz_tensor *x, bool alone, size_t *bytes)
{
    qz_tensor out = {0};
    qzi_exec_set_hook(exec, alone ? look : NULL, NULL);
    assert_int_equal(qzi_exec_run(exec, x, 1, false), QZ_OK);
    assert_int_equal(qzi_exec_output_shape(exec, 0, &out), QZ_OK);
    *bytes = (size_t)qz_tensor_numel(&out) * sizeof(float);
    float *data = malloc(*bytes);
    assert_non_null(data);
    qzi_exec_output(exec, 0, data);
    return data;
}

static void check_heads(const qz_graph *g, const qzi_shape *shape)
{
    qzi_plan *plan;
    assert_int_equal(qzi_plan_create(g, shape, &plan), QZ_OK);
    for (size_t i = 0; i < g->node_count; i++) {
        const char *name = g->nodes[i].name, *prefix = "follows.";
        if (strncmp(name, prefix, strlen(prefix)) != 0) {
            assert_int_equal(plan->values[i].head, QZ_NO_VALUE);
            continue;
        }
        assert_int_not_equal(plan->values[i].head, QZ_NO_VALUE);
        const char *head = g->nodes[plan->values[i].head].name;
        assert_memory_equal(name + strlen(prefix), head, strlen(head));
    }
    qzi_plan_destroy(plan);
}

/* Element-wise nodes follow the convolutions that their names say, and give the same bytes so. */
static void convolutions_apply_what_follows(void **state)
{
    static float pixels[2 * 5 * 13 * 11];
    qz_graph *g = residual_graph();
    qz_tensor x = {.dtype = QZ_F32, .ndim = 4, .dims = {2, 5, 13, 11}, .data = pixels};
    (void)state;
    qz_random_uniform("input", "", -0.5, 2.0, qz_tensor_numel(&x), pixels);
    check_heads(g, &(qzi_shape){2, 13, 11, 5});
    for (uint32_t threads = 1; threads <= 3; threads++) {
        for (int isa = 0; isa < 2; isa++) {
            qzi_packed *packed;
            qzi_exec *exec;
            size_t bytes;
            assert_int_equal(qzi_packed_create(g, isa ? QZ_ISA_AUTO : QZ_ISA_REF, &packed), QZ_OK);
            assert_int_equal(qzi_exec_create(packed, g, threads, &exec), QZ_OK);
            float *apart = run(exec, &x, true, &bytes), *together = run(exec, &x, false, &bytes);
            assert_memory_equal(apart, together, bytes);
            free(apart);
            free(together);
            qzi_exec_destroy(exec);
            qzi_packed_destroy(packed);
        }
    }
    qz_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_apply_what_follows),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
