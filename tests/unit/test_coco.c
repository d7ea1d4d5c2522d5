/* SPDX-License-Identifier: MIT */
/*
 * test_coco.c - masks, matching and average precision: pycocotools' numbers on the oracle folder's
 * set, masks that it made of polygons, and what damaged files lead to.
 */
#include "assert_ok.h"
#include "counting.h"
#include "zoo/eval/coco_match.h"
#include "zoo/qzoo_coco.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#ifdef QZ_HAVE_COCO
#include <jansson.h>
#endif

static counting memory = COUNTING_INIT;
static qz_context *ctx;

static int setup(void **state)
{
    (void)state;
    ctx = counting_context(&memory, 1);
    return ctx ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    qz_context_destroy(ctx);
    return memory.live == 0 ? 0 : -1;
}

/* ---- masks ---- */

/* Runs of pycocotools' decoded mask; -1 ends them. */
typedef struct polygon_case {
    int32_t width, height;
    size_t points;
    double xy[12];
    int runs[20];
} polygon_case;

static const polygon_case polygons[] = {
    {10, 8, 4, {1, 1, 8, 1, 8, 6, 1, 6}, {9, 5, 3, 5, 3, 5, 3, 5, 3, 5, 3, 5, 3, 5, 18, -1}},
    {10,
     8,
     3,
     {0.5, 0.5, 9.5, 3.2, 4.1, 7.9},
     {9, 1, 7, 3, 5, 5, 4, 6, 2, 5, 3, 4, 5, 2, 6, 1, 12, -1}},
    {6, 6, 3, {-3, -3, 9, 2, 2, 9}, {0, 5, 1, 24, 1, 4, 1, -1}},
    {5, 4, 4, {0, 0, 5, 0, 5, 4, 0, 4}, {0, 20, -1}},
    {7, 5, 5, {1, 1, 1, 1, 5, 1, 5, 4, 1, 1}, {11, 1, 4, 2, 3, 3, 11, -1}},
    {6, 6, 4, {0, 0, 6, 6, 6, 0, 0, 6}, {0, 5, 2, 3, 4, 1, 5, 1, 4, 3, 2, 5, 1, -1}},
    {8, 3, 3, {1.1, 0.2, 1.3, 2.9, 1.2, 1.5}, {24, -1}},
};

static void test_polygons(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(polygons); i++) {
        const polygon_case *p = &polygons[i];
        const uint32_t pixels = (uint32_t)(p->width * p->height);
        qzi_coco_runs runs = {.ctx = ctx, .pixels = pixels};
        qzi_coco_mask mask;
        qz_status st = QZ_OK;
        uint64_t area = 0;
        for (size_t k = 0; p->runs[k] >= 0; k++) {
            assert_true(qzi_coco_runs_add(&runs, (uint64_t)p->runs[k], &st));
            area += k % 2 ? (uint64_t)p->runs[k] : 0;
        }
        ASSERT_OK(ctx, st);
        ASSERT_OK(ctx, qzi_coco_mask_of_polygon(ctx, p->xy, p->points, p->width, p->height, &mask));
        assert_int_equal(runs.at, pixels);
        assert_int_equal(mask.count, runs.mask.count);
        assert_memory_equal(mask.flips, runs.mask.flips, mask.count * sizeof(*mask.flips));
        assert_int_equal(qzi_coco_mask_area(&mask, pixels), area);
        assert_int_equal(qzi_coco_mask_common(&mask, &runs.mask, pixels), area);
        /* with itself it is itself */
        ASSERT_OK(ctx, qzi_coco_mask_join(ctx, &mask, &runs.mask));
        assert_int_equal(qzi_coco_mask_area(&mask, pixels), area);
        qzi_coco_mask_free(ctx, &mask);
    }
}

