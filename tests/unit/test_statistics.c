/* SPDX-License-Identifier: MIT */
/*
 * test_statistics.c - statistics of calibration images: the same bytes in any order and split, the
 * same int8 models as of the images; what does not fit or is damaged is refused and changes
 * nothing.
 */
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

enum { SIDE = 12, IMAGES = 6, PIXELS = 3 * SIDE * SIDE, FILES = 4 };

static char paths[FILES][64];

static qz_graph *build(qz_context *ctx, int32_t stride)
{
    qz_graph *g = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = qz_graph_input(g, "input", 3);
    x = qz_conv2d(g, "conv1", x, &(qz_conv2d_options){.out_channels = 8, .kernel_h = 3});
    x = qz_activate(g, "relu1", x, QZ_ACT_RELU);
    x = qz_conv2d(
        g, "conv2", x,
        &(qz_conv2d_options){
            .out_channels = 8, .kernel_h = 3, .stride_h = stride, .padding_h = 1, .groups = 8});
    x = qz_activate(g, "swish", x, QZ_ACT_HARDSWISH);
    x = qz_flatten(g, "flatten", qz_adaptive_avg_pool2d(g, "pool", x, 1, 1));
    qz_graph_output(g, "logits", qz_linear(g, "fc", x, 10, true));
    return g;
}

static const qz_preprocess recipe = {.crop_h = SIDE, .crop_w = SIDE, .std = {1, 1, 1}};

static qz_model_options statistics_options(void)
{
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.quantize = options.statistics = true;
    return options;
}

static qz_model *create(qz_context *ctx, const qz_model_options *options)
{
    qz_model *model = NULL;
    ASSERT_OK(ctx, qz_model_from_graph(ctx, "mine", build(ctx, 1), &recipe, options, &model));
    return model;
}

static void calibrate(qz_context *ctx, qz_model *model, int number)
{
    float values[PIXELS];
    const qz_tensor image = {QZ_F32, 4, {1, 3, SIDE, SIDE}, values};
    for (int i = 0; i < PIXELS; i++)
        values[i] = (float)((i + 31 * number) * 7919 % 255) / 255.0f * (float)(1 + number % 3);
    ASSERT_OK(ctx, qz_model_calibrate(model, &image));
}

