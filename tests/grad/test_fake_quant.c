/* SPDX-License-Identifier: MIT */
/* test_fake_quant.c - fake quantization, its gradients and its observers beside PyTorch's. */
#include "../unit/quant_oracle.h"
#include "quant/qat/fake_quant.h"

enum { MOST = 64 };

static size_t floats(const json_t *list, float *to)
{
    const size_t n = json_array_size(list);
    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++)
        to[i] = oracle_float(json_array_get(list, i));
    return n;
}

static void near(const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 1e-6 * fabs(want) + 1e-9))
        fail_msg("%s: %.9g, not %.9g", what, got, want);
}

static bool is_inside(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

/* n elements from `first` of a case on; zero points are integers or floats in the files. */
static void check_run(const json_t *c, const qzi_fake_quant *q, size_t first, size_t n)
{
    float x[MOST], dy[MOST], y[MOST], dx[MOST], got[MOST];
    uint8_t bits[MOST / 8];
    floats(json_object_get(c, "x"), x);
    floats(json_object_get(c, "dy"), dy);
    floats(json_object_get(c, "y"), y);
    floats(json_object_get(c, "dx"), dx);
    qzi_fake_quantize(q, x + first, got, 0, n, -INFINITY, INFINITY, bits);
    for (size_t i = 0; i < n; i++) {
        near("y", (double)got[i], (double)y[first + i]);
        near("dx", is_inside(bits, i) ? (double)dy[first + i] : 0.0, (double)dx[first + i]);
    }
}

static int32_t number(const json_t *c, const char *key)
{
    return (int32_t)json_number_value(json_object_get(c, key));
}

static void per_tensor(void **state)
{
    json_t *json = oracle_load("fake_quant_per_tensor"), *c;
    size_t i;
    (void)state;
    json_array_foreach(json_object_get(json, "cases"), i, c)
    {
        const qzi_fake_quant q = {oracle_float(json_object_get(c, "scale")), number(c, "zp"),
                                  number(c, "qmin"), number(c, "qmax")};
        check_run(c, &q, 0, json_array_size(json_object_get(c, "x")));
    }
    json_decref(json);
}

static qzi_fake_quant channel(const json_t *c, size_t k)
{
    return (qzi_fake_quant){oracle_float(json_array_get(json_object_get(c, "scale"), k)),
                            (int32_t)json_number_value(json_array_get(json_object_get(c, "zp"), k)),
                            number(c, "qmin"), number(c, "qmax")};
}

static void per_channel(void **state)
{
    json_t *json = oracle_load("fake_quant_per_channel"), *c;
    size_t i;
    (void)state;
    json_array_foreach(json_object_get(json, "cases"), i, c)
    {
        const json_t *shape = json_object_get(c, "shape");
        const size_t axis = (size_t)number(c, "axis"), count = json_array_size(shape);
        size_t outer = 1, inner = 1, channels = 0;
        for (size_t k = 0; k < count; k++) {
            const size_t size = (size_t)json_integer_value(json_array_get(shape, k));
            outer *= k < axis ? size : 1;
            inner *= k > axis ? size : 1;
            channels = k == axis ? size : channels;
        }
        for (size_t o = 0; o < outer * channels; o++) {
            const qzi_fake_quant q = channel(c, o % channels);
            check_run(c, &q, o * inner, inner);
        }
    }
    json_decref(json);
}

static void learnable(void **state)
{
    json_t *json = oracle_load("fake_quant_learnable"), *c;
    size_t i;
    (void)state;
    json_array_foreach(json_object_get(json, "cases"), i, c)
    {
        const json_t *dscale = json_object_get(c, "dscale"), *dzp = json_object_get(c, "dzp");
        const size_t channels = json_array_size(dscale);
        const double factor = json_number_value(json_object_get(c, "grad_factor"));
        float x[MOST], dy[MOST], dx[MOST], got[MOST];
        const size_t n = floats(json_object_get(c, "x"), x) / channels;
        floats(json_object_get(c, "dy"), dy);
        floats(json_object_get(c, "dx"), dx);
        for (size_t k = 0; k < channels; k++) {
            const qzi_fake_quant q = channel(c, k);
            double scale = 0.0, zero = 0.0;
            check_run(c, &q, k * n, n);
            qzi_fake_quantize_learn(&q, x + k * n, dy + k * n, got, n, factor, &scale, &zero);
            for (size_t e = 0; e < n; e++)
                near("dx", (double)got[e], (double)dx[k * n + e]);
            /* PyTorch adds floats, of which the largest are 155 or less */
            const double want = json_number_value(json_array_get(dscale, k));
            if (!(fabs(scale - want) <= 1e-6 * (155.0 + fabs(want))))
                fail_msg("dscale %.9g, not %.9g", scale, want);
            near("dzp", zero, json_number_value(json_array_get(dzp, k)));
        }
    }
    json_decref(json);
}

/* Three steps of one module; the fused observers choose as qzi_fake_quant_choose. */
static void check_module(const json_t *c)
{
    const char *name = oracle_text(c, "name");
    const bool symmetric = strstr(name, "weight") != NULL;
    const json_t *steps = json_object_get(c, "steps");
    qzi_moving_range ranges[MOST] = {{0}};
    qzi_fake_quant q = {.qmin = symmetric ? -128 : 0,
                        .qmax = symmetric || strstr(name, "fbgemm") ? 127 : 255};
    for (size_t s = 0; s < json_array_size(steps); s++) {
        const json_t *step = json_array_get(steps, s), *scales = json_object_get(step, "scale");
        const size_t channels = json_array_size(scales);
        float x[MOST], y[MOST], got[MOST];
        const size_t n = floats(json_object_get(step, "x"), x) / channels;
        floats(json_object_get(step, "y"), y);
        for (size_t k = 0; k < channels; k++) {
            float min = x[k * n], max = min;
            for (size_t i = 1; i < n; i++) {
                min = QZI_MIN(min, x[k * n + i]);
                max = QZI_MAX(max, x[k * n + i]);
            }
            qzi_moving_range_add(&ranges[k], min, max, QZI_MOVING_CONSTANT);
            qzi_fake_quant_choose(&q, ranges[k].min, ranges[k].max, symmetric);
            near(name, (double)q.scale, json_number_value(json_array_get(scales, k)));
            assert_int_equal(q.zero_point,
                             json_integer_value(json_array_get(json_object_get(step, "zp"), k)));
            near("min", (double)ranges[k].min,
                 json_number_value(json_array_get(json_object_get(step, "min"), k)));
            near("max", (double)ranges[k].max,
                 json_number_value(json_array_get(json_object_get(step, "max"), k)));
            qzi_fake_quantize(&q, x + k * n, got, 0, n, -INFINITY, INFINITY, NULL);
            for (size_t i = 0; i < n; i++)
                near("y", (double)got[i], (double)y[k * n + i]);
        }
    }
}

static void modules(void **state)
{
    json_t *json = oracle_load("fake_quant_module"), *c;
    size_t i, checked = 0;
    (void)state;
    json_array_foreach(json_object_get(json, "cases"), i, c)
    {
        if (strstr(oracle_text(c, "repr"), "FusedMovingAvg")) {
            check_module(c);
            checked++;
        }
    }
    assert_int_equal(checked, 5);
    json_decref(json);
}

/* Ranges without extent, or on one side of zero; values far outside. */
static void corners(void **state)
{
    qzi_fake_quant q = {.qmin = 0, .qmax = 255};
    const float x[] = {1e30f, -1e30f, NAN, 0.0f, -0.0f, 255.4f, 255.6f, 2e9f};
    float y[8];
    uint8_t bits;
    (void)state;
    qzi_fake_quant_choose(&q, 0.0f, 0.0f, false);
    assert_true(q.scale > 0.0f && q.zero_point == 0);
    qzi_fake_quant_choose(&q, 1.0f, 2.0f, false);
    assert_true(q.zero_point == 0 && fabsf(q.scale - 2.0f / 255.0f) < 1e-9f);
    qzi_fake_quant_choose(&q, -2.0f, -1.0f, false);
    assert_true(q.zero_point == 255);
    q = (qzi_fake_quant){1.0f, 0, 0, 255};
    qzi_fake_quantize(&q, x, y, 0, 8, -INFINITY, 255.5f, &bits);
    assert_true(y[0] >= 255.0f && y[1] <= 0.0f && y[2] <= 0.0f && y[7] >= 255.0f);
    assert_int_equal(bits, 0x38); /* 0, -0 and 255.4 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(per_tensor), cmocka_unit_test(per_channel), cmocka_unit_test(learnable),
        cmocka_unit_test(modules),    cmocka_unit_test(corners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