static void test_run_text(void **state)
{
    (void)state;
    /* the second and third polygon's */
    static const struct {
        const char *text;
        size_t polygon;
    } good[] = {{"9172N2O1NO1O2N1O6", 1}, {"051c00\\O0", 2}, {"052N2N10O2N2O", 5}};
    static const char *const bad[] = {"9172N2O1NO1O2N1O9", "\x7f", "P", "/", "ooooooooooo0", "1O"};
    for (size_t i = 0; i < QZI_ARRAY_LEN(good); i++) {
        const polygon_case *p = &polygons[good[i].polygon];
        qzi_coco_runs runs = {.ctx = ctx, .pixels = (uint32_t)(p->width * p->height)};
        qzi_coco_mask mask;
        qz_status st = QZ_OK;
        assert_null(qzi_coco_runs_of_text(&runs, good[i].text, &st));
        ASSERT_OK(ctx, st);
        assert_int_equal(runs.at, runs.pixels);
        ASSERT_OK(ctx, qzi_coco_mask_of_polygon(ctx, p->xy, p->points, p->width, p->height, &mask));
        assert_int_equal(mask.count, runs.mask.count);
        assert_memory_equal(mask.flips, runs.mask.flips, mask.count * sizeof(*mask.flips));
        qzi_coco_mask_free(ctx, &mask);
        qzi_coco_mask_free(ctx, &runs.mask);
    }
    for (size_t i = 0; i < QZI_ARRAY_LEN(bad); i++) {
        qzi_coco_runs runs = {.ctx = ctx, .pixels = 80};
        qz_status st = QZ_OK;
        assert_non_null(qzi_coco_runs_of_text(&runs, bad[i], &st));
        qzi_coco_mask_free(ctx, &runs.mask);
    }
}

static void test_bytes(void **state)
{
    static const uint8_t rows[2 * 3] = {1, 0, 255, 1, 0, 0};
    static const uint32_t flips[] = {0, 2, 4, 5};
    qzi_coco_mask mask;
    (void)state;
    ASSERT_OK(ctx, qzi_coco_mask_of_bytes(ctx, rows, 3, 2, &mask));
    assert_int_equal(mask.count, 4);
    assert_memory_equal(mask.flips, flips, sizeof(flips));
    assert_int_equal(qzi_coco_mask_area(&mask, 6), 3);
    qzi_coco_mask_free(ctx, &mask);
}

/* ---- numbers of what a program adds ---- */

static void add_truth(qz_coco **coco)
{
    ASSERT_OK(ctx, qz_coco_create(ctx, "made", coco));
    ASSERT_OK(ctx, qz_coco_add_category(*coco, 3, "cat"));
    ASSERT_OK(ctx, qz_coco_add_category(*coco, 1, "dog"));
    for (int64_t i = 1; i <= 3; i++)
        ASSERT_OK(ctx, qz_coco_add_image(*coco, &(qz_coco_image){i, "x.jpg", 100, 80}));
    ASSERT_OK(ctx, qz_coco_add_object(*coco, 1, 3, (const double[]){10, 10, 20, 20}));
    ASSERT_OK(ctx, qz_coco_add_object(*coco, 2, 3, (const double[]){10, 10, 50, 50}));
}

