/* SPDX-License-Identifier: MIT */
/*
 * test_detector_stages.c - what is seen of a detector's three stages: the profile's rows, the hook
 * of nodes, the comparison of float and int8.
 */
#include "small_detectors.h"

#include <math.h>

#define FC6 "roi_heads.box_head.fc6"
#define MASK_CONV "roi_heads.mask_head.2.0"
#define CONV1 "backbone.body.conv1"
#define LOGITS "roi_heads.box_predictor.cls_score"
#define MASK_LOGITS "roi_heads.mask_predictor.mask_fcn_logits"

static qz_context *ctx;
static qz_model *model; /* int8, beside its float */
static qz_pixels image;

static int setup(void **state)
{
    (void)state;
    if (qz_context_create(NULL, &ctx) != QZ_OK)
        return -1;
    model = small_detector(ctx, MASK_RCNN, true);
    image = block_image(5, 80, 64); /* resized to 80 x 64, padded to 96 x 64 */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    qz_model_destroy(model);
    free_pixels(&image);
    qz_context_destroy(ctx);
    return 0;
}

static qz_session *session_of(qz_precision precision)
{
    qz_session_options o = QZ_SESSION_OPTIONS_INIT;
    qz_session *s = NULL;
    o.precision = precision;
    ASSERT_OK(ctx, qz_session_create(model, &o, &s));
    return s;
}

static const qz_tensor *output_named(qz_session *s, const char *want)
{
    for (size_t i = 0; i < qz_session_output_count(s); i++) {
        const char *name = NULL;
        const qz_tensor *t = NULL;
        ASSERT_OK(ctx, qz_session_output(s, i, &name, &t));
        if (strcmp(name, want) == 0)
            return t;
    }
    fail_msg("there is no output %s", want);
    return NULL;
}

static uint64_t objects_of(qz_session *s)
{
    const qz_detection *list = NULL;
    size_t count = 0;
    ASSERT_OK(ctx, qz_session_detections(s, 0, &list, &count));
    return count;
}

/* ---- profile ---- */

static const qz_profile_row *row_of(qz_session *s, const char *name)
{
    const qz_profile_row *rows = NULL;
    size_t count = 0;
    ASSERT_OK(ctx, qz_session_profile(s, &rows, &count));
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    fail_msg("there is no row %s", name);
    return NULL;
}

/* Multiply-adds of each stage, for so many RoIs and masks. */
static void check_rows(qz_session *s, uint64_t rois, uint64_t masks)
{
    assert_int_equal(row_of(s, CONV1)->macs, 32 * 48 * 64 * 3 * 7 * 7);
    assert_int_equal(row_of(s, FC6)->macs, rois * 256 * 7 * 7 * 1024);
    assert_int_equal(row_of(s, MASK_CONV)->macs, masks * 14 * 14 * 256 * 256 * 9);
    const qz_profile_row *row = row_of(s, MASK_CONV);
    assert_true((row->written_bytes > 0) == (masks > 0));
    assert_true((row->read_bytes > 0) == (masks > 0));
}

static void profile_has_all_stages(void **state)
{
    (void)state;
    const qz_precision precisions[] = {QZ_PRECISION_FP32, QZ_PRECISION_INT8};
    for (int p = 0; p < 2; p++) {
        qz_session *s = session_of(precisions[p]);
        qz_detection_options usual, none;
        qz_session_set_profile(s, true);
        ASSERT_OK(ctx, run_pixels(s, &image));
        const uint64_t rois = (uint64_t)output_named(s, "proposals")->dims[0];
        const uint64_t objects = objects_of(s);
        assert_true(rois > objects && objects > 0);
        check_rows(s, rois, objects);
        assert_true(row_of(s, CONV1)->seconds > 0 && row_of(s, FC6)->seconds > 0 &&
                    row_of(s, MASK_CONV)->seconds > 0);
        /* nothing is found: the mask stage does not run, and its rows are of no run */
        ASSERT_OK(ctx, qz_model_get_detection_options(model, &usual));
        none = usual;
        none.box_score_thresh = 1.0;
        ASSERT_OK(ctx, qz_model_set_detection_options(model, &none));
        ASSERT_OK(ctx, run_pixels(s, &image));
        assert_int_equal(objects_of(s), 0);
        check_rows(s, rois, 0);
        ASSERT_OK(ctx, qz_model_set_detection_options(model, &usual));
        ASSERT_OK(ctx, run_pixels(s, &image));
        check_rows(s, rois, objects);
        qz_session_destroy(s);
    }
}

