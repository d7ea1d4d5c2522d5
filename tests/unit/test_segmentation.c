/* SPDX-License-Identifier: MIT */
/*
 * test_segmentation.c - class maps by the public calls: their size, ties, batches, the same bytes
 * on every instruction set, saved models, the auxiliary head, refusals, and memory that runs out.
 */
#include "counting.h"
#include "small_detectors.h"
#include "zoo/qzoo.h"

#include <inttypes.h>
#include <unistd.h>

#define LRASPP "lraspp_mobilenet_v3_large"
enum { CLASSES = 5, IN_H = 48, IN_W = 64, IN_PLANE = IN_H * IN_W };

static qz_context *ctx;
static qz_model *models[2]; /* float, int8 */
static float input[2 * 3 * IN_PLANE];

static qz_tensor input_of(int64_t n)
{
    return (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {n, 3, IN_H, IN_W}, .data = input};
}

static qz_model *segmenter(qz_context *context, const char *name, bool int8)
{
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    const qz_tensor t = input_of(1);
    qz_model *model = NULL;
    o.quantize = int8;
    o.num_classes = CLASSES;
    o.threads = 1;
    ASSERT_OK(context, qz_model_create(context, name, &o, &model));
    if (int8) {
        ASSERT_OK(context, qz_model_calibrate(model, &t));
        ASSERT_OK(context, qz_model_convert(model));
    }
    return model;
}

static int setup(void **state)
{
    (void)state;
    if (qz_context_create(NULL, &ctx) != QZ_OK)
        return -1;
    for (int64_t i = 0; i < 2; i++)
        qz_synthetic_image(i, IN_H, IN_W, input + i * 3 * IN_PLANE);
    for (int i = 0; i < 2; i++)
        models[i] = segmenter(ctx, LRASPP, i == 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        qz_model_destroy(models[i]);
    qz_context_destroy(ctx);
    return 0;
}

static qz_session *session_of(qz_model *model, qz_isa isa, uint32_t threads)
{
    const qz_preprocess recipe = {
        .resize_h = IN_H, .resize_w = IN_W, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.2f, 0.2f, 0.2f}};
    qz_session_options o = QZ_SESSION_OPTIONS_INIT;
    qz_session *s = NULL;
    o.isa = isa;
    o.threads = threads;
    ASSERT_OK(ctx, qz_session_create(model, &o, &s));
    ASSERT_OK(ctx, qz_session_set_preprocess(s, &recipe));
    return s;
}

static const qz_tensor *scores_of(qz_session *s)
{
    const qz_tensor *t = NULL;
    const char *name = NULL;
    ASSERT_OK(ctx, qz_session_output(s, 0, &name, &t));
    assert_string_equal(name, "out");
    return t;
}

static const qz_segmentation *map_of(qz_session *s, size_t image)
{
    const qz_segmentation *map = NULL;
    ASSERT_OK(ctx, qz_session_segmentation(s, image, &map));
    assert_int_equal(map->num_classes, CLASSES);
    return map;
}

/* By the header's words: the best class of the nearest pixel, the lowest of equal ones. */
static uint8_t best_class(const float *scores, const qz_segmentation *map, int32_t x, int32_t y)
{
    const int32_t from_y = (int32_t)(((double)y + 0.5) * IN_H / map->height);
    const int32_t from_x = (int32_t)(((double)x + 0.5) * IN_W / map->width);
    uint8_t best = 0;
    for (uint8_t c = 1; c < CLASSES; c++)
        if (scores[c * IN_PLANE + from_y * IN_W + from_x] >
            scores[best * IN_PLANE + from_y * IN_W + from_x])
            best = c;
    return best;
}

static void check_map(const float *scores, const qz_segmentation *map, int32_t width,
                      int32_t height)
{
    int64_t pixels[CLASSES] = {0};
    int kinds = 0;
    assert_int_equal(map->width, width);
    assert_int_equal(map->height, height);
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++) {
            const uint8_t got = map->classes[y * width + x];
            if (got != best_class(scores, map, x, y))
                fail_msg("pixel %d, %d of %dx%d is class %d", x, y, width, height, got);
            pixels[got]++;
        }
    assert_memory_equal(pixels, map->pixels, sizeof(pixels));
    for (int c = 0; c < CLASSES; c++)
        kinds += pixels[c] > 0;
    assert_true(kinds > 1 || width == 1); /* otherwise nothing was compared */
}

/* ---- maps ---- */

