/* SPDX-License-Identifier: MIT */
/*
 * test_shared_layers.c - layers that are called several times (qz_graph_set_call): names, keys,
 * folding once, packing once.
 */
#include "passes.h"

/* A head of convolution, norm and ReLU, then a convolution with bias, called on two maps. */
static void build_head(qz_graph *g, qz_value x, int32_t call)
{
    const qz_conv2d_options conv = {.out_channels = 4, .kernel_h = 3, .padding_h = 1};
    const qz_conv2d_options last = {.out_channels = 5, .kernel_h = 1, .bias = true};
    char name[16];
    qz_graph_set_call(g, call);
    qz_graph_enter(g, "head");
    x = qz_conv2d(g, "0", x, &conv);
    x = qz_batch_norm2d(g, "1", x, 1e-5f);
    x = qz_activate(g, "2", x, QZ_ACT_RELU);
    x = qz_conv2d(g, "last", x, &last);
    x = qz_graph_leave(g, x);
    qz_graph_set_call(g, 0);
    snprintf(name, sizeof(name), "out.%d", (int)call);
    qz_graph_output(g, name, x);
}

static qz_graph *make_net(qz_context *ctx)
{
    qz_graph *g = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = qz_graph_input(g, "x", 3);
    qz_value y = qz_max_pool2d(g, "pool", x, &(qz_pool2d_options){.kernel_h = 2});
    build_head(g, x, 0);
    build_head(g, y, 1);
    ASSERT_OK(ctx, qz_graph_finish(g));
    return g;
}

static void test_names(void **state)
{
    static const char *const keys[] = {
        "head.0.weight",       "head.1.weight",      "head.1.bias",
        "head.1.running_mean", "head.1.running_var", "head.1.num_batches_tracked",
        "head.last.weight",    "head.last.bias",
    };
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_graph *g = make_net(ctx);
    assert_int_equal(g->param_count, QZI_ARRAY_LEN(keys));
    for (size_t i = 0; i < g->param_count; i++)
        assert_string_equal(g->params[i].key, keys[i]);
    const qzi_node *first = test_node(g, "head.0"), *again = test_node(g, "head.0@1");
    assert_memory_equal(first->param, again->param, sizeof(first->param));
    assert_int_equal(qzi_graph_find(g, "head"), qzi_graph_find(g, "head.last"));
    assert_int_equal(qzi_graph_find(g, "head@1"), qzi_graph_find(g, "head.last@1"));
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* Both outputs of the graph. */
static void run(const qz_graph *g, float *out)
{
    float image[TEST_IMAGE];
    const qz_tensor in = test_image(0, image);
    test_run r = test_run_start(g);
    ASSERT_OK(g->ctx, qzi_exec_run(r.exec, &in, 1, false));
    qzi_exec_output(r.exec, 0, out);
    qzi_exec_output(r.exec, 1, out + 5 * TEST_SIDE * TEST_SIDE);
    test_run_end(&r);
}

static void test_fuse(void **state)
{
    (void)state;
    enum { COUNT = 5 * TEST_SIDE * TEST_SIDE * 5 / 4 };
    float before[COUNT], after[COUNT];
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_graph *g = make_net(ctx);
    test_fill(g);
    run(g, before);
    ASSERT_OK(ctx, qzi_fuse(g, false));
    run(g, after);
    assert_true(test_distance(before, after, COUNT) < 1e-6);
    assert_int_equal(g->node_count, 6);
    assert_int_equal(g->param_count, 4);
    assert_string_equal(test_node(g, "head.0@1")->fused, "1@1+2@1");
    assert_int_equal(test_node(g, "head.0@1")->param[QZI_P_BIAS],
                     test_node(g, "head.0")->param[QZI_P_BIAS]);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* Where one call is followed by another layer, folding would change what that one computes. */
static void test_fuse_refuses(void **state)
{
    const qz_conv2d_options conv = {.out_channels = 4, .kernel_h = 1};
    (void)state;
    for (int which = 0; which < 2; which++) {
        test_memory memory;
        qz_context *ctx = test_context(&memory);
        qz_graph *g = NULL;
        ASSERT_OK(ctx, qz_graph_create(ctx, &g));
        qz_value x = qz_graph_input(g, "x", 3), y = x;
        x = qz_conv2d(g, "conv", x, &conv);
        x = qz_batch_norm2d(g, "norm", x, 1e-5f);
        if (which == 1) /* another convolution before the same norm */
            y = qz_conv2d(g, "other", y, &conv);
        qz_graph_set_call(g, 1);
        if (which == 0) /* the same convolution, no norm */
            y = qz_conv2d(g, "conv", y, &conv);
        else
            y = qz_batch_norm2d(g, "norm", y, 1e-5f);
        qz_graph_output(g, "out", qz_add(g, "add", x, y, QZ_ACT_NONE));
        ASSERT_OK(ctx, qz_graph_finish(g));
        const size_t nodes = g->node_count;
        ASSERT_OK(ctx, qzi_fuse(g, false));
        assert_int_equal(g->node_count, nodes);
        qz_graph_destroy(g);
        test_context_end(ctx, &memory);
    }
}

static void test_packing(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_graph *g = make_net(ctx);
    test_fill(g);
    test_run r = test_run_start(g);
    const qz_value first = qzi_graph_find(g, "head.0"), again = qzi_graph_find(g, "head.0@1");
    assert_ptr_equal(qzi_packed_at(r.packed, first)->blob, qzi_packed_at(r.packed, again)->blob);
    assert_ptr_not_equal(qzi_packed_at(r.packed, first)->blob,
                         qzi_packed_at(r.packed, qzi_graph_find(g, "head.last"))->blob);
    test_run_end(&r);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

static void test_errors(void **state)
{
    const qz_conv2d_options conv = {.out_channels = 4, .kernel_h = 1};
    const qz_conv2d_options other = {.out_channels = 4, .kernel_h = 3};
    (void)state;
    for (int which = 0; which < 3; which++) {
        test_memory memory;
        qz_context *ctx = test_context(&memory);
        qz_graph *g = NULL;
        ASSERT_OK(ctx, qz_graph_create(ctx, &g));
        qz_value x = qz_graph_input(g, "x", 3);
        if (which > 0)
            qz_conv2d(g, "conv", x, &conv);
        qz_graph_set_call(g, which == 2 ? -1 : 1);
        x = qz_conv2d(g, "conv", x, &other);
        qz_graph_output(g, "out", x);
        ASSERT_FAILS(ctx, qz_graph_finish(g), QZ_ERR_ARGUMENT,
                     which == 2 ? "call -1" : "conv@1: the first call has no conv.weight");
        qz_graph_destroy(g);
        test_context_end(ctx, &memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),        cmocka_unit_test(test_fuse),
        cmocka_unit_test(test_fuse_refuses), cmocka_unit_test(test_packing),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
