/* SPDX-License-Identifier: MIT */
/*
 * test_ops_oracle.c - the reference kernels, fed by CONTRACT.md's formulas, against what PyTorch
 * 1.13 computes for single operators (goldens/ops, engines qnnpack and onednn).
 *
 * Equal where the engine rounds as CONTRACT.md does, at most one step away where its table of
 * differences says so; how many values are a step away is printed. What is not compared is named
 * with the reason.
 */
#include "ops_oracle.h"

static qzk_kernels kernels;

/* ---- quantize, dequantize ---- */

static void quantize_per_tensor(void **state)
{
    (void)state;
    json_t *root = load("quantize_per_tensor"), *item;
    score s = {0};
    int64_t floats = 0;
    size_t index;
    json_array_foreach(json_object_get(root, "cases"), index, item)
    {
        const char *dtype = text(item, "dtype");
        if (strcmp(dtype, "qint32") == 0) {
            printf("not compared: quantize_per_tensor to qint32: biases are quantized by their "
                   "own rule (b32)\n");
            continue;
        }
        int shift = strcmp(dtype, "qint8") == 0 ? 128 : 0;
        const json_t *x_list = json_object_get(item, "x"), *q = json_object_get(item, "q");
        const json_t *dequant = json_object_get(item, "dequant");
        size_t n = json_array_size(x_list);
        float x[512], back[512], scale = (float)number(item, "scale");
        uint8_t y[512];
        int32_t zp = integer(item, "zp") + shift;
        assert_in_range(n, 1, 512);
        for (size_t i = 0; i < n; i++)
            x[i] = float_at(x_list, i);
        kernels.quantize(x, y, n, 1.0f / scale, zp);
        kernels.dequantize(y, back, n, scale, zp);
        for (size_t i = 0; i < n; i++) {
            if (isnan(x[i])) { /* torch leaves it open; zero point here */
                assert_int_equal(y[i], zp);
                continue;
            }
            s.values++;
            assert_int_equal(y[i] - shift, int_at(q, i));
            assert_true(back[i] == float_at(dequant, i));
            floats++;
        }
    }
    score_print("quantize_per_tensor", "torch", &s);
    assert_true(floats > 0);
    json_decref(root);
}

static void quantize_weights(void **state)
{
    (void)state;
    json_t *root = load("quantize_per_channel"), *item;
    score s = {0};
    size_t index;
    json_array_foreach(json_object_get(root, "cases"), index, item)
    {
        if (strcmp(text(item, "dtype"), "qint8") != 0 || integer(item, "axis") != 0) {
            printf("not compared: quantize_per_channel of %s along axis %d: only weights are per "
                   "channel, int8 along axis 0\n",
                   text(item, "dtype"), integer(item, "axis"));
            continue;
        }
        const json_t *x = json_object_get(item, "x"), *scales = json_object_get(item, "scales");
        size_t n = json_array_size(x), channel = n / json_array_size(scales);
        assert_true(n > 0);
        for (size_t i = 0; i < n; i++) {
            float w = float_at(x, i);
            uint8_t q;
            kernels.quantize(&w, &q, 1, 1.0f / float_at(scales, i / channel), 128);
            assert_int_equal(q - 128, int_at(json_object_get(item, "q"), i));
            s.values++;
        }
    }
    score_print("quantize_per_channel", "torch", &s);
    json_decref(root);
}

/* ---- convolution and linear ---- */

