/* SPDX-License-Identifier: MIT */
/*
 * test_qparams.c - scales, zero points and int8 weights as PyTorch 1.13 gives them, bit for bit;
 * the limit of int32 biases; what backends and observers are called.
 */
#include "quant/quant.h"
#include "tests/unit/quant_oracle.h"

#include <float.h>

#define BY_CHANNEL ((qzi_weight_form){true, 8})
#define BY_TENSOR ((qzi_weight_form){false, 8})

/* ---- goldens ---- */

static void check_quantized(const float *x, float scale, const json_t *q, size_t first, size_t step,
                            size_t n)
{
    float *picked = malloc(n * sizeof(*picked));
    int8_t *got = malloc(n);
    assert_non_null(picked);
    assert_non_null(got);
    for (size_t i = 0; i < n; i++)
        picked[i] = x[first + i * step];
    qzi_quantize_s8(picked, got, (int64_t)n, scale);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(got[i], json_integer_value(json_array_get(q, first + i * step)));
    free(picked);
    free(got);
}

static void test_golden_quantize(void **state)
{
    (void)state;
    json_t *golden = oracle_load("quantize_per_tensor");
    json_t *cases = json_object_get(golden, "cases");
    size_t checked = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        if (strcmp(oracle_text(c, "dtype"), "qint8") != 0 ||
            json_integer_value(json_object_get(c, "zp")) != 0)
            continue;
        size_t n;
        float *x = oracle_floats(json_object_get(c, "x"), &n);
        check_quantized(x, oracle_float(json_object_get(c, "scale")), json_object_get(c, "q"), 0, 1,
                        n);
        checked += n;
        free(x);
    }
    assert_int_equal(checked, 64);
    json_decref(golden);

    golden = oracle_load("quantize_per_channel");
    cases = json_object_get(golden, "cases");
    checked = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *shape = json_object_get(c, "shape");
        if (strcmp(oracle_text(c, "dtype"), "qint8") != 0)
            continue;
        size_t n, dims[3], axis = (size_t)json_integer_value(json_object_get(c, "axis"));
        float *x = oracle_floats(json_object_get(c, "x"), &n);
        for (size_t d = 0; d < 3; d++)
            dims[d] = (size_t)json_integer_value(json_array_get(shape, d));
        size_t channels = dims[axis], inner = axis == 0 ? dims[1] * dims[2] : dims[2];
        for (size_t block = 0; block < n / inner; block++) {
            size_t channel = block % channels;
            float scale = oracle_float(json_array_get(json_object_get(c, "scales"), channel));
            check_quantized(x, scale, json_object_get(c, "q"), block * inner, 1, inner);
            checked += inner;
        }
        free(x);
    }
    assert_int_equal(checked, 48);
    json_decref(golden);
}

/* The observer's three batches become one tensor of weights: its channels have the same range. */
static void check_symmetric(const qz_context *ctx, json_t *inputs, int axis, const json_t *scales)
{
    enum { D0 = 3, D1 = 2, D2 = 4, BATCHES = 3 };
    const int channels = axis == 0 ? D0 : D1, per = D0 * D1 * D2 / channels * BATCHES;
    float w[BATCHES * D0 * D1 * D2];
    int filled[D0] = {0};
    for (size_t b = 0; b < BATCHES; b++) {
        for (int i = 0; i < D0 * D1 * D2; i++) {
            int channel = axis == 0 ? i / (D1 * D2) : i / D2 % D1;
            w[channel * per + filled[channel]++] =
                oracle_float(json_array_get(json_array_get(inputs, b), (size_t)i));
        }
    }
    qzi_qweights *qw;
    assert_int_equal(qzi_qweights_make(ctx, w, NULL, channels, per, 1.0f, BY_CHANNEL, &qw), QZ_OK);
    assert_int_equal(json_array_size(scales), channels);
    for (int o = 0; o < channels; o++)
        assert_same_float(qw->scales[o], oracle_float(json_array_get(scales, (size_t)o)), "scale");
    qzi_qweights_free(ctx, qw);
}

