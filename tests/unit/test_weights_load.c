/* SPDX-License-Identifier: MIT */
/*
 * test_weights_load.c - loading a model's parameters: what fits, in every type of number, and what
 * is refused or warned of, and in which words.
 */
#include "zoo/model/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A state dict in memory, to be edited and written. */
struct dict {
    qz_context *ctx;
    qz_model *model; /* owns keys and data */
    qz_safetensors_entry entries[800];
    size_t count;
    char path[512];
};

static void make_dict(struct dict *dict, const char *arch)
{
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    const char *folder = getenv("TMPDIR");
    options.weights = "random:5";
    options.skip_fuse = true;
    memset(dict, 0, sizeof(*dict));
    assert_int_equal(qz_context_create(NULL, &dict->ctx), QZ_OK);
    assert_int_equal(qz_model_create(dict->ctx, arch, &options, &dict->model), QZ_OK);
    dict->count = dict->model->graph->param_count;
    assert_true(dict->count < QZI_ARRAY_LEN(dict->entries));
    for (size_t i = 0; i < dict->count; i++) {
        const qzi_param *param = &dict->model->graph->params[i];
        dict->entries[i] = (qz_safetensors_entry){param->key, param->tensor};
    }
    snprintf(dict->path, sizeof(dict->path), "%s/qzoo-%ld-weights.safetensors",
             folder ? folder : "/tmp", (long)getpid());
}

static void end_dict(struct dict *dict)
{
    unlink(dict->path);
    qz_model_destroy(dict->model);
    qz_context_destroy(dict->ctx);
}

static qz_safetensors_entry *find(struct dict *dict, const char *key)
{
    for (size_t i = 0; i < dict->count; i++)
        if (strcmp(dict->entries[i].key, key) == 0)
            return &dict->entries[i];
    fail_msg("no %s", key);
    return NULL;
}

static void drop(struct dict *dict, const char *key)
{
    qz_safetensors_entry *entry = find(dict, key);
    memmove(entry, entry + 1, (size_t)(dict->entries + dict->count - entry - 1) * sizeof(*entry));
    dict->count--;
}

/* Writes the dict and loads it into a new unfused model. */
static qz_status load(struct dict *dict, bool allow_missing, int32_t classes, qz_model **model)
{
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.weights = dict->path;
    options.skip_fuse = true;
    options.allow_missing = allow_missing;
    options.num_classes = classes;
    assert_int_equal(
        qz_safetensors_save(dict->ctx, dict->path, dict->entries, dict->count, NULL, NULL, 0),
        QZ_OK);
    return qz_model_create(dict->ctx, dict->model->arch->info.name, &options, model);
}

static void refused(struct dict *dict, int32_t classes, qz_status expected, const char *one,
                    const char *two)
{
    qz_model *model = NULL;
    qz_status st = load(dict, false, classes, &model);
    const char *message = qz_context_message(dict->ctx);
    if (st != expected || strstr(message, dict->path) != message || !strstr(message, one) ||
        !strstr(message, two))
        fail_msg("%s: %s (wanted: %s ... %s)", qz_status_name(st), message, one, two);
    assert_null(model);
}

static void assert_same_params(const qz_model *a, const qz_model *b)
{
    assert_int_equal(a->graph->param_count, b->graph->param_count);
    for (size_t i = 0; i < a->graph->param_count; i++) {
        const qz_tensor *x = &a->graph->params[i].tensor, *y = &b->graph->params[i].tensor;
        assert_memory_equal(x->data, y->data, (size_t)qz_tensor_numel(x) * qz_dtype_size(x->dtype));
    }
    assert_int_equal(a->origin.hash, b->origin.hash);
}

static void test_fits(void **state)
{
    (void)state;
    struct dict dict;
    qz_model *model = NULL;
    qz_model_info info;
    make_dict(&dict, "mobilenet_v2");
    assert_int_equal(load(&dict, false, 0, &model), QZ_OK);
    assert_same_params(model, dict.model);
    qz_model_get_info(model, &info);
    assert_string_equal(info.weights, dict.path);
    assert_false(info.random_weights);
    assert_int_equal(info.warning_count, 0);
    assert_string_equal(info.warning, "");
    qz_model_destroy(model);
    end_dict(&dict);
}

/* densenet's published files: denselayer1.norm.1.weight, and no num_batches_tracked. */
static void test_old_keys(void **state)
{
    (void)state;
    static char keys[800][128];
    struct dict dict;
    qz_model *model = NULL;
    size_t kept = 0, renamed = 0;
    make_dict(&dict, "densenet121");
    for (size_t i = 0; i < dict.count; i++) {
        qz_safetensors_entry entry = dict.entries[i];
        if (strstr(entry.key, "num_batches_tracked"))
            continue;
        if (strstr(entry.key, ".denselayer")) {
            /* the number after norm or conv */
            const char *digit = strstr(entry.key, ".norm");
            digit = (digit ? digit : strstr(entry.key, ".conv")) + 5;
            int length = (int)(digit - entry.key);
            snprintf(keys[kept], sizeof(keys[kept]), "%.*s.%s", length, entry.key, digit);
            entry.key = keys[kept];
            renamed++;
        }
        dict.entries[kept++] = entry;
    }
    assert_int_equal(renamed, 58 * 10);
    dict.count = kept;
    assert_int_equal(load(&dict, false, 0, &model), QZ_OK);
    assert_int_equal(model->origin.hash, dict.model->origin.hash);
    assert_null(strstr(model->origin.warning, "unexpected"));
    qz_model_destroy(model);
    dict.entries[0].key = "features.denseblock1.denselayer1.norm.3.weight";
    refused(&dict, 0, QZ_ERR_MISMATCH, "missing", "features.conv0.weight");
    end_dict(&dict);
}

