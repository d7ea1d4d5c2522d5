/* SPDX-License-Identifier: MIT */
/*
 * test_ptq_families.c - every architecture becomes int8 in every backend: it is calibrated on two
 * small images, converted, saved, opened again; the opened model gives the same bytes, in its
 * output and in the file that it saves.
 *
 * Without an argument one small model of each family; with --all every architecture; else those
 * that are named.
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

/* Large enough for inception_v3, and a multiple of 32 for YOLO. */
enum { SIZE = 96, PIXELS = 3 * SIZE * SIZE };

static const char *const quick[] = {
    "resnet18",   "mobilenet_v2",       "squeezenet1_1",   "densenet121",
    "mnasnet0_5", "regnet_x_400mf",     "regnet_y_400mf",  "mobilenet_v3_small",
    "googlenet",  "shufflenet_v2_x0_5", "efficientnet_b0", "convnext_tiny",
    "yolov5n",
};

static const char *const backends[] = {"fbgemm", "qnnpack", "native"};

static bool all_models;
static char **named;
static int named_count;

static void check(const qz_context *ctx, const char *what, qz_status st)
{
    if (st != QZ_OK)
        fail_msg("%s: %s: %s", what, qz_status_name(st), qz_context_message(ctx));
}

static qz_tensor image(int64_t index, float data[PIXELS])
{
    qz_synthetic_image(index, SIZE, SIZE, data);
    return (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, SIZE, SIZE}, .data = data};
}

/* A name in the folder for temporary files; the caller unlinks it. */
static void temporary(char path[1024], int number)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, 1024, "%s/qzoo_ptq_%ld_%d.safetensors", folder ? folder : "/tmp", (long)getpid(),
             number);
}

static uint64_t output_hash(qz_context *ctx, qz_model *model)
{
    static float pixels[PIXELS];
    qz_session *session = NULL;
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    const qz_tensor *output = NULL;
    qz_tensor input = image(2, pixels);
    options.precision = QZ_PRECISION_INT8;
    check(ctx, "session", qz_session_create(model, &options, &session));
    check(ctx, "run", qz_session_run(session, &input));
    check(ctx, "output", qz_session_output(session, 0, NULL, &output));
    const float *values = output->data;
    size_t count = (size_t)qz_tensor_numel(output);
    bool varies = false;
    for (size_t i = 0; i < count; i++) {
        assert_true(isfinite(values[i]));
        varies = varies || values[i] != values[0];
    }
    assert_true(varies);
    uint64_t hash = qzi_fnv1a(values, count * sizeof(float), QZI_FNV_OFFSET);
    qz_session_destroy(session);
    return hash;
}

static uint64_t file_hash(const char *path)
{
    static uint8_t block[1 << 16];
    uint64_t hash = QZI_FNV_OFFSET;
    size_t n;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    while ((n = fread(block, 1, sizeof(block), f)) > 0)
        hash = qzi_fnv1a(block, n, hash);
    fclose(f);
    return hash;
}

/* "12 of 70 nodes fp32" */
static void print_model(const char *name, const char *backend, qz_model *model, double db)
{
    const qz_graph *graph = qz_model_graph(model, true);
    size_t nodes = qz_graph_node_count(graph), fallbacks = 0;
    for (size_t i = 0; i < nodes; i++) {
        qz_node_info info;
        qz_graph_node_at(graph, i, &info);
        fallbacks += info.fallback_reason[0] != '\0';
    }
    printf("%-18s %-8s %5.1f dB, %zu of %zu nodes fall back\n", name, backend, db, fallbacks,
           nodes);
    fflush(stdout);
}

static void check_model(const char *name, const char *backend, bool transform_input)
{
    static float pixels[PIXELS];
    char path[2][1024];
    qz_context *ctx = NULL;
    qz_model *model = NULL, *opened = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    options.weights = "random:1";
    options.quantize = true;
    options.transform_input = transform_input;
    assert_true(qz_backend_parse(backend, &options.backend));
    check(ctx, name, qz_model_create(ctx, name, &options, &model));
    for (int64_t i = 0; i < 2; i++) {
        qz_tensor x = image(i, pixels);
        check(ctx, name, qz_model_calibrate(model, &x));
    }
    check(ctx, name, qz_model_convert(model));

    const qz_sqnr_row *rows;
    size_t count;
    double db = 0.0, agreement;
    qz_tensor x = image(2, pixels);
    check(ctx, name, qz_model_sqnr(model, &x, &rows, &count, &db, &agreement));
    print_model(name, backend, model, db);

    uint64_t hash = output_hash(ctx, model);
    temporary(path[0], 0);
    temporary(path[1], 1);
    check(ctx, name, qz_model_save(model, path[0]));
    qz_model_destroy(model);
    check(ctx, name, qz_model_open(ctx, path[0], &opened));
    assert_int_equal(output_hash(ctx, opened), hash);
    check(ctx, name, qz_model_save(opened, path[1]));
    assert_int_equal(file_hash(path[0]), file_hash(path[1]));
    qz_model_destroy(opened);
    unlink(path[0]);
    unlink(path[1]);
    qz_context_destroy(ctx);
}

static void check_backends(const char *name)
{
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++)
        check_model(name, backends[i], false);
}

static void test_families(void **state)
{
    (void)state;
    if (all_models) {
        for (size_t i = 0; i < qz_arch_count(); i++) {
            qz_arch_info arch;
            qz_arch_at(i, &arch);
            if (strcmp(arch.task, "classification") == 0)
                check_backends(arch.name);
        }
    } else if (named_count > 0) {
        for (int i = 0; i < named_count; i++)
            check_backends(named[i]);
    } else {
        for (size_t i = 0; i < QZI_ARRAY_LEN(quick); i++)
            check_backends(quick[i]);
    }
}

/* It is a layer of the saved model too. */
static void test_transform_input(void **state)
{
    (void)state;
    check_model("googlenet", "fbgemm", true);
}

int main(int argc, char **argv)
{
    all_models = argc > 1 && strcmp(argv[1], "--all") == 0;
    if (!all_models && argc > 1) {
        named = argv + 1;
        named_count = argc - 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_transform_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
