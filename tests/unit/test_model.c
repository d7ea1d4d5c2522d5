/* SPDX-License-Identifier: MIT */
/*
 * test_model.c - a model's life and its sessions: options, the order of calls, finalize, what a
 * session shows of a run, bytes instead of floats. (test_out_of_memory.c has the same with little
 * memory.)
 */
#include "zoo/model/model.h"
#include "zoo/model/model_pack.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 48 };

static qz_context *context(void)
{
    qz_context *ctx = NULL;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    return ctx;
}

static qz_tensor image(float *data)
{
    qz_random_uniform("image", "", -0.5, 2.0, 3 * SIZE * SIZE, data);
    return (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, SIZE, SIZE}, .data = data};
}

static void refused(qz_context *ctx, const char *name, const qz_model_options *options,
                    qz_status expected, const char *text)
{
    qz_model *model = (qz_model *)&model;
    qz_status st = qz_model_create(ctx, name, options, &model);
    if (st != expected || !strstr(qz_context_message(ctx), text))
        fail_msg("%s: %s (wanted %s)", qz_status_name(st), qz_context_message(ctx), text);
    assert_null(model);
}

/* Options that ask for int8, or not. */
#define OPTIONS(quantize_, ...)                                                \
    &(qz_model_options)                                                        \
    {                                                                          \
        .size = sizeof(qz_model_options), .quantize = (quantize_), __VA_ARGS__ \
    }