static void test_score(void **state)
{
    qz_coco *coco;
    qz_coco_results *results;
    qz_coco_scores scores;
    double each[2][2];
    (void)state;
    add_truth(&coco);
    assert_int_equal(qz_coco_image_count(coco), 3);
    assert_string_equal(qz_coco_category_at(coco, 1)->name, "dog");
    assert_null(qz_coco_category_at(coco, 2));
    ASSERT_OK(ctx, qz_coco_results_create(coco, &results));
    const qz_coco_detection found[] = {
        {.category = 3, .score = .9, .box = {10, 10, 20, 20}},
        {.category = 77, .score = .9, .box = {10, 10, 20, 20}}, /* unknown: left out */
    };
    ASSERT_OK(ctx, qz_coco_results_add(results, 1, found, 2));
    ASSERT_OK(ctx, qz_coco_score(results, &scores, each));
    /* only the image that was looked at counts */
    assert_int_equal(scores.images, 1);
    assert_true(scores.has_bbox && !scores.has_segm);
    assert_true(fabs(scores.bbox[0] - 1) < 1e-12 && fabs(scores.bbox[3] - 1) < 1e-12);
    assert_true(isnan(scores.bbox[5])); /* no large object */
    ASSERT_OK(ctx, qz_coco_results_add(results, 2, NULL, 0));
    ASSERT_OK(ctx, qz_coco_score(results, &scores, each));
    assert_int_equal(scores.images, 2);
    assert_true(fabs(scores.bbox[0] - 51.0 / 101) < 1e-12 && fabs(scores.bbox[8] - .5) < 1e-12);
    assert_true(fabs(each[0][0] - 51.0 / 101) < 1e-12 && isnan(each[1][0]) && isnan(each[0][1]));
    ASSERT_OK(ctx, qz_coco_results_add(results, 2, found, 1)); /* no object is there */
    qz_coco_results_drop(results, 2);
    qz_coco_results_drop(results, 9);
    ASSERT_OK(ctx, qz_coco_score(results, &scores, each));
    assert_true(scores.images == 1 && fabs(scores.bbox[0] - 1) < 1e-12);
    assert_int_equal(qz_coco_results_add(results, 2, NULL, 0), QZ_ERR_ARGUMENT);
    assert_false(qz_coco_has_masks(coco));
    assert_int_equal(qz_coco_results_add(results, 9, NULL, 0), QZ_ERR_ARGUMENT);
    const qz_coco_detection wrong = {.category = 3, .score = (double)NAN};
    assert_int_equal(qz_coco_results_add(results, 3, &wrong, 1), QZ_ERR_ARGUMENT);
    qz_coco_results_destroy(results);
    assert_int_equal(qz_coco_add_object(coco, 9, 3, (const double[]){1, 1, 1, 1}), QZ_ERR_FORMAT);
    assert_int_equal(qz_coco_add_object(coco, 1, 9, (const double[]){1, 1, 1, 1}), QZ_ERR_FORMAT);
    assert_int_equal(qz_coco_add_object(coco, 1, 3, (const double[]){1, 1, -1, 1}), QZ_ERR_FORMAT);
    assert_int_equal(qz_coco_add_object(coco, 1, 3, (const double[]){101, 1, 1, 1}), QZ_ERR_FORMAT);
    ASSERT_OK(ctx, qz_coco_add_category(coco, 3, "again"));
    assert_int_equal(qz_coco_results_create(coco, &results), QZ_ERR_FORMAT);
    qz_coco_close(coco);
    assert_string_equal(qz_coco_metric_name(11), "ARlarge");
    assert_null(qz_coco_metric_name(12));
}

static void test_empty(void **state)
{
    qz_coco *coco;
    qz_coco_results *results;
    qz_coco_scores scores;
    (void)state;
    add_truth(&coco);
    ASSERT_OK(ctx, qz_coco_results_create(coco, &results));
    ASSERT_OK(ctx, qz_coco_score(results, &scores, NULL));
    assert_true(isnan(scores.bbox[0])); /* no image counts */
    for (int64_t i = 1; i <= 3; i++)
        ASSERT_OK(ctx, qz_coco_results_add(results, i, NULL, 0));
    ASSERT_OK(ctx, qz_coco_score(results, &scores, NULL));
    assert_true(scores.has_bbox && scores.bbox[0] == 0 && scores.bbox[8] == 0);
    qz_coco_results_destroy(results);
    qz_coco_close(coco);
}

static void test_box_iou(void **state)
{
    const double a[4] = {0, 0, 10, 10}, b[4] = {5, 0, 10, 10}, c[4] = {10, 0, 5, 5};
    (void)state;
    assert_true(qzi_coco_box_iou(a, b, false) == 50.0 / 150);
    assert_true(qzi_coco_box_iou(a, b, true) == .5);
    assert_true(qzi_coco_box_iou(a, c, false) == 0); /* they touch */
}

/* ---- files ---- */

#ifdef QZ_HAVE_COCO

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

