/* SPDX-License-Identifier: MIT */
/* test_roi_align.c - RoIAlign against torchvision's, and the same bytes from every kernel. */
#include "detection.h"
#include "zoo/detection/roi_align.h"

#include <float.h>

/* Pools RoIs of maps; the result is count x size x size pixels of c channels. */
static void pool(const qz_context *ctx, qz_isa isa, uint32_t threads, const qzi_map *maps,
                 int32_t levels, int32_t image_h, const qzi_box *rois, size_t count, int32_t size,
                 const qzi_node *node, qzk_view out)
{
    qzk_kernels kernels;
    qzk_init(&kernels, isa);
    qzi_roi_align align = {.ctx = ctx,
                           .kernels = &kernels,
                           .maps = maps,
                           .levels = levels,
                           .rois = rois,
                           .count = count,
                           .size = size};
    assert_int_equal(qzi_roi_align_prepare(&align, image_h, image_h, threads), QZ_OK);
    qzi_roi_align_fill(&align, ctx, node, &out, threads);
    qzi_roi_align_release(&align);
}

static void test_ops(void **state)
{
    (void)state;
    enum { H = 8, W = 10, C = 2, BOXES = 5, SIZE = 3 };
    json_t *json = oracle_load("detection_fp32");
    const json_t *oracle = json_object_get(json, "roi_align");
    const json_t *feat = json_object_get(oracle, "feat_1x2x8x10");
    const json_t *want =
        json_object_get(json_array_get(json_object_get(oracle, "cases"), 0), "out");
    qz_context *ctx = detection_context();
    float nhwc[H * W * C], out[BOXES * SIZE * SIZE * C];
    qzi_box rois[BOXES];
    for (size_t i = 0; i < H * W; i++)
        for (size_t c = 0; c < C; c++)
            nhwc[i * C + c] = oracle_float(json_array_get(feat, c * H * W + i));
    for (size_t i = 0; i < BOXES; i++)
        rois[i] = oracle_box(json_object_get(oracle, "boxes"), i);
    const qzi_node node = {.dtype = QZ_F32, .c = C};
    const qzi_map map = {&node, {nhwc, 1, H, W, C, C}};
    pool(ctx, QZ_ISA_AUTO, 2, &map, 1, H * 4, rois, BOXES, SIZE, &node,
         (qzk_view){out, BOXES, SIZE, SIZE, C, C});
    assert_int_equal(json_array_size(want), QZI_ARRAY_LEN(out));
    for (size_t r = 0; r < BOXES; r++)
        for (size_t c = 0; c < C; c++)
            for (size_t i = 0; i < SIZE * SIZE; i++) {
                const float got = out[(r * SIZE * SIZE + i) * C + c];
                const float torch =
                    oracle_float(json_array_get(want, (r * C + c) * SIZE * SIZE + i));
                assert_true(fabsf(got - torch) < 1e-6f);
            }
    qz_context_destroy(ctx);
    json_decref(json);
}

/* ---- which map ---- */

static int32_t level_of(qzi_box roi)
{
    const qzi_roi_align align = {.levels = 4, .level_min = 2, .level_max = 5};
    return qzi_roi_level(&align, roi);
}

static void test_levels(void **state)
{
    (void)state;
    assert_int_equal(level_of((qzi_box){0, 0, 224, 224}), 2); /* of maps 2 to 5: 4 */
    assert_int_equal(level_of((qzi_box){0, 0, 223.9f, 223.9f}), 1);
    assert_int_equal(level_of((qzi_box){0, 0, 112, 112}), 1);
    assert_int_equal(level_of((qzi_box){0, 0, 111, 112}), 0);
    assert_int_equal(level_of((qzi_box){0, 0, 448, 448}), 3);
    assert_int_equal(level_of((qzi_box){0, 0, 4000, 4000}), 3);
    assert_int_equal(level_of((qzi_box){5, 5, 5, 5}), 0);
    assert_int_equal(level_of((qzi_box){5, 5, 4, 9}), 0);
    assert_int_equal(level_of((qzi_box){NAN, 0, 9, 9}), 0);
    assert_int_equal(level_of((qzi_box){-FLT_MAX, -FLT_MAX, FLT_MAX, FLT_MAX}), 3);
    assert_int_equal(level_of((qzi_box){0, 0, 1e-30f, 1e-30f}), 0);
}

