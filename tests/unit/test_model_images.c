/* SPDX-License-Identifier: MIT */
/* test_model_images.c - a model's preprocessing, its classes, and what it remembers of both. */
#include "zoo/qzoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "assert_ok.h"

#define CLASSES 3
static const char *const pets[CLASSES] = {"cat", "dog, \\ \xe9", "caf\xc3\xa9 mouse"};

static qz_context *ctx;
static char path[] = "/tmp/qzoo-test-images-XXXXXX.safetensors";

static qz_model *make(void)
{
    qz_model *model = NULL;
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    o.quantize = true;
    o.num_classes = CLASSES;
    ASSERT_OK(ctx, qz_model_create(ctx, "squeezenet1_1", &o, &model));
    return model;
}

static qz_preprocess recipe_of(const qz_model *model)
{
    qz_model_info info;
    qz_model_get_info(model, &info);
    return info.preprocess;
}

static void test_recipe_sets_size(void **state)
{
    (void)state;
    qz_model *model = make();
    qz_model_info before, after;
    qz_model_get_info(model, &before);
    assert_false(before.own_preprocess);
    qz_preprocess r = before.preprocess;
    r.resize_h = 70;
    r.resize_w = 90;
    r.crop_h = 64;
    r.crop_w = 80;
    ASSERT_OK(ctx, qz_model_set_preprocess(model, &r));
    qz_model_get_info(model, &after);
    assert_true(after.own_preprocess);
    assert_int_equal(after.input_h, 64);
    assert_int_equal(after.input_w, 80);
    assert_true(after.macs < before.macs);

    r.crop_h = 4; /* smaller than the network's pools */
    assert_int_not_equal(qz_model_set_preprocess(model, &r), QZ_OK);
    qz_model_get_info(model, &after);
    assert_int_equal(after.input_h, 64);
    assert_int_equal(after.preprocess.crop_h, 64);
    qz_model_destroy(model);
}

static void test_recipe_refused(void **state)
{
    (void)state;
    qz_model *model = make();
    const qz_preprocess own = recipe_of(model);
    qz_preprocess r = own;
    r.resize_h = 70; /* without a width */
    assert_int_equal(qz_model_set_preprocess(model, &r), QZ_ERR_ARGUMENT);
    r = own;
    r.std[1] = 0.0f;
    assert_int_equal(qz_model_set_preprocess(model, &r), QZ_ERR_ARGUMENT);
    r = own;
    r.mean[2] = (float)NAN;
    assert_int_equal(qz_model_set_preprocess(model, &r), QZ_ERR_ARGUMENT);
    r = own;
    r.crop_w = 0;
    assert_int_equal(qz_model_set_preprocess(model, &r), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_model_set_preprocess(model, NULL), QZ_ERR_ARGUMENT);
    qz_session *session = NULL;
    ASSERT_OK(ctx, qz_session_create(model, NULL, &session));
    assert_int_equal(qz_model_set_preprocess(model, &own), QZ_ERR_STATE);
    qz_session_destroy(session);
    qz_model_destroy(model);
}

/* Two pixels, no resizing: the first plane is red, with `bgr` blue; each has its own mean. */
static void test_recipe_bgr(void **state)
{
    (void)state;
    const uint8_t rgb[] = {255, 0, 51, 0, 255, 102};
    qz_preprocess r = {.crop_h = 1, .crop_w = 2, .mean = {0.5f, 0.0f, 0.25f}, .std = {1, 1, 1}};
    float straight[6], swapped[6];
    ASSERT_OK(ctx, qz_image_preprocess(ctx, rgb, 2, 1, 6, &r, straight));
    r.bgr = true;
    ASSERT_OK(ctx, qz_image_preprocess(ctx, rgb, 2, 1, 6, &r, swapped));
    assert_true(straight[0] == 0.5f);
    for (int c = 0; c < 3; c++)
        assert_memory_equal(straight + 2 * c, swapped + 2 * (2 - c), 2 * sizeof(float));
}

static void test_recipe_stretches(void **state)
{
    (void)state;
    uint8_t rgb[4 * 2 * 3], resized[3 * 5 * 3];
    for (size_t i = 0; i < sizeof(rgb); i++)
        rgb[i] = (uint8_t)(i * 37);
    const qz_preprocess r = {
        .crop_h = 5, .crop_w = 3, .resize_h = 5, .resize_w = 3, .resize = 99, .std = {1, 1, 1}};
    float out[3 * 5 * 3];
    ASSERT_OK(ctx, qz_image_preprocess(ctx, rgb, 4, 2, 12, &r, out));
    ASSERT_OK(ctx, qz_image_resize(ctx, rgb, 4, 2, 12, 3, 5, r.interpolation, resized));
    for (int i = 0; i < 15; i++)
        for (int c = 0; c < 3; c++)
            assert_true(out[15 * c + i] == (float)resized[3 * i + c] / 255.0f);
}

