/* SPDX-License-Identifier: MIT */
/*
 * test_draw.c - drawing on small images: exact pixels, and nothing outside the image, which lies
 * between pages that cannot be touched. PNG files are read back.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* MAP_ANONYMOUS */
#endif
#include "counting.h"
#include "layers/base/base.h"
#include "zoo/image/font.h"
#include "zoo/qzoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "assert_ok.h"

static qz_context *ctx;
static counting memory = COUNTING_INIT;
static const qz_color red = {255, 0, 0}, white = {255, 255, 255};

/* ---- exact pixels ---- */

/* The image as text: '#' where a pixel is not black. */
static void assert_looks(const uint8_t *rgb, int32_t width, int32_t height, const char *want)
{
    for (int32_t y = 0; y < height; y++) {
        for (int32_t x = 0; x < width; x++) {
            const uint8_t *p = rgb + (y * width + x) * 3;
            const char got = p[0] || p[1] || p[2] ? '#' : '.';
            if (got != want[y * width + x])
                fail_msg("pixel %d, %d is %c", x, y, got);
        }
    }
}

static void test_boxes(void **state)
{
    static const struct {
        float box[4];
        const char *looks;
    } cases[] = {
        {{1, 1, 6, 5},
         "........"
         ".#####.."
         ".#...#.."
         ".#...#.."
         ".#####.."
         "........"},
        {{1.4f, 0.6f, 5.6f, 5.4f},
         "........"
         ".#####.."
         ".#...#.."
         ".#...#.."
         ".#####.."
         "........"},
        {{0, 0, 8, 6},
         "########"
         "#......#"
         "#......#"
         "#......#"
         "#......#"
         "########"},
        {{-3, -3, 4, 4},
         "...#...."
         "...#...."
         "...#...."
         "####...."
         "........"
         "........"},
        {{-1e30f, 2, INFINITY, 4},
         "........"
         "........"
         "########"
         "########"
         "........"
         "........"},
        {{3, 3, 3, 3},
         "........"
         "........"
         "........"
         "...#...."
         "........"
         "........"},
        {{3, 1, 3, 5},
         "........"
         "...#...."
         "...#...."
         "...#...."
         "...#...."
         "........"},
        {{5, 1, 2, 5}, "................................................"},
        {{1, NAN, 6, 5}, "................................................"},
        {{8, 0, 12, 6}, "................................................"},
        {{-9, -9, -1, -1}, "................................................"},
    };
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(cases); i++) {
        uint8_t rgb[8 * 6 * 3] = {0};
        const float *b = cases[i].box;
        qz_draw_box(&(qz_canvas){rgb, 8, 6, 0}, b[0], b[1], b[2], b[3], red);
        assert_looks(rgb, 8, 6, cases[i].looks);
    }
}

static void test_label(void **state)
{
    (void)state;
    /* the ink of a light color is black, so letters are seen as holes */
    uint8_t rgb[16 * 14 * 3] = {0};
    qz_draw_label(&(qz_canvas){rgb, 16, 14, 0}, 1, 12, "Tg", white);
    assert_looks(rgb, 16, 14,
                 "................"
                 ".#############.."
                 ".#.....#######.."
                 ".###.#########.."
                 ".###.####..#.#.."
                 ".###.###.##..#.."
                 ".###.###.###.#.."
                 ".###.###.###.#.."
                 ".###.####....#.."
                 ".###########.#.."
                 ".########...##.."
                 ".#############.."
                 "................"
                 "................");
    /* no room above: below; no room at the right: to the left; too wide: cut */
    memset(rgb, 0, sizeof(rgb));
    qz_draw_label(&(qz_canvas){rgb, 16, 14, 0}, 14, 2, "l", white);
    assert_int_equal(rgb[(2 * 16 + 9) * 3], 255);
    assert_int_equal(rgb[(2 * 16 + 8) * 3], 0);
    assert_int_equal(rgb[(1 * 16 + 9) * 3], 0);
    memset(rgb, 0, sizeof(rgb));
    qz_draw_label(&(qz_canvas){rgb, 16, 14, 0}, 3, 12, "a long word", white);
    assert_int_equal(rgb[(1 * 16 + 0) * 3], 255);
    assert_int_equal(rgb[(1 * 16 + 15) * 3], 255);
    /* nothing to draw */
    memset(rgb, 0, sizeof(rgb));
    qz_draw_label(&(qz_canvas){rgb, 16, 14, 0}, NAN, 2, "l", white);
    qz_draw_label(&(qz_canvas){rgb, 16, 14, 0}, 2, NAN, "l", white);
    qz_draw_label(&(qz_canvas){rgb, 16, 14, 0}, 2, 2, "", white);
    qz_draw_label(&(qz_canvas){rgb, 16, 14, 0}, 2, 2, NULL, white);
    qz_draw_label(&(qz_canvas){rgb, 16, 14, 0}, 2, 300, "l", white);
    for (size_t i = 0; i < sizeof(rgb); i++)
        assert_int_equal(rgb[i], 0);
}

