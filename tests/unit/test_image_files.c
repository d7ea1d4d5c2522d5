/* SPDX-License-Identifier: MIT */
/*
 * test_image_files.c - EXIF orientation, images from memory, WebP, what is no image file, Pillow's
 * NEAREST. What is expected was computed by Pillow (gen/image_goldens.py).
 */
#include "counting.h"
#include "layers/base/base.h"
#include "zoo/qzoo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "assert_ok.h"
#include "image_goldens.inc"

static qz_context *ctx;
static counting memory = COUNTING_INIT;

static void test_nearest(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(nearest_goldens); i++) {
        const int32_t w = nearest_goldens[i].w, h = nearest_goldens[i].h;
        const int32_t out_w = nearest_goldens[i].out_w, out_h = nearest_goldens[i].out_h;
        const size_t bytes = (size_t)out_w * (size_t)out_h * 3;
        uint8_t *rgb = malloc((size_t)w * (size_t)h * 3), *out = malloc(bytes);
        uint64_t s = nearest_goldens[i].seed;
        for (int32_t k = 0; k < w * h * 3; k++) {
            s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            rgb[k] = (uint8_t)(s >> 56);
        }
        ASSERT_OK(ctx, qz_image_resize(ctx, rgb, w, h, (size_t)w * 3, out_w, out_h,
                                       QZ_INTERPOLATION_NEAREST, out));
        if (qzi_fnv1a(out, bytes, QZI_FNV_OFFSET) != nearest_goldens[i].hash)
            fail_msg("nearest %dx%d to %dx%d differs from Pillow's", w, h, out_w, out_h);

        /* a crop out of the resized image has the same pixels */
        const qz_preprocess recipe = {.crop_h = 1,
                                      .crop_w = 1,
                                      .std = {1, 1, 1},
                                      .resize_h = out_h,
                                      .resize_w = out_w,
                                      .interpolation = QZ_INTERPOLATION_NEAREST};
        float pixel[3];
        ASSERT_OK(ctx, qz_image_preprocess(ctx, rgb, w, h, (size_t)w * 3, &recipe, pixel));
        const int32_t y = (out_h - 1) / 2 + ((out_h - 1) % 4 == 3), /* half to even */
            x = (out_w - 1) / 2 + ((out_w - 1) % 4 == 3);
        for (int32_t c = 0; c < 3; c++)
            assert_true(pixel[c] == (float)out[(y * out_w + x) * 3 + c] / 255.0f);
        free(rgb);
        free(out);
    }
    assert_string_equal(qz_interpolation_name(QZ_INTERPOLATION_NEAREST), "nearest");
}

static bool is_left_out(const char *name)
{
#if !defined(QZ_HAVE_WEBP)
    if (strcmp(name, "webp") == 0)
        return true;
#endif
#if !defined(QZ_HAVE_STB)
    if (strcmp(name, "webp") != 0)
        return true;
#endif
    (void)name;
    return false;
}

/* Each of the eight orientations, from memory; then the same with EXIF ignored. */
static void test_exif(void **state)
{
    (void)state;
    qz_image_options plain = QZ_IMAGE_OPTIONS_INIT;
    plain.no_exif = true;
    for (size_t i = 0; i < QZI_ARRAY_LEN(exif_goldens); i++) {
        uint8_t copy[1024];
        const size_t size = exif_goldens[i].size;
        if (is_left_out(exif_goldens[i].name))
            continue;
        assert_true(size <= sizeof(copy));
        memcpy(copy, exif_goldens[i].file, size);
        for (int orientation = 0; orientation <= 9; orientation++) {
            const int turned = orientation >= 1 && orientation <= 8 ? orientation : 1;
            copy[exif_goldens[i].at] = (uint8_t)orientation;
            qz_image image;
            ASSERT_OK(ctx, qz_image_parse(ctx, copy, size, "photo", &image));
            assert_int_equal(image.width, turned < 5 ? 7 : 5);
            assert_int_equal(image.height, turned < 5 ? 5 : 7);
            int worst = 0;
            for (int k = 0; k < 105; k++)
                worst =
                    QZI_MAX(worst, abs(image.rgb[k] - exif_goldens[i].rgb[105 * (turned - 1) + k]));
            if (worst > exif_goldens[i].tolerance)
                fail_msg("%s, orientation %d: %d from Pillow's", exif_goldens[i].name, orientation,
                         worst);
            qz_image_free(ctx, &image);
            ASSERT_OK(ctx, qz_image_parse_with(ctx, copy, size, "photo", &plain, &image));
            assert_int_equal(image.width, 7);
            qz_image_free(ctx, &image);
        }
        /* damaged in each byte of the EXIF data, it is ignored or read; never a failure */
        for (size_t at = exif_goldens[i].at - 18; at < exif_goldens[i].at + 6; at++) {
            for (int v = 0; v < 256; v += 51) {
                memcpy(copy, exif_goldens[i].file, size);
                copy[at] = (uint8_t)v;
                qz_image image;
                ASSERT_OK(ctx, qz_image_parse(ctx, copy, size, "photo", &image));
                qz_image_free(ctx, &image);
            }
        }
    }
}

