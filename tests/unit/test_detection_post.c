/* SPDX-License-Identifier: MIT */
/*
 * test_detection_post.c - from heads to boxes of every family; proposals, pooling and masks. What
 * is expected is of torchvision's own functions (gen/detection_goldens.py); uint8 maps are compared
 * with float maps of the same values.
 */
#include "detection.h"
#include "zoo/detection/mask_post.h"
#include "zoo/detection/post.h"
#include "zoo/detection/roi_align.h"

typedef struct golden_box {
    double x1, y1, x2, y2, score;
    int32_t label;
} golden_box;
#include "detection_goldens.inc"

enum { LEVELS = 5, CLASSES = 6, PADDED_H = 128, PADDED_W = 160, IMAGE_H = 120, IMAGE_W = 150 };

/* ---- the heads of a detector ---- */

typedef struct heads {
    qzi_detector detector;
    qz_detection_options options;
    qzi_anchors anchors;
    qzi_post post;
    fake_map maps[3][QZI_DETECTOR_LEVELS]; /* classes, boxes, centreness */
    qzi_map views[3][QZI_DETECTOR_LEVELS];
} heads;

static void make_heads(heads *m, const qz_context *ctx, int32_t padded_h, int32_t padded_w,
                       const int32_t *h, const int32_t *w, double spread, bool bytes)
{
    static const char *const keys[3] = {"cls.%d", "box.%d", "ctr.%d"};
    const bool rpn = m->detector.kind == QZI_DETECTOR_RCNN;
    assert_int_equal(qzi_anchors_make(ctx, &m->detector, padded_h, padded_w, h, w, &m->anchors),
                     QZ_OK);
    m->post = (qzi_post){.ctx = ctx,
                         .threads = 2,
                         .detector = &m->detector,
                         .options = &m->options,
                         .classes = CLASSES,
                         .image_h = QZI_MIN(IMAGE_H, padded_h),
                         .image_w = QZI_MIN(IMAGE_W, padded_w),
                         .anchors = &m->anchors};
    for (int i = 0; i < 3; i++) {
        for (int32_t k = 0; k < m->detector.levels; k++) {
            const int32_t a = qzi_detector_anchors(&m->detector, k);
            const int32_t channels = i == 0 && !rpn ? a * CLASSES : i == 1 ? a * 4 : a;
            char key[32];
            snprintf(key, sizeof(key), keys[i], k);
            fake_map_make(&m->maps[i][k], key, 1, h[k], w[k], channels, i == 1 ? 1.5 : spread,
                          bytes);
            m->views[i][k] = m->maps[i][k].map;
        }
    }
}

static void free_heads(heads *m)
{
    for (int i = 0; i < 3; i++)
        for (int32_t k = 0; k < m->detector.levels; k++)
            fake_map_free(&m->maps[i][k]);
}

/* Float maps of the values of uint8 maps. */
static void dequantize_heads(heads *m)
{
    for (int i = 0; i < 3; i++) {
        for (int32_t k = 0; k < m->detector.levels; k++) {
            qzi_map *map = &m->views[i][k];
            const int64_t pixels = qzi_map_pixels(map);
            float *values = malloc((size_t)(pixels * map->view.c) * sizeof(*values));
            assert_non_null(values);
            for (int64_t p = 0; p < pixels; p++)
                for (int32_t c = 0; c < map->view.c; c++)
                    values[p * map->view.c + c] = qzi_map_at(map, p, c);
            free(map->view.data);
            map->view.data = m->maps[i][k].map.view.data = values;
            map->view.pixel_stride = map->view.c;
            m->maps[i][k].node.dtype = QZ_F32;
        }
    }
}

