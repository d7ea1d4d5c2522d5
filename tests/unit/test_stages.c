/* SPDX-License-Identifier: MIT */
/*
 * test_stages.c - a graph of two inputs as two stages: what an absent input leaves out, inputs that
 * a callback fills, inputs of one size.
 */
#include "layers/graph/exec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static qz_context *ctx;
static qz_graph *graph;
static qzi_packed *packed;
static qzi_exec *exec;

static int setup(void **state)
{
    (void)state;
    if (qz_context_create(NULL, &ctx) != QZ_OK || qz_graph_create(ctx, &graph) != QZ_OK)
        return -1;
    qz_value x = qz_graph_input(graph, "image", 3);
    qz_graph_output(graph, "sum", qz_add(graph, "add", x, x, QZ_ACT_NONE));
    x = qz_graph_input_sized(graph, "roi", 2, 1, 2);
    qz_graph_output(graph, "flat", qz_flatten(graph, "flatten", x));
    return qz_graph_finish(graph) == QZ_OK &&
                   qzi_packed_create(graph, QZ_ISA_AUTO, &packed) == QZ_OK &&
                   qzi_exec_create(packed, graph, 1, &exec) == QZ_OK
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    qz_graph_destroy(graph);
    qz_context_destroy(ctx);
    return 0;
}

static void count_up(void *user, const qz_context *context, const qzi_node *node,
                     const qzk_view *out, uint32_t threads)
{
    float *value = out->data;
    (void)context, (void)threads;
    assert_string_equal(node->name, "roi");
    for (int64_t p = 0; p < (int64_t)out->n * out->h * out->w; p++)
        for (int32_t c = 0; c < out->c; c++)
            value[p * out->pixel_stride + c] = *(float *)user + (float)(p * out->c + c);
}

static void test_each_stage_runs_alone(void **state)
{
    float image[3] = {1.0f, 2.0f, 3.0f}, first = 10.0f, flat[12];
    const qz_tensor tensor = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, 1, 1}, .data = image};
    const qzi_node *node = NULL;
    qzk_view view;
    (void)state;
    assert_int_equal(qzi_exec_run_inputs(exec, (qzi_exec_input[2]){{.tensor = &tensor}}, 2), QZ_OK);
    assert_int_equal(qzi_exec_output_view(exec, 0, &node, &view), QZ_OK);
    assert_string_equal(node->name, "add");
    for (int c = 0; c < 3; c++)
        assert_true(((const float *)view.data)[c] == 2.0f * image[c]);
    assert_int_equal(qzi_exec_output_view(exec, 1, &node, &view), QZ_ERR_STATE);
    assert_false(qzi_exec_needs(exec, qzi_graph_find(graph, "flatten")));

    /* any number of RoIs, whatever the first stage's batch was */
    const qzi_exec_input rois[2] = {{0},
                                    {.fill = count_up, .user = &first, .n = 3, .h = 1, .w = 2}};
    assert_int_equal(qzi_exec_run_inputs(exec, rois, 2), QZ_OK);
    qz_tensor shape;
    assert_int_equal(qzi_exec_output_shape(exec, 1, &shape), QZ_OK);
    assert_int_equal(shape.dims[0], 3);
    assert_int_equal(shape.dims[1], 4);
    qzi_exec_output(exec, 1, flat);
    for (int roi = 0; roi < 3; roi++) /* torch's order: channel, then column */
        for (int c = 0; c < 2; c++)
            for (int w = 0; w < 2; w++)
                assert_true(flat[roi * 4 + c * 2 + w] == 10.0f + (float)(roi * 4 + w * 2 + c));
    assert_int_equal(qzi_exec_output_view(exec, 0, &node, &view), QZ_ERR_STATE);
}

static void test_wrong_inputs(void **state)
{
    float first = 0.0f;
    (void)state;
    assert_int_equal(qzi_exec_run_inputs(exec, (qzi_exec_input[2]){{0}}, 2), QZ_ERR_ARGUMENT);
    const qzi_exec_input wide[2] = {{0},
                                    {.fill = count_up, .user = &first, .n = 1, .h = 1, .w = 3}};
    assert_int_equal(qzi_exec_run_inputs(exec, wide, 2), QZ_ERR_ARGUMENT);
    assert_non_null(strstr(qz_context_message(ctx), "roi is 1x3; the model takes 1x2"));
    const qzi_exec_input none[2] = {{0},
                                    {.fill = count_up, .user = &first, .n = 0, .h = 1, .w = 2}};
    assert_int_equal(qzi_exec_run_inputs(exec, none, 2), QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_exec_run_inputs(exec, NULL, 0), QZ_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_stage_runs_alone),
        cmocka_unit_test(test_wrong_inputs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
