/* SPDX-License-Identifier: MIT */
/* test_convert.c - decide, prepare and convert on small nets. */
#include "convert_nets.h"

/* ResNet in small: stem, max pool, a block with a strided pointwise shortcut, head. */
static qz_graph *make_residual(qz_context *ctx)
{
    qz_graph *g = NULL;
    qz_value x, y;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    x = conv_bn(g, "stem", qz_graph_input(g, "x", 3), 8, 3, 1, QZ_ACT_RELU);
    x = qz_max_pool2d(g, "maxpool", x, &(qz_pool2d_options){.kernel_h = 2});
    qz_graph_enter(g, "block");
    y = conv_bn(g, "a", x, 16, 3, 2, QZ_ACT_RELU6);
    y = conv_bn(g, "b", y, 16, 3, 1, QZ_ACT_NONE);
    x = conv_bn(g, "shortcut", x, 16, 1, 2, QZ_ACT_NONE);
    x = qz_graph_leave(g, qz_add(g, "add", y, x, QZ_ACT_RELU));
    return finish(g, head(g, x));
}

static void assert_same_q(const qzi_node *a, const qzi_node *b)
{
    assert_true(a->q.scale > 0.0f && a->q.scale == b->q.scale);
    assert_int_equal(a->q.zero_point, b->q.zero_point);
}

/* ---- everything in int8 ---- */

static void check_weights(const qz_graph *g, const qz_graph *q, const char *name, bool per_channel)
{
    const qzi_node *from = test_node(g, name), *to = test_node(q, name);
    const qzi_param *w = qzi_node_param(g, from, QZI_P_WEIGHT);
    const qzi_param *b = qzi_node_param(g, from, QZI_P_BIAS);
    const size_t count = (size_t)qz_tensor_numel(&w->tensor), oc = (size_t)from->u.conv.oc;
    qzi_qweights *want = NULL;
    ASSERT_OK(g->ctx, qzi_qweights_make(g->ctx, w->tensor.data, b->tensor.data, (int32_t)oc,
                                        (int64_t)(count / oc), test_input(q, name, 0)->q.scale,
                                        (qzi_weight_form){per_channel, 8}, &want));
    assert_memory_equal(to->qw->w, want->w, count);
    assert_memory_equal(to->qw->scales, want->scales, oc * sizeof(float));
    assert_memory_equal(to->qw->bias, want->bias, oc * sizeof(int32_t));
    assert_int_equal(to->qw->per_channel, per_channel);
    assert_null(qzi_node_param(q, to, QZI_P_WEIGHT)->tensor.data);
    qzi_qweights_free(g->ctx, want);
}

static void test_residual(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    for (qz_backend id = QZ_BACKEND_FBGEMM; id <= QZ_BACKEND_QNNPACK; id++) {
        const qzi_qconfig qconfig = make_qconfig(id);
        qz_graph *g = make_residual(ctx);
        float before[LOGITS], after[LOGITS];
        test_output(g, 1, before, LOGITS);
        qz_graph *q = convert(g, &qconfig);
        assert_int_equal(q->node_count, g->node_count);
        for (size_t i = 0; i < q->node_count; i++) {
            assert_int_equal(q->nodes[i].dtype, QZ_U8);
            assert_null(q->nodes[i].fallback);
            assert_true(q->nodes[i].q.scale > 0.0f);
        }
        assert_same_q(test_node(q, "maxpool"), test_node(q, "stem.conv"));
        assert_same_q(test_node(q, "avgpool"), test_node(q, "block.add"));
        assert_same_q(test_node(q, "dropout"), test_node(q, "block.add"));
        assert_int_equal(test_node(q, "stem.conv")->q.zero_point, 0); /* behind a ReLU */
        check_weights(g, q, "stem.conv", qconfig.per_channel);
        check_weights(g, q, "block.shortcut.conv", qconfig.per_channel);
        check_weights(g, q, "fc", qconfig.per_channel);
        assert_near(g, q, 0.05);
        test_output(g, 1, after, LOGITS); /* the float graph is as it was */
        assert_memory_equal(before, after, sizeof(before));
        qz_graph_destroy(q);
        qz_graph_destroy(g);
    }
    test_context_end(ctx, &memory);
}

