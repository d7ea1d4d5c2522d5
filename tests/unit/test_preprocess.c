/* SPDX-License-Identifier: MIT */
/*
 * test_preprocess.c - reading images, resizing, the preprocessing recipe, class names. What is
 * expected was computed by Pillow and torchvision (gen/preprocess_goldens.py).
 */
#include "assert_ok.h"
#include "counting.h"
#include "layers/base/base.h"
#include "zoo/qzoo_model.h"

#include <fenv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "preprocess_goldens.inc"

static qz_context *ctx;
static counting memory = COUNTING_INIT;

static char folder[] = "/tmp/qzoo_test_XXXXXX";
static char file_path[sizeof(folder) + 16];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(file_path, sizeof(file_path), "%s/image", folder);
    ctx = counting_context(&memory, 0);
    return ctx ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(file_path);
    rmdir(folder);
    qz_context_destroy(ctx);
    return memory.live == 0 ? 0 : -1;
}

/* The generator's pixels, rows `stride` bytes apart with rubbish between. */
static uint8_t *make_pixels(int32_t w, int32_t h, uint64_t seed, size_t stride)
{
    uint8_t *rgb = malloc(stride * (size_t)h);
    assert_non_null(rgb);
    memset(rgb, 0x5c, stride * (size_t)h);
    uint64_t s = seed;
    for (int32_t y = 0; y < h; y++) {
        for (int32_t x = 0; x < w * 3; x++) {
            s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            uint8_t b = (uint8_t)(s >> 56);
            rgb[(size_t)y * stride + (size_t)x] = (seed & 1) == 0 ? b : b > 127 ? 255 : 0;
        }
    }
    return rgb;
}

/* ---- resize ---- */

static void test_resize(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(resize_goldens); i++) {
        int32_t w = resize_goldens[i].w, h = resize_goldens[i].h;
        int32_t out_w = resize_goldens[i].out_w, out_h = resize_goldens[i].out_h;
        size_t bytes = (size_t)out_w * (size_t)out_h * 3;
        uint8_t *out = malloc(bytes);
        for (size_t padding = 0; padding <= 5; padding += 5) {
            size_t stride = (size_t)w * 3 + padding;
            uint8_t *rgb = make_pixels(w, h, resize_goldens[i].seed, stride);
            fesetround(padding == 0 ? FE_TONEAREST
                                    : FE_UPWARD); /* the caller's mode is no matter */
            qz_status st = qz_image_resize(ctx, rgb, w, h, stride, out_w, out_h,
                                           resize_goldens[i].interpolation, out);
            fesetround(FE_TONEAREST);
            assert_int_equal(st, QZ_OK);
            if (qzi_fnv1a(out, bytes, QZI_FNV_OFFSET) != resize_goldens[i].hash)
                fail_msg("resize %dx%d to %dx%d differs from Pillow's", w, h, out_w, out_h);
            free(rgb);
        }
        free(out);
    }
}

#define BILINEAR QZ_INTERPOLATION_BILINEAR

/*
 * Narrow images of every width, where vectors must not read beyond a row: the bytes of the
 * reference. Pixels end where their memory ends, so that a sanitizer sees a load that is too long.
 */
static void test_resize_narrow(void **state)
{
    static const int32_t outs[] = {1, 2, 3, 5, 8, 13, 37, 64};
    qz_context *ref = NULL, *best = NULL;
    (void)state;
    ASSERT_OK(NULL, qz_context_create(NULL, &best));
    qz_context_options slow = QZ_CONTEXT_OPTIONS_INIT;
    slow.isa = QZ_ISA_REF;
    ASSERT_OK(NULL, qz_context_create(&slow, &ref));
    for (int32_t w = 1; w <= 67; w++)
        for (size_t i = 0; i < QZI_ARRAY_LEN(outs); i++)
            for (int kind = 0; kind < 2; kind++) {
                const qz_interpolation filter = kind ? QZ_INTERPOLATION_BICUBIC : BILINEAR;
                const size_t stride = (size_t)w * 3, bytes = (size_t)outs[i] * 7 * 3;
                uint8_t *rgb = make_pixels(w, 5, (uint64_t)(w * 11 + kind), stride);
                uint8_t *a = malloc(bytes), *b = malloc(bytes);
                ASSERT_OK(ref, qz_image_resize(ref, rgb, w, 5, stride, outs[i], 7, filter, a));
                ASSERT_OK(best, qz_image_resize(best, rgb, w, 5, stride, outs[i], 7, filter, b));
                if (memcmp(a, b, bytes) != 0)
                    fail_msg("resize of %d columns to %d differs from ref", w, outs[i]);
                free(a);
                free(b);
                free(rgb);
            }
    qz_context_destroy(ref);
    qz_context_destroy(best);
}

