/* SPDX-License-Identifier: MIT */
/*
 * test_ops_oracle_nn.c - activation tables, products, layer norm, channel shuffle and concat
 * against what PyTorch 1.13 computes for single operators (goldens/ops), and the float functions
 * against the C library in double.
 *
 * At most one step away; how many values are is printed.
 */
#include "ops_oracle.h"

#include "layers/ops/ops.h"

static qzk_kernels kernels;

/* ---- activation tables ---- */

/* One table against the result for all 256 bytes in order. */
static void compare_table(score *s, qz_activation act, const json_t *item, const json_t *result,
                          const char *what)
{
    const int shift = strcmp(text(item, "dtype"), "qint8") == 0 ? 128 : 0;
    const qzi_qparams x = {(float)number(item, "scale"), integer(item, "zp") + shift};
    const quantized want = quantized_of(result);
    uint8_t table[256];
    assert_int_equal(want.count, 256);
    qzi_act_table(act, x, (qzi_qparams){want.scale, want.zp}, table);
    const qzk_view got = {table, 1, 1, 256, 1, 1};
    quantized pixels = want; /* 256 values of one channel */
    pixels.n = pixels.c = pixels.h = 1;
    pixels.w = 256;
    compare(s, &got, &pixels, what);
}

static void check_tables(const char *file, qz_activation act)
{
    json_t *root = load(file), *item;
    score scores[2] = {0};
    size_t index;
    json_array_foreach(json_object_get(root, "cases"), index, item)
    {
        for (int e = 0; e < 2; e++) {
            const json_t *extra = json_object_get(item, "with_qparams");
            const json_t *result = result_of(json_object_get(item, "result"), engines[e], file);
            if (result)
                compare_table(&scores[e], act, item, result, file);
            result = extra ? result_of(extra, engines[e], file) : NULL;
            if (result)
                compare_table(&scores[e], act, item, result, file);
        }
    }
    for (int e = 0; e < 2; e++)
        score_print(file, engines[e], &scores[e]);
    json_decref(root);
}

static void hardswish(void **state)
{
    (void)state;
    check_tables("qhardswish", QZ_ACT_HARDSWISH);
}

static void hardsigmoid(void **state)
{
    (void)state;
    check_tables("qhardsigmoid", QZ_ACT_HARDSIGMOID);
}

static void sigmoid(void **state)
{
    (void)state;
    check_tables("qsigmoid", QZ_ACT_SIGMOID);
}

/* ---- products ---- */

static qzk_mul_params mul_params(const quantized *a, const quantized *b, float scale, int32_t zp,
                                 bool relu)
{
    return (qzk_mul_params){
        .a_zp = a->zp,
        .b_zp = b->zp,
        .y_zp = zp,
        .mult = (a->scale * b->scale) / scale,
        .lo = relu ? 0.0f : (float)-zp,
        .hi = (float)(255 - zp),
    };
}

static void compare_mul(score *s, const json_t *item, const char *key, const char *engine)
{
    const json_t *results = json_object_get(item, key);
    const json_t *result = results ? result_of(results, engine, "qmul") : NULL;
    if (!result)
        return;
    quantized a = quantized_of(json_object_get(item, "a"));
    quantized b = quantized_of(json_object_get(item, "b")), want = quantized_of(result);
    if (a.h * a.w < b.h * b.w) { /* the factors of squeeze-excitation come second here */
        quantized t = a;
        a = b;
        b = t;
    }
    qzk_mul_params p = mul_params(&a, &b, want.scale, want.zp, strcmp(key, "mul_relu") == 0);
    qzk_view va = nhwc_of(&a), vb = nhwc_of(&b), got = nhwc_of(&want);
    const size_t pixels = (size_t)(a.h * a.w), c = (size_t)a.c;
    memset(got.data, 0, (size_t)(want.n * want.h * want.w) * (size_t)got.pixel_stride);
    for (int32_t n = 0; n < a.n; n++) {
        const uint8_t *x = (const uint8_t *)va.data + (size_t)n * pixels * (size_t)va.pixel_stride;
        uint8_t *y = (uint8_t *)got.data + (size_t)n * pixels * (size_t)got.pixel_stride;
        const uint8_t *f = vb.data;
        if (b.h * b.w == 1) {
            kernels.u8_mul_channels(&(qzk_rows){x, y, pixels, c, va.pixel_stride, got.pixel_stride},
                                    f + n * vb.pixel_stride, &p);
            continue;
        }
        f += (size_t)n * pixels * (size_t)vb.pixel_stride;
        for (size_t i = 0; i < pixels; i++)
            kernels.u8_mul(x + (int64_t)i * va.pixel_stride, f + (int64_t)i * vb.pixel_stride,
                           y + (int64_t)i * got.pixel_stride, c, &p);
    }
    compare(s, &got, &want, text(item, "name"));
    free(va.data);
    free(vb.data);
    free(got.data);
}