static void test_reduce_range(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_FBGEMM);
    qz_graph *g = make_residual(ctx);
    qconfig.observer = QZ_OBSERVER_MINMAX;
    qz_graph *full = convert(g, &qconfig);
    qconfig.reduce_range = true;
    qz_graph *half = convert(g, &qconfig);
    const float ratio =
        test_node(half, "stem.conv")->q.scale / test_node(full, "stem.conv")->q.scale;
    assert_true(ratio > 2.0f && ratio < 2.02f); /* 255 / 127 */
    assert_near(g, half, 0.1);
    qz_graph_destroy(half);
    qz_graph_destroy(full);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* ---- concat ---- */

static void test_concat(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    const qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_FBGEMM);
    qz_graph *g = make_concat(ctx);
    qz_graph *q = convert(g, &qconfig);
    const qzi_node *cat = test_node(q, "cat");
    assert_same_q(test_node(q, "a.conv"), cat);
    assert_same_q(test_node(q, "b"), cat);
    assert_true(test_node(q, "c.conv")->q.scale < cat->q.scale);
    assert_same_q(test_node(q, "c.conv"), test_node(q, "d"));
    assert_int_equal(cat->in_count, 4);
    for (size_t k = 0; k < 4; k++) {
        const qzi_qparams x = q->nodes[cat->in[k]].q, y = cat->q;
        for (int32_t i = 0; i < 256; i++) {
            const double real = (double)x.scale * (i - x.zero_point);
            const double want = real / (double)y.scale + y.zero_point;
            const double got = cat->tables[256 * k + (size_t)i];
            if (k < 2)
                assert_int_equal(cat->tables[256 * k + (size_t)i], i);
            else
                assert_true(fabs(got - fmin(fmax(want, 0.0), 255.0)) < 0.5001);
        }
    }
    /* the batch norm computes from float parameters */
    assert_non_null(qzi_graph_param(q, "b.running_var")->tensor.data);
    assert_near(g, q, 0.05);
    qz_graph_destroy(q);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* ---- islands ---- */

static size_t count_op(const qz_graph *g, qzi_op op)
{
    size_t count = 0;
    for (size_t i = 0; i < g->node_count; i++)
        count += g->nodes[i].op == op;
    return count;
}

static void check_float(const qz_graph *q, const char *name, const char *reason)
{
    const qzi_node *node = test_node(q, name);
    assert_int_equal(node->dtype, QZ_F32);
    assert_non_null(node->fallback);
    if (!strstr(node->fallback, reason))
        fail_msg("%s: reason '%s' lacks '%s'", name, node->fallback, reason);
}

