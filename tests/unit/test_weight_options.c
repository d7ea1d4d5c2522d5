/* SPDX-License-Identifier: MIT */
/*
 * test_weight_options.c - options of an int8 model's weights, in every backend: what each does to
 * the weights, that saved models keep them, and what is refused.
 */
#include "assert_ok.h"
#include "counting.h"
#include "zoo/model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIDE = 16, CLASSES = 10, IMAGES = 4 };

static const qz_backend backends[] = {QZ_BACKEND_FBGEMM, QZ_BACKEND_QNNPACK, QZ_BACKEND_NATIVE};
static const qz_preprocess recipe = {.crop_h = SIDE, .crop_w = SIDE, .std = {1, 1, 1}};

static qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t oc, int32_t groups,
                     int32_t k)
{
    return qz_conv2d(
        g, name, x,
        &(qz_conv2d_options){
            .out_channels = oc, .kernel_h = k, .padding_h = k / 2, .groups = groups, .bias = true});
}

static qz_graph *build(qz_context *ctx)
{
    qz_graph *g = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = conv(g, "stem", qz_graph_input(g, "input", 3), 16, 1, 3);
    x = qz_activate(g, "relu", x, QZ_ACT_RELU);
    x = qz_activate(g, "relu6", conv(g, "depthwise", x, 16, 16, 3), QZ_ACT_RELU6);
    x = conv(g, "project", x, 24, 1, 1);
    x = qz_flatten(g, "flatten", qz_adaptive_avg_pool2d(g, "avgpool", x, 1, 1));
    qz_graph_output(g, "logits", qz_linear(g, "fc", x, CLASSES, true));
    return g;
}

/* Calibrated and converted. */
static qz_model *make(qz_context *ctx, const qz_model_options *options)
{
    qz_model *model = NULL;
    ASSERT_OK(ctx, qz_model_from_graph(ctx, "small", build(ctx), &recipe, options, &model));
    ASSERT_OK(ctx, qz_model_calibrate_synthetic(model, IMAGES));
    ASSERT_OK(ctx, qz_model_convert(model));
    return model;
}

static qz_model_options options_of(qz_backend backend)
{
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.quantize = true;
    options.backend = backend;
    return options;
}

static const qzi_node *node_of(const qz_model *model, const char *name)
{
    const qz_value value = qzi_graph_find(model->int8_graph, name);
    assert_true(value >= 0);
    return &model->int8_graph->nodes[value];
}

/* How many scales a layer's weights have. */
static size_t count_scales(const qz_model *model, const char *name)
{
    const qzi_node *node = node_of(model, name);
    size_t count = 0;
    for (int32_t o = 0; o < node->u.conv.oc; o++) {
        int32_t before = 0;
        while (before < o && node->qw->scales[before] != node->qw->scales[o])
            before++;
        count += before == o;
    }
    return count;
}

static uint64_t hash_of(const qz_model *model)
{
    uint64_t hash = QZI_FNV_OFFSET;
    for (size_t i = 0; i < model->int8_graph->node_count; i++) {
        const qzi_node *node = &model->int8_graph->nodes[i];
        if (!node->qw)
            continue;
        const size_t oc = (size_t)node->u.conv.oc;
        const size_t per = (size_t)(node->u.conv.ic / node->u.conv.groups * node->u.conv.kh) *
                           (size_t)node->u.conv.kw;
        hash = qzi_fnv1a_numbers(node->qw->w, oc * per, 1, hash);
        hash = qzi_fnv1a_numbers(node->qw->scales, oc, sizeof(float), hash);
        hash = qzi_fnv1a_numbers(node->qw->bias, oc, sizeof(int32_t), hash);
    }
    return hash;
}