/* The scales are powers of two, found from heights of the image without its padding. */
static void test_scales(void **state)
{
    (void)state;
    qz_context *ctx = detection_context();
    fake_map maps[4];
    qzi_map views[4];
    static const int32_t heights[4] = {104, 52, 26, 13}; /* of 416 rows, 400 of them the image's */
    for (int k = 0; k < 4; k++) {
        fake_map_make(&maps[k], "map", 1, heights[k], heights[k], 4, 1, false);
        views[k] = maps[k].map;
    }
    qzi_roi_align align = {.ctx = ctx, .maps = views, .levels = 4};
    assert_int_equal(qzi_roi_align_prepare(&align, 400, 316, 1), QZ_OK);
    for (int k = 0; k < 4; k++) {
        assert_true(align.scales[k] == 0.25f / (float)(1 << k));
        fake_map_free(&maps[k]);
    }
    assert_int_equal(align.level_min, 2);
    assert_int_equal(align.level_max, 5);
    qzi_roi_align_release(&align);
    qz_context_destroy(ctx);
}

/* ---- the same bytes; uint8 is float within a step ---- */

enum { ROIS = 60, CHANNELS = 72, SIZE = 7, VALUES = ROIS * SIZE * SIZE * CHANNELS };

static void random_rois(qzi_box *rois)
{
    float *u = malloc(ROIS * 4 * sizeof(*u));
    assert_non_null(u);
    qz_random_uniform("rois", "", 0.0, 1.0, ROIS * 4, u);
    for (int i = 0; i < ROIS; i++) {
        const float x = u[4 * i] * 300 - 40, y = u[4 * i + 1] * 260 - 40;
        rois[i] = (qzi_box){x, y, x + u[4 * i + 2] * 200, y + u[4 * i + 3] * 200};
    }
    rois[0] = (qzi_box){-500, -500, -400, -400}; /* outside: zeros */
    rois[1] = (qzi_box){NAN, 0, 10, 10};
    rois[2] = (qzi_box){-FLT_MAX, -INFINITY, INFINITY, FLT_MAX};
    rois[3] = (qzi_box){50, 50, 20, 10};
    free(u);
}

static void test_bytes(void **state)
{
    (void)state;
    qz_context *ctx = detection_context();
    qzi_box rois[ROIS];
    random_rois(rois);
    float *exact = malloc(VALUES * sizeof(*exact)), *got = malloc(VALUES * sizeof(*got));
    uint8_t *bytes[2] = {malloc(VALUES), malloc(VALUES)};
    assert_true(exact && got && bytes[0] && bytes[1]);
    const qzi_node f32 = {.dtype = QZ_F32, .c = CHANNELS};
    const qzi_node u8 = {.dtype = QZ_U8, .c = CHANNELS, .q = {0.02f, 117}};
    for (int kind = 0; kind < 2; kind++) { /* float maps, then uint8 maps */
        fake_map maps[2];
        qzi_map views[2];
        for (int k = 0; k < 2; k++) {
            fake_map_make(&maps[k], k ? "coarse" : "fine", 1, 64 >> k, 80 >> k, CHANNELS, 2.5,
                          kind == 1);
            views[k] = maps[k].map;
        }
        const qzk_view to_exact = {exact, ROIS, SIZE, SIZE, CHANNELS, CHANNELS};
        const qzk_view to_got = {got, ROIS, SIZE, SIZE, CHANNELS, CHANNELS};
        pool(ctx, QZ_ISA_REF, 1, views, 2, 256, rois, ROIS, SIZE, &f32, to_exact);
        pool(ctx, QZ_ISA_AUTO, 2, views, 2, 256, rois, ROIS, SIZE, &f32, to_got);
        assert_memory_equal(exact, got, VALUES * sizeof(*got));
        for (int i = 0; i < SIZE * SIZE * CHANNELS; i++)
            assert_true(fabsf(exact[i]) < 1e-6f); /* outside */
        for (int i = 0; i < 2; i++)
            pool(ctx, i ? QZ_ISA_AUTO : QZ_ISA_REF, i ? 2 : 1, views, 2, 256, rois, ROIS, SIZE, &u8,
                 (qzk_view){bytes[i], ROIS, SIZE, SIZE, CHANNELS, CHANNELS});
        assert_memory_equal(bytes[0], bytes[1], VALUES);
        for (int i = 0; i < VALUES; i++) {
            const float real = (float)(bytes[0][i] - 117) * 0.02f;
            const float clamped = fminf(fmaxf(exact[i], -117 * 0.02f), 138 * 0.02f);
            assert_true(fabsf(real - clamped) <= 0.0101f);
        }
        for (int k = 0; k < 2; k++)
            fake_map_free(&maps[k]);
    }
    free(exact);
    free(got);
    free(bytes[0]);
    free(bytes[1]);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