static void test_resize_errors(void **state)
{
    (void)state;
    uint8_t rgb[12] = {0}, out[3];
    assert_int_equal(qz_image_resize(ctx, NULL, 2, 2, 6, 1, 1, BILINEAR, out), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_resize(ctx, rgb, 0, 2, 6, 1, 1, BILINEAR, out), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_resize(ctx, rgb, 2, -1, 6, 1, 1, BILINEAR, out), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_resize(ctx, rgb, 2, 2, 5, 1, 1, BILINEAR, out), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_resize(ctx, rgb, INT32_MAX, 1, 6, 1, 1, BILINEAR, out),
                     QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_resize(ctx, rgb, 2, 2, 6, 0, 1, BILINEAR, out), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_resize(ctx, rgb, 2, 2, 6, 1, 1, BILINEAR, NULL), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_resize(ctx, rgb, 2, 2, 6, 1, 1, QZ_INTERPOLATION_COUNT, out),
                     QZ_ERR_ARGUMENT);
    int64_t before = memory.live;
    for (int64_t n = 0; counting_fail(&memory, n); n++) {
        qz_status st = qz_image_resize(ctx, rgb, 2, 2, 6, 1, 1, BILINEAR, out);
        assert_int_equal(memory.live, before);
        if (st == QZ_OK)
            break;
        assert_int_equal(st, QZ_ERR_MEMORY);
    }
    memory.fail_at = -1;
}

/* ---- the recipe ---- */

static const qz_preprocess imagenet = {
    256, 224, 224, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}, BILINEAR, 0, 0, false};

static void test_preprocess(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(preprocess_goldens); i++) {
        qz_preprocess recipe = imagenet;
        recipe.resize = preprocess_goldens[i].resize;
        recipe.crop_h = preprocess_goldens[i].crop_h;
        recipe.crop_w = preprocess_goldens[i].crop_w;
        recipe.interpolation = preprocess_goldens[i].interpolation;
        int32_t w = preprocess_goldens[i].w, h = preprocess_goldens[i].h;
        size_t count = (size_t)recipe.crop_h * (size_t)recipe.crop_w * 3;
        float *out = malloc(count * sizeof(*out));
        size_t stride = (size_t)w * 3 + 1;
        uint8_t *rgb = make_pixels(w, h, preprocess_goldens[i].seed, stride);
        fesetround(FE_DOWNWARD);
        qz_status st = qz_image_preprocess(ctx, rgb, w, h, stride, &recipe, out);
        fesetround(FE_TONEAREST);
        assert_int_equal(st, QZ_OK);
        if (qzi_fnv1a_numbers(out, count, sizeof(*out), QZI_FNV_OFFSET) !=
            preprocess_goldens[i].hash)
            fail_msg("preprocessing %dx%d by %d, %dx%d differs from torchvision's", w, h,
                     recipe.resize, recipe.crop_h, recipe.crop_w);
        free(rgb);
        free(out);
    }
}

