/* SPDX-License-Identifier: MIT */
/*
 * test_detector_bounds.c - what a detector does with images, boxes and calls at the edge of what
 * makes sense: a result or one clear refusal, after which the session still runs; and 200 images of
 * random sizes, in which a session does not grow.
 */
#include "counting.h"
#include "small_detectors.h"

#include <math.h>

static const char *const names[] = {SSDLITE, FASTER_RCNN, MASK_RCNN};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static qz_context *ctx;
static counting memory = COUNTING_INIT;
static qz_model *models[NAMES]; /* int8; masks in fp32 */

static int setup(void **state)
{
    (void)state;
    ctx = counting_context(&memory, 2);
    if (!ctx)
        return -1;
    for (size_t i = 0; i < NAMES; i++)
        models[i] = small_detector(ctx, names[i], i < 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++)
        qz_model_destroy(models[i]);
    qz_context_destroy(ctx);
    return memory.live == 0 ? 0 : -1;
}

static qz_session *session_of(qz_model *model)
{
    qz_session *s = NULL;
    ASSERT_OK(ctx, qz_session_create(model, NULL, &s));
    return s;
}

static bool has_masks(size_t i)
{
    return i == 2;
}

/* The session finds the same as before the refusal. */
static void still_runs(qz_session *s, size_t i, const qz_pixels *image, const found_bytes *want)
{
    found_bytes got = found_run(ctx, s, has_masks(i), image);
    ASSERT_FOUND_EQUAL(want, &got, "%s: finds something else after a refusal", names[i]);
    free(got.data);
}

/* ---- images ---- */

/* Boxes of numbers, within the image; scores and labels in range. */
static void sane(qz_session *s, const qz_pixels *image, const char *name)
{
    const qz_detection *list = NULL;
    size_t count = 0;
    ASSERT_OK(ctx, qz_session_detections(s, 0, &list, &count));
    for (size_t i = 0; i < count; i++) {
        const qz_detection *d = &list[i];
        if (!(d->x1 >= 0 && d->x1 <= d->x2 && d->x2 <= (float)image->width * 1.00001f &&
              d->y1 >= 0 && d->y1 <= d->y2 && d->y2 <= (float)image->height * 1.00001f &&
              d->score >= 0 && d->score <= 1 && d->label >= 0 && d->label < 4))
            fail_msg("%s: %d x %d: object %zu is %g %g %g %g, score %g, label %d", name,
                     image->width, image->height, i, (double)d->x1, (double)d->y1, (double)d->x2,
                     (double)d->y2, (double)d->score, (int)d->label);
    }
}

static void odd_images(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{1, 1},  {1, 10000}, {10000, 1}, {2, 3},    {1, 90},
                                       {90, 1}, {3000, 40}, {1, 2},     {65535, 1}};
    const qz_pixels usual = block_image(5, 80, 60);
    for (size_t i = 0; i < NAMES; i++) {
        qz_session *s = session_of(models[i]);
        found_bytes want = found_run(ctx, s, has_masks(i), &usual);
        size_t refused = 0;
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            const qz_pixels image = block_image(7, sizes[j][0], sizes[j][1]);
            const qz_status st = run_pixels(s, &image);
            /* resized to max_size 96, the shorter side has less than one pixel */
            const bool narrow =
                i > 0 && (sizes[j][0] > 96 * sizes[j][1] || sizes[j][1] > 96 * sizes[j][0]);
            if (narrow) {
                const qz_detection *list = NULL;
                size_t count = 0;
                assert_int_equal(st, QZ_ERR_ARGUMENT);
                assert_non_null(strstr(qz_context_message(ctx), "less narrow"));
                REFUSED(ctx, QZ_ERR_STATE, qz_session_detections(s, 0, &list, &count),
                        "has not run");
                refused++;
            } else {
                assert_int_equal(st, QZ_OK);
                sane(s, &image, names[i]);
            }
            free_pixels(&image);
        }
        assert_int_equal(refused, i > 0 ? 3 : 0);
        still_runs(s, i, &usual, &want);
        free(want.data);
        qz_session_destroy(s);
    }
    free_pixels(&usual);
}