static void test_warnings(void **state)
{
    (void)state;
    struct dict dict;
    qz_model *model = NULL;
    qz_model_info info;
    float one = 1.0f;
    make_dict(&dict, "mobilenet_v2");
    const char *const extra[] = {"ema.a", "ema.b", "ema.c", "ema.d"};
    for (size_t i = 0; i < QZI_ARRAY_LEN(extra); i++)
        dict.entries[dict.count++] =
            (qz_safetensors_entry){extra[i], {.dtype = QZ_F32, .ndim = 0, .data = &one}};
    drop(&dict, "features.0.1.num_batches_tracked");
    assert_int_equal(load(&dict, false, 0, &model), QZ_OK);
    assert_same_params(model, dict.model);
    qz_model_get_info(model, &info);
    assert_int_equal(info.warning_count, 5);
    assert_string_equal(info.warning, "4 unexpected keys (ema.a, ema.b, ema.c, …); 1 missing "
                                      "num_batches_tracked (features.0.1.num_batches_tracked)");
    qz_model_destroy(model);
    end_dict(&dict);
}

static void test_missing(void **state)
{
    (void)state;
    struct dict dict;
    qz_model *model = NULL, *random = NULL;
    qz_model_info info;
    make_dict(&dict, "mobilenet_v2");
    drop(&dict, "features.3.conv.1.0.weight");
    drop(&dict, "classifier.1.bias");
    refused(&dict, 0, QZ_ERR_MISMATCH, "2 parameters of mobilenet_v2 are missing",
            "features.3.conv.1.0.weight");
    assert_int_equal(load(&dict, true, 0, &model), QZ_OK);
    qz_model_get_info(model, &info);
    assert_int_equal(info.warning_count, 2);
    assert_non_null(strstr(info.warning, "classifier.1.bias"));

    /* the missing ones are those of random:0, the others the file's */
    assert_int_equal(qz_model_create(dict.ctx, "mobilenet_v2",
                                     &(qz_model_options){.size = sizeof(qz_model_options),
                                                         .weights = "random",
                                                         .skip_fuse = true},
                                     &random),
                     QZ_OK);
    for (size_t i = 0; i < model->graph->param_count; i++) {
        const qzi_param *param = &model->graph->params[i];
        bool missing = strcmp(param->key, "features.3.conv.1.0.weight") == 0 ||
                       strcmp(param->key, "classifier.1.bias") == 0;
        const qz_model *origin = missing ? random : dict.model;
        assert_memory_equal(param->tensor.data, origin->graph->params[i].tensor.data,
                            (size_t)qz_tensor_numel(&param->tensor) *
                                qz_dtype_size(param->tensor.dtype));
    }
    qz_model_destroy(random);
    qz_model_destroy(model);
    end_dict(&dict);
}

static void test_shapes(void **state)
{
    (void)state;
    struct dict dict;
    make_dict(&dict, "mobilenet_v2");
    refused(&dict, 10, QZ_ERR_MISMATCH, "classifier.1.weight is [1000, 1280]",
            "the file has 1000 classes, not 10; give options.num_classes 1000");
    qz_safetensors_entry *entry = find(&dict, "features.18.0.weight");
    entry->tensor.dims[1] = 160;
    refused(&dict, 0, QZ_ERR_MISMATCH,
            "features.18.0.weight is [1280, 160, 1, 1], the model wants [1280, 320, 1, 1]",
            "mobilenet_v2");
    entry->tensor.dims[1] = 320;
    entry->tensor.ndim = 2; /* the same elements, another shape */
    refused(&dict, 0, QZ_ERR_MISMATCH, "features.18.0.weight", "[1280, 320]");
    end_dict(&dict);
}

