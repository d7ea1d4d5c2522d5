/* SPDX-License-Identifier: MIT */
/*
 * test_weights_memory.c - weights that an application has in memory: a state dict that it made or
 * filtered, the bytes of a file, and the bytes of a saved model.
 */
#include "layers/base/base.h"
#include "zoo/qzoo_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "zoo/model/model.h"

#define ARCH "shufflenet_v2_x0_5"

static const char *scratch(const char *name)
{
    static char path[512];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof(path), "%s/qzoo-%ld-%s", folder ? folder : "/tmp", (long)getpid(), name);
    return path;
}

static qz_model *make(qz_context *ctx, qz_model_options options)
{
    qz_model *model = NULL;
    if (qz_model_create(ctx, ARCH, &options, &model) != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    return model;
}

static qz_model *random_model(qz_context *ctx)
{
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.weights = "random:3";
    options.num_classes = 4;
    options.skip_fuse = true;
    return make(ctx, options);
}

/* What an application does: each tensor under a name of its own choice. */
static qz_state_dict *dict_of(qz_context *ctx, const qz_model *model, const char *prefix)
{
    qz_state_dict *dict = NULL;
    char key[256];
    assert_int_equal(qz_state_dict_create(ctx, &dict), QZ_OK);
    for (size_t i = 0; i < model->graph->param_count; i++) {
        const qzi_param *param = &model->graph->params[i];
        snprintf(key, sizeof(key), "%s%s", prefix, param->key);
        assert_int_equal(qz_state_dict_add(dict, key, &param->tensor), QZ_OK);
    }
    return dict;
}

static void assert_same(const qz_model *a, const qz_model *b)
{
    assert_int_equal(a->origin.hash, b->origin.hash);
    assert_int_equal(a->num_classes, b->num_classes);
}

static void test_built_dict(void **state)
{
    qz_context *ctx = NULL;
    (void)state;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    qz_model *random = random_model(ctx);
    qz_state_dict *dict = dict_of(ctx, random, "my.");
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.state_dict = dict;
    options.weights = "my weights";
    qz_model *model = make(ctx, options);
    assert_same(model, random);
    qz_model_info info;
    qz_model_get_info(model, &info);
    assert_string_equal(info.weights, "my weights");
    assert_string_equal(info.weights_file, "");
    assert_non_null(strstr(info.note, "removed the prefix 'my.'"));
    assert_non_null(strstr(info.note, "4 classes"));
    qz_model_destroy(model);
    /* the dict is the application's, and as it was */
    assert_non_null(qz_state_dict_find(dict, "my.conv1.0.weight"));
    assert_null(qz_state_dict_find(dict, "conv1.0.weight"));

    /* filtered: a key that the network lacks goes, one that is misspelt is mended */
    assert_int_equal(qz_state_dict_rename(dict, "my.fc.bias", "my.fc.offset"), QZ_OK);
    const float one = 1.0f;
    const qz_tensor extra = {
        .dtype = QZ_F32, .ndim = 1, .dims = {1}, .data = (void *)(uintptr_t)&one};
    assert_int_equal(qz_state_dict_add(dict, "my.stage2.9.weight", &extra), QZ_OK);
    assert_int_equal(qz_model_create(ctx, ARCH, &options, &model), QZ_ERR_MISMATCH);
    assert_non_null(strstr(qz_context_message(ctx), "fc.bias"));
    assert_int_equal(qz_state_dict_rename(dict, "my.fc.offset", "my.fc.bias"), QZ_OK);
    assert_int_equal(qz_model_create(ctx, ARCH, &options, &model), QZ_ERR_MISMATCH);
    assert_non_null(strstr(qz_context_message(ctx), "stage2.9.weight"));
    assert_int_equal(qz_state_dict_remove(dict, "my.stage2.9.weight"), QZ_OK);
    model = make(ctx, options);
    assert_same(model, random);
    qz_model_destroy(model);
    qz_state_dict_destroy(dict);
    qz_model_destroy(random);
    qz_context_destroy(ctx);
}

static void test_edits(void **state)
{
    qz_context *ctx = NULL;
    qz_state_dict *dict = NULL;
    float values[6] = {1, 2, 3, 4, 5, 6};
    qz_tensor t = {.dtype = QZ_F32, .ndim = 2, .dims = {2, 3}, .data = values};
    char key[16];
    (void)state;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    assert_int_equal(qz_state_dict_create(ctx, &dict), QZ_OK);
    assert_int_equal(qz_state_dict_count(dict), 0);
    for (int i = 0; i < 50; i++) { /* in no order */
        snprintf(key, sizeof(key), "k%02d", i * 37 % 50);
        values[0] = (float)(i * 37 % 50);
        assert_int_equal(qz_state_dict_add(dict, key, &t), QZ_OK);
    }
    values[0] = -1.0f; /* copies were taken */
    assert_int_equal(qz_state_dict_remove(dict, "k07"), QZ_OK);
    assert_int_equal(qz_state_dict_remove(dict, "k07"), QZ_ERR_UNKNOWN_NAME);
    assert_int_equal(qz_state_dict_rename(dict, "k49", "a"), QZ_OK);
    assert_int_equal(qz_state_dict_rename(dict, "k00", "z"), QZ_OK);
    assert_int_equal(qz_state_dict_rename(dict, "k00", "y"), QZ_ERR_UNKNOWN_NAME);
    assert_int_equal(qz_state_dict_rename(dict, "a", "z"), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_state_dict_add(dict, "z", &t), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_state_dict_add(dict, "", &t), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_state_dict_add(dict, "\xff", &t), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_state_dict_count(dict), 49);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), i == 49 ? "a" : i == 0 ? "z" : "k%02d", i);
        const qz_tensor *found = qz_state_dict_find(dict, key);
        if (i == 7) {
            assert_null(found);
            continue;
        }
        assert_non_null(found);
        assert_true(((const float *)found->data)[0] == (float)i);
    }
    qz_state_dict_destroy(dict);
    qz_context_destroy(ctx);
}