static void images_of_one_colour(void **state)
{
    (void)state;
    uint8_t *rgb = malloc(120 * 90 * 3);
    assert_non_null(rgb);
    const qz_pixels image = {.format = QZ_PIXELS_RGB, .width = 120, .height = 90, .data = rgb};
    for (size_t i = 0; i < NAMES; i++) {
        qz_session *s = session_of(models[i]);
        for (int value = 0; value <= 255; value += 51) {
            memset(rgb, value, 120 * 90 * 3);
            found_bytes first = found_run(ctx, s, has_masks(i), &image);
            sane(s, &image, names[i]);
            still_runs(s, i, &image, &first);
            free(first.data);
        }
        qz_session_destroy(s);
    }
    free(rgb);
}

/* ---- more than memory allows ---- */

/* Refuses blocks of more than 1 GiB, as a small machine does. */
static void *little_alloc(void *user, size_t size, size_t align)
{
    return size > (size_t)1 << 30 ? NULL : counting_alloc(user, size, align);
}

static qz_status set_side(qz_model *model, int32_t side)
{
    qz_detection_options d;
    const qz_status st = qz_model_get_detection_options(model, &d);
    if (st != QZ_OK)
        return st;
    if (d.fixed_h > 0)
        d.fixed_h = d.fixed_w = side;
    else
        d.min_size = d.max_size = side;
    return qz_model_set_detection_options(model, &d);
}

static void larger_than_memory(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    const qz_allocator allocator = {little_alloc, counting_free, &c};
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    qz_context *little = NULL;
    o.allocator = &allocator;
    o.threads = 1;
    assert_int_equal(qz_context_create(&o, &little), QZ_OK);
    const qz_pixels image = block_image(1, 30, 30);
    for (size_t i = 0; i < 2; i++) {
        qz_model *model = small_detector(little, names[i], false);
        qz_detection_options small, kept;
        qz_session *s = NULL;
        qz_model_info info;
        ASSERT_OK(little, qz_model_get_detection_options(model, &small));
        REFUSED(little, QZ_ERR_ARGUMENT, set_side(model, 65536), "6553");
        REFUSED(little, QZ_ERR_ARGUMENT, set_side(model, 65535), "more pixels than a tensor");
        ASSERT_OK(little, qz_model_get_detection_options(model, &kept));
        assert_memory_equal(&small, &kept, sizeof(small)); /* a refusal changes nothing */
        ASSERT_OK(little, set_side(model, 20000));
        qz_model_get_info(model, &info);
        assert_true(info.input_h == 20000 && info.macs > 0);
        ASSERT_OK(little, qz_session_create(model, NULL, &s));
        const int64_t live = c.live, bytes = c.bytes;
        REFUSED(little, QZ_ERR_MEMORY, run_pixels(s, &image), "memory");
        assert_true(c.bytes < bytes + ((int64_t)64 << 20));
        qz_session_destroy(s);
        assert_true(c.live <= live);
        qz_model_destroy(model);
    }
    free_pixels(&image);
    qz_context_destroy(little);
    assert_int_equal(c.live, 0);
}

/* ---- tensors ---- */

