/* SPDX-License-Identifier: MIT */
/*
 * test_model_memory.c - what a model and its sessions hold, seen by the allocator: no float weights
 * in what convert makes, one packing for all sessions of a bundle, and after finalize nothing but
 * what was packed, from which sessions go on with the same bytes.
 */
#include "assert_ok.h"
#include "counting.h"
#include "layers/qzoo_cpu.h"
#include "zoo/model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 48, CLASSES = 10 };

/* Graphs, names, options: all that is not weights. */
#define SMALL (128 << 10)

/* The call is refused, and the message says why. */
#define REFUSED(ctx, call, text)                                                        \
    do {                                                                                \
        const qz_status refused_status = (call);                                        \
        if (refused_status != QZ_ERR_STATE || !strstr(qz_context_message(ctx), (text))) \
            fail_msg("%s: %s: %s", #call, qz_status_name(refused_status),               \
                     qz_context_message(ctx));                                          \
    } while (0)

static float pixels[3 * SIZE * SIZE];

static qz_tensor image(void)
{
    qz_random_uniform("image", "", -0.5, 2.0, 3 * SIZE * SIZE, pixels);
    return (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, SIZE, SIZE}, .data = pixels};
}

/* Calibrated, not converted. */
static qz_model *calibrated(qz_context *ctx, const char *const *islands, size_t count)
{
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    const qz_tensor input = image();
    qz_model *model = NULL;
    o.quantize = true;
    o.num_classes = CLASSES;
    o.exclude = islands;
    o.exclude_count = count;
    ASSERT_OK(ctx, qz_squeezenet1_1(ctx, &o, &model));
    ASSERT_OK(ctx, qz_model_calibrate(model, &input));
    return model;
}

static void run(qz_context *ctx, qz_session *s, float output[CLASSES])
{
    const qz_tensor input = image();
    const qz_tensor *tensor = NULL;
    ASSERT_OK(ctx, qz_session_run(s, &input));
    ASSERT_OK(ctx, qz_session_output(s, 0, NULL, &tensor));
    memcpy(output, tensor->data, CLASSES * sizeof(float));
}

/* squeezenet1_1 with 10 classes: weights and biases of 26 convolutions. */
static size_t float_bytes_of(const qz_model *model)
{
    const qz_graph *graph = qz_model_graph(model, false);
    size_t bytes = 0;
    for (size_t i = 0; i < qz_graph_param_count(graph); i++) {
        qz_param_info info;
        qz_graph_param_at(graph, i, &info);
        bytes += (size_t)qz_tensor_numel(info.tensor) * sizeof(float);
    }
    return bytes;
}