/* The model as a file of its own gives it back: the same weights and facts. */
static void check_saved(qz_context *ctx, qz_model *model)
{
    char path[] = "/tmp/qzoo-weights-XXXXXX";
    qz_model *opened = NULL;
    qz_model_info want, got;
    close(mkstemp(path));
    ASSERT_OK(ctx, qz_model_save(model, path));
    ASSERT_OK(ctx, qz_model_open_graph(ctx, path, build(ctx), &opened));
    assert_true(hash_of(opened) == hash_of(model));
    qz_model_get_info(model, &want);
    qz_model_get_info(opened, &got);
    assert_string_equal(got.weight_scales, want.weight_scales);
    assert_string_equal(got.recipe, want.recipe);
    assert_string_equal(got.rounding, want.rounding);
    assert_int_equal(got.weight_bits, want.weight_bits);
    qz_model_destroy(opened);
    unlink(path);
}

/* ---- one scale a layer, or one a channel ---- */

static void test_scales(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
        uint64_t hash[3];
        counting memory = COUNTING_INIT;
        qz_context *ctx = counting_context(&memory, 1);
        for (int way = 0; way < 3; way++) { /* the backend's, per channel, per tensor */
            qz_model_options options = options_of(backends[i]);
            qz_model_info info;
            options.per_channel = way == 1;
            options.per_tensor = way == 2;
            const bool channels =
                way == 1 || (way == 0 && qzi_backend_get(backends[i])->per_channel);
            qz_model *model = make(ctx, &options);
            hash[way] = hash_of(model);
            qz_model_get_info(model, &info);
            assert_string_equal(info.weight_scales, channels ? "channel" : "tensor");
            assert_int_equal(count_scales(model, "stem"), channels ? 16 : 1);
            assert_int_equal(count_scales(model, "project"), channels ? 24 : 1);
            assert_int_equal(count_scales(model, "fc"), channels ? CLASSES : 1);
            check_saved(ctx, model);
            qz_model_destroy(model);
        }
        assert_true(hash[1] != hash[2]);
        assert_true(hash[0] == hash[qzi_backend_get(backends[i])->per_channel ? 1 : 2]);
        qz_context_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

/* ---- bits ---- */

static int32_t largest(const qz_model *model)
{
    int32_t top = 0;
    for (size_t i = 0; i < model->int8_graph->node_count; i++) {
        const qzi_node *node = &model->int8_graph->nodes[i];
        const int64_t count = node->qw ? (int64_t)node->u.conv.oc * node->u.conv.ic /
                                             node->u.conv.groups * node->u.conv.kh * node->u.conv.kw
                                       : 0;
        for (int64_t k = 0; k < count; k++)
            top = QZI_MAX(top, abs(node->qw->w[k]));
    }
    return top;
}

static void test_bits(void **state)
{
    (void)state;
    static const int32_t bits[] = {0, 8, 7, 4}, tops[] = {128, 128, 63, 7};
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++)
        for (qz_recipe chosen = QZ_RECIPE_NONE; chosen <= QZ_RECIPE_BEST; chosen++) {
            uint64_t hash[4];
            counting memory = COUNTING_INIT;
            qz_context *ctx = counting_context(&memory, 1);
            for (size_t b = 0; b < QZI_ARRAY_LEN(bits); b++) {
                qz_model_options options = options_of(backends[i]);
                qz_model_info info;
                options.weight_bits = bits[b];
                options.recipe = chosen;
                qz_model *model = make(ctx, &options);
                hash[b] = hash_of(model);
                qz_model_get_info(model, &info);
                assert_int_equal(info.weight_bits, b == 0 ? 8 : bits[b]);
                /* the largest is there, and none beyond */
                assert_in_range(largest(model), tops[b] / 2 + 1, tops[b]);
                check_saved(ctx, model);
                qz_model_destroy(model);
            }
            assert_true(hash[0] == hash[1] && hash[1] != hash[2] && hash[2] != hash[3]);
            qz_context_destroy(ctx);
            assert_int_equal(memory.live, 0);
        }
}

/* ---- ranges and roundings ---- */