static void maps_of_arrays(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        qz_session *s = session_of(models[i], QZ_ISA_AUTO, 1);
        const qz_tensor t = input_of(2);
        ASSERT_OK(ctx, qz_session_run(s, &t));
        const qz_tensor *scores = scores_of(s);
        const int64_t dims[4] = {2, CLASSES, IN_H, IN_W};
        assert_memory_equal(scores->dims, dims, sizeof(dims));
        for (size_t k = 0; k < 2; k++)
            check_map((const float *)scores->data + k * CLASSES * IN_PLANE, map_of(s, k), IN_W,
                      IN_H);
        assert_ptr_equal(map_of(s, 1)->classes, map_of(s, 1)->classes); /* computed once */
        qz_session_destroy(s);
    }
}

static void maps_of_images(void **state)
{
    static const int32_t sizes[][2] = {{64, 48}, {150, 110}, {31, 77}, {1, 1}, {300, 2}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        qz_session *s = session_of(models[i], QZ_ISA_AUTO, 2);
        for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            const qz_pixels image = block_image((uint32_t)k, sizes[k][0], sizes[k][1]);
            ASSERT_OK(ctx, run_pixels(s, &image));
            check_map(scores_of(s)->data, map_of(s, 0), image.width, image.height);
            free_pixels(&image);
        }
        qz_session_destroy(s);
    }
}

/* Scores that are made equal by hand. */
static void ties_are_the_lowest_class(void **state)
{
    (void)state;
    qz_session *s = session_of(models[1], QZ_ISA_AUTO, 1);
    const qz_tensor t = input_of(2);
    ASSERT_OK(ctx, qz_session_run(s, &t));
    /* the scores are the session's own; a map is made when it is asked for first */
    float *scores = (float *)scores_of(s)->data;
    for (int32_t p = 0; p < IN_PLANE; p++)
        for (int32_t c = 0; c < CLASSES; c++)
            scores[c * IN_PLANE + p] = c >= p % CLASSES ? 7.0f : -7.0f;
    const qz_segmentation *map = map_of(s, 0);
    for (int32_t p = 0; p < IN_PLANE; p++)
        assert_int_equal(map->classes[p], p % CLASSES);
    qz_session_destroy(s);
}

static void probabilities(void **state)
{
    (void)state;
    qz_session *s = session_of(models[0], QZ_ISA_AUTO, 1);
    const qz_pixels image = block_image(3, 90, 40);
    float p[CLASSES];
    ASSERT_OK(ctx, run_pixels(s, &image));
    const qz_segmentation *map = map_of(s, 0);
    for (int32_t k = 0; k < 40; k++) {
        double sum = 0;
        uint8_t best = 0;
        ASSERT_OK(ctx, qz_session_segmentation_probabilities(s, 0, 2 * k, k, p));
        for (uint8_t c = 0; c < CLASSES; c++) {
            sum += (double)p[c];
            best = p[c] > p[best] ? c : best;
        }
        assert_true(sum > 1 - 1e-6 && sum < 1 + 1e-6);
        assert_true(p[best] <= p[map->classes[k * 90 + 2 * k]]);
    }
    free_pixels(&image);
    qz_session_destroy(s);
}

/* ---- batches ---- */

static void batch_of_sizes(void **state)
{
    enum { IMAGES = 3 };
    const qz_pixels images[IMAGES] = {block_image(1, 90, 70), block_image(2, 40, 131),
                                      block_image(3, 64, 48)};
    (void)state;
    for (int i = 0; i < 2; i++) {
        qz_session *one = session_of(models[i], QZ_ISA_AUTO, 1);
        qz_session *all = session_of(models[i], QZ_ISA_AUTO, 2);
        const qz_segmentation *none = NULL;
        float p[CLASSES];
        ASSERT_OK(ctx, qz_session_run_pixels(all, images, IMAGES));
        for (size_t k = 0; k < IMAGES; k++) {
            ASSERT_OK(ctx, run_pixels(one, &images[k]));
            const qz_segmentation *want = map_of(one, 0), *got = map_of(all, k);
            assert_int_equal(got->width, images[k].width);
            assert_int_equal(got->height, images[k].height);
            assert_memory_equal(want->classes, got->classes,
                                (size_t)got->width * (size_t)got->height);
            assert_memory_equal(want->pixels, got->pixels, CLASSES * sizeof(int64_t));
        }
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_segmentation(all, IMAGES, &none), "no image 3");
        ASSERT_OK(ctx, qz_session_segmentation_probabilities(all, IMAGES - 1, 0, 0, p));
        /* a smaller run leaves nothing of the larger one */
        ASSERT_OK(ctx, run_pixels(all, &images[1]));
        check_map(scores_of(all)->data, map_of(all, 0), 40, 131);
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_segmentation(all, 1, &none), "no image 1");
        qz_session_destroy(one);
        qz_session_destroy(all);
    }
    for (size_t k = 0; k < IMAGES; k++)
        free_pixels(&images[k]);
}