static void test_numbers(void **state)
{
    (void)state;
    struct dict dict;
    qz_model *model = NULL;
    make_dict(&dict, "mobilenet_v2");
    float *weight = find(&dict, "features.4.conv.2.weight")->tensor.data, kept = weight[7];
    weight[7] = NAN;
    refused(&dict, 0, QZ_ERR_NUMERIC, "features.4.conv.2.weight", "NaN or infinity");
    weight[7] = -INFINITY;
    refused(&dict, 0, QZ_ERR_NUMERIC, "features.4.conv.2.weight", "NaN or infinity");
    weight[7] = kept;
    float *variance = find(&dict, "features.0.1.running_var")->tensor.data;
    variance[3] = -variance[3];
    refused(&dict, 0, QZ_ERR_NUMERIC, "features.0.1.running_var", "negative variance");
    variance[3] = -variance[3];

    /* 1.5 times a power of two is exact in every type; the last entries are subnormal in float16 */
    qz_safetensors_entry *bias = find(&dict, "features.0.1.bias");
    const qz_tensor f32 = bias->tensor;
    float expected[32];
    double f64[32];
    uint16_t f16[32], bf16[32];
    for (int i = 0; i < 32; i++) {
        int exponent = i - 24;
        uint32_t bits;
        expected[i] = ldexpf(i % 2 != 0 ? -1.5f : 1.5f, exponent);
        f64[i] = (double)expected[i];
        memcpy(&bits, &expected[i], sizeof(bits));
        bf16[i] = (uint16_t)(bits >> 16);
        int sign = i % 2 != 0 ? 0x8000 : 0;
        if (exponent == -24) { /* 1.5 units of the smallest subnormal are none: use one */
            f16[i] = 1;
            expected[i] = ldexpf(1.0f, -24);
            f64[i] = (double)expected[i];
            bf16[i] = (uint16_t)((uint32_t)(127 - 24) << 7);
        } else if (exponent < -14) {
            f16[i] = (uint16_t)(sign | 3 << (exponent + 23));
        } else {
            f16[i] = (uint16_t)(sign | (exponent + 15) << 10 | 0x200);
        }
    }
    const struct {
        qz_dtype dtype;
        void *data;
    } types[] = {{QZ_F64, f64}, {QZ_F16, f16}, {QZ_BF16, bf16}};
    for (size_t t = 0; t < QZI_ARRAY_LEN(types); t++) {
        bias->tensor.dtype = types[t].dtype;
        bias->tensor.data = types[t].data;
        if (load(&dict, false, 0, &model) != QZ_OK)
            fail_msg("%s", qz_context_message(dict.ctx));
        const qzi_param *loaded = qzi_graph_param(model->graph, "features.0.1.bias");
        assert_memory_equal(loaded->tensor.data, expected, sizeof(expected));
        qz_model_destroy(model);
    }
    f64[5] = 1e300;
    bias->tensor.dtype = QZ_F64;
    bias->tensor.data = f64;
    refused(&dict, 0, QZ_ERR_NUMERIC, "features.0.1.bias", "too large for float32");
    f16[5] = 0x7c00;
    bias->tensor.dtype = QZ_F16;
    bias->tensor.data = f16;
    refused(&dict, 0, QZ_ERR_NUMERIC, "features.0.1.bias", "infinity");
    bias->tensor = f32;
    bias->tensor.dtype = QZ_S32;
    refused(&dict, 0, QZ_ERR_MISMATCH, "features.0.1.bias is int32", "floating point");
    end_dict(&dict);
}

/* The real files, where they are at hand. */
static void test_real_files(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *file;
    } files[] = {
        {"mobilenet_v2", "mobilenet_v2-tvfp32.pth"},
        {"mobilenet_v2", "mobilenet_v2-demo.pth"},
        {"mobilenet_v2", "mobilenet_v2-demo-legacy.pth"},
        {"mobilenet_v3_small", "mobilenet_v3_small-keras-rot180.pth"},
        {"squeezenet1_0", "squeezenet1_0-deepcomp.pth"},
        {"squeezenet1_1", "squeezenet1_1-onnxzoo.pth"},
        {"squeezenet1_1", "squeezenet1_1-ncnn.pth"},
    };
    const char *folder = getenv("QZOO_TEST_DATA");
    size_t loaded = 0;
#ifndef QZ_HAVE_ZLIB
    print_message("skipped: built without zlib, which .pth files need\n");
    skip();
#endif
    for (size_t i = 0; i < QZI_ARRAY_LEN(files); i++) {
        char path[1024];
        qz_context *ctx = NULL;
        qz_model *model = NULL;
        qz_model_info info;
        qz_model_options options = QZ_MODEL_OPTIONS_INIT;
        snprintf(path, sizeof(path), "%s/weights/%s", folder ? folder : "../shared/data",
                 files[i].file);
        if (access(path, R_OK) != 0) {
            printf("skipped: no %s\n", path);
            continue;
        }
        options.weights = path;
        assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
        if (qz_model_create(ctx, files[i].arch, &options, &model) != QZ_OK)
            fail_msg("%s", qz_context_message(ctx));
        qz_model_get_info(model, &info);
        printf("%s: %s\n", files[i].file, info.warning[0] != '\0' ? info.warning : "no warning");
        qz_model_destroy(model);
        qz_context_destroy(ctx);
        loaded++;
    }
    if (loaded == 0)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fits),       cmocka_unit_test(test_old_keys),
        cmocka_unit_test(test_warnings),   cmocka_unit_test(test_missing),
        cmocka_unit_test(test_shapes),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
