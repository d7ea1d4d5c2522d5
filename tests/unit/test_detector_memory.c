/* SPDX-License-Identifier: MIT */
/*
 * test_detector_memory.c - allocations of a detector's life that fail: the status is QZ_ERR_MEMORY,
 * nothing leaks, and a session whose run failed finds the same in its next run.
 *
 *   test_detector_memory [--all]    --all: every allocation of a whole life, not a sample of them;
 *                                   by hand, as it takes most of an hour
 */
#include "counting.h"
#include "small_detectors.h"

#include <inttypes.h>

#include <unistd.h>

static bool all_of_them;
static char saved_path[64];

/* ---- a whole life ---- */

static qz_status live(qz_context *ctx, const char *name, const qz_pixels *image, qz_model **model,
                      qz_session **s)
{
    const qz_detection *list = NULL;
    size_t count = 0;
    qz_status st = small_detector_create(ctx, name, true, model);
    if (st == QZ_OK)
        st = qz_model_calibrate_pixels(*model, image, 1);
    if (st == QZ_OK)
        st = qz_model_convert(*model);
    if (st == QZ_OK)
        st = qz_model_save(*model, saved_path);
    if (st == QZ_OK) {
        qz_model_destroy(*model);
        *model = NULL;
        st = qz_model_open(ctx, saved_path, model);
    }
    if (st == QZ_OK)
        st = qz_session_create(*model, NULL, s);
    if (st == QZ_OK)
        st = run_pixels(*s, image);
    for (size_t i = 0; st == QZ_OK && i < qz_session_output_count(*s); i++) {
        const qz_tensor *t = NULL;
        st = qz_session_output(*s, i, NULL, &t);
    }
    return st == QZ_OK ? qz_session_detections(*s, 0, &list, &count) : st;
}