/* Scores two texts as files. */
static qz_status score_texts(const char *truth, const char *found, qz_coco_scores *scores)
{
    char names[2][64];
    qz_coco *coco = NULL;
    qz_coco_results *results = NULL;
    snprintf(names[0], 64, "/tmp/qzoo_coco_%ld_gt.json", (long)getpid());
    snprintf(names[1], 64, "/tmp/qzoo_coco_%ld_dt.json", (long)getpid());
    write_file(names[0], truth);
    write_file(names[1], found);
    qz_status st = qz_coco_open(ctx, names[0], &coco);
    if (st == QZ_OK)
        st = qz_coco_results_create(coco, &results);
    if (st == QZ_OK)
        st = qz_coco_results_read(results, names[1]);
    if (st == QZ_OK)
        st = qz_coco_score(results, scores, NULL);
    qz_coco_results_destroy(results);
    qz_coco_close(coco);
    unlink(names[0]);
    unlink(names[1]);
    return st;
}

#define IMAGES "\"images\":[{\"id\":7,\"width\":20,\"height\":10,\"file_name\":\"a.jpg\"}]"
#define CATEGORIES "\"categories\":[{\"id\":1,\"name\":\"cat\"}]"
#define TRUTH(objects) "{" IMAGES "," CATEGORIES ",\"annotations\":[" objects "]}"
#define OBJECT(more) \
    "{\"id\":1,\"image_id\":7,\"category_id\":1,\"bbox\":[1,1,5,5],\"area\":25" more "}"
#define FOUND(more) "[{\"image_id\":7,\"category_id\":1,\"score\":0.5" more "}]"
#define BOX ",\"bbox\":[1,1,5,5]"
#define SEGM(text) ",\"segmentation\":" text

static void test_files(void **state)
{
    static const char truth[] = TRUTH(OBJECT(SEGM("[[1,1,6,1,6,6,1,6]]")));
    qz_coco_scores s;
    (void)state;
    ASSERT_OK(ctx, score_texts(truth, FOUND(BOX), &s));
    assert_true(s.has_bbox && !s.has_segm && fabs(s.bbox[0] - 1) < 1e-12 && s.images == 1);
    ASSERT_OK(ctx, score_texts(truth, FOUND(SEGM("[[1,1,6,1,6,6,1,6]]")), &s));
    assert_true(!s.has_bbox && s.has_segm && fabs(s.segm[0] - 1) < 1e-12);
    ASSERT_OK(ctx,
              score_texts(truth, FOUND(BOX SEGM("{\"size\":[10,20],\"counts\":[0,200]}")), &s));
    assert_true(s.has_bbox && s.has_segm && s.segm[0] == 0);
    /* nothing found, and nothing to find */
    ASSERT_OK(ctx, score_texts(truth, "[]", &s));
    assert_true(s.has_bbox && s.has_segm && s.bbox[0] == 0 && s.segm[8] == 0);
    ASSERT_OK(ctx, score_texts(TRUTH(""), FOUND(BOX), &s));
    assert_true(s.has_bbox && isnan(s.bbox[0]));
    ASSERT_OK(ctx, score_texts("{\"images\":[],\"categories\":[],\"annotations\":[]}", "[]", &s));
    assert_true(isnan(s.bbox[0]) && s.images == 0);
    /* boxes need no sizes of images */
    ASSERT_OK(ctx, score_texts("{\"images\":[{\"id\":7.0}]," CATEGORIES
                               ",\"annotations\":[" OBJECT("") "]}",
                               FOUND(BOX), &s));
    assert_true(fabs(s.bbox[0] - 1) < 1e-12);
}