static void test_font(void **state)
{
    const char *text = "a\xc3\xa9\xe6\x97\xa5\xff\n~";
    const uint8_t *rows, *asked;
    const char *ask = "?";
    (void)state;
    assert_int_equal(qzi_font_count(text), 6);
    assert_int_equal(qzi_font_next(&ask, &asked), 1);
    assert_int_equal(qzi_font_next(&ask, &rows), 0);
    assert_int_equal(qzi_font_next(&text, &rows), 1);
    assert_ptr_not_equal(rows, asked);
    static const size_t lengths[] = {2, 3, 1, 1};
    for (size_t i = 0; i < QZI_ARRAY_LEN(lengths); i++) {
        assert_int_equal(qzi_font_next(&text, &rows), lengths[i]);
        assert_ptr_equal(rows, asked);
    }
    /* all glyphs differ, and none is wider than the font */
    for (char a = ' '; a <= '~'; a++) {
        const char one[2] = {a, '\0'}, *at = one;
        assert_int_equal(qzi_font_next(&at, &rows), 1);
        for (int y = 0; y < QZI_FONT_HEIGHT; y++)
            assert_true(rows[y] < 1 << QZI_FONT_WIDTH);
        for (char b = ' '; b < a; b++) {
            const char other[2] = {b, '\0'};
            at = other;
            assert_int_equal(qzi_font_next(&at, &asked), 1);
            assert_memory_not_equal(rows, asked, QZI_FONT_HEIGHT);
        }
    }
}

static void test_colors(void **state)
{
    (void)state;
    for (int32_t label = 0; label < 100; label++) {
        const qz_color a = qz_draw_color(label);
        assert_true(QZI_MAX(a.r, QZI_MAX(a.g, a.b)) >= 205);
        for (int32_t other = 0; other < label; other++) {
            const qz_color b = qz_draw_color(other);
            assert_true(a.r != b.r || a.g != b.g || a.b != b.b);
        }
    }
    const qz_color person = qz_draw_color(1), any = qz_draw_color(-1),
                   most = qz_draw_color(INT32_MAX);
    assert_int_equal(person.r << 16 | person.g << 8 | person.b, 0x2858cd);
    (void)any;
    (void)most;
    assert_int_equal(qz_draw_scale(640, 480), 2);
    assert_int_equal(qz_draw_scale(1, 1), 1);
    assert_int_equal(qz_draw_scale(-5, 0), 1);
    assert_int_equal(qz_draw_scale(INT32_MAX, INT32_MAX), 7669584);
}