static void test_classes(void **state)
{
    (void)state;
    qz_model *model = make();
    const char *const twice[CLASSES] = {"a", "b", "a"}, *const bad[CLASSES] = {"a", "b\n", "c"};
    assert_null(qz_model_class(model, 0));
    assert_int_equal(qz_model_set_classes(model, pets, 2), QZ_ERR_MISMATCH);
    assert_non_null(strstr(qz_context_message(ctx), "2 names"));
    assert_non_null(strstr(qz_context_message(ctx), "3 classes"));
    assert_int_equal(qz_model_set_classes(model, twice, CLASSES), QZ_ERR_ARGUMENT);
    assert_non_null(strstr(qz_context_message(ctx), "classes 0 and 2"));
    assert_int_equal(qz_model_set_classes(model, bad, CLASSES), QZ_ERR_ARGUMENT);
    ASSERT_OK(ctx, qz_model_set_classes(model, pets, CLASSES));
    assert_int_equal(qz_model_set_classes(model, twice, CLASSES), QZ_ERR_ARGUMENT);
    assert_string_equal(qz_model_class(model, 2), pets[2]);
    assert_null(qz_model_class(model, 3));
    assert_null(qz_model_class(model, -1));
    qz_model_destroy(model);
}

static void test_saved(void **state)
{
    (void)state;
    qz_model *model = make(), *opened = NULL;
    qz_model_info info;
    qz_preprocess r = recipe_of(model);
    r.bgr = true;
    r.resize_h = r.resize_w = 40;
    r.crop_h = r.crop_w = 40;
    ASSERT_OK(ctx, qz_model_set_preprocess(model, &r));
    ASSERT_OK(ctx, qz_model_set_classes(model, pets, CLASSES));
    ASSERT_OK(ctx, qz_model_calibrate_synthetic(model, 2));
    float *data = calloc(3 * 40 * 40, sizeof(float));
    assert_non_null(data);
    const qz_tensor image = {QZ_F32, 4, {1, 3, 40, 40}, data};
    ASSERT_OK(ctx, qz_model_calibrate(model, &image));
    free(data);
    ASSERT_OK(ctx, qz_model_convert(model));
    ASSERT_OK(ctx, qz_model_save(model, path));
    ASSERT_OK(ctx, qz_model_open(ctx, path, &opened));
    qz_model_get_info(opened, &info);
    assert_memory_equal(&info.preprocess.mean, &r.mean, sizeof(r.mean));
    assert_true(info.preprocess.bgr && info.own_preprocess && info.named_classes);
    assert_int_equal(info.preprocess.resize_h, 40);
    assert_int_equal(info.input_w, 40);
    assert_string_equal(info.calib, "images:1+synthetic:2");
    assert_true(info.synthetic_calibration && info.random_weights);
    assert_string_equal(info.weights, "random:0");
    for (int i = 0; i < CLASSES; i++)
        assert_string_equal(qz_model_class(opened, i), pets[i]);
    qz_model_destroy(opened);
    qz_model_destroy(model);
}

/* Two images in a batch, the second so bright that numbers overflow. */
static void test_not_finite(void **state)
{
    (void)state;
    enum { SIZE = 3 * 32 * 32 };
    qz_model *model = NULL;
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    qz_session *session = NULL;
    const qz_tensor *logits = NULL;
    qz_top top[CLASSES];
    o.num_classes = CLASSES;
    o.quantize = true;
    ASSERT_OK(ctx, qz_model_create(ctx, "resnet18", &o, &model));
    float *data = calloc(2 * SIZE, sizeof(float));
    assert_non_null(data);
    for (int i = SIZE; i < 2 * SIZE; i++)
        data[i] = i % 2 ? 3e38f : -3e38f;
    const qz_tensor both = {QZ_F32, 4, {2, 3, 32, 32}, data};
    const qz_tensor dark = {QZ_F32, 4, {1, 3, 32, 32}, data};
    ASSERT_OK(ctx, qz_session_create(model, NULL, &session));
    assert_int_equal(qz_session_run(session, &both), QZ_ERR_NUMERIC);
    assert_non_null(strstr(qz_context_message(ctx), "image 1"));
    ASSERT_OK(ctx, qz_session_output(session, 0, NULL, &logits)); /* the first is not lost */
    assert_int_equal(qz_topk(logits, 0, CLASSES, top), CLASSES);
    assert_int_equal(qz_topk(logits, 1, CLASSES, top), 0);
    ASSERT_OK(ctx, qz_session_run(session, &dark));
    qz_session_destroy(session);

    const qz_sqnr_row *rows;
    size_t count;
    ASSERT_OK(ctx, qz_model_calibrate(model, &dark));
    ASSERT_OK(ctx, qz_model_convert(model));
    ASSERT_OK(ctx, qz_model_sqnr(model, &dark, &rows, &count, NULL, NULL));
    assert_int_equal(qz_model_sqnr(model, &both, &rows, &count, NULL, NULL), QZ_ERR_NUMERIC);
    qz_model_destroy(model);
    free(data);
}

static int setup(void **state)
{
    (void)state;
    int file = mkstemps(path, 12);
    if (file < 0)
        return -1;
    close(file);
    return qz_context_create(NULL, &ctx) == QZ_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    qz_context_destroy(ctx);
    return remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recipe_sets_size), cmocka_unit_test(test_recipe_refused),
        cmocka_unit_test(test_recipe_bgr),       cmocka_unit_test(test_recipe_stretches),
        cmocka_unit_test(test_classes),          cmocka_unit_test(test_saved),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