static void test_parse_refused(void **state)
{
    (void)state;
    qz_image image;
    assert_int_equal(qz_image_parse(ctx, NULL, 3, "x", &image), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_parse(ctx, "abc", 3, NULL, &image), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_parse(ctx, "abc", 3, "x", NULL), QZ_ERR_ARGUMENT);
    assert_int_not_equal(qz_image_parse(ctx, "", 0, "empty", &image), QZ_OK);
    assert_memory_equal(qz_context_message(ctx), "empty: ", 7);
    assert_null(image.rgb);
#if defined(QZ_HAVE_STB)
    assert_int_equal(qz_image_parse(ctx, "abcdefghijkl", 12, "text", &image), QZ_ERR_FORMAT);
    assert_int_equal(qz_image_parse(ctx, "II*\0aaaaaaaaaaaa", 16, "t.tif", &image),
                     QZ_ERR_UNSUPPORTED);
    assert_non_null(strstr(qz_context_message(ctx), "t.tif: TIFF"));
    const int64_t before = memory.live;
    for (int64_t n = 0; counting_fail(&memory, n); n++) { /* also while the pixels are turned */
        uint8_t copy[1024];
        memcpy(copy, exif_goldens[0].file, exif_goldens[0].size);
        copy[exif_goldens[0].at] = 6;
        qz_status st = qz_image_parse(ctx, copy, exif_goldens[0].size, "photo", &image);
        if (st == QZ_OK) {
            qz_image_free(ctx, &image);
            assert_int_equal(memory.live, before);
            break;
        }
        assert_int_equal(st, QZ_ERR_MEMORY);
        assert_int_equal(memory.live, before);
    }
    memory.fail_at = -1;
#endif
}

/* A check finds truncation, rubbish and wrong checksums without decoding. */
static void test_check(void **state)
{
    (void)state;
    char path[] = "/tmp/qzoo_test_XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < QZI_ARRAY_LEN(exif_goldens); i++) {
        const size_t size = exif_goldens[i].size;
        int32_t w = 0, h = 0;
        if (is_left_out(exif_goldens[i].name))
            continue;
        assert_int_equal(pwrite(fd, exif_goldens[i].file, size, 0), (ssize_t)size);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        ASSERT_OK(ctx, qz_image_check(ctx, path, &w, &h));
        assert_int_equal(w, 7);
        assert_int_equal(h, 5);
        ASSERT_OK(ctx, qz_image_check(ctx, path, NULL, NULL));
        assert_int_equal(ftruncate(fd, (off_t)(size - 30)), 0);
        if (qz_image_check(ctx, path, &w, &h) != QZ_ERR_FORMAT)
            fail_msg("%s: truncated, and not found", exif_goldens[i].name);
    }
#if defined(QZ_HAVE_STB)
    uint8_t copy[1024];
    memcpy(copy, exif_goldens[1].file, exif_goldens[1].size);
    copy[exif_goldens[1].at - 30] ^= 1; /* the compressed pixels end before eXIf */
    assert_int_equal(pwrite(fd, copy, exif_goldens[1].size, 0), (ssize_t)exif_goldens[1].size);
    assert_int_equal(qz_image_check(ctx, path, NULL, NULL), QZ_ERR_FORMAT);
#endif
    assert_int_equal(qz_image_check(ctx, "/dev/null", NULL, NULL), QZ_ERR_IO);
    assert_int_equal(qz_image_check(ctx, NULL, NULL, NULL), QZ_ERR_ARGUMENT);
    close(fd);
    unlink(path);
}

/* A pipe without a writer is refused at once. */
static void test_no_files(void **state)
{
    (void)state;
    char folder[] = "/tmp/qzoo_test_XXXXXX", pipe[64];
    qz_image image;
    assert_non_null(mkdtemp(folder));
    snprintf(pipe, sizeof(pipe), "%s/pipe.png", folder);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(qz_image_load(ctx, pipe, &image), QZ_ERR_IO);
    assert_non_null(strstr(qz_context_message(ctx), "not a regular file"));
    assert_int_equal(qz_image_load(ctx, folder, &image), QZ_ERR_IO);
    assert_int_equal(qz_image_load(ctx, "/dev/null", &image), QZ_ERR_IO);
    unlink(pipe);
    rmdir(folder);
}