static void test_golden_per_channel(void **state)
{
    (void)state;
    counted_memory memory;
    json_t *golden = oracle_load("observer_per_channel");
    qz_context *ctx = counted_context(&memory, 1);
    json_t *cases = json_object_get(golden, "cases");
    size_t affine = 0, symmetric = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *scales = json_object_get(c, "scale");
        const char *scheme = oracle_text(c, "qscheme");
        bool is_signed = strcmp(oracle_text(c, "dtype"), "qint8") == 0;
        bool reduced = json_is_true(json_object_get(c, "reduce_range"));
        if (strcmp(scheme, "per_channel_affine") == 0) {
            int32_t qmin = is_signed ? reduced ? -64 : -128 : 0;
            int32_t qmax = is_signed ? reduced ? 63 : 127 : reduced ? 127 : 255;
            for (size_t o = 0; o < json_array_size(scales); o++) {
                qzi_qparams q = qzi_qparams_affine(
                    oracle_float(json_array_get(json_object_get(c, "min"), o)),
                    oracle_float(json_array_get(json_object_get(c, "max"), o)), qmin, qmax);
                assert_same_float(q.scale, oracle_float(json_array_get(scales, o)), "scale");
                assert_same_float((float)q.zero_point,
                                  oracle_float(json_array_get(json_object_get(c, "zp"), o)),
                                  "zero point");
                affine++;
            }
        } else if (strcmp(scheme, "per_channel_symmetric") == 0 && !reduced && is_signed &&
                   strcmp(oracle_text(c, "observer"), "per_channel_minmax") == 0) {
            check_symmetric(ctx, json_object_get(golden, "inputs_3x2x4"),
                            (int)json_integer_value(json_object_get(c, "axis")), scales);
            symmetric++;
        }
    }
    assert_int_equal(affine, 40);
    assert_int_equal(symmetric, 2);
    json_decref(golden);
    counted_end(ctx, &memory);
}

/* ---- weights beside torch ---- */

typedef struct torch_case {
    uint64_t seed;
    int32_t oc;
    int64_t per;
    float gain;
    uint64_t scales, channel_bytes; /* FNV-1a, per channel */
    float tensor_scale;
    uint64_t tensor_bytes;
} torch_case;

/* Printed by gen/qweights_torch.py with torch 1.13. */
static const torch_case torch_cases[] = {
    {1, 64, 147, 0.2f, UINT64_C(0x20a2828a8d954443), UINT64_C(0x1de38c38999d87a5), 0x1.9b17a2p-10f,
     UINT64_C(0x6c8d9903296dbdee)},
    {2, 32, 9, 3.0f, UINT64_C(0xed39639facb9f98f), UINT64_C(0x3e7f288d3a141525), 0x1.811774p-6f,
     UINT64_C(0xbb6f32a58efe6886)},
    {3, 16, 1024, 0.001f, UINT64_C(0x35aed1413ff5098c), UINT64_C(0x324a8cc620a5325f),
     0x1.06e5aap-17f, UINT64_C(0x79d745c4dc9a37a8)},
    {4, 10, 1280, 1e-06f, UINT64_C(0x7670c2118829c1e5), UINT64_C(0xfa361b65f922bcb8),
     0x1.000000p-23f, UINT64_C(0xfa361b65f922bcb8)},
    {5, 7, 33, 10000.0f, UINT64_C(0xaf01fdb4ef29b2b5), UINT64_C(0x786909c591d25077), 0x1.390760p+6f,
     UINT64_C(0x292ccbaee80c220f)},
};

