/* SPDX-License-Identifier: MIT */
/* test_anchors.c - anchors and default boxes against torchvision's, and by hand. */
#include "detection.h"

static const qzi_detector fpn = {.kind = QZI_DETECTOR_RCNN,
                                 .levels = 2,
                                 .size_count = 1,
                                 .ratio_count = 3,
                                 .sizes = {{32}, {64}},
                                 .ratios = {0.5f, 1.0f, 2.0f}};
static const qzi_detector retina = {.kind = QZI_DETECTOR_RETINANET,
                                    .levels = 1,
                                    .size_count = 3,
                                    .ratio_count = 3,
                                    .sizes = {{32, 40, 50}},
                                    .ratios = {0.5f, 1.0f, 2.0f}};
static const qzi_detector ssd = {.kind = QZI_DETECTOR_SSD,
                                 .levels = 2,
                                 .dbox_ratio_count = {1, 2},
                                 .dbox_ratios = {{2}, {2, 3}},
                                 .dbox_scales = {0.07, 0.15, 0.33},
                                 .dbox_steps = {8, 16}};

static qzi_box anchor_of_all(const qzi_anchors *anchors, int64_t i)
{
    int32_t k = 0;
    while (k + 1 < anchors->levels && i >= anchors->level[k + 1].first)
        k++;
    return qzi_anchor_at(anchors, k, i - anchors->level[k].first);
}

static void check_every(const qzi_detector *detector, const int32_t *heights, const int32_t *widths,
                        const json_t *list, int64_t step, float tolerance)
{
    qz_context *ctx = detection_context();
    qzi_anchors anchors;
    assert_int_equal(qzi_anchors_make(ctx, detector, 64, 96, heights, widths, &anchors), QZ_OK);
    assert_int_equal((anchors.count + step - 1) / step, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++)
        assert_box_near(anchor_of_all(&anchors, (int64_t)i * step), oracle_box(list, i), tolerance);
    qz_context_destroy(ctx);
}

static void test_ops(void **state)
{
    (void)state;
    const int32_t h[] = {8, 4}, w[] = {12, 6}, h1[] = {2}, w1[] = {3}, hs[] = {4, 2}, ws[] = {6, 3};
    json_t *json = oracle_load("detection_fp32");
    check_every(&fpn, h, w, json_object_get(json, "anchors_fpn_8x12_4x6"), 29, 0.0f);
    check_every(&retina, h1, w1, json_object_get(json, "anchors_retina_2x3"), 1, 0.0f);
    check_every(&ssd, hs, ws, json_object_get(json, "default_boxes_4x6_2x3"), 7, 1e-6f);
    json_decref(json);
}

static void test_by_hand(void **state)
{
    (void)state;
    qz_context *ctx = detection_context();
    qzi_anchors anchors;
    const int32_t h[] = {3}, w[] = {4}, none[] = {0};
    assert_int_equal(qzi_anchors_make(ctx, &retina, 31, 43, h, w, &anchors), QZ_OK);
    assert_int_equal(anchors.count, 3 * 4 * 9);
    /* strides are 31 / 3 and 43 / 4, rounded down; the middle ratio is square */
    assert_box_near(qzi_anchor_at(&anchors, 0, (1 * 4 + 2) * 9 + 3),
                    (qzi_box){20 - 16, 10 - 16, 20 + 16, 10 + 16}, 0.0f);
    assert_int_equal(qzi_anchors_make(ctx, &retina, 31, 43, none, w, &anchors), QZ_ERR_ARGUMENT);
    qz_context_destroy(ctx);
}

/* ---- whole models: counts, some of the boxes, the mean ---- */

static void read_detector(const json_t *config, qzi_detector *d)
{
    const json_t *sizes = json_object_get(config, "anchor_sizes");
    const json_t *ratios = json_array_get(json_object_get(config, "aspect_ratios"), 0);
    d->levels = (int32_t)json_array_size(sizes);
    d->size_count = (int32_t)json_array_size(json_array_get(sizes, 0));
    d->ratio_count = (int32_t)json_array_size(ratios);
    for (int32_t k = 0; k < d->levels; k++)
        for (int32_t s = 0; s < d->size_count; s++)
            d->sizes[k][s] =
                oracle_float(json_array_get(json_array_get(sizes, (size_t)k), (size_t)s));
    for (int32_t r = 0; r < d->ratio_count; r++)
        d->ratios[r] = oracle_float(json_array_get(ratios, (size_t)r));
}

