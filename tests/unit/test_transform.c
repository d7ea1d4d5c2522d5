/* SPDX-License-Identifier: MIT */
/* test_transform.c - detectors' images to the network's input, against torchvision's. */
#include "../models/golden.h"
#include "detection.h"
#include "zoo/detection/transform.h"

static const qzi_detector resized = {.kind = QZI_DETECTOR_RCNN,
                                     .mean = QZI_DETECTOR_IMAGENET_MEAN,
                                     .std = QZI_DETECTOR_IMAGENET_STD,
                                     .size_divisor = 32};
static const qzi_detector fixed = {.kind = QZI_DETECTOR_SSD,
                                   .mean = {0.48235f, 0.45882f, 0.40784f},
                                   .std = {1.0f / 255.0f, 1.0f / 255.0f, 1.0f / 255.0f},
                                   .size_divisor = 1};

/* Fills the input node's value of one image; out has room for padded_h x padded_w pixels. */
static void transform(const qz_context *ctx, const qzi_detector *detector, qzi_transform *t,
                      const qzi_node *node, void *out, int64_t stride, uint32_t threads)
{
    qzk_kernels kernels;
    qzk_init(&kernels, threads > 1 ? QZ_ISA_AUTO : QZ_ISA_REF);
    t->ctx = ctx;
    t->kernels = &kernels;
    assert_int_equal(qzi_transform_prepare(t, detector, threads), QZ_OK);
    const qzk_view view = {out, 1, t->size.padded_h, t->size.padded_w, 3, stride};
    qzi_transform_fill(t, ctx, node, &view, threads);
    qzi_transform_release(t);
}

/* ---- torchvision's batches ---- */

static void add_image(const qz_context *ctx, const qzi_detector *detector,
                      const qz_detection_options *options, const char *key, int32_t h, int32_t w,
                      const json_t *size, int32_t padded_h, int32_t padded_w, float *nchw)
{
    static const qzi_node node = {.dtype = QZ_F32, .c = 3};
    const size_t plane = (size_t)padded_h * (size_t)padded_w;
    float *chw = malloc((size_t)h * (size_t)w * 3 * sizeof(*chw));
    float *nhwc = malloc(plane * 3 * sizeof(*nhwc));
    assert_true(chw && nhwc);
    qz_random_uniform(key, "", 0.0, 1.0, (int64_t)h * w * 3, chw);
    qzi_transform t = {.chw = chw, .height = h, .width = w};
    assert_int_equal(qzi_transform_sizes(ctx, detector, options, h, w, padded_h, padded_w, &t.size),
                     QZ_OK);
    assert_int_equal(t.size.resized_h, json_integer_value(json_array_get(size, 0)));
    assert_int_equal(t.size.resized_w, json_integer_value(json_array_get(size, 1)));
    transform(ctx, detector, &t, &node, nhwc, 3, 2);
    for (size_t p = 0; p < plane; p++)
        for (size_t c = 0; c < 3; c++)
            nchw[c * plane + p] = nhwc[p * 3 + c];
    free(chw);
    free(nhwc);
}

static void check_batch(const json_t *golden, const json_t *record, const char *const *keys,
                        const json_t *shapes)
{
    qz_context *ctx = detection_context();
    const json_t *config = json_object_get(golden, "config");
    const bool ssd = json_is_array(json_object_get(config, "fixed_size"));
    qzi_detector detector = ssd ? fixed : resized;
    qz_detection_options options = {.size = sizeof(options)};
    for (size_t c = 0; c < 3; c++) {
        detector.mean[c] = oracle_float(json_array_get(json_object_get(config, "image_mean"), c));
        detector.std[c] = oracle_float(json_array_get(json_object_get(config, "image_std"), c));
    }
    options.min_size =
        (int32_t)json_integer_value(json_array_get(json_object_get(config, "min_size"), 0));
    options.max_size = (int32_t)json_integer_value(json_object_get(config, "max_size"));
    if (ssd)
        options.fixed_h = options.fixed_w = options.max_size;
    const json_t *shape = json_object_get(record, "shape");
    const int32_t n = (int32_t)json_integer_value(json_array_get(shape, 0));
    const int32_t h = (int32_t)json_integer_value(json_array_get(shape, 2));
    const int32_t w = (int32_t)json_integer_value(json_array_get(shape, 3));
    qz_tensor batch = {.dtype = QZ_F32, .ndim = 4, .dims = {n, 3, h, w}};
    batch.data = malloc((size_t)n * 3 * (size_t)h * (size_t)w * sizeof(float));
    assert_non_null(batch.data);
    for (int32_t i = 0; i < n; i++) {
        const json_t *s = json_array_get(shapes, (size_t)i);
        add_image(ctx, &detector, &options, keys[i],
                  (int32_t)json_integer_value(json_array_get(s, 1)),
                  (int32_t)json_integer_value(json_array_get(s, 2)),
                  json_array_get(json_object_get(record, "image_sizes"), (size_t)i), h, w,
                  (float *)batch.data + (size_t)i * 3 * (size_t)h * (size_t)w);
    }
    const double difference = golden_difference(record, &batch);
    if (!(difference < 1e-5))
        fail_msg("%s: the input differs by %g", keys[0], difference);
    free(batch.data);
    qz_context_destroy(ctx);
}

