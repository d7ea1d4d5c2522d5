/* SPDX-License-Identifier: MIT */
/* test_graph.c - the builder, shapes, rewriting, copies. */
#include "layers/graph/graph.h"

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

/* stem - (conv, bn, relu, conv) + shortcut - pool - fc */
static qz_graph *small_net(void)
{
    qz_graph *g;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    qz_value x = qz_graph_input(g, "input", 3);
    x = qz_conv2d(
        g, "conv1", x,
        &(qz_conv2d_options){.out_channels = 8, .kernel_h = 7, .stride_h = 2, .padding_h = 3});
    x = qz_batch_norm2d(g, "bn1", x, 1e-5f);
    x = qz_activate(g, "relu", x, QZ_ACT_RELU);
    x = qz_max_pool2d(g, "maxpool", x,
                      &(qz_pool2d_options){.kernel_h = 3, .stride_h = 2, .padding_h = 1});
    qz_graph_enter(g, "layer%d", 1);
    qz_graph_enter(g, "0");
    qz_value y = qz_conv2d(
        g, "conv1", x,
        &(qz_conv2d_options){.out_channels = 8, .kernel_h = 3, .padding_h = 1, .bias = true});
    y = qz_add(g, "add_relu", y, x, QZ_ACT_RELU);
    y = qz_graph_leave(g, y);
    y = qz_graph_leave(g, y);
    y = qz_adaptive_avg_pool2d(g, "avgpool", y, 1, 1);
    y = qz_flatten(g, "flatten", y);
    y = qz_linear(g, "fc", y, 10, true);
    qz_graph_output(g, "output", y);
    return g;
}

static void builds_keys_and_shapes(void **state)
{
    static const char *const keys[] = {
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "bn1.running_mean",
        "bn1.running_var",
        "bn1.num_batches_tracked",
        "layer1.0.conv1.weight",
        "layer1.0.conv1.bias",
        "fc.weight",
        "fc.bias",
    };
    qz_graph *g = small_net();
    (void)state;
    assert_int_equal(qz_graph_finish(g), QZ_OK);
    assert_int_equal(qz_graph_param_count(g), sizeof(keys) / sizeof(*keys));
    for (size_t i = 0; i < qz_graph_param_count(g); i++) {
        qz_param_info info;
        qz_graph_param_at(g, i, &info);
        assert_string_equal(info.key, keys[i]);
    }
    assert_true(qzi_graph_find(g, "layer1.0") == qzi_graph_find(g, "layer1.0.add_relu"));
    assert_true(qzi_graph_find(g, "layer1") == qzi_graph_find(g, "layer1.0"));
    assert_int_equal(qzi_graph_find(g, "layer2"), QZ_NO_VALUE);

    qzi_shape in = {2, 97, 121, 3}, shapes[32];
    assert_int_equal(qzi_graph_shapes(g, &in, shapes), QZ_OK);
    qzi_shape s = shapes[qzi_graph_find(g, "conv1")];
    assert_int_equal(s.h, 49);
    assert_int_equal(s.w, 61);
    s = shapes[qzi_graph_find(g, "maxpool")];
    assert_int_equal(s.h, 25);
    assert_int_equal(s.w, 31);
    s = shapes[qzi_graph_find(g, "fc")];
    assert_int_equal(s.n * 1000 + s.c, 2010);
    const qzi_node *conv = &g->nodes[qzi_graph_find(g, "conv1")];
    assert_int_equal(qzi_node_macs(conv, &shapes[qzi_graph_find(g, "conv1")]),
                     2LL * 49 * 61 * 8 * 3 * 49);
    qz_graph_destroy(g);
}

