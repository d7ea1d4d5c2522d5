/* SPDX-License-Identifier: MIT */
/*
 * test_backbone.c - classifiers as a part of a detector's or segmenter's graph: names under its
 * scope, frozen norms, dilation in place of strides, maps on the way. What is expected was computed
 * by torchvision (gen/backbone_goldens.py); names are those of its detectors (QZOO_TEST_DATA).
 */
#include "../models/golden.h"
#include "layers/graph/exec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backbone_goldens.inc"
#include "zoo/model/weights_random.h"

static qz_context *context(void)
{
    qz_context *ctx = NULL;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    return ctx;
}

static qz_graph *graph_of(qz_context *ctx, qz_value *input)
{
    qz_graph *g = NULL;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    *input = qz_graph_input(g, "input", 3);
    return g;
}

/* ---- values ---- */

static void check_map(size_t golden, const qz_tensor *map)
{
    const float *data = map->data;
    double sum = 0.0, error = 0.0;
    int64_t count = qz_tensor_numel(map);
    for (int i = 0; i < 3; i++)
        assert_int_equal(map->dims[i + 1], backbone_goldens[golden].shape[i]);
    for (int64_t i = 0; i < count; i++)
        sum += (double)data[i] * (double)data[i];
    double l2 = sqrt(sum), rms = l2 / sqrt((double)count);
    error = fabs(l2 / backbone_goldens[golden].l2 - 1.0);
    for (int i = 0; i < 4; i++)
        error =
            fmax(error, fabs((double)data[i] - (double)backbone_goldens[golden].first[i]) / rms);
    if (!(error < 1e-5))
        fail_msg("%s, %s: difference %g", backbone_goldens[golden].arch,
                 backbone_goldens[golden].layer, error);
}

static void run_golden(size_t golden)
{
    static const qz_fill_rule rules[] = {{"", BACKBONE_GAIN}, {NULL, 0.0}};
    qzi_backbone_options options = {.frozen_norms = backbone_goldens[golden].frozen};
    memcpy(options.dilate, backbone_goldens[golden].dilate, sizeof(options.dilate));
    qz_context *ctx = context();
    qz_value x, map;
    qz_graph *g = graph_of(ctx, &x);
    qz_graph_enter(g, "%s", backbone_goldens[golden].scope);
    assert_int_equal(qzi_backbone_build(g, qzi_arch_get(backbone_goldens[golden].arch), x, &options,
                                        &backbone_goldens[golden].layer, 1, &map),
                     QZ_OK);
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_output(g, "map", map);
    assert_int_equal(qz_graph_finish(g), QZ_OK);
    assert_int_equal(qzi_weights_fill(g, rules, ""), QZ_OK);

    qz_tensor input = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, 65, 81}};
    input.data = malloc(3 * 65 * 81 * sizeof(float));
    assert_non_null(input.data);
    qz_random_uniform("input", "", -0.5, 2.0, 3 * 65 * 81, input.data);
    for (int fused = 0; fused < 2; fused++) {
        qzi_packed *packed = NULL;
        qzi_exec *exec = NULL;
        qz_tensor out = {0};
        if (fused)
            assert_int_equal(qzi_fuse(g, false), QZ_OK);
        assert_int_equal(qzi_packed_create(g, QZ_ISA_AUTO, &packed), QZ_OK);
        assert_int_equal(qzi_exec_create(packed, g, 1, &exec), QZ_OK);
        assert_int_equal(qzi_exec_run(exec, &input, 1, false), QZ_OK);
        assert_int_equal(qzi_exec_output_shape(exec, 0, &out), QZ_OK);
        out.data = malloc((size_t)qz_tensor_numel(&out) * sizeof(float));
        assert_non_null(out.data);
        qzi_exec_output(exec, 0, out.data);
        check_map(golden, &out);
        free(out.data);
        qzi_exec_destroy(exec);
        qzi_packed_destroy(packed);
    }
    free(input.data);
    qz_graph_destroy(g);
    qz_context_destroy(ctx);
}

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(backbone_goldens); i++)
        run_golden(i);
}