static void test_models(void **state)
{
    (void)state;
    static const char *const names[] = {"fasterrcnn_resnet50_fpn",
                                        "fasterrcnn_mobilenet_v3_large_320_fpn", "ssd300_vgg16",
                                        "ssdlite320_mobilenet_v3_large"};
    static const char *const one[] = {"input"}, *const two[] = {"input_alt0", "input_alt1"};
    for (size_t i = 0; i < QZI_ARRAY_LEN(names); i++) {
        json_t *golden = detection_golden(names[i]);
        if (!golden)
            skip();
        json_t *shapes = json_array();
        const json_t *alt = json_object_get(golden, "alt");
        json_array_append(shapes, json_object_get(json_object_get(golden, "input"), "shape"));
        check_batch(golden, json_object_get(golden, "transformed"), one, shapes);
        check_batch(golden, json_object_get(alt, "transformed"), two,
                    json_object_get(alt, "shapes"));
        json_decref(shapes);
        json_decref(golden);
    }
}

/* ---- bytes are floats, and uint8 inputs are quantized floats ---- */

enum { H = 37, W = 53 };

static void test_bytes(void **state)
{
    (void)state;
    static const qzi_node f32 = {.dtype = QZ_F32, .c = 3};
    static const qzi_node u8 = {.dtype = QZ_U8, .c = 3, .q = {0.0187f, 114}};
    static const qz_detection_options options = {.min_size = 80, .max_size = 100};
    qz_context *ctx = detection_context();
    static uint8_t rgb[H * (W * 3 + 5)];
    static float chw[3 * H * W];
    for (size_t i = 0; i < sizeof(rgb); i++)
        rgb[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                chw[(c * H + y) * W + x] = (float)rgb[y * (W * 3 + 5) + x * 3 + c] / 255.0f;
    qzi_transform bytes = {.rgb = rgb, .stride = W * 3 + 5, .height = H, .width = W};
    qzi_transform floats = {.chw = chw, .height = H, .width = W};
    assert_int_equal(qzi_transform_sizes(ctx, &resized, &options, H, W, 0, 0, &bytes.size), QZ_OK);
    assert_int_equal(bytes.size.resized_w, 99); /* 100 * (1 / 53) * 53 in floats */
    assert_int_equal(bytes.size.resized_h, 69); /* floor(37 * 100 / 53) */
    assert_int_equal(bytes.size.padded_h, 96);
    assert_int_equal(bytes.size.padded_w, 128);
    floats.size = bytes.size;
    enum { PIXELS = 96 * 128 };
    static float a[PIXELS * 3], b[PIXELS * 3];
    static uint8_t q[PIXELS * 4];
    transform(ctx, &resized, &bytes, &f32, a, 3, 1);
    transform(ctx, &resized, &floats, &f32, b, 3, 2);
    assert_memory_equal(a, b, sizeof(a));
    transform(ctx, &resized, &bytes, &u8, q, 4, 2);
    for (int p = 0; p < PIXELS; p++) {
        for (int c = 0; c < 3; c++) {
            const float v = rintf(fminf(fmaxf(a[p * 3 + c] * (1.0f / 0.0187f), -114), 141)) + 114;
            assert_int_equal(q[p * 4 + c], (int)v);
        }
    }
    qz_context_destroy(ctx);
}

static void test_sizes(void **state)
{
    (void)state;
    static const qz_detection_options options = {.min_size = 800, .max_size = 1333};
    static const qz_detection_options ssd300 = {.fixed_h = 300, .fixed_w = 320};
    qz_context *ctx = detection_context();
    qzi_transform_size s;
    assert_int_equal(qzi_transform_sizes(ctx, &resized, &options, 480, 640, 0, 0, &s), QZ_OK);
    assert_int_equal(s.resized_h, 800);
    assert_int_equal(s.resized_w, 1066);
    assert_int_equal(s.padded_h, 800);
    assert_int_equal(s.padded_w, 1088);
    assert_int_equal(qzi_transform_sizes(ctx, &fixed, &ssd300, 7, 9, 0, 0, &s), QZ_OK);
    assert_true(s.resized_h == 300 && s.resized_w == 320 && s.padded_h == 300 && s.padded_w == 320);
    assert_int_equal(qzi_transform_sizes(ctx, &resized, &options, 1, 1, 0, 0, &s), QZ_OK);
    assert_int_equal(s.resized_h, 800);
    assert_int_equal(qzi_transform_sizes(ctx, &resized, &options, 1, 10000, 0, 0, &s),
                     QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_transform_sizes(ctx, &resized, &options, 0, 5, 0, 0, &s), QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_transform_sizes(ctx, &resized, &options, 480, 640, 800, 800, &s),
                     QZ_ERR_ARGUMENT);
    float bad[3] = {0, NAN, 0};
    qzi_transform t = {.ctx = ctx, .chw = bad, .height = 1, .width = 1, .size = {1, 1, 1, 1}};
    assert_int_equal(qzi_transform_prepare(&t, &resized, 1), QZ_ERR_NUMERIC);
    qzi_transform_release(&t);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
