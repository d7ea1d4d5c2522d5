/* SPDX-License-Identifier: MIT */
/*
 * test_yolo_steps.c - YOLO's public steps on cases of our own: letterboxes to the pixel (hashes of
 * Pillow's resize with the same margins), decoding by hand, each rule of suppression, boxes back in
 * the image, arguments that make no sense; and memory that ends.
 */
#include "zoo/detection/yolo.h"
#include "zoo/qzoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assert_ok.h"
#include "counting.h"

/* ---- letterbox ---- */

static const struct letterbox_case {
    int32_t width, height, net_width, net_height, stride, out_width, out_height, left, top;
    uint64_t hash;
} letterbox_cases[] = {
    {173, 97, 96, 96, 0, 96, 96, 0, 21, UINT64_C(0x31d3f5aea9ccf061)},
    {173, 97, 96, 96, 32, 96, 64, 0, 5, UINT64_C(0x197cdc6dec557061)},
    {97, 173, 64, 96, 0, 64, 96, 5, 0, UINT64_C(0x0929989e94e75649)},
    {30, 50, 96, 64, 0, 96, 64, 29, 0, UINT64_C(0xddc422aa0a09b508)},
    {30, 50, 96, 64, 32, 64, 64, 13, 0, UINT64_C(0x95d6a738c4cf5368)},
    {64, 64, 64, 64, 0, 64, 64, 0, 0, UINT64_C(0x9fc8518a0a4d7f25)},
    {101, 40, 64, 64, 32, 64, 32, 0, 3, UINT64_C(0x443fe4df270e8a69)},
    {257, 33, 96, 64, 0, 96, 64, 0, 26, UINT64_C(0x7008dd25cbed78eb)},
};

static uint8_t *make_image(int32_t width, int32_t height, size_t stride)
{
    uint8_t *rgb = calloc((size_t)height, stride);
    assert_non_null(rgb);
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            for (int32_t c = 0; c < 3; c++)
                rgb[(size_t)y * stride + (size_t)(x * 3 + c)] =
                    (uint8_t)(x * 7 + y * 13 + c * 31 + ((x * y) >> 3));
    return rgb;
}

static void test_letterbox(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(letterbox_cases); i++) {
        const struct letterbox_case *c = &letterbox_cases[i];
        const size_t stride = (size_t)c->width * 3 + 5;
        uint8_t *rgb = make_image(c->width, c->height, stride);
        qz_letterbox box;
        ASSERT_OK(NULL, qz_yolo_letterbox_size(NULL, c->width, c->height, c->net_width,
                                               c->net_height, c->stride, &box));
        assert_int_equal(box.width, c->out_width);
        assert_int_equal(box.height, c->out_height);
        assert_int_equal(box.left, c->left);
        assert_int_equal(box.top, c->top);
        const size_t bytes = (size_t)(box.width * box.height) * 3;
        uint8_t *out = malloc(bytes);
        assert_non_null(out);
        ASSERT_OK(NULL, qz_yolo_letterbox(NULL, rgb, c->width, c->height, stride, &box, out));
        assert_true(qzi_fnv1a(out, bytes, QZI_FNV_OFFSET) == c->hash);
        free(out);
        free(rgb);
    }
    qz_letterbox box;
    uint8_t pixel[3] = {0}, out[3];
    assert_int_equal(qz_yolo_letterbox_size(NULL, 5000, 1, 640, 640, 0, &box), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_yolo_letterbox_size(NULL, 0, 1, 640, 640, 0, &box), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_yolo_letterbox_size(NULL, 1, 1, 640, 640, -1, &box), QZ_ERR_ARGUMENT);
    ASSERT_OK(NULL, qz_yolo_letterbox_size(NULL, 1, 1, 1, 1, 0, &box));
    box.left = 1;
    assert_int_equal(qz_yolo_letterbox(NULL, pixel, 1, 1, 3, &box, out), QZ_ERR_ARGUMENT);
}

/* ---- the graph's input ---- */

