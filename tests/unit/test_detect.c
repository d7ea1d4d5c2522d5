/* SPDX-License-Identifier: MIT */
/*
 * test_detect.c - small detectors through all of their stages: the same results in every run, image
 * sizes, fixed RoIs, nothing found, raw values, failing memory; settings by name.
 */
#include "counting.h"
#include "layers/graph/exec.h"
#include "zoo/detection/detect.h"
#include "zoo/detection/options.h"
#include "zoo/model/weights_random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CLASSES = 3, CHANNELS = 8 };

static const qzi_detector retinanet = {.kind = QZI_DETECTOR_RETINANET,
                                       .levels = 2,
                                       .size_count = 1,
                                       .ratio_count = 1,
                                       .sizes = {{8}, {16}},
                                       .ratios = {1.0f},
                                       .box_weights = {1, 1, 1, 1},
                                       .mean = QZI_DETECTOR_IMAGENET_MEAN,
                                       .std = QZI_DETECTOR_IMAGENET_STD,
                                       .size_divisor = 8,
                                       .defaults = {.size = sizeof(qz_detection_options),
                                                    .score_thresh = 0.3,
                                                    .nms_thresh = 0.5,
                                                    .detections_per_img = 50,
                                                    .topk_candidates = 100,
                                                    .min_size = 32,
                                                    .max_size = 48}};
static const qzi_detector rcnn = {.kind = QZI_DETECTOR_RCNN,
                                  .has_masks = true,
                                  .levels = 2,
                                  .roi_levels = 2,
                                  .size_count = 1,
                                  .ratio_count = 1,
                                  .sizes = {{8}, {16}},
                                  .ratios = {1.0f},
                                  .box_weights = {10, 10, 5, 5},
                                  .mean = QZI_DETECTOR_IMAGENET_MEAN,
                                  .std = QZI_DETECTOR_IMAGENET_STD,
                                  .size_divisor = 8,
                                  .defaults = {.size = sizeof(qz_detection_options),
                                               .rpn_pre_nms_top_n_test = 20,
                                               .rpn_post_nms_top_n_test = 15,
                                               .rpn_nms_thresh = 0.7,
                                               .box_score_thresh = 0.2,
                                               .box_nms_thresh = 0.5,
                                               .box_detections_per_img = 10,
                                               .min_size = 32,
                                               .max_size = 48}};

/* ---- a detector that runs ---- */

typedef struct machine {
    qz_context *ctx;
    qz_graph *graph;
    qzi_packed *packed;
    qzi_exec *execs[QZI_STAGE_COUNT];
    int runs[QZI_STAGE_COUNT];
    qzi_detect_call call;
} machine;

static qz_status run_stage(void *user, qzi_detector_stage stage, const qzi_exec_input *input,
                           qzi_exec **exec)
{
    machine *m = user;
    qzi_exec_input inputs[QZI_STAGE_COUNT] = {0};
    inputs[stage] = *input;
    m->runs[stage]++;
    *exec = m->execs[stage];
    return qzi_exec_run_inputs(*exec, inputs, m->graph->input_count);
}

static qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t out, int32_t stride)
{
    return qz_conv2d(
        g, name, x,
        &(qz_conv2d_options){
            .out_channels = out, .kernel_h = 3, .stride_h = stride, .padding_h = 1, .bias = true});
}

static void output(qz_graph *g, const char *name, int32_t level, qz_value value)
{
    char full[64];
    snprintf(full, sizeof(full), "%s.%d", name, level);
    qz_graph_output(g, full, value);
}