/* Each is QZ_ERR_FORMAT, one line with the text in it. */
static const struct {
    const char *truth, *found, *says;
} damaged[] = {
    {"", "[]", "line 1"},
    {"[]", "[]", "must be an object"},
    {"{}", "[]", "'images' must be a list"},
    {"{" IMAGES "}", "[]", "'categories' must be a list"},
    {"{" IMAGES "," CATEGORIES "}", "[]", "'annotations' must be a list"},
    {"{\"images\":[7]," CATEGORIES "}", "[]", "images[0]: must be an object"},
    {"{\"images\":[{}]," CATEGORIES "}", "[]", "images[0]: 'id' is missing"},
    {"{\"images\":[{\"id\":\"7\"}]," CATEGORIES "}", "[]", "'id' must be a whole number"},
    {"{\"images\":[{\"id\":7,\"width\":0,\"height\":1}]," CATEGORIES "}", "[]", "'width' must be"},
    {"{\"images\":[{\"id\":7,\"width\":3}]," CATEGORIES "}", "[]", "go together"},
    {"{\"images\":[{\"id\":7},{\"id\":7}]," CATEGORIES "}", "[]", "images[1]: id 7 is there twice"},
    {"{" IMAGES ",\"categories\":[{\"id\":1},{\"id\":1}]}", "[]", "categories[1]: id 1 is there"},
    {TRUTH(OBJECT("") "," OBJECT("")), "[]", "annotations[1]: id 1 is there twice"},
    {TRUTH("{\"id\":1,\"category_id\":1,\"area\":2}"), "[]", "annotations[0]: 'image_id' is miss"},
    {TRUTH("{\"id\":1,\"image_id\":8,\"category_id\":1,\"area\":2}"), "[]", "no image of id 8"},
    {TRUTH("{\"id\":1,\"image_id\":7,\"category_id\":2,\"area\":2}"), "[]", "no category of id 2"},
    {TRUTH("{\"id\":1,\"image_id\":7,\"category_id\":1}"), "[]", "'area' is missing"},
    {TRUTH("{\"id\":1,\"image_id\":7,\"category_id\":1,\"area\":NaN}"), "[]",
     "annotations[0]: line"},
    {TRUTH("{\"id\":1,\"image_id\":7,\"category_id\":1,\"area\":1e999}"), "[]", "annotations[0]"},
    {TRUTH("{\"id\":1,\"image_id\":7,\"category_id\":1,\"area\":-1}"), "[]", "area is negative"},
    {TRUTH("{\"id\":1,\"image_id\":7,\"category_id\":1,\"area\":1}"), FOUND(BOX), "lack what"},
    {TRUTH(OBJECT(",\"iscrowd\":2")), "[]", "'iscrowd' must be 0 or 1"},
    {TRUTH(OBJECT(SEGM("7"))), "[]", "'segmentation' must be"},
    {TRUTH(OBJECT(SEGM("[7]"))), "[]", "'segmentation' must be"},
    {TRUTH(OBJECT(SEGM("[[1,1,2,2]]"))), "[]", "fewer than three points"},
    {TRUTH(OBJECT(SEGM("[[1,1,2,2,3]]"))), "[]", "odd number of coordinates"},
    {TRUTH(OBJECT(SEGM("[[1,1,2,2,3,\"a\"]]"))), "[]", "that is no number"},
    {TRUTH(OBJECT(SEGM("[[1,1,2,2,3,1e300]]"))), "[]", "that no image has"},
    {TRUTH(OBJECT(SEGM("{\"size\":[10,20]}"))), "[]", "lacks 'counts'"},
    {TRUTH(OBJECT(SEGM("{\"counts\":[200]}"))), "[]", "lacks 'size'"},
    {TRUTH(OBJECT(SEGM("{\"size\":[20,10],\"counts\":[200]}"))), "[]", "the mask is of 10x20"},
    {TRUTH(OBJECT(SEGM("{\"size\":[-1,10],\"counts\":[200]}"))), "[]", "[height, width]"},
    {TRUTH(OBJECT(SEGM("{\"size\":[10,20],\"counts\":200}"))), "[]", "a list or a text"},
    {TRUTH(OBJECT(SEGM("{\"size\":[10,20],\"counts\":[100,99]}"))), "[]", "do not sum up"},
    {TRUTH(OBJECT(SEGM("{\"size\":[10,20],\"counts\":[100,101]}"))), "[]", "longer than the image"},
    {TRUTH(OBJECT(SEGM("{\"size\":[10,20],\"counts\":[-1,201]}"))), "[]", "negative"},
    {TRUTH(OBJECT(SEGM("{\"size\":[10,20],\"counts\":[1.5]}"))), "[]", "no whole number"},
    {TRUTH(OBJECT(SEGM("{\"size\":[10,20],\"counts\":\"9\"}"))), "[]", "do not sum up"},
    {"{\"images\":[{\"id\":7,\"width\":9999999,\"height\":9999999}]," CATEGORIES
     ",\"annotations\":[" OBJECT(SEGM("[[1,1,2,2,3,3]]")) "]}",
     "[]", "too large for masks"},
    {TRUTH(OBJECT("")), "{}", "must be a list of detections"},
    {TRUTH(OBJECT("")), "[7]", "detections[0]: must be an object"},
    {TRUTH(OBJECT("")), FOUND(""), "'bbox' or 'segmentation' is missing"},
    {TRUTH(OBJECT("")), FOUND(",\"bbox\":[1,2,3]"), "four numbers"},
    {TRUTH(OBJECT("")), FOUND(",\"bbox\":[1,2,3,null]"), "four numbers"},
    {TRUTH(OBJECT("")), FOUND(",\"bbox\":[1,2,-3,4]"), "negative size"},
    {TRUTH(OBJECT("")), FOUND(",\"bbox\":[1,2,3,1e300]"), "that no image has"},
    {TRUTH(OBJECT("")), FOUND(",\"bbox\":[30,2,3,4]"), "outside the image"},
    {TRUTH(OBJECT("")), FOUND(",\"bbox\":[1,2,3,Infinity]"), "detections[0]: line 1"},
    {TRUTH(OBJECT("")), "[{\"image_id\":7,\"category_id\":1,\"bbox\":[1,1,1,1]}]",
     "'score' is missing"},
    {TRUTH(OBJECT("")), "[{\"image_id\":8,\"category_id\":1,\"bbox\":[1,1,1,1],\"score\":1}]",
     "no image of id 8"},
    {TRUTH(OBJECT("")), "[{\"image_id\":7,\"category_id\":2,\"bbox\":[1,1,1,1],\"score\":1}]",
     "no category of id 2"},
    {TRUTH(OBJECT("")), "[{\"image_id\":7,\"category_id\":1,\"bbox\":[1,1,1,1],\"score\":true}]",
     "'score' must be a number"},
    {TRUTH(OBJECT("")), FOUND(SEGM("[[1,1,5,5,1,5]]")), "lack what the detections have"},
};