/* Without resizing, and an image that would be 16 million pixels long. */
static void test_preprocess_shapes(void **state)
{
    (void)state;
    qz_preprocess recipe = {0, 2, 4, {0.0f, 0.0f, 0.0f}, {1.0f, 1.0f, 1.0f}, BILINEAR, 0, 0, false};
    const uint8_t rgb[] = {0, 51, 102, 255, 0, 0, 255, 255, 255}; /* three pixels upright */
    float out[24];
    assert_int_equal(qz_image_preprocess(ctx, rgb, 1, 3, 3, &recipe, out), QZ_OK);
    /* rows 0 and 1: round half to even of (3 - 2) / 2; one pixel of margin at the left */
    const float want[24] = {0, 0,    0, 0, 0, 1, 0, 0, /* red */
                            0, 0.2f, 0, 0, 0, 0, 0, 0, /* green */
                            0, 0.4f, 0, 0, 0, 0, 0, 0};
    assert_memory_equal(out, want, sizeof(want));

    uint8_t *line = make_pixels(1, 65535, 4, 3);
    recipe = imagenet;
    float *big = malloc(sizeof(float) * 3 * 224 * 224);
    assert_int_equal(qz_image_preprocess(ctx, line, 1, 65535, 3, &recipe, big), QZ_OK);
    assert_int_equal(qz_image_preprocess(ctx, line, 65535, 1, 65535 * 3, &recipe, big), QZ_OK);
    free(big);
    free(line);
}

static void test_preprocess_errors(void **state)
{
    (void)state;
    uint8_t rgb[12] = {0};
    float out[3];
    qz_preprocess recipe = {2, 1, 1, {0.0f, 0.0f, 0.0f}, {1.0f, 1.0f, 1.0f}, BILINEAR, 0, 0, false};
    assert_int_equal(qz_image_preprocess(ctx, rgb, 2, 2, 6, &recipe, NULL), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_preprocess(ctx, rgb, 2, 2, 6, NULL, out), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_preprocess(ctx, rgb, 2, 2, 4, &recipe, out), QZ_ERR_ARGUMENT);
    recipe.std[1] = 0.0f;
    assert_int_equal(qz_image_preprocess(ctx, rgb, 2, 2, 6, &recipe, out), QZ_ERR_ARGUMENT);
    recipe.std[1] = 1.0f;
    recipe.resize = -1;
    assert_int_equal(qz_image_preprocess(ctx, rgb, 2, 2, 6, &recipe, out), QZ_ERR_ARGUMENT);
    recipe.resize = 2;
    recipe.crop_w = 0;
    assert_int_equal(qz_image_preprocess(ctx, rgb, 2, 2, 6, &recipe, out), QZ_ERR_ARGUMENT);
    recipe.crop_w = 1;
    int64_t before = memory.live;
    for (int64_t n = 0; counting_fail(&memory, n); n++) {
        qz_status st = qz_image_preprocess(ctx, rgb, 2, 2, 6, &recipe, out);
        assert_int_equal(memory.live, before);
        if (st == QZ_OK)
            break;
        assert_int_equal(st, QZ_ERR_MEMORY);
    }
    memory.fail_at = -1;
}

/* ---- image files ---- */

static void write_file(const void *data, size_t size)
{
    unlink(file_path); /* some file systems flush a file that is cut to nothing */
    FILE *file = fopen(file_path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

#if defined(QZ_HAVE_STB)
static void expect_status(qz_status want)
{
    int64_t before = memory.live;
    qz_image image;
    qz_status st = qz_image_load(ctx, file_path, &image);
    if (st != want)
        fail_msg("%s, not %s: %s", qz_status_name(st), qz_status_name(want),
                 qz_context_message(ctx));
    assert_null(image.rgb);
    assert_int_equal(memory.live, before);
    assert_ptr_equal(strstr(qz_context_message(ctx), file_path), qz_context_message(ctx));
}

static void test_image_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(image_goldens); i++) {
        write_file(image_goldens[i].file, image_goldens[i].size);
        qz_image image;
        qz_status st = qz_image_load(ctx, file_path, &image);
        if (st != QZ_OK)
            fail_msg("%s: %s", image_goldens[i].name, qz_context_message(ctx));
        assert_int_equal(image.width, image_goldens[i].w);
        assert_int_equal(image.height, image_goldens[i].h);
        int worst = 0;
        for (int32_t k = 0; k < image.width * image.height * 3; k++)
            worst = QZI_MAX(worst, abs(image.rgb[k] - image_goldens[i].rgb[k]));
        if (worst > 0)
            print_message("%s: up to %d from Pillow's\n", image_goldens[i].name, worst);
        if (worst > image_goldens[i].tolerance)
            fail_msg("%s: up to %d from Pillow's pixels", image_goldens[i].name, worst);
        qz_image_free(ctx, &image);
        assert_null(image.rgb);
    }
    qz_image_free(ctx, NULL);
}