static void bad_tensors(void **state)
{
    (void)state;
    enum { H = 40, W = 56 };
    static float values[2 * 3 * H * W];
    const qz_pixels usual = block_image(5, 80, 60);
    for (size_t i = 0; i < NAMES; i++) {
        qz_session *s = session_of(models[i]);
        found_bytes want = found_run(ctx, s, has_masks(i), &usual);
        const float bad[] = {NAN, INFINITY, -INFINITY};
        qz_tensor t = {.dtype = QZ_F32, .ndim = 4, .dims = {2, 3, H, W}, .data = values};
        ASSERT_OK(ctx, qz_session_run(s, &t));
        for (size_t j = 0; j < 3; j++) {
            float *place = &values[j == 1 ? 0 : sizeof(values) / sizeof(values[0]) - 1];
            *place = bad[j];
            REFUSED(ctx, QZ_ERR_NUMERIC, qz_session_run(s, &t), "NaN or infinity");
            const qz_tensor *out = NULL;
            REFUSED(ctx, QZ_ERR_STATE, qz_session_output(s, 0, NULL, &out), "no output");
            *place = 0.0f;
        }
        /* finite, but far from an image: numbers, or the report that they grew too large */
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++)
            values[j] = (j % 2 ? 3e38f : -3e38f);
        const qz_status st = qz_session_run(s, &t);
        if (st != QZ_OK && st != QZ_ERR_NUMERIC)
            fail_msg("%s: huge values: %s: %s", names[i], qz_status_name(st),
                     qz_context_message(ctx));
        memset(values, 0, sizeof(values));
        struct {
            int ndim;
            int64_t dims[4];
            qz_dtype dtype;
            void *data;
        } shapes[] = {{4, {1, 1, H, W}, QZ_F32, values}, {4, {1, 4, H, W}, QZ_F32, values},
                      {3, {3, H, W}, QZ_F32, values},    {4, {0, 3, H, W}, QZ_F32, values},
                      {4, {1, 3, 0, W}, QZ_F32, values}, {4, {1, 3, H, 0}, QZ_F32, values},
                      {4, {1, 3, H, W}, QZ_U8, values},  {4, {1, 3, H, W}, QZ_F32, NULL},
                      {4, {1, 3, -H, W}, QZ_F32, values}};
        for (size_t j = 0; j < sizeof(shapes) / sizeof(shapes[0]); j++) {
            t.dtype = shapes[j].dtype;
            t.ndim = shapes[j].ndim;
            t.data = shapes[j].data;
            memcpy(t.dims, shapes[j].dims, sizeof(shapes[j].dims));
            REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_run(s, &t), "N x 3 x H x W");
        }
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_run(s, NULL), "input is NULL");
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_run_pixels(s, NULL, 1), "no images");
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_run_pixels(s, &usual, 0), "no images");
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_run_u8(s, NULL, 4, 4, 12), "qz_session_run_u8");
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_run_u8(s, usual.data, 0, 4, 12),
                "qz_session_run_u8");
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_run_u8(s, usual.data, 4, -1, 12),
                "qz_session_run_u8");
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_run_u8(s, usual.data, 4, 4, 11),
                "qz_session_run_u8");
        still_runs(s, i, &usual, &want);
        free(want.data);
        qz_session_destroy(s);
    }
    free_pixels(&usual);
}

/* An image of the batch that cannot run: the others are not shown as if all had. */
static void bad_image_of_a_batch(void **state)
{
    (void)state;
    const qz_pixels images[3] = {block_image(1, 60, 60), block_image(2, 1, 10000),
                                 block_image(3, 50, 60)};
    qz_session *s = session_of(models[1]);
    const qz_detection *list = NULL;
    size_t count = 0;
    ASSERT_OK(ctx, qz_session_run_pixels(s, images, 1));
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_run_pixels(s, images, 3), "less narrow");
    REFUSED(ctx, QZ_ERR_STATE, qz_session_detections(s, 0, &list, &count), "has not run");
    ASSERT_OK(ctx, qz_session_run_pixels(s, images, 1));
    ASSERT_OK(ctx, qz_session_detections(s, 0, &list, &count));
    qz_session_destroy(s);
    for (size_t i = 0; i < 3; i++)
        free_pixels(&images[i]);
}

/* ---- RoIs ---- */

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

