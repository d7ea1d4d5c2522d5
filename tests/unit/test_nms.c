/* SPDX-License-Identifier: MIT */
/*
 * test_nms.c - suppression against torchvision's, against a plain loop, and of senseless boxes;
 * ranking and the best of many scores.
 */
#include "detection.h"

static uint64_t seed = 42;
static uint32_t random_number(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33);
}
static float random_float(float most)
{
    return (float)random_number() / 2147483648.0f * most;
}

/* ---- torchvision ---- */

static void assert_list(const json_t *want, const uint32_t *keep, size_t kept)
{
    assert_int_equal(kept, json_array_size(want));
    for (size_t i = 0; i < kept; i++)
        assert_int_equal(keep[i], json_integer_value(json_array_get(want, i)));
}

static void test_ops(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    json_t *json = oracle_load("detection_fp32");
    const json_t *nms = json_object_get(json, "nms");
    qz_context *ctx = detection_context();
    qzi_box boxes[COUNT];
    float scores[COUNT];
    int32_t labels[COUNT];
    uint32_t keep[COUNT];
    size_t kept;
    for (size_t i = 0; i < COUNT; i++) {
        boxes[i] = oracle_box(json_object_get(nms, "boxes"), i);
        scores[i] = oracle_float(json_array_get(json_object_get(nms, "scores"), i));
        labels[i] = (int32_t)json_integer_value(json_array_get(json_object_get(nms, "labels"), i));
    }
    assert_int_equal(qzi_nms(ctx, boxes, scores, COUNT, 0.5, keep, &kept), QZ_OK);
    assert_list(json_object_get(nms, "nms_0.5"), keep, kept);
    assert_int_equal(qzi_nms(ctx, boxes, scores, COUNT, 0.3, keep, &kept), QZ_OK);
    assert_list(json_object_get(nms, "nms_0.3"), keep, kept);
    assert_int_equal(qzi_batched_nms(ctx, 2, boxes, scores, labels, COUNT, 0.5, COUNT, keep, &kept),
                     QZ_OK);
    assert_list(json_object_get(nms, "batched_nms_0.5"), keep, kept);
    assert_int_equal(qzi_batched_nms(ctx, 1, boxes, scores, labels, COUNT, 0.5, 7, keep, &kept),
                     QZ_OK);
    assert_int_equal(kept, 7);
    for (size_t i = 0; i < kept; i++)
        assert_int_equal(keep[i], json_integer_value(
                                      json_array_get(json_object_get(nms, "batched_nms_0.5"), i)));
    qz_context_destroy(ctx);
    json_decref(json);
}

/* ---- a plain loop: O(n^2), all pairs, by the definition ---- */

static size_t plain_nms(const qzi_box *boxes, const float *scores, const int32_t *groups,
                        size_t count, double threshold, uint32_t *keep)
{
    bool *done = calloc(count + 1, sizeof(bool));
    size_t kept = 0;
    assert_non_null(done);
    for (size_t round = 0; round < count; round++) {
        size_t best = count;
        for (size_t i = 0; i < count; i++)
            if (!done[i] && (best == count || scores[i] > scores[best]))
                best = i;
        if (best == count)
            break;
        done[best] = true;
        keep[kept++] = (uint32_t)best;
        const qzi_box a = boxes[best];
        for (size_t i = 0; i < count; i++) {
            const qzi_box b = boxes[i];
            const float w = fmaxf(0, fminf(a.x2, b.x2) - fmaxf(a.x1, b.x1));
            const float h = fmaxf(0, fminf(a.y2, b.y2) - fmaxf(a.y1, b.y1));
            const float inter = w * h, area_a = (a.x2 - a.x1) * (a.y2 - a.y1);
            const float iou = inter / (area_a + (b.x2 - b.x1) * (b.y2 - b.y1) - inter);
            if (groups[i] == groups[best] && (double)iou > threshold)
                done[i] = true;
        }
    }
    free(done);
    return kept;
}

static void check_random(size_t count, int32_t groups, double threshold, uint32_t threads)
{
    qz_context *ctx = detection_context();
    qzi_box *boxes = calloc(count + 1, sizeof(*boxes));
    float *scores = calloc(count + 1, sizeof(*scores));
    int32_t *labels = calloc(count + 1, sizeof(*labels));
    uint32_t *keep = calloc(count + 1, sizeof(*keep)), *want = calloc(count + 1, sizeof(*want));
    size_t kept = 99;
    assert_true(boxes && scores && labels && keep && want);
    for (size_t i = 0; i < count; i++) {
        /* on a grid, so that coordinates moved apart are exact and equal overlaps are common */
        const float x = floorf(random_float(60)), y = floorf(random_float(60));
        boxes[i] = (qzi_box){x, y, x + floorf(random_float(30)), y + floorf(random_float(30))};
        scores[i] = floorf(random_float(50)) / 64.0f;
        labels[i] = (int32_t)(random_number() % (uint32_t)groups);
    }
    assert_int_equal(
        qzi_batched_nms(ctx, threads, boxes, scores, labels, count, threshold, count, keep, &kept),
        QZ_OK);
    assert_int_equal(kept, plain_nms(boxes, scores, labels, count, threshold, want));
    for (size_t i = 0; i < kept; i++)
        assert_int_equal(keep[i], want[i]);
    free(boxes);
    free(scores);
    free(labels);
    free(keep);
    free(want);
    qz_context_destroy(ctx);
}