/* Cut anywhere, a file is refused or gives an image of its size; what is cut off early is seen. */
static void test_image_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(image_goldens); i++) {
        for (size_t size = 0; size < image_goldens[i].size; size++) {
            write_file(image_goldens[i].file, size);
            int64_t before = memory.live;
            qz_image image;
            qz_status st = qz_image_load(ctx, file_path, &image);
            if (st == QZ_OK && size + 13 < image_goldens[i].size) /* IEND of a PNG, row padding */
                fail_msg("%s cut to %zu bytes was taken", image_goldens[i].name, size);
            if (st == QZ_OK)
                qz_image_free(ctx, &image);
            else
                assert_int_equal(st, QZ_ERR_FORMAT);
            assert_int_equal(memory.live, before);
        }
    }
}

static void test_image_damaged(void **state)
{
    (void)state;
    uint8_t copy[4096];
    uint64_t s = 1;
    for (size_t i = 0; i < QZI_ARRAY_LEN(image_goldens); i++) {
        size_t size = image_goldens[i].size;
        assert_true(size <= sizeof(copy));
        for (int round = 0; round < 300; round++) {
            memcpy(copy, image_goldens[i].file, size);
            for (int k = 0; k < 1 + round % 4; k++) {
                s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                copy[(s >> 33) % size] = (uint8_t)(s >> 56);
            }
            write_file(copy, size);
            int64_t before = memory.live;
            qz_image image;
            qz_status st = qz_image_load(ctx, file_path, &image);
            if (st == QZ_OK)
                qz_image_free(ctx, &image);
            else
                assert_true(st == QZ_ERR_FORMAT || st == QZ_ERR_MEMORY);
            assert_int_equal(memory.live, before);
        }
    }
}

static void test_image_hostile(void **state)
{
    (void)state;
    qz_image image;
    assert_int_equal(qz_image_load(ctx, "/nonexistent/x.png", &image), QZ_ERR_IO);
    assert_non_null(strstr(qz_context_message(ctx), "/nonexistent/x.png"));
    assert_int_equal(qz_image_load(ctx, folder, &image), QZ_ERR_IO);
    assert_int_equal(qz_image_load(ctx, NULL, &image), QZ_ERR_ARGUMENT);
    write_file("", 0);
    expect_status(QZ_ERR_FORMAT);
    static const char text[] = "file,class_index\na.png,1\n";
    write_file(text, sizeof(text) - 1);
    expect_status(QZ_ERR_FORMAT);

    /* a PNG of 65535 x 65535, of 0 x 4 and of 70000 x 1: refused before anything is decoded */
    uint8_t png[4096];
    memcpy(png, image_goldens[0].file, image_goldens[0].size);
    static const uint8_t sizes[][8] = {{0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff},
                                       {0, 0, 0, 0, 0, 0, 0, 4},
                                       {0, 1, 0x11, 0x70, 0, 0, 0, 1}};
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++) {
        memcpy(png + 16, sizes[i], 8);
        write_file(png, image_goldens[0].size);
        expect_status(QZ_ERR_FORMAT);
    }

    /* a JPEG of 8192 x 8192 in 300 bytes: a block needs a bit at least */
    uint8_t small[4096];
    for (size_t i = 0; i < QZI_ARRAY_LEN(image_goldens); i++) {
        if (strncmp(image_goldens[i].name, "jpeg", 4) != 0)
            continue;
        size_t size = image_goldens[i].size;
        memcpy(small, image_goldens[i].file, size);
        for (size_t k = 2; k + 9 < size; k++) {
            if (small[k] == 0xff && (small[k + 1] == 0xc0 || small[k + 1] == 0xc2))
                memcpy(small + k + 5, "\x20\x00\x20\x00", 4);
        }
        write_file(small, size);
        expect_status(QZ_ERR_FORMAT);
        assert_non_null(strstr(qz_context_message(ctx), "truncated"));
    }

    /* a JPEG of 8192 x 8192 with more scans than any encoder makes */
    static uint8_t jpeg[150000];
    memcpy(jpeg, "\xff\xd8\xff\xc2\x00\x0b\x08\x20\x00\x20\x00\x01\x01\x11\x00", 15);
    size_t n = 15;
    while (n + 12 < sizeof(jpeg)) {
        memcpy(jpeg + n, "\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00", 10);
        n += 10;
    }
    memcpy(jpeg + n, "\xff\xd9", 2);
    write_file(jpeg, n + 2);
    expect_status(QZ_ERR_FORMAT);
    assert_non_null(strstr(qz_context_message(ctx), "scans"));
}

