/* SPDX-License-Identifier: MIT */
/*
 * test_zoo_keys.c - every architecture's parameters are torchvision's: names, order, shapes,
 * number, the seeded fill; and its MACs. Also the registry, and the options of the families.
 *
 * The largest models are filled with --all only: they take gigabytes.
 */
#include "../models/golden.h"
#include "zoo/detection/detector.h"
#include "zoo/model/model_build.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool all_models;

#define LARGE INT64_C(60000000) /* parameters */

static qz_context *context(void)
{
    qz_context *ctx = NULL;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    return ctx;
}

/* "64x3x7x7", "scalar" */
static const char *shape_text(const qz_tensor *tensor)
{
    static char text[128];
    size_t used = 0;
    if (tensor->ndim == 0)
        return "scalar";
    for (int32_t i = 0; i < tensor->ndim; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%" PRId64, i > 0 ? "x" : "",
                                 tensor->dims[i]);
    return text;
}

static void check_keys(const qz_graph *graph, FILE *keys)
{
    char line[256];
    size_t count = 0;
    while (fgets(line, sizeof(line), keys)) {
        qz_param_info info;
        char *shape = strchr(line, '\t');
        assert_non_null(shape);
        *shape++ = '\0';
        shape[strcspn(shape, "\n")] = '\0';
        assert_true(count < qz_graph_param_count(graph));
        qz_graph_param_at(graph, count++, &info);
        assert_string_equal(info.key, line);
        assert_string_equal(shape_text(info.tensor), shape);
    }
    assert_int_equal(count, qz_graph_param_count(graph));
}

/* FORMAT.md: the sum of (i + 1) * bits(x_i) over all float tensors. */
static uint64_t fill_checksum(const qz_graph *graph)
{
    uint64_t sum = 0;
    for (size_t p = 0; p < qz_graph_param_count(graph); p++) {
        qz_param_info info;
        qz_graph_param_at(graph, p, &info);
        if (info.tensor->dtype != QZ_F32)
            continue;
        const uint32_t *bits = info.tensor->data;
        uint64_t count = (uint64_t)qz_tensor_numel(info.tensor);
        for (uint64_t i = 0; i < count; i++)
            sum += (i + 1) * bits[i];
    }
    return sum;
}

static void test_goldens(void **state)
{
    (void)state;
    size_t checked = 0, filled = 0;
    for (size_t i = 0; i < qz_arch_count(); i++) {
        qz_arch_info arch;
        qz_arch_at(i, &arch);
        json_t *golden = golden_load(arch.name);
        FILE *keys = golden_open_keys(arch.name);
        if (golden && keys) {
            qz_context *ctx = context();
            json_int_t params = json_integer_value(json_object_get(golden, "params"));
            uint64_t measured, macs;
            assert_int_equal(qz_arch_measure(ctx, arch.name, &measured, &macs), QZ_OK);
            assert_int_equal(measured, params);
            /* detectors: test_detectors */
            if (json_object_get(golden, "macs"))
                assert_int_equal(macs, json_integer_value(json_object_get(golden, "macs")));
            qz_model *model = NULL;
            if (all_models || params < LARGE) {
                model = golden_model(ctx, arch.name, golden, false);
                assert_non_null(model);
                const char *sum = json_string_value(json_object_get(golden, "fill_wsum_total"));
                assert_int_equal(fill_checksum(model->graph), strtoull(sum, NULL, 16));
                filled++;
            } else {
                assert_int_equal(qzi_model_alloc(ctx, qzi_arch_get(arch.name), &model), QZ_OK);
                assert_int_equal(qzi_model_build(model, NULL), QZ_OK);
            }
            check_keys(model->graph, keys);
            qz_model_destroy(model);
            qz_context_destroy(ctx);
            checked++;
        }
        json_decref(golden);
        if (keys)
            fclose(keys);
    }
    printf("%zu of %zu architectures compared with goldens, %zu of them filled\n", checked,
           qz_arch_count(), filled);
    if (checked == 0)
        skip();
}