/* A scope is one island with the pool before it joining; one border on each side. */
static void test_island_of_scope(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_FBGEMM);
    qz_graph *g = make_residual(ctx);
    qconfig.exclude = (const char *const[]){"block"};
    qconfig.exclude_count = 1;
    qz_graph *q = convert(g, &qconfig);
    check_float(q, "block.a.conv", "excluded");
    check_float(q, "block.shortcut.conv", "excluded");
    check_float(q, "block.add", "excluded");
    check_float(q, "avgpool", "reads only fp32 (block.add)");
    assert_int_equal(count_op(q, QZI_OP_DEQUANTIZE), 1); /* shared by block.a and the shortcut */
    assert_int_equal(count_op(q, QZI_OP_QUANTIZE), 1);
    assert_string_equal(test_input(q, "block.a.conv", 0)->name, "maxpool.dequant");
    assert_ptr_equal(test_input(q, "block.shortcut.conv", 0), test_input(q, "block.a.conv", 0));
    assert_string_equal(test_input(q, "fc", 0)->name, "dropout.quant");
    assert_same_q(test_node(q, "dropout"), test_node(q, "dropout.quant"));
    assert_int_equal(test_node(q, "maxpool")->dtype, QZ_U8);
    assert_non_null(qzi_node_param(q, test_node(q, "block.b.conv"), QZI_P_WEIGHT)->tensor.data);
    assert_null(test_node(q, "block.b.conv")->qw);
    assert_near(g, q, 0.05);
    qz_graph_destroy(q);

    /* by the name of a layer that was fused away; and all that computes */
    qconfig.exclude =
        (const char *const[]){"stem.bn", "block.a.relu", "block.b", "block.shortcut", "fc"};
    qconfig.exclude_count = 5;
    q = convert(g, &qconfig);
    assert_int_equal(q->node_count, g->node_count); /* no borders at all */
    check_float(q, "stem.conv", "excluded");
    check_float(q, "maxpool", "reads only fp32 (stem.conv)");
    check_float(q, "block.add", "reads only fp32");
    assert_int_equal(test_node(q, "x")->dtype, QZ_F32);
    float x[LOGITS], y[LOGITS];
    test_output(g, 3, x, LOGITS);
    test_output(q, 3, y, LOGITS);
    assert_memory_equal(x, y, sizeof(x));
    qz_graph_destroy(q);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

static void test_fallback(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_QNNPACK);
    qz_graph *g = make_residual(ctx);
    qconfig.fallback = (const char *const[]){"strided_pointwise"};
    qconfig.fallback_count = 1;
    qz_graph *q = convert(g, &qconfig);
    check_float(q, "block.shortcut.conv", "strided_pointwise");
    assert_int_equal(q->node_count, g->node_count + 2);
    assert_string_equal(test_input(q, "block.shortcut.conv", 0)->name, "maxpool.dequant");
    assert_string_equal(test_input(q, "block.add", 1)->name, "block.shortcut.conv.quant");
    assert_string_equal(test_input(q, "block.add", 0)->name, "block.b.conv");
    assert_int_equal(test_node(q, "block.a.conv")->dtype, QZ_U8);
    assert_near(g, q, 0.05);
    qz_graph_destroy(q);

    qconfig.fallback = (const char *const[]){"conv2d", "linear"};
    qconfig.fallback_count = 2;
    q = convert(g, &qconfig);
    assert_int_equal(q->node_count, g->node_count); /* weightless ops do not quantize alone */
    qz_graph_destroy(q);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* An fp32 branch of a concat is quantized with the concat's parameters; an input with readers of
 * both kinds stays fp32. */
static void test_mixed(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_FBGEMM);
    qz_graph *g = NULL;
    qz_value x, a, b;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    x = qz_graph_input(g, "x", 3);
    a = conv(g, "a", x, 4, 3, 1);
    b = conv(g, "b", x, 4, 1, 1);
    x = qz_concat(g, "cat", (const qz_value[]){a, b, x}, 3);
    g = finish(g, head(g, x));
    qconfig.exclude = (const char *const[]){"a"};
    qconfig.exclude_count = 1;
    qz_graph *q = convert(g, &qconfig);
    assert_int_equal(q->node_count, g->node_count + 2);
    assert_int_equal(test_node(q, "x")->dtype, QZ_F32);
    assert_string_equal(test_input(q, "a", 0)->name, "x");
    assert_string_equal(test_input(q, "b", 0)->name, "x.quant");
    assert_string_equal(test_input(q, "cat", 0)->name, "a.quant");
    assert_string_equal(test_input(q, "cat", 2)->name, "x.quant");
    assert_same_q(test_node(q, "a.quant"), test_node(q, "cat"));
    assert_same_q(test_node(q, "b"), test_node(q, "cat"));
    assert_true(test_node(q, "x.quant")->q.scale != test_node(q, "cat")->q.scale);
    assert_near(g, q, 0.05);
    qz_graph_destroy(q);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* ---- names ---- */