static void build(qz_graph *g, bool two_stages)
{
    qz_value maps[2];
    maps[0] = conv(g, "fine", qz_graph_input(g, "input", 3), CHANNELS, 4);
    maps[1] = conv(g, "coarse", maps[0], CHANNELS, 2);
    for (int32_t k = 0; k < 2; k++) {
        char name[2][16];
        snprintf(name[0], sizeof(name[0]), "scores%d", k);
        snprintf(name[1], sizeof(name[1]), "boxes%d", k);
        if (two_stages)
            output(g, "features", k, maps[k]);
        output(g, two_stages ? "rpn_objectness" : "cls_logits", k,
               conv(g, name[0], maps[k], two_stages ? 1 : CLASSES, 1));
        output(g, two_stages ? "rpn_deltas" : "bbox_regression", k,
               conv(g, name[1], maps[k], 4, 1));
    }
    if (!two_stages)
        return;
    qz_value x = qz_flatten(g, "flatten", qz_graph_input_sized(g, "box_features", CHANNELS, 7, 7));
    qz_graph_output(g, "roi_cls_logits", qz_linear(g, "cls_score", x, CLASSES, true));
    qz_graph_output(g, "roi_bbox_regression", qz_linear(g, "bbox_pred", x, CLASSES * 4, true));
    x = qz_graph_input_sized(g, "mask_features", CHANNELS, 14, 14);
    x = qz_conv_transpose2d(
        g, "mask", x,
        &(qz_conv_transpose2d_options){
            .out_channels = CLASSES, .kernel_h = 2, .stride_h = 2, .bias = true});
    qz_graph_output(g, "mask_logits", x);
}

static void machine_make(machine *m, qz_context *ctx, const qzi_detector *detector)
{
    static const qz_fill_rule rules[] = {{"", 2.0}, {NULL, 0.0}};
    *m = (machine){.ctx = ctx};
    assert_int_equal(qz_graph_create(ctx, &m->graph), QZ_OK);
    build(m->graph, detector->kind == QZI_DETECTOR_RCNN);
    assert_int_equal(qz_graph_finish(m->graph), QZ_OK);
    assert_int_equal(qzi_weights_fill(m->graph, rules, ""), QZ_OK);
    assert_int_equal(qzi_packed_create(m->graph, QZ_ISA_AUTO, &m->packed), QZ_OK);
    for (int i = 0; i < QZI_STAGE_COUNT; i++)
        assert_int_equal(qzi_exec_create(m->packed, m->graph, 2, &m->execs[i]), QZ_OK);
    m->call = (qzi_detect_call){.ctx = ctx,
                                .graph = m->graph,
                                .detector = detector,
                                .options = &detector->defaults,
                                .classes = CLASSES,
                                .threads = 2,
                                .runner = {run_stage, m}};
}

static void machine_free(machine *m)
{
    for (int i = 0; i < QZI_STAGE_COUNT; i++)
        qzi_exec_destroy(m->execs[i]);
    qzi_packed_destroy(m->packed);
    qz_graph_destroy(m->graph);
}

static qz_context *context(void)
{
    qz_context *ctx = NULL;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    return ctx;
}

/* Noise; freed by the caller. */
static qzi_detect_image noise(int32_t h, int32_t w)
{
    const size_t bytes = (size_t)h * (size_t)w * 3;
    uint8_t *rgb = malloc(bytes);
    assert_non_null(rgb);
    for (size_t i = 0; i < bytes; i++)
        rgb[i] = (uint8_t)((i * 2654435761u + (size_t)h) >> 11);
    return (qzi_detect_image){.rgb = rgb, .stride = (size_t)w * 3, .width = w, .height = h};
}

static void free_image(const qzi_detect_image *image)
{
    free((void *)image->rgb);
}

/* ---- results ---- */