static void test_torch_table(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    for (size_t k = 0; k < QZI_ARRAY_LEN(torch_cases); k++) {
        const torch_case *c = &torch_cases[k];
        size_t n = (size_t)c->oc * (size_t)c->per;
        float *w = malloc(n * sizeof(*w));
        assert_non_null(w);
        for (size_t i = 0; i < n; i++) {
            float x = seeded_float(c->seed, i);
            w[i] = x * x * x * c->gain;
        }
        qzi_qweights *qw;
        assert_int_equal(qzi_qweights_make(ctx, w, NULL, c->oc, c->per, 0.02f, BY_CHANNEL, &qw),
                         QZ_OK);
        assert_true(qw->per_channel);
        assert_true(qzi_fnv1a_numbers(qw->scales, (size_t)c->oc, sizeof(float), QZI_FNV_OFFSET) ==
                    c->scales);
        assert_true(qzi_fnv1a(qw->w, n, QZI_FNV_OFFSET) == c->channel_bytes);
        qzi_qweights_free(ctx, qw);

        assert_int_equal(qzi_qweights_make(ctx, w, NULL, c->oc, c->per, 0.02f, BY_TENSOR, &qw),
                         QZ_OK);
        assert_false(qw->per_channel);
        for (int32_t o = 0; o < c->oc; o++) {
            assert_same_float(qw->scales[o], c->tensor_scale, "scale of the tensor");
            assert_int_equal(qw->bias[o], 0);
            assert_same_float(qw->bias_f32[o], 0.0f, "no bias");
        }
        assert_true(qzi_fnv1a(qw->w, n, QZI_FNV_OFFSET) == c->tensor_bytes);
        qzi_qweights_free(ctx, qw);
        free(w);
    }
    counted_end(ctx, &memory);
}

/* ---- affine parameters ---- */

static void test_affine(void **state)
{
    (void)state;
    qzi_qparams q = qzi_qparams_affine(-1.0f, 1.0f, 0, 255);
    assert_same_float(q.scale, 2.0f / 255.0f, "scale");
    assert_int_equal(q.zero_point, 127);        /* 1 / scale is just below 127.5 */
    q = qzi_qparams_affine(0.5f, 2.0f, 0, 255); /* 0 is always in range */
    assert_same_float(q.scale, 2.0f / 255.0f, "scale");
    assert_int_equal(q.zero_point, 0);
    q = qzi_qparams_affine(-2.0f, -0.5f, 0, 127);
    assert_same_float(q.scale, 2.0f / 127.0f, "scale");
    assert_int_equal(q.zero_point, 127);
    q = qzi_qparams_affine(0.0f, 0.0f, 0, 255);
    assert_same_float(q.scale, FLT_EPSILON, "least scale");
    assert_int_equal(q.zero_point, 0);
    assert_same_float(qzi_scale_symmetric(0.0f), FLT_EPSILON, "least scale");
    assert_same_float(qzi_scale_symmetric(127.5f), 1.0f, "scale");

    /* whatever the range, 0 is exact and both ends are at most half a step outside */
    for (uint64_t i = 0; i < 20000; i++) {
        float width = ldexpf(1.0f, (int)(seeded_word(9, i) % 60) - 20);
        float min = -fabsf(seeded_float(10, i)) * width, max = fabsf(seeded_float(11, i)) * width;
        q = qzi_qparams_affine(min, max, 0, 255);
        assert_in_range(q.zero_point, 0, 255);
        assert_true(q.scale >= FLT_EPSILON);
        assert_true((double)q.scale * (0 - q.zero_point) - min <= 0.501 * (double)q.scale);
        assert_true(max - (double)q.scale * (255 - q.zero_point) <= 0.501 * (double)q.scale);
    }
}

/* ---- biases ---- */