/* ---- names ---- */

/* The keys of `detector` that begin with `scope` and a dot are the backbone's, in order. */
static bool check_names(const char *detector, const char *scope, const char *arch, bool frozen,
                        const char *layer)
{
    FILE *keys = golden_open_keys(detector);
    char line[256];
    if (!keys)
        return false;
    qz_context *ctx = context();
    qz_value x, map;
    qz_graph *g = graph_of(ctx, &x);
    size_t count = 0;
    qz_graph_enter(g, "%s", scope);
    assert_int_equal(qzi_backbone_build(g, qzi_arch_get(arch), x,
                                        &(qzi_backbone_options){.frozen_norms = frozen}, &layer, 1,
                                        &map),
                     QZ_OK);
    qz_graph_leave(g, QZ_NO_VALUE);
    while (fgets(line, sizeof(line), keys)) {
        qz_param_info info;
        line[strcspn(line, "\t")] = '\0';
        if (strncmp(line, scope, strlen(scope)) != 0 || line[strlen(scope)] != '.' ||
            (frozen && strstr(line, "num_batches_tracked")))
            continue;
        assert_true(count < qz_graph_param_count(g));
        qz_graph_param_at(g, count++, &info);
        assert_string_equal(info.key, line);
        bool norm = strstr(line, "bn") || strstr(line, ".downsample.1.");
        assert_false(frozen && norm && info.trainable);
    }
    assert_int_equal(count, qz_graph_param_count(g));
    fclose(keys);
    qz_graph_destroy(g);
    qz_context_destroy(ctx);
    return true;
}

static void test_names(void **state)
{
    (void)state;
    int checked = 0;
    checked += check_names("fasterrcnn_resnet50_fpn", "backbone.body", "resnet50", true, "layer4");
    checked += check_names("fcn_resnet101", "backbone", "resnet101", false, "layer4");
    checked += check_names("fasterrcnn_mobilenet_v3_large_fpn", "backbone.body",
                           "mobilenet_v3_large", false, "16");
    checked +=
        check_names("deeplabv3_mobilenet_v3_large", "backbone", "mobilenet_v3_large", false, "16");
    if (checked == 0)
        skip();
}

/* ---- errors ---- */

static qz_status build(qz_context *ctx, const char *arch, int dilate, const char *layer)
{
    qzi_backbone_options options = {0};
    qz_value x, map;
    qz_graph *g = graph_of(ctx, &x);
    if (dilate >= 0)
        options.dilate[dilate] = true;
    qz_status st = qzi_backbone_build(g, qzi_arch_get(arch), x, &options, &layer, 1, &map);
    assert_int_equal(g->status, st); /* builders look at nothing else */
    qz_graph_destroy(g);
    return st;
}

static void test_errors(void **state)
{
    (void)state;
    qz_context *ctx = context();
    assert_int_equal(build(ctx, "resnet18", -1, "layer4"), QZ_OK);
    assert_int_equal(build(ctx, "vgg16", -1, "30"), QZ_OK);
    assert_int_equal(build(ctx, "mobilenet_v2", -1, "18"), QZ_OK);
    assert_int_equal(build(ctx, "resnet18", -1, "layer5"), QZ_ERR_UNKNOWN_NAME);
    assert_non_null(strstr(qz_context_message(ctx), "layer5"));
    assert_int_equal(build(ctx, "resnet18", 2, "layer4"), QZ_ERR_UNSUPPORTED);
    assert_int_equal(build(ctx, "mobilenet_v3_small", 2, "12"), QZ_OK);
    assert_int_equal(build(ctx, "mobilenet_v3_small", 1, "12"), QZ_ERR_UNSUPPORTED);
    assert_int_equal(build(ctx, "densenet121", -1, "norm5"), QZ_ERR_UNSUPPORTED);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