/* A session's own recipe: its run_u8 is the run of what that recipe makes of the image. */
static void test_session_recipe(void **state)
{
    (void)state;
    qz_model *model = NULL;
    qz_session *session = NULL;
    qz_model_info info;
    const qz_tensor *logits;
    uint8_t rgb[40 * 30 * 3];
    for (size_t i = 0; i < sizeof(rgb); i++)
        rgb[i] = (uint8_t)(i * 31 + i / 90);
    ASSERT_OK(ctx, qz_model_create(ctx, "squeezenet1_1", NULL, &model));
    qz_model_get_info(model, &info);
    ASSERT_OK(ctx, qz_session_create(model, NULL, &session));
    qz_preprocess r = info.preprocess;
    r.std[0] = 0.0f;
    assert_int_equal(qz_session_set_preprocess(session, &r), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_session_set_preprocess(session, NULL), QZ_ERR_ARGUMENT);
    r = (qz_preprocess){.crop_h = 48,
                        .crop_w = 40,
                        .mean = {0.5f, 0.25f, 0.0f},
                        .std = {1.0f, 0.5f, 0.25f},
                        .resize_h = 50,
                        .resize_w = 44,
                        .interpolation = QZ_INTERPOLATION_NEAREST,
                        .bgr = true};
    ASSERT_OK(ctx, qz_session_set_preprocess(session, &r));
    ASSERT_OK(ctx, qz_session_run_u8(session, rgb, 40, 30, 120));
    ASSERT_OK(ctx, qz_session_output(session, 0, NULL, &logits));
    const size_t bytes = (size_t)qz_tensor_numel(logits) * sizeof(float);
    void *first = malloc(bytes), *data = malloc(sizeof(float) * 3 * 48 * 40);
    memcpy(first, logits->data, bytes);
    ASSERT_OK(ctx, qz_image_preprocess(ctx, rgb, 40, 30, 120, &r, data));
    const qz_tensor image = {QZ_F32, 4, {1, 3, 48, 40}, data};
    ASSERT_OK(ctx, qz_session_run(session, &image));
    ASSERT_OK(ctx, qz_session_output(session, 0, NULL, &logits));
    assert_memory_equal(first, logits->data, bytes);
    qz_model_info after;
    qz_model_get_info(model, &after);
    assert_memory_equal(&after.preprocess, &info.preprocess, sizeof(info.preprocess));
    free(first);
    free(data);
    qz_session_destroy(session);
    qz_model_destroy(model);
}

static int set_up(void **state)
{
    (void)state;
    ctx = counting_context(&memory, 0);
    return ctx ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    qz_context_destroy(ctx);
    return memory.live == 0 ? 0 : -1;
}

/* 3 x 2 samples of 4 bits, with a palette of 10, 11, 12, 13, …: colors, and indices. */
static void test_indices(void **state)
{
    static const uint8_t png[] = {
        0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44,
        0x52, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x02, 0x04, 0x03, 0x00, 0x00, 0x00, 0x6f,
        0x5a, 0x7b, 0x29, 0x00, 0x00, 0x00, 0x30, 0x50, 0x4c, 0x54, 0x45, 0x0a, 0x0b, 0x0c, 0x0d,
        0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c,
        0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b,
        0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x60,
        0x12, 0x3b, 0x16, 0x00, 0x00, 0x00, 0x01, 0x74, 0x52, 0x4e, 0x53, 0x00, 0x40, 0xe6, 0xd8,
        0x66, 0x00, 0x00, 0x00, 0x11, 0x49, 0x44, 0x41, 0x54, 0x78, 0x01, 0x01, 0x06, 0x00, 0xf9,
        0xff, 0x00, 0x1f, 0x20, 0x00, 0x07, 0x30, 0x01, 0x5f, 0x00, 0x77, 0xf8, 0x48, 0x94, 0x61,
        0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};
    static const uint8_t indices[6] = {1, 15, 2, 0, 7, 3};
    qz_image_options o = QZ_IMAGE_OPTIONS_INIT;
    qz_image image = {0};
    (void)state;
    if (is_left_out("png"))
        skip();
    ASSERT_OK(ctx, qz_image_parse(ctx, png, sizeof(png), "mask.png", &image));
    for (int i = 0; i < 18; i++)
        assert_int_equal(image.rgb[i], 10 + 3 * indices[i / 3] + i % 3);
    qz_image_free(ctx, &image);
    o.indices = true;
    ASSERT_OK(ctx, qz_image_parse_with(ctx, png, sizeof(png), "mask.png", &o, &image));
    assert_int_equal(image.width, 3);
    assert_int_equal(image.height, 2);
    for (int i = 0; i < 18; i++)
        assert_int_equal(image.rgb[i], indices[i / 3]);
    qz_image_free(ctx, &image);

    const int64_t before = memory.live;
    qz_status st = QZ_ERR_MEMORY;
    for (int64_t n = 0; st == QZ_ERR_MEMORY && counting_fail(&memory, n); n++) {
        st = qz_image_parse_with(ctx, png, sizeof(png), "mask.png", &o, &image);
        memory.fail_at = -1;
        qz_image_free(ctx, &image);
        assert_int_equal(memory.live, before);
    }
    assert_int_equal(st, QZ_OK);
    for (size_t size = 0; size + 12 < sizeof(png); size++) { /* without its end chunk it is whole */
        st = qz_image_parse_with(ctx, png, size, "mask.png", &o, &image);
        assert_int_equal(st, QZ_ERR_FORMAT);
        assert_int_equal(memory.live, before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_indices),        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_exif),           cmocka_unit_test(test_parse_refused),
        cmocka_unit_test(test_check),          cmocka_unit_test(test_no_files),
        cmocka_unit_test(test_session_recipe),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