static void *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    void *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

static void test_bytes(void **state)
{
    qz_context *ctx = NULL;
    qz_safetensors_entry entries[400];
    qz_model_info info;
    size_t size;
    (void)state;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    qz_model *random = random_model(ctx);
    const size_t count = random->graph->param_count;
    assert_true(count < QZI_ARRAY_LEN(entries));
    for (size_t i = 0; i < count; i++)
        entries[i] =
            (qz_safetensors_entry){random->graph->params[i].key, random->graph->params[i].tensor};
    const char *path = scratch("memory.safetensors");
    assert_int_equal(qz_safetensors_save(ctx, path, entries, count, NULL, NULL, 0), QZ_OK);
    void *bytes = read_file(path, &size);
    unlink(path);
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.weights_bytes = bytes;
    options.weights_byte_count = size;
    options.quantize = true;
    qz_model *model = make(ctx, options);
    assert_same(model, random);
    options.weights_byte_count = size / 2;
    qz_model *none = NULL;
    assert_int_equal(qz_model_create(ctx, ARCH, &options, &none), QZ_ERR_FORMAT);
    assert_non_null(strstr(qz_context_message(ctx), "memory: "));
    free(bytes);

    /* and the saved model */
    assert_int_equal(qz_model_calibrate_synthetic(model, 1), QZ_OK);
    assert_int_equal(qz_model_convert(model), QZ_OK);
    path = scratch("saved.safetensors");
    assert_int_equal(qz_model_save(model, path), QZ_OK);
    bytes = read_file(path, &size);
    unlink(path);
    qz_model *opened = NULL;
    assert_int_equal(qz_model_open_memory(ctx, bytes, size, "mine", &opened), QZ_OK);
    qz_model_get_info(opened, &info);
    assert_int_equal(info.num_classes, 4);
    assert_true(info.converted);
    qz_model_destroy(opened);
    assert_int_equal(qz_model_open_memory(ctx, bytes, size - 1, "mine", &opened), QZ_ERR_FORMAT);
    assert_non_null(strstr(qz_context_message(ctx), "mine: "));
    assert_null(opened);
    free(bytes);
    qz_model_destroy(model);
    qz_model_destroy(random);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_dict),
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
