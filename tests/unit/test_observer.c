/* SPDX-License-Identifier: MIT */
/*
 * test_observer.c - observers give what PyTorch 1.13's give, bit for bit: the goldens (short
 * sequences, every state in between) and a table that torch computed for longer ones.
 */
#include "quant/observers/observer_histogram.h"
#include "quant/qparams.h"
#include "tests/unit/quant_oracle.h"

static qzk_view dense(const float *x, size_t n)
{
    return (qzk_view){.data = (void *)(uintptr_t)x,
                      .n = 1,
                      .h = 1,
                      .w = 1,
                      .c = (int32_t)n,
                      .pixel_stride = (int64_t)n};
}

static void observe(qzi_observer *o, const float *x, size_t n)
{
    qzk_view view = dense(x, n);
    assert_int_equal(qzi_observer_observe(o, &view, 1), QZ_OK);
}

static qzi_observer *create(const qz_context *ctx, qz_observer_kind kind, bool reduce_range,
                            int32_t bins, float averaging)
{
    qzi_observer *o = NULL;
    assert_int_equal(qzi_observer_create(ctx, kind, reduce_range, bins, averaging, &o), QZ_OK);
    return o;
}

/* ---- goldens ---- */

/* Scale and zero point of one case: all affine types, and symmetric ones of the full range. */
static void check_qparams(const qzi_observer *o, const json_t *c)
{
    const char *dtype = oracle_text(c, "dtype");
    bool is_signed = strcmp(dtype, "qint8") == 0;
    bool reduced = json_is_true(json_object_get(c, "reduce_range"));
    bool symmetric = strstr(oracle_text(c, "qscheme"), "symmetric") != NULL;
    float scale = oracle_float(json_array_get(json_object_get(c, "scale"), 0));
    json_int_t zp = json_integer_value(json_array_get(json_object_get(c, "zp"), 0));

    float min, max;
    assert_int_equal(qzi_observer_search(o, &min, &max), QZ_OK);
    if (symmetric) {
        if (!reduced)
            assert_same_float(qzi_scale_symmetric(QZI_MAX(-QZI_MIN(min, 0.0f), QZI_MAX(max, 0.0f))),
                              scale, "symmetric scale");
        return;
    }
    int32_t qmin = is_signed ? reduced ? -64 : -128 : 0;
    int32_t qmax = is_signed ? reduced ? 63 : 127 : reduced ? 127 : 255;
    qzi_qparams q = qzi_qparams_affine(min, max, qmin, qmax);
    assert_same_float(q.scale, scale, "scale");
    assert_int_equal(q.zero_point, zp);
    if (!is_signed) {
        qzi_qparams own;
        assert_int_equal(qzi_observer_qparams(o, &own), QZ_OK);
        assert_same_float(own.scale, scale, "scale of the observer");
        assert_int_equal(own.zero_point, zp);
    }
}

static void check_histogram_state(const qzi_observer *o, const json_t *state)
{
    double sum = 0.0;
    int32_t first = -1, last = -1;
    for (int32_t b = 0; b < o->bins; b++) {
        sum += o->histogram[b];
        if (o->histogram[b] != 0.0f) {
            first = first < 0 ? b : first;
            last = b;
        }
    }
    /* torch adds in another order; the file has 15 digits */
    double expected = json_number_value(json_array_get(state, 2));
    assert_true(fabs(sum - expected) <= 1e-13 * expected);
    assert_int_equal(first, json_integer_value(json_array_get(state, 3)));
    assert_int_equal(last, json_integer_value(json_array_get(state, 4)));
}

static size_t check_golden(const char *name, qz_observer_kind kind, float averaging,
                           const char *states_key)
{
    json_t *inputs = oracle_load("observer_inputs"), *golden = oracle_load(name);
    json_t *cases = json_object_get(golden, "cases");
    size_t checked = 0;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    assert_true(json_array_size(cases) > 0);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const json_t *batches = json_object_get(inputs, oracle_text(c, "seq"));
        const json_t *states = json_object_get(c, states_key);
        assert_null(json_object_get(c, "error"));
        assert_true(json_array_size(batches) > 0);
        assert_int_equal(json_array_size(batches), json_array_size(states));
        qzi_observer *o =
            create(ctx, kind, json_is_true(json_object_get(c, "reduce_range")),
                   (int32_t)json_integer_value(json_object_get(c, "bins")), averaging);
        for (size_t b = 0; b < json_array_size(batches); b++) {
            size_t n;
            float min, max, *x = oracle_floats(json_array_get(batches, b), &n);
            observe(o, x, n);
            free(x);
            const json_t *state = json_array_get(states, b);
            qzi_observer_range(o, &min, &max);
            assert_same_float(min, oracle_float(json_array_get(state, 0)), "min");
            assert_same_float(max, oracle_float(json_array_get(state, 1)), "max");
            if (kind == QZ_OBSERVER_HISTOGRAM)
                check_histogram_state(o, state);
        }
        const json_t *searched = json_object_get(c, "search_min_max");
        if (searched) {
            float min, max;
            assert_int_equal(qzi_observer_search(o, &min, &max), QZ_OK);
            assert_same_float(min, oracle_float(json_array_get(searched, 0)), "search min");
            assert_same_float(max, oracle_float(json_array_get(searched, 1)), "search max");
        }
        const json_t *histogram = json_object_get(c, "histogram");
        for (size_t b = 0; histogram && b < json_array_size(histogram); b++)
            assert_same_float(o->histogram[b], oracle_float(json_array_get(histogram, b)), "bin");
        check_qparams(o, c);
        checked += histogram ? 1000 : 1;
        qzi_observer_destroy(o);
    }
    counted_end(ctx, &memory);
    json_decref(inputs);
    json_decref(golden);
    return checked;
}