/* ---- the same bytes ---- */

static uint64_t hash_of_run(qz_session *s)
{
    const qz_tensor t = input_of(2);
    ASSERT_OK(ctx, qz_session_run(s, &t));
    uint64_t hash =
        qzi_fnv1a(scores_of(s)->data, 2 * CLASSES * IN_PLANE * sizeof(float), QZI_FNV_OFFSET);
    for (size_t k = 0; k < 2; k++)
        hash = qzi_fnv1a(map_of(s, k)->classes, IN_PLANE, hash);
    return hash;
}

static void same_bytes_everywhere(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        qz_session *first = session_of(models[i], QZ_ISA_AUTO, 1);
        const uint64_t want = hash_of_run(first);
        qz_session_destroy(first);
        for (int isa = QZ_ISA_AUTO; isa < QZ_ISA_COUNT; isa++) {
            if (!qz_isa_available((qz_isa)isa))
                continue;
            for (uint32_t threads = 1; threads <= 2; threads++) {
                if (isa == QZ_ISA_REF && threads == 1)
                    continue; /* the slowest */
                qz_session *s = session_of(models[i], (qz_isa)isa, threads);
                if (hash_of_run(s) != want)
                    fail_msg("%s: %s with %u threads computes other bytes", i ? "int8" : "fp32",
                             qz_isa_name((qz_isa)isa), threads);
                qz_session_destroy(s);
            }
        }
    }
}

static void saved_model(void **state)
{
    (void)state;
    char path[] = "/tmp/qzoo_segmenter_XXXXXX";
    qz_model *opened = NULL;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    ASSERT_OK(ctx, qz_model_save(models[1], path));
    ASSERT_OK(ctx, qz_model_open(ctx, path, &opened));
    unlink(path);
    qz_session *a = session_of(models[1], QZ_ISA_AUTO, 1);
    qz_session *b = session_of(opened, QZ_ISA_AUTO, 2);
    assert_true(hash_of_run(a) == hash_of_run(b));
    qz_session_destroy(a);
    qz_session_destroy(b);
    qz_model_destroy(opened);
}

/* ---- the auxiliary head ---- */

static void aux_when_named(void **state)
{
    static const char *const both[] = {"out", "aux"};
    (void)state;
    qz_model *model = segmenter(ctx, "deeplabv3_mobilenet_v3_large", false);
    const qz_tensor t = input_of(1);
    qz_session_options o = QZ_SESSION_OPTIONS_INIT;
    qz_session *plain = NULL, *named = NULL;
    const qz_tensor *y = NULL;
    const char *name = NULL;
    ASSERT_OK(ctx, qz_session_create(model, &o, &plain));
    o.outputs = both;
    o.output_count = 2;
    ASSERT_OK(ctx, qz_session_create(model, &o, &named));
    ASSERT_OK(ctx, qz_session_run(plain, &t));
    ASSERT_OK(ctx, qz_session_run(named, &t));
    assert_int_equal(qz_session_output_count(plain), 1);
    assert_int_equal(qz_session_output_count(named), 2);
    assert_memory_equal(scores_of(plain)->data, scores_of(named)->data,
                        CLASSES * IN_PLANE * sizeof(float));
    ASSERT_OK(ctx, qz_session_output(named, 1, &name, &y));
    assert_string_equal(name, "aux");
    const int64_t dims[4] = {1, CLASSES, IN_H, IN_W};
    assert_memory_equal(y->dims, dims, sizeof(dims));
    assert_memory_equal(map_of(plain, 0)->classes, map_of(named, 0)->classes, IN_PLANE);
    qz_session_destroy(named);
    /* where the first output is no scores, there is no map */
    static const char *const inner[] = {"backbone.4"};
    o.outputs = inner;
    o.output_count = 1;
    const qz_segmentation *map = NULL;
    ASSERT_OK(ctx, qz_session_create(model, &o, &named));
    ASSERT_OK(ctx, qz_session_run(named, &t));
    REFUSED(ctx, QZ_ERR_STATE, qz_session_segmentation(named, 0, &map), "backbone.4");
    qz_session_destroy(named);
    qz_session_destroy(plain);
    qz_model_destroy(model);
}

/* ---- refusals ---- */