/* The fill of a photo is the public letterbox with each byte replaced, with any threads. */
static void test_fill(void **state)
{
    (void)state;
    const int32_t width = 173, height = 97;
    uint8_t *rgb = make_image(width, height, (size_t)width * 3), *letterboxed;
    qz_context *ctx = NULL;
    ASSERT_OK(NULL, qz_context_create(NULL, &ctx));
    qzi_yolo_input in = {.ctx = ctx, .in = {rgb, width, height, (size_t)width * 3}};
    ASSERT_OK(ctx, qz_yolo_letterbox_size(ctx, width, height, 96, 96, 0, &in.box));
    letterboxed = malloc(96 * 96 * 3);
    assert_non_null(letterboxed);
    ASSERT_OK(ctx,
              qz_yolo_letterbox(ctx, rgb, width, height, (size_t)width * 3, &in.box, letterboxed));
    /* floats; bytes that a table replaces; and bytes that stay what they are */
    static const struct {
        float scale;
        int32_t zero_point;
    } q[3] = {{0.0f, 0}, {0.01f, 7}, {1.0f / 255.0f, 0}};
    for (int bytes = 0; bytes < 3; bytes++) {
        const qzi_node node = {.dtype = bytes ? QZ_U8 : QZ_F32,
                               .q = {.scale = q[bytes].scale, q[bytes].zero_point}};
        for (uint32_t threads = 1; threads <= 3; threads++) {
            uint32_t *room = calloc(96 * 96, 16);
            assert_non_null(room);
            const qzk_view view = {
                .data = room, .n = 1, .h = 96, .w = 96, .c = 3, .pixel_stride = bytes ? 4 : 3};
            ASSERT_OK(ctx, qzi_yolo_input_prepare(&in, threads));
            qzi_yolo_input_fill(&in, ctx, &node, &view, threads);
            for (int64_t p = 0; p < 96 * 96; p++) {
                for (int c = 0; c < 3; c++) {
                    const float v = (float)letterboxed[p * 3 + c] / 255.0f;
                    if (bytes)
                        assert_int_equal(
                            ((uint8_t *)room)[p * 4 + c],
                            (int)fmin(255.0, qzi_rne((double)(v * (1.0f / q[bytes].scale))) +
                                                 q[bytes].zero_point));
                    else
                        assert_true(((float *)room)[p * 3 + c] == v);
                }
            }
            free(room);
        }
    }
    qzi_yolo_input_free(ctx, &in);
    free(letterboxed);
    free(rgb);
    qz_context_destroy(ctx);
}

/* ---- decode ---- */

#define CLASSES 2
#define ENTRIES (CLASSES + 5)

static const qz_yolo_info own = {
    .classes = CLASSES,
    .strides = {8, 16, 32},
    .anchors = {{{10, 13}, {16, 30}, {33, 23}},
                {{30, 61}, {62, 45}, {59, 119}},
                {{116, 90}, {156, 198}, {373, 326}}},
    .scale_xy = {1.2f, 1.1f, 1.05f},
};

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* Two images of 32 x 64: heads of 4 x 8, 2 x 4 and 1 x 2. */
static void check_decode(qz_yolo_decode kind)
{
    qz_yolo_info info = own;
    qz_tensor heads[3] = {0}, rows = {0};
    info.decode = kind;
    for (int k = 0; k < 3; k++) {
        heads[k] = (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {2, 21, 4 >> k, 8 >> k}};
        float *data = malloc((size_t)qz_tensor_numel(&heads[k]) * sizeof(*data));
        assert_non_null(data);
        for (int64_t i = 0; i < qz_tensor_numel(&heads[k]); i++)
            data[i] = (float)((i * 37 + k * 11) % 101) / 25.0f - 2.0f;
        heads[k].data = data;
    }
    ASSERT_OK(NULL, qz_yolo_decode_heads(NULL, &info, heads, &rows));
    assert_int_equal(rows.dims[0], 2);
    assert_int_equal(rows.dims[1], 3 * (32 + 8 + 2));
    assert_int_equal(rows.dims[2], ENTRIES);
    rows.data = malloc((size_t)qz_tensor_numel(&rows) * sizeof(float));
    assert_non_null(rows.data);
    ASSERT_OK(NULL, qz_yolo_decode_heads(NULL, &info, heads, &rows));
    const float *row = rows.data;
    for (int n = 0; n < 2; n++)
        for (int k = 0; k < 3; k++) {
            const int h = 4 >> k, w = 8 >> k;
            for (int r = 0; r < 3 * h * w; r++, row += ENTRIES) {
                const int a = r / (h * w), y = r / w % h, x = r % w;
                double t[ENTRIES], s = (double)info.scale_xy[k], stride = info.strides[k];
                for (int e = 0; e < ENTRIES; e++)
                    t[e] = (double)((float *)heads[k]
                                        .data)[((n * 21 + a * ENTRIES + e) * h + y) * w + x];
                const bool v5 = kind == QZ_YOLO_DECODE_V5;
                const double *p = t;
                const double aw = (double)info.anchors[k][a][0], ah = (double)info.anchors[k][a][1];
                const double want[4] = {
                    (v5 ? 2 * sigmoid(p[0]) - 0.5 + x : sigmoid(p[0]) * s - (s - 1) / 2 + x) *
                        stride,
                    (v5 ? 2 * sigmoid(p[1]) - 0.5 + y : sigmoid(p[1]) * s - (s - 1) / 2 + y) *
                        stride,
                    (v5 ? pow(2 * sigmoid(p[2]), 2) : exp(p[2])) * aw,
                    (v5 ? pow(2 * sigmoid(p[3]), 2) : exp(p[3])) * ah};
                for (int e = 0; e < ENTRIES; e++)
                    assert_true(fabs((double)row[e] - (e < 4 ? want[e] : sigmoid(t[e]))) <
                                1e-5 * fmax(1.0, fabs((double)row[e])));
            }
        }
    heads[1].dims[1] = 24;
    assert_int_equal(qz_yolo_decode_heads(NULL, &info, heads, &rows), QZ_ERR_ARGUMENT);
    info.classes = 0;
    assert_int_equal(qz_yolo_decode_heads(NULL, &info, heads, &rows), QZ_ERR_ARGUMENT);
    for (int k = 0; k < 3; k++)
        free(heads[k].data);
    free(rows.data);
}