static void test_sizes(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{32, 32}, {20, 70}, {1, 1}, {200, 133}, {31, 47}, {3, 2}};
    static const qzi_detector *const detectors[] = {&retinanet, &rcnn};
    qz_context *ctx = context();
    for (int d = 0; d < 2; d++) {
        machine m;
        qzi_detections first = {0}, again = {0};
        machine_make(&m, ctx, detectors[d]);
        size_t total = 0;
        for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++) {
            const qzi_detect_image image = noise(sizes[i][0], sizes[i][1]);
            m.call.threads = 2;
            assert_int_equal(qzi_detect(&m.call, &image, &first), QZ_OK);
            m.call.threads = 1;
            assert_int_equal(qzi_detect(&m.call, &image, &again), QZ_OK);
            assert_int_equal(first.count, again.count);
            assert_true(first.count == 0 ||
                        memcmp(first.list, again.list, first.count * sizeof(*first.list)) == 0);
            total += first.count;
            for (size_t j = 0; j < first.count; j++) {
                const qz_detection *b = &first.list[j];
                assert_true(b->x1 >= 0 && b->x2 <= (float)image.width * 1.00001f);
                assert_true(b->y1 >= 0 && b->y2 <= (float)image.height * 1.00001f);
                assert_true(j == 0 || b->score <= first.list[j - 1].score);
                assert_in_range(b->label, d == 0 ? 0 : 1, CLASSES - 1);
            }
            if (d == 1 && first.count > 0) {
                uint8_t *mask = malloc((size_t)image.width * (size_t)image.height);
                assert_non_null(mask);
                assert_memory_equal(first.masks, again.masks,
                                    first.count * 28 * 28 * sizeof(*first.masks));
                assert_int_equal(qzi_detect_paste_mask(ctx, &first, 0, NULL, mask), QZ_OK);
                free(mask);
            }
            free_image(&image);
        }
        assert_true(total > 0);
        const qzi_detect_image narrow = noise(1, 3000);
        assert_int_equal(qzi_detect(&m.call, &narrow, &first), QZ_ERR_ARGUMENT);
        assert_int_equal(first.count, 0);
        free_image(&narrow);
        qzi_detections_free(ctx, &first);
        qzi_detections_free(ctx, &again);
        machine_free(&m);
    }
    qz_context_destroy(ctx);
}

/* ---- raw values ---- */

/* Every raw value has its shape, and the data fit. */
static void read_raw(machine *m, const qzi_detections *found, const char *wanted, int64_t dims[4])
{
    bool seen = false;
    for (size_t i = 0; i < qzi_detect_raw_count(&m->call); i++) {
        char name[32];
        qz_tensor t;
        assert_int_equal(qzi_detect_raw(&m->call, found, m->execs, i, name, &t, NULL), QZ_OK);
        float *data = malloc((size_t)qz_tensor_numel(&t) * sizeof(*data) + 1);
        assert_non_null(data);
        assert_int_equal(qzi_detect_raw(&m->call, found, m->execs, i, name, &t, data), QZ_OK);
        for (int64_t j = 0; j < qz_tensor_numel(&t); j++)
            assert_true(isfinite(data[j]) || strcmp(name, "proposals") == 0);
        free(data);
        if (strcmp(name, wanted) == 0) {
            seen = true;
            memcpy(dims, t.dims, 4 * sizeof(*dims));
        }
    }
    assert_true(seen);
}

static void test_raw(void **state)
{
    (void)state;
    qz_context *ctx = context();
    machine m;
    qzi_detections found = {0};
    int64_t dims[4];
    const qzi_detect_image image = noise(32, 40);
    machine_make(&m, ctx, &retinanet);
    assert_int_equal(qzi_detect(&m.call, &image, &found), QZ_OK);
    read_raw(&m, &found, "cls_logits", dims);
    assert_true(dims[0] == 1 && dims[1] == 8 * 10 + 4 * 5 && dims[2] == CLASSES);
    qzi_detections_free(ctx, &found);
    machine_free(&m);

    machine_make(&m, ctx, &rcnn);
    assert_int_equal(qzi_detect(&m.call, &image, &found), QZ_OK);
    read_raw(&m, &found, "rpn_deltas.1", dims);
    assert_true(dims[0] == 1 && dims[1] == 4 && dims[2] == 4 && dims[3] == 5);
    read_raw(&m, &found, "mask_logits", dims);
    assert_true(dims[0] == (int64_t)found.count && dims[1] == CLASSES && dims[2] == 28);

    /* RoIs of the caller's: these in every stage, also outside, of nothing, and not a number */
    const float rois[5][4] = {{0, 0, 30, 30},
                              {-50, -50, -40, -40},
                              {5, 5, 5, 5},
                              {NAN, 0, INFINITY, 9},
                              {1e30f, 0, 2, 3}};
    m.call.rois = rois[0];
    m.call.roi_count = 5;
    assert_int_equal(qzi_detect(&m.call, &image, &found), QZ_OK);
    assert_int_equal(found.roi_count, 5);
    read_raw(&m, &found, "mask_logits", dims);
    assert_int_equal(dims[0], 5);

    /* no RoI, then no detection: the later stages do not run, arrays are empty */
    memset(m.runs, 0, sizeof(m.runs));
    m.call.roi_count = 0;
    assert_int_equal(qzi_detect(&m.call, &image, &found), QZ_OK);
    assert_int_equal(m.runs[QZI_STAGE_BOX] + m.runs[QZI_STAGE_MASK], 0);
    read_raw(&m, &found, "roi_cls_logits", dims);
    assert_true(dims[0] == 0 && dims[1] == CLASSES);
    qz_detection_options options = rcnn.defaults;
    options.box_score_thresh = 1.0;
    m.call.rois = NULL;
    m.call.options = &options;
    assert_int_equal(qzi_detect(&m.call, &image, &found), QZ_OK);
    assert_int_equal(found.count, 0);
    assert_int_equal(m.runs[QZI_STAGE_BOX], 1);
    assert_int_equal(m.runs[QZI_STAGE_MASK], 0);
    read_raw(&m, &found, "mask_logits", dims);
    assert_int_equal(dims[0], 0);
    m.call.all_stages = true; /* calibration sees the masks of proposals */
    assert_int_equal(qzi_detect(&m.call, &image, &found), QZ_OK);
    assert_int_equal(m.runs[QZI_STAGE_MASK], 1);
    qzi_detections_free(ctx, &found);
    machine_free(&m);
    free_image(&image);
    qz_context_destroy(ctx);
}