static qz_status find(const heads *m, qzi_found *found)
{
    switch (m->detector.kind) {
    case QZI_DETECTOR_RETINANET:
        return qzi_retinanet_post(&m->post, m->views[0], m->views[1], found);
    case QZI_DETECTOR_FCOS:
        return qzi_fcos_post(&m->post, m->views[0], m->views[1], m->views[2], found);
    case QZI_DETECTOR_SSD:
        return qzi_ssd_post(&m->post, m->views[0], m->views[1], found);
    default:
        return qzi_rpn_filter(&m->post, m->views[0], m->views[1], found);
    }
}

static void assert_found(const qzi_found *found, const golden_box *golden, size_t count,
                         bool labels)
{
    assert_int_equal(found->count, count);
    for (size_t i = 0; i < count; i++) {
        const golden_box *g = &golden[i];
        assert_true(fabs((double)found->scores[i] - g->score) < 1e-6);
        assert_box_near(found->boxes[i],
                        (qzi_box){(float)g->x1, (float)g->y1, (float)g->x2, (float)g->y2}, 1e-5f);
        if (labels)
            assert_int_equal(found->labels[i], g->label);
    }
}

static void assert_same(const qzi_found *a, const qzi_found *b)
{
    assert_int_equal(a->count, b->count);
    assert_true(a->count > 0);
    assert_memory_equal(a->boxes, b->boxes, a->count * sizeof(*a->boxes));
    assert_memory_equal(a->scores, b->scores, a->count * sizeof(*a->scores));
    assert_memory_equal(a->labels, b->labels, a->count * sizeof(*a->labels));
}

/* ---- detectors ---- */

static const int32_t map_h[LEVELS] = {16, 8, 4, 2, 1}, map_w[LEVELS] = {20, 10, 5, 3, 2};
static const int32_t ssd_h[2] = {8, 4}, ssd_w[2] = {12, 6};

static const qzi_detector retinanet = {
    .kind = QZI_DETECTOR_RETINANET,
    .levels = LEVELS,
    .size_count = 3,
    .ratio_count = 3,
    .sizes = {{8, 10, 12}, {16, 20, 25}, {32, 40, 50}, {64, 80, 101}, {128, 161, 203}},
    .ratios = {0.5f, 1.0f, 2.0f},
    .box_weights = {1, 1, 1, 1},
    .defaults = {
        .score_thresh = 0.6, .nms_thresh = 0.5, .topk_candidates = 60, .detections_per_img = 40}};
static const qzi_detector fcos = {
    .kind = QZI_DETECTOR_FCOS,
    .levels = LEVELS,
    .size_count = 1,
    .ratio_count = 1,
    .sizes = {{8}, {16}, {32}, {64}, {128}},
    .ratios = {1.0f},
    .defaults = {
        .score_thresh = 0.3, .nms_thresh = 0.6, .topk_candidates = 60, .detections_per_img = 40}};
static const qzi_detector ssd = {
    .kind = QZI_DETECTOR_SSD,
    .levels = 2,
    .dbox_ratio_count = {1, 2},
    .dbox_ratios = {{2}, {2, 3}},
    .dbox_scales = {0.07, 0.15, 0.33},
    .dbox_steps = {8, 16},
    .box_weights = {10, 10, 5, 5},
    .defaults = {
        .score_thresh = 0.5, .nms_thresh = 0.45, .topk_candidates = 30, .detections_per_img = 40}};
static const qzi_detector rcnn = {.kind = QZI_DETECTOR_RCNN,
                                  .levels = LEVELS,
                                  .size_count = 1,
                                  .ratio_count = 3,
                                  .sizes = {{8}, {16}, {32}, {64}, {128}},
                                  .ratios = {0.5f, 1.0f, 2.0f},
                                  .box_weights = {10, 10, 5, 5},
                                  .defaults = {.rpn_pre_nms_top_n_test = 50,
                                               .rpn_post_nms_top_n_test = 40,
                                               .rpn_nms_thresh = 0.7,
                                               .rpn_score_thresh = 0.4,
                                               .box_score_thresh = 0.3,
                                               .box_nms_thresh = 0.5,
                                               .box_detections_per_img = 40}};

