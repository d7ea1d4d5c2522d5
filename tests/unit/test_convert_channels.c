/* SPDX-License-Identifier: MIT */
/* test_convert_channels.c - int8 graphs with scales by channel, of small nets. */
#include "convert_nets.h"

/* MobileNetV3 in small: a depthwise convolution, a product with a factor, a residual. */
static qz_graph *make_mobile(qz_context *ctx)
{
    qz_graph *g = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = conv_bn(g, "stem", qz_graph_input(g, "x", 3), 8, 3, 2, QZ_ACT_HARDSWISH);
    qz_value y = conv_bn(g, "expand", x, 16, 1, 1, QZ_ACT_HARDSWISH);
    y = qz_conv2d(
        g, "depthwise", y,
        &(qz_conv2d_options){.out_channels = 16, .kernel_h = 3, .padding_h = 1, .groups = 16});
    y = qz_activate(g, "relu6", y, QZ_ACT_RELU6);
    qz_value factor = qz_adaptive_avg_pool2d(g, "squeeze", y, 1, 1);
    factor = qz_activate(g, "gate", conv(g, "excite", factor, 16, 1, 1), QZ_ACT_HARDSIGMOID);
    y = conv_bn(g, "project", qz_mul(g, "mul", y, factor), 8, 1, 1, QZ_ACT_NONE);
    x = qz_add(g, "add", x, y, QZ_ACT_NONE);
    return finish(g, head(g, x));
}

static void test_by_channel(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_graph *g = make_mobile(ctx);
    for (int per_channel = 0; per_channel < 2; per_channel++) {
        qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_NATIVE);
        qconfig.per_channel = per_channel;
        qz_graph *q = convert(g, &qconfig);
        /* functions and the sum are the convolutions', and are found by their names too */
        assert_ptr_equal(test_node(q, "stem.relu"), test_node(q, "stem.conv"));
        assert_int_equal(test_node(q, "stem.conv")->act, QZ_ACT_HARDSWISH);
        assert_ptr_equal(test_node(q, "add"), test_node(q, "project.conv"));
        assert_int_equal(test_node(q, "project.conv")->in_count, 2);
        assert_string_equal(g->nodes[test_node(q, "project.conv")->source].name, "add");
        assert_int_equal(q->node_count, g->node_count - 4);
        /* read by a depthwise convolution, a product, a pool: by channel; by a dense one: not */
        assert_non_null(test_node(q, "expand.conv")->channel_q);
        assert_non_null(test_node(q, "depthwise")->channel_q);
        assert_non_null(test_node(q, "excite")->channel_q);
        assert_null(test_node(q, "stem.conv")->channel_q);
        assert_null(test_node(q, "mul")->channel_q);
        assert_non_null(test_node(q, "add")->channel_q); /* a pool reads it */
        assert_null(test_node(q, "avgpool")->channel_q);
        for (int32_t c = 0; c < 16; c++) /* clamped at 0 */
            assert_int_equal(qzi_q_zero(test_node(q, "depthwise"), c), 0);
        assert_near(g, q, per_channel ? 0.05 : 0.1);
        qz_graph_destroy(q);
        check_rebuilt(g, &qconfig);
    }
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* A concat is joined: it has its inputs' parameters. A graph output has one scale. */
static void test_joined_concat(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    const qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_NATIVE);
    qz_graph *g = make_concat(ctx);
    qz_graph *q = convert(g, &qconfig);
    const qzi_node *cat = test_node(q, "cat");
    assert_null(cat->tables);
    for (int32_t c = 0, k = 0, at = 0; c < cat->c; c++, at++) {
        for (; at == q->nodes[cat->in[k]].c; k++)
            at = 0;
        assert_true(qzi_q_scale(cat, c) == qzi_q_scale(&q->nodes[cat->in[k]], at));
        assert_int_equal(qzi_q_zero(cat, c), qzi_q_zero(&q->nodes[cat->in[k]], at));
    }
    assert_near(g, q, 0.05);
    assert_null(test_node(q, "fc")->channel_q);
    qz_graph_destroy(q);
    check_rebuilt(g, &qconfig);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_channel),
        cmocka_unit_test(test_joined_concat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