static void rois(void **state)
{
    (void)state;
    enum { MANY = 15 }; /* each odd one twice, and one more */
    static const float odd[][4] = {{5, 5, 40, 50},           {10, 10, 10, 10},
                                   {30, 40, 10, 20},         {-500, -500, -400, -400},
                                   {1000, 1000, 2000, 2000}, {-1e30f, -1e30f, 1e30f, 1e30f},
                                   {0, 0, 3e38f, 1}};
    enum { ODD = sizeof(odd) / sizeof(odd[0]) };
    const qz_pixels image = block_image(5, 80, 60);
    for (size_t i = 1; i < NAMES; i++) {
        qz_session *s = session_of(models[i]);
        found_bytes want = found_run(ctx, s, has_masks(i), &image);
        assert_true(want.rois > 0);

        /* the proposals themselves: the box stage computes the same */
        found_bytes own = {0}, given = {0};
        const qz_tensor *t = output_named(s, "proposals");
        float *boxes = malloc(want.rois * 4 * sizeof(*boxes));
        assert_non_null(boxes);
        memcpy(boxes, t->data, want.rois * 4 * sizeof(*boxes));
        t = output_named(s, "roi_cls_logits");
        found_add(&own, t->data, (size_t)(t->dims[0] * t->dims[1]) * sizeof(float));
        found_image(ctx, s, false, 0, image.width, image.height, &own);
        ASSERT_OK(ctx, qz_session_set_rois(s, boxes, want.rois));
        memset(boxes, 0, want.rois * 4 * sizeof(*boxes)); /* they were copied */
        const qz_detection *list = NULL;
        size_t count = 0;
        REFUSED(ctx, QZ_ERR_STATE, qz_session_detections(s, 0, &list, &count), "has not run");
        ASSERT_OK(ctx, run_pixels(s, &image));
        t = output_named(s, "roi_cls_logits");
        found_add(&given, t->data, (size_t)(t->dims[0] * t->dims[1]) * sizeof(float));
        found_image(ctx, s, false, 0, image.width, image.height, &given);
        ASSERT_FOUND_EQUAL(&own, &given, "%s: its own proposals as RoIs find something else",
                           names[i]);
        free(own.data);
        free(given.data);
        free(boxes);

        /* one by one and together: a RoI does not depend on its neighbours */
        float *many = malloc(MANY * 4 * sizeof(*many));
        assert_non_null(many);
        for (size_t j = 0; j < MANY; j++)
            memcpy(many + 4 * j, odd[j % ODD], sizeof(odd[0]));
        ASSERT_OK(ctx, qz_session_set_rois(s, many, MANY));
        ASSERT_OK(ctx, run_pixels(s, &image));
        sane(s, &image, names[i]);
        t = output_named(s, "roi_cls_logits");
        assert_int_equal(t->dims[0], MANY);
        const size_t row = (size_t)t->dims[1] * sizeof(float);
        float *together = malloc(MANY * row);
        assert_non_null(together);
        memcpy(together, t->data, MANY * row);
        if (has_masks(i))
            assert_int_equal(output_named(s, "mask_logits")->dims[0], MANY);
        for (size_t j = 0; j < ODD; j++) {
            ASSERT_OK(ctx, qz_session_set_rois(s, odd[j], 1));
            ASSERT_OK(ctx, run_pixels(s, &image));
            t = output_named(s, "roi_cls_logits");
            assert_int_equal(t->dims[0], 1);
            assert_memory_equal(t->data, (char *)together + j * row, row);
            assert_memory_equal(t->data, (char *)together + (j + ODD) * row, row);
            assert_memory_equal(output_named(s, "proposals")->data, odd[j], sizeof(odd[j]));
        }
        free(together);

        /* refused ones leave the proposals */
        many[7] = NAN;
        REFUSED(ctx, QZ_ERR_NUMERIC, qz_session_set_rois(s, many, MANY), "NaN or infinity");
        many[7] = -INFINITY;
        REFUSED(ctx, QZ_ERR_NUMERIC, qz_session_set_rois(s, many, 2), "NaN or infinity");
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_set_rois(s, many, 0), "0 boxes");
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_set_rois(s, many, SIZE_MAX), "boxes");
        free(many);
        ASSERT_OK(ctx, qz_session_set_rois(s, NULL, 0));
        still_runs(s, i, &image, &want);
        free(want.data);
        qz_session_destroy(s);
    }
    free_pixels(&image);
}