static void test_golden_minmax(void **state)
{
    (void)state;
    assert_int_equal(check_golden("observer_minmax", QZ_OBSERVER_MINMAX, 0, "minmax_after_batch"),
                     49);
}

static void test_golden_moving(void **state)
{
    (void)state;
    assert_int_equal(check_golden("observer_moving_average_minmax", QZ_OBSERVER_MOVING, 0.0f,
                                  "minmax_after_batch"),
                     49);
    assert_int_equal(check_golden("observer_moving_average_minmax_0_5", QZ_OBSERVER_MOVING, 0.5f,
                                  "minmax_after_batch"),
                     49);
}

static void test_golden_histogram(void **state)
{
    (void)state;
    const char *states = "min_max_histsum_firstnz_lastnz";
    assert_int_equal(check_golden("observer_histogram_bins2048", QZ_OBSERVER_HISTOGRAM, 0, states),
                     42);
    /* seven of these list all their bins */
    assert_int_equal(check_golden("observer_histogram_bins64", QZ_OBSERVER_HISTOGRAM, 0, states),
                     35 + 7 * 1000);
}

/* ---- longer sequences ---- */

typedef enum shape { FLAT, RELU, CUBE, SPARSE, STEPS } shape;

typedef struct torch_case {
    shape kind;
    uint64_t seed;
    size_t n;
    int batches;
    float scale, growth;
    int32_t bins;
    /* what torch gave */
    float min, max;
    uint64_t histogram; /* FNV-1a of its bytes */
    float search_min, search_max, step;
    int32_t zero_point;
} torch_case;

