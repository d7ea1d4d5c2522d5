/* SPDX-License-Identifier: MIT */
/*
 * test_yolo_files.c - darknet's .weights files of YOLOv3 and YOLOv4, made here in the order that
 * the oracle's lists have, whole, cut and of other numbers of classes; and files of other networks
 * called YOLO, refused by name.
 *
 *   test_yolo_files [--all]      (--all: also YOLOv4, and files that are cut)
 */
#include "golden.h"
#include "weights/qzoo_weights.h"
#include "zoo/model/keys.h"
#include "zoo/model/model_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DARKNET_EPS 1e-5f

/* ---- .weights files ---- */

/* A float model, unfused, of weights in memory or (NULL) random ones. */
static qz_status create(qz_context *ctx, const char *name, const void *bytes, size_t size,
                        qz_model_options options, qz_model **model)
{
    options.skip_fuse = true;
    options.weights = bytes ? "the.weights" : "random:3";
    options.weights_bytes = bytes;
    options.weights_byte_count = size;
    return qz_model_create(ctx, name, &options, model);
}

static qz_model *must_create(qz_context *ctx, const char *name, const void *bytes, size_t size,
                             qz_model_options options)
{
    qz_model *model = NULL;
    if (create(ctx, name, bytes, size, options, &model) != QZ_OK)
        fail_msg("%s: %s", name, qz_context_message(ctx));
    return model;
}

static void put(FILE *file, qz_model *model, const char *prefix, const char *leaf)
{
    char key[400];
    snprintf(key, sizeof(key), "%s.%s", prefix, leaf);
    const qzi_param *param = qzi_graph_param(model->graph, key);
    if (!param)
        fail_msg("no parameter %s", key);
    const size_t count = (size_t)qz_tensor_numel(&param->tensor);
    assert_int_equal(fwrite(param->tensor.data, sizeof(float), count, file), count);
}

/* "model.0.conv" is beside "model.0.bn", "module_list.0.Conv2d" beside "….BatchNorm2d". */
static void put_norm(FILE *file, qz_model *model, const char *conv)
{
    static const char *const leaves[] = {"bias", "weight", "running_mean", "running_var"};
    char norm[300];
    const char *dot = strrchr(conv, '.');
    snprintf(norm, sizeof(norm), "%.*s.%s", (int)(dot - conv), conv,
             strcmp(dot, ".conv") == 0 ? "bn" : "BatchNorm2d");
    for (size_t i = 0; i < QZI_ARRAY_LEN(leaves); i++)
        put(file, model, norm, leaves[i]);
}