/* Runs one case; NULL data, with a line printed, for what has no counterpart here. */
static qzk_view run_conv(const json_t *item, const quantized *out)
{
    const char *name = text(item, "name");
    const json_t *w_json = json_object_get(item, "w"), *scales = json_object_get(w_json, "scales");
    const json_t *w_q = json_object_get(w_json, "q"), *w_shape = json_object_get(w_json, "shape");
    const json_t *bias_json = json_object_get(item, "bias");
    const json_t *padding = json_object_get(item, "padding");
    bool linear = json_array_size(w_shape) == 2;
    qzk_view y = {0};
    if (!scales && integer(w_json, "zp") != 0) {
        printf("not compared: %s: weights with a zero point (here they are symmetric)\n", name);
        return y;
    }

    quantized x = quantized_of(json_object_get(item, "x"));
    qzk_conv_shape shape = {
        .ic = x.c,
        .oc = int_at(w_shape, 0),
        .groups = 1,
        .kh = 1,
        .kw = 1,
        .stride_h = 1,
        .stride_w = 1,
        .dil_h = 1,
        .dil_w = 1,
    };
    if (!linear) {
        shape.groups = integer(item, "groups");
        shape.kh = int_at(w_shape, 2);
        shape.kw = int_at(w_shape, 3);
        shape.stride_h = shape.stride_w = integer(item, "stride");
        shape.dil_h = shape.dil_w = integer(item, "dilation");
        shape.pad_top = int_at(padding, 0);
        shape.pad_left = int_at(padding, 1);
    }

    size_t count = json_array_size(w_q), oc = (size_t)shape.oc;
    int8_t *w = calloc(count, 1);
    float *mult = calloc(oc, sizeof(*mult));
    int32_t *bias = calloc(oc, sizeof(*bias));
    assert_true(w && mult && bias);
    for (size_t i = 0; i < count; i++)
        w[i] = (int8_t)int_at(w_q, i);
    for (size_t i = 0; i < oc; i++) {
        float s_w = scales ? float_at(scales, i) : (float)number(w_json, "scale");
        mult[i] = (x.scale * s_w) / out->scale;
        if (json_is_array(bias_json))
            bias[i] = (int32_t)qzi_rnef(float_at(bias_json, i) / (x.scale * s_w));
    }

    const qzk_conv_kernel *kernel = qzk_conv_choose(QZK_LIST_U8S8_CONV, kernels.isa, &shape);
    assert_non_null(kernel);
    qzk_conv_weights weights = {.w_s8 = w, .bias_s32 = bias, .mult = mult, .x_zp = x.zp};
    void *packed = qzi_alloc(NULL, kernel->packed_size(&shape));
    assert_non_null(packed);
    kernel->pack(&shape, &weights, packed);
    y = (qzk_view){NULL, out->n, out->h, out->w, out->c, QZK_CEIL4(out->c)};
    y.data = calloc((size_t)(y.n * y.h * y.w), (size_t)y.pixel_stride);
    assert_non_null(y.data);
    bool relu = json_is_true(json_object_get(item, "relu"));
    qzk_conv_args args = {.shape = &shape, .in = nhwc_of(&x), .out = y, .packed = packed};
    args.lo = relu ? 0.0f : (float)-out->zp;
    args.hi = (float)(255 - out->zp);
    args.y_zp = out->zp;
    kernel->run(&args, 0, kernel->units(&args), NULL);
    free(args.in.data);
    qzi_free(NULL, packed);
    free(w);
    free(mult);
    free(bias);
    return y;
}

static void check_convs(const char *file, score scores[2])
{
    json_t *root = load(file), *item;
    size_t index;
    json_array_foreach(json_object_get(root, "cases"), index, item)
    {
        const char *name = text(item, "name");
        for (int e = 0; e < 2; e++) {
            const json_t *result = result_of(json_object_get(item, "result"), engines[e], name);
            if (!result)
                continue;
            if (e == 1 && strcmp(name, "relu_zo") == 0) {
                printf("not compared: %s on onednn: it drops the output's zero point\n", name);
                continue;
            }
            quantized want = quantized_of(result);
            qzk_view got = run_conv(item, &want);
            if (got.data)
                compare(&scores[e], &got, &want, name);
            free(got.data);
        }
    }
    json_decref(root);
}