/* The statistics of the images whose bits are set, the last first where `backwards`. */
static void save(qz_context *ctx, unsigned images, bool backwards, const char *path)
{
    const qz_model_options options = statistics_options();
    qz_model *model = create(ctx, &options);
    for (int i = 0; i < IMAGES; i++) {
        const int number = backwards ? IMAGES - 1 - i : i;
        if (images >> number & 1)
            calibrate(ctx, model, number);
    }
    ASSERT_OK(ctx, qz_model_statistics_save(model, path));
    qz_model_destroy(model);
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void write_file(const char *path, const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void assert_same_files(const char *a, const char *b)
{
    size_t sizes[2];
    uint8_t *bytes[2] = {read_file(a, &sizes[0]), read_file(b, &sizes[1])};
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    free(bytes[0]);
    free(bytes[1]);
}

static int make_paths(void **state)
{
    (void)state;
    for (int i = 0; i < FILES; i++) {
        snprintf(paths[i], sizeof(paths[i]), "/tmp/qzoo-stats-XXXXXX");
        close(mkstemp(paths[i]));
    }
    return 0;
}

static int remove_paths(void **state)
{
    (void)state;
    for (int i = 0; i < FILES; i++)
        unlink(paths[i]);
    return 0;
}

static void order_and_split_change_nothing(void **state)
{
    counting memory = COUNTING_INIT;
    qz_context *ctx = counting_context(&memory, 2);
    const qz_model_options options = statistics_options();
    (void)state;
    save(ctx, 0x3f, false, paths[0]);
    save(ctx, 0x3f, true, paths[1]);
    assert_same_files(paths[0], paths[1]);
    save(ctx, 0x09, true, paths[1]);
    save(ctx, 0x32, false, paths[2]);
    qz_model *model = create(ctx, &options);
    ASSERT_OK(ctx, qz_model_statistics_load(model, paths[2]));
    calibrate(ctx, model, 2); /* images and files may be mixed */
    ASSERT_OK(ctx, qz_model_statistics_load(model, paths[1]));
    ASSERT_OK(ctx, qz_model_statistics_save(model, paths[3]));
    assert_same_files(paths[0], paths[3]);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* For every backend and observer, the int8 model of the files is that of the images. */
static void models_are_those_of_the_images(void **state)
{
    static const qz_observer_kind kinds[] = {QZ_OBSERVER_DEFAULT, QZ_OBSERVER_MINMAX,
                                             QZ_OBSERVER_PERCENTILE, QZ_OBSERVER_ENTROPY,
                                             QZ_OBSERVER_MSE};
    qz_context *ctx = NULL;
    (void)state;
    ASSERT_OK(ctx, qz_context_create(NULL, &ctx));
    save(ctx, 0x15, false, paths[0]);
    save(ctx, 0x2a, false, paths[1]);
    for (int backend = QZ_BACKEND_FBGEMM; backend <= QZ_BACKEND_NATIVE; backend++)
        for (size_t k = backend == QZ_BACKEND_NATIVE ? 0 : 1; k < 5; k++) {
            qz_model_options options = QZ_MODEL_OPTIONS_INIT;
            qz_model_info info[2];
            options.quantize = true;
            options.backend = (qz_backend)backend;
            options.observer = kinds[k];
            options.recipe = QZ_RECIPE_NONE; /* others look at images */
            options.percentile = kinds[k] == QZ_OBSERVER_PERCENTILE ? 99.0 : 0.0;
            for (int files = 0; files < 2; files++) {
                qz_model *model = create(ctx, &options);
                for (int i = 0; i < IMAGES && !files; i++)
                    calibrate(ctx, model, i);
                for (int i = 0; i < 2 && files; i++)
                    ASSERT_OK(ctx, qz_model_statistics_load(model, paths[1 - i]));
                ASSERT_OK(ctx, qz_model_convert(model));
                ASSERT_OK(ctx, qz_model_save(model, paths[2 + files]));
                qz_model_get_info(model, &info[files]);
                assert_int_equal(info[files].calibration_images, IMAGES);
                assert_string_equal(info[files].calib, "images:6");
                qz_model_destroy(model);
            }
            assert_true(info[0].calibration_hash == info[1].calibration_hash);
            assert_same_files(paths[2], paths[3]);
        }
    qz_context_destroy(ctx);
}

static void refuse(qz_context *ctx, qz_model *model, const char *path, qz_status want,
                   const char *words)
{
    assert_int_equal(qz_model_statistics_load(model, path), want);
    assert_true(strncmp(qz_context_message(ctx), path, strlen(path)) == 0);
    if (!strstr(qz_context_message(ctx), words))
        fail_msg("'%s' lacks '%s'", qz_context_message(ctx), words);
}

static void others_are_refused(void **state)
{
    const qz_preprocess other_recipe = {.crop_h = SIDE, .crop_w = SIDE, .std = {1, 1, 2}};
    counting memory = COUNTING_INIT;
    qz_context *ctx = counting_context(&memory, 1);
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    qz_model *model = NULL;
    (void)state;
    save(ctx, 0x07, false, paths[0]);
    options.quantize = true;
    options.backend = QZ_BACKEND_FBGEMM;
    for (int kind = QZ_OBSERVER_MOVING; kind <= QZ_OBSERVER_HISTOGRAM; kind++) {
        options.observer = (qz_observer_kind)kind;
        model = create(ctx, &options);
        refuse(ctx, model, paths[0], QZ_ERR_UNSUPPORTED, qz_observer_name(options.observer));
        calibrate(ctx, model, 1); /* nothing is lost */
        ASSERT_OK(ctx, qz_model_convert(model));
        assert_int_equal(qz_model_statistics_load(model, paths[0]), QZ_ERR_STATE);
        assert_int_equal(qz_model_statistics_save(model, paths[1]), QZ_ERR_STATE);
        qz_model_destroy(model);
    }
    options.observer = QZ_OBSERVER_MSE;
    options.weights = "random:1";
    model = create(ctx, &options);
    refuse(ctx, model, paths[0], QZ_ERR_MISMATCH, "other weights (random:0), not with random:1");
    qz_model_destroy(model);
    options.weights = NULL;
    ASSERT_OK(ctx, qz_model_from_graph(ctx, "yours", build(ctx, 1), &recipe, &options, &model));
    refuse(ctx, model, paths[0], QZ_ERR_MISMATCH, "of mine, not of yours");
    qz_model_destroy(model);
    ASSERT_OK(ctx, qz_model_from_graph(ctx, "mine", build(ctx, 2), &recipe, &options, &model));
    refuse(ctx, model, paths[0], QZ_ERR_MISMATCH, "other options");
    qz_model_destroy(model);
    ASSERT_OK(ctx,
              qz_model_from_graph(ctx, "mine", build(ctx, 1), &other_recipe, &options, &model));
    refuse(ctx, model, paths[0], QZ_ERR_MISMATCH, "prepared otherwise");
    calibrate(ctx, model, 0);
    ASSERT_OK(ctx, qz_model_convert(model));
    ASSERT_OK(ctx, qz_model_save(model, paths[1]));
    qz_model_destroy(model);
    options.quantize = false;
    model = create(ctx, &options);
    assert_int_equal(qz_model_statistics_load(model, paths[0]), QZ_ERR_STATE);
    qz_model_destroy(model);

    const qz_model_options keeps = statistics_options();
    model = create(ctx, &keeps);
    assert_int_equal(qz_model_statistics_save(model, paths[2]), QZ_ERR_STATE); /* no image */
    refuse(ctx, model, paths[1], QZ_ERR_FORMAT, "not a file of statistics");
    refuse(ctx, model, "/nowhere/at.all", QZ_ERR_IO, "");
    calibrate(ctx, model, 0);
    assert_int_equal(qz_model_convert(model), QZ_ERR_STATE);
    assert_int_equal(qz_model_statistics_save(NULL, paths[2]), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_model_statistics_load(model, NULL), QZ_ERR_ARGUMENT);
    qz_model_destroy(model);
    for (int i = 0; i < 4; i++) {
        qz_model_options bad = statistics_options();
        bad.quantize = i != 0;
        bad.backend = i == 1 ? QZ_BACKEND_NATIVE : QZ_BACKEND_AUTO;
        bad.observer = i == 2 ? QZ_OBSERVER_MSE : QZ_OBSERVER_DEFAULT;
        bad.per_channel = i == 3;
        assert_int_equal(qz_model_from_graph(ctx, "mine", build(ctx, 1), &recipe, &bad, &model),
                         QZ_ERR_ARGUMENT);
    }
    qz_context_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* Many bytes changed in some way, and many lengths: one line that names the file, or statistics
 * that can be used. */
static void damaged_files_are_refused(void **state)
{
    counting memory = COUNTING_INIT;
    qz_context *ctx = counting_context(&memory, 1);
    const qz_model_options options = statistics_options();
    size_t size, refused = 0, tried = 0;
    (void)state;
    save(ctx, 0x07, false, paths[0]);
    uint8_t *bytes = read_file(paths[0], &size), *changed = malloc(size);
    assert_non_null(changed);
    for (size_t at = 0; at < 3 * size; at += 1 + at % 7) {
        qz_model *model = create(ctx, &options);
        memcpy(changed, bytes, size);
        size_t end = size;
        if (at < size)
            changed[at] ^= (uint8_t)(1 << at % 8);
        else if (at < 2 * size)
            changed[at - size] = (uint8_t)(at % 3 ? 0xff : 0);
        else
            end = at - 2 * size;
        write_file(paths[1], changed, end);
        const qz_status st = qz_model_statistics_load(model, paths[1]);
        tried++;
        if (st != QZ_OK) {
            refused++;
            assert_true(st == QZ_ERR_FORMAT || st == QZ_ERR_MISMATCH || st == QZ_ERR_UNSUPPORTED);
            assert_true(strncmp(qz_context_message(ctx), paths[1], strlen(paths[1])) == 0);
            assert_null(strchr(qz_context_message(ctx), '\n'));
            calibrate(ctx, model, 0);
        }
        ASSERT_OK(ctx, qz_model_statistics_save(model, paths[2]));
        qz_model_destroy(model);
        if (at % 400 > 20)
            at += 61;
    }
    assert_true(refused * 2 > tried);
    free(bytes);
    free(changed);
    qz_context_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void no_memory_leaks_nothing(void **state)
{
    counting memory = COUNTING_INIT;
    qz_context *ctx = counting_context(&memory, 1);
    const qz_model_options options = statistics_options();
    (void)state;
    save(ctx, 0x07, false, paths[0]);
    const int64_t idle = memory.live;
    for (int64_t fail = 0;; fail += 1 + fail / 16) {
        qz_model *model = create(ctx, &options);
        memory.total = 0;
        memory.fail_at = fail;
        qz_status st = qz_model_statistics_load(model, paths[0]);
        if (st == QZ_OK)
            st = qz_model_statistics_save(model, paths[1]);
        memory.fail_at = -1;
        qz_model_destroy(model);
        assert_int_equal(memory.live, idle);
        if (st == QZ_OK) {
            assert_true(fail > 50);
            break;
        }
        assert_int_equal(st, QZ_ERR_MEMORY);
    }
    qz_context_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_split_change_nothing),
        cmocka_unit_test(models_are_those_of_the_images),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(no_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, make_paths, remove_paths);
}
