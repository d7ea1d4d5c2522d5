/* SPDX-License-Identifier: MIT */
/* test_fuse.c - what is fused and what is not, folded numbers, names, failures. */
#include "passes.h"

#include <jansson.h>

/* ---- a small net with every pattern ---- */

static qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t oc, int32_t k, bool bias)
{
    return qz_conv2d(
        g, name, x,
        &(qz_conv2d_options){.out_channels = oc, .kernel_h = k, .padding_h = k / 2, .bias = bias});
}

/* conv+bn+relu, conv+bn, add+relu, bn+relu6 behind a branching value, conv+relu6, linear+relu. */
static qz_graph *make_net(qz_context *ctx)
{
    qz_graph *g = NULL;
    qz_value x, y;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    x = qz_graph_input(g, "x", 3);
    qz_graph_enter(g, "stem");
    x = conv(g, "0", x, 8, 3, false);
    x = qz_batch_norm2d(g, "1", x, 1e-5f);
    x = qz_activate(g, "2", x, QZ_ACT_RELU);
    x = qz_graph_leave(g, x);
    qz_graph_enter(g, "block");
    y = conv(g, "conv1", x, 8, 3, true);
    y = qz_batch_norm2d(g, "bn1", y, 1e-3f);
    y = qz_add(g, "add", y, x, QZ_ACT_NONE);
    x = qz_activate(g, "relu", y, QZ_ACT_RELU);
    x = qz_graph_leave(g, x);
    y = qz_batch_norm2d(g, "norm", x, 1e-5f); /* x has another reader */
    y = qz_activate(g, "norm_relu", y, QZ_ACT_RELU6);
    x = conv(g, "conv2", x, 8, 1, false);
    x = qz_activate(g, "relu6", x, QZ_ACT_RELU6);
    x = qz_add(g, "join", x, y, QZ_ACT_RELU);
    x = qz_adaptive_avg_pool2d(g, "pool", x, 1, 1);
    x = qz_flatten(g, "flatten", x);
    x = qz_linear(g, "fc1", x, 16, true);
    x = qz_activate(g, "fc1_relu", x, QZ_ACT_RELU);
    x = qz_linear(g, "fc2", x, 10, true);
    qz_graph_output(g, "logits", x);
    ASSERT_OK(ctx, qz_graph_finish(g));
    return g;
}

static void check_names(const qz_graph *g)
{
    assert_int_equal(g->node_count, 11);
    assert_string_equal(test_node(g, "stem.0")->fused, "1+2");
    assert_string_equal(test_node(g, "block.conv1")->fused, "bn1");
    assert_string_equal(test_node(g, "block.add")->fused, "relu");
    assert_string_equal(test_node(g, "norm")->fused, "norm_relu");
    assert_string_equal(test_node(g, "conv2")->fused, "relu6");
    assert_string_equal(test_node(g, "fc1")->fused, "fc1_relu");
    assert_null(test_node(g, "join")->fused);
    assert_int_equal(test_node(g, "stem.0")->act, QZ_ACT_RELU);
    assert_int_equal(test_node(g, "block.conv1")->act, QZ_ACT_NONE);
    assert_int_equal(test_node(g, "norm")->act, QZ_ACT_RELU6);
    assert_int_equal(test_node(g, "conv2")->act, QZ_ACT_RELU6);
    /* merged nodes and scopes are found where they went */
    assert_ptr_equal(test_node(g, "stem.1"), test_node(g, "stem.0"));
    assert_ptr_equal(test_node(g, "stem.2"), test_node(g, "stem.0"));
    assert_ptr_equal(test_node(g, "stem"), test_node(g, "stem.0"));
    assert_ptr_equal(test_node(g, "block"), test_node(g, "block.add"));
    assert_ptr_equal(test_node(g, "block.bn1"), test_node(g, "block.conv1"));
}

