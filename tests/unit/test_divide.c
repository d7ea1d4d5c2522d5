/* SPDX-License-Identifier: MIT */
/*
 * test_divide.c - what YOLO asks of graphs and passes. Channels of every period: what is picked,
 * which convolutions are divided by them, the same bytes, failures; buffers and the order of
 * parameters; ranges of what SiLU and Mish read.
 */
#include "passes.h"
#include "quant/convert.h"
#include "quant/decide.h"
#include "quant/divide.h"

static qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t oc, bool bias)
{
    return qz_conv2d(g, name, x,
                     &(qz_conv2d_options){.out_channels = oc, .kernel_h = 1, .bias = bias});
}

/* A head of two anchors with 4 + 1 + 2 values, and convolutions that stay whole. */
static qz_graph *make_net(qz_context *ctx)
{
    qz_graph *g = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = conv(g, "stem", qz_graph_input(g, "x", 3), 8, true);
    const qz_value head = conv(g, "head", x, 14, true);
    const qz_value read = conv(g, "read", x, 14, false);   /* by another node, too */
    const qz_value output = conv(g, "output", x, 4, true); /* an output itself */
    const qz_value joined[] = {
        qz_pick_channels(g, "boxes", head, 0, 4, 7),
        qz_pick_channels(g, "objectness", head, 4, 1, 7),
        qz_pick_channels(g, "classes", head, 5, 2, 7),
        qz_pick_channels(g, "part", read, 1, 1, 2),
        read,
        qz_pick_channels(g, "half", output, 1, 1, 2),
        qz_slice_channels(g, "slice", conv(g, "sliced", x, 4, true), 0, 4),
    };
    qz_graph_output(g, "all", qz_concat(g, "cat", joined, QZI_ARRAY_LEN(joined)));
    qz_graph_output(g, "output", output);
    ASSERT_OK(ctx, qz_graph_finish(g));
    return g;
}

enum { VALUES = (14 + 7 + 14 + 2 + 4) * TEST_SIDE * TEST_SIDE };

static void check_names(const qz_graph *g)
{
    assert_int_equal(qzi_graph_find(g, "head"), QZ_NO_VALUE);
    assert_int_equal(test_node(g, "boxes")->op, QZI_OP_CONV2D);
    assert_int_equal(test_node(g, "boxes")->u.conv.oc, 8);
    assert_int_equal(test_node(g, "objectness")->u.conv.oc, 2);
    assert_int_equal(test_node(g, "classes")->u.conv.oc, 4);
    assert_int_equal(test_node(g, "part")->op, QZI_OP_SLICE);
    assert_int_equal(test_node(g, "half")->op, QZI_OP_SLICE);
    assert_int_equal(test_node(g, "slice")->op, QZI_OP_SLICE);
    assert_non_null(qzi_graph_param((qz_graph *)(uintptr_t)g, "boxes.weight"));
    assert_null(qzi_graph_param((qz_graph *)(uintptr_t)g, "head.weight"));
    assert_null(qzi_graph_param((qz_graph *)(uintptr_t)g, "head.bias"));
}

