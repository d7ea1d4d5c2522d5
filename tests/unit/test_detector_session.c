/* SPDX-License-Identifier: MIT */
/*
 * test_detector_session.c - detectors of the registry by the public calls: the same bytes on every
 * instruction set, of any number of threads, in batches, from saved models.
 */
#include "small_detectors.h"

#include <unistd.h>

typedef struct subject {
    const char *name;
    bool int8;
} subject;

static const subject subjects[] = {
    {SSDLITE, false},    {SSDLITE, true},    {FASTER_RCNN, false},
    {FASTER_RCNN, true}, {MASK_RCNN, false}, {MASK_RCNN, true},
};
enum { SUBJECTS = sizeof(subjects) / sizeof(subjects[0]), IMAGES = 3 };

static qz_context *ctx;
static qz_model *models[SUBJECTS]; /* made by the first test that needs them */
static qz_pixels images[IMAGES];

static int setup(void **state)
{
    (void)state;
    if (qz_context_create(NULL, &ctx) != QZ_OK)
        return -1;
    images[0] = block_image(1, 90, 70);
    images[1] = block_image(2, 40, 131);
    images[2] = block_image(3, 64, 64);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++)
        qz_model_destroy(models[i]);
    for (size_t i = 0; i < IMAGES; i++)
        free_pixels(&images[i]);
    qz_context_destroy(ctx);
    return 0;
}

static qz_model *model_of(size_t i)
{
    if (!models[i])
        models[i] = small_detector(ctx, subjects[i].name, subjects[i].int8);
    return models[i];
}

static bool has_masks(size_t i)
{
    return strcmp(subjects[i].name, MASK_RCNN) == 0;
}

static qz_session *session_of(qz_model *model, qz_isa isa, uint32_t threads)
{
    qz_session_options o = QZ_SESSION_OPTIONS_INIT;
    qz_session *s = NULL;
    o.isa = isa;
    o.threads = threads;
    ASSERT_OK(ctx, qz_session_create(model, &o, &s));
    return s;
}

/* ---- instruction sets and threads ---- */

static void same_bytes_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        qz_model *model = model_of(i);
        found_bytes want[2] = {{0}, {0}};
        size_t objects = 0;
        for (int isa = QZ_ISA_AUTO; isa < QZ_ISA_COUNT; isa++) {
            if (!qz_isa_available((qz_isa)isa))
                continue;
            for (uint32_t threads = 1; threads <= 3; threads++) {
                if (isa == QZ_ISA_REF && threads < 3)
                    continue; /* the slowest; the others run with 1 and 2 */
                qz_session *s = session_of(model, (qz_isa)isa, threads);
                for (int j = 0; j < 2; j++) {
                    found_bytes got = found_run(ctx, s, has_masks(i), &images[j]);
                    if (!want[j].data) {
                        want[j] = got;
                        objects += got.objects;
                        continue;
                    }
                    ASSERT_FOUND_EQUAL(&want[j], &got,
                                       "%s %s, image %d: %s with %u threads finds "
                                       "other bytes than auto with 1",
                                       subjects[i].name, subjects[i].int8 ? "int8" : "fp32", j,
                                       qz_isa_name((qz_isa)isa), threads);
                    free(got.data);
                }
                qz_session_destroy(s);
            }
        }
        assert_true(objects > 1); /* otherwise nothing was compared */
        free(want[0].data);
        free(want[1].data);
    }
}

/* ---- batches ---- */

/* Images of different sizes in one call, and one after another. */
static void batch_of_pixels(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        qz_session *one = session_of(model_of(i), QZ_ISA_AUTO, 2);
        qz_session *all = session_of(model_of(i), QZ_ISA_AUTO, 2);
        ASSERT_OK(ctx, qz_session_run_pixels(all, images, IMAGES));
        for (size_t j = 0; j < IMAGES; j++) {
            found_bytes got = {0}, want = {0};
            ASSERT_OK(ctx, run_pixels(one, &images[j]));
            found_image(ctx, one, has_masks(i), 0, images[j].width, images[j].height, &want);
            found_image(ctx, all, has_masks(i), j, images[j].width, images[j].height, &got);
            if (j + 1 == IMAGES) { /* raw values are the last image's */
                found_outputs(ctx, one, &want);
                found_outputs(ctx, all, &got);
            }
            ASSERT_FOUND_EQUAL(&want, &got, "%s: image %zu of a batch differs", subjects[i].name,
                               j);
            free(want.data);
            free(got.data);
        }
        const qz_detection *list = NULL;
        size_t count = 0;
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detections(all, IMAGES, &list, &count),
                "no image 3");
        /* a smaller batch leaves nothing of the larger one */
        ASSERT_OK(ctx, qz_session_run_pixels(all, images, 1));
        qz_detection_times times;
        ASSERT_OK(ctx, qz_session_detection_times(all, &times));
        assert_true(times.transform > 0.0 && times.image > 0.0 && times.post > 0.0);
        REFUSED(ctx, QZ_ERR_ARGUMENT, qz_session_detections(all, 1, &list, &count), "no image 1");
        qz_session_destroy(one);
        qz_session_destroy(all);
    }
}