/* The model's parameters as darknet would write them, by the oracle's list; NULL: there is none. */
static char *write_darknet(qz_model *model, bool wide, size_t *size)
{
    char path[128], line[512], *bytes = NULL;
    const char *name = model->arch->info.name;
    const int32_t header[5] = {0, wide ? 2 : 1, 0, 32013312, 0};
    snprintf(path, sizeof(path), "%s.weights_order.txt", name);
    FILE *list = fopen(golden_path(path), "r");
    if (!list) {
        printf("skipped: no %s\n", path);
        return NULL;
    }
    FILE *file = open_memstream(&bytes, size);
    assert_non_null(file);
    assert_int_equal(fwrite(header, wide ? 20 : 16, 1, file), 1);
    while (fgets(line, sizeof(line), list)) {
        char prefix[256], kind[16];
        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%*d %255s %15s", prefix, kind), 2);
        if (strcmp(kind, "bn") == 0)
            put_norm(file, model, prefix);
        else
            put(file, model, prefix, "bias");
        put(file, model, prefix, "weight");
    }
    fclose(list);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static void check_same(const qz_model *a, const qz_model *b)
{
    assert_int_equal(a->graph->param_count, b->graph->param_count);
    for (size_t i = 0; i < a->graph->param_count; i++) {
        const qzi_param *x = &a->graph->params[i], *y = &b->graph->params[i];
        if (memcmp(x->tensor.data, y->tensor.data,
                   (size_t)qz_tensor_numel(&x->tensor) * qz_dtype_size(x->tensor.dtype)) != 0)
            fail_msg("%s differs", x->key);
    }
}

static void check_eps(const qz_model *model, float eps)
{
    size_t norms = 0;
    for (size_t i = 0; i < model->graph->node_count; i++) {
        const qzi_node *node = &model->graph->nodes[i];
        if (node->op != QZI_OP_BATCH_NORM2D)
            continue;
        assert_true(node->u.bn.eps == eps);
        norms++;
    }
    assert_true(norms > 50);
}

static void refused(qz_context *ctx, const char *name, const void *bytes, size_t size,
                    qz_model_options options, const char *one, const char *two)
{
    qz_model *model = NULL;
    const qz_status st = create(ctx, name, bytes, size, options, &model);
    const char *message = qz_context_message(ctx);
    if (st != QZ_ERR_MISMATCH || strncmp(message, "the.weights: ", 13) != 0 ||
        !strstr(message, one) || !strstr(message, two))
        fail_msg("%s: %s: %s (wanted: %s … %s)", name, qz_status_name(st), message, one, two);
    assert_null(model);
}

/* Floats up to the end of the convolution `count` of the list. */
static size_t floats_of(const char *name, size_t count)
{
    char path[128], line[512];
    long long offset = 0, floats = 0;
    snprintf(path, sizeof(path), "%s.weights_order.txt", name);
    FILE *list = fopen(golden_path(path), "r");
    assert_non_null(list);
    while (count > 0 && fgets(line, sizeof(line), list))
        if (line[0] != '#' &&
            sscanf(line, "%*d %*s %*s %*d %*d %*d %*d %lld %lld", &offset, &floats) == 2)
            count--;
    fclose(list);
    return (size_t)(offset + floats);
}

static void check_part(qz_context *ctx, const qz_model *whole, const char *bytes, size_t convs,
                       const char *said)
{
    const char *name = whole->arch->info.name;
    const size_t size = 20 + sizeof(float) * floats_of(name, convs);
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    char first[64];
    snprintf(first, sizeof(first), "only the first %zu of its ", convs);
    refused(ctx, name, bytes, size, options, first, said);
    options.allow_missing = true;
    qz_model *model = must_create(ctx, name, bytes, size, options);
    size_t same = 0;
    for (size_t i = 0; i < model->graph->param_count; i++) {
        const qz_tensor *x = &model->graph->params[i].tensor;
        const qz_tensor *y = &whole->graph->params[i].tensor;
        if (qzi_ends_with(model->graph->params[i].key, ".weight") && x->ndim == 4)
            same += memcmp(x->data, y->data, (size_t)qz_tensor_numel(x) * sizeof(float)) == 0;
    }
    assert_int_equal(same, convs);
    assert_true(model->origin.missing > 0);
    qz_model_destroy(model);
}

/* Whole, and cut. */
static bool check_whole(qz_context *ctx, const char *name, size_t backbone, const char *published)
{
    const qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    size_t size = 0;
    char text[128];
    qz_model *model = must_create(ctx, name, NULL, 0, options);
    char *bytes = write_darknet(model, true, &size);
    if (bytes) {
        qz_model *other = must_create(ctx, name, bytes, size, options);
        check_same(model, other);
        check_eps(other, DARKNET_EPS);
        assert_int_equal(other->detection.decode, QZ_YOLO_DECODE_DARKNET);
        assert_int_equal(other->origin.warning_count, 0);
        qz_model_destroy(other);
        /* one number less */
        snprintf(text, sizeof(text), "holds %zu numbers", (size - 20) / 4 - 1);
        refused(ctx, name, bytes, size - 4, options, text, "is it whole");
        snprintf(text, sizeof(text), "has %zu", (size - 20) / 4);
        refused(ctx, name, bytes, size - 4, options, text, "with 80 classes");
        check_part(ctx, model, bytes, backbone, published);
    }
    const bool found = bytes != NULL;
    free(bytes);
    qz_model_destroy(model);
    return found;
}

/* Three classes, and the short header of old versions. */
static bool check_classes(qz_context *ctx, const char *name)
{
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    size_t size = 0;
    options.num_classes = 3;
    qz_model *model = must_create(ctx, name, NULL, 0, options);
    options.num_classes = 0;
    char *bytes = write_darknet(model, false, &size);
    if (bytes) {
        qz_model *other = must_create(ctx, name, bytes, size, options);
        assert_int_equal(other->num_classes, 3);
        check_same(model, other);
        check_eps(other, DARKNET_EPS);
        assert_int_equal(other->detection.decode, QZ_YOLO_DECODE_DARKNET);
        assert_int_equal(other->origin.warning_count, 0);
        qz_model_destroy(other);
    }
    const bool found = bytes != NULL;
    free(bytes);
    qz_model_destroy(model);
    return found;
}

static bool all; /* what takes half a minute too */

static void check_network(const char *name, size_t backbone, const char *published)
{
    qz_context *ctx = NULL;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    const bool found =
        check_classes(ctx, name) && (!all || check_whole(ctx, name, backbone, published));
    qz_context_destroy(ctx);
    if (!found)
        skip();
}

static void test_yolov3(void **state)
{
    (void)state;
    check_network("yolov3", 52, "darknet53.conv.74");
}

static void test_yolov4(void **state)
{
    (void)state;
    if (!all) {
        printf("skipped: yolov4 without --all\n");
        skip();
    }
    check_network("yolov4", 92, "yolov4.conv.137");
}

/* Files of other networks, known by their size. */
static void test_sizes(void **state)
{
    static const struct {
        size_t numbers;
        const char *of, *name;
    } rows[] = {{8858734, "yolov3-tiny", "yolov3"}, {6062814, "yolov4-tiny", "yolov4"}};
    const int32_t header[5] = {0, 2, 5, 1, 0};
    const qz_model_options defaults = QZ_MODEL_OPTIONS_INIT;
    qz_context *ctx = NULL;
    (void)state;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    char *bytes = calloc(5 + 8858734, 4);
    assert_non_null(bytes);
    memcpy(bytes, header, sizeof(header));
    for (size_t i = 0; i < QZI_ARRAY_LEN(rows); i++) {
        char of[64];
        snprintf(of, sizeof(of), "as a file of %s;", rows[i].of);
        refused(ctx, rows[i].name, bytes, 20 + 4 * rows[i].numbers, defaults, of, "numbers");
    }
    refused(ctx, "yolov5n", bytes, 400, defaults, "a file of darknet", "yolov5n");
    refused(ctx, "resnet18", bytes, 400, defaults, "a file of darknet", "resnet18");
    free(bytes);
    qz_context_destroy(ctx);
}

/* ---- other networks ---- */

/* Keys that tell a network; the first has the shape of its stem. */
static const struct {
    const char *keys[4];
    int64_t channels, kernel;
    const char *said;
} others[] = {
    {{"model.0.conv.weight", "model.24.m.0.weight"}, 48, 6, "is of yolov5m, not of yolov5n; name"},
    {{"model.model.0.conv.weight", "model.model.24.m.0.weight"}, 80, 6, "is of yolov5x, not of"},
    {{"model.0.conv.weight", "model.33.m.0.weight"}, 32, 6, "is of yolov5s6, which has four"},
    {{"model.0.conv.weight", "model.24.m.0.weight", "model.24.proto.cv1.conv.weight"},
     16,
     6,
     "is of yolov5n-seg, not of yolov5n; that network is not built here"},
    {{"model.0.conv.weight", "model.9.linear.weight"}, 16, 6, "a classifier of ultralytics"},
    {{"model.0.conv.conv.weight", "model.24.m.0.weight"}, 32, 3, "yolov5s of release 4.0 or 5.0"},
    {{"model.0.conv.conv.weight", "model.2.cv4.conv.weight"}, 64, 3, "yolov5l of release 3.1"},
    {{"model.0.conv.weight", "model.24.dfl.conv.weight"}, 16, 6, "is of yolov5nu"},
    {{"model.0.conv.weight", "model.28.dfl.conv.weight"}, 32, 3, "is of yolov3u"},
    {{"model.0.conv.weight", "model.22.dfl.conv.weight", "model.2.m.0.cv1.conv.weight"},
     16,
     3,
     "is of YOLOv8n"},
    {{"model.0.conv.weight", "model.22.dfl.conv.weight", "model.4.cv2.0.cv1.conv.weight"},
     64,
     3,
     "is of YOLOv9"},
    {{"model.0.conv.weight", "model.23.dfl.conv.weight", "model.23.one2one_cv2.0.0.conv.weight"},
     16,
     3,
     "is of YOLOv10"},
    {{"model.0.conv.weight", "model.23.dfl.conv.weight", "model.10.m.0.attn.qkv.conv.weight"},
     16,
     3,
     "is of YOLO11"},
    {{"model.0.conv.weight", "model.105.m.0.weight", "model.105.ia.0.implicit"},
     32,
     3,
     "is of YOLOv7"},
    {{"model.0.conv.weight", "model.77.m.0.weight"}, 32, 3, "is of YOLOv7"},
    {{"model.0.conv.weight", "model.12.cv1.conv.weight", "model.28.m.0.weight"},
     32,
     3,
     "is of yolov3-spp"},
    {{"model.0.conv.weight", "model.12.conv.weight", "model.28.m.0.weight"},
     32,
     3,
     "is of yolov3, not of yolov5n; name yolov3"},
    {{"model.0.conv.weight", "model.20.m.0.weight"}, 16, 3, "is of yolov3-tiny"},
    {{"module_list.0.Conv2d.weight", "module_list.138.Conv2d.bias", "module_list.160.Conv2d.bias"},
     32,
     3,
     "is of yolov4, not of yolov5n; name yolov4"},
    {{"module_list.0.Conv2d.weight", "module_list.81.Conv2d.bias", "module_list.105.Conv2d.bias"},
     32,
     3,
     "yolov3 with the names of darknet's layers"},
    {{"module_list.0.Conv2d.weight", "module_list.30.Conv2d.bias"},
     32,
     3,
     "another network of darknet's"},
    {{"module.backbone.backbone.stem.conv.conv.weight"}, 32, 3, "is of YOLOX"},
    {{"backbone.stem.rbr_dense.conv.weight"}, 32, 3, "is of YOLOv6"},
    {{"down1.conv1.conv.0.weight"}, 32, 3, "yolov4 with the names of another port"},
    {{"bbox_head.convs_pred.0.weight"}, 32, 3, "mmdetection's YOLOv3"},
};

static void test_others(void **state)
{
    static float numbers[80 * 3 * 6 * 6];
    qz_context *ctx = NULL;
    (void)state;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    for (size_t i = 0; i < QZI_ARRAY_LEN(others); i++) {
        const int64_t channels = others[i].channels, kernel = others[i].kernel;
        qz_model_options options = QZ_MODEL_OPTIONS_INIT;
        qz_state_dict *dict = NULL;
        qz_model *model = NULL;
        assert_int_equal(qz_state_dict_create(ctx, &dict), QZ_OK);
        for (size_t k = 0; k < 4 && others[i].keys[k]; k++) {
            const qz_tensor tensor = {
                .dtype = QZ_F32, .ndim = 4, .dims = {channels, 3, kernel, kernel}, .data = numbers};
            assert_int_equal(qz_state_dict_add(dict, others[i].keys[k], &tensor), QZ_OK);
        }
        options.state_dict = dict;
        options.allow_missing = options.allow_unexpected = true; /* still refused */
        const qz_status st = qz_model_create(ctx, "yolov5n", &options, &model);
        if (st != QZ_ERR_MISMATCH || !strstr(qz_context_message(ctx), others[i].said))
            fail_msg("%s: %s: %s", others[i].said, qz_status_name(st), qz_context_message(ctx));
        qz_state_dict_destroy(dict);
    }
    qz_context_destroy(ctx);
}

/* ---- what a saved module says ---- */

/* YOLOv3 is built with the activation that the module has, unless another is given. */
static void test_activation(void **state)
{
    static const struct {
        const char *says;
        qz_activation given, built;
    } rows[] = {
        {"SiLU", QZ_ACT_NONE, QZ_ACT_SILU},
        {"LeakyReLU(0.1)", QZ_ACT_NONE, QZ_ACT_NONE}, /* its own */
        {"SiLU", QZ_ACT_LEAKY_RELU, QZ_ACT_LEAKY_RELU},
        {NULL, QZ_ACT_SILU, QZ_ACT_SILU},
        {"Mish", QZ_ACT_NONE, QZ_ACT_COUNT}, /* refused */
        {"LeakyReLU(0.01)", QZ_ACT_NONE, QZ_ACT_COUNT},
    };
    static const char *const keys[] = {"model.0.conv.weight", "model.12.conv.weight",
                                       "model.28.m.0.weight"};
    static float numbers[32 * 3 * 3 * 3];
    qz_context *ctx = NULL;
    qz_model *model = NULL;
    (void)state;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    assert_int_equal(qzi_model_alloc(ctx, qzi_arch_get("yolov3"), &model), QZ_OK);
    assert_int_equal(qzi_model_build(model, NULL), QZ_OK);
    for (size_t i = 0; i < QZI_ARRAY_LEN(rows); i++) {
        qz_model_options options = QZ_MODEL_OPTIONS_INIT;
        qzi_build_options build = {.activation = rows[i].given};
        qz_state_dict *dict = NULL;
        assert_int_equal(qz_state_dict_create(ctx, &dict), QZ_OK);
        for (size_t k = 0; k < QZI_ARRAY_LEN(keys); k++) {
            const qz_tensor tensor = {
                .dtype = QZ_F32, .ndim = 4, .dims = {32, 3, 3, 3}, .data = numbers};
            assert_int_equal(qz_state_dict_add(dict, keys[k], &tensor), QZ_OK);
        }
        if (rows[i].says)
            assert_int_equal(
                qzi_dict_add_metadata(dict, QZ_METADATA_MODULE_ACTIVATIONS, rows[i].says), QZ_OK);
        options.activation = rows[i].given;
        options.allow_missing = true;
        const qz_status st = qzi_keys_fit(model, dict, "file", false, &options, &build);
        if (rows[i].built == QZ_ACT_COUNT) {
            assert_int_equal(st, QZ_ERR_MISMATCH);
            assert_non_null(strstr(qz_context_message(ctx), rows[i].says));
        } else {
            assert_int_equal(st, QZ_OK);
            assert_int_equal(build.activation, rows[i].built);
        }
        qz_state_dict_destroy(dict);
    }
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others), cmocka_unit_test(test_activation),
        cmocka_unit_test(test_sizes),  cmocka_unit_test(test_yolov3),
        cmocka_unit_test(test_yolov4),
    };
    all = argc == 2 && strcmp(argv[1], "--all") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