/* What an application gets: the last step's SQNR. */
static double last_db(const qz_model *model)
{
    const qz_recipe_step *steps;
    size_t count;
    qz_model_recipe_steps(model, &steps, &count);
    assert_true(count > 0);
    return steps[count - 1].output_db;
}

static uint64_t hash_with(qz_isa isa, uint32_t threads, const qz_model_options *options, double *db)
{
    qz_context_options how = QZ_CONTEXT_OPTIONS_INIT;
    qz_context *ctx = NULL;
    how.isa = isa;
    how.threads = threads;
    assert_int_equal(qz_context_create(&how, &ctx), QZ_OK);
    qz_model *model = make(ctx, options);
    const uint64_t hash = hash_of(model);
    *db = last_db(model);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    return hash;
}

static void test_rounding(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
        qz_model_options options = options_of(backends[i]);
        double fast_db, best_db, db;
        options.weight_bits = 4;
        options.equalize = QZ_EQUALIZATION_NONE; /* best has it, fast has not */
        options.recipe = QZ_RECIPE_FAST;
        const uint64_t fast = hash_with(QZ_ISA_AUTO, 1, &options, &fast_db);
        options.rounding = QZ_ROUNDING_ADAROUND;
        const uint64_t rounded = hash_with(QZ_ISA_AUTO, 1, &options, &best_db);
        options.rounding = QZ_ROUNDING_DEFAULT;
        options.recipe = QZ_RECIPE_BEST;
        assert_true(fast != rounded);
        assert_true(rounded == hash_with(QZ_ISA_AUTO, 1, &options, &db));
        assert_true(rounded == hash_with(QZ_ISA_REF, 1, &options, &db));
        assert_true(rounded == hash_with(QZ_ISA_AUTO, 3, &options, &db));
        if (!(best_db > fast_db + 1.0))
            fail_msg("%s: %g dB, not more than %g", qz_backend_name(backends[i]), best_db, fast_db);
        options.iterations = 1;
        assert_true(rounded != hash_with(QZ_ISA_AUTO, 1, &options, &db));
        options.iterations = 0;
        options.rounding = QZ_ROUNDING_NEAREST;
        assert_true(fast == hash_with(QZ_ISA_AUTO, 1, &options, &db));
        /* alone */
        options.recipe = QZ_RECIPE_NONE;
        options.rounding = QZ_ROUNDING_ADAROUND;
        options.bias_correction = QZ_BIAS_CORRECTION_NONE;
        assert_true(rounded != hash_with(QZ_ISA_AUTO, 2, &options, &db));
    }
}

static void refuse(qz_context *ctx, const qz_model_options *options, const char *text)
{
    qz_model *model = NULL;
    const qz_status st = qz_model_from_graph(ctx, "small", build(ctx), &recipe, options, &model);
    assert_int_equal(st, QZ_ERR_ARGUMENT);
    assert_null(model);
    if (!strstr(qz_context_message(ctx), text))
        fail_msg("message '%s' lacks '%s'", qz_context_message(ctx), text);
}

static void test_refused(void **state)
{
    (void)state;
    counting memory = COUNTING_INIT;
    qz_context *ctx = counting_context(&memory, 1);
    qz_model_options options = options_of(QZ_BACKEND_FBGEMM);
    options.per_channel = options.per_tensor = true;
    refuse(ctx, &options, "per_tensor");
    options = options_of(QZ_BACKEND_AUTO);
    options.statistics = options.per_tensor = true;
    refuse(ctx, &options, "statistics");
    options = options_of(QZ_BACKEND_FBGEMM);
    options.weight_bits = 5;
    refuse(ctx, &options, "5 bits");
    options.weight_bits = 0;
    options.iterations = 5;
    refuse(ctx, &options, "iterations");
    options.rounding = (qz_rounding)9;
    refuse(ctx, &options, "rounding number 9");
    qz_context_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