static void test_decode(void **state)
{
    (void)state;
    check_decode(QZ_YOLO_DECODE_V5);
    check_decode(QZ_YOLO_DECODE_DARKNET);
}

/* ---- suppression ---- */

/* x y w h, objectness, two classes */
static const float some_rows[][ENTRIES] = {
    {50, 50, 20, 20, 0.9f, 0.8f, 0.1f},       /* 0: 0.72 of class 0 */
    {52, 50, 20, 20, 0.8f, 0.8f, 0.7f},       /* 1: 0.64; overlaps row 0 by .82 */
    {50, 52, 20, 20, 0.9f, 0.1f, 0.6f},       /* 2: 0.54 of class 1 */
    {150, 50, 20, 20, 0.25f, 1.0f, 1.0f},     /* 3: objectness is not above 0.25 */
    {250, 50, 20, 20, 0.5f, 0.5f, 0.2f},      /* 4: 0.25 is not above 0.25 */
    {350, 50, 20, 20, 0.75f, 0.375f, 0.375f}, /* 5: 0.28 of both classes: the first */
    {450, 50, 20, 20, 0.9f, 0.8f, 0.1f},      /* 6: as sure as row 0 */
};

struct kept {
    qz_detection list[300];
    size_t rows[300], count;
};

static struct kept suppress(const qz_detection_options *o, const int32_t *only, size_t only_count)
{
    struct kept k = {.count = 0};
    ASSERT_OK(NULL, qz_yolo_nms(NULL, some_rows[0], QZI_ARRAY_LEN(some_rows), CLASSES, o, only,
                                only_count, k.list, k.rows, &k.count));
    return k;
}

