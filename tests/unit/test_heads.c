/* SPDX-License-Identifier: MIT */
/*
 * test_heads.c - the layers of detectors' heads in int8, in every backend: none stays in fp32,
 * little is lost, ReLU is fused, a saved model computes the same bytes.
 */
#include "assert_ok.h"
#include "counting.h"
#include "zoo/qzoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIDE = 20, OUT = 6 * 36 * 36 };

static qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t oc, int32_t dilation)
{
    return qz_conv2d(g, name, x,
                     &(qz_conv2d_options){.out_channels = oc,
                                          .kernel_h = 3,
                                          .padding_h = dilation,
                                          .dilation_h = dilation,
                                          .bias = true});
}

/* A bit of SSD, of FCOS's head and of Mask R-CNN's. */
static qz_graph *build(qz_context *ctx)
{
    qz_graph *g = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = conv(g, "conv1", qz_graph_input(g, "input", 3), 24, 1);
    x = qz_activate(g, "relu1", x, QZ_ACT_RELU);
    x = qz_l2_norm(g, "scale_weight", "l2_norm", x);
    x = qz_max_pool2d(g, "pool3", conv(g, "conv6", x, 32, 6),
                      &(qz_pool2d_options){.kernel_h = 3, .stride_h = 1, .padding_h = 1});
    x = qz_group_norm(g, "norm", conv(g, "conv7", x, 32, 1), 8, 1e-5f);
    x = qz_activate(g, "relu2", x, QZ_ACT_RELU);
    x = qz_max_pool2d(g, "pool", x, &(qz_pool2d_options){.kernel_h = 1, .stride_h = 2});
    x = qz_conv_transpose2d(g, "up", x,
                            &(qz_conv_transpose2d_options){
                                .out_channels = 16, .kernel_h = 2, .stride_h = 2, .bias = true});
    x = qz_activate(g, "relu3", x, QZ_ACT_RELU);
    x = qz_conv_transpose2d(g, "grouped", x,
                            &(qz_conv_transpose2d_options){.out_channels = 6,
                                                           .kernel_h = 3,
                                                           .stride_h = 2,
                                                           .padding_h = 3,
                                                           .output_padding_h = 1,
                                                           .groups = 2});
    qz_graph_output(g, "logits", x);
    return g;
}

static const qz_preprocess recipe = {.crop_h = SIDE, .crop_w = SIDE, .std = {1, 1, 1}};

static void run(qz_context *ctx, qz_model *model, qz_precision precision, float *out)
{
    float image[3 * SIDE * SIDE];
    const qz_tensor in = {QZ_F32, 4, {1, 3, SIDE, SIDE}, image}, *y = NULL;
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    qz_session *session = NULL;
    qz_synthetic_image(3, SIDE, SIDE, image);
    options.precision = precision;
    ASSERT_OK(ctx, qz_session_create(model, &options, &session));
    ASSERT_OK(ctx, qz_session_run(session, &in));
    ASSERT_OK(ctx, qz_session_output(session, 0, NULL, &y));
    assert_int_equal(qz_tensor_numel(y), OUT);
    memcpy(out, y->data, OUT * sizeof(float));
    qz_session_destroy(session);
}

static double sqnr(const float *want, const float *got)
{
    double signal = 0.0, noise = 0.0;
    for (size_t i = 0; i < OUT; i++) {
        signal += (double)want[i] * want[i];
        noise += ((double)want[i] - got[i]) * ((double)want[i] - got[i]);
    }
    return 10.0 * log10(signal / noise);
}

/* Which nodes there are, and that each is int8. */
static void check_nodes(const qz_model *model)
{
    static const struct {
        const char *name, *op, *activation;
    } rows[] = {{"l2_norm", "l2_norm", ""},
                {"norm", "group_norm", "relu"},
                {"up", "conv_transpose2d", "relu"},
                {"grouped", "conv_transpose2d", ""}};
    const qz_graph *graph = qz_model_graph(model, true);
    qz_node_info info;
    for (size_t i = 0; i < qz_graph_node_count(graph); i++) {
        qz_graph_node_at(graph, i, &info);
        if (!info.is_int8)
            fail_msg("%s is in fp32: %s", info.name, info.fallback_reason);
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const int64_t at = qz_graph_find_node(graph, rows[i].name);
        assert_true(at >= 0);
        qz_graph_node_at(graph, (size_t)at, &info);
        assert_string_equal(info.op, rows[i].op);
        assert_string_equal(info.activation, rows[i].activation);
    }
}

static void heads_in_every_backend(void **state)
{
    static const qz_backend backends[] = {QZ_BACKEND_FBGEMM, QZ_BACKEND_QNNPACK, QZ_BACKEND_QNNPACK,
                                          QZ_BACKEND_NATIVE};
    static float floats[OUT], ints[OUT], again[OUT];
    char path[] = "/tmp/qzoo-heads-XXXXXX", onnx[64];
    (void)state;
    close(mkstemp(path));
    snprintf(onnx, sizeof(onnx), "%s.onnx", path);
    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
        counting memory = COUNTING_INIT;
        qz_context *ctx = counting_context(&memory, 1);
        qz_model_options options = QZ_MODEL_OPTIONS_INIT;
        qz_model *model = NULL, *opened = NULL;
        options.quantize = true;
        options.backend = backends[i];
        options.per_channel = i == 2; /* qnnpack is per tensor unless asked */
        ASSERT_OK(ctx, qz_model_from_graph(ctx, "heads", build(ctx), &recipe, &options, &model));
        ASSERT_OK(ctx, qz_model_calibrate_synthetic(model, 4));
        ASSERT_OK(ctx, qz_model_convert(model));
        check_nodes(model);
        run(ctx, model, QZ_PRECISION_FP32, floats);
        run(ctx, model, QZ_PRECISION_INT8, ints);
        const double db = sqnr(floats, ints);
        print_message("%s%s: %.1f dB\n", qz_backend_name(backends[i]), i == 2 ? " per channel" : "",
                      db);
        assert_true(db > 25.0);
        ASSERT_OK(ctx, qz_model_save(model, path));
        ASSERT_OK(ctx, qz_model_open_graph(ctx, path, build(ctx), &opened));
        run(ctx, opened, QZ_PRECISION_AUTO, again);
        assert_memory_equal(ints, again, sizeof(ints));
        const qz_status st = qz_onnx_export(model, onnx, NULL);
        assert_true(st == QZ_OK || st == QZ_ERR_UNSUPPORTED);
        unlink(onnx);
        qz_model_destroy(model);
        qz_model_destroy(opened);
        qz_context_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(heads_in_every_backend)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
