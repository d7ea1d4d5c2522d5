/* SPDX-License-Identifier: MIT */
/*
 * test_model_graph.c - models of graphs that an application has built: run, calibrated, converted,
 * saved, opened again, exported; graphs that do not fit.
 */
#include "assert_ok.h"
#include "counting.h"
#include "zoo/qzoo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIDE = 28 };

/* Ten layers on one channel, as for MNIST. stride: of the second convolution. */
static qz_graph *build(qz_context *ctx, int32_t channels, int32_t stride)
{
    qz_graph *g = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = qz_graph_input(g, "input", channels);
    x = qz_conv2d(g, "conv1", x, &(qz_conv2d_options){.out_channels = 8, .kernel_h = 3});
    x = qz_batch_norm2d(g, "bn1", x, 1e-5f);
    x = qz_activate(g, "relu1", x, QZ_ACT_RELU);
    x = qz_conv2d(
        g, "conv2", x,
        &(qz_conv2d_options){.out_channels = 8, .kernel_h = 3, .stride_h = stride, .padding_h = 1});
    x = qz_activate(g, "swish", x, QZ_ACT_HARDSWISH);
    x = qz_add(g, "add", x, qz_activate(g, "gate", x, QZ_ACT_SIGMOID), QZ_ACT_NONE);
    x = qz_flatten(g, "flatten", qz_adaptive_avg_pool2d(g, "pool", x, 2, 2));
    x = qz_linear(g, "fc", qz_dropout(g, "dropout", x, 0.5f), 10, true);
    qz_graph_output(g, "logits", x);
    return g;
}

static const qz_preprocess recipe = {.crop_h = SIDE, .crop_w = SIDE, .std = {1, 1, 1}};

static void fill(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(i * 7919 % 255) / 255.0f;
}

static void run(qz_context *ctx, qz_model *model, qz_precision precision, int32_t channels,
                float out[10])
{
    static float values[3 * SIDE * SIDE];
    qz_tensor image = {QZ_F32, 4, {1, channels, SIDE, SIDE}, values};
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    qz_session *session = NULL;
    const qz_tensor *logits = NULL;
    const qz_profile_row *rows;
    size_t count;
    fill(values, (size_t)qz_tensor_numel(&image));
    options.precision = precision;
    ASSERT_OK(ctx, qz_session_create(model, &options, &session));
    ASSERT_OK(ctx, qz_session_run(session, &image));
    ASSERT_OK(ctx, qz_session_output(session, 0, NULL, &logits));
    assert_int_equal(qz_tensor_numel(logits), 10);
    memcpy(out, logits->data, 10 * sizeof(float));
    ASSERT_OK(ctx, qz_session_profile(session, &rows, &count));
    qz_session_destroy(session);
}

