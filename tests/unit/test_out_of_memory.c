/* SPDX-License-Identifier: MIT */
/*
 * test_out_of_memory.c - a model's whole life, from building to a run of its saved int8 form, with
 * each allocation failing in turn: the status is QZ_ERR_MEMORY, the message says so, nothing leaks,
 * and no half-written file stays behind.
 *
 *   test_out_of_memory [--all]    --all: every allocation of the real model too, not one in seven
 */
#include "counting.h"
#include "zoo/model/model.h"
#include "zoo/model/model_build.h"
#include "zoo/model/weights_hash.h"
#include "zoo/model/weights_load.h"
#include "zoo/model/weights_random.h"

#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 48, SMALL = 16 };

static bool all_of_them;
static char folder[] = "/tmp/qzoo_memory_XXXXXX";
static char weights_path[64], saved_path[64];

/* ---- an architecture that has every op ---- */

static qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t channels, int32_t kernel,
                     int32_t groups, bool bias)
{
    return qz_conv2d(g, name, x,
                     &(qz_conv2d_options){.out_channels = channels,
                                          .kernel_h = kernel,
                                          .padding_h = kernel / 2,
                                          .groups = groups,
                                          .bias = bias});
}

static qz_value squeeze_excite(qz_graph *g, qz_value x)
{
    qz_graph_enter(g, "se");
    qz_value s = qz_adaptive_avg_pool2d(g, "avgpool", x, 1, 1);
    s = qz_activate(g, "relu", conv(g, "fc1", s, 4, 1, 1, true), QZ_ACT_RELU);
    s = qz_activate(g, "scale", conv(g, "fc2", s, 8, 1, 1, true), QZ_ACT_HARDSIGMOID);
    return qz_graph_leave(g, qz_mul(g, "mul", s, x));
}

/* Small enough for a run each time; each value is read by something that is computed. */
static void build_all_ops(qz_graph *g, const void *config, const qzi_build_options *options)
{
    static const float scale[3] = {1.5f, 1.0f, 0.5f}, shift[3] = {0.25f, 0.0f, -0.25f};
    (void)config;
    qz_value x = qz_graph_input(g, "input", 3);
    x = qz_channel_affine(g, "transform", x, scale, shift);
    x = conv(g, "conv1", x, 8, 3, 1, false);
    x = qz_activate(g, "relu6", qz_batch_norm2d(g, "bn1", x, 1e-5f), QZ_ACT_RELU6);
    qz_value y = conv(g, "depthwise", x, 8, 3, 8, false);
    y = qz_activate(g, "hardswish", qz_batch_norm2d(g, "bn2", y, 1e-5f), QZ_ACT_HARDSWISH);
    y = squeeze_excite(g, y);
    y = qz_stochastic_depth(g, "drop", conv(g, "project", y, 8, 1, 1, true), 0.2f);
    x = qz_add(g, "add", x, y, QZ_ACT_RELU);
    const qz_value branch[2] = {
        qz_activate(g, "silu", conv(g, "grouped", x, 8, 3, 2, true), QZ_ACT_SILU),
        qz_activate(g, "sigmoid", conv(g, "pointwise", x, 8, 1, 1, true), QZ_ACT_SIGMOID)};
    x = qz_concat(g, "cat", branch, 2);
    x = qz_channel_shuffle(g, "shuffle", x, 2);
    x = qz_slice_channels(g, "chunk", x, 4, 8);
    x = qz_activate(g, "mish", qz_activate(g, "leaky", x, QZ_ACT_LEAKY_RELU), QZ_ACT_MISH);
    const qz_value parts[2] = {qz_pick_channels(g, "even", x, 0, 1, 2),
                               qz_pick_channels(g, "odd", x, 1, 1, 2)};
    x = qz_concat(g, "pairs", parts, 2);
    y = qz_max_pool2d(g, "half", x, &(qz_pool2d_options){.kernel_h = 2});
    y = qz_resize2d(g, "resize", y, x, QZ_RESIZE_BILINEAR);
    x = qz_add(g, "sum", x, y, QZ_ACT_NONE);
    x = qz_max_pool2d(g, "maxpool", x, &(qz_pool2d_options){.kernel_h = 2});
    x = qz_frozen_batch_norm2d(g, "frozen", x, 1e-5f);
    x = qz_avg_pool2d(g, "avgpool", x, &(qz_pool2d_options){.kernel_h = 3, .padding_h = 1});
    x = qz_conv_transpose2d(
        g, "up", x,
        &(qz_conv_transpose2d_options){
            .out_channels = 8, .kernel_h = 2, .stride_h = 2, .groups = 2, .bias = true});
    x = qz_activate(g, "normed", qz_group_norm(g, "group_norm", x, 4, 1e-5f), QZ_ACT_RELU);
    x = qz_max_pool2d(g, "down", x, &(qz_pool2d_options){.kernel_h = 2});
    x = qz_l2_norm(g, "scale_weight", "l2", x);
    x = qz_layer_norm(g, "norm", x, 1e-6f);
    x = qz_activate(g, "gelu", qz_linear(g, "mlp", x, 8, true), QZ_ACT_GELU);
    x = qz_layer_scale(g, "layer_scale", "layer_scale", x);
    qz_graph_output(g, "features", x);
    x = qz_flatten(g, "flatten", qz_adaptive_avg_pool2d(g, "pool", x, 1, 1));
    x = qz_linear(g, "fc", qz_dropout(g, "dropout", x, 0.5f), options->num_classes, true);
    qz_graph_output(g, "output", x);
}