static void test_masks(void **state)
{
    uint8_t rgb[2 * 2 * 3] = {10, 20, 30, 10, 20, 30, 10, 20, 30, 10, 20, 30};
    const uint8_t mask[] = {0, 1, 9, 255, 0, 9}; /* rows of two, three bytes apart */
    (void)state;
    qz_draw_mask(&(qz_canvas){rgb, 2, 2, 0}, mask, 3, red, 51);
    static const uint8_t want[] = {10, 20, 30, 59, 16, 24, 59, 16, 24, 10, 20, 30};
    assert_memory_equal(rgb, want, sizeof(want));
    qz_draw_mask(&(qz_canvas){rgb, 2, 2, 0}, mask, 3, red, 0);
    assert_memory_equal(rgb, want, sizeof(want));
    qz_draw_mask(&(qz_canvas){rgb, 2, 2, 0}, mask, 3, red, 255);
    assert_int_equal(rgb[3], 255);
    assert_int_equal(rgb[4], 0);

    /* the background and what has no class remain */
    static const uint8_t classes[] = {0, 255, 15, 15};
    uint8_t map[2 * 2 * 3];
    memset(map, 7, sizeof(map));
    qz_draw_segmentation(&(qz_canvas){map, 2, 2, 0}, classes, 0, 255);
    const qz_color color = qz_draw_color(15);
    for (int i = 0; i < 6; i++)
        assert_int_equal(map[i], 7);
    assert_int_equal(map[6], color.r);
    assert_int_equal(map[10], color.g);
    assert_int_equal(map[11], color.b);

    qz_draw_mask(&(qz_canvas){rgb, 2, 2, 0}, NULL, 0, red, 255);
    qz_draw_segmentation(&(qz_canvas){NULL, 2, 2, 0}, classes, 0, 255);
    qz_draw_box(&(qz_canvas){rgb, 0, 2, 0}, 0, 0, 1, 1, red);
    qz_draw_box(NULL, 0, 0, 1, 1, red);
}

/* ---- nothing outside the image ---- */

static float random_float(uint64_t *s, float size)
{
    static const float odd[] = {INFINITY, -INFINITY, NAN, 3e38f, -3e38f, 0.0f, -0.0f, 1e-40f};
    *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    const uint32_t r = (uint32_t)(*s >> 33);
    if (r % 11 == 0)
        return odd[r / 11 % QZI_ARRAY_LEN(odd)];
    return ((float)(r % 4096) / 1024.0f - 1.5f) * size;
}

static void draw_all(const qz_canvas *canvas, uint64_t *s, const uint8_t *mask)
{
    for (int i = 0; i < 40; i++) {
        const float w = (float)canvas->width, h = (float)canvas->height;
        const float x1 = random_float(s, w), y1 = random_float(s, h);
        const float x2 = x1 + random_float(s, w), y2 = y1 + random_float(s, h);
        const qz_color color = qz_draw_color(i);
        qz_draw_box(canvas, x1, y1, x2, y2, color);
        qz_draw_label(canvas, x1, y1, i % 2 ? "dog 0.97" : "~{|}\xe2\x82\xac", color);
    }
    qz_draw_mask(canvas, mask, 0, red, QZ_DRAW_ALPHA);
    qz_draw_segmentation(canvas, mask, 0, QZ_DRAW_ALPHA);
}

static void test_clipping(void **state)
{
    static const int32_t sizes[][2] = {{1, 1}, {1, 50}, {50, 1}, {7, 5}, {33, 20}, {300, 260}};
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), middle = 80 * page;
    uint8_t *all = mmap(NULL, middle + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t s = 1;
    (void)state;
    assert_true(all != MAP_FAILED);
    assert_int_equal(mprotect(all + page, middle, PROT_READ | PROT_WRITE), 0);
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++) {
        for (size_t gap = 0; gap <= 5; gap += 5) {
            const int32_t w = sizes[i][0], h = sizes[i][1];
            const size_t row = (size_t)w * 3, stride = row + gap;
            const size_t bytes = stride * (size_t)(h - 1) + row;
            uint8_t *mask = malloc((size_t)w * (size_t)h), *copy = malloc(bytes);
            for (size_t k = 0; k < (size_t)w * (size_t)h; k++)
                mask[k] = (uint8_t)(k * 37);
            assert_true(bytes <= middle);
            /* against the page behind, then against the page before: the same picture */
            for (int last = 0; last < 2; last++) {
                uint8_t *rgb = last ? all + page : all + page + middle - bytes;
                uint64_t seed = s;
                memset(rgb, 9, bytes);
                draw_all(&(qz_canvas){rgb, w, h, stride}, &seed, mask);
                for (size_t y = 0; y + 1 < (size_t)h; y++)
                    for (size_t k = row; k < stride; k++)
                        assert_int_equal(rgb[y * stride + k], 9);
                if (last)
                    assert_memory_equal(rgb, copy, bytes);
                memcpy(copy, rgb, bytes);
            }
            s += 77;
            free(mask);
            free(copy);
        }
    }
    munmap(all, middle + 2 * page);
}

/* ---- PNG ---- */

