/* SPDX-License-Identifier: MIT */
/*
 * test_session_api.c - outputs that a session was asked for, batches of images of any format and
 * size, and the numbers of the version.
 */
#include "assert_ok.h"
#include "layers/base/base.h"
#include "zoo/qzoo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 64, WIDE = 90, HIGH = 70, STRIDE = WIDE * 4 + 5 };

static uint8_t image[4 * STRIDE * HIGH];

static qz_model *make_model(qz_context *ctx, const char *name, bool int8)
{
    qz_model *model = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    qz_model_info info;
    options.quantize = int8;
    options.num_classes = 5;
    ASSERT_OK(ctx, qz_model_create(ctx, name, &options, &model));
    qz_model_get_info(model, &info);
    qz_preprocess recipe = info.preprocess;
    recipe.resize = 0;
    recipe.crop_h = recipe.crop_w = SIDE;
    ASSERT_OK(ctx, qz_model_set_preprocess(model, &recipe));
    if (int8) {
        ASSERT_OK(ctx, qz_model_calibrate_synthetic(model, 2));
        ASSERT_OK(ctx, qz_model_convert(model));
    }
    return model;
}

/* ---- outputs ---- */

typedef struct seen {
    const char *name;
    float *data;
    int64_t count;
} seen;

static qz_status look(void *user, const char *name, const qz_tensor *value, const qz_tensor *bytes)
{
    seen *s = user;
    (void)bytes;
    if (strcmp(name, s->name) == 0) {
        s->count = qz_tensor_numel(value);
        free(s->data);
        s->data = malloc((size_t)s->count * sizeof(float));
        memcpy(s->data, value->data, (size_t)s->count * sizeof(float));
    }
    return QZ_OK;
}

/* Each output of `names` equals what the debug hook of a plain session shows of its node. */
static void check_outputs(qz_context *ctx, qz_model *model, const char *const *names, size_t count,
                          bool early)
{
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    qz_session *plain = NULL, *session = NULL;
    const qz_profile_row *rows;
    size_t row_count, idle = 0;
    ASSERT_OK(ctx, qz_session_create(model, &options, &plain));
    options.outputs = names;
    options.output_count = count;
    ASSERT_OK(ctx, qz_session_create(model, &options, &session));
    assert_int_equal(qz_session_output_count(session), count);
    qz_session_set_profile(session, true);
    ASSERT_OK(ctx, qz_session_run_u8(session, image, WIDE, HIGH, STRIDE));
    for (size_t i = 0; i < count; i++) {
        const char *name = NULL;
        const qz_tensor *tensor = NULL;
        seen s = {qz_session_node_name(plain, names[i]), NULL, 0};
        if (!s.name) /* the model's own output */
            s.name = "classifier.3";
        ASSERT_OK(ctx, qz_session_output(session, i, &name, &tensor));
        assert_string_equal(name, names[i]);
        qz_session_set_node_hook(plain, look, &s);
        ASSERT_OK(ctx, qz_session_run_u8(plain, image, WIDE, HIGH, STRIDE));
        assert_int_equal(s.count, qz_tensor_numel(tensor));
        assert_memory_equal(s.data, tensor->data, (size_t)s.count * sizeof(float));
        free(s.data);
    }
    ASSERT_OK(ctx, qz_session_profile(session, &rows, &row_count));
    for (size_t i = 0; i < row_count; i++)
        idle += rows[i].seconds == 0.0 && rows[i].macs == 0 && rows[i].written_bytes == 0 &&
                rows[i].read_bytes == 0;
    if (early)
        assert_in_range(idle, row_count * 3 / 4, row_count);
    qz_session_destroy(plain);
    qz_session_destroy(session);
}