static void test_options(void **state)
{
    (void)state;
    qz_context *ctx = context();
    const char *const nothing[] = {"layer9"}, *const hole[] = {NULL};
    refused(ctx, "resnet19", NULL, QZ_ERR_UNKNOWN_NAME, "resnet18");
    refused(ctx, "resnet18", &(qz_model_options){.size = 0}, QZ_ERR_ARGUMENT,
            "QZ_MODEL_OPTIONS_INIT");
    refused(ctx, "resnet18", &(qz_model_options){.size = sizeof(qz_model_options) + 8},
            QZ_ERR_ARGUMENT, "size");
    refused(ctx, "resnet18", OPTIONS(true, .is_qat = true), QZ_ERR_UNSUPPORTED, "is_qat");
    refused(ctx, "resnet18", OPTIONS(true, .num_classes = -1), QZ_ERR_ARGUMENT, "num_classes");
    refused(ctx, "resnet18", OPTIONS(true, .num_classes = INT32_MAX), QZ_ERR_ARGUMENT,
            "num_classes");
    refused(ctx, "resnet18", OPTIONS(true, .backend = (qz_backend)77), QZ_ERR_ARGUMENT, "backend");
    refused(ctx, "resnet18", OPTIONS(true, .observer = (qz_observer_kind)77), QZ_ERR_ARGUMENT,
            "observer");
    refused(ctx, "resnet18", OPTIONS(true, .weights = "default"), QZ_ERR_NETWORK,
            "qzoo weights fetch resnet18:IMAGENET1K_V1");
    refused(ctx, "resnet18", OPTIONS(true, .weights = "V9"), QZ_ERR_UNKNOWN_NAME,
            "default, IMAGENET1K_V1");
    refused(ctx, "resnet18", OPTIONS(true, .weights = "IMAGENET1K_FBGEMM_V1"), QZ_ERR_NETWORK,
            "qzoo weights fetch resnet18:IMAGENET1K_FBGEMM_V1");
    refused(ctx, "resnet18", OPTIONS(true, .weights = "random:"), QZ_ERR_ARGUMENT, "decimal");
    refused(ctx, "resnet18", OPTIONS(true, .weights = "random:-1"), QZ_ERR_ARGUMENT, "decimal");
    refused(ctx, "resnet18", OPTIONS(true, .weights = "random:18446744073709551616"),
            QZ_ERR_ARGUMENT, "2^64");
    refused(ctx, "resnet18", OPTIONS(true, .weights = "/nowhere/at/all.pth"), QZ_ERR_IO,
            "/nowhere/at/all.pth");
    refused(ctx, "squeezenet1_1", OPTIONS(true, .exclude = nothing, .exclude_count = 1),
            QZ_ERR_UNKNOWN_NAME, "layer9");
    refused(ctx, "squeezenet1_1", OPTIONS(true, .fallback = nothing, .fallback_count = 1),
            QZ_ERR_UNKNOWN_NAME, "layer9");
    refused(ctx, "squeezenet1_1", OPTIONS(true, .exclude = hole, .exclude_count = 1),
            QZ_ERR_ARGUMENT, "exclude[0]");
    refused(ctx, "squeezenet1_1", OPTIONS(true, .fallback_count = 1), QZ_ERR_ARGUMENT, "fallback");

    qz_model *model = NULL;
    qz_model_info info;
    assert_int_equal(qz_squeezenet1_1(ctx, OPTIONS(true, .weights = "random:007"), &model), QZ_OK);
    qz_model_get_info(model, &info);
    assert_string_equal(info.name, "squeezenet1_1");
    assert_string_equal(info.weights, "random:7");
    assert_true(info.random_weights);
    assert_false(info.converted);
    assert_true(info.backend[0] != '\0' && info.observer[0] != '\0');
    assert_int_equal(info.fp32_weights_bytes, 4 * 1235496);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

static void test_order(void **state)
{
    (void)state;
    static float pixels[3 * SIZE * SIZE];
    qz_context *ctx = context();
    qz_model *model = NULL;
    qz_session *s = NULL;
    const qz_sqnr_row *rows = NULL;
    size_t count = 0;
    double db = 0.0, agreement = 0.0;
    const qz_tensor input = image(pixels);
    qz_tensor gray = input;
    gray.dims[1] = 1;
    assert_int_equal(qz_squeezenet1_1(ctx, OPTIONS(false, .skip_fuse = true), &model), QZ_OK);
    assert_int_equal(qz_model_calibrate(model, &input), QZ_ERR_STATE);
    assert_int_equal(qz_model_convert(model), QZ_ERR_STATE);
    assert_int_equal(qz_model_save(model, "/nowhere/x.safetensors"), QZ_ERR_STATE);
    assert_int_equal(qz_model_sqnr(model, &input, &rows, &count, NULL, NULL), QZ_ERR_STATE);
    qz_session_options int8 = QZ_SESSION_OPTIONS_INIT;
    int8.precision = QZ_PRECISION_INT8;
    assert_int_equal(qz_session_create(model, &int8, &s), QZ_ERR_STATE);
    assert_int_equal(qz_model_fuse(model, true), QZ_ERR_UNSUPPORTED);
    assert_int_equal(qz_model_fuse(model, false), QZ_OK);
    assert_int_equal(qz_model_fuse(model, false), QZ_ERR_STATE);
    assert_int_equal(qz_model_prepare(model), QZ_OK);
    assert_int_equal(qz_model_prepare(model), QZ_ERR_STATE);
    assert_int_equal(qz_model_convert(model), QZ_ERR_STATE);
    assert_int_equal(qz_model_calibrate(model, &gray), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_model_calibrate(model, &input), QZ_OK);
    assert_int_equal(qz_model_finalize(model, true), QZ_ERR_STATE);
    assert_int_equal(qz_model_convert(model), QZ_OK);
    assert_int_equal(qz_model_convert(model), QZ_ERR_STATE);
    assert_int_equal(qz_model_calibrate(model, &input), QZ_ERR_STATE);
    assert_int_equal(qz_model_sqnr(model, &input, &rows, &count, &db, &agreement), QZ_OK);
    assert_true(count > 0 && db > 10.0 && isfinite(db));
    assert_true(agreement == 0.0 || agreement == 1.0);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

/* Copies the first output of a run. */
static float *run(qz_context *ctx, qz_session *s, const qz_tensor *input)
{
    const qz_tensor *output = NULL;
    const char *name = NULL;
    if (qz_session_run(s, input) != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    assert_int_equal(qz_session_output(s, 0, &name, &output), QZ_OK);
    assert_string_equal(name, "output");
    size_t bytes = (size_t)qz_tensor_numel(output) * sizeof(float);
    float *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, output->data, bytes);
    return copy;
}

static qz_model *converted(qz_context *ctx, const qz_tensor *input)
{
    qz_model *model = NULL;
    if (qz_squeezenet1_1(ctx, OPTIONS(true, .num_classes = 10), &model) != QZ_OK ||
        qz_model_calibrate(model, input) != QZ_OK || qz_model_convert(model) != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    return model;
}

static void test_finalize(void **state)
{
    (void)state;
    static float pixels[3 * SIZE * SIZE];
    const qz_tensor input = image(pixels);
    qz_context *ctx = context();
    qz_model *model = converted(ctx, &input);
    qz_session *before = NULL, *after = NULL, *fp32 = NULL;
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    const qz_sqnr_row *rows = NULL;
    size_t count = 0;
    assert_int_equal(qz_session_create(model, &options, &before), QZ_OK);
    float *expected = run(ctx, before, &input);
    options.precision = QZ_PRECISION_FP32;
    assert_int_equal(qz_session_create(model, &options, &fp32), QZ_OK);
    assert_int_equal(qz_model_finalize(model, false), QZ_OK);
    assert_int_equal(qz_model_finalize(model, true), QZ_ERR_STATE); /* fp32 is alive */
    qz_session_destroy(fp32);
    assert_int_equal(qz_model_finalize(model, true), QZ_OK);
    assert_int_equal(qz_model_finalize(model, true), QZ_OK);

    assert_int_equal(qz_session_create(model, &options, &fp32), QZ_ERR_STATE);
    assert_int_equal(qz_model_sqnr(model, &input, &rows, &count, NULL, NULL), QZ_ERR_STATE);
    assert_int_equal(qz_model_save(model, "/nowhere/x.safetensors"), QZ_ERR_STATE);
    assert_null(qz_model_graph(model, false));
    options.precision = QZ_PRECISION_AUTO;
    assert_int_equal(qz_session_create(model, &options, &after), QZ_OK);
    if (qz_isa_best() != QZ_ISA_REF) {
        qz_session *other = NULL;
        options.isa = QZ_ISA_REF;
        assert_int_equal(qz_session_create(model, &options, &other), QZ_ERR_STATE);
    }
    float *again = run(ctx, before, &input), *fresh = run(ctx, after, &input);
    assert_memory_equal(expected, again, 10 * sizeof(float));
    assert_memory_equal(expected, fresh, 10 * sizeof(float));
    free(expected);
    free(again);
    free(fresh);
    qz_session_destroy(before);
    qz_session_destroy(after);
    qz_model_destroy(model);

    /* a float model: only the packed weights stay */
    assert_int_equal(qz_squeezenet1_1(ctx, OPTIONS(false, .relu = false), &model), QZ_OK);
    assert_int_equal(qz_model_finalize(model, true), QZ_OK);
    assert_int_equal(qz_session_create(model, NULL, &after), QZ_OK);
    free(run(ctx, after, &input));
    assert_int_equal(qz_model_prepare(model), QZ_ERR_STATE);
    qz_session_destroy(after);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

static void test_bad_input(void **state)
{
    (void)state;
    static float pixels[3 * SIZE * SIZE];
    qz_context *ctx = context();
    qz_model *model = NULL;
    qz_session *s = NULL;
    const qz_tensor *output = NULL;
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    assert_int_equal(qz_squeezenet1_1(ctx, OPTIONS(false, .relu = false), &model), QZ_OK);
    options.size = 0;
    assert_int_equal(qz_session_create(model, &options, &s), QZ_ERR_ARGUMENT);
    options.size = sizeof(options);
    options.precision = (qz_precision)9;
    assert_int_equal(qz_session_create(model, &options, &s), QZ_ERR_ARGUMENT);
    options.precision = QZ_PRECISION_AUTO;
    options.isa = (qz_isa)99;
    assert_int_equal(qz_session_create(model, &options, &s), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_session_create(model, NULL, &s), QZ_OK);
    assert_int_equal(qz_session_output(s, 0, NULL, &output), QZ_ERR_STATE);

    qz_tensor good = image(pixels), bad = good;
    bad.dims[1] = 4;
    assert_int_equal(qz_session_run(s, &bad), QZ_ERR_ARGUMENT);
    bad = good;
    bad.dtype = QZ_U8;
    assert_int_equal(qz_session_run(s, &bad), QZ_ERR_ARGUMENT);
    bad = good;
    bad.dims[0] = 0;
    assert_int_equal(qz_session_run(s, &bad), QZ_ERR_ARGUMENT);
    bad = good;
    bad.dims[2] = bad.dims[3] = 8; /* the last pools have nothing left */
    assert_int_equal(qz_session_run(s, &bad), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_session_run(s, NULL), QZ_ERR_ARGUMENT);
    pixels[100] = NAN;
    assert_int_equal(qz_session_run(s, &good), QZ_ERR_NUMERIC);
    pixels[100] = INFINITY;
    assert_int_equal(qz_session_run(s, &good), QZ_ERR_NUMERIC);
    assert_int_equal(qz_session_output(s, 0, NULL, &output), QZ_ERR_STATE);
    pixels[100] = 0.0f;
    assert_int_equal(qz_session_run(s, &good), QZ_OK);
    assert_int_equal(qz_session_output(s, 1, NULL, &output), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_session_output(s, 0, NULL, &output), QZ_OK);
    assert_int_equal(output->ndim, 2);
    assert_int_equal(output->dims[1], 1000);
    qz_session_destroy(s);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

/* ---- looking into a run ---- */

struct seen {
    const qz_graph *graph;
    size_t calls, with_bytes;
    float output[10];
    bool stop;
};

static qz_status watch(void *user, const char *name, const qz_tensor *value, const qz_tensor *bytes)
{
    struct seen *seen = user;
    const qzi_node *node = &seen->graph->nodes[seen->calls++];
    if (seen->stop)
        return QZ_ERR_CANCELLED;
    assert_string_equal(name, node->name);
    assert_int_equal(value->dims[0], 1);
    assert_int_equal(value->dims[1], node->c);
    assert_int_equal(bytes != NULL, node->dtype == QZ_U8);
    if (bytes) {
        const uint8_t *q = bytes->data;
        const float *x = value->data;
        seen->with_bytes++;
        for (int64_t i = 0; i < qz_tensor_numel(value); i++)
            assert_true(x[i] == (float)(q[i] - node->q.zero_point) * node->q.scale);
    }
    if (qz_tensor_numel(value) == 10)
        memcpy(seen->output, value->data, sizeof(seen->output));
    return QZ_OK;
}

/* Of the kernels that a session would have: those by Winograd's algorithm, and all of float. */
static void count_kernels(qz_model *model, bool int8, bool winograd, size_t *by_winograd,
                          size_t *floats)
{
    const qzi_packed *packed = NULL;
    const qz_graph *graph = int8 ? model->int8_graph : model->graph;
    *by_winograd = *floats = 0;
    assert_int_equal(qzi_model_packed(model, int8, winograd, QZ_ISA_AUTO, &packed), QZ_OK);
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzk_conv_kernel *kernel = qzi_packed_kernel(packed, (qz_value)i);
        *by_winograd += kernel && strstr(kernel->name, "winograd");
        *floats += kernel && strncmp(kernel->name, "f32_", 4) == 0;
    }
}

static void test_winograd(void **state)
{
    (void)state;
    static float pixels[3 * SIZE * SIZE];
    static const char *const islands[] = {"features.3.expand3x3", "features.4.expand3x3"};
    const qz_tensor input = image(pixels);
    qz_context *ctx = context();
    qz_model *model = NULL;
    qz_session *s = NULL;
    size_t winograd, floats;
    assert_int_equal(
        qz_squeezenet1_1(ctx, OPTIONS(true, .exclude = islands, .exclude_count = 2), &model),
        QZ_OK);
    assert_int_equal(qz_model_calibrate(model, &input), QZ_OK);
    assert_int_equal(qz_model_convert(model), QZ_OK);
    count_kernels(model, false, true, &winograd, &floats);
    assert_int_equal(winograd, 8); /* expand3x3 of the eight fire modules */
    assert_int_equal(floats, 26);
    count_kernels(model, false, false, &winograd, &floats);
    assert_int_equal(winograd, 0);
    count_kernels(model, true, true, &winograd, &floats);
    assert_int_equal(winograd, 0);
    assert_int_equal(floats, 2);
    qz_model_destroy(model);

    /* finalize keeps one packing of a float model */
    qz_session_options direct = QZ_SESSION_OPTIONS_INIT;
    direct.no_winograd = true;
    assert_int_equal(qz_squeezenet1_1(ctx, NULL, &model), QZ_OK);
    assert_int_equal(qz_model_finalize(model, true), QZ_OK);
    assert_int_equal(qz_session_create(model, &direct, &s), QZ_ERR_STATE);
    assert_int_equal(qz_session_create(model, NULL, &s), QZ_OK);
    qz_session_destroy(s);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

static void test_hook_and_profile(void **state)
{
    (void)state;
    static float pixels[3 * SIZE * SIZE];
    const qz_tensor input = image(pixels);
    qz_context *ctx = context();
    qz_model *model = converted(ctx, &input);
    qz_session *s = NULL;
    const qz_profile_row *rows = NULL;
    size_t count = 0;
    assert_int_equal(qz_session_create(model, NULL, &s), QZ_OK);
    assert_int_equal(qz_session_profile(s, &rows, &count), QZ_ERR_STATE);
    struct seen seen = {.graph = qz_model_graph(model, true)};
    qz_session_set_node_hook(s, watch, &seen);
    qz_session_set_profile(s, true);
    float *output = run(ctx, s, &input);
    assert_int_equal(seen.calls, qz_graph_node_count(seen.graph));
    assert_true(seen.with_bytes > 20);
    assert_memory_equal(seen.output, output, sizeof(seen.output));
    free(output);

    assert_int_equal(qz_session_profile(s, &rows, &count), QZ_OK);
    assert_int_equal(count, qz_graph_node_count(seen.graph));
    double seconds = 0.0;
    size_t kernels = 0, packed = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(rows[i].seconds >= 0.0);
        seconds += rows[i].seconds;
        assert_int_equal(rows[i].macs > 0, strcmp(rows[i].op, "conv2d") == 0);
        if (strstr(rows[i].kernel,
                   "winograd")) /* 36 products for 16 outputs, or for a part of them */
            assert_in_range(rows[i].products, rows[i].macs / 4, rows[i].macs - 1);
        else
            assert_true(rows[i].products == rows[i].macs);
        assert_int_equal(rows[i].kernel[0] != '\0', strcmp(rows[i].op, "conv2d") == 0);
        kernels += rows[i].kernel[0] != '\0';
        assert_int_equal(rows[i].tile_m > 0 && rows[i].tile_n > 0, rows[i].kernel[0] != '\0');
        assert_true(rows[i].read_bytes >= rows[i].packed_bytes);
        packed += QZI_ROUND_UP((size_t)rows[i].packed_bytes, QZI_ALIGN); /* as they stand */
        if (strcmp(rows[i].name, "features.0") == 0) { /* 3x3/2 of 3 channels, which stand in 4 */
            assert_int_equal(rows[i].read_bytes - rows[i].packed_bytes, SIZE * SIZE * 4);
            assert_int_equal(rows[i].written_bytes, 23 * 23 * 64);
        }
    }
    assert_int_equal(packed, qz_session_packed_bytes(s));
    assert_true(seconds > 0.0);
    assert_int_equal(kernels, 26);
    assert_true(qz_session_arena_bytes(s) > 0);
    assert_true(qz_session_packed_bytes(s) > 700000);

    assert_string_equal(qz_session_node_name(s, "features.3"), "features.3.cat");
    assert_string_equal(qz_session_node_name(s, "features.0"), "features.0");
    assert_string_equal(qz_session_node_name(s, "features.3.squeeze_activation"),
                        "features.3.squeeze");
    assert_null(qz_session_node_name(s, "features.99"));

    seen = (struct seen){.graph = seen.graph, .stop = true};
    assert_int_equal(qz_session_run(s, &input), QZ_ERR_CANCELLED);
    assert_int_equal(seen.calls, 1);
    qz_session_set_node_hook(s, NULL, NULL);
    assert_int_equal(qz_session_run(s, &input), QZ_OK);
    qz_session_destroy(s);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

static void test_topk(void **state)
{
    (void)state;
    float logits[2][6] = {{0, 0, 0, 0, 0, 0}, {1.0f, 3.0f, NAN, 3.0f, -1.0f, 2.0f}};
    const qz_tensor tensor = {.dtype = QZ_F32, .ndim = 2, .dims = {2, 6}, .data = logits};
    qz_top top[8];
    assert_int_equal(qz_topk(&tensor, 0, 3, top), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(top[i].index, i); /* ties: the lower index */
        assert_true(fabsf(top[i].probability - 1.0f / 6.0f) < 1e-7f);
    }
    assert_int_equal(qz_topk(&tensor, 1, 8, top), 0); /* NaN ranks nothing */
    logits[1][2] = INFINITY;
    assert_int_equal(qz_topk(&tensor, 1, 8, top), 0);
    logits[1][2] = -2.0f;
    assert_int_equal(qz_topk(&tensor, 1, 8, top), 6);
    const int order[] = {1, 3, 5, 0, 4, 2};
    for (int i = 0; i < 6; i++)
        assert_int_equal(top[i].index, order[i]);
    logits[1][2] = 0.0f;
    assert_int_equal(qz_topk(&tensor, 1, 1, top), 1);
    double sum = exp(-2.0) + 1.0 + exp(-3.0) + 1.0 + exp(-4.0) + exp(-1.0);
    assert_true(fabs((double)top[0].probability - 1.0 / sum) < 1e-7);
    assert_int_equal(qz_topk(&tensor, 2, 1, top), 0);
    assert_int_equal(qz_topk(&tensor, -1, 1, top), 0);
    assert_int_equal(qz_topk(&tensor, 0, 0, top), 0);
    assert_int_equal(qz_topk(NULL, 0, 1, top), 0);
}

/* ---- bytes instead of floats ---- */

enum { PHOTO_W = 300, PHOTO_H = 270, PHOTO_STRIDE = 3 * PHOTO_W + 5 };

static void fill_photo(uint8_t *rgb, int turn)
{
    for (int i = 0; i < PHOTO_STRIDE * PHOTO_H; i++)
        rgb[i] = (uint8_t)(i / PHOTO_STRIDE + i * (7 + turn) / 5);
}

/* What rounding can hide is in the file: the scales that calibration found, and its hash. */
static void save(qz_context *ctx, qz_model *model, const char *path)
{
    if (qz_model_convert(model) != QZ_OK || qz_model_save(model, path) != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    qz_model_destroy(model);
}

static void expect_same_file(const char *one, const char *other)
{
    FILE *a = fopen(one, "rb"), *b = fopen(other, "rb");
    assert_non_null(a);
    assert_non_null(b);
    size_t size = 0;
    int x;
    do {
        x = getc(a);
        assert_int_equal(x, getc(b));
        size++;
    } while (x != EOF);
    assert_true(size > 100000);
    fclose(a);
    fclose(b);
    unlink(one);
    unlink(other);
}

/* Calibrating and running with bytes is preprocessing and then the same with floats. */
static void test_bytes(void **state)
{
    (void)state;
    static uint8_t rgb[PHOTO_STRIDE * PHOTO_H];
    static float pixels[3 * 224 * 224];
    char folder[] = "/tmp/qzoo_model_XXXXXX", one[64], other[64];
    assert_non_null(mkdtemp(folder));
    snprintf(one, sizeof(one), "%s/bytes.safetensors", folder);
    snprintf(other, sizeof(other), "%s/floats.safetensors", folder);
    const qz_tensor input = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, 224, 224}, .data = pixels};
    qz_context *ctx = context();
    qz_model *bytes = NULL, *floats = NULL;
    qz_session *s = NULL;
    qz_model_info info;
    assert_int_equal(qz_squeezenet1_1(ctx, OPTIONS(true, .num_classes = 10), &bytes), QZ_OK);
    assert_int_equal(qz_squeezenet1_1(ctx, OPTIONS(true, .num_classes = 10), &floats), QZ_OK);
    qz_model_get_info(bytes, &info);
    for (int turn = 0; turn < 2; turn++) {
        fill_photo(rgb, turn);
        assert_int_equal(qz_model_calibrate_u8(bytes, rgb, PHOTO_W, PHOTO_H, PHOTO_STRIDE), QZ_OK);
        assert_int_equal(
            qz_image_preprocess(ctx, rgb, PHOTO_W, PHOTO_H, PHOTO_STRIDE, &info.preprocess, pixels),
            QZ_OK);
        assert_int_equal(qz_model_calibrate(floats, &input), QZ_OK);
    }
    /* what is refused does not count */
    assert_int_equal(qz_model_calibrate_u8(NULL, rgb, 1, 1, 3), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_model_calibrate_u8(bytes, NULL, 1, 1, 3), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_model_calibrate_u8(bytes, rgb, 0, 1, 3), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_model_calibrate_u8(bytes, rgb, 2, 2, 5), QZ_ERR_ARGUMENT);
    qz_model_get_info(bytes, &info);
    assert_int_equal(info.calibration_images, 2);

    assert_int_equal(qz_session_create(floats, NULL, &s), QZ_OK);
    float *expected = run(ctx, s, &input);
    const qz_tensor *output = NULL;
    assert_int_equal(qz_session_run_u8(s, rgb, PHOTO_W, PHOTO_H, PHOTO_STRIDE), QZ_OK);
    assert_int_equal(qz_session_output(s, 0, NULL, &output), QZ_OK);
    assert_memory_equal(output->data, expected, 10 * sizeof(float));
    assert_int_equal(qz_session_run_u8(s, NULL, PHOTO_W, PHOTO_H, PHOTO_STRIDE), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_session_run_u8(s, rgb, 2, 2, 5), QZ_ERR_ARGUMENT);
    free(expected);
    qz_session_destroy(s);
    save(ctx, bytes, one);
    save(ctx, floats, other);
    expect_same_file(one, other);
    assert_int_equal(rmdir(folder), 0);

    /* in the wrong order */
    assert_int_equal(qz_squeezenet1_1(ctx, OPTIONS(false, .num_classes = 10), &floats), QZ_OK);
    assert_int_equal(qz_model_calibrate_u8(floats, rgb, PHOTO_W, PHOTO_H, PHOTO_STRIDE),
                     QZ_ERR_STATE);
    qz_model_destroy(floats);
    qz_context_destroy(ctx);
}

int main(void)
{
    /* no weights of the user's */
    setenv("QZOO_HOME", "/nonexistent", 1);
    setenv("TORCH_HOME", "/nonexistent", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),  cmocka_unit_test(test_order),
        cmocka_unit_test(test_finalize), cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_winograd), cmocka_unit_test(test_hook_and_profile),
        cmocka_unit_test(test_topk),     cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