static void fill_noise(uint8_t *rgb, size_t bytes)
{
    uint64_t s = 5;
    for (size_t i = 0; i < bytes; i++) {
        s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        rgb[i] = i / 999 % 2 ? (uint8_t)(s >> 56) : 200;
    }
}

#if defined(QZ_HAVE_STB)
static void test_png(void **state)
{
    static const int32_t sizes[][3] = {{1, 1, 0}, {3, 2, 10}, {200, 150, 0}, {151, 149, 500}};
    char path[] = "/tmp/qzoo-test-draw-XXXXXX";
    (void)state;
    close(mkstemp(path));
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++) {
        const int32_t w = sizes[i][0], h = sizes[i][1];
        const size_t row = (size_t)w * 3, stride = sizes[i][2] ? (size_t)sizes[i][2] : row;
        uint8_t *rgb = malloc(stride * (size_t)h);
        fill_noise(rgb, stride * (size_t)h);
        ASSERT_OK(ctx, qz_image_write_png(ctx, path, rgb, w, h, (size_t)sizes[i][2]));
        qz_image back;
        ASSERT_OK(ctx, qz_image_load(ctx, path, &back));
        assert_int_equal(back.width, w);
        assert_int_equal(back.height, h);
        for (size_t y = 0; y < (size_t)h; y++)
            assert_memory_equal(back.rgb + y * row, rgb + y * stride, row);
        qz_image_free(ctx, &back);
        free(rgb);
    }
    unlink(path);
}

static void test_png_failures(void **state)
{
    uint8_t rgb[4 * 3 * 3] = {0};
    char path[] = "/tmp/qzoo-test-draw-XXXXXX";
    struct stat before, after;
    (void)state;
    close(mkstemp(path));
    assert_int_equal(qz_image_write_png(ctx, NULL, rgb, 4, 3, 0), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_write_png(ctx, path, NULL, 4, 3, 0), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_write_png(ctx, path, rgb, 0, 3, 0), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_write_png(ctx, path, rgb, 4, -3, 0), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_write_png(ctx, path, rgb, 4, 3, 11), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_write_png(ctx, path, rgb, 70000, 1, 0), QZ_ERR_ARGUMENT);
    assert_non_null(strstr(qz_context_message(ctx), path));
    assert_int_equal(qz_image_write_png(ctx, path, rgb, 60000, 60000, 0), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_image_write_png(ctx, "/nowhere/x.png", rgb, 4, 3, 0), QZ_ERR_IO);
    if (access("/dev/full", W_OK) == 0)
        assert_int_equal(qz_image_write_png(ctx, "/dev/full", rgb, 4, 3, 0), QZ_ERR_WRITE);
    /* what failed left the file as it was */
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(before.st_size, 0);
    const int64_t live = memory.live;
    int64_t n = 0;
    for (qz_status st = QZ_ERR_MEMORY; st != QZ_OK && counting_fail(&memory, n); n++) {
        st = qz_image_write_png(ctx, path, rgb, 3, 3, 12); /* rows are copied, too */
        assert_true(st == QZ_OK || st == QZ_ERR_MEMORY);
        assert_int_equal(stat(path, &after), 0);
        assert_int_equal(after.st_size == 0, st != QZ_OK);
        assert_int_equal(memory.live, live);
    }
    memory.fail_at = -1;
    assert_true(n > 5);
    unlink(path);
}
#else
static void test_png(void **state)
{
    uint8_t rgb[3] = {0};
    (void)state;
    fill_noise(rgb, sizeof(rgb));
    assert_int_equal(qz_image_write_png(ctx, "x.png", rgb, 1, 1, 0), QZ_ERR_UNSUPPORTED);
    assert_true(access("x.png", F_OK) != 0);
}

static void test_png_failures(void **state)
{
    (void)state;
    assert_int_equal(qz_image_write_png(ctx, NULL, NULL, 1, 1, 0), QZ_ERR_ARGUMENT);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boxes), cmocka_unit_test(test_label),
        cmocka_unit_test(test_font),  cmocka_unit_test(test_colors),
        cmocka_unit_test(test_masks), cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_png),   cmocka_unit_test(test_png_failures),
    };
    ctx = counting_context(&memory, 1);
    if (!ctx)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    qz_context_destroy(ctx);
    return failed || memory.live != 0;
}