static void any_node_is_an_output(void **state)
{
    /* nodes, modules, what was fused into another node, twice the same, the model's own */
    static const char *const many[] = {
        "features.1", "features.4.block.0", "features.8", "features.3.block.1.1",
        "avgpool",    "features.8",         "output"};
    static const char *const early[] = {"features.2"};
    qz_context *ctx = NULL;
    (void)state;
    ASSERT_OK(ctx, qz_context_create(NULL, &ctx));
    for (int int8 = 0; int8 < 2; int8++) {
        qz_model *model = make_model(ctx, "mobilenet_v3_small", int8);
        check_outputs(ctx, model, many, QZI_ARRAY_LEN(many), false);
        check_outputs(ctx, model, early, 1, true);
        qz_model_destroy(model);
    }
    qz_context_destroy(ctx);
}

/* Every node at once, and every node alone: memory is planned for what is read. */
static void every_node_is_an_output(void **state)
{
    qz_context *ctx = NULL;
    (void)state;
    ASSERT_OK(ctx, qz_context_create(NULL, &ctx));
    for (int int8 = 0; int8 < 2; int8++) {
        qz_model *model = make_model(ctx, "shufflenet_v2_x0_5", int8);
        const qz_graph *graph = qz_model_graph(model, int8);
        const size_t count = qz_graph_node_count(graph);
        const char **names = malloc(count * sizeof(*names));
        qz_session_options options = QZ_SESSION_OPTIONS_INIT;
        qz_session *all = NULL;
        for (size_t i = 0; i < count; i++) {
            qz_node_info info;
            qz_graph_node_at(graph, i, &info);
            names[i] = info.name;
        }
        options.outputs = names;
        options.output_count = count;
        ASSERT_OK(ctx, qz_session_create(model, &options, &all));
        ASSERT_OK(ctx, qz_session_run_u8(all, image, WIDE, HIGH, STRIDE));
        options.output_count = 1;
        for (size_t i = 0; i < count; i++) {
            qz_session *one = NULL;
            const qz_tensor *a = NULL, *b = NULL;
            options.outputs = names + i;
            ASSERT_OK(ctx, qz_session_create(model, &options, &one));
            ASSERT_OK(ctx, qz_session_run_u8(one, image, WIDE, HIGH, STRIDE));
            ASSERT_OK(ctx, qz_session_output(all, i, NULL, &a));
            ASSERT_OK(ctx, qz_session_output(one, 0, NULL, &b));
            assert_int_equal(qz_tensor_numel(a), qz_tensor_numel(b));
            if (memcmp(a->data, b->data, (size_t)qz_tensor_numel(a) * sizeof(float)) != 0)
                fail_msg("%s differs", names[i]);
            qz_session_destroy(one);
        }
        qz_session_destroy(all);
        free(names);
        qz_model_destroy(model);
    }
    qz_context_destroy(ctx);
}

static void unknown_outputs_are_named(void **state)
{
    static const char *const typo[] = {"features.1", "featurs.12"}, *const none[] = {NULL};
    qz_context *ctx = NULL;
    qz_session *session = NULL;
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    (void)state;
    ASSERT_OK(ctx, qz_context_create(NULL, &ctx));
    qz_model *model = make_model(ctx, "mobilenet_v3_small", false);
    options.outputs = typo;
    options.output_count = 2;
    assert_int_equal(qz_session_create(model, &options, &session), QZ_ERR_UNKNOWN_NAME);
    assert_null(session);
    assert_non_null(strstr(qz_context_message(ctx), "'featurs.12'; the nearest are features.12"));
    options.outputs = none;
    options.output_count = 1;
    assert_int_equal(qz_session_create(model, &options, &session), QZ_ERR_ARGUMENT);
    options.output_count = 0;
    assert_int_equal(qz_session_create(model, &options, &session), QZ_ERR_ARGUMENT);
    options.outputs = NULL;
    options.output_count = 1;
    assert_int_equal(qz_session_create(model, &options, &session), QZ_ERR_ARGUMENT);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

/* ---- pixels ---- */

/* The RGB image in another format; rows have 3 spare bytes, planes 7. */
static qz_pixels as(qz_pixel_format format, const uint8_t *rgb, int32_t w, int32_t h, uint8_t *to)
{
    const bool planar = format == QZ_PIXELS_RGB_PLANAR || format == QZ_PIXELS_BGR_PLANAR;
    const bool swapped =
        format == QZ_PIXELS_BGR || format == QZ_PIXELS_BGRA || format == QZ_PIXELS_BGR_PLANAR;
    const size_t step = planar || format == QZ_PIXELS_GRAY                   ? 1
                        : format == QZ_PIXELS_RGB || format == QZ_PIXELS_BGR ? 3
                                                                             : 4;
    qz_pixels p = {format, w, h, (size_t)w * step + 3, 0, to};
    p.plane = p.stride * (size_t)h + 7;
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++)
            for (size_t c = 0; c < (format == QZ_PIXELS_GRAY ? 1 : 3); c++) {
                const size_t at = (size_t)y * p.stride + (size_t)x * step;
                to[at + (planar ? c * p.plane : c)] =
                    rgb[((size_t)y * (size_t)w + (size_t)x) * 3 + (swapped ? 2 - c : c)];
            }
    return p;
}