static void mul(void **state)
{
    (void)state;
    json_t *root = load("qmul"), *item;
    score scores[2] = {0};
    size_t index;
    json_array_foreach(json_object_get(root, "cases"), index, item)
    {
        if (json_object_get(item, "scalar")) {
            printf("not compared: qmul by a scalar: no network here has one\n");
            continue;
        }
        for (int e = 0; e < 2; e++) {
            compare_mul(&scores[e], item, "mul", engines[e]);
            compare_mul(&scores[e], item, "mul_relu", engines[e]);
        }
    }
    for (int e = 0; e < 2; e++)
        score_print("qmul", engines[e], &scores[e]);
    json_decref(root);
}

/* ---- layer norm ---- */

static void layer_norm(void **state)
{
    (void)state;
    json_t *root = load("qlayer_norm");
    score s = {0};
    quantized x = quantized_of(json_object_get(root, "x"));
    const json_t *result = result_of(json_object_get(root, "result"), "onednn", "qlayer_norm");
    assert_non_null(result);
    quantized want = quantized_of(result);
    const size_t c = (size_t)int_at(json_object_get(root, "normalized_shape"), 0);
    float weight[64], bias[64];
    uint8_t in[1024], out[1024];
    assert_in_range(c, 1, 64);
    assert_in_range(x.count, 1, 1024);
    for (size_t i = 0; i < c; i++) {
        weight[i] = float_at(json_object_get(root, "weight"), i) / want.scale;
        bias[i] = float_at(json_object_get(root, "bias"), i) / want.scale;
    }
    for (size_t i = 0; i < x.count; i++)
        in[i] = (uint8_t)int_at(x.q, i);
    const qzk_layer_norm_params p = {
        .x_scale = x.scale,
        .eps = (float)number(root, "eps"),
        .y_zp = want.zp,
        .lo = (float)-want.zp,
        .hi = (float)(255 - want.zp),
    };
    kernels.u8_layer_norm(&(qzk_rows){in, out, x.count / c, c, (int64_t)c, (int64_t)c}, weight,
                          bias, &p);
    for (size_t i = 0; i < x.count; i++, s.values++) {
        const int difference = abs(out[i] - int_at(want.q, i));
        assert_true(difference <= 1);
        s.one_step += difference;
    }
    score_print("qlayer_norm", "both", &s);
    json_decref(root);
}

/* ---- channel shuffle, concat ---- */

static void channel_shuffle(void **state)
{
    (void)state;
    json_t *root = load("qchannel_shuffle");
    score s = {0};
    quantized x = quantized_of(json_object_get(root, "x"));
    quantized want = quantized_of(result_of(json_object_get(root, "result"), "onednn", "shuffle"));
    qzk_view in = nhwc_of(&x), out = nhwc_of(&want);
    memset(out.data, 0, (size_t)(x.n * x.h * x.w) * (size_t)out.pixel_stride);
    kernels.u8_shuffle(&(qzk_rows){in.data, out.data, (size_t)(x.n * x.h * x.w), (size_t)x.c,
                                   in.pixel_stride, out.pixel_stride},
                       (size_t)integer(root, "groups"));
    compare(&s, &out, &want, "qchannel_shuffle");
    score_print("qchannel_shuffle", "both", &s);
    assert_int_equal(s.one_step, 0);
    free(in.data);
    free(out.data);
    json_decref(root);
}