static void convert_makes_no_float_weights(void **state)
{
    (void)state;
    static const char *const islands[] = {"features.3.expand3x3"};
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    qz_model_memory m;

    qz_model *model = calibrated(ctx, NULL, 0);
    const size_t floats = float_bytes_of(model);
    qz_model_get_memory(model, &m);
    assert_int_equal(m.float_bytes, floats);
    assert_int_equal(m.canonical_bytes + m.island_bytes + m.packed_bytes + m.packings, 0);
    ASSERT_OK(ctx, qz_model_convert(model));
    qz_model_get_memory(model, &m);
    assert_int_equal(m.island_bytes, 0);
    assert_int_equal(m.packings, 0); /* calibration's went with it */
    assert_true(4 * m.canonical_bytes > floats && 3 * m.canonical_bytes < floats);
    /* the float model beside the int8 one, and nothing else */
    assert_true(c.bytes < (int64_t)(m.float_bytes + m.canonical_bytes) + SMALL);
    ASSERT_OK(ctx, qz_model_drop_float(model));
    qz_model_get_memory(model, &m);
    assert_int_equal(m.float_bytes, 0);
    assert_true(c.bytes < (int64_t)m.canonical_bytes + SMALL);
    print_message(
        "squeezenet1_1, %d classes: %zu bytes of float weights, %zu canonical, %lld other\n",
        CLASSES, floats, m.canonical_bytes, (long long)c.bytes - (long long)m.canonical_bytes);
    qz_model_destroy(model);

    /* but those of what was asked to stay fp32: 3x3 of 16 to 64 channels */
    model = calibrated(ctx, islands, 1);
    ASSERT_OK(ctx, qz_model_convert(model));
    ASSERT_OK(ctx, qz_model_drop_float(model));
    qz_model_get_memory(model, &m);
    assert_int_equal(m.island_bytes, (64 * 16 * 9 + 64) * sizeof(float));
    assert_true(c.bytes < (int64_t)(m.canonical_bytes + m.island_bytes) + SMALL);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

static void sessions_share_what_is_packed(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    qz_session_options o = QZ_SESSION_OPTIONS_INIT;
    qz_session *s[6] = {NULL};
    qz_model_memory before, m;
    qz_session_memory sm;
    float first[CLASSES], other[CLASSES];
    qz_model *model = calibrated(ctx, NULL, 0);
    ASSERT_OK(ctx, qz_model_convert(model));

    int64_t bytes = c.bytes;
    ASSERT_OK(ctx, qz_session_create(model, &o, &s[0]));
    qz_session_get_memory(s[0], &sm);
    qz_model_get_memory(model, &before);
    assert_int_equal(before.packings, 1);
    assert_int_equal(before.packed_bytes, sm.packed_bytes);
    assert_int_equal(qz_session_packed_bytes(s[0]), sm.packed_bytes);
    assert_int_equal(sm.planned_bytes + sm.liveness_bytes + sm.scratch_bytes, 0); /* no run yet */
    assert_true(c.bytes >= bytes + (int64_t)sm.packed_bytes);
    assert_true(c.bytes < bytes + (int64_t)sm.packed_bytes + SMALL);
    run(ctx, s[0], first);
    qz_session_get_memory(s[0], &sm);
    assert_true(sm.liveness_bytes > 0 && sm.planned_bytes >= sm.liveness_bytes);
    assert_int_equal(sm.planned_bytes + sm.scratch_bytes, qz_session_arena_bytes(s[0]));

    bytes = c.bytes;
    for (int i = 1; i < 4; i++) {
        o.threads = (uint32_t)i; /* no matter for weights */
        ASSERT_OK(ctx, qz_session_create(model, &o, &s[i]));
    }
    qz_model_get_memory(model, &m);
    assert_memory_equal(&m, &before, sizeof(m));
    assert_true(c.bytes < bytes + SMALL / 8);
    bytes = c.bytes;
    run(ctx, s[1], other); /* its own arena, and no weights */
    assert_memory_equal(first, other, sizeof(first));
    assert_true(c.bytes < bytes + (int64_t)(sm.planned_bytes + sm.scratch_bytes) + SMALL);

    /* another bundle and another precision have a packing each; two sessions share it too */
    o.precision = QZ_PRECISION_FP32;
    ASSERT_OK(ctx, qz_session_create(model, &o, &s[4]));
    ASSERT_OK(ctx, qz_session_create(model, &o, &s[5]));
    qz_model_get_memory(model, &m);
    assert_int_equal(m.packings, 2);
    qz_session_get_memory(s[4], &sm);
    assert_int_equal(m.packed_bytes, before.packed_bytes + sm.packed_bytes);
    if (qz_isa_best() != QZ_ISA_REF) {
        qz_session *ref = NULL;
        o = (qz_session_options)QZ_SESSION_OPTIONS_INIT;
        o.isa = QZ_ISA_REF;
        ASSERT_OK(ctx, qz_session_create(model, &o, &ref));
        qz_model_get_memory(model, &m);
        assert_int_equal(m.packings, 3);
        run(ctx, ref, other);
        assert_memory_equal(first, other, sizeof(first));
        qz_session_destroy(ref);
    }
    for (int i = 0; i < 6; i++)
        qz_session_destroy(s[i]);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

static void finalize_keeps_what_is_packed(void **state)
{
    (void)state;
    static const char *const islands[] = {"features.3.expand3x3"};
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    qz_session_options o = QZ_SESSION_OPTIONS_INIT;
    qz_session *before = NULL, *after = NULL, *none = NULL;
    qz_model_memory m, held;
    const qz_sqnr_row *rows = NULL;
    const qz_tensor input = image();
    size_t count = 0;
    float first[CLASSES], again[CLASSES];
    qz_model *model = calibrated(ctx, islands, 1);
    ASSERT_OK(ctx, qz_model_convert(model));
    ASSERT_OK(ctx, qz_session_create(model, &o, &before));
    run(ctx, before, first);

    qz_model_get_memory(model, &m);
    int64_t bytes = c.bytes;
    ASSERT_OK(ctx, qz_model_finalize(model, true));
    qz_model_get_memory(model, &held);
    assert_int_equal(held.float_bytes + held.canonical_bytes + held.island_bytes, 0);
    assert_int_equal(held.packings, 1);
    assert_int_equal(held.packed_bytes, m.packed_bytes);
    assert_true(c.bytes <= bytes - (int64_t)(m.float_bytes + m.canonical_bytes + m.island_bytes));
    assert_true(c.bytes < (int64_t)(held.packed_bytes + qz_session_arena_bytes(before)) + SMALL);
    print_message("finalize: %lld bytes before, %lld after, %zu of them packed\n", (long long)bytes,
                  (long long)c.bytes, held.packed_bytes);

    run(ctx, before, again);
    assert_memory_equal(first, again, sizeof(first));
    ASSERT_OK(ctx, qz_session_create(model, &o, &after));
    run(ctx, after, again);
    assert_memory_equal(first, again, sizeof(first));

    REFUSED(ctx, qz_model_save(model, "/nowhere/m.safetensors"), "save before qz_model_finalize");
    REFUSED(ctx, qz_model_sqnr(model, &input, &rows, &count, NULL, NULL),
            "there is no float model");
    REFUSED(ctx, qz_model_calibrate(model, &input), "already int8");
    REFUSED(ctx, qz_model_convert(model), "already int8");
    REFUSED(ctx, qz_model_prepare(model), "already int8");
    REFUSED(ctx, qz_model_fuse(model, false), "there is no float model");
    o.precision = QZ_PRECISION_FP32;
    REFUSED(ctx, qz_session_create(model, &o, &none), "there is no float model");
    o.precision = QZ_PRECISION_INT8;
    o.isa = QZ_ISA_REF;
    if (qz_isa_best() != QZ_ISA_REF)
        REFUSED(ctx, qz_session_create(model, &o, &none), "the weights were dropped");
    ASSERT_OK(ctx, qz_model_drop_float(model)); /* done already */
    ASSERT_OK(ctx, qz_model_finalize(model, true));
    qz_session_destroy(before);
    qz_session_destroy(after);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

static bool same_files(const char *a, const char *b)
{
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    bool same = x && y;
    for (int p = 0; same && p != EOF;)
        same = (p = fgetc(x)) == fgetc(y);
    if (x)
        fclose(x);
    if (y)
        fclose(y);
    return same;
}

static void dropping_float_keeps_int8(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    char folder[] = "/tmp/qzoo_memory_XXXXXX", path[2][64];
    qz_session_options o = QZ_SESSION_OPTIONS_INIT;
    qz_session *fp32 = NULL, *s = NULL;
    const qz_sqnr_row *rows = NULL;
    const qz_tensor input = image();
    size_t count = 0;
    float first[CLASSES], again[CLASSES];
    qz_model_memory m;
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 2; i++)
        snprintf(path[i], sizeof(path[i]), "%s/%d.safetensors", folder, i);
    qz_model *model = calibrated(ctx, NULL, 0), *opened = NULL;
    REFUSED(ctx, qz_model_drop_float(model), "convert first");
    ASSERT_OK(ctx, qz_model_convert(model));
    ASSERT_OK(ctx, qz_model_sqnr(model, &input, &rows, &count, NULL, NULL));
    ASSERT_OK(ctx, qz_model_save(model, path[0]));
    o.precision = QZ_PRECISION_FP32;
    ASSERT_OK(ctx, qz_session_create(model, &o, &fp32));
    REFUSED(ctx, qz_model_drop_float(model), "float sessions are alive");
    qz_session_destroy(fp32);
    ASSERT_OK(ctx, qz_session_create(model, NULL, &s));
    run(ctx, s, first);

    ASSERT_OK(ctx, qz_model_drop_float(model));
    qz_model_get_memory(model, &m);
    assert_int_equal(m.float_bytes, 0);
    assert_int_equal(m.packings, 1); /* three of float had been made */
    assert_true(c.bytes <
                (int64_t)(m.canonical_bytes + m.packed_bytes + qz_session_arena_bytes(s)) + SMALL);
    assert_null(qz_model_graph(model, false));
    REFUSED(ctx, qz_model_sqnr(model, &input, &rows, &count, NULL, NULL),
            "there is no float model");
    REFUSED(ctx, qz_session_create(model, &o, &fp32), "there is no float model");
    run(ctx, s, again);
    assert_memory_equal(first, again, sizeof(first));
    qz_session_destroy(s);
    ASSERT_OK(ctx, qz_model_save(model, path[1]));
    assert_true(same_files(path[0], path[1]));
    o.precision = QZ_PRECISION_AUTO;
    o.isa = QZ_ISA_REF;
    ASSERT_OK(ctx, qz_session_create(model, &o, &s));
    run(ctx, s, again);
    assert_memory_equal(first, again, sizeof(first));
    qz_session_destroy(s);
    qz_model_destroy(model);

    /* a saved model never has any */
    ASSERT_OK(ctx, qz_model_open(ctx, path[1], &opened));
    qz_model_get_memory(opened, &m);
    assert_int_equal(m.float_bytes + m.island_bytes, 0);
    assert_true(c.bytes < (int64_t)m.canonical_bytes + SMALL);
    qz_model_destroy(opened);
    for (int i = 0; i < 2; i++)
        unlink(path[i]);
    rmdir(folder);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

static void read_rates_need_their_buffer(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 2);
    const int64_t held = c.bytes;
    double one = 0.0, two = 0.0;
    ASSERT_OK(ctx, qz_cpu_read_rate(ctx, 1 << 20, 1, &one));
    ASSERT_OK(ctx, qz_cpu_read_rate(ctx, 1, 0, &two)); /* the least buffer */
    assert_true(one > 0.0 && two > 0.0);
    assert_true(c.peak >= held + (1 << 20));
    counting_fail(&c, 0);
    assert_int_equal(qz_cpu_read_rate(ctx, 1 << 20, 1, &one), QZ_ERR_MEMORY);
    ASSERT_OK(NULL, qz_cpu_read_rate(NULL, 1 << 20, 0, &one));
    assert_true(one > 0.0);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

/* A float model that is not to be quantized: only its packing stays. */
static void finalized_float_model(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    qz_session_options direct = QZ_SESSION_OPTIONS_INIT;
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    qz_session *s = NULL, *none = NULL;
    float first[CLASSES], again[CLASSES];
    qz_model_memory m;
    qz_model *model = NULL;
    o.num_classes = CLASSES;
    ASSERT_OK(ctx, qz_squeezenet1_1(ctx, &o, &model));
    ASSERT_OK(ctx, qz_session_create(model, NULL, &s));
    run(ctx, s, first);
    ASSERT_OK(ctx, qz_model_finalize(model, true));
    qz_model_get_memory(model, &m);
    assert_int_equal(m.float_bytes, 0);
    assert_true(c.bytes < (int64_t)(m.packed_bytes + qz_session_arena_bytes(s)) + SMALL);
    run(ctx, s, again);
    assert_memory_equal(first, again, sizeof(first));
    REFUSED(ctx, qz_model_prepare(model), "finalize dropped the weights");
    direct.no_winograd = true;
    REFUSED(ctx, qz_session_create(model, &direct, &none), "the weights were dropped");
    qz_session_destroy(s);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convert_makes_no_float_weights),
        cmocka_unit_test(sessions_share_what_is_packed),
        cmocka_unit_test(finalize_keeps_what_is_packed),
        cmocka_unit_test(dropping_float_keeps_int8),
        cmocka_unit_test(finalized_float_model),
        cmocka_unit_test(read_rates_need_their_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