static void check_rows(const struct kept *k, size_t count, const size_t *rows)
{
    assert_int_equal(k->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(k->rows[i], rows[i]);
}

#define CHECK(kept, ...)                                               \
    do {                                                               \
        const size_t wanted[] = {__VA_ARGS__};                         \
        check_rows(&(kept), sizeof(wanted) / sizeof(*wanted), wanted); \
    } while (0)

static void test_suppression(void **state)
{
    qz_detection_options o;
    struct kept k;
    (void)state;
    ASSERT_OK(NULL, qz_detection_options_default(NULL, "yolov5n", &o));
    k = suppress(&o, NULL, 0);
    CHECK(k, 0, 6, 2, 5); /* of equal scores the lower row is first */
    assert_int_equal(k.list[2].label, 1);
    assert_int_equal(k.list[3].label, 0);
    assert_true(k.list[0].x1 == 40.0f && k.list[0].y1 == 40.0f && k.list[0].x2 == 60.0f);
    assert_true(k.list[0].score == 0.8f * 0.9f);
    o.agnostic = 1;
    k = suppress(&o, NULL, 0);
    CHECK(k, 0, 6, 5);
    o.agnostic = 0;
    o.nms_thresh = 0.9;
    k = suppress(&o, NULL, 0);
    CHECK(k, 0, 6, 1, 2, 5);
    o.detections_per_img = 2;
    k = suppress(&o, NULL, 0);
    CHECK(k, 0, 6);
    o.detections_per_img = 300;
    o.topk_candidates = 3; /* row 1 is the third best: the fourth is left out before */
    k = suppress(&o, NULL, 0);
    CHECK(k, 0, 6, 1);
    o.nms_thresh = 0.45;
    k = suppress(&o, NULL, 0);
    CHECK(k, 0, 6);
    o.topk_candidates = 30000;
    o.multi_label = 1;
    k = suppress(&o, NULL, 0);
    CHECK(k, 0, 6, 1, 5, 5); /* row 1 is the better one of class 1 */
    assert_int_equal(k.list[2].label, 1);
    assert_int_equal(k.list[4].label, 1);
    k = suppress(&o, (const int32_t[]){1}, 1);
    CHECK(k, 1, 5);
    o.multi_label = 0;
    k = suppress(&o, (const int32_t[]){1}, 1);
    CHECK(k, 2); /* a box of another class is none of this class */
    k = suppress(&o, (const int32_t[]){0}, 0);
    assert_int_equal(k.count, 0);
    o.score_thresh = 0.2;
    k = suppress(&o, NULL, 0);
    CHECK(k, 0, 6, 2, 5, 3, 4); /* 3 and 4 have 0.25 */
    o.detections_per_img = 0;
    size_t count;
    assert_int_equal(qz_yolo_nms(NULL, some_rows[0], 1, CLASSES, &o, NULL, 0, k.list, NULL, &count),
                     QZ_ERR_ARGUMENT);
}

/* ---- back to the image ---- */

static void test_to_image(void **state)
{
    qz_letterbox box;
    qz_detection list[] = {{10, 30, 50, 60, 0.9f, 1}, /* inside */
                           {-5, 20, 20, 40, 0.8f, 2}, /* cut */
                           {10, 2, 50, 15, 0.7f, 3},  /* in the gray: nothing is left */
                           {60, 40, 90, 70, 0.6f, 4}};
    size_t count = QZI_ARRAY_LEN(list);
    (void)state;
    /* 128 x 64 in 64 x 64: half as large, 16 rows of gray before it */
    ASSERT_OK(NULL, qz_yolo_letterbox_size(NULL, 128, 64, 64, 64, 0, &box));
    assert_int_equal(box.top, 16);
    ASSERT_OK(NULL, qz_yolo_to_image(NULL, &box, 128, 64, list, &count));
    assert_int_equal(count, 3);
    assert_true(list[0].x1 == 20.0f && list[0].y1 == 28.0f && list[0].x2 == 100.0f &&
                list[0].y2 == 64.0f);
    assert_true(list[1].x1 == 0.0f && list[1].y1 == 8.0f && list[1].y2 == 48.0f);
    assert_true(list[2].label == 4 && list[2].x2 == 128.0f && list[2].score == 0.6f);
    assert_int_equal(qz_yolo_to_image(NULL, &box, 0, 64, list, &count), QZ_ERR_ARGUMENT);
}

/* ---- memory ---- */

static void test_memory(void **state)
{
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    uint8_t *rgb = make_image(40, 30, 120), out[64 * 64 * 3];
    qz_detection_options o;
    qz_detection list[300];
    qz_letterbox box;
    size_t count = 0, failed = 0;
    (void)state;
    assert_non_null(ctx);
    ASSERT_OK(ctx, qz_detection_options_default(ctx, "yolov5n", &o));
    ASSERT_OK(ctx, qz_yolo_letterbox_size(ctx, 40, 30, 64, 64, 0, &box));
    for (int64_t n = 0; counting_fail(&c, n); n++, failed++) {
        const qz_status st = qz_yolo_letterbox(ctx, rgb, 40, 30, 120, &box, out);
        if (st == QZ_OK)
            break;
        assert_int_equal(st, QZ_ERR_MEMORY);
    }
    assert_true(failed >= 5);
    for (int64_t n = failed = 0; counting_fail(&c, n); n++, failed++) {
        const qz_status st = qz_yolo_nms(ctx, some_rows[0], QZI_ARRAY_LEN(some_rows), CLASSES, &o,
                                         NULL, 0, list, NULL, &count);
        if (st == QZ_OK)
            break;
        assert_int_equal(st, QZ_ERR_MEMORY);
        assert_int_equal(count, 0);
    }
    assert_true(failed >= 8);
    free(rgb);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letterbox), cmocka_unit_test(test_fill),
        cmocka_unit_test(test_decode),    cmocka_unit_test(test_suppression),
        cmocka_unit_test(test_to_image),  cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