static void compare_concat(score *s, const json_t *item, const char *engine)
{
    const json_t *result = result_of(json_object_get(item, "result"), engine, "qcat");
    const json_t *inputs = json_object_get(item, "inputs");
    if (!result || integer(item, "dim") != 1)
        return;
    quantized want = quantized_of(result);
    qzk_view got = nhwc_of(&want);
    int32_t channel = 0;
    for (size_t k = 0; k < json_array_size(inputs); k++) {
        quantized x = quantized_of(json_array_get(inputs, k));
        qzk_view in = nhwc_of(&x);
        uint8_t table[256];
        qzi_requant_table((qzi_qparams){x.scale, x.zp}, (qzi_qparams){want.scale, want.zp}, table);
        for (int32_t p = 0; p < x.n * x.h * x.w; p++)
            kernels.u8_lut((const uint8_t *)in.data + p * in.pixel_stride,
                           (uint8_t *)got.data + p * got.pixel_stride + channel, (size_t)x.c,
                           table);
        channel += x.c;
        free(in.data);
    }
    compare(s, &got, &want, text(item, "name"));
    free(got.data);
}

static void concat(void **state)
{
    (void)state;
    json_t *root = load("qcat"), *item;
    score scores[2] = {0};
    size_t index;
    json_array_foreach(json_object_get(root, "cases"), index, item)
    {
        for (int e = 0; e < 2; e++)
            compare_concat(&scores[e], item, engines[e]);
    }
    for (int e = 0; e < 2; e++)
        score_print("qcat", engines[e], &scores[e]);
    json_decref(root);
}

/* ---- the float functions against double ---- */

static double exact_sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double exact_silu(double x)
{
    return x / (1.0 + exp(-x));
}

static double exact_mish(double x)
{
    return x * tanh(log1p(exp(x)));
}

static double exact_gelu(double x)
{
    return 0.5 * x * erfc(-x * sqrt(0.5));
}

/* Units in the last place of the exact value, and its distance from it relative to `at_least`. */
static void check_function(const char *name, void (*f)(const float *, float *, size_t),
                           double (*exact)(double), double ulp_limit, double absolute_limit)
{
    double most_ulp = 0, most_absolute = 0;
    float at_ulp = 0;
    for (int i = -4000000; i <= 4000000; i++) {
        float x = (float)i * 0x1.5p-18f, y; /* about -20 to 20 */
        f(&x, &y, 1);
        const double right = exact(x), error = fabs((double)y - right);
        const double ulp = ldexp(1.0, QZI_MAX(ilogb(right == 0 ? 1 : right), -126) - 23);
        most_absolute = fmax(most_absolute, error);
        if (x > -5.0f && error / ulp > most_ulp) {
            most_ulp = error / ulp;
            at_ulp = x;
        }
    }
    printf("%-8s at most %.2f units in the last place above -5 (at %.6g), %.3g anywhere\n", name,
           most_ulp, (double)at_ulp, most_absolute);
    assert_true(most_ulp <= ulp_limit);
    assert_true(most_absolute <= absolute_limit);
}

static void float_functions(void **state)
{
    (void)state;
    qzk_kernels fast;
    qzk_init(&fast, QZ_ISA_AUTO); /* the same bytes as the reference, sooner */
    check_function("sigmoid", fast.f32_sigmoid, exact_sigmoid, 3, 1e-6);
    check_function("silu", fast.f32_silu, exact_silu, 4, 2e-6);
    check_function("mish", fast.f32_mish, exact_mish, 6, 2e-6);
    check_function("gelu", fast.f32_gelu, exact_gelu, 40, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hardswish),  cmocka_unit_test(hardsigmoid),
        cmocka_unit_test(sigmoid),    cmocka_unit_test(mul),
        cmocka_unit_test(layer_norm), cmocka_unit_test(channel_shuffle),
        cmocka_unit_test(concat),     cmocka_unit_test(float_functions),
    };
    qzk_init(&kernels, QZ_ISA_REF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
