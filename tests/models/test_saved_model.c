/* SPDX-License-Identifier: MIT */
/*
 * test_saved_model.c - int8 models from end to end on small images: the same bytes (float output,
 * int8 output, saved file) on every instruction set, for any number of threads and batch; saving,
 * opening, and refusing damaged files.
 */
#include "zoo/model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 48, IMAGES = 4, PIXELS = 3 * SIZE * SIZE };

/* What a model is made of in a test. */
struct recipe {
    const char *arch;
    qz_backend backend;
    qz_observer_kind observer;
    bool relu, skip_fuse;
    const char *fallback, *exclude;
};

static const struct recipe recipes[] = {
    {.arch = "resnet18", .backend = QZ_BACKEND_FBGEMM},
    {.arch = "resnet18",
     .backend = QZ_BACKEND_QNNPACK,
     .fallback = "strided_pointwise",
     .exclude = "fc"},
    {.arch = "mobilenet_v2", .backend = QZ_BACKEND_FBGEMM, .relu = true},
    {.arch = "mobilenet_v2", .backend = QZ_BACKEND_QNNPACK, .observer = QZ_OBSERVER_MINMAX},
    {.arch = "squeezenet1_1", .backend = QZ_BACKEND_FBGEMM},
    {.arch = "mobilenet_v2", .backend = QZ_BACKEND_FBGEMM, .skip_fuse = true},
};

/* ---- helpers ---- */

static void check(const qz_context *ctx, qz_status st)
{
    if (st != QZ_OK)
        fail_msg("%s: %s", qz_status_name(st), qz_context_message(ctx));
}

static qz_context *context(qz_isa isa, uint32_t threads)
{
    qz_context *ctx = NULL;
    qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
    options.isa = isa;
    options.threads = threads;
    assert_int_equal(qz_context_create(&options, &ctx), QZ_OK);
    return ctx;
}

/* IMAGES different pictures: coarse structure, noise. */
static const float *images(void)
{
    static float data[IMAGES * PIXELS];
    static bool made;
    if (!made) {
        static float coarse[IMAGES * 3 * 64];
        qz_random_uniform("images.coarse", "", -0.5, 3.0, IMAGES * 3 * 64, coarse);
        qz_random_uniform("images", "", -0.5, 1.0, IMAGES * PIXELS, data);
        for (int i = 0; i < IMAGES * PIXELS; i++) {
            int plane = i / (SIZE * SIZE), y = i / SIZE % SIZE, x = i % SIZE;
            data[i] += coarse[plane * 64 + y / 8 * 8 + x / 8];
        }
        made = true;
    }
    return data;
}

static qz_tensor batch(int first, int count)
{
    return (qz_tensor){.dtype = QZ_F32,
                       .ndim = 4,
                       .dims = {count, 3, SIZE, SIZE},
                       .data = (float *)images() + first * PIXELS};
}

static qz_model *prepared(qz_context *ctx, const struct recipe *recipe)
{
    qz_model *model = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.weights = "random:1";
    options.quantize = true;
    options.backend = recipe->backend;
    options.observer = recipe->observer;
    options.relu = recipe->relu;
    options.skip_fuse = recipe->skip_fuse;
    options.exclude = &recipe->exclude;
    options.exclude_count = recipe->exclude != NULL;
    options.fallback = &recipe->fallback;
    options.fallback_count = recipe->fallback != NULL;
    check(ctx, qz_model_create(ctx, recipe->arch, &options, &model));
    return model;
}

static qz_model *converted(qz_context *ctx, const struct recipe *recipe)
{
    qz_model *model = prepared(ctx, recipe);
    const qz_tensor all = batch(0, IMAGES);
    check(ctx, qz_model_calibrate(model, &all));
    check(ctx, qz_model_convert(model));
    return model;
}

static qz_session *session(qz_context *ctx, qz_model *model, qz_precision precision)
{
    qz_session *s = NULL;
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    options.precision = precision;
    check(ctx, qz_session_create(model, &options, &s));
    return s;
}

