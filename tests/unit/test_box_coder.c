/* SPDX-License-Identifier: MIT */
/* test_box_coder.c - box decoding against torchvision's, by hand, and of senseless values. */
#include "detection.h"

#include <float.h>

static void test_ops(void **state)
{
    (void)state;
    static const float ones[4] = {1, 1, 1, 1}, tens[4] = {10, 10, 5, 5};
    json_t *json = oracle_load("detection_fp32");
    const json_t *decode = json_object_get(json, "box_decode");
    const json_t *deltas = json_object_get(decode, "deltas");
    const json_t *boxes = json_object_get(json_object_get(json, "nms"), "boxes");
    const json_t *w1 = json_object_get(decode, "w1111"),
                 *w10 = json_object_get(decode, "w10_10_5_5");
    const json_t *linear = json_object_get(decode, "fcos_linear_normalized");
    for (size_t i = 0; i < json_array_size(w1); i++) {
        const qzi_box d = oracle_box(deltas, i), anchor = oracle_box(boxes, i);
        const float delta[4] = {d.x1, d.y1, d.x2, d.y2};
        const float positive[4] = {fabsf(d.x1), fabsf(d.y1), fabsf(d.x2), fabsf(d.y2)};
        assert_box_near(qzi_box_decode(delta, anchor, ones), oracle_box(w1, i), 3e-6f);
        assert_box_near(qzi_box_decode(delta, anchor, tens), oracle_box(w10, i), 3e-6f);
        assert_box_near(qzi_box_decode_linear(positive, anchor), oracle_box(linear, i), 1e-6f);
    }
    json_decref(json);
}

static void test_by_hand(void **state)
{
    (void)state;
    static const float ones[4] = {1, 1, 1, 1}, none[4] = {0, 0, 0, 0}, wide[4] = {0.5f, 0, 99, 0};
    const qzi_box anchor = {10, 20, 30, 60};
    assert_box_near(qzi_box_decode(none, anchor, ones), anchor, 0.0f);
    /* the centre moves by half of the width, and the width is cut at 1000 / 16 of the anchor's */
    assert_box_near(qzi_box_decode(wide, anchor, ones), (qzi_box){30 - 625, 20, 30 + 625, 60},
                    1e-6f);
    assert_box_near(qzi_box_clip((qzi_box){-1, 5, 700, 480.5f}, 480, 640),
                    (qzi_box){0, 5, 640, 480}, 0.0f);
    assert_true(qzi_box_large((qzi_box){1, 1, 1.5f, 2}, 0.5f));
    assert_false(qzi_box_large((qzi_box){1, 1, 1.4f, 2}, 0.5f));
    assert_false(qzi_box_large((qzi_box){NAN, 1, 9, 9}, 0.5f));
    const qzi_box_scale scale = qzi_box_scale_of(300, 400, 600, 200);
    assert_box_near(qzi_box_resize(anchor, scale), (qzi_box){5, 40, 15, 120}, 0.0f);
}

/* No value is undefined behaviour, which the sanitizers look at. */
static void test_senseless(void **state)
{
    (void)state;
    static const float values[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0, -0.0f, 1e-45f};
    static const float ones[4] = {1, 1, 1, 1};
    for (size_t i = 0; i < QZI_ARRAY_LEN(values); i++) {
        for (size_t j = 0; j < QZI_ARRAY_LEN(values); j++) {
            const float delta[4] = {values[i], values[j], values[j], values[i]};
            const qzi_box anchor = {values[j], 0, values[i], 5};
            qzi_box b = qzi_box_clip(qzi_box_decode(delta, anchor, ones), 480, 640);
            (void)qzi_box_large(b, 1e-3f);
            b = qzi_box_clip(qzi_box_decode_linear(delta, anchor), 480, 640);
            assert_true(isnan(b.x1) || (b.x1 >= 0 && b.x1 <= 640));
        }
        const float p = qzi_sigmoid(values[i]);
        assert_true(isnan(values[i]) ? isnan(p) : p >= 0 && p <= 1);
    }
    assert_true(qzi_sigmoid(0) == 0.5f && qzi_sigmoid(200) == 1.0f && qzi_sigmoid(-200) < 1e-30f);
    assert_true(isinf(qzi_logit(0)) && isinf(qzi_logit(1)) && fabs(qzi_logit(0.5)) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_senseless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