static void test_numbers(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_graph *g = make_net(ctx);
    float before[10], after[10];
    test_fill(g);
    test_output(g, 0, before, 10);
    ASSERT_OK(ctx, qzi_fuse(g, false));
    ASSERT_OK(ctx, qzi_graph_verify(g));
    check_names(g);
    /* folded batch norms are gone, their convolutions have a bias; `norm` keeps its five */
    assert_null(qzi_graph_param(g, "stem.1.weight"));
    assert_null(qzi_graph_param(g, "block.bn1.num_batches_tracked"));
    assert_non_null(qzi_graph_param(g, "stem.0.bias"));
    assert_null(qzi_graph_param(g, "conv2.bias"));
    assert_int_equal(g->param_count, 2 + 2 + 5 + 1 + 2 + 2);
    assert_int_equal(test_output(g, 0, after, 10), 10);
    assert_true(test_distance(before, after, 10) < 1e-5);
    /* nothing is left to fuse */
    ASSERT_OK(ctx, qzi_fuse(g, false));
    check_names(g);
    float again[10];
    test_output(g, 0, again, 10);
    assert_memory_equal(after, again, sizeof(after));
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* A saved model is rebuilt without weights: the same structure. */
static void test_structure(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_graph *g = make_net(ctx);
    ASSERT_OK(ctx, qzi_fuse(g, false));
    check_names(g);
    assert_null(qzi_graph_param(g, "stem.0.bias")->tensor.data);
    qz_graph_destroy(g);

    g = make_net(ctx);
    test_fill(g);
    qzi_param *var = qzi_graph_param(g, "block.bn1.running_var");
    qzi_free(ctx, var->tensor.data);
    var->tensor.data = NULL;
    ASSERT_FAILS(ctx, qzi_fuse(g, false), QZ_ERR_STATE, "block.bn1");
    assert_int_equal(qzi_graph_find(g, "stem.1"), 2); /* unchanged */
    ASSERT_FAILS(ctx, qzi_fuse(g, true), QZ_ERR_UNSUPPORTED, "is_qat");
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* Values that somebody else reads stay as they are. */
static void test_readers(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_graph *g = NULL;
    qz_value x, y, z;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    x = qz_graph_input(g, "x", 3);
    x = conv(g, "a", x, 4, 1, false); /* read twice */
    y = qz_batch_norm2d(g, "a_bn", x, 1e-5f);
    x = qz_add(g, "add", x, y, QZ_ACT_NONE);
    y = conv(g, "b", x, 4, 1, false); /* an output */
    z = qz_batch_norm2d(g, "b_bn", y, 1e-5f);
    z = conv(g, "c", z, 4, 1, false);
    z = qz_add(g, "twice", z, z, QZ_ACT_NONE); /* read twice by one node */
    z = qz_activate(g, "relu", z, QZ_ACT_RELU);
    z = qz_activate(g, "relu6", z, QZ_ACT_RELU6); /* only one activation goes in */
    qz_graph_output(g, "z", z);
    qz_graph_output(g, "y", y);
    ASSERT_OK(ctx, qz_graph_finish(g));
    ASSERT_OK(ctx, qzi_fuse(g, false));
    assert_int_equal(g->node_count, 9);
    assert_null(test_node(g, "a")->fused);
    assert_null(test_node(g, "b")->fused);
    assert_null(test_node(g, "add")->fused);
    assert_null(test_node(g, "c")->fused);
    assert_string_equal(test_node(g, "twice")->fused, "relu");
    assert_string_equal(g->nodes[g->outputs[0].value].name, "relu6");
    assert_string_equal(g->nodes[g->outputs[1].value].name, "b");

    qzi_replace_relu6(g);
    assert_int_equal(test_node(g, "relu6")->act, QZ_ACT_RELU);
    assert_int_equal(test_node(g, "twice")->act, QZ_ACT_RELU);
    assert_int_equal(test_node(g, "c")->act, QZ_ACT_NONE);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* ---- torch's own folding ---- */

static void set_param(qz_graph *g, const char *key, const json_t *values)
{
    qzi_param *param = qzi_graph_param(g, key);
    const size_t count = json_array_size(values);
    assert_non_null(param);
    assert_int_equal(qz_tensor_numel(&param->tensor), count);
    float *x = param->tensor.data = qzi_alloc(g->ctx, count * sizeof(*x));
    for (size_t i = 0; i < count; i++)
        x[i] = (float)json_number_value(json_array_get(values, i));
}

static void check_param(qz_graph *g, const char *key, const json_t *values)
{
    const float *x = qzi_graph_param(g, key)->tensor.data;
    assert_true(json_array_size(values) > 0);
    for (size_t i = 0; i < json_array_size(values); i++) {
        const float want = (float)json_number_value(json_array_get(values, i));
        assert_memory_equal(&x[i], &want, sizeof(want));
    }
}

static void test_fold_oracle(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        float eps;
        bool bias;
    } cases[] = {{"eps1e-5", 1e-5f, true}, {"no_bias_eps1e-3", 1e-3f, false}};
    const char *folder = getenv("QZOO_TEST_DATA");
    char path[1024];
    snprintf(path, sizeof(path), "%s/goldens/ops/fold_conv_bn.json", folder ? folder : "");
    json_t *oracle = json_load_file(path, 0, NULL);
    if (!oracle) {
        print_message("skipped: no %s (QZOO_TEST_DATA)\n", path);
        skip();
    }
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    for (size_t i = 0; i < QZI_ARRAY_LEN(cases); i++) {
        const json_t *want = json_object_get(oracle, cases[i].key);
        qz_graph *g = NULL;
        assert_non_null(want);
        ASSERT_OK(ctx, qz_graph_create(ctx, &g));
        qz_value x = qz_graph_input(g, "x", 3);
        x = qz_conv2d(g, "conv", x,
                      &(qz_conv2d_options){
                          .out_channels = 4, .kernel_h = 2, .kernel_w = 2, .bias = cases[i].bias});
        x = qz_batch_norm2d(g, "bn", x, cases[i].eps);
        qz_graph_output(g, "y", x);
        ASSERT_OK(ctx, qz_graph_finish(g));
        set_param(g, "conv.weight", json_object_get(oracle, "w_4x3x2x2"));
        if (cases[i].bias)
            set_param(g, "conv.bias", json_object_get(oracle, "b"));
        set_param(g, "bn.weight", json_object_get(oracle, "bn_weight"));
        set_param(g, "bn.bias", json_object_get(oracle, "bn_bias"));
        set_param(g, "bn.running_mean", json_object_get(oracle, "running_mean"));
        set_param(g, "bn.running_var", json_object_get(oracle, "running_var"));
        ASSERT_OK(ctx, qzi_fuse(g, false));
        check_param(g, "conv.weight", json_object_get(want, "w"));
        check_param(g, "conv.bias", json_object_get(want, "b"));
        qz_graph_destroy(g);
    }
    json_decref(oracle);
    test_context_end(ctx, &memory);
}

/* ---- memory ---- */

/* Every allocation fails once: the graph computes what it did before, and nothing leaks. */
static void test_memory_failures(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    float before[10], after[10];
    qz_status st = QZ_ERR_MEMORY;
    size_t failures = 0;
    for (int64_t at = 0; st != QZ_OK; at++) {
        qz_graph *g = make_net(ctx);
        test_fill(g);
        test_output(g, 0, before, 10);
        memory.fail_at = memory.total + at;
        st = qzi_fuse(g, false);
        memory.fail_at = -1;
        if (st != QZ_OK) {
            assert_int_equal(st, QZ_ERR_MEMORY);
            assert_true(strlen(qz_context_message(ctx)) > 0);
            test_output(g, 0, after, 10);
            assert_memory_equal(before, after, sizeof(before));
            failures++;
        }
        qz_graph_destroy(g);
    }
    assert_in_range(failures, 20, 1000);
    test_context_end(ctx, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),         cmocka_unit_test(test_structure),
        cmocka_unit_test(test_readers),         cmocka_unit_test(test_fold_oracle),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