static void conv2d(void **state)
{
    (void)state;
    score scores[2] = {{0}, {0}};
    check_convs("qconv2d_0", scores);
    check_convs("qconv2d_1", scores);
    check_convs("qconv2d_2", scores);
    check_convs("qconv2d_3", scores);
    for (int e = 0; e < 2; e++)
        score_print("qconv2d", engines[e], &scores[e]);
    assert_int_equal(scores[0].most, 0); /* qnnpack's integer bias is ours */
}

static void linear(void **state)
{
    (void)state;
    score scores[2] = {{0}, {0}};
    check_convs("qlinear", scores);
    for (int e = 0; e < 2; e++)
        score_print("qlinear", engines[e], &scores[e]);
    assert_int_equal(scores[0].most, 0);
}

/* ---- add ---- */

static void add(void **state)
{
    (void)state;
    json_t *root = load("qadd"), *item;
    score scores[2] = {{0}, {0}};
    size_t index;
    json_array_foreach(json_object_get(root, "cases"), index, item)
    {
        const char *name = text(item, "name");
        if (json_object_get(item, "scalar")) {
            printf("not compared: %s: there is no sum with a constant here\n", name);
            continue;
        }
        quantized a = quantized_of(json_object_get(item, "a"));
        quantized b = quantized_of(json_object_get(item, "b"));
        qzk_view av = nhwc_of(&a), bv = nhwc_of(&b), y = nhwc_of(&a);
        for (int k = 0; k < 4; k++) {
            bool relu = k & 1;
            const json_t *result =
                result_of(json_object_get(item, relu ? "add_relu" : "add"), engines[k / 2], name);
            assert_non_null(result);
            quantized want = quantized_of(result);
            qzk_add_params p = {.a_zp = a.zp, .b_zp = b.zp, .y_zp = want.zp};
            p.a_mult = a.scale / want.scale;
            p.b_mult = b.scale / want.scale;
            p.lo = relu ? 0.0f : (float)-want.zp;
            p.hi = (float)(255 - want.zp);
            kernels.u8_add(av.data, bv.data, y.data, (size_t)(y.n * y.h * y.w * y.pixel_stride),
                           &p);
            compare(&scores[k / 2], &y, &want, name);
        }
        free(av.data);
        free(bv.data);
        free(y.data);
    }
    for (int e = 0; e < 2; e++)
        score_print("qadd", engines[e], &scores[e]);
    json_decref(root);
}

/* ---- pooling ---- */

/* A window on one axis: [begin, end) inside the image, and its length with padding. */
typedef struct window {
    int32_t begin, end, padded;
} window;

static window window_at(int32_t out, int32_t size, int32_t k, int32_t stride, int32_t pad)
{
    window w;
    int32_t first = out * stride - pad;
    w.padded = QZI_MIN(first + k, size + pad) - first;
    w.begin = QZI_MAX(first, 0);
    w.end = QZI_MIN(first + k, size);
    return w;
}

static int option(const json_t *args, const char *key, int fallback)
{
    const json_t *value = json_object_get(args, key);
    return value ? (int)json_integer_value(value) : fallback;
}

static const uint8_t *pixel_of(const qzk_view *x, int32_t n, int32_t y, int32_t xx)
{
    return (const uint8_t *)x->data + ((n * x->h + y) * x->w + xx) * x->pixel_stride;
}

static void average(const qzk_view *x, int32_t n, window wy, window wx, int32_t count,
                    const quantized *in, const quantized *out, uint8_t *y)
{
    const uint8_t *taps[64];
    size_t inside = 0;
    for (int32_t iy = wy.begin; iy < wy.end; iy++)
        for (int32_t ix = wx.begin; ix < wx.end; ix++)
            taps[inside++] = pixel_of(x, n, iy, ix);
    qzk_avgpool_params p = {.x_zp = in->zp, .y_zp = out->zp};
    p.mult = in->scale / ((float)count * out->scale);
    p.lo = (float)-out->zp;
    p.hi = (float)(255 - out->zp);
    kernels.u8_avgpool(taps, inside, (size_t)x->c, &p, y);
}

