/* SPDX-License-Identifier: MIT */
/*
 * test_plan.c - the arena of every architecture beside the bound of liveness, at its own size and
 * batch 1: float and int8 (fbgemm; parameters made up, so that no concat's inputs agree by chance).
 * Plans follow from the graph's structure, so no weights are made.
 *
 *   test_plan [--table]    --table: every model's numbers, not the worst alone
 */
#include "assert_ok.h"
#include "layers/graph/plan.h"
#include "zoo/model/model.h"
#include "zoo/model/model_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The most that a plan may take, of what is alive at once. */
#define BOUND 1.02

static bool table;

/* (test_exec.c sees by values that no value overlaps another one alive.) */
static void values_lie_in_the_arena(const qz_graph *graph, const qzi_plan *plan)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_shape *s = &plan->shapes[i];
        const size_t size = qz_dtype_size(graph->nodes[i].dtype);
        const size_t pixels = (size_t)s->n * (size_t)s->h * (size_t)s->w;
        if (pixels == 0) /* of another stage */
            continue;
        assert_true(plan->values[i].stride >= s->c);
        assert_true(plan->values[i].offset +
                        ((pixels - 1) * (size_t)plan->values[i].stride + (size_t)s->c) * size <=
                    plan->arena_bytes);
    }
}

static double ratio_of(const qz_graph *graph, qzi_shape input, size_t *bytes)
{
    qzi_plan *plan = NULL;
    qzi_shape inputs[8] = {input}; /* of a detector, the stage of the image */
    assert_in_range(graph->input_count, 1, QZI_ARRAY_LEN(inputs));
    ASSERT_OK(graph->ctx, qzi_plan_create(graph, inputs, &plan));
    assert_true(plan->liveness_bytes > 0 && plan->arena_bytes >= plan->liveness_bytes);
    values_lie_in_the_arena(graph, plan);
    double ratio = (double)plan->arena_bytes / (double)plan->liveness_bytes;
    *bytes = plan->arena_bytes;
    qzi_plan_destroy(plan);
    return ratio;
}

static qz_graph *int8_of(const qz_model *model)
{
    enum { MOST = 4096 };
    static qzi_value_q observed[MOST];
    const qzi_backend *backend = qzi_backend_get(QZ_BACKEND_FBGEMM);
    const qzi_qconfig qconfig = {
        .backend = backend, .observer = backend->activations, .per_channel = backend->per_channel};
    qz_graph *graph = NULL;
    assert_true(model->graph->node_count <= MOST);
    for (size_t i = 0; i < model->graph->node_count; i++)
        observed[i].q = (qzi_qparams){0.01f + 0.001f * (float)i, (int32_t)(i % 200)};
    ASSERT_OK(model->ctx, qzi_convert_structure(model->graph, &qconfig, observed, &graph));
    return graph;
}

static void arenas_are_near_the_bound(void **state)
{
    (void)state;
    double worst[2] = {0};
    char who[2][64] = {"", ""};
    qz_context *ctx = NULL;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    for (size_t i = 0; i < qz_arch_count(); i++) {
        qz_arch_info info;
        qz_model *model = NULL;
        double ratio[2];
        size_t bytes[2];
        qz_arch_at(i, &info);
        ASSERT_OK(ctx, qzi_model_alloc(ctx, qzi_arch_get(info.name), &model));
        ASSERT_OK(ctx, qzi_model_build(model, NULL));
        ASSERT_OK(ctx, qzi_model_fuse(model));
        qz_graph *int8 = int8_of(model);
        for (int k = 0; k < 2; k++) {
            const qz_graph *graph = k ? int8 : model->graph;
            /* another size, in batches, is nobody's table but must be near the bound too */
            const qzi_shape own = {1, info.input_h, info.input_w, 3};
            const qzi_shape other = {3, info.input_h + 37, info.input_w + 70, 3};
            size_t unused;
            assert_true(ratio_of(graph, other, &unused) <= BOUND);
            ratio[k] = ratio_of(graph, own, &bytes[k]);
        }
        if (table)
            print_message("%-20s fp32 %7.3f MB, %.3f; int8 %7.3f MB, %.3f\n", info.name,
                          (double)bytes[0] * 1e-6, ratio[0], (double)bytes[1] * 1e-6, ratio[1]);
        for (int k = 0; k < 2; k++) {
            if (ratio[k] > worst[k]) {
                worst[k] = ratio[k];
                snprintf(who[k], sizeof(who[k]), "%s", info.name);
            }
        }
        qz_graph_destroy(int8);
        qz_model_destroy(model);
    }
    print_message("arena over what is alive at once, worst: fp32 %.3f (%s), int8 %.3f (%s)\n",
                  worst[0], who[0], worst[1], who[1]);
    assert_true(worst[0] <= BOUND && worst[1] <= BOUND);
    qz_context_destroy(ctx);
}