/* FNV-1a of the output of all images, run in batches of `n`. */
static uint64_t output_hash(qz_context *ctx, qz_model *model, qz_precision precision, int n)
{
    uint64_t hash = QZI_FNV_OFFSET;
    qz_session *s = session(ctx, model, precision);
    for (int i = 0; i < IMAGES; i += n) {
        const qz_tensor input = batch(i, n);
        const qz_tensor *output = NULL;
        check(ctx, qz_session_run(s, &input));
        check(ctx, qz_session_output(s, 0, NULL, &output));
        hash = qzi_fnv1a(output->data, (size_t)qz_tensor_numel(output) * sizeof(float), hash);
    }
    qz_session_destroy(s);
    return hash;
}

/* A name in the folder for temporary files; the caller unlinks it. */
static const char *temporary(const char *name)
{
    static char path[4][512];
    static int turn;
    const char *folder = getenv("TMPDIR");
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof(path[turn]), "%s/qzoo-%ld-%s.safetensors", folder ? folder : "/tmp",
             (long)getpid(), name);
    return path[turn];
}

static unsigned char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void write_file(const char *path, const unsigned char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static uint64_t file_hash(const char *path)
{
    size_t size;
    unsigned char *bytes = read_file(path, &size);
    uint64_t hash = qzi_fnv1a(bytes, size, QZI_FNV_OFFSET);
    free(bytes);
    return hash;
}

/* ---- the same bytes everywhere ---- */

static void test_same_bytes(void **state)
{
    (void)state;
    for (size_t r = 0; r < QZI_ARRAY_LEN(recipes); r++) {
        uint64_t expected[3] = {0};
        for (int isa = QZ_ISA_REF; isa < QZ_ISA_COUNT; isa++) {
            if (!qz_isa_available((qz_isa)isa))
                continue;
            /* the reference is slow: once is enough */
            const bool ref = isa == QZ_ISA_REF;
            for (uint32_t threads = ref ? 2 : 1; threads <= 2; threads++) {
                qz_context *ctx = context((qz_isa)isa, threads);
                qz_model *model = prepared(ctx, &recipes[r]);
                /* one by one, or together: calibration may not tell the difference */
                int step = threads == 1 ? 1 : IMAGES;
                for (int i = 0; i < IMAGES; i += step) {
                    const qz_tensor input = batch(i, step);
                    check(ctx, qz_model_calibrate(model, &input));
                }
                check(ctx, qz_model_convert(model));
                const char *path = temporary("bytes");
                check(ctx, qz_model_save(model, path));
                for (int n = ref ? IMAGES : 1; n <= IMAGES; n *= 4) {
                    const uint64_t got[3] = {output_hash(ctx, model, QZ_PRECISION_FP32, n),
                                             output_hash(ctx, model, QZ_PRECISION_INT8, n),
                                             file_hash(path)};
                    if (expected[2] == 0)
                        memcpy(expected, got, sizeof(expected));
                    for (int k = 0; k < 3; k++)
                        if (got[k] != expected[k])
                            fail_msg("%s, %s, %u threads, batch %d: other %s", recipes[r].arch,
                                     qz_isa_name((qz_isa)isa), threads, n,
                                     k == 0   ? "float output"
                                     : k == 1 ? "int8 output"
                                              : "saved file");
                }
                unlink(path);
                qz_model_destroy(model);
                qz_context_destroy(ctx);
            }
        }
    }
}

static void test_images_differ(void **state)
{
    (void)state;
    for (size_t r = 0; r < QZI_ARRAY_LEN(recipes); r++) {
        qz_context *ctx = context(QZ_ISA_AUTO, 0);
        qz_model *model = converted(ctx, &recipes[r]);
        qz_session *s = session(ctx, model, QZ_PRECISION_INT8);
        const qz_tensor both = batch(0, 2);
        const qz_tensor *output = NULL;
        check(ctx, qz_session_run(s, &both));
        check(ctx, qz_session_output(s, 0, NULL, &output));
        const float *logits = output->data;
        size_t row = (size_t)output->dims[1];
        assert_int_equal(row, 1000);
        assert_memory_not_equal(logits, logits + row, row * sizeof(float));
        qz_session_destroy(s);
        qz_model_destroy(model);
        qz_context_destroy(ctx);
    }
}

/* ---- files ---- */

static void test_save_open_save(void **state)
{
    (void)state;
    for (size_t r = 0; r < QZI_ARRAY_LEN(recipes); r++) {
        qz_context *ctx = context(QZ_ISA_AUTO, 0);
        const char *first = temporary("first"), *second = temporary("second");
        qz_model *model = converted(ctx, &recipes[r]), *opened = NULL;
        check(ctx, qz_model_save(model, first));
        check(ctx, qz_model_open(ctx, first, &opened));
        check(ctx, qz_model_save(opened, second));
        assert_int_equal(file_hash(first), file_hash(second));
        assert_int_equal(output_hash(ctx, model, QZ_PRECISION_INT8, 1),
                         output_hash(ctx, opened, QZ_PRECISION_AUTO, 1));

        qz_model_info a, b;
        qz_model_get_info(model, &a);
        qz_model_get_info(opened, &b);
        assert_string_equal(a.name, b.name);
        assert_string_equal(a.backend, b.backend);
        assert_string_equal(a.observer, b.observer);
        assert_string_equal(b.weights, "random:1");
        assert_true(b.random_weights && b.converted);
        assert_int_equal(b.calibration_images, IMAGES);
        assert_int_equal(a.params, b.params);
        assert_int_equal(a.macs, b.macs);
        assert_int_equal(a.fp32_weights_bytes, b.fp32_weights_bytes);
        assert_int_equal(a.int8_weights_bytes, b.int8_weights_bytes);
        assert_true(b.int8_weights_bytes < b.fp32_weights_bytes);
        assert_null(qz_model_graph(opened, false));

        qz_session *s = NULL;
        qz_session_options options = QZ_SESSION_OPTIONS_INIT;
        options.precision = QZ_PRECISION_FP32;
        assert_int_equal(qz_session_create(opened, &options, &s), QZ_ERR_STATE);
        const qz_sqnr_row *rows = NULL;
        size_t count = 0;
        const qz_tensor input = batch(0, 1);
        assert_int_equal(qz_model_sqnr(opened, &input, &rows, &count, NULL, NULL), QZ_ERR_STATE);
        assert_int_equal(qz_model_calibrate(opened, &input), QZ_ERR_STATE);
        assert_int_equal(qz_model_prepare(opened), QZ_ERR_STATE);

        unlink(first);
        unlink(second);
        qz_model_destroy(opened);
        qz_model_destroy(model);
        qz_context_destroy(ctx);
    }
}

/* Replaces the first occurrence of a text by another of the same length. */
static void replace(unsigned char *bytes, size_t size, const char *from, const char *to)
{
    size_t length = strlen(from);
    assert_int_equal(length, strlen(to));
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(bytes + i, from, length) == 0) {
            memcpy(bytes + i, to, length);
            return;
        }
    fail_msg("the file has no %s", from);
}

