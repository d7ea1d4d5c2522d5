/* SPDX-License-Identifier: MIT */
/* test_equalize.c - scales by channel of values that layers sum over: the choice, the gain. */
#include "refine_way.h"

#include "quant/convert.h"
#include "quant/refine/equalize.h"

#include <math.h>

#define WIDE 16

static qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t oc, qz_activation act)
{
    x = qz_conv2d(
        g, name, x,
        &(qz_conv2d_options){
            .out_channels = oc, .kernel_h = 3, .padding_h = 1, .groups = 1, .bias = true});
    return act == QZ_ACT_NONE ? x : qz_activate(g, "act", x, act);
}

/* Two branches that a concat joins, one of them with channels of very different sizes, which the
 * next weights are the inverse of. */
static qz_graph *make_net(qz_context *ctx, qz_activation act, bool spread)
{
    qz_graph *g = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = qz_graph_input(g, "x", 3), a, b;
    qz_graph_enter(g, "a");
    a = qz_graph_leave(g, conv(g, "conv", x, WIDE, act));
    qz_graph_enter(g, "b");
    b = qz_graph_leave(g, conv(g, "conv", x, 4, act));
    x = qz_concat(g, "cat", (const qz_value[]){a, b}, 2);
    x = conv(g, "last", x, 8, QZ_ACT_NONE);
    x = qz_adaptive_avg_pool2d(g, "avgpool", x, 1, 1);
    qz_graph_output(g, "y", qz_flatten(g, "flatten", x));
    ASSERT_OK(ctx, qz_graph_finish(g));
    test_fill(g);
    ASSERT_OK(ctx, qzi_fuse(g, false));
    float *first = qzi_graph_param(g, "a.conv.weight")->tensor.data;
    float *bias = qzi_graph_param(g, "a.conv.bias")->tensor.data;
    float *last = qzi_graph_param(g, "last.weight")->tensor.data;
    for (int c = 0; c < WIDE && spread; c++) {
        const float factor = c % 2 ? 8.0f : 0.125f;
        for (int i = 0; i < 27; i++)
            first[c * 27 + i] *= factor;
        bias[c] *= factor;
        for (int o = 0; o < 8; o++)
            for (int i = 0; i < 9; i++)
                last[(o * (WIDE + 4) + c) * 9 + i] /= factor;
    }
    return g;
}

static qzi_qconfig make_qconfig(qz_equalization equalize, double alpha)
{
    return (qzi_qconfig){.backend = qzi_backend_get(QZ_BACKEND_NATIVE),
                         .observer = QZ_OBSERVER_MSE,
                         .per_channel = true,
                         .bias_correction = QZ_BIAS_CORRECTION_IMAGES,
                         .equalize = equalize,
                         .equalize_alpha = alpha};
}

static const qzi_node *node_of(const qz_graph *g, const char *name)
{
    const qz_value value = qzi_graph_find(g, name);
    assert_true(value >= 0);
    return &g->nodes[value];
}

static void test_gain(void **state)
{
    (void)state;
    static const qz_activation acts[] = {QZ_ACT_RELU, QZ_ACT_RELU6, QZ_ACT_HARDSWISH, QZ_ACT_NONE};
    for (size_t i = 0; i < QZI_ARRAY_LEN(acts); i++) {
        test_memory memory;
        qz_context *ctx = test_context(&memory);
        qz_graph *g = make_net(ctx, acts[i], true), *q = NULL, *again = NULL;
        qzi_recipe_report report;
        const qzi_qconfig qconfig = make_qconfig(QZ_EQUALIZATION_AUTO, 0.0);
        ASSERT_OK(ctx, whole_way(g, &qconfig, 1, false, &q, &report));
        assert_int_equal(report.count, 3);
        assert_string_equal(report.steps[1].name, "equalization");
        assert_true(report.steps[1].layers >= 1);
        if (!(report.steps[1].output_db > report.steps[0].output_db + 1.0))
            fail_msg("%s: %g dB after %g", qzi_act_name(acts[i]), report.steps[1].output_db,
                     report.steps[0].output_db);
        const qzi_node *a = node_of(q, "a");
        assert_non_null(a->channel_q);
        assert_true(a->channel_q->scale[1] > a->channel_q->scale[0]);
        for (int c = 0; c < WIDE; c++) {
            assert_int_equal(a->channel_q->zero_point[c], a->channel_q->zero_point[0]);
            assert_true(acts[i] != QZ_ACT_RELU6 || a->channel_q->scale[c] <= 6.0f / 255.0f);
        }
        /* neither order nor threads matter */
        ASSERT_OK(ctx, whole_way(g, &qconfig, 3, true, &again, &report));
        assert_memory_equal(a->channel_q->scale, node_of(again, "a")->channel_q->scale,
                            WIDE * sizeof(float));
        qz_graph_destroy(again);
        qz_graph_destroy(q);
        qz_graph_destroy(g);
        test_context_end(ctx, &memory);
    }
}