/* ---- hook ---- */

typedef struct seen {
    found_bytes logits, masks;
    int64_t logit_rows, mask_rows;
    size_t nodes, rpn, bytes;
    const char *stop_at;
} seen;

static qz_status look(void *user, const char *name, const qz_tensor *value, const qz_tensor *bytes)
{
    seen *s = user;
    const size_t size = (size_t)qz_tensor_numel(value) * sizeof(float);
    s->nodes++;
    s->bytes += bytes != NULL;
    s->rpn += strncmp(name, "rpn.head.cls_logits", 19) == 0;
    if (strcmp(name, LOGITS) == 0) {
        found_add(&s->logits, value->data, size);
        s->logit_rows = value->dims[0];
    }
    if (strcmp(name, MASK_LOGITS) == 0) {
        found_add(&s->masks, value->data, size);
        s->mask_rows = value->dims[0];
    }
    return s->stop_at && strcmp(name, s->stop_at) == 0 ? QZ_ERR_CANCELLED : QZ_OK;
}

/* What the hook saw of an output's node is the output. */
static void same_as_output(qz_session *s, const char *output, const found_bytes *found,
                           int64_t rows)
{
    const qz_tensor *t = output_named(s, output);
    assert_int_equal(t->dims[0], rows);
    assert_int_equal((size_t)qz_tensor_numel(t) * sizeof(float), found->size);
    assert_memory_equal(t->data, found->data, found->size);
}

static void hook_sees_all_stages(void **state)
{
    (void)state;
    const qz_precision precisions[] = {QZ_PRECISION_FP32, QZ_PRECISION_INT8};
    static const char *const stops[] = {CONV1, LOGITS, MASK_LOGITS};
    for (int p = 0; p < 2; p++) {
        qz_session *s = session_of(precisions[p]);
        found_bytes without = found_run(ctx, s, true, &image);
        seen saw = {.nodes = 0};
        qz_session_set_node_hook(s, look, &saw);
        found_bytes with = found_run(ctx, s, true, &image);
        ASSERT_FOUND_EQUAL(&without, &with, "a hook changes what is found");
        same_as_output(s, "roi_cls_logits", &saw.logits, saw.logit_rows);
        same_as_output(s, "mask_logits", &saw.masks, saw.mask_rows);
        assert_int_equal(saw.mask_rows, objects_of(s));
        assert_int_equal(saw.rpn, 5); /* one head, five levels */
        assert_true(p == 0 ? saw.bytes == 0 : saw.bytes > 100);
        assert_string_equal(qz_session_node_name(s, LOGITS), LOGITS);
        free(with.data);
        free(saw.logits.data);
        free(saw.masks.data);
        for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
            seen stopped = {.stop_at = stops[i]};
            const qz_detection *list = NULL;
            size_t count = 0;
            qz_session_set_node_hook(s, look, &stopped);
            REFUSED(ctx, QZ_ERR_CANCELLED, run_pixels(s, &image), "the node hook ended the run");
            assert_true(stopped.nodes < saw.nodes || i == 2); /* the last node */
            REFUSED(ctx, QZ_ERR_STATE, qz_session_detections(s, 0, &list, &count), "has not run");
            free(stopped.logits.data);
            free(stopped.masks.data);
        }
        qz_session_set_node_hook(s, NULL, NULL);
        with = found_run(ctx, s, true, &image);
        ASSERT_FOUND_EQUAL(&without, &with, "after a run that a hook ended, others are found");
        free(with.data);
        free(without.data);
        qz_session_destroy(s);
    }
}

/* ---- comparison ---- */

static const qz_sqnr_row *sqnr_of(const qz_sqnr_row *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    fail_msg("there is no row %s", name);
    return NULL;
}