/* ---- calls ---- */

static void wrong_calls(void **state)
{
    (void)state;
    const qz_pixels image = block_image(5, 80, 60);
    static uint8_t mask[80 * 60];
    static float prob[80 * 60];
    const qz_detection *list = NULL;
    const float box[4] = {0, 0, 8, 8};
    size_t count = 0;
    qz_session *s = session_of(models[2]);
    REFUSED(ctx, QZ_ERR_STATE, qz_session_detections(s, 0, &list, &count), "has not run");
    REFUSED(ctx, QZ_ERR_STATE, qz_session_detection_mask(s, 0, 0, mask), "has not run");
    ASSERT_OK(ctx, run_pixels(s, &image));
    ASSERT_OK(ctx, qz_session_detections(s, 0, &list, &count));
    assert_true(count > 0);
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detections(s, 0, NULL, &count), "NULL");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detections(s, 0, &list, NULL), "NULL");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detections(s, 1, &list, &count), "no image 1");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detections(s, SIZE_MAX, &list, &count), "no image");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detection_mask(s, 0, count, mask), "no detection");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detection_mask(s, 0, SIZE_MAX, mask), "no detection");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detection_mask(s, 1, 0, mask), "no image 1");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detection_mask(s, 0, 0, NULL), "no room");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detection_mask_prob(s, 0, count, prob),
            "no detection");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detection_mask_prob(s, 0, 0, NULL), "no room");
    ASSERT_OK(ctx, qz_session_detection_mask(s, 0, count - 1, mask));
    ASSERT_OK(ctx, qz_session_detection_mask_prob(s, 0, count - 1, prob));
    for (size_t p = 0; p < sizeof(mask); p++)
        assert_true(mask[p] == (prob[p] >= 0.5f ? 1 : 0));
    assert_int_not_equal(qz_session_detections(NULL, 0, &list, &count), QZ_OK);
    assert_int_not_equal(qz_session_set_rois(NULL, box, 1), QZ_OK);
    const qz_tensor *t = NULL;
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_output(s, qz_session_output_count(s), NULL, &t),
            "no output");
    qz_session_destroy(s);

    /* other kinds of models */
    s = session_of(models[0]);
    ASSERT_OK(ctx, run_pixels(s, &image));
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_session_detection_mask(s, 0, 0, mask), "no masks");
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_session_set_rois(s, box, 1), "only Faster R-CNN");
    qz_session_destroy(s);
    qz_model *classifier = NULL;
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    qz_detection_options d;
    o.num_classes = 3;
    ASSERT_OK(ctx, qz_squeezenet1_1(ctx, &o, &classifier));
    s = session_of(classifier);
    ASSERT_OK(ctx, run_pixels(s, &image));
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_session_detections(s, 0, &list, &count),
            "squeezenet1_1 is no detector");
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_session_detection_mask(s, 0, 0, mask), "no detector");
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_session_detection_mask_prob(s, 0, 0, prob), "no detector");
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_session_set_rois(s, box, 1), "only Faster R-CNN");
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_model_get_detection_options(classifier, &d),
            "squeezenet1_1 is no detector");
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_detection_options_default(ctx, "resnet18", &d),
            "no detector");
    REFUSED(ctx, QZ_ERR_UNKNOWN_NAME,
            qz_detection_options_default(ctx, "retinanet_resnet50_fpm", &d),
            "retinanet_resnet50_fpn");
    ASSERT_OK(ctx, qz_detection_options_default(ctx, SSDLITE, &d));
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_model_set_detection_options(classifier, &d), "no detector");
    qz_session_destroy(s);
    qz_model_destroy(classifier);

    /* a classifier's own ways */
    const char *const outputs[] = {"roi_cls_logits"};
    qz_session_options so = QZ_SESSION_OPTIONS_INIT;
    so.outputs = outputs;
    so.output_count = 1;
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_session_create(models[1], &so, &s), "all of its outputs");
    qz_model_info info;
    qz_model_get_info(models[1], &info);
    assert_true(info.unit_images);
    s = session_of(models[1]);
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_session_set_preprocess(s, &info.preprocess),
            "own transform");
    /* after the first session: thresholds, but no sizes */
    ASSERT_OK(ctx, qz_model_get_detection_options(models[1], &d));
    d.min_size++;
    REFUSED(ctx, QZ_ERR_STATE, qz_model_set_detection_options(models[1], &d),
            "before the first session");
    d.min_size--;
    d.box_nms_thresh = NAN;
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_model_set_detection_options(models[1], &d), "from 0 to 1");
    qz_session_destroy(s);
    free_pixels(&image);
}

