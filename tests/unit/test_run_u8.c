/* SPDX-License-Identifier: MIT */
/*
 * test_run_u8.c - qz_session_run_u8 goes from bytes to bytes where the graph's input is uint8.
 * Every output equals, bit for bit, that of the float image which qz_image_preprocess makes.
 */
#include "assert_ok.h"
#include "zoo/model/model.h"
#include "zoo/qzoo_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIDE_MAX 90

static uint8_t pixels[SIDE_MAX * SIDE_MAX * 4];

/* An int8 model of one convolution's worth of work, with a small crop. */
static qz_model *make_model(qz_context *ctx, const char *name, qz_backend backend,
                            const char *const *exclude, size_t exclude_count)
{
    qz_model *model = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.quantize = true;
    options.backend = backend;
    options.exclude = exclude;
    options.exclude_count = exclude_count;
    options.num_classes = 5;
    ASSERT_OK(ctx, qz_model_create(ctx, name, &options, &model));
    model->preprocess.crop_h = 67;
    model->preprocess.crop_w = 71;
    ASSERT_OK(ctx, qz_model_calibrate_u8(model, pixels, 80, 80, 240));
    ASSERT_OK(ctx, qz_model_convert(model));
    return model;
}

static void check_same(qz_context *ctx, qz_model *model, qz_session *bytes, qz_session *floats,
                       int32_t w, int32_t h, size_t stride)
{
    const qz_preprocess *recipe = &model->preprocess;
    const qz_tensor *a = NULL, *b = NULL;
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, recipe->crop_h, recipe->crop_w}};
    image.data = malloc((size_t)qz_tensor_numel(&image) * sizeof(float));
    assert_non_null(image.data);
    ASSERT_OK(ctx, qz_image_preprocess(ctx, pixels, w, h, stride, recipe, image.data));
    ASSERT_OK(ctx, qz_session_run(floats, &image));
    ASSERT_OK(ctx, qz_session_run_u8(bytes, pixels, w, h, stride));
    ASSERT_OK(ctx, qz_session_output(floats, 0, NULL, &a));
    ASSERT_OK(ctx, qz_session_output(bytes, 0, NULL, &b));
    assert_int_equal(qz_tensor_numel(a), qz_tensor_numel(b));
    assert_memory_equal(a->data, b->data, (size_t)qz_tensor_numel(a) * sizeof(float));
    free(image.data);
}

static void check_model(qz_context *ctx, qz_model *model, uint32_t threads)
{
    static const struct {
        int32_t w, h;
    } sizes[] = {{71, 67}, {1, 1}, {5, 90}, {90, 7}, {80, 79}, {33, 34}};
    static const struct {
        int32_t resize, crop_h, crop_w;
        qz_interpolation how;
    } recipes[] = {{0, 67, 71, QZ_INTERPOLATION_BILINEAR},
                   {64, 67, 71, QZ_INTERPOLATION_BILINEAR},
                   {70, 65, 69, QZ_INTERPOLATION_BICUBIC}};
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    options.threads = threads;
    for (size_t r = 0; r < QZI_ARRAY_LEN(recipes); r++) {
        qz_session *bytes = NULL, *floats = NULL;
        model->preprocess.resize = recipes[r].resize;
        model->preprocess.crop_h = recipes[r].crop_h;
        model->preprocess.crop_w = recipes[r].crop_w;
        model->preprocess.interpolation = recipes[r].how;
        ASSERT_OK(ctx, qz_session_create(model, &options, &bytes));
        ASSERT_OK(ctx, qz_session_create(model, &options, &floats));
        for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++)
            check_same(ctx, model, bytes, floats, sizes[i].w, sizes[i].h,
                       (size_t)sizes[i].w * 3 + (i % 3) * 5);
        qz_session_destroy(bytes);
        qz_session_destroy(floats);
    }
}

static void bytes_equal_the_float_image(void **state)
{
    static const qz_backend backends[] = {QZ_BACKEND_FBGEMM, QZ_BACKEND_QNNPACK, QZ_BACKEND_NATIVE};
    qz_context *ctx = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof(pixels); i++)
        pixels[i] = (uint8_t)(i * i / 11 + i / 7);
    ASSERT_OK(ctx, qz_context_create(NULL, &ctx));
    for (size_t b = 0; b < QZI_ARRAY_LEN(backends); b++) {
        qz_model *model = make_model(ctx, "squeezenet1_1", backends[b], NULL, 0);
        check_model(ctx, model, 1);
        check_model(ctx, model, 2);
        qz_model_destroy(model);
    }
    qz_context_destroy(ctx);
}

/* Where the first convolution stays fp32 the input is float: bytes take the way over floats. */
static void float_inputs_take_floats(void **state)
{
    static const char *const first[] = {"features.0"};
    qz_context *ctx = NULL;
    (void)state;
    ASSERT_OK(ctx, qz_context_create(NULL, &ctx));
    qz_model *model = make_model(ctx, "squeezenet1_1", QZ_BACKEND_FBGEMM, first, 1);
    check_model(ctx, model, 2);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

/* A recipe that makes infinity of some bytes is refused only for images that have them. */
static void infinite_recipes_are_judged_by_the_image(void **state)
{
    static uint8_t gray[3 * 71 * 67];
    qz_context *ctx = NULL;
    qz_session *session = NULL;
    (void)state;
    ASSERT_OK(ctx, qz_context_create(NULL, &ctx));
    qz_model *model = make_model(ctx, "squeezenet1_1", QZ_BACKEND_FBGEMM, NULL, 0);
    model->preprocess.resize = 0;
    model->preprocess.mean[0] = 0.0f;
    model->preprocess.std[0] = 0x1p-130f; /* 255 / 255 / std is infinite, 0 is not */
    ASSERT_OK(ctx, qz_session_create(model, NULL, &session));
    ASSERT_OK(ctx, qz_session_run_u8(session, gray, 71, 67, 213));
    memset(gray, 255, sizeof(gray));
    assert_int_equal(qz_session_run_u8(session, gray, 71, 67, 213), QZ_ERR_NUMERIC);
    qz_session_destroy(session);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_equal_the_float_image),
        cmocka_unit_test(float_inputs_take_floats),
        cmocka_unit_test(infinite_recipes_are_judged_by_the_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