static void test_bias(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    const float limit = 0x1p30f, sx = 0.0625f;
    /* a usual channel, a dead one, one whose bias would not fit, one just at the limit, below it */
    const float w[5][2] = {{0.5f, -1.0f}, {0, 0}, {1e-9f, -1e-9f}, {0, 0}, {0, 0}};
    const float bias[5] = {0.3f, -0.25f, 100000.0f, -0x1p30f * 0x1p-23f * 0.0625f, 7.9999995f};
    qzi_qweights *qw;
    assert_int_equal(qzi_qweights_make(ctx, w[0], bias, 5, 2, sx, BY_CHANNEL, &qw), QZ_OK);
    for (int o = 0; o < 5; o++) {
        float natural = qzi_scale_symmetric(QZI_MAX(fabsf(w[o][0]), fabsf(w[o][1])));
        float raised = qw->scales[o] / natural;
        int exponent;
        assert_same_float(frexpf(raised, &exponent), 0.5f, "raised by a power of two");
        assert_true(raised >= 1.0f);
        assert_true(fabsf((float)qw->bias[o]) < limit);
        /* the least that suffices */
        if (raised > 1.0f)
            assert_true(fabsf(bias[o] / (sx * (qw->scales[o] / 2.0f))) >= limit);
        assert_same_float((float)qw->bias[o], qzi_rnef(bias[o] / (sx * qw->scales[o])), "b32");
        assert_same_float(qw->bias_f32[o], bias[o], "float bias");
    }
    assert_same_float(qw->scales[0], 1.0f / 127.5f, "usual scale");
    assert_same_float(qw->scales[1], FLT_EPSILON, "scale of a dead channel");
    assert_true(qw->scales[2] > FLT_EPSILON);
    assert_same_float(qw->scales[3], 2.0f * FLT_EPSILON, "at the limit");
    assert_same_float(qw->scales[4], FLT_EPSILON, "below the limit");
    assert_int_equal(qw->w[0], 64);   /* 63.75 */
    assert_int_equal(qw->w[1], -127); /* 1 / scale is just below 127.5 */
    assert_int_equal(qw->w[4], 0);
    qzi_qweights_free(ctx, qw);

    /* per tensor there is one scale, raised for all */
    const float small[2] = {1e-6f, -1e-6f}, large[2] = {0.0f, 4096.0f};
    assert_int_equal(qzi_qweights_make(ctx, small, large, 2, 1, sx, BY_TENSOR, &qw), QZ_OK);
    assert_same_float(qw->scales[0], qw->scales[1], "one scale");
    assert_same_float(qw->scales[0], 1024.0f * FLT_EPSILON, "raised");
    assert_in_range(qw->bias[1], 1 << 29, (1 << 30) - 1);
    qzi_qweights_free(ctx, qw);
    counted_end(ctx, &memory);
}

static void test_refused(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    float w[6] = {1, 2, 3, 4, 5, 6}, bias[2] = {1, 2};
    const float bad[] = {NAN, INFINITY, -INFINITY};
    qzi_qweights *qw;
    for (size_t i = 0; i < QZI_ARRAY_LEN(bad); i++) {
        w[4] = bad[i];
        assert_int_equal(qzi_qweights_make(ctx, w, bias, 2, 3, 1.0f, BY_CHANNEL, &qw),
                         QZ_ERR_NUMERIC);
        assert_non_null(strstr(qz_context_message(ctx), "channel 1"));
        assert_null(qw);
        w[4] = 5;
        bias[0] = bad[i];
        assert_int_equal(qzi_qweights_make(ctx, w, bias, 2, 3, 1.0f, BY_TENSOR, &qw),
                         QZ_ERR_NUMERIC);
        assert_non_null(strstr(qz_context_message(ctx), "channel 0"));
        bias[0] = 1;
        assert_int_equal(qzi_qweights_make(ctx, w, bias, 2, 3, bad[i], BY_CHANNEL, &qw),
                         QZ_ERR_NUMERIC);
    }
    assert_int_equal(qzi_qweights_make(ctx, w, bias, 2, 3, 0.0f, BY_CHANNEL, &qw), QZ_ERR_NUMERIC);
    assert_int_equal(qzi_qweights_make(ctx, w, bias, 0, 3, 1.0f, BY_CHANNEL, &qw), QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_qweights_make(ctx, w, bias, 2, 0, 1.0f, BY_CHANNEL, &qw), QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_qweights_make(ctx, w, bias, 2, INT64_MAX, 1.0f, BY_CHANNEL, &qw),
                     QZ_ERR_ARGUMENT);
    assert_int_equal(
        qzi_qweights_make(ctx, w, bias, INT32_MAX, INT64_MAX / 8, 1.0f, BY_CHANNEL, &qw),
        QZ_ERR_ARGUMENT);
    qzi_qweights_free(ctx, NULL);

    int64_t idle = memory.live;
    for (int64_t fail = 0;; fail++) {
        memory.total = 0;
        memory.fail_at = fail;
        qz_status st = qzi_qweights_make(ctx, w, bias, 2, 3, 1.0f, BY_CHANNEL, &qw);
        if (st == QZ_OK) {
            assert_int_equal(fail, 5);
            qzi_qweights_free(ctx, qw);
            break;
        }
        assert_int_equal(st, QZ_ERR_MEMORY);
        assert_null(qw);
        assert_int_equal(memory.live, idle);
    }
    memory.fail_at = -1;
    counted_end(ctx, &memory);
}

/* ---- backends ---- */