/* One case of qmaxpool2d, qavgpool2d or qadaptive_avg_pool2d. */
static void check_pool(const json_t *root, const json_t *item, bool maximum, const char *engine,
                       score *s, const char *what)
{
    char key[32];
    snprintf(key, sizeof(key), "x_%s", text(item, "x"));
    quantized in = quantized_of(json_object_get(root, key));
    const json_t *result = result_of(json_object_get(item, "result"), engine, what);
    assert_non_null(result);
    quantized want = quantized_of(result);
    const json_t *args = json_object_get(item, "args");
    int k = option(args, "kernel_size", 0), stride = option(args, "stride", k);
    int pad = option(args, "padding", 0), dilation = option(args, "dilation", 1);
    bool include_pad = !json_is_false(json_object_get(args, "count_include_pad"));
    qzk_view x = nhwc_of(&in);
    qzk_view y = {NULL, want.n, want.h, want.w, want.c, QZK_CEIL4(want.c)};
    y.data = calloc((size_t)(y.n * y.h * y.w), (size_t)y.pixel_stride);
    assert_non_null(y.data);
    for (int32_t n = 0; n < y.n; n++)
        for (int32_t oy = 0; oy < y.h; oy++)
            for (int32_t ox = 0; ox < y.w; ox++) {
                uint8_t *to = (uint8_t *)y.data + ((n * y.h + oy) * y.w + ox) * y.pixel_stride;
                if (maximum) {
                    const uint8_t *taps[64];
                    size_t inside = 0;
                    for (int t = 0; t < k * k; t++) {
                        int iy = oy * stride - pad + t / k * dilation;
                        int ix = ox * stride - pad + t % k * dilation;
                        if (iy >= 0 && iy < x.h && ix >= 0 && ix < x.w)
                            taps[inside++] = pixel_of(&x, n, iy, ix);
                    }
                    kernels.u8_maxpool(taps, inside, (size_t)x.c, to);
                } else if (k > 0) {
                    window wy = window_at(oy, x.h, k, stride, pad);
                    window wx = window_at(ox, x.w, k, stride, pad);
                    int32_t inside = (wy.end - wy.begin) * (wx.end - wx.begin);
                    average(&x, n, wy, wx, include_pad ? wy.padded * wx.padded : inside, &in, &want,
                            to);
                } else { /* adaptive */
                    window wy = {oy * x.h / y.h, QZI_DIV_UP((oy + 1) * x.h, y.h), 0};
                    window wx = {ox * x.w / y.w, QZI_DIV_UP((ox + 1) * x.w, y.w), 0};
                    average(&x, n, wy, wx, (wy.end - wy.begin) * (wx.end - wx.begin), &in, &want,
                            to);
                }
            }
    compare(s, &y, &want, what);
    free(x.data);
    free(y.data);
}

static void check_pools(const char *file, bool maximum, score scores[2])
{
    json_t *root = load(file), *item;
    size_t index;
    json_array_foreach(json_object_get(root, "cases"), index, item)
    {
        char what[80];
        snprintf(what, sizeof(what), "%s case %zu", file, index);
        for (int e = 0; e < 2; e++) {
            if (e == 0 && strcmp(file, "qavgpool2d") == 0 && index == 4) {
                printf("not compared: %s on qnnpack: it ignores count_include_pad=False\n", what);
                continue;
            }
            check_pool(root, item, maximum, engines[e], &scores[e], what);
        }
    }
    for (int e = 0; e < 2; e++)
        score_print(file, engines[e], &scores[e]);
    json_decref(root);
}

static void maxpool(void **state)
{
    (void)state;
    score scores[2] = {{0}, {0}};
    check_pools("qmaxpool2d", true, scores);
    assert_int_equal(scores[0].most + scores[1].most, 0);
}

static void avgpool(void **state)
{
    (void)state;
    score scores[2] = {{0}, {0}};
    check_pools("qavgpool2d", false, scores);
}

