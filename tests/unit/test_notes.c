/* SPDX-License-Identifier: MIT */
/* test_notes.c - what a model says of its calibration: what looks wrong, and nothing where it looks
 * right. */
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

enum { SIDE = 12, PIXELS = 3 * SIDE * SIDE, ENOUGH = 12 };

static const qz_preprocess recipe = {
    .crop_h = SIDE, .crop_w = SIDE, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.25f, 0.25f, 0.25f}};

static qz_model *create(qz_context *ctx, const qz_model_options *options)
{
    qz_graph *g = NULL;
    qz_model *model = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = qz_graph_input(g, "input", 3);
    x = qz_conv2d(g, "conv1", x, &(qz_conv2d_options){.out_channels = 8, .kernel_h = 3});
    x = qz_activate(g, "swish", x, QZ_ACT_HARDSWISH);
    x = qz_conv2d(g, "conv2", x,
                  &(qz_conv2d_options){.out_channels = 8, .kernel_h = 3, .groups = 8});
    x = qz_flatten(g, "flatten", qz_adaptive_avg_pool2d(g, "pool", x, 1, 1));
    qz_graph_output(g, "logits", qz_linear(g, "fc", x, 10, true));
    ASSERT_OK(ctx, qz_model_from_graph(ctx, "mine", g, &recipe, options, &model));
    return model;
}

/* Image `number`: noise from -2 to 2 times gain, plus shift. */
static void calibrate(qz_context *ctx, qz_model *model, int number, float gain, float shift)
{
    float values[PIXELS];
    const qz_tensor image = {QZ_F32, 4, {1, 3, SIDE, SIDE}, values};
    for (int i = 0; i < PIXELS; i++)
        values[i] = gain * ((float)((i + 31 * number) * 7919 % 255) / 63.75f - 2.0f) + shift;
    ASSERT_OK(ctx, qz_model_calibrate(model, &image));
}

/* The note with `text` in it, or NULL, of `count` notes. */
static const char *note(qz_context *ctx, qz_model *model, const char *text, size_t count)
{
    const char *const *notes = NULL;
    const char *found = NULL;
    size_t n = 99;
    ASSERT_OK(ctx, qz_model_notes(model, &notes, &n));
    for (size_t i = 0; i < n; i++)
        found = strstr(notes[i], text) ? notes[i] : found;
    if (n != count)
        fail_msg("%zu notes in place of %zu: %s", n, count, n ? notes[0] : "");
    return found;
}

static qz_model_options options_of(qz_backend backend)
{
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.quantize = true;
    options.backend = backend;
    return options;
}