static void refused(qz_context *ctx, const char *from, const char *to, const unsigned char *bytes,
                    size_t size, qz_status expected, const char *message)
{
    const char *path = temporary("edited");
    unsigned char *copy = malloc(size);
    qz_model *model = NULL;
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    replace(copy, size, from, to);
    write_file(path, copy, size);
    qz_status st = qz_model_open(ctx, path, &model);
    if (st != expected || !strstr(qz_context_message(ctx), message))
        fail_msg("%s -> %s: %s: %s", from, to, qz_status_name(st), qz_context_message(ctx));
    assert_non_null(strstr(qz_context_message(ctx), path));
    assert_null(model);
    unlink(path);
    free(copy);
}

/* Either refused, or a model that runs. */
static void open_and_run(qz_context *ctx, const char *path)
{
    qz_model *model = NULL;
    if (qz_model_open(ctx, path, &model) != QZ_OK) {
        assert_null(model);
        return;
    }
    const qz_tensor input = batch(0, 1);
    qz_session *s = session(ctx, model, QZ_PRECISION_INT8);
    check(ctx, qz_session_run(s, &input));
    qz_session_destroy(s);
    qz_model_destroy(model);
}

static void test_damaged(void **state)
{
    (void)state;
    qz_context *ctx = context(QZ_ISA_AUTO, 1);
    const char *path = temporary("damaged");
    qz_model *model = converted(ctx, &recipes[4]);
    check(ctx, qz_model_save(model, path));
    qz_model_destroy(model);
    size_t size;
    unsigned char *bytes = read_file(path, &size);
    uint64_t header = 0;
    memcpy(&header, bytes, sizeof(header));

    refused(ctx, "qzoo.int8/2", "qzoo.int8/4", bytes, size, QZ_ERR_UNSUPPORTED, "qzoo.int8/4");
    refused(ctx, "qzoo.int8/2", "qzoo.int9/1", bytes, size, QZ_ERR_FORMAT, "not a saved");
    refused(ctx, "\"squeezenet1_1\"", "\"squeezenet7_1\"", bytes, size, QZ_ERR_UNSUPPORTED,
            "squeezenet7_1");
    refused(ctx, "\"squeezenet1_1\"", "\"squeezenet1_0\"", bytes, size, QZ_ERR_FORMAT, "features");
    refused(ctx, "\"fbgemm\"", "\"fbgenm\"", bytes, size, QZ_ERR_FORMAT, "backend");
    refused(ctx, "\"histogram\"", "\"histogran\"", bytes, size, QZ_ERR_FORMAT, "observer");
    refused(ctx, "\"num_classes\":\"1000\"", "\"num_classes\":\"1001\"", bytes, size, QZ_ERR_FORMAT,
            "classifier.1");
    refused(ctx, "\"crop_h\":\"224\"", "\"crop_h\":\"-24\"", bytes, size, QZ_ERR_FORMAT, "crop_h");
    refused(ctx, "\"weights_hash\"", "\"weights_hasg\"", bytes, size, QZ_ERR_FORMAT,
            "weights_hash");
    refused(ctx, "activation.zero_point", "activation.zero_poink", bytes, size, QZ_ERR_FORMAT,
            "activation.zero_point");
    refused(ctx, "classifier.1.bias_f32", "classifier.1.bias_f33", bytes, size, QZ_ERR_FORMAT,
            "classifier.1.bias_f32");

    const size_t lengths[] = {0, 7, 8, 100, (size_t)header / 2, (size_t)header + 8, size - 1};
    for (size_t i = 0; i < QZI_ARRAY_LEN(lengths); i++) {
        qz_model *opened = NULL;
        write_file(path, bytes, lengths[i]);
        qz_status st = qz_model_open(ctx, path, &opened);
        /* too little of it is no known format at all */
        assert_true(st == QZ_ERR_FORMAT || (st == QZ_ERR_UNSUPPORTED && lengths[i] < 1000));
        assert_null(opened);
    }
    /* bits flipped in the header, and in the numbers right behind it and everywhere */
    uint64_t seed = 1;
    for (int i = 0; i < 150; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t within = i % 3 == 0 ? (size_t)header + 8 : i % 3 == 1 ? (size_t)header + 600 : size;
        size_t at = (size_t)(seed >> 20) % within;
        unsigned char bit = (unsigned char)(1u << (seed >> 60 & 7));
        bytes[at] ^= bit;
        write_file(path, bytes, size);
        open_and_run(ctx, path);
        bytes[at] ^= bit;
    }
    unlink(path);
    qz_model *none = NULL;
    assert_int_equal(qz_model_open(ctx, path, &none), QZ_ERR_IO);
    free(bytes);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_save_open_save),
        cmocka_unit_test(test_images_differ),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