static qz_status fuse_all_ops(qz_graph *graph, bool is_qat)
{
    return qzi_fuse(graph, is_qat);
}

static const qz_fill_rule all_ops_rules[] = {{"", 1.4}, {NULL, 0.0}};

static const qzi_arch all_ops = {
    .info = {.name = "all_ops",
             .task = "classification",
             .classes = 5,
             .input_h = SMALL,
             .input_w = SMALL,
             .preprocess = QZI_PREPROCESS_IMAGENET(SMALL + 2, SMALL, QZ_INTERPOLATION_BICUBIC)},
    .fill_rules = all_ops_rules,
    .build = build_all_ops,
    .fuse = fuse_all_ops,
};

/* ---- two lives; the first failure ends each ---- */

static const uint8_t *photo(void)
{
    static uint8_t rgb[3 * SIZE * SIZE];
    for (size_t i = 0; i < sizeof(rgb); i++)
        rgb[i] = (uint8_t)(i * i / 7 + i / SIZE);
    return rgb;
}

static qz_tensor image(void)
{
    static float pixels[3 * SIZE * SIZE];
    qz_random_uniform("image", "", -0.5, 2.0, 3 * SIZE * SIZE, pixels);
    return (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, SIZE, SIZE}, .data = pixels};
}

/* What qz_model_create does, for an architecture that the registry does not have. */
static qz_status make_all_ops(qz_context *ctx, qz_model **model)
{
    QZI_TRY(qzi_model_alloc(ctx, &all_ops, model));
    (*model)->qconfig = (qzi_qconfig){.backend = qzi_backend_get(QZ_BACKEND_NATIVE),
                                      .observer = QZ_OBSERVER_HISTOGRAM,
                                      .per_channel = true};
    QZI_TRY(qzi_model_build(*model, NULL));
    qz_state_dict *dict = NULL;
    QZI_TRY(qz_state_dict_load(ctx, weights_path, &dict));
    qz_status st = qzi_weights_load(*model, dict, weights_path, false);
    qz_state_dict_destroy(dict);
    QZI_TRY(st);
    QZI_TRY(qzi_weights_hash(*model));
    QZI_TRY(qzi_model_fuse(*model));
    QZI_TRY(qzi_model_measure(*model));
    return qz_model_prepare(*model);
}

static qz_status live_all_ops(qz_context *ctx, qz_model **model, qz_session **s)
{
    const qz_tensor input = image();
    const qz_sqnr_row *sqnr = NULL;
    const qz_profile_row *rows = NULL;
    size_t count = 0;
    qz_session_options fp32 = QZ_SESSION_OPTIONS_INIT;
    fp32.precision = QZ_PRECISION_FP32;
    QZI_TRY(make_all_ops(ctx, model));
    QZI_TRY(qz_model_calibrate_u8(*model, photo(), SIZE, SIZE, 3 * SIZE));
    QZI_TRY(qz_session_create(*model, &fp32, &s[0]));
    QZI_TRY(qz_session_run(s[0], &input));
    QZI_TRY(qz_model_convert(*model));
    QZI_TRY(qz_model_save(*model, saved_path));
    QZI_TRY(qz_session_create(*model, NULL, &s[1]));
    qz_session_set_profile(s[1], true);
    QZI_TRY(qz_session_run_u8(s[1], photo(), SIZE, SIZE, 3 * SIZE));
    QZI_TRY(qz_session_profile(s[1], &rows, &count));
    return qz_model_sqnr(*model, &input, &sqnr, &count, NULL, NULL);
}