static void test_registry(void **state)
{
    (void)state;
    qz_context *ctx = context();
    qz_arch_info info;
    assert_int_equal(qz_arch_count(), 89);
    for (size_t i = 0; i < qz_arch_count(); i++) {
        qz_arch_info found;
        qz_arch_at(i, &info);
        assert_int_equal(qz_arch_find(ctx, info.name, &found), QZ_OK);
        assert_string_equal(found.name, info.name);
        if (strcmp(found.task, "segmentation") == 0) { /* whole images */
            assert_int_equal(found.preprocess.crop_h, 0);
            assert_int_equal(found.preprocess.resize, found.input_h);
            continue;
        }
        assert_string_equal(found.task,
                            qzi_arch_get(info.name)->detector ? "detection" : "classification");
        assert_true(found.preprocess.resize >= found.preprocess.crop_h);
        assert_int_equal(found.preprocess.crop_h, found.input_h);
    }
    qz_arch_at(qz_arch_count(), &info);
    assert_string_equal(info.name, "");

    assert_int_equal(qz_arch_find(ctx, "resnet51", &info), QZ_ERR_UNKNOWN_NAME);
    assert_non_null(strstr(qz_context_message(ctx), "nearest are resnet50, resnet"));
    assert_int_equal(qz_arch_find(ctx, "mobilenetv2", &info), QZ_ERR_UNKNOWN_NAME);
    assert_non_null(strstr(qz_context_message(ctx), "mobilenet_v2"));
    assert_int_equal(qz_arch_find(ctx, "", &info), QZ_ERR_UNKNOWN_NAME);
    char endless[4096];
    memset(endless, 'x', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    assert_int_equal(qz_arch_find(ctx, endless, &info), QZ_ERR_UNKNOWN_NAME);
    assert_int_equal(qz_arch_find(ctx, NULL, &info), QZ_ERR_ARGUMENT);
    qz_context_destroy(ctx);
}

/* The channels of a detector's outputs with 10 classes, background counted. */
static void check_detector_classes(const qz_graph *graph, const qzi_detector *detector)
{
    size_t logits = 0;
    for (size_t i = 0; i < graph->output_count; i++) {
        const char *name = graph->outputs[i].name, *dot = strchr(name, '.');
        const int32_t anchors = dot ? qzi_detector_anchors(detector, atoi(dot + 1)) : 1;
        const int32_t c = graph->nodes[graph->outputs[i].value].c;
        if (strncmp(name, "cls_logits", 10) == 0 || strcmp(name, "roi_cls_logits") == 0 ||
            strcmp(name, "mask_logits") == 0) {
            assert_int_equal(c, 10 * anchors);
            logits++;
        } else if (strncmp(name, "bbox_regression", 15) == 0 ||
                   strncmp(name, "rpn_deltas", 10) == 0) {
            assert_int_equal(c, 4 * anchors);
        } else if (strncmp(name, "rpn_objectness", 14) == 0 ||
                   strncmp(name, "objectness", 10) == 0 || strncmp(name, "bbox_ctrness", 12) == 0) {
            assert_int_equal(c, anchors);
        } else if (strcmp(name, "roi_bbox_regression") == 0) {
            assert_int_equal(c, 4 * 10);
        } else {
            assert_int_equal(strncmp(name, "features.", 9), 0);
        }
    }
    assert_int_equal(logits, detector->kind == QZI_DETECTOR_RCNN ? 1 + detector->has_masks
                                                                 : detector->levels);
}

static void test_classes(void **state)
{
    (void)state;
    qz_context *ctx = context();
    for (size_t i = 0; i < qz_arch_count(); i++) {
        qz_arch_info arch;
        qz_param_info param;
        qz_model *model = NULL;
        qz_arch_at(i, &arch);
        assert_int_equal(qzi_model_alloc(ctx, qzi_arch_get(arch.name), &model), QZ_OK);
        assert_int_equal(qzi_model_build(model, &(qzi_build_options){.num_classes = 10}), QZ_OK);
        const qzi_detector *detector = model->arch->detector;
        if (!detector) {
            qz_graph_param_at(model->graph, qz_graph_param_count(model->graph) - 1, &param);
            assert_int_equal(param.tensor->ndim, 1);
            assert_int_equal(param.tensor->dims[0], 10);
        } else {
            check_detector_classes(model->graph, detector);
        }
        qz_model_destroy(model);
    }
    qz_context_destroy(ctx);
}

/* Auxiliary heads are parameters and no nodes; without them, the rest is the same. */
static void test_auxiliary(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *head, *last;
        size_t params; /* of the heads, with their buffers */
    } rows[] = {
        {"googlenet", "aux", "fc", 20},
        {"inception_v3", "AuxLogits.", "fc", 14},
    };
    qz_context *ctx = context();
    for (size_t i = 0; i < QZI_ARRAY_LEN(rows); i++) {
        qz_model *with = NULL, *without = NULL;
        const qzi_arch *arch = qzi_arch_get(rows[i].arch);
        assert_int_equal(qzi_model_alloc(ctx, arch, &with), QZ_OK);
        assert_int_equal(qzi_model_build(with, NULL), QZ_OK);
        assert_int_equal(qzi_model_alloc(ctx, arch, &without), QZ_OK);
        assert_int_equal(qzi_model_build(without, &(qzi_build_options){.no_aux_logits = true}),
                         QZ_OK);
        assert_int_equal(qz_graph_param_count(with->graph),
                         qz_graph_param_count(without->graph) + rows[i].params);
        assert_int_equal(qz_graph_node_count(with->graph), qz_graph_node_count(without->graph));
        for (size_t n = 0; n < qz_graph_node_count(with->graph); n++) {
            qz_node_info a, b;
            qz_graph_node_at(with->graph, n, &a);
            qz_graph_node_at(without->graph, n, &b);
            assert_string_equal(a.name, b.name);
            assert_int_not_equal(strncmp(a.name, rows[i].head, strlen(rows[i].head)), 0);
        }
        assert_int_equal(qz_graph_find_node(with->graph, "aux1"), -1);
        assert_int_equal(qz_graph_find_node(with->graph, "AuxLogits"), -1);
        assert_true(qz_graph_find_node(with->graph, rows[i].last) > 0);
        assert_int_equal(with->macs, without->macs);
        qz_model_destroy(with);
        qz_model_destroy(without);
    }
    qz_context_destroy(ctx);
}