static void test_images(void **state)
{
    (void)state;
    static const qz_backend backends[] = {QZ_BACKEND_FBGEMM, QZ_BACKEND_NATIVE};
    for (size_t b = 0; b < 2; b++) {
        const qz_model_options options = options_of(backends[b]);
        counting memory = COUNTING_INIT;
        qz_context *ctx = counting_context(&memory, 1);
        qz_model *model = create(ctx, &options);
        note(ctx, model, "", 0); /* nothing was calibrated */
        for (int i = 0; i < 3; i++)
            calibrate(ctx, model, i, 1.0f, 0.0f);
        assert_non_null(note(ctx, model, "calibrated on 3 images", 1));
        for (int i = 3; i < ENOUGH; i++)
            calibrate(ctx, model, i, 1.0f, 0.0f);
        note(ctx, model, "", 0);
        qz_model_destroy(model);

        /* one image is unlike all others; its place does not matter */
        char text[2][512];
        for (int place = 0; place < 2; place++) {
            model = create(ctx, &options);
            for (int i = 0; i < ENOUGH; i++) {
                const int number = place ? ENOUGH - 1 - i : i;
                calibrate(ctx, model, number, number == 4 ? 1.0f : 0.25f, 0.0f);
            }
            const char *grown = note(ctx, model, "ranges still grow", 1);
            assert_non_null(grown);
            snprintf(text[place], sizeof(text[place]), "%s", grown);
            ASSERT_OK(ctx, qz_model_convert(model));
            assert_string_equal(note(ctx, model, "ranges still grow", 1), text[place]);
            qz_model_destroy(model);
        }
        assert_string_equal(text[0], text[1]);

        /* all images of one colour, the same one */
        model = create(ctx, &options);
        for (int i = 0; i < ENOUGH; i++)
            calibrate(ctx, model, 0, 0.0f, 0.5f);
        if (backends[b] == QZ_BACKEND_NATIVE)
            assert_non_null(note(ctx, model, "had one value in all images", 1));
        else
            note(ctx, model, "", 0); /* its observers see no channels */
        qz_model_destroy(model);
        qz_context_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

/* Numbers that photos have not after the network's recipe, which is named. */
static void test_preprocessing(void **state)
{
    (void)state;
    counting memory = COUNTING_INIT;
    qz_context *ctx = counting_context(&memory, 1);
    const qz_model_options options = options_of(QZ_BACKEND_FBGEMM);
    qz_model *model = create(ctx, &options);
    for (int i = 0; i < ENOUGH; i++)
        calibrate(ctx, model, i, 63.75f, 127.5f);
    assert_non_null(note(ctx, model, "mean 0.5,0.5,0.5, std 0.25,0.25,0.25", 1));
    qz_model_destroy(model);

    /* of an architecture: bytes as they are, 0 to 1, normalised twice; and right ones */
    static const float gains[] = {63.75f, 0.25f, 4.4f, 1.0f, 0.5f};
    static const float shifts[] = {127.5f, 0.5f, -2.0f, 0.0f, -0.1f};
    for (size_t k = 0; k < sizeof(gains) / sizeof(*gains); k++) {
        float values[3 * 32 * 32];
        const qz_tensor image = {QZ_F32, 4, {1, 3, 32, 32}, values};
        ASSERT_OK(ctx, qz_squeezenet1_1(ctx, &options, &model));
        for (int n = 0; n < ENOUGH; n++) {
            for (int i = 0; i < 3 * 32 * 32; i++)
                values[i] =
                    gains[k] * ((float)((i + 31 * n) * 7919 % 255) / 63.75f - 2.0f) + shifts[k];
            ASSERT_OK(ctx, qz_model_calibrate(model, &image));
        }
        if (k < 3)
            assert_non_null(note(ctx, model, "mean 0.485,0.456,0.406", 1));
        else
            note(ctx, model, "", 0);
        qz_model_destroy(model);
    }
    qz_context_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* Statistics have notes of their own; loaded, what they do not say is not looked at. */
static void test_statistics(void **state)
{
    (void)state;
    counting memory = COUNTING_INIT;
    char path[64];
    qz_context *ctx = counting_context(&memory, 1);
    qz_model_options options = options_of(QZ_BACKEND_AUTO);
    snprintf(path, sizeof(path), "test_notes_%d.qzstats", (int)getpid());
    options.statistics = true;
    qz_model *model = create(ctx, &options);
    for (int i = 0; i < ENOUGH; i++)
        calibrate(ctx, model, i, i == 4 ? 1.0f : 0.25f, 0.0f);
    assert_non_null(note(ctx, model, "ranges still grow", 1));
    ASSERT_OK(ctx, qz_model_statistics_save(model, path));
    qz_model_destroy(model);

    options = options_of(QZ_BACKEND_NATIVE);
    options.recipe = QZ_RECIPE_NONE;
    model = create(ctx, &options);
    ASSERT_OK(ctx, qz_model_statistics_load(model, path));
    note(ctx, model, "", 0);
    ASSERT_OK(ctx, qz_model_convert(model));
    note(ctx, model, "", 0);
    qz_model_destroy(model);
    remove(path);

    /* synthetic images say nothing anyway */
    options = options_of(QZ_BACKEND_NATIVE);
    model = create(ctx, &options);
    ASSERT_OK(ctx, qz_model_calibrate_synthetic(model, 2));
    note(ctx, model, "", 0);
    size_t count;
    const char *const *notes;
    assert_int_equal(qz_model_notes(NULL, &notes, &count), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_model_notes(model, NULL, &count), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_model_notes(model, &notes, NULL), QZ_ERR_ARGUMENT);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_preprocessing),
        cmocka_unit_test(test_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