static void test_damaged(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(damaged); i++) {
        qz_coco_scores scores;
        const qz_status st = score_texts(damaged[i].truth, damaged[i].found, &scores);
        const char *message = qz_context_message(ctx);
        if (st != QZ_ERR_FORMAT || !strstr(message, damaged[i].says) ||
            !strstr(message, "/tmp/qzoo_coco_") || strchr(message, '\n'))
            fail_msg("case %zu (%s): status %d, \"%s\"", i, damaged[i].says, (int)st, message);
    }
}

static void test_deep(void **state)
{
    static char deep[200001];
    qz_coco_scores scores;
    (void)state;
    memset(deep, '[', sizeof(deep) - 1);
    assert_int_equal(score_texts(deep, "[]", &scores), QZ_ERR_FORMAT);
    assert_int_equal(score_texts(TRUTH(OBJECT("")), deep, &scores), QZ_ERR_FORMAT);
    qz_coco *coco;
    assert_int_equal(qz_coco_open(ctx, "/nowhere/gt.json", &coco), QZ_ERR_IO);
    assert_int_equal(qz_coco_open(ctx, "/tmp", &coco), QZ_ERR_IO);
}

static void test_memory(void **state)
{
    static const char truth[] = TRUTH(OBJECT(
        SEGM("[[1,1,6,1,6,6,1,6],[2,2,9,9,2,9]]")) ",{\"id\":2,\"image_id\":7,"
                                                   "\"category_id\":1,\"bbox\":[1,1,5,5],\"area\":"
                                                   "25,\"segmentation\":{\"size\":[10,20],"
                                                   "\"counts\":[0,50,10,140]}}");
    static const char found[] = FOUND(BOX SEGM("[[1,1,6,1,6,6]]"));
    qz_coco_scores scores;
    qz_status st = QZ_ERR_MEMORY;
    const int64_t live = memory.live;
    (void)state;
    for (int64_t n = 0; st == QZ_ERR_MEMORY && counting_fail(&memory, n); n++) {
        st = score_texts(truth, found, &scores);
        assert_int_equal(memory.live, live);
    }
    memory.fail_at = -1;
    ASSERT_OK(ctx, st);
    assert_true(scores.has_segm);
}