/* ---- many images ---- */

static void two_hundred_images(void **state)
{
    (void)state;
    enum { SIZES = 20, ROUNDS = 10 };
    qz_pixels images[SIZES];
    uint32_t random = 12345;
    for (size_t j = 0; j < SIZES; j++) {
        random = random * 1664525u + 1013904223u;
        images[j] = block_image((uint32_t)j, (int32_t)(16 + (random >> 8) % 200),
                                (int32_t)(16 + (random >> 18) % 200));
    }
    for (size_t i = 0; i < NAMES; i++) {
        const int64_t without = memory.live;
        qz_session *s = session_of(models[i]);
        found_bytes first = {0};
        int64_t bytes[SIZES], live[SIZES];
        const size_t rounds = i < 2 ? ROUNDS : 3, sizes = i < 2 ? SIZES : 5; /* masks take longer */
        for (size_t round = 0; round < rounds; round++) {
            for (size_t j = 0; j < sizes; j++) {
                ASSERT_OK(ctx, run_pixels(s, &images[j]));
                /* plans come and go; buffers reach their size in the first round */
                if (round == 1) {
                    bytes[j] = memory.bytes;
                    live[j] = memory.live;
                } else if (round > 1 && (memory.bytes != bytes[j] || memory.live != live[j])) {
                    fail_msg("%s: round %zu, image %zu: %lld bytes in %lld blocks are held, not "
                             "%lld in %lld",
                             names[i], round, j, (long long)memory.bytes, (long long)memory.live,
                             (long long)bytes[j], (long long)live[j]);
                }
                if (j == 0 && (round == 0 || round + 1 == rounds)) {
                    found_bytes got = {0};
                    found_image(ctx, s, has_masks(i), 0, images[0].width, images[0].height, &got);
                    if (round == 0)
                        first = got;
                    else
                        ASSERT_FOUND_EQUAL(&first, &got, "%s: image 0 of round %zu differs",
                                           names[i], round);
                    if (round > 0)
                        free(got.data);
                }
            }
        }
        assert_true(first.objects > 0);
        free(first.data);
        qz_session_destroy(s);
        /* what the model packed for its first session is the model's */
        assert_true(memory.live <= without + 8);
    }
    for (size_t j = 0; j < SIZES; j++)
        free_pixels(&images[j]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_images),           cmocka_unit_test(images_of_one_colour),
        cmocka_unit_test(larger_than_memory),   cmocka_unit_test(bad_tensors),
        cmocka_unit_test(bad_image_of_a_batch), cmocka_unit_test(rois),
        cmocka_unit_test(wrong_calls),          cmocka_unit_test(two_hundred_images),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