/* Three images of one size as N x 3 x H x W, one by one, and as 8-bit pixels. */
static void batch_of_floats(void **state)
{
    (void)state;
    enum { H = 50, W = 70, PLANE = H * W };
    static float values[IMAGES * 3 * PLANE];
    qz_pixels bytes[IMAGES];
    for (size_t j = 0; j < IMAGES; j++) {
        bytes[j] = block_image((uint32_t)j + 20, W, H);
        for (size_t p = 0; p < PLANE; p++)
            for (size_t c = 0; c < 3; c++)
                values[(j * 3 + c) * PLANE + p] = (float)bytes[j].data[p * 3 + c] / 255.0f;
    }
    for (size_t i = 0; i < SUBJECTS; i++) {
        qz_session *one = session_of(model_of(i), QZ_ISA_AUTO, 1);
        qz_session *all = session_of(model_of(i), QZ_ISA_AUTO, 3);
        qz_tensor t = {.dtype = QZ_F32, .ndim = 4, .dims = {IMAGES, 3, H, W}, .data = values};
        ASSERT_OK(ctx, qz_session_run(all, &t));
        t.dims[0] = 1;
        for (size_t j = 0; j < IMAGES; j++) {
            found_bytes batch = {0}, single = {0};
            t.data = values + j * 3 * PLANE;
            ASSERT_OK(ctx, qz_session_run(one, &t));
            found_image(ctx, one, has_masks(i), 0, W, H, &single);
            found_image(ctx, all, has_masks(i), j, W, H, &batch);
            ASSERT_FOUND_EQUAL(&single, &batch, "%s: image %zu of a batch differs",
                               subjects[i].name, j);
            found_outputs(ctx, one, &single);
            found_bytes pixels = found_run(ctx, one, has_masks(i), &bytes[j]);
            ASSERT_FOUND_EQUAL(&single, &pixels, "%s: image %zu as bytes differs from floats",
                               subjects[i].name, j);
            free(batch.data);
            free(single.data);
            free(pixels.data);
        }
        qz_session_destroy(one);
        qz_session_destroy(all);
    }
    for (size_t j = 0; j < IMAGES; j++)
        free_pixels(&bytes[j]);
}

/* ---- saved models ---- */

static bool same_files(const char *a, const char *b)
{
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    bool same = x && y;
    for (int p = 0; same && p != EOF;)
        same = (p = fgetc(x)) == fgetc(y);
    if (x)
        fclose(x);
    if (y)
        fclose(y);
    return same;
}

static void saved_models_keep_all(void **state)
{
    (void)state;
    char folder[] = "/tmp/qzoo_detector_XXXXXX", path[2][64];
    assert_non_null(mkdtemp(folder));
    for (int k = 0; k < 2; k++)
        snprintf(path[k], sizeof(path[k]), "%s/%d.safetensors", folder, k);
    for (size_t i = 0; i < SUBJECTS; i++) {
        if (!subjects[i].int8)
            continue;
        qz_model *model = model_of(i), *opened = NULL;
        qz_detection_options before, set, kept;
        ASSERT_OK(ctx, qz_model_get_detection_options(model, &before));
        set = before;
        if (strcmp(subjects[i].name, SSDLITE) == 0) {
            set.score_thresh = 0.1 + 1.0 / 3.0 / 4096.0; /* no short decimal */
            set.nms_thresh = 0.3;
            set.detections_per_img = 7;
            set.topk_candidates = 33;
        } else {
            set.box_score_thresh = 0.01 + 1.0 / 3.0 / 4096.0;
            set.box_nms_thresh = 0.3;
            set.box_detections_per_img = 2;
            set.rpn_nms_thresh = 0.6;
            set.rpn_post_nms_top_n_test = 5;
            set.rpn_score_thresh = 1e-7;
        }
        ASSERT_OK(ctx, qz_model_set_detection_options(model, &set));
        qz_session *s = session_of(model, QZ_ISA_AUTO, 1);
        found_bytes want = found_run(ctx, s, has_masks(i), &images[0]);
        qz_session_destroy(s);
        ASSERT_OK(ctx, qz_model_save(model, path[0]));
        ASSERT_OK(ctx, qz_model_set_detection_options(model, &before));

        ASSERT_OK(ctx, qz_model_open(ctx, path[0], &opened));
        ASSERT_OK(ctx, qz_model_get_detection_options(opened, &kept));
        assert_memory_equal(&set, &kept, sizeof(set));
        ASSERT_OK(ctx, qz_model_save(opened, path[1]));
        assert_true(same_files(path[0], path[1]));
        s = session_of(opened, QZ_ISA_AUTO, 2);
        found_bytes got = found_run(ctx, s, has_masks(i), &images[0]);
        ASSERT_FOUND_EQUAL(&want, &got, "%s: the saved model finds other bytes", subjects[i].name);
        assert_true(got.objects > 0);
        qz_session_destroy(s);
        qz_model_destroy(opened);
        free(want.data);
        free(got.data);
    }
    for (int k = 0; k < 2; k++)
        unlink(path[k]);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_everywhere),
        cmocka_unit_test(batch_of_pixels),
        cmocka_unit_test(batch_of_floats),
        cmocka_unit_test(saved_models_keep_all),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