/* From torchvision's file to a saved model that another process would run. */
static qz_status live_squeezenet(qz_context *ctx, qz_model **model, qz_session **s)
{
    const qz_tensor input = image();
    const char *const exclude[] = {"features.3"};
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.weights = weights_path;
    options.quantize = true;
    options.num_classes = 2;
    options.exclude = exclude;
    options.exclude_count = 1;
    QZI_TRY(qz_squeezenet1_1(ctx, &options, model));
    QZI_TRY(qz_model_calibrate(*model, &input));
    QZI_TRY(qz_model_convert(*model));
    QZI_TRY(qz_model_save(*model, saved_path));
    QZI_TRY(qz_model_finalize(*model, true));
    qz_model_destroy(*model);
    *model = NULL;
    QZI_TRY(qz_model_open(ctx, saved_path, model));
    QZI_TRY(qz_session_create(*model, NULL, &s[0]));
    return qz_session_run(s[0], &input);
}

typedef qz_status (*life_fn)(qz_context *ctx, qz_model **model, qz_session **sessions);

static qz_status live(life_fn life, qz_context *ctx)
{
    qz_model *model = NULL;
    qz_session *sessions[2] = {NULL, NULL};
    qz_status st = life(ctx, &model, sessions);
    qz_session_destroy(sessions[0]);
    qz_session_destroy(sessions[1]);
    qz_model_destroy(model);
    return st;
}

/* ---- the sweep ---- */

/* What is in the folder beside the weights and a complete saved model; removes that. */
static void expect_no_remains(int64_t at)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' && !strstr(weights_path, entry->d_name) &&
            !strstr(saved_path, entry->d_name))
            fail_msg("allocation %" PRId64 " fails: %s stays behind", at, entry->d_name);
    closedir(dir);
    unlink(saved_path);
}

static void sweep(life_fn life, int64_t step)
{
    counting memory = COUNTING_INIT;
    qz_context *ctx = counting_context(&memory, 1);
    assert_non_null(ctx);
    const int64_t before = memory.live;
    memory.total = 0;
    if (live(life, ctx) != QZ_OK)
        fail_msg("with all memory: %s", qz_context_message(ctx));
    const int64_t all = memory.total;
    assert_true(all > 200); /* else the allocator is not asked at all */
    int64_t failed = 0;
    for (int64_t at = 0; at <= all; at += at < 60 || at + step > all ? 1 : step) {
        memory.total = 0;
        memory.fail_at = at;
        qz_status st = live(life, ctx);
        if (at == all ? st != QZ_OK : st != QZ_ERR_MEMORY)
            fail_msg("allocation %" PRId64 " of %" PRId64 " fails: %s: %s", at, all,
                     qz_status_name(st), qz_context_message(ctx));
        if (st != QZ_OK && !strstr(qz_context_message(ctx), "memory"))
            fail_msg("allocation %" PRId64 " fails: the message is \"%s\"", at,
                     qz_context_message(ctx));
        failed += st != QZ_OK;
        assert_int_equal(memory.live, before);
        expect_no_remains(at);
    }
    print_message("%" PRId64 " of %" PRId64 " allocations failed in turn\n", failed, all);
    memory.fail_at = -1;
    qz_context_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* Parameters as torchvision keeps them: before fusing. */
static void write_weights(qz_context *ctx, const qz_graph *graph)
{
    static qz_safetensors_entry entries[256];
    size_t count = qz_graph_param_count(graph);
    assert_true(count > 0 && count <= QZI_ARRAY_LEN(entries));
    for (size_t i = 0; i < count; i++) {
        qz_param_info info;
        qz_graph_param_at(graph, i, &info);
        entries[i] = (qz_safetensors_entry){info.key, *info.tensor};
    }
    if (qz_safetensors_save(ctx, weights_path, entries, count, NULL, NULL, 0) != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
}

static void test_all_ops(void **state)
{
    (void)state;
    qz_context *ctx = NULL;
    qz_model *model = NULL;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    if (qzi_model_alloc(ctx, &all_ops, &model) != QZ_OK || qzi_model_build(model, NULL) != QZ_OK ||
        qzi_weights_random(model, "random:3") != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    write_weights(ctx, model->graph);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    sweep(live_all_ops, 1);
}

static void test_squeezenet(void **state)
{
    (void)state;
    qz_context *ctx = NULL;
    qz_model *model = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.num_classes = 2;
    options.skip_fuse = true;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    if (qz_squeezenet1_1(ctx, &options, &model) != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    write_weights(ctx, qz_model_graph(model, false));
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    sweep(live_squeezenet, all_of_them ? 1 : 7);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(weights_path, sizeof(weights_path), "%s/weights.safetensors", folder);
    snprintf(saved_path, sizeof(saved_path), "%s/int8.safetensors", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(saved_path);
    unlink(weights_path);
    return rmdir(folder);
}

int main(int argc, char **argv)
{
    all_of_them = argc > 1 && strcmp(argv[1], "--all") == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_ops),
        cmocka_unit_test(test_squeezenet),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