static void test_family_options(void **state)
{
    (void)state;
    qz_context *ctx = context();
    qz_model *model = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.transform_input = true;
    assert_int_equal(qz_model_create(ctx, "resnet18", &options, &model), QZ_ERR_ARGUMENT);
    assert_non_null(strstr(qz_context_message(ctx), "resnet18 has no transform_input"));
    assert_int_equal(qz_model_create(ctx, "googlenet", &options, &model), QZ_OK);
    assert_int_equal(qz_graph_find_node(qz_model_graph(model, false), "transform_input"), 1);
    qz_model_destroy(model);
    options.transform_input = false;
    options.no_aux_logits = true;
    assert_int_equal(qz_model_create(ctx, "vgg11", &options, &model), QZ_ERR_ARGUMENT);
    qz_context_destroy(ctx);
}

/* Three published files were trained with eps 0 in their backbones' norms (zero_eps). */
static void test_zero_eps(void **state)
{
    static const char *const models[] = {"retinanet_resnet50_fpn", "fasterrcnn_resnet50_fpn",
                                         "maskrcnn_resnet50_fpn"};
    (void)state;
    qz_context *ctx = context();
    qz_catalogue *catalogue = NULL;
    size_t count = 0;
    assert_int_equal(qz_catalogue_open(ctx, NULL, &catalogue), QZ_OK);
    for (size_t i = 0; i < qz_catalogue_count(catalogue); i++)
        count += qz_catalogue_at(catalogue, i)->zero_eps;
    assert_int_equal(count, QZI_ARRAY_LEN(models));
    for (size_t i = 0; i < QZI_ARRAY_LEN(models); i++) {
        const qz_weights_info *info = NULL;
        assert_int_equal(qz_catalogue_find(catalogue, models[i], "COCO_V1", &info), QZ_OK);
        assert_true(info->zero_eps);
        for (int zero = 0; zero < 2; zero++) {
            qz_model *model = NULL;
            size_t norms = 0;
            assert_int_equal(qzi_model_alloc(ctx, qzi_arch_get(models[i]), &model), QZ_OK);
            assert_int_equal(qzi_model_build(model, &(qzi_build_options){.zero_eps = zero != 0}),
                             QZ_OK);
            for (size_t n = 0; n < model->graph->node_count; n++) {
                const qzi_node *node = &model->graph->nodes[n];
                if (node->op != QZI_OP_BATCH_NORM2D)
                    continue;
                assert_true(node->u.bn.eps == (zero ? 0.0f : 1e-5f));
                norms++;
            }
            assert_int_equal(norms, 53);
            qz_model_destroy(model);
        }
    }
    qz_catalogue_close(catalogue);
    qz_context_destroy(ctx);
}

int main(int argc, char **argv)
{
    all_models = argc > 1 && strcmp(argv[1], "--all") == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry),  cmocka_unit_test(test_classes),
        cmocka_unit_test(test_auxiliary), cmocka_unit_test(test_family_options),
        cmocka_unit_test(test_goldens),   cmocka_unit_test(test_zero_eps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