static qzi_traffic traffic(const qz_graph *graph, const qzi_plan *plan, const char *name)
{
    return qzi_plan_traffic(graph, plan, qzi_graph_find(graph, name), false);
}

static void moves(const qz_graph *graph, const qzi_plan *plan, const char *name, uint64_t read,
                  uint64_t written)
{
    const qzi_traffic t = traffic(graph, plan, name);
    if (t.read != read || t.written != written || t.packed != 0)
        fail_msg("%s: reads %d, writes %d, not %d and %d", name, (int)t.read, (int)t.written,
                 (int)read, (int)written);
}

/* The rule of exec.h, by hand: two images of 6x4. */
static void bytes_that_nodes_move(void **state)
{
    (void)state;
    enum { PIXELS = 2 * 6 * 4 };
    qz_context *ctx = NULL;
    qz_graph *g = NULL;
    qzi_plan *plan = NULL;
    const qzi_shape input = {2, 6, 4, 3};
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    const qz_conv2d_options ten = {.out_channels = 10, .kernel_h = 1};
    const qz_conv2d_options strided = {.out_channels = 6, .kernel_h = 1, .stride_h = 2};
    qz_value x = qz_graph_input(g, "input", 3);
    qz_value a = qz_conv2d(g, "a", x, &ten), b = qz_conv2d(g, "b", x, &ten);
    qz_value sum = qz_add(g, "add", a, b, QZ_ACT_NONE);
    qz_value twice = qz_add(g, "twice", sum, sum, QZ_ACT_NONE);
    qz_value drop = qz_dropout(g, "drop", twice, 0.5f);
    qz_value part = qz_slice_channels(g, "part", drop, 2, 5);
    const qz_value joined[3] = {part, qz_conv2d(g, "c", drop, &ten), a};
    qz_value cat = qz_concat(g, "cat", joined, 3);
    qz_graph_output(g, "output", qz_conv2d(g, "last", cat, &strided));
    ASSERT_OK(ctx, qz_graph_finish(g));
    ASSERT_OK(ctx, qzi_plan_create(g, &input, &plan));
    moves(g, plan, "input", PIXELS * 3 * 4, PIXELS * 3 * 4);
    moves(g, plan, "a", PIXELS * 3 * 4, PIXELS * 10 * 4);
    moves(g, plan, "add", PIXELS * 20 * 4, PIXELS * 10 * 4);
    assert_int_equal(plan->values[sum].head, b);
    const qzi_traffic within = qzi_plan_traffic(g, plan, sum, true); /* on what b gives */
    assert_int_equal(within.read, PIXELS * 10 * 4);
    assert_int_equal(within.written, 0);
    moves(g, plan, "twice", PIXELS * 10 * 4, PIXELS * 10 * 4); /* one input */
    moves(g, plan, "drop", 0, 0);
    moves(g, plan, "part", 0, 0);                          /* a view */
    moves(g, plan, "cat", PIXELS * 5 * 4, PIXELS * 5 * 4); /* c and a stand there */
    moves(g, plan, "last", PIXELS * 25 * 4, PIXELS / 4 * 6 * 4);
    qzi_plan_destroy(plan);

    /* bytes: read up to a multiple of four channels; slices of others are copied */
    for (size_t i = 0; i < g->node_count; i++) {
        g->nodes[i].dtype = QZ_U8;
        g->nodes[i].q = (qzi_qparams){0.5f + (float)i, 3};
    }
    ASSERT_OK(ctx, qzi_plan_create(g, &input, &plan));
    moves(g, plan, "input", PIXELS * 3 * 4, PIXELS * 3);
    moves(g, plan, "a", PIXELS * 4, PIXELS * 10);
    moves(g, plan, "add", PIXELS * 2 * 12, PIXELS * 10);
    moves(g, plan, "drop", 0, 0);
    moves(g, plan, "part", PIXELS * 8, PIXELS * 5);
    moves(g, plan, "cat", PIXELS * (8 + 12 + 12), PIXELS * 25); /* through tables */
    moves(g, plan, "last", PIXELS * 28, PIXELS / 4 * 6);
    qzi_plan_destroy(plan);
    qz_graph_destroy(g);
    qz_context_destroy(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(arenas_are_near_the_bound),
                                       cmocka_unit_test(bytes_that_nodes_move)};
    table = argc > 1 && strcmp(argv[1], "--table") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