static void test_unknown_names(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_graph *g = make_residual(ctx);
    qzi_calibration *calibration = NULL;
    qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_FBGEMM);
    qconfig.exclude = (const char *const[]){"block.a.conv", "block.shortcut.convv"};
    qconfig.exclude_count = 2;
    ASSERT_FAILS(ctx, qzi_prepare(g, &qconfig, 1, &calibration), QZ_ERR_UNKNOWN_NAME,
                 "'block.shortcut.convv'; the nearest are block.shortcut.conv,");
    qconfig.exclude = (const char *const[]){"x"};
    qconfig.exclude_count = 1;
    ASSERT_FAILS(ctx, qzi_prepare(g, &qconfig, 1, &calibration), QZ_ERR_ARGUMENT, "'x'");
    qconfig.exclude_count = 0;
    qconfig.fallback = (const char *const[]){"strided_pointwize"};
    qconfig.fallback_count = 1;
    ASSERT_FAILS(ctx, qzi_prepare(g, &qconfig, 1, &calibration), QZ_ERR_UNKNOWN_NAME,
                 "'strided_pointwize'; the nearest are strided_pointwise,");
    assert_null(calibration);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* ---- order of calls, bad images ---- */

static void test_states(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    const qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_FBGEMM);
    qz_graph *g = make_residual(ctx), *q = NULL;
    qzi_calibration *calibration = NULL;
    float data[TEST_IMAGE];
    qz_tensor image = test_image(0, data);
    ASSERT_OK(ctx, qzi_prepare(g, &qconfig, 1, &calibration));
    assert_non_null(qzi_calibration_observer(calibration, qzi_graph_find(g, "stem.conv")));
    assert_null(qzi_calibration_observer(calibration, qzi_graph_find(g, "maxpool")));
    assert_null(qzi_calibration_observer(calibration, -1));
    ASSERT_FAILS(ctx, qzi_convert(g, calibration, &q), QZ_ERR_STATE, "at least one image");
    data[5] = NAN;
    ASSERT_FAILS(ctx, qzi_calibrate(calibration, &image), QZ_ERR_NUMERIC, "image 0");
    image.dims[1] = 1;
    data[5] = 0.0f;
    assert_int_equal(qzi_calibrate(calibration, &image), QZ_ERR_ARGUMENT);
    image = test_image(0, data);
    image.dims[0] = 0;
    ASSERT_FAILS(ctx, qzi_calibrate(calibration, &image), QZ_ERR_ARGUMENT, "N x C x H x W");
    assert_int_equal(qzi_calibration_images(calibration), 0);

    /* overflow inside the net: the observers disagree from then on */
    image = test_image(0, data);
    ASSERT_OK(ctx, qzi_calibrate(calibration, &image));
    for (size_t i = 0; i < TEST_IMAGE; i++)
        data[i] = 3e38f;
    assert_int_equal(qzi_calibrate(calibration, &image), QZ_ERR_NUMERIC);
    image = test_image(0, data);
    ASSERT_FAILS(ctx, qzi_calibrate(calibration, &image), QZ_ERR_STATE, "prepare");
    ASSERT_FAILS(ctx, qzi_convert(g, calibration, &q), QZ_ERR_STATE, "prepare");
    qzi_calibration_destroy(calibration);
    qzi_calibration_destroy(NULL);
    assert_null(q);

    /* an int8 graph is not converted again */
    q = convert(g, &qconfig);
    ASSERT_FAILS(ctx, qzi_prepare(q, &qconfig, 1, &calibration), QZ_ERR_STATE, "converted");
    qz_graph_destroy(q);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* ---- the same bytes ---- */

static uint64_t hash_int8(const qz_graph *q)
{
    uint64_t hash = QZI_FNV_OFFSET;
    for (size_t i = 0; i < q->node_count; i++) {
        const qzi_node *node = &q->nodes[i];
        hash = qzi_fnv1a(&node->q, sizeof(node->q), hash);
        if (!node->qw)
            continue;
        const size_t oc = (size_t)node->u.conv.oc;
        hash = qzi_fnv1a(node->qw->bias, oc * sizeof(int32_t), hash);
        hash = qzi_fnv1a(node->qw->scales, oc * sizeof(float), hash);
    }
    return hash;
}