/* ---- every allocation may fail ---- */

static void test_memory(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    assert_non_null(ctx);
    machine m;
    machine_make(&m, ctx, &rcnn);
    m.call.threads = 1;
    const qzi_detect_image image = noise(40, 32);
    qz_status st = QZ_ERR_MEMORY;
    int64_t n = 0;
    for (; st != QZ_OK && n < 1000; n++) {
        qzi_detections found = {0};
        atomic_store(&c.fail_at, c.total + n);
        st = qzi_detect(&m.call, &image, &found);
        assert_true(st == QZ_OK || st == QZ_ERR_MEMORY);
        assert_true(st == QZ_OK || found.count == 0);
        qzi_detections_free(ctx, &found);
    }
    assert_int_equal(st, QZ_OK);
    assert_true(n > 20);
    atomic_store(&c.fail_at, -1);
    machine_free(&m);
    free_image(&image);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

/* ---- settings ---- */

static void test_settings(void **state)
{
    (void)state;
    qz_context *ctx = context();
    qz_detection_options o = retinanet.defaults;
    double value;
    assert_int_equal(qzi_detection_options_set(ctx, &retinanet, "net", &o, "score_thresh", 0.55),
                     QZ_OK);
    assert_true(o.score_thresh == 0.55);
    assert_int_equal(qzi_detection_options_set(ctx, &retinanet, "net", &o, "max_size", 640), QZ_OK);
    assert_true(qzi_detection_options_get(&retinanet, &o, "max_size", &value) && value == 640);
    assert_int_equal(qzi_detection_options_check(ctx, &retinanet, "net", &o), QZ_OK);
    static const double bad[] = {NAN, INFINITY, -1, 0, 1.5, 1e10};
    for (size_t i = 0; i < QZI_ARRAY_LEN(bad); i++)
        assert_int_equal(
            qzi_detection_options_set(ctx, &retinanet, "net", &o, "topk_candidates", bad[i]),
            QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_detection_options_set(ctx, &retinanet, "net", &o, "nms_thresh", 1.01),
                     QZ_ERR_ARGUMENT);
    assert_non_null(strstr(qz_context_message(ctx), "from 0 to 1"));
    assert_int_equal(qzi_detection_options_set(ctx, &retinanet, "net", &o, "score_tresh", 0.5),
                     QZ_ERR_ARGUMENT);
    assert_non_null(strstr(qz_context_message(ctx), "score_thresh"));
    /* of another kind */
    assert_int_equal(qzi_detection_options_set(ctx, &retinanet, "net", &o, "box_score_thresh", 0.5),
                     QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_detection_options_set(ctx, &rcnn, "net", &o, "box_score_thresh", 0.5),
                     QZ_OK);
    size_t count = 0;
    while (qzi_detection_options_name(&rcnn, count))
        count++;
    assert_int_equal(count, 9);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