static void test_image_out_of_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(image_goldens); i++) {
        write_file(image_goldens[i].file, image_goldens[i].size);
        int64_t before = memory.live;
        for (int64_t n = 0; counting_fail(&memory, n); n++) {
            qz_image image;
            qz_status st = qz_image_load(ctx, file_path, &image);
            memory.fail_at = -1;
            if (st == QZ_OK) {
                qz_image_free(ctx, &image);
                break;
            }
            assert_int_equal(memory.live, before);
            assert_int_equal(st, QZ_ERR_MEMORY);
        }
        assert_int_equal(memory.live, before);
    }
}
#else
static void test_image_unsupported(void **state)
{
    (void)state;
    write_file(image_goldens[0].file, image_goldens[0].size);
    qz_image image;
    assert_int_equal(qz_image_load(ctx, file_path, &image), QZ_ERR_UNSUPPORTED);
    assert_null(image.rgb);
}
#endif

/* ---- class names ---- */

static void test_class_names(void **state)
{
    (void)state;
    assert_string_equal(qz_imagenet_class(0), "tench");
    assert_string_equal(qz_imagenet_class(207), "golden retriever");
    assert_string_equal(qz_imagenet_class(999), "toilet tissue");
    assert_null(qz_imagenet_class(-1));
    assert_null(qz_imagenet_class(1000));
    assert_string_equal(qz_coco_class(18), "dog");
    assert_string_equal(qz_coco_class(90), "toothbrush");
    assert_null(qz_coco_class(-1));
    assert_null(qz_coco_class(91));
    assert_string_equal(qz_coco80_class(0), "person");
    assert_string_equal(qz_coco80_class(16), "dog");
    assert_string_equal(qz_coco80_class(79), "toothbrush");
    assert_null(qz_coco80_class(-1));
    assert_null(qz_coco80_class(80));
    assert_string_equal(qz_voc_class(0), "__background__");
    assert_string_equal(qz_voc_class(20), "tvmonitor");
    assert_null(qz_voc_class(-1));
    assert_null(qz_voc_class(21));
    uint64_t hash = QZI_FNV_OFFSET;
    for (int32_t i = 0; i < 1000; i++)
        hash = qzi_fnv1a(qz_imagenet_class(i), strlen(qz_imagenet_class(i)) + 1, hash);
    assert_true(hash == class_names_hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_resize_narrow),
        cmocka_unit_test(test_resize_errors),
        cmocka_unit_test(test_preprocess),
        cmocka_unit_test(test_preprocess_shapes),
        cmocka_unit_test(test_preprocess_errors),
#if defined(QZ_HAVE_STB)
        cmocka_unit_test(test_image_kinds),
        cmocka_unit_test(test_image_cut),
        cmocka_unit_test(test_image_damaged),
        cmocka_unit_test(test_image_hostile),
        cmocka_unit_test(test_image_out_of_memory),
#else
        cmocka_unit_test(test_image_unsupported),
#endif
        cmocka_unit_test(test_class_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