static void sqnr_has_all_stages(void **state)
{
    (void)state;
    enum { H = 64, W = 80 };
    static float pixels[2 * 3 * H * W];
    static const char *const nodes[] = {CONV1, "rpn.head.cls_logits@2", FC6, MASK_CONV,
                                        MASK_LOGITS};
    qz_tensor t = {.dtype = QZ_F32, .ndim = 4, .dims = {2, 3, H, W}, .data = pixels};
    for (int i = 0; i < 2; i++)
        qz_synthetic_unit_image(i + 10, H, W, pixels + (size_t)i * 3 * H * W);
    const qz_sqnr_row *rows = NULL;
    size_t count = 0;
    double first[sizeof(nodes) / sizeof(nodes[0])], db[2], agreement = -1;
    for (int again = 0; again < 2; again++) {
        ASSERT_OK(ctx, qz_model_sqnr(model, &t, &rows, &count, &db[again], &agreement));
        double worst_output = INFINITY;
        for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
            const qz_sqnr_row *row = sqnr_of(rows, count, nodes[i]);
            if (!(row->is_int8 && row->activation_db > 3.0 && row->activation_db < 100.0 &&
                  row->weight_db > 20.0))
                fail_msg("%s: %g dB, weights %g dB", nodes[i], row->activation_db, row->weight_db);
            if (again == 0)
                first[i] = row->activation_db;
            else
                assert_true(!(first[i] - row->activation_db != 0.0));
            if (i == 1 || i == 4)
                worst_output = fmin(worst_output, row->activation_db);
        }
        assert_true(db[again] <= worst_output); /* the worst of all heads */
        for (size_t i = 1; i < count; i++)      /* the worst first */
            assert_true(!(rows[i].activation_db < rows[i - 1].activation_db));
    }
    assert_true(!(db[0] - db[1] != 0.0) && db[0] > 3.0);
    print_message("%s, random weights, 2 images of noise: %.2f dB at the worst head\n", MASK_RCNN,
                  db[0]);
    pixels[5] = NAN;
    REFUSED(ctx, QZ_ERR_NUMERIC, qz_model_sqnr(model, &t, &rows, &count, NULL, NULL),
            "NaN or infinity");
    pixels[5] = 0.0f;
    t.dims[1] = 1;
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_model_sqnr(model, &t, &rows, &count, NULL, NULL), "3");
}

/* ---- calibration ---- */

static void calibration_refuses(void **state)
{
    (void)state;
    static float pixels[3 * 32 * 32];
    qz_model *fresh = NULL;
    qz_model_info info;
    qz_tensor t = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, 32, 32}, .data = pixels};
    const qz_pixels narrow = block_image(1, 1, 10000);
    ASSERT_OK(ctx, small_detector_create(ctx, FASTER_RCNN, true, &fresh));
    qz_model_get_info(fresh, &info);
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_model_set_preprocess(fresh, &info.preprocess),
            "own transform");
    REFUSED(ctx, QZ_ERR_STATE, qz_model_convert(fresh), "nothing was observed");
    pixels[7] = NAN;
    REFUSED(ctx, QZ_ERR_NUMERIC, qz_model_calibrate(fresh, &t), "NaN or infinity");
    pixels[7] = 0.0f;
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_model_calibrate_pixels(fresh, &narrow, 1), "less narrow");
    REFUSED(ctx, QZ_ERR_STATE, qz_model_convert(fresh), "nothing was observed");
    /* one black image, of which little can be said: all stages see something nevertheless */
    ASSERT_OK(ctx, qz_model_calibrate(fresh, &t));
    ASSERT_OK(ctx, qz_model_convert(fresh));
    qz_session *s = NULL;
    ASSERT_OK(ctx, qz_session_create(fresh, NULL, &s));
    ASSERT_OK(ctx, run_pixels(s, &image));
    qz_session_destroy(s);
    qz_model_destroy(fresh);
    free_pixels(&narrow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profile_has_all_stages),
        cmocka_unit_test(hook_sees_all_stages),
        cmocka_unit_test(sqnr_has_all_stages),
        cmocka_unit_test(calibration_refuses),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