/* Neither threads nor the way in which images come in change a byte. */
static void test_same_bytes(void **state)
{
    (void)state;
    uint64_t hashes[3];
    for (uint32_t k = 0; k < 3; k++) {
        qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
        qz_context *ctx = NULL;
        options.threads = k == 1 ? 4 : 1;
        ASSERT_OK(NULL, qz_context_create(&options, &ctx));
        const qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_FBGEMM);
        qz_graph *g = make_concat(ctx), *q = NULL;
        qzi_calibration *calibration = NULL;
        ASSERT_OK(ctx, qzi_prepare(g, &qconfig, options.threads, &calibration));
        float data[3 * TEST_IMAGE];
        for (uint64_t i = 0; i < 3; i++)
            test_image(i, data + i * TEST_IMAGE);
        qz_tensor images = {QZ_F32, 4, {k == 2 ? 3 : 1, 3, TEST_SIDE, TEST_SIDE}, data};
        for (uint64_t i = 0; i < (k == 2 ? 1 : 3); i++) {
            images.data = data + i * TEST_IMAGE;
            ASSERT_OK(ctx, qzi_calibrate(calibration, &images));
        }
        assert_int_equal(qzi_calibration_images(calibration), 3);
        ASSERT_OK(ctx, qzi_convert(g, calibration, &q));
        hashes[k] = hash_int8(q);
        qz_graph_destroy(q);
        qzi_calibration_destroy(calibration);
        qz_graph_destroy(g);
        qz_context_destroy(ctx);
    }
    assert_true(hashes[0] == hashes[1]);
    assert_true(hashes[0] == hashes[2]);
}

static void test_rebuilt(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_FBGEMM);
    qz_graph *g = make_concat(ctx);
    check_rebuilt(g, &qconfig);
    qconfig.exclude = (const char *const[]){"a", "last.conv"};
    qconfig.exclude_count = 2;
    check_rebuilt(g, &qconfig);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

/* ---- memory ---- */

static qz_status whole_way(qz_graph *g, const qzi_qconfig *qconfig, qz_graph **q)
{
    qzi_calibration *calibration = NULL;
    float data[TEST_IMAGE];
    const qz_tensor image = test_image(0, data);
    qz_status st = qzi_prepare(g, qconfig, 1, &calibration);
    if (st == QZ_OK)
        st = qzi_calibrate(calibration, &image);
    if (st == QZ_OK)
        st = qzi_convert(g, calibration, q);
    qzi_calibration_destroy(calibration);
    return st;
}

static void test_memory_failures(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_FBGEMM);
    qconfig.observer = QZ_OBSERVER_MINMAX;
    qconfig.exclude = (const char *const[]){"a"};
    qconfig.exclude_count = 1;
    qz_graph *g = make_concat(ctx), *q = NULL;
    const int64_t before = memory.live;
    qz_status st = QZ_ERR_MEMORY;
    size_t failures = 0;
    for (int64_t at = 0; st != QZ_OK; at++) {
        memory.fail_at = memory.total + at;
        st = whole_way(g, &qconfig, &q);
        memory.fail_at = -1;
        if (st == QZ_OK)
            break;
        assert_int_equal(st, QZ_ERR_MEMORY);
        assert_null(q);
        assert_int_equal(memory.live, before);
        failures++;
    }
    assert_in_range(failures, 50, 10000);
    qz_graph_destroy(q);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_residual),        cmocka_unit_test(test_reduce_range),
        cmocka_unit_test(test_concat),          cmocka_unit_test(test_island_of_scope),
        cmocka_unit_test(test_fallback),        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_unknown_names),   cmocka_unit_test(test_states),
        cmocka_unit_test(test_same_bytes),      cmocka_unit_test(test_rebuilt),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