static void test_random(void **state)
{
    (void)state;
    for (size_t count = 0; count < 40; count++)
        check_random(count, 1 + (int32_t)(count % 5), count % 3 == 0 ? 0.5 : 0.25, 1);
    check_random(700, 9, 0.5, 2);
    check_random(1000, 90, 0.0, 1);
    check_random(1001, 3, 0.5, 2);
    check_random(1500, 1, 1.0, 1);
}

/* The threshold is a double: a float overlap of 0.55f is above 0.55. */
static void test_threshold(void **state)
{
    (void)state;
    qz_context *ctx = detection_context();
    /* 11 of 20 overlap: the float nearest to 0.55, which is above it */
    const qzi_box boxes[2] = {{0, 0, 20, 1}, {0, 0, 11, 1}};
    const float scores[2] = {0.9f, 0.8f};
    uint32_t keep[2];
    size_t kept;
    assert_int_equal(qzi_nms(ctx, boxes, scores, 2, 0.55, keep, &kept), QZ_OK);
    assert_int_equal(kept, 1);
    assert_int_equal(qzi_nms(ctx, boxes, scores, 2, (double)0.55f, keep, &kept), QZ_OK);
    assert_int_equal(kept, 2);
    qz_context_destroy(ctx);
}

static void test_senseless(void **state)
{
    (void)state;
    static const float values[] = {NAN, INFINITY, -INFINITY, 3e38f, 0};
    qz_context *ctx = detection_context();
    qzi_box boxes[25];
    float scores[25];
    int32_t labels[25];
    uint32_t keep[25];
    size_t kept;
    for (int i = 0; i < 25; i++) {
        boxes[i] = (qzi_box){values[i / 5], values[i % 5], values[i % 5], values[i / 5]};
        scores[i] = i % 2 ? 0.5f : -INFINITY;
        labels[i] = i % 3;
    }
    assert_int_equal(qzi_batched_nms(ctx, 2, boxes, scores, labels, 25, 0.5, 25, keep, &kept),
                     QZ_OK);
    assert_int_equal(qzi_nms(ctx, NULL, NULL, 0, 0.5, NULL, &kept), QZ_OK);
    assert_int_equal(kept, 0);
    qz_context_destroy(ctx);
}

/* ---- the best of many ---- */

static void test_rank(void **state)
{
    (void)state;
    static const float ordered[] = {-INFINITY, -3e38f, -1, -1e-45f, 0, 1e-45f, 0.5f, 1, INFINITY};
    for (size_t i = 0; i < QZI_ARRAY_LEN(ordered); i++) {
        assert_true(qzi_rank_score(qzi_rank(ordered[i], 7)) == ordered[i]);
        assert_int_equal(qzi_rank_index(qzi_rank(ordered[i], 4000000000u)), 4000000000u);
        if (i > 0)
            assert_true(qzi_rank(ordered[i], 9) > qzi_rank(ordered[i - 1], 1));
        assert_true(qzi_rank(ordered[i], 9) < qzi_rank(ordered[i], 8));
    }
    assert_true(qzi_rank(-0.0f, 1) == qzi_rank(0.0f, 1));
}

static void check_top_k(const qz_context *ctx, size_t count, size_t k, int order)
{
    qzi_top_k top;
    qzi_ranked *all = calloc(count + 1, sizeof(*all));
    size_t above = 0;
    assert_non_null(all);
    assert_int_equal(qzi_top_k_init(ctx, &top, k, 0.25f), QZ_OK);
    for (size_t i = 0; i < count; i++) {
        const float score = order == 0   ? floorf(random_float(1000)) / 1000.0f
                            : order == 1 ? (float)i / (float)count
                                         : 1.0f - (float)i / (float)count;
        qzi_top_k_add(&top, score, (uint32_t)i);
        if (score > 0.25f)
            all[above++] = qzi_rank(score, (uint32_t)i);
    }
    qzi_top_k_add(&top, NAN, 5);
    qzi_top_k_finish(&top);
    qzi_rank_sort(all, above);
    assert_int_equal(top.count, QZI_MIN(above, k));
    for (size_t i = 0; i < top.count; i++) {
        assert_true(i + 1 >= above || all[i] > all[i + 1]);
        assert_true(top.list[i] == all[i]);
    }
    qzi_top_k_free(ctx, &top);
    free(all);
}

static void test_top_k(void **state)
{
    (void)state;
    qz_context *ctx = detection_context();
    for (int order = 0; order < 3; order++) {
        check_top_k(ctx, 0, 10, order);
        check_top_k(ctx, 50, 100, order);
        check_top_k(ctx, 20000, 1, order);
        check_top_k(ctx, 100000, 1000, order);
        check_top_k(ctx, 30000, 20000, order);
    }
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),       cmocka_unit_test(test_random),
        cmocka_unit_test(test_threshold), cmocka_unit_test(test_senseless),
        cmocka_unit_test(test_rank),      cmocka_unit_test(test_top_k),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