static void refusals(void **state)
{
    const qz_segmentation *map = NULL;
    const qz_tensor t = input_of(1);
    float p[CLASSES];
    (void)state;
    qz_session *s = session_of(models[1], QZ_ISA_AUTO, 1);
    REFUSED(ctx, QZ_ERR_STATE, qz_session_segmentation(s, 0, &map), "has not run");
    REFUSED(ctx, QZ_ERR_STATE, qz_session_segmentation_probabilities(s, 0, 0, 0, p), "has not run");
    assert_int_equal(qz_session_segmentation(NULL, 0, &map), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_session_segmentation_probabilities(NULL, 0, 0, 0, p), QZ_ERR_ARGUMENT);
    ASSERT_OK(ctx, qz_session_run(s, &t));
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_segmentation(s, 0, NULL), "NULL");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_segmentation_probabilities(s, 0, 0, 0, NULL), "NULL");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_segmentation(s, 1, &map), "no image 1");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_segmentation(s, SIZE_MAX, &map), "no image");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_segmentation_probabilities(s, 0, IN_W, 0, p),
            "no pixel");
    REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_segmentation_probabilities(s, 0, 0, -1, p),
            "no pixel");
    assert_null(map);
    qz_session_destroy(s);

    qz_model *classifier = segmenter(ctx, "squeezenet1_1", false);
    ASSERT_OK(ctx, qz_session_create(classifier, NULL, &s));
    ASSERT_OK(ctx, qz_session_run(s, &t));
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_session_segmentation(s, 0, &map), "no segmenter");
    REFUSED(ctx, QZ_ERR_UNSUPPORTED, qz_session_segmentation_probabilities(s, 0, 0, 0, p),
            "no segmenter");
    qz_session_destroy(s);
    qz_model_destroy(classifier);
}

/* ---- memory ---- */

static qz_status use_session(qz_session *s, const qz_pixels images[2])
{
    const qz_segmentation *map = NULL;
    const qz_tensor t = input_of(2);
    const qz_preprocess recipe = {.resize_h = IN_H, .resize_w = IN_W, .std = {1, 1, 1}};
    float p[CLASSES];
    qz_status st = qz_session_set_preprocess(s, &recipe);
    if (st == QZ_OK)
        st = qz_session_run_pixels(s, images, 2);
    if (st == QZ_OK)
        st = qz_session_segmentation(s, 0, &map);
    if (st == QZ_OK)
        st = qz_session_run(s, &t);
    if (st == QZ_OK)
        st = qz_session_segmentation_probabilities(s, 1, 3, 4, p);
    return st;
}

static void memory_runs_out(void **state)
{
    const qz_pixels images[2] = {block_image(4, 70, 60), block_image(9, 50, 90)};
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *own = counting_context(&c, 1);
    qz_model *model = segmenter(own, LRASPP, true);
    qz_session *s = NULL;
    ASSERT_OK(own, qz_session_create(model, NULL, &s)); /* packs */
    qz_session_destroy(s);
    s = NULL;
    const int64_t before = c.live;
    qz_status st = QZ_ERR_MEMORY;
    int64_t failed = 0;
    for (int64_t n = 0; st != QZ_OK && counting_fail(&c, n); n++) {
        st = qz_session_create(model, NULL, &s);
        if (st == QZ_OK)
            st = use_session(s, images);
        c.fail_at = -1;
        if (st != QZ_OK && (st != QZ_ERR_MEMORY || !strstr(qz_context_message(own), "memory")))
            fail_msg("allocation %" PRId64 " fails: %s: %s", n, qz_status_name(st),
                     qz_context_message(own));
        failed += st != QZ_OK;
        if (s && st != QZ_OK) /* it can be used again */
            ASSERT_OK(own, use_session(s, images));
        qz_session_destroy(s);
        s = NULL;
        if (c.live != before)
            fail_msg("allocation %" PRId64 " fails: %lld blocks leak", n,
                     (long long)(c.live - before));
    }
    print_message("each of %" PRId64 " allocations failed in turn\n", failed);
    assert_true(failed > 15);
    qz_model_destroy(model);
    qz_context_destroy(own);
    assert_int_equal(c.live, 0);
    for (int i = 0; i < 2; i++)
        free_pixels(&images[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_of_arrays),
        cmocka_unit_test(maps_of_images),
        cmocka_unit_test(ties_are_the_lowest_class),
        cmocka_unit_test(probabilities),
        cmocka_unit_test(batch_of_sizes),
        cmocka_unit_test(same_bytes_everywhere),
        cmocka_unit_test(saved_model),
        cmocka_unit_test(aux_when_named),
        cmocka_unit_test(refusals),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