/* About `samples` allocations of a life fail in turn, evenly spread; the last run has them all. */
static void sweep_life(const char *name, int64_t samples)
{
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    assert_non_null(ctx);
    const qz_pixels image = block_image(4, 70, 60);
    const int64_t before = c.live;
    int64_t all = 0, failed = 0, step = 1;
    for (int64_t at = -1; at <= all; at += at < 0 ? 1 : step) {
        qz_model *model = NULL;
        qz_session *s = NULL;
        c.total = 0;
        c.fail_at = at;
        const qz_status st = live(ctx, name, &image, &model, &s);
        const int64_t used = c.total;
        c.fail_at = -1;
        if (at < 0) { /* with all memory */
            ASSERT_OK(ctx, st);
            all = used;
            step = all_of_them ? 1 : all / samples + 1;
        } else if (at == all ? st != QZ_OK : st != QZ_ERR_MEMORY) {
            fail_msg("%s: allocation %" PRId64 " of %" PRId64 " fails: %s: %s", name, at, all,
                     qz_status_name(st), qz_context_message(ctx));
        }
        if (st != QZ_OK && !strstr(qz_context_message(ctx), "memory"))
            fail_msg("%s: allocation %" PRId64 ": the message is \"%s\"", name, at,
                     qz_context_message(ctx));
        failed += st != QZ_OK;
        qz_session_destroy(s);
        qz_model_destroy(model);
        if (c.live != before)
            fail_msg("%s: allocation %" PRId64 " fails: %lld blocks leak", name, at,
                     (long long)(c.live - before));
        unlink(saved_path);
    }
    assert_true(all > 500 && failed >= samples / 2);
    print_message("%s: %" PRId64 " of %" PRId64 " allocations failed in turn\n", name, failed, all);
    free_pixels(&image);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

static void life_of_ssdlite(void **state)
{
    (void)state;
    sweep_life(SSDLITE, 60);
}

static void life_of_faster_rcnn(void **state)
{
    (void)state;
    sweep_life(FASTER_RCNN, 12);
}

/* ---- a session ---- */

/* A first run with everything that a session offers. */
static qz_status use_session(qz_session *s, bool two_stages, bool masks, const qz_pixels images[2])
{
    static const float box[2][4] = {{3, 4, 40, 50}, {20, 10, 60, 64}};
    const qz_detection *list = NULL;
    const qz_profile_row *rows = NULL;
    size_t count = 0;
    static uint8_t mask[128 * 128];
    qz_session_set_profile(s, true);
    qz_status st = qz_session_run_pixels(s, images, 2);
    for (size_t i = 0; st == QZ_OK && i < qz_session_output_count(s); i++) {
        const qz_tensor *t = NULL;
        st = qz_session_output(s, i, NULL, &t);
    }
    if (st == QZ_OK)
        st = qz_session_profile(s, &rows, &count);
    if (st == QZ_OK)
        st = qz_session_detections(s, 0, &list, &count);
    if (st == QZ_OK && masks && count > 0)
        st = qz_session_detection_mask(s, 0, count - 1, mask);
    if (st == QZ_OK && two_stages)
        st = qz_session_set_rois(s, box[0], 2);
    if (st == QZ_OK && two_stages)
        st = run_pixels(s, &images[0]);
    return st;
}

/* Every allocation of a session and its runs; the model, with its packed weights, is made once. */
static void sweep_session(const char *name, bool int8)
{
    const bool masks = strcmp(name, MASK_RCNN) == 0, two_stages = strcmp(name, SSDLITE) != 0;
    const qz_pixels images[2] = {block_image(4, 70, 60), block_image(9, 50, 90)};
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    qz_model *model = small_detector(ctx, name, int8);
    qz_session *s = NULL;
    ASSERT_OK(ctx, qz_session_create(model, NULL, &s)); /* packs */
    found_bytes want = found_run(ctx, s, masks, &images[0]);
    assert_true(want.objects > 0);
    qz_session_destroy(s);
    s = NULL;
    const int64_t before = c.live;
    qz_status st = QZ_ERR_MEMORY;
    int64_t failed = 0;
    for (int64_t n = 0; st != QZ_OK && counting_fail(&c, n); n++) {
        st = qz_session_create(model, NULL, &s);
        if (st == QZ_OK)
            st = use_session(s, two_stages, masks, images);
        c.fail_at = -1;
        if (st != QZ_OK && (st != QZ_ERR_MEMORY || !strstr(qz_context_message(ctx), "memory")))
            fail_msg("%s: allocation %" PRId64 " fails: %s: %s", name, n, qz_status_name(st),
                     qz_context_message(ctx));
        failed += st != QZ_OK;
        if (s) { /* one of three, as it takes as long as the rest */
            if (two_stages)
                ASSERT_OK(ctx, qz_session_set_rois(s, NULL, 0));
            if (n % 3 == 0 || all_of_them) {
                found_bytes got = found_run(ctx, s, masks, &images[0]);
                ASSERT_FOUND_EQUAL(&want, &got,
                                   "%s: after allocation %" PRId64 " failed, it finds other bytes",
                                   name, n);
                free(got.data);
            }
        }
        qz_session_destroy(s);
        s = NULL;
        if (c.live != before)
            fail_msg("%s: allocation %" PRId64 " fails: %lld blocks leak", name, n,
                     (long long)(c.live - before));
    }
    print_message("%s %s: each of %" PRId64 " allocations of a session failed in turn\n", name,
                  int8 ? "int8" : "fp32", failed);
    assert_true(failed > 30);
    free(want.data);
    qz_model_destroy(model);
    for (int i = 0; i < 2; i++)
        free_pixels(&images[i]);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

static void session_of_ssdlite(void **state)
{
    (void)state;
    sweep_session(SSDLITE, true);
}

static void session_of_mask_rcnn(void **state)
{
    (void)state;
    sweep_session(MASK_RCNN, true);
}

/* ---- packing ---- */

/* The first session of a model packs its weights: what fails there can be done again. */
static void packing(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    qz_model *model = small_detector(ctx, FASTER_RCNN, true);
    qz_session *s = NULL;
    const int64_t before = c.live;
    qz_status st = QZ_ERR_MEMORY;
    int64_t n = 0;
    for (; st != QZ_OK && n < 1000 && counting_fail(&c, n); n++) {
        st = qz_session_create(model, NULL, &s);
        c.fail_at = -1;
        assert_true(st == QZ_OK || (st == QZ_ERR_MEMORY && !s));
        if (st != QZ_OK && n == 0)
            assert_int_equal(c.live, before); /* later, the packing may be kept for the next */
    }
    assert_int_equal(st, QZ_OK);
    assert_true(n > 5);
    qz_session_destroy(s);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

int main(int argc, char **argv)
{
    all_of_them = argc > 1 && strcmp(argv[1], "--all") == 0;
    char folder[] = "/tmp/qzoo_memory_XXXXXX";
    if (!mkdtemp(folder))
        return 1;
    snprintf(saved_path, sizeof(saved_path), "%s/int8.safetensors", folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_of_ssdlite),
        cmocka_unit_test(session_of_mask_rcnn),
        cmocka_unit_test(packing),
        cmocka_unit_test(life_of_ssdlite),
        cmocka_unit_test(life_of_faster_rcnn),
    };
    const int failures = cmocka_run_group_tests(tests, NULL, NULL);
    return rmdir(folder) == 0 ? failures : 1;
}