/* ---- pycocotools' own numbers ---- */

static void check_number(const char *what, size_t i, const json_t *expected, double is)
{
    if (json_is_null(expected) ? !isnan(is) : !(fabs(json_number_value(expected) - is) < 1e-6))
        fail_msg("%s %zu: %.9f, pycocotools has %.9f", what, i, is, json_number_value(expected));
}

static void check_oracle(const char *folder, const char *kind, json_t *expected)
{
    char path[1024], key[32];
    double each[16][2];
    qz_coco *coco;
    qz_coco_results *results;
    qz_coco_scores scores;
    const bool segm = strcmp(kind, "segm") == 0;
    snprintf(path, sizeof(path), "%s/gt.json", folder);
    ASSERT_OK(ctx, qz_coco_open(ctx, path, &coco));
    ASSERT_OK(ctx, qz_coco_results_create(coco, &results));
    snprintf(path, sizeof(path), "%s/dt_%s.json", folder, kind);
    ASSERT_OK(ctx, qz_coco_results_read(results, path));
    assert_true(qz_coco_category_count(coco) <= 16);
    ASSERT_OK(ctx, qz_coco_score(results, &scores, each));
    assert_int_equal(scores.has_bbox, !segm);
    assert_int_equal(scores.has_segm, segm);
    for (size_t i = 0; i < QZ_COCO_METRICS; i++)
        check_number(kind, i, json_array_get(json_object_get(expected, kind), i),
                     segm ? scores.segm[i] : scores.bbox[i]);
    snprintf(key, sizeof(key), "%s_per_category", kind);
    for (size_t i = 0; i < qz_coco_category_count(coco); i++) {
        char id[24];
        snprintf(id, sizeof(id), "%lld", (long long)qz_coco_category_at(coco, i)->id);
        check_number(key, i, json_object_get(json_object_get(expected, key), id), each[i][segm]);
    }
    qz_coco_results_destroy(results);
    qz_coco_close(coco);
}

static void test_oracle(void **state)
{
    const char *data = getenv("QZOO_TEST_DATA");
    char folder[900], path[1024];
    (void)state;
    snprintf(folder, sizeof(folder), "%s/coco-eval", data ? data : "../shared/data");
    snprintf(path, sizeof(path), "%s/expected.json", folder);
    json_t *expected = json_load_file(path, 0, NULL);
    if (!expected) {
        print_message("skipped: no %s (set QZOO_TEST_DATA)\n", path);
        skip();
    }
    check_oracle(folder, "bbox", expected);
    check_oracle(folder, "segm", expected);
    json_decref(expected);
}

#else

static void test_none(void **state)
{
    qz_coco *coco;
    (void)state;
    assert_int_equal(qz_coco_open(ctx, "gt.json", &coco), QZ_ERR_UNSUPPORTED);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_polygons), cmocka_unit_test(test_run_text),
        cmocka_unit_test(test_bytes),    cmocka_unit_test(test_score),
        cmocka_unit_test(test_empty),    cmocka_unit_test(test_box_iou),
#ifdef QZ_HAVE_COCO
        cmocka_unit_test(test_files),    cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_deep),     cmocka_unit_test(test_memory),
        cmocka_unit_test(test_oracle),
#else
        cmocka_unit_test(test_none),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