/* torch: the last window of ceil mode must start inside the image or its left padding. */
static void pools_as_torch(void **state)
{
    static const struct {
        int32_t in, k, stride, pad;
        bool ceil;
        int32_t out;
    } cases[] = {
        {112, 3, 2, 1, false, 56}, {111, 3, 2, 0, true, 55}, {112, 3, 2, 0, true, 56},
        {110, 3, 2, 0, true, 55},  {5, 2, 2, 1, true, 3},    {6, 2, 3, 1, true, 3},
        {4, 2, 4, 1, true, 2},     {3, 3, 3, 0, true, 1},    {2, 3, 2, 0, true, 1},
        {1, 3, 3, 0, true, 1},     {1, 3, 1, 1, true, 1},    {1, 4, 5, 1, true, 1},
        {1, 3, 2, 0, true, 0},     {2, 3, 2, 0, false, 0},   {2, 5, 2, 0, true, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        qz_graph *g;
        qzi_shape in = {1, cases[i].in, cases[i].in, 4}, shapes[2];
        assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
        qz_value x = qz_graph_input(g, "input", 4);
        x = qz_max_pool2d(g, "pool", x,
                          &(qz_pool2d_options){.kernel_h = cases[i].k,
                                               .stride_h = cases[i].stride,
                                               .padding_h = cases[i].pad,
                                               .ceil_mode = cases[i].ceil});
        qz_graph_output(g, "output", x);
        assert_int_equal(qz_graph_finish(g), QZ_OK);
        if (cases[i].out == 0) {
            assert_int_equal(qzi_graph_shapes(g, &in, shapes), QZ_ERR_ARGUMENT);
        } else {
            assert_int_equal(qzi_graph_shapes(g, &in, shapes), QZ_OK);
            assert_int_equal(shapes[1].h, cases[i].out);
        }
        qz_graph_destroy(g);
    }
}

static void expect_failure(qz_graph *g, qz_status status, const char *text)
{
    assert_int_equal(qz_graph_finish(g), status);
    if (!strstr(qz_context_message(ctx), text))
        fail_msg("'%s' lacks '%s'", qz_context_message(ctx), text);
    qz_graph_destroy(g);
}

static void reports_the_first_error(void **state)
{
    qz_graph *g;
    (void)state;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    qz_value x = qz_graph_input(g, "input", 3);
    x = qz_conv2d(g, "bad", x, &(qz_conv2d_options){.out_channels = 8, .groups = 2});
    x = qz_linear(g, "worse", x, 10, true);
    qz_graph_output(g, "output", x);
    expect_failure(g, QZ_ERR_ARGUMENT, "bad");

    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    x = qz_graph_input(g, "input", 3);
    x = qz_flatten(g, "flatten", x);
    expect_failure(g, QZ_ERR_ARGUMENT, "flatten");

    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    x = qz_graph_input(g, "input", 3);
    x = qz_activate(g, "twin", x, QZ_ACT_RELU);
    x = qz_activate(g, "twin", x, QZ_ACT_RELU);
    qz_graph_output(g, "output", x);
    expect_failure(g, QZ_ERR_ARGUMENT, "twin");

    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    x = qz_graph_input(g, "input", 3);
    qz_graph_enter(g, "open");
    qz_graph_output(g, "output", x);
    expect_failure(g, QZ_ERR_STATE, "open");

    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    x = qz_graph_input(g, "input", 3);
    qz_value y = qz_conv2d(g, "conv", x, &(qz_conv2d_options){.out_channels = 8});
    x = qz_add(g, "add", x, y, QZ_ACT_NONE);
    qz_graph_output(g, "output", x);
    expect_failure(g, QZ_ERR_ARGUMENT, "add");
}

static void refuses_images_that_do_not_fit(void **state)
{
    qz_graph *g = small_net();
    qzi_shape shapes[32], tiny = {1, 0, 0, 3}, gray = {1, 64, 64, 1},
                          huge = {1, 2000000000, 2000000000, 3};
    (void)state;
    assert_int_equal(qz_graph_finish(g), QZ_OK);
    assert_int_equal(qzi_graph_shapes(g, &tiny, shapes), QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_graph_shapes(g, &gray, shapes), QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_graph_shapes(g, &huge, shapes), QZ_ERR_ARGUMENT);
    qz_graph_destroy(g);
}

static void rewrites(void **state)
{
    qz_graph *g = small_net(), *copy;
    bool keep[32];
    qz_value redirect[32];
    (void)state;
    assert_int_equal(qz_graph_finish(g), QZ_OK);
    size_t count = g->node_count;
    assert_int_equal(qzi_graph_clone(g, true, &copy), QZ_OK);

    /* bn1 and relu go; their readers read conv1 */
    for (size_t i = 0; i < count; i++) {
        keep[i] = true;
        redirect[i] = QZ_NO_VALUE;
    }
    qz_value conv = qzi_graph_find(g, "conv1"), bn = qzi_graph_find(g, "bn1");
    keep[bn] = keep[bn + 1] = false;
    redirect[bn] = conv;
    redirect[bn + 1] = bn;
    assert_int_equal(qzi_graph_remove(g, keep, redirect), QZ_OK);
    assert_int_equal(g->node_count, count - 2);
    assert_int_equal(g->nodes[qzi_graph_find(g, "maxpool")].in[0], conv);
    assert_int_equal(qzi_graph_verify(g), QZ_OK);

    /* a quantize node for the add's reading of the pool's value only */
    bool readers[32] = {false};
    qz_value inserted, pool = qzi_graph_find(g, "maxpool");
    readers[qzi_graph_find(g, "layer1.0.add_relu")] = true;
    assert_int_equal(
        qzi_graph_insert(g, pool, QZI_OP_DROPOUT, "shortcut", readers, false, &inserted), QZ_OK);
    assert_int_equal(inserted, pool + 1);
    assert_int_equal(g->nodes[qzi_graph_find(g, "layer1.0.conv1")].in[0], pool);
    assert_int_equal(g->nodes[qzi_graph_find(g, "layer1.0.add_relu")].in[1], inserted);
    assert_int_equal(qzi_graph_readers(g, pool), 2);
    assert_int_equal(qzi_graph_verify(g), QZ_OK);
    assert_true(qzi_graph_find(g, "layer1") == qzi_graph_find(g, "layer1.0.add_relu"));

    /* the copy saw nothing of it */
    assert_int_equal(copy->node_count, count);
    assert_int_equal(qzi_graph_verify(copy), QZ_OK);
    assert_string_equal(copy->nodes[bn].name, "bn1");
    qz_graph_destroy(copy);
    qz_graph_destroy(g);
}

static void append_text(void *user, const char *text)
{
    strncat(user, text, 8191 - strlen(user));
}

static void prints(void **state)
{
    char text[8192] = "";
    qz_graph *g = small_net();
    (void)state;
    assert_int_equal(qz_graph_finish(g), QZ_OK);
    assert_int_equal(qzi_graph_list_size(g, 224, 224), QZ_OK);
    qz_graph_print(g, append_text, text);
    assert_non_null(strstr(text, "conv2d 7x7/2 3->8"));
    assert_non_null(strstr(text, "add +relu"));
    assert_non_null(strstr(text, "layer1.0.add_relu  [1x8x56x56]"));
    qz_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_keys_and_shapes),
        cmocka_unit_test(pools_as_torch),
        cmocka_unit_test(reports_the_first_error),
        cmocka_unit_test(refuses_images_that_do_not_fit),
        cmocka_unit_test(rewrites),
        cmocka_unit_test(prints),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