static const struct {
    const qzi_detector *detector;
    const golden_box *golden;
    size_t count;
    double spread;
} families[] = {
    {&retinanet, retinanet_golden, QZI_ARRAY_LEN(retinanet_golden), 4},
    {&fcos, fcos_golden, QZI_ARRAY_LEN(fcos_golden), 4},
    {&ssd, ssd_golden, QZI_ARRAY_LEN(ssd_golden), 3},
    {&rcnn, rpn_golden, QZI_ARRAY_LEN(rpn_golden), 4},
};

static void family_heads(heads *m, const qz_context *ctx, size_t i, bool bytes)
{
    const bool is_ssd = families[i].detector == &ssd;
    m->detector = *families[i].detector;
    m->options = m->detector.defaults;
    make_heads(m, ctx, is_ssd ? 64 : PADDED_H, is_ssd ? 96 : PADDED_W, is_ssd ? ssd_h : map_h,
               is_ssd ? ssd_w : map_w, families[i].spread, bytes);
}

static void test_families(void **state)
{
    (void)state;
    qz_context *ctx = detection_context();
    for (size_t i = 0; i < QZI_ARRAY_LEN(families); i++) {
        heads m;
        qzi_found found = {0}, again = {0};
        family_heads(&m, ctx, i, false);
        assert_int_equal(find(&m, &found), QZ_OK);
        /* the labels of proposals are levels */
        assert_found(&found, families[i].golden, families[i].count, families[i].detector != &rcnn);
        m.post.threads = 1;
        assert_int_equal(find(&m, &again), QZ_OK);
        assert_same(&found, &again);
        qzi_found_free(ctx, &found);
        qzi_found_free(ctx, &again);
        free_heads(&m);
    }
    qz_context_destroy(ctx);
}

/* Bytes are searched by tables and limits; the boxes are those of floats of the same values. */
static void test_bytes(void **state)
{
    (void)state;
    qz_context *ctx = detection_context();
    for (size_t i = 0; i < QZI_ARRAY_LEN(families); i++) {
        heads m;
        qzi_found bytes = {0}, floats = {0};
        family_heads(&m, ctx, i, true);
        assert_int_equal(find(&m, &bytes), QZ_OK);
        dequantize_heads(&m);
        assert_int_equal(find(&m, &floats), QZ_OK);
        if (families[i].detector != &ssd)
            assert_same(&bytes, &floats);
        else /* softmax of bytes is by steps of the scale: equal scores may differ by a rounding */
            for (size_t j = 0; j < bytes.count; j++)
                assert_true(fabsf(bytes.scores[j] - floats.scores[j]) < 1e-6f);
        qzi_found_free(ctx, &bytes);
        qzi_found_free(ctx, &floats);
        free_heads(&m);
    }
    qz_context_destroy(ctx);
}

/* Thresholds at their ends: everything, and nothing. */
static void test_thresholds(void **state)
{
    (void)state;
    qz_context *ctx = detection_context();
    for (size_t i = 0; i < QZI_ARRAY_LEN(families); i++) {
        for (int bytes = 0; bytes < 2; bytes++) {
            heads m;
            qzi_found found = {0};
            family_heads(&m, ctx, i, bytes == 1);
            m.options.score_thresh = m.options.rpn_score_thresh = 1.0;
            assert_int_equal(find(&m, &found), QZ_OK);
            assert_int_equal(found.count, 0);
            m.options.score_thresh = m.options.rpn_score_thresh = 0.0;
            m.options.nms_thresh = m.options.rpn_nms_thresh = 1.0;
            m.options.topk_candidates = m.options.rpn_pre_nms_top_n_test = 100000;
            m.options.detections_per_img = m.options.rpn_post_nms_top_n_test = 1000000;
            assert_int_equal(find(&m, &found), QZ_OK);
            if (families[i].detector == &retinanet)
                assert_int_equal(found.count, m.anchors.count * CLASSES);
            for (size_t j = 1; j < found.count; j++)
                assert_true(found.scores[j] <= found.scores[j - 1]);
            qzi_found_free(ctx, &found);
            free_heads(&m);
        }
    }
    qz_context_destroy(ctx);
}