static void read_ssd(const json_t *config, qzi_detector *d)
{
    const json_t *ratios = json_object_get(config, "dbox_aspect_ratios");
    const json_t *scales = json_object_get(config, "dbox_scales");
    const json_t *steps = json_object_get(config, "dbox_steps");
    d->kind = QZI_DETECTOR_SSD;
    d->levels = (int32_t)json_array_size(ratios);
    for (size_t k = 0; k < (size_t)d->levels; k++) {
        const json_t *list = json_array_get(ratios, k);
        d->dbox_ratio_count[k] = (int32_t)json_array_size(list);
        for (size_t r = 0; r < json_array_size(list); r++)
            d->dbox_ratios[k][r] = oracle_float(json_array_get(list, r));
        if (json_is_array(steps))
            d->dbox_steps[k] = (int32_t)json_integer_value(json_array_get(steps, k));
    }
    for (size_t k = 0; k <= (size_t)d->levels; k++)
        d->dbox_scales[k] = json_number_value(json_array_get(scales, k));
}

static void check_model(const char *name)
{
    json_t *json = detection_golden(name);
    if (!json)
        skip();
    const json_t *maps = json_object_get(json, "backbone"), *map, *config;
    const json_t *shape = json_object_get(json_object_get(json, "transformed"), "shape");
    const json_t *want = json_object_get(json, "anchors");
    qzi_detector d = {.kind = QZI_DETECTOR_RCNN};
    qzi_anchors anchors;
    int32_t h[QZI_DETECTOR_LEVELS], w[QZI_DETECTOR_LEVELS], k = 0;
    const char *key;
    config = json_object_get(json, "config");
    if (json_object_get(config, "dbox_scales"))
        read_ssd(config, &d);
    else
        read_detector(config, &d);
    json_object_foreach((json_t *)maps, key, map)
    {
        const json_t *s = json_object_get(map, "shape");
        assert_true(k < QZI_DETECTOR_LEVELS);
        h[k] = (int32_t)json_integer_value(json_array_get(s, 2));
        w[k++] = (int32_t)json_integer_value(json_array_get(s, 3));
    }
    assert_int_equal(k, d.levels);
    qz_context *ctx = detection_context();
    assert_int_equal(
        qzi_anchors_make(ctx, &d, (int32_t)json_integer_value(json_array_get(shape, 2)),
                         (int32_t)json_integer_value(json_array_get(shape, 3)), h, w, &anchors),
        QZ_OK);
    assert_int_equal(anchors.count, json_integer_value(json_array_get(
                                        json_object_get(want, "count_per_image"), 0)));
    const json_t *spread = json_object_get(want, "spread16");
    for (size_t i = 0; i < json_array_size(spread); i++) {
        const json_t *row = json_array_get(spread, i);
        const qzi_box b = anchor_of_all(&anchors, json_integer_value(json_array_get(row, 0)));
        assert_box_near(
            b,
            (qzi_box){oracle_float(json_array_get(row, 1)), oracle_float(json_array_get(row, 2)),
                      oracle_float(json_array_get(row, 3)), oracle_float(json_array_get(row, 4))},
            d.kind == QZI_DETECTOR_SSD ? 1e-6f : 0.0f);
    }
    double sum[4] = {0};
    for (int64_t i = 0; i < anchors.count; i++) {
        const qzi_box b = anchor_of_all(&anchors, i);
        const float *x = &b.x1;
        for (int j = 0; j < 4; j++)
            sum[j] += (double)x[j];
    }
    for (size_t j = 0; j < 4; j++) {
        const double mean =
            json_number_value(json_array_get(json_object_get(want, "mean_xyxy"), j));
        assert_true(fabs(sum[j] / (double)anchors.count - mean) < 1e-4);
    }
    qz_context_destroy(ctx);
    json_decref(json);
}

static void test_models(void **state)
{
    (void)state;
    static const char *const names[] = {"retinanet_resnet50_fpn",
                                        "fcos_resnet50_fpn",
                                        "ssd300_vgg16",
                                        "ssdlite320_mobilenet_v3_large",
                                        "fasterrcnn_resnet50_fpn",
                                        "fasterrcnn_mobilenet_v3_large_fpn"};
    for (size_t i = 0; i < QZI_ARRAY_LEN(names); i++)
        check_model(names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