static void adaptive_avgpool(void **state)
{
    (void)state;
    score scores[2] = {{0}, {0}};
    check_pools("qadaptive_avg_pool2d", false, scores);
}

/* ---- batch norm, ReLU ---- */

static void batchnorm(void **state)
{
    (void)state;
    json_t *root = load("qbatch_norm");
    score scores[2] = {{0}, {0}};
    quantized x = quantized_of(json_object_get(root, "x"));
    float eps = (float)number(root, "eps"), s_y = (float)number(root, "out_scale");
    float mult[64], shift[64];
    assert_in_range(x.c, 1, 64);
    for (size_t c = 0; c < (size_t)x.c; c++) {
        float gamma = float_at(json_object_get(root, "weight"), c);
        float beta = float_at(json_object_get(root, "bias"), c);
        float mean = float_at(json_object_get(root, "running_mean"), c);
        float var = float_at(json_object_get(root, "running_var"), c);
        float a = gamma * (1.0f / sqrtf(var + eps));
        mult[c] = (x.scale * a) / s_y;
        shift[c] = (beta - mean * a) / s_y;
    }
    qzk_view xv = nhwc_of(&x), y = nhwc_of(&x);
    for (int k = 0; k < 4; k++) {
        bool relu = k & 1;
        const char *what = relu ? "batch_norm2d_relu" : "batch_norm2d";
        const json_t *result = result_of(json_object_get(root, what), engines[k / 2], what);
        assert_non_null(result);
        quantized want = quantized_of(result);
        kernels.u8_affine(&(qzk_rows){xv.data, y.data, (size_t)(y.n * y.h * y.w), (size_t)y.c,
                                      xv.pixel_stride, y.pixel_stride},
                          &(qzk_affine_params){mult, shift, x.zp, want.zp,
                                               relu ? 0.0f : (float)-want.zp,
                                               (float)(255 - want.zp)});
        compare(&scores[k / 2], &y, &want, what);
    }
    for (int e = 0; e < 2; e++)
        score_print("qbatch_norm", engines[e], &scores[e]);
    free(xv.data);
    free(y.data);
    json_decref(root);
}

static void check_relu(const char *file, bool six)
{
    json_t *root = load(file), *item;
    score scores[2] = {{0}, {0}};
    size_t index;
    json_array_foreach(json_object_get(root, "cases"), index, item)
    {
        for (int e = 0; e < 2; e++) {
            const json_t *result = result_of(json_object_get(item, "result"), engines[e], file);
            assert_non_null(result);
            quantized want = quantized_of(result);
            uint8_t x[256], y[256];
            assert_int_equal(want.count, 256);
            for (int i = 0; i < 256; i++)
                x[i] = (uint8_t)i;
            float top = qzi_rnef(6.0f * (1.0f / want.scale)) + (float)want.zp;
            uint8_t hi = !six || top > 255.0f ? 255 : (uint8_t)top;
            kernels.u8_clamp(x, y, 256, (uint8_t)want.zp, hi);
            qzk_view got = {y, 1, 1, 256, 1, 1};
            compare(&scores[e], &got, &want, file);
        }
    }
    for (int e = 0; e < 2; e++) {
        score_print(file, engines[e], &scores[e]);
        assert_int_equal(scores[e].most, 0);
    }
    json_decref(root);
}

static void relu(void **state)
{
    (void)state;
    check_relu("qrelu", false);
}

static void relu6(void **state)
{
    (void)state;
    check_relu("qrelu6", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantize_per_tensor),
        cmocka_unit_test(quantize_weights),
        cmocka_unit_test(conv2d),
        cmocka_unit_test(linear),
        cmocka_unit_test(add),
        cmocka_unit_test(maxpool),
        cmocka_unit_test(avgpool),
        cmocka_unit_test(adaptive_avgpool),
        cmocka_unit_test(batchnorm),
        cmocka_unit_test(relu),
        cmocka_unit_test(relu6),
    };
    qzk_init(&kernels, QZ_ISA_REF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