/* Every word by which a node may be called has its row, in every backend. */
static size_t check_words(const qzi_backend *backend)
{
    size_t words = 1;
    assert_non_null(qzi_support_find(backend, "strided_pointwise"));
    for (int op = 0; op < QZI_OP_COUNT; op++) {
        if (op == QZI_OP_INPUT || op == QZI_OP_QUANTIZE || op == QZI_OP_DEQUANTIZE ||
            op == QZI_OP_ACTIVATION)
            continue;
        assert_non_null(qzi_support_find(backend, qzi_op_name((qzi_op)op)));
        words++;
    }
    for (int act = QZ_ACT_RELU; act < QZ_ACT_COUNT; act++, words++)
        assert_non_null(qzi_support_find(backend, qzi_act_name((qz_activation)act)));
    return words;
}

static void test_backends(void **state)
{
    (void)state;
    const qz_backend all[] = {QZ_BACKEND_AUTO, QZ_BACKEND_FBGEMM, QZ_BACKEND_QNNPACK,
                              QZ_BACKEND_NATIVE};
    for (size_t i = 0; i < QZI_ARRAY_LEN(all); i++) {
        qz_backend parsed;
        assert_true(qz_backend_parse(qz_backend_name(all[i]), &parsed));
        assert_int_equal(parsed, all[i]);
        const qzi_backend *b = qzi_backend_get(all[i]);
        assert_non_null(b);
        assert_int_equal(b->activations,
                         b->id == QZ_BACKEND_NATIVE ? QZ_OBSERVER_MSE : QZ_OBSERVER_HISTOGRAM);
        size_t rows = 0;
        for (const qzi_support *row = NULL; (row = qzi_support_next(b, row)); rows++) {
            assert_non_null(row->reason);
            assert_non_null(row->origin);
            assert_ptr_equal(qzi_support_find(b, row->op), row); /* one row an op */
            if (!row->int8 || strcmp(row->op, "strided_pointwise") == 0)
                assert_true(row->reason[0] && row->origin[0]);
            const bool fallback = strcmp(row->op, "channel_affine") == 0 ||
                                  (all[i] != QZ_BACKEND_NATIVE && (strcmp(row->op, "gelu") == 0 ||
                                                                   !strcmp(row->op, "layer_norm")));
            assert_int_equal(row->int8, !fallback);
        }
        assert_int_equal(rows, check_words(b));
        assert_null(qzi_support_find(b, "conv3d"));
    }
    assert_true(qzi_backend_get(QZ_BACKEND_FBGEMM)->per_channel);
    assert_false(qzi_backend_get(QZ_BACKEND_QNNPACK)->per_channel);
    assert_true(qzi_backend_get(QZ_BACKEND_NATIVE)->per_channel);
#ifdef QZ_ARCH_X86
    assert_int_equal(qzi_backend_get(QZ_BACKEND_AUTO)->id, QZ_BACKEND_FBGEMM);
#else
    assert_int_equal(qzi_backend_get(QZ_BACKEND_AUTO)->id, QZ_BACKEND_QNNPACK);
#endif
    qz_backend backend = QZ_BACKEND_FBGEMM;
    assert_null(qzi_backend_get((qz_backend)77));
    assert_null(qz_backend_name((qz_backend)77));
    assert_false(qz_backend_parse("naive", &backend));
    assert_false(qz_backend_parse(NULL, &backend));
    assert_int_equal(backend, QZ_BACKEND_FBGEMM);

    for (int kind = QZ_OBSERVER_DEFAULT; kind <= QZ_OBSERVER_HISTOGRAM; kind++) {
        qz_observer_kind parsed;
        assert_true(qz_observer_parse(qz_observer_name((qz_observer_kind)kind), &parsed));
        assert_int_equal(parsed, kind);
    }
    qz_observer_kind kind = QZ_OBSERVER_MINMAX;
    assert_null(qz_observer_name((qz_observer_kind)77));
    assert_false(qz_observer_parse("gaussian", &kind));
    assert_false(qz_observer_parse(NULL, &kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_quantize),
        cmocka_unit_test(test_golden_per_channel),
        cmocka_unit_test(test_torch_table),
        cmocka_unit_test(test_affine),
        cmocka_unit_test(test_bias),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_backends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