/* ---- RoIs ---- */

enum { ROIS = 30 };

static void golden_rois(qzi_box *rois)
{
    float u[ROIS * 4];
    qz_random_uniform("rois", "", -0.5, 1.0, ROIS * 4, u);
    for (int i = 0; i < ROIS; i++) {
        rois[i] = (qzi_box){(u[4 * i] + 0.5f) * 100, (u[4 * i + 1] + 0.5f) * 80,
                            (u[4 * i + 2] + 0.5f) * 60, (u[4 * i + 3] + 0.5f) * 50};
        rois[i].x2 += rois[i].x1;
        rois[i].y2 += rois[i].y1;
    }
}

static void test_rcnn(void **state)
{
    (void)state;
    qz_context *ctx = detection_context();
    qzi_box rois[ROIS];
    fake_map logits, deltas;
    qzi_found found = {0};
    const qzi_post post = {.ctx = ctx,
                           .threads = 2,
                           .detector = &rcnn,
                           .options = &rcnn.defaults,
                           .classes = CLASSES,
                           .image_h = IMAGE_H,
                           .image_w = IMAGE_W};
    golden_rois(rois);
    fake_map_make(&logits, "cls.0", ROIS, 1, 1, CLASSES, 3, false);
    fake_map_make(&deltas, "box.0", ROIS, 1, 1, CLASSES * 4, 3, false);
    assert_int_equal(qzi_rcnn_post(&post, &logits.map, &deltas.map, rois, &found), QZ_OK);
    assert_found(&found, rcnn_golden, QZI_ARRAY_LEN(rcnn_golden), true);
    qzi_found_free(ctx, &found);
    fake_map_free(&logits);
    fake_map_free(&deltas);
    qz_context_destroy(ctx);
}

static void test_masks(void **state)
{
    (void)state;
    enum { COUNT = 6, PIXELS = IMAGE_H * IMAGE_W };
    static float pasted[PIXELS];
    static uint8_t bytes[PIXELS];
    qz_context *ctx = detection_context();
    qzi_box rois[ROIS];
    fake_map logits;
    float mask[QZI_MASK_VALUES];
    golden_rois(rois);
    fake_map_make(&logits, "mask", COUNT, QZI_MASK_SIDE, QZI_MASK_SIDE, CLASSES, 4, false);
    for (int i = 0; i < COUNT; i++) {
        double sum = 0, weighted = 0, above = 0;
        qzi_mask_probabilities(&logits.map, i, i % CLASSES, mask);
        assert_int_equal(qzi_mask_paste(ctx, mask, rois[i], IMAGE_H, IMAGE_W, pasted, NULL), QZ_OK);
        assert_int_equal(qzi_mask_paste(ctx, mask, rois[i], IMAGE_H, IMAGE_W, NULL, bytes), QZ_OK);
        for (int p = 0; p < PIXELS; p++) {
            sum += (double)pasted[p];
            weighted += (double)pasted[p] * (p + 1) / ((double)PIXELS * (PIXELS + 1) / 2);
            above += bytes[p];
            assert_int_equal(bytes[p], pasted[p] > 0.5f);
        }
        assert_true(fabs(sum / mask_golden[i][0] - 1) < 1e-5);
        assert_true(fabs(above - mask_golden[i][1]) <= 1); /* rounding at one half */
        assert_true(fabs(weighted / mask_golden[i][2] - 1) < 1e-5);
    }
    /* boxes outside, of nothing, and senseless ones */
    const qzi_box strange[] = {{-90, -90, -80, -80},  {9, 9, 9, 9},     {NAN, 0, 9, 9},
                               {-1e38f, 0, 1e38f, 9}, {500, 0, 510, 9}, {20, 30, 10, 5}};
    for (size_t i = 0; i < QZI_ARRAY_LEN(strange); i++)
        assert_int_equal(qzi_mask_paste(ctx, mask, strange[i], IMAGE_H, IMAGE_W, pasted, bytes),
                         QZ_OK);
    fake_map_free(&logits);
    qz_context_destroy(ctx);
}