static void batches_equal_single_runs(void **state)
{
    static const struct {
        int32_t w, h;
    } sizes[QZ_PIXELS_COUNT] = {{90, 70}, {64, 64}, {30, 31}, {71, 20},
                                {64, 65}, {9, 80},  {50, 50}};
    static uint8_t rgb[QZ_PIXELS_COUNT][WIDE * HIGH * 3], bytes[QZ_PIXELS_COUNT][STRIDE * HIGH * 4];
    qz_pixels images[QZ_PIXELS_COUNT];
    qz_context *ctx = NULL;
    (void)state;
    for (int f = 0; f < QZ_PIXELS_COUNT; f++) {
        const size_t count = (size_t)sizes[f].w * (size_t)sizes[f].h;
        for (size_t i = 0; i < 3 * count; i++) /* gray has equal channels */
            rgb[f][i] = (uint8_t)((f == QZ_PIXELS_GRAY ? i / 3 : i) * 37 / 11 + (size_t)f);
        images[f] = as((qz_pixel_format)f, rgb[f], sizes[f].w, sizes[f].h, bytes[f]);
    }
    ASSERT_OK(ctx, qz_context_create(NULL, &ctx));
    for (int int8 = 0; int8 < 2; int8++) {
        qz_model *model = make_model(ctx, "squeezenet1_1", int8);
        qz_session *batch = NULL, *one = NULL;
        const qz_tensor *all = NULL, *single = NULL;
        ASSERT_OK(ctx, qz_session_create(model, NULL, &batch));
        ASSERT_OK(ctx, qz_session_create(model, NULL, &one));
        for (int round = 0; round < 2; round++) {
            ASSERT_OK(ctx, qz_session_run_pixels(batch, images, QZ_PIXELS_COUNT));
            ASSERT_OK(ctx, qz_session_output(batch, 0, NULL, &all));
            assert_int_equal(all->dims[0], QZ_PIXELS_COUNT);
            assert_int_equal(all->dims[1], 5);
            for (int f = 0; f < QZ_PIXELS_COUNT; f++) {
                ASSERT_OK(ctx, qz_session_run_u8(one, rgb[f], sizes[f].w, sizes[f].h,
                                                 (size_t)sizes[f].w * 3));
                ASSERT_OK(ctx, qz_session_output(one, 0, NULL, &single));
                assert_memory_equal((const float *)all->data + 5 * f, single->data,
                                    5 * sizeof(float));
            }
        }
        ASSERT_OK(ctx, qz_session_run_pixels(batch, images, 1)); /* fewer than before */
        ASSERT_OK(ctx, qz_session_output(batch, 0, NULL, &all));
        assert_int_equal(all->dims[0], 1);
        qz_session_destroy(batch);
        qz_session_destroy(one);
        qz_model_destroy(model);
    }
    qz_context_destroy(ctx);
}

