/* SPDX-License-Identifier: MIT */
/*
 * test_fallback.c - fp32 islands in whole models: strided pointwise convolutions of resnet18 (the
 * support table's documented row), and a block of mobilenet_v2 by its name.
 */
#include "tests/unit/assert_ok.h"
#include "zoo/model/model.h"
#include "zoo/model/weights_random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIDE 64
#define CLASSES 1000

static float calibration_image[3 * SIDE * SIDE], test_image[3 * SIDE * SIDE];

static qz_tensor image_of(float *data)
{
    return (qz_tensor){QZ_F32, 4, {1, 3, SIDE, SIDE}, data};
}

static void run(const qz_graph *graph, float logits[CLASSES])
{
    qzi_packed *packed = NULL;
    qzi_exec *exec = NULL;
    qz_tensor y = {.dtype = QZ_F32};
    const qz_tensor image = image_of(test_image);
    ASSERT_OK(graph->ctx, qzi_packed_create(graph, QZ_ISA_AUTO, &packed));
    ASSERT_OK(graph->ctx, qzi_exec_create(packed, graph, 1, &exec));
    ASSERT_OK(graph->ctx, qzi_exec_run(exec, &image, 1, false));
    ASSERT_OK(graph->ctx, qzi_exec_output_shape(exec, 0, &y));
    assert_int_equal(qz_tensor_numel(&y), CLASSES);
    qzi_exec_output(exec, 0, logits);
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
}

/* Builds, fills and fuses; quantizes with one name or word left in fp32; checks that the int8 model
 * computes about the same. */
static void make(qz_context *ctx, const char *model, const char *exclude, const char *fallback,
                 qz_graph **graph, qz_graph **int8_graph)
{
    const qzi_arch *arch = qzi_arch_get(model);
    const qzi_backend *backend = qzi_backend_get(QZ_BACKEND_FBGEMM);
    const qzi_qconfig qconfig = {.backend = backend,
                                 .observer = QZ_OBSERVER_MINMAX,
                                 .per_channel = backend->per_channel,
                                 .exclude = &exclude,
                                 .exclude_count = exclude != NULL,
                                 .fallback = &fallback,
                                 .fallback_count = fallback != NULL};
    const qz_tensor image = image_of(calibration_image);
    qzi_calibration *calibration = NULL;
    float exact[CLASSES], y[CLASSES];
    double error = 0.0, norm = 0.0;
    assert_non_null(arch);
    ASSERT_OK(ctx, qz_graph_create(ctx, graph));
    arch->build(*graph, arch->config, &(qzi_build_options){.num_classes = CLASSES});
    ASSERT_OK(ctx, qz_graph_finish(*graph));
    ASSERT_OK(ctx, qzi_weights_fill_arch(*graph, arch, "0"));
    ASSERT_OK(ctx, arch->fuse(*graph, false));
    ASSERT_OK(ctx, qzi_prepare(*graph, &qconfig, 1, &calibration));
    ASSERT_OK(ctx, qzi_calibrate(calibration, &image));
    ASSERT_OK(ctx, qzi_convert(*graph, calibration, int8_graph));
    qzi_calibration_destroy(calibration);
    run(*graph, exact);
    run(*int8_graph, y);
    for (size_t i = 0; i < CLASSES; i++) {
        error += ((double)exact[i] - (double)y[i]) * ((double)exact[i] - (double)y[i]);
        norm += (double)exact[i] * (double)exact[i];
    }
    print_message("%s: SQNR %.1f dB\n", model, -10.0 * log10(error / norm));
    assert_true(error < 0.01 * norm);
}

static size_t count_op(const qz_graph *graph, qzi_op op)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        count += graph->nodes[i].op == op;
    return count;
}

static void test_strided_pointwise(void **state)
{
    qz_context *ctx = *state;
    qz_graph *graph = NULL, *q = NULL;
    size_t islands = 0;
    make(ctx, "resnet18", NULL, "strided_pointwise", &graph, &q);
    for (size_t i = 0; i < q->node_count; i++) {
        const qzi_node *node = &q->nodes[i];
        const bool island = strstr(node->name, ".downsample.0") != NULL;
        if (node->op == QZI_OP_QUANTIZE || node->op == QZI_OP_DEQUANTIZE)
            continue;
        assert_int_equal(node->dtype, island ? QZ_F32 : QZ_U8);
        assert_int_equal(node->fallback != NULL, island);
        if (!island)
            continue;
        islands++;
        assert_string_equal(node->fallback, "fallback of strided_pointwise was asked for");
        assert_int_equal(q->nodes[node->in[0]].op, QZI_OP_DEQUANTIZE);
    }
    assert_int_equal(islands, 3); /* the first stage has no downsample */
    assert_int_equal(count_op(q, QZI_OP_DEQUANTIZE), 3);
    assert_int_equal(count_op(q, QZI_OP_QUANTIZE), 3);
    assert_int_equal(q->node_count, graph->node_count + 6);
    qz_graph_destroy(q);
    qz_graph_destroy(graph);
}

static void test_block(void **state)
{
    qz_context *ctx = *state;
    qz_graph *graph = NULL, *q = NULL;
    size_t in_float = 0;
    make(ctx, "mobilenet_v2", "features.3", NULL, &graph, &q);
    for (size_t i = 0; i < q->node_count; i++) {
        const qzi_node *node = &q->nodes[i];
        if (strncmp(node->name, "features.3.", strlen("features.3.")) == 0 && node->fallback) {
            in_float++;
            assert_int_equal(node->dtype, QZ_F32);
        }
    }
    assert_int_equal(in_float, 4); /* expand, depthwise, project, add */
    /* the block's input, read by its first convolution and by its add; its output */
    assert_int_equal(count_op(q, QZI_OP_DEQUANTIZE), 1);
    assert_int_equal(count_op(q, QZI_OP_QUANTIZE), 1);
    qz_graph_destroy(q);
    qz_graph_destroy(graph);
}

int main(void)
{
    qz_context *ctx = NULL;
    if (qz_context_create(NULL, &ctx) != QZ_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_strided_pointwise, ctx),
        cmocka_unit_test_prestate(test_block, ctx),
    };
    qz_random_uniform("calibration", "", -0.5, 2.0, 3 * SIDE * SIDE, calibration_image);
    qz_random_uniform("image", "", -0.5, 2.0, 3 * SIDE * SIDE, test_image);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    qz_context_destroy(ctx);
    return failed;
}