/* Printed by gen/observer_torch.py with torch 1.13. */
static const torch_case torch_cases[] = {
    {FLAT, 1, 20000, 6, 0.7f, 1.3f, 0, -0x1.4ca7ecp+1f, 0x1.509ef2p+1f,
     UINT64_C(0x188d48ecd8a78836), -0x1.4ca7ecp+1f, 0x1.4efca8p+1f, 0x1.4f216cp-6f, 127},
    {RELU, 2, 30000, 8, 2.5f, 1.1f, 0, 0x0.0p+0f, 0x1.38ac8ep+2f, UINT64_C(0x2ecaffa48e1db1c9),
     0x0.0p+0f, 0x1.36b076p+2f, 0x1.37e85ep-6f, 0},
    {CUBE, 3, 10000, 5, 0.01f, 3.0f, 0, -0x1.9eb3ccp-1f, 0x1.9ff504p-1f,
     UINT64_C(0x899a9b67b0480253), -0x1.9eb3ccp-1f, 0x1.9f8d30p-1f, 0x1.a0c140p-8f, 127},
    {SPARSE, 4, 40000, 6, 5.0f, 1.2f, 0, -0x1.8d04f0p+3f, 0x1.8be4cap+3f,
     UINT64_C(0x091508a806daeddd), -0x1.841d50p+3f, 0x1.8be4c8p+3f, 0x1.898a96p-4f, 126},
    {STEPS, 5, 5000, 4, 3.0f, 1.0f, 0, -0x1.800000p+1f, 0x1.800000p+1f,
     UINT64_C(0x07a31b39e7ff12eb), -0x1.800000p+1f, 0x1.7fa000p+1f, 0x1.815152p-6f, 128},
    {CUBE, 6, 7000, 6, 40.0f, 0.9f, 0, -0x1.3fdcfep+5f, 0x1.3fe0e4p+5f,
     UINT64_C(0x8f0b6a649b400a09), -0x1.3fdcfep+5f, 0x1.3e0112p+5f, 0x1.402f38p-2f, 128},
    {RELU, 7, 3000, 3, 0.3f, 30.0f, 0, 0x0.0p+0f, 0x1.0dda04p+8f, UINT64_C(0xce7edd8e681196b7),
     0x0.0p+0f, 0x1.0d0fa0p+8f, 0x1.0e1dbep+0f, 0},
    {FLAT, 8, 1000, 3, 0.05f, 100.0f, 0, -0x1.f3a3bap+8f, 0x1.f28028p+8f,
     UINT64_C(0x74260b864d1a11d5), -0x1.f3a3bap+8f, 0x1.ef938ap+8f, 0x1.f38f32p+1f, 128},
    {SPARSE, 9, 9000, 12, 1.5f, 1.05f, 100, -0x1.44e6e4p+1f, 0x1.3fc73cp+1f,
     UINT64_C(0xb3d77894ad4b5733), -0x1.3e7482p+1f, 0x1.1f8b54p+1f, 0x1.30301cp-6f, 134},
    {CUBE, 10, 2000, 5, 6.0f, 1.7f, 37, -0x1.90cecep+5f, 0x1.937320p+5f,
     UINT64_C(0xa1dd661d9b1c1e3b), -0x1.90cecep+5f, 0x1.7db68ap+5f, 0x1.88cb78p-2f, 131},
    {RELU, 11, 50000, 4, 6.0f, 1.0f, 4096, 0x0.0p+0f, 0x1.82fc08p+2f, UINT64_C(0x121522b0f72547ff),
     0x0.0p+0f, 0x1.8252bap+2f, 0x1.83d690p-6f, 0},
    {FLAT, 12, 100, 20, 0.0001f, 1.5f, 256, -0x1.c5c36ep-3f, 0x1.c3e17ep-3f,
     UINT64_C(0xbd9f81a0723b50d1), -0x1.c5c36ep-3f, 0x1.c057dap-3f, 0x1.c4d276p-10f, 128},
    {FLAT, 117, 20000, 3, 0.5f, 0.9f, 1000, -0x1.fff154p-2f, 0x1.03fcfep-1f,
     UINT64_C(0x8d0f0ebdd3c495e7), -0x1.fff154p-2f, 0x1.0378eap-1f, 0x1.02bb86p-8f, 127},
    {SPARSE, 146, 20000, 5, 1.5f, 1.25f, 0, -0x1.ca7708p+1f, 0x1.d1ca3ap+1f,
     UINT64_C(0x7776c7791eb8c8dc), -0x1.c2cafep+1f, 0x1.c2e5acp+1f, 0x1.c49cf0p-6f, 127},
    {SPARSE, 739, 20000, 8, 7.0f, 1.25f, 0, -0x1.088758p+5f, 0x1.0c6dacp+5f,
     UINT64_C(0x3e6722dc20a9367b), -0x1.088758p+5f, 0x1.02ccc0p+5f, 0x1.06b0bcp-2f, 129},
};

static float shaped(shape kind, uint64_t seed, size_t i, float scale)
{
    float x = seeded_float(seed, i);
    switch (kind) {
    case RELU:
        x = x > 0.0f ? x : 0.0f;
        break;
    case CUBE:
        x = x * x * x;
        break;
    case SPARSE:
        x = seeded_float(seed + 1000, i) < 0.9f ? 0.0f : x * x * x * x * x;
        break;
    case STEPS:
        x = qzi_rnef(x * 4.0f) / 4.0f;
        break;
    default:
        break;
    }
    return x * scale;
}

static void test_torch_table(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    for (size_t k = 0; k < QZI_ARRAY_LEN(torch_cases); k++) {
        const torch_case *c = &torch_cases[k];
        qzi_observer *o = create(ctx, QZ_OBSERVER_HISTOGRAM, false, c->bins, 0);
        float *x = malloc(c->n * sizeof(*x)), scale = c->scale;
        assert_non_null(x);
        for (int b = 0; b < c->batches; b++) {
            for (size_t i = 0; i < c->n; i++)
                x[i] = shaped(c->kind, c->seed + 100u * (unsigned)b, i, scale);
            observe(o, x, c->n);
            scale = scale * c->growth;
        }
        free(x);
        float min, max;
        qzi_qparams q;
        qzi_observer_range(o, &min, &max);
        assert_same_float(min, c->min, "min");
        assert_same_float(max, c->max, "max");
        assert_true(qzi_fnv1a_numbers(o->histogram, (size_t)o->bins, sizeof(float),
                                      QZI_FNV_OFFSET) == c->histogram);
        assert_int_equal(qzi_observer_search(o, &min, &max), QZ_OK);
        assert_same_float(min, c->search_min, "search min");
        assert_same_float(max, c->search_max, "search max");
        assert_int_equal(qzi_observer_qparams(o, &q), QZ_OK);
        assert_same_float(q.scale, c->step, "scale");
        assert_int_equal(q.zero_point, c->zero_point);
        qzi_observer_destroy(o);
    }
    counted_end(ctx, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_minmax),
        cmocka_unit_test(test_golden_moving),
        cmocka_unit_test(test_golden_histogram),
        cmocka_unit_test(test_torch_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