/* Tight rows and planes need no numbers; what is no image is named. */
static void pixels_are_checked(void **state)
{
    qz_context *ctx = NULL;
    qz_session *session = NULL;
    const qz_tensor *out = NULL;
    (void)state;
    ASSERT_OK(ctx, qz_context_create(NULL, &ctx));
    qz_model *model = make_model(ctx, "squeezenet1_1", false);
    ASSERT_OK(ctx, qz_session_create(model, NULL, &session));
    const qz_pixels good = {
        .format = QZ_PIXELS_RGB_PLANAR, .width = 64, .height = 64, .data = image};
    ASSERT_OK(ctx, qz_session_run_pixels(session, &good, 1));
    qz_pixels bad[8] = {good, good, good, good, good, good, good, good};
    bad[1].data = NULL;
    bad[2].format = QZ_PIXELS_COUNT;
    bad[3].width = 0;
    bad[4].stride = 63;
    bad[5].plane = 64 * 64 - 1;
    bad[6].format = QZ_PIXELS_BGRA;
    bad[6].stride = 255;
    bad[7].height = -1;
    for (size_t i = 1; i < QZI_ARRAY_LEN(bad); i++) {
        const qz_pixels two[2] = {good, bad[i]};
        assert_int_equal(qz_session_run_pixels(session, two, 2), QZ_ERR_ARGUMENT);
        assert_non_null(strstr(qz_context_message(ctx), "qz_session_run_pixels: image 1"));
        assert_int_equal(qz_session_output(session, 0, NULL, &out), QZ_ERR_STATE);
    }
    assert_int_equal(qz_session_run_pixels(session, &good, 0), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_session_run_pixels(session, NULL, 1), QZ_ERR_ARGUMENT);
    qz_session_destroy(session);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

/* Calibrating on images of any format is calibrating on their RGB. */
static void pixels_calibrate(void **state)
{
    qz_context *ctx = NULL;
    qz_model_info info[2];
    qz_pixels planar = {.format = QZ_PIXELS_GRAY, .width = 80, .height = 70, .data = image};
    static uint8_t rgb[80 * 70 * 3];
    (void)state;
    for (size_t i = 0; i < sizeof(rgb); i++)
        rgb[i] = image[i / 3];
    const qz_pixels same = {.width = 80, .height = 70, .data = rgb};
    ASSERT_OK(ctx, qz_context_create(NULL, &ctx));
    for (int i = 0; i < 2; i++) {
        qz_model *model = NULL;
        qz_model_options options = QZ_MODEL_OPTIONS_INIT;
        options.quantize = true;
        ASSERT_OK(ctx, qz_model_create(ctx, "squeezenet1_1", &options, &model));
        ASSERT_OK(ctx, qz_model_calibrate_pixels(model, i ? &same : &planar, 1));
        qz_model_get_info(model, &info[i]);
        assert_int_equal(info[i].calibration_images, 1);
        qz_model_destroy(model);
    }
    assert_true(info[0].calibration_hash == info[1].calibration_hash);
    qz_context_destroy(ctx);
}

/* ---- version ---- */

#if QZ_VERSION_NUMBER < 1000
#error "QZ_VERSION_NUMBER is no number for #if"
#endif

static void version_is_one(void **state)
{
    char text[32];
    (void)state;
    snprintf(text, sizeof(text), "%d.%d.%d", QZ_VERSION_MAJOR, QZ_VERSION_MINOR, QZ_VERSION_PATCH);
    assert_string_equal(text, QZ_VERSION_STRING);
    assert_string_equal(qz_version(), QZ_VERSION_STRING);
    assert_int_equal(qz_version_number(), QZ_VERSION_NUMBER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_node_is_an_output),
        cmocka_unit_test(every_node_is_an_output),
        cmocka_unit_test(unknown_outputs_are_named),
        cmocka_unit_test(batches_equal_single_runs),
        cmocka_unit_test(pixels_are_checked),
        cmocka_unit_test(pixels_calibrate),
        cmocka_unit_test(version_is_one),
    };
    for (size_t i = 0; i < sizeof(image); i++)
        image[i] = (uint8_t)(i * i / 11 + i / 7);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