static void test_numbers(void **state)
{
    static float before[VALUES], after[VALUES];
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_graph *g = make_net(ctx);
    test_fill(g);
    assert_int_equal(test_output(g, 0, before, VALUES), VALUES);
    ASSERT_OK(ctx, qzi_divide(g));
    ASSERT_OK(ctx, qzi_graph_verify(g));
    check_names(g);
    assert_int_equal(test_output(g, 0, after, VALUES), VALUES);
    assert_memory_equal(before, after, sizeof(before));
    const size_t params = g->param_count;
    ASSERT_OK(ctx, qzi_divide(g)); /* nothing is left */
    assert_int_equal(g->param_count, params);
    qz_graph_destroy(g);

    g = make_net(ctx); /* a saved model is rebuilt without weights */
    ASSERT_OK(ctx, qzi_divide(g));
    check_names(g);
    assert_null(qzi_graph_param(g, "boxes.weight")->tensor.data);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

static void test_refused(void **state)
{
    static const int32_t bad[][3] = {{0, 1, 3}, {0, 1, 0}, {-1, 1, 4},        {4, 1, 4}, {0, 5, 4},
                                     {2, 3, 4}, {0, 0, 4}, {0, INT32_MAX, 4}, {1, 1, -4}};
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    for (size_t i = 0; i < QZI_ARRAY_LEN(bad); i++) {
        qz_graph *g = NULL;
        ASSERT_OK(ctx, qz_graph_create(ctx, &g));
        qz_value x = conv(g, "head", qz_graph_input(g, "x", 3), 8, true);
        x = qz_pick_channels(g, "pick", x, bad[i][0], bad[i][1], bad[i][2]);
        assert_int_equal(x, QZ_NO_VALUE);
        ASSERT_FAILS(ctx, qz_graph_finish(g), QZ_ERR_ARGUMENT, "pick: takes");
        qz_graph_destroy(g);
    }
    test_context_end(ctx, &memory);
}

/* A module that is declared before it is called, and a buffer, in torch's order. */
static void test_params(void **state)
{
    static const char *const keys[] = {"cv1.weight", "cv3.weight", "cv3.bias", "m.weight",
                                       "anchors"};
    const float values[2] = {1.25f, 2.5f};
    const int64_t two = 2;
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_graph *g = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = conv(g, "cv1", qz_graph_input(g, "x", 3), 4, false);
    const size_t first = g->param_count;
    x = conv(g, "m", x, 5, false);
    const size_t middle = g->param_count;
    x = conv(g, "cv3", x, 6, true);
    qzi_graph_rotate_params(g, first, middle);
    qzi_graph_buffer(g, "anchors", 1, &two, values);
    qz_graph_output(g, "y", x);
    ASSERT_OK(ctx, qz_graph_finish(g));
    assert_int_equal(g->param_count, QZI_ARRAY_LEN(keys));
    for (size_t i = 0; i < QZI_ARRAY_LEN(keys); i++)
        assert_string_equal(g->params[i].key, keys[i]);
    assert_int_equal(qzi_node_param(g, test_node(g, "m"), QZI_P_WEIGHT)->tensor.dims[0], 5);
    assert_int_equal(qzi_node_param(g, test_node(g, "cv3"), QZI_P_BIAS)->tensor.dims[0], 6);
    assert_false(g->params[4].trainable);
    assert_memory_equal(g->params[4].tensor.data, values, sizeof(values));
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* The range of a value that a SiLU or Mish alone reads ends at QZI_CUT, and no other. */
static void test_cut(void **state)
{
    /* where the range ends; 0: it does not */
    static const struct {
        qz_activation act;
        bool own_ranges;
        float low, high;
    } cases[] = {{QZ_ACT_SILU, false, -5.0f, 0.0f},       {QZ_ACT_MISH, true, -5.0f, 0.0f},
                 {QZ_ACT_HARDSWISH, false, 0.0f, 0.0f},   {QZ_ACT_HARDSWISH, true, -3.0f, 0.0f},
                 {QZ_ACT_HARDSIGMOID, true, -3.0f, 3.0f}, {QZ_ACT_LEAKY_RELU, true, 0.0f, 0.0f}};
    float data[TEST_IMAGE];
    qz_tensor image = test_image(1, data);
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    const qzi_backend *backend = qzi_backend_get(QZ_BACKEND_FBGEMM);
    qzi_qconfig qconfig = {.backend = backend, .observer = QZ_OBSERVER_MINMAX};
    for (size_t i = 0; i < QZI_ARRAY_LEN(cases); i++) {
        qz_graph *g = NULL, *q = NULL;
        qzi_calibration *calibration = NULL;
        qconfig.own_ranges = cases[i].own_ranges;
        ASSERT_OK(ctx, qz_graph_create(ctx, &g));
        const qz_value x = qz_graph_input(g, "x", 3);
        const qz_value alone = conv(g, "alone", x, 4, false), twice = conv(g, "twice", x, 4, false);
        const qz_value joined[] = {qz_activate(g, "a", alone, cases[i].act),
                                   qz_activate(g, "b", twice, cases[i].act), twice};
        qz_graph_output(g, "y", qz_concat(g, "cat", joined, 3));
        ASSERT_OK(ctx, qz_graph_finish(g));
        test_fill(g);
        for (size_t k = 0; k < g->param_count; k++)
            for (int64_t e = 0; e < qz_tensor_numel(&g->params[k].tensor); e++)
                ((float *)g->params[k].tensor.data)[e] *= 30.0f;
        ASSERT_OK(ctx, qzi_prepare(g, &qconfig, 1, &calibration));
        ASSERT_OK(ctx, qzi_calibrate(calibration, &image));
        ASSERT_OK(ctx, qzi_convert(g, calibration, &q));
        const qzi_qparams cut = test_node(q, "alone")->q, whole = test_node(q, "twice")->q;
        const float low = -(float)cut.zero_point * cut.scale, high = low + 255.0f * cut.scale;
        if (cases[i].low < 0.0f)
            assert_true(fabsf(low - cases[i].low) < cut.scale);
        else
            assert_true(low < -10.0f);
        if (cases[i].high > 0.0f)
            assert_true(fabsf(high - cases[i].high) < cut.scale);
        else
            assert_true(high > 10.0f);
        assert_true(-(float)whole.zero_point * whole.scale < -10.0f);
        qzi_calibration_destroy(calibration);
        qz_graph_destroy(q);
        qz_graph_destroy(g);
    }
    test_context_end(ctx, &memory);
}

/* Every allocation fails once: the graph computes what it did before, and nothing leaks. */
static void test_memory_failures(void **state)
{
    static float before[VALUES], after[VALUES];
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_status st = QZ_ERR_MEMORY;
    size_t failures = 0;
    for (int64_t at = 0; st != QZ_OK; at++) {
        qz_graph *g = make_net(ctx);
        test_fill(g);
        test_output(g, 0, before, VALUES);
        memory.fail_at = memory.total + at;
        st = qzi_divide(g);
        memory.fail_at = -1;
        if (st != QZ_OK) {
            assert_int_equal(st, QZ_ERR_MEMORY);
            test_output(g, 0, after, VALUES);
            assert_memory_equal(before, after, sizeof(before));
            failures++;
        }
        qz_graph_destroy(g);
    }
    assert_in_range(failures, 10, 1000);
    test_context_end(ctx, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_params),          cmocka_unit_test(test_cut),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