static void test_pool(void **state)
{
    (void)state;
    enum { COUNT = 2 * ROIS, SIZE = 7, C = 5, VALUES = SIZE * SIZE * C };
    static float out[COUNT * VALUES];
    qz_context *ctx = detection_context();
    qzk_kernels kernels;
    qzi_box rois[COUNT];
    fake_map maps[4];
    qzi_map views[4];
    qzk_init(&kernels, QZ_ISA_AUTO);
    golden_rois(rois);
    for (int i = 0; i < ROIS; i++)
        rois[ROIS + i] = (qzi_box){rois[i].x1 * 3, rois[i].y1 * 3, rois[i].x2 * 3, rois[i].y2 * 3};
    for (int k = 0; k < 4; k++) {
        char key[16];
        snprintf(key, sizeof(key), "map.%d", k);
        fake_map_make(&maps[k], key, 1, 32 >> k, 40 >> k, C, 2, false);
        views[k] = maps[k].map;
    }
    qzi_roi_align align = {.ctx = ctx,
                           .kernels = &kernels,
                           .maps = views,
                           .levels = 4,
                           .rois = rois,
                           .count = COUNT,
                           .size = SIZE};
    const qzk_view view = {out, COUNT, SIZE, SIZE, C, C};
    assert_int_equal(qzi_roi_align_prepare(&align, IMAGE_H, IMAGE_W, 2), QZ_OK);
    qzi_roi_align_fill(&align, ctx, &maps[0].node, &view, 2);
    qzi_roi_align_release(&align);
    assert_int_equal(QZI_ARRAY_LEN(pool_golden), COUNT);
    for (int i = 0; i < COUNT; i++) {
        double squares = 0, weighted = 0;
        for (int j = 0; j < VALUES; j++) {
            const double v = (double)out[i * VALUES + j];
            squares += v * v;
            weighted += v * (j + 1) / ((double)VALUES * (VALUES + 1) / 2);
        }
        assert_true(fabs(sqrt(squares) - pool_golden[i][0]) < 1e-4);
        assert_true(fabs(weighted - pool_golden[i][1]) < 1e-5);
    }
    for (int k = 0; k < 4; k++)
        fake_map_free(&maps[k]);
    qz_context_destroy(ctx);
}

/* ---- every allocation may fail ---- */

static void test_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(families); i++) {
        counting c = COUNTING_INIT;
        qz_context *ctx = counting_context(&c, 2);
        assert_non_null(ctx);
        heads m;
        family_heads(&m, ctx, i, i % 2 == 0);
        const int64_t before = c.live;
        qz_status st = QZ_ERR_MEMORY;
        for (int64_t n = 0; st == QZ_ERR_MEMORY && n < 500; n++) {
            qzi_found found = {0};
            atomic_store(&c.fail_at, c.total + n);
            st = find(&m, &found);
            qzi_found_free(ctx, &found);
            /* the context's threads are made when first needed and stay */
            assert_true(c.live <= before + 8);
        }
        assert_int_equal(st, QZ_OK);
        atomic_store(&c.fail_at, -1);
        free_heads(&m);
        qz_context_destroy(ctx);
        assert_int_equal(c.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),   cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_thresholds), cmocka_unit_test(test_rcnn),
        cmocka_unit_test(test_masks),      cmocka_unit_test(test_pool),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