/* One alpha for all: t follows from ranges and weights; 0 changes nothing. */
static void test_alpha(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qz_graph *g = make_net(ctx, QZ_ACT_RELU, true), *none = NULL, *zero = NULL, *half = NULL,
             *whole = NULL;
    qzi_recipe_report report;
    qzi_qconfig qconfig = make_qconfig(QZ_EQUALIZATION_NONE, 0.0);
    ASSERT_OK(ctx, whole_way(g, &qconfig, 1, false, &none, &report));
    assert_int_equal(report.count, 2);
    assert_null(node_of(none, "a")->channel_q);
    qconfig = make_qconfig(QZ_EQUALIZATION_ALPHA, 0.0);
    ASSERT_OK(ctx, whole_way(g, &qconfig, 1, false, &zero, &report));
    assert_int_equal(report.steps[1].layers, 0);
    assert_true(node_of(zero, "a")->q.scale == node_of(none, "a")->q.scale);
    qconfig = make_qconfig(QZ_EQUALIZATION_ALPHA, 0.5);
    ASSERT_OK(ctx, whole_way(g, &qconfig, 1, false, &half, &report));
    assert_int_equal(report.steps[1].layers, 2);
    qconfig = make_qconfig(QZ_EQUALIZATION_ALPHA, 1.0);
    ASSERT_OK(ctx, whole_way(g, &qconfig, 1, false, &whole, &report));
    const float *h = node_of(half, "a")->channel_q->scale;
    const float *w = node_of(whole, "a")->channel_q->scale;
    for (int c = 1; c < WIDE; c++) {
        const float ratio = h[c] / h[0], squared = w[c] / w[0];
        assert_true(fabsf(ratio * ratio / squared - 1.0f) < 1e-4f);
    }
    qz_graph_destroy(whole);
    qz_graph_destroy(half);
    qz_graph_destroy(zero);
    qz_graph_destroy(none);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

static void test_memory_failures(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    const qzi_qconfig qconfig = make_qconfig(QZ_EQUALIZATION_AUTO, 0.0);
    qz_graph *g = make_net(ctx, QZ_ACT_RELU, true), *q = NULL;
    qzi_recipe_report report;
    qzi_values values;
    qzi_calibration *calibration = NULL;
    float data[TEST_IMAGE];
    const qz_tensor image = test_image(1, data);
    (void)report;
    (void)q;
    ASSERT_OK(ctx, qzi_prepare(g, &qconfig, 1, &calibration));
    ASSERT_OK(ctx, qzi_calibrate(calibration, &image));
    ASSERT_OK(ctx, qzi_values_find(g, calibration, &values));
    const int64_t before = memory.live;
    qz_status st = QZ_ERR_MEMORY;
    size_t failures = 0, changed = 0;
    for (int64_t at = 0; st != QZ_OK; at++) {
        memory.fail_at = memory.total + at;
        st = qzi_equalize(g, calibration, &values, &changed);
        memory.fail_at = -1;
        failures += st != QZ_OK;
        assert_true(st == QZ_OK || st == QZ_ERR_MEMORY);
    }
    assert_in_range(failures, 20, 1000);
    assert_true(memory.live >= before); /* the arena of the values may have grown */
    qzi_values_free(&values);
    qzi_calibration_destroy(calibration);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gain),
        cmocka_unit_test(test_alpha),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