static void a_graph_lives_as_a_model(void **state)
{
    char path[] = "/tmp/qzoo-graph-XXXXXX", onnx[64];
    float floats[10], ints[10], again[10];
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    qz_model_info info;
    (void)state;
    close(mkstemp(path));
    snprintf(onnx, sizeof(onnx), "%s.onnx", path);
    options.quantize = true;
    options.observer = QZ_OBSERVER_MINMAX; /* 20 logits are too few for a histogram */
    for (int32_t channels = 1; channels <= 3; channels += 2) {
        static float values[2 * 3 * SIDE * SIDE];
        const qz_tensor images = {QZ_F32, 4, {2, channels, SIDE, SIDE}, values};
        counting memory = COUNTING_INIT;
        qz_context *ctx = counting_context(&memory, 1);
        qz_model *model = NULL, *opened = NULL;
        fill(values, (size_t)qz_tensor_numel(&images));
        ASSERT_OK(ctx, qz_model_from_graph(ctx, "mine", build(ctx, channels, 2), &recipe, &options,
                                           &model));
        ASSERT_OK(ctx, qz_model_calibrate(model, &images));
        ASSERT_OK(ctx, qz_model_convert(model));
        qz_model_get_info(model, &info);
        assert_string_equal(info.name, "mine");
        assert_string_equal(info.weights, "random:0");
        assert_int_equal(info.num_classes, 10);
        assert_int_equal(info.input_h, SIDE);
        assert_true(info.macs > 0 && info.params > 0);
        run(ctx, model, QZ_PRECISION_FP32, channels, floats);
        run(ctx, model, QZ_PRECISION_INT8, channels, ints);
        double far = 0, size = 0;
        for (int i = 0; i < 10; i++) {
            far += (double)(floats[i] - ints[i]) * (double)(floats[i] - ints[i]);
            size += (double)floats[i] * (double)floats[i];
        }
        assert_true(size > 0 && far < 0.01 * size);
        ASSERT_OK(ctx, qz_model_save(model, path));
        ASSERT_OK(ctx, qz_model_open_graph(ctx, path, build(ctx, channels, 2), &opened));
        qz_model_get_info(opened, &info);
        assert_string_equal(info.name, "mine");
        assert_int_equal(info.input_h, SIDE);
        run(ctx, opened, QZ_PRECISION_AUTO, channels, again);
        assert_memory_equal(ints, again, sizeof(ints));
        const qz_status st = qz_onnx_export(model, onnx, NULL);
        assert_true(st == QZ_OK || st == QZ_ERR_UNSUPPORTED);
        unlink(onnx);
        qz_model_destroy(model);
        qz_model_destroy(opened);
        /* another graph, no graph, a file of the zoo */
        assert_int_equal(qz_model_open_graph(ctx, path, build(ctx, channels, 1), &opened),
                         QZ_ERR_MISMATCH);
        assert_null(opened);
        assert_non_null(strstr(qz_context_message(ctx), "the graph is another one"));
        assert_int_equal(qz_model_open(ctx, path, &opened), QZ_ERR_UNSUPPORTED);
        assert_non_null(strstr(qz_context_message(ctx), "'mine' was built by an application"));
        qz_context_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
    unlink(path);
}

static void refuse(counting *memory, qz_context *ctx, const char *name, qz_graph *graph,
                   const qz_preprocess *how, const qz_model_options *options, qz_status status,
                   const char *text)
{
    qz_model *model = NULL;
    assert_int_equal(qz_model_from_graph(ctx, name, graph, how, options, &model), status);
    assert_null(model);
    if (!strstr(qz_context_message(ctx), text))
        fail_msg("'%s' has not '%s'", qz_context_message(ctx), text);
    (void)memory;
}

static void what_does_not_fit_is_refused(void **state)
{
    counting memory = COUNTING_INIT;
    qz_context *ctx = counting_context(&memory, 1);
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    qz_preprocess bad = recipe;
    (void)state;
    bad.std[1] = 0;
    refuse(&memory, ctx, "mine", build(ctx, 3, 2), &bad, NULL, QZ_ERR_ARGUMENT, "std[1]");
    refuse(&memory, ctx, "no name", build(ctx, 3, 2), NULL, NULL, QZ_ERR_ARGUMENT, "'no name'");
    refuse(&memory, ctx, NULL, build(ctx, 3, 2), NULL, NULL, QZ_ERR_ARGUMENT, "NULL");
    refuse(&memory, ctx, "mine", NULL, NULL, NULL, QZ_ERR_ARGUMENT, "NULL");
    options.num_classes = 11;
    refuse(&memory, ctx, "mine", build(ctx, 3, 2), NULL, &options, QZ_ERR_ARGUMENT, "11");
    options.num_classes = 0;
    options.transform_input = true;
    refuse(&memory, ctx, "mine", build(ctx, 3, 2), NULL, &options, QZ_ERR_ARGUMENT,
           "transform_input");
    options.transform_input = false;
    options.weights = "/nowhere/at/all.pth";
    refuse(&memory, ctx, "mine", build(ctx, 3, 2), NULL, &options, QZ_ERR_IO,
           "/nowhere/at/all.pth");
    /* a poisoned graph reports its first error, one without an output is none */
    qz_graph *graph = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &graph));
    qz_conv2d(graph, "conv", qz_graph_input(graph, "input", 3), &(qz_conv2d_options){0});
    refuse(&memory, ctx, "mine", graph, NULL, NULL, QZ_ERR_ARGUMENT, "conv");
    /* images need three channels */
    static uint8_t rgb[SIDE * SIDE * 3];
    qz_model *model = NULL;
    qz_session *session = NULL;
    options.weights = NULL;
    options.quantize = true;
    ASSERT_OK(ctx, qz_model_from_graph(ctx, "mine", build(ctx, 1, 2), &recipe, &options, &model));
    assert_int_equal(qz_model_calibrate_u8(model, rgb, SIDE, SIDE, SIDE * 3), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_model_calibrate_synthetic(model, 1), QZ_ERR_ARGUMENT);
    ASSERT_OK(ctx, qz_session_create(model, NULL, &session));
    assert_int_equal(qz_session_run_u8(session, rgb, SIDE, SIDE, SIDE * 3), QZ_ERR_ARGUMENT);
    assert_non_null(strstr(qz_context_message(ctx), "has 1; give float tensors"));
    qz_session_destroy(session);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* Each allocation fails in turn: an error, and nothing lost. */
static void memory_is_not_lost(void **state)
{
    counting memory = COUNTING_INIT;
    qz_context *ctx = counting_context(&memory, 1);
    const int64_t live = memory.live;
    int64_t failed = 0;
    (void)state;
    for (int64_t n = 0;; n++) {
        qz_model *model = NULL;
        qz_graph *graph = build(ctx, 3, 2);
        counting_fail(&memory, n);
        const qz_status st = qz_model_from_graph(ctx, "mine", graph, &recipe, NULL, &model);
        memory.fail_at = -1;
        qz_model_destroy(model);
        assert_int_equal(memory.live, live);
        if (st == QZ_OK)
            break;
        assert_int_equal(st, QZ_ERR_MEMORY);
        failed++;
    }
    assert_in_range(failed, 10, 1000);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graph_lives_as_a_model),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(memory_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
