/* SPDX-License-Identifier: MIT */
/*
 * test_yolo_boxes.c - YOLO's boxes beside PyTorch's: decoded rows and suppression of the networks
 * with the goldens' weights; boxes of photos with yolov5n's real weights. Sessions find what the
 * public steps find, in float and in int8, on every instruction set and with any threads.
 *
 *   test_yolo_boxes [--all | MODEL…]
 */
#include "golden.h"
#include "zoo/qzoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TOLERANCE 1e-4

static const char *const all[] = {"yolov5n", "yolov5s", "yolov5m", "yolov5l",
                                  "yolov5x", "yolov3",  "yolov4"};
#define QUICK 2

static const char *const *names = all;
static size_t name_count = QUICK;

static qz_context *ctx;

#define OK(call)                                                \
    do {                                                        \
        if ((call) != QZ_OK)                                    \
            fail_msg("%s: %s", #call, qz_context_message(ctx)); \
    } while (0)

static void set(qz_model *model, double score, double iou, int decode, bool rect)
{
    qz_detection_options o;
    OK(qz_model_get_detection_options(model, &o));
    o.score_thresh = score;
    o.nms_thresh = iou;
    if (decode >= 0)
        o.decode = decode;
    o.rect = rect;
    OK(qz_model_set_detection_options(model, &o));
}

static const qz_tensor *output(const qz_session *session, const char *wanted)
{
    for (size_t i = 0; i < qz_session_output_count(session); i++) {
        const char *name;
        const qz_tensor *tensor;
        OK(qz_session_output(session, i, &name, &tensor));
        if (strcmp(name, wanted) == 0)
            return tensor;
    }
    fail_msg("no output %s", wanted);
    return NULL;
}

/* ---- the public steps beside the session ---- */

/* The session's objects are those of decoded.npy by qz_yolo_nms, cut to the input; all of them. */
static void check_steps(const qz_session *session, const qz_model *model, size_t image)
{
    const qz_detection *list;
    size_t count, wanted;
    qz_detection_options o;
    qz_model_info info;
    const qz_tensor *decoded = output(session, "decoded");
    const int64_t rows = decoded->dims[1], entries = decoded->dims[2];
    qz_model_get_info(model, &info);
    OK(qz_model_get_detection_options(model, &o));
    OK(qz_session_detections(session, image, &list, &count));
    qz_detection *own = malloc((size_t)o.detections_per_img * sizeof(*own));
    assert_non_null(own);
    OK(qz_yolo_nms(ctx, (const float *)decoded->data + (int64_t)image * rows * entries,
                   (size_t)rows, (int32_t)entries - 5, &o, NULL, 0, own, NULL, &wanted));
    const qz_tensor *p3 = output(session, "head.0");
    const int32_t h = (int32_t)p3->dims[2] * 8, w = (int32_t)p3->dims[3] * 8;
    const qz_letterbox box = {
        .width = w, .height = h, .image_width = w, .image_height = h, .ratio = 1.0};
    OK(qz_yolo_to_image(ctx, &box, w, h, own, &wanted));
    assert_int_equal(count, wanted);
    assert_memory_equal(list, own, count * sizeof(*own));
    free(own);
}

/* ---- the goldens' weights ---- */

static double number(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

static void check_rows(const json_t *record, const qz_tensor *decoded)
{
    const json_t *rows = json_object_get(record, "rows");
    const int64_t entries = decoded->dims[2];
    assert_int_equal(json_array_size(rows), 16);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const float *values =
            (const float *)decoded->data + json_integer_value(json_array_get(row, 0)) * entries;
        for (size_t e = 0; e < 8; e++) {
            const double right = number(row, e + 1);
            if (!(fabs((double)values[e] - right) < TOLERANCE * fmax(1.0, fabs(right))))
                fail_msg("row %lld entry %zu: %g, not %g",
                         (long long)json_integer_value(json_array_get(row, 0)), e,
                         (double)values[e], right);
        }
    }
}

static void check_nms(const json_t *golden, const qz_model *model, const qz_tensor *decoded)
{
    qz_detection_options o;
    static qz_detection list[300];
    static size_t rows[300];
    size_t count;
    OK(qz_model_get_detection_options(model, &o));
    OK(qz_yolo_nms(ctx, decoded->data, (size_t)decoded->dims[1], 80, &o, NULL, 0, list, rows,
                   &count));
    assert_int_equal(count, json_integer_value(json_object_get(golden, "count")));
    const json_t *wanted = json_object_get(golden, "rows");
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const size_t row = (size_t)json_integer_value(json_array_get(wanted, i));
        size_t k = 0;
        while (k < count && rows[k] != row)
            k++;
        if (k == count)
            fail_msg("row %zu is not kept", row);
        assert_int_equal(list[k].label,
                         json_integer_value(json_array_get(json_object_get(golden, "labels"), i)));
        assert_true(fabs((double)list[k].score - number(json_object_get(golden, "scores"), i)) <
                    TOLERANCE);
        const json_t *box = json_array_get(json_object_get(golden, "boxes"), i);
        const float edges[4] = {list[k].x1, list[k].y1, list[k].x2, list[k].y2};
        for (size_t e = 0; e < 4; e++)
            assert_true(fabs((double)edges[e] - number(box, e)) <
                        TOLERANCE * fmax(100.0, fabs(number(box, e))));
    }
}

static qz_tensor uniform_image(const json_t *golden)
{
    const json_t *shape = json_object_get(json_object_get(golden, "input"), "shape");
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4};
    for (size_t i = 0; i < 4; i++)
        image.dims[i] = json_integer_value(json_array_get(shape, i));
    image.data = malloc((size_t)qz_tensor_numel(&image) * sizeof(float));
    assert_non_null(image.data);
    qz_random_uniform("input", "", 0.0, 1.0, qz_tensor_numel(&image), image.data);
    return image;
}

static bool check_model(const char *name)
{
    json_t *golden = golden_load(name);
    if (!golden)
        return false;
    const json_t *nms = json_object_get(golden, "nms");
    qz_model *model = golden_model(ctx, name, golden, true);
    qz_session *session;
    qz_tensor image = uniform_image(golden), pair = golden_input(golden, true);
    assert_non_null(model);
    set(model, json_number_value(json_object_get(nms, "conf_thres")),
        json_number_value(json_object_get(nms, "iou_thres")), -1, false);
    OK(qz_session_create(model, NULL, &session));
    OK(qz_session_run(session, &image));
    const double decoded =
        golden_difference(json_object_get(golden, "decoded"), output(session, "decoded"));
    assert_true(decoded < TOLERANCE);
    check_rows(json_object_get(golden, "decoded"), output(session, "decoded"));
    check_nms(nms, model, output(session, "decoded"));
    check_steps(session, model, 0);
    OK(qz_session_run(session, &pair));
    check_steps(session, model, 0);
    check_steps(session, model, 1);
    const json_t *other = json_object_get(golden, "decoded_darknet_formula");
    if (other) {
        set(model, 0.25, 0.45, QZ_YOLO_DECODE_DARKNET, false);
        OK(qz_session_run(session, &image));
        assert_true(golden_difference(other, output(session, "decoded")) < TOLERANCE);
    }
    printf("%-8s decoded %.1e, %lld boxes of %lld\n", name, decoded,
           (long long)json_integer_value(json_object_get(nms, "count")),
           (long long)json_integer_value(json_object_get(nms, "candidates")));
    fflush(stdout);
    qz_session_destroy(session);
    qz_model_destroy(model);
    free(image.data);
    free(pair.data);
    json_decref(golden);
    return true;
}

static void test_goldens(void **state)
{
    size_t checked = 0;
    (void)state;
    for (size_t i = 0; i < name_count; i++)
        checked += check_model(names[i]);
    if (checked == 0)
        skip();
}

/* ---- real weights ---- */

static const char *data_path(const char *file)
{
    static char path[1024];
    const char *folder = getenv("QZOO_TEST_DATA");
    snprintf(path, sizeof(path), "%s/%s", folder ? folder : "../shared/data", file);
    return path;
}

static qz_model *real_model(bool quantize)
{
    qz_model *model;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    char weights[1024];
    snprintf(weights, sizeof(weights), "%s", data_path("weights/yolov5n.pth"));
    if (access(weights, R_OK) != 0) {
        printf("skipped: no %s\n", weights);
        return NULL;
    }
    options.weights = weights;
    options.quantize = quantize;
    OK(qz_model_create(ctx, "yolov5n", &options, &model));
    return model;
}

static double overlap(const qz_detection *a, const float box[4])
{
    const double w = fmin((double)a->x2, (double)box[2]) - fmax((double)a->x1, (double)box[0]);
    const double h = fmin((double)a->y2, (double)box[3]) - fmax((double)a->y1, (double)box[1]);
    const double both = w > 0 && h > 0 ? w * h : 0;
    return both / ((double)(a->x2 - a->x1) * (double)(a->y2 - a->y1) +
                   (double)(box[2] - box[0]) * (double)(box[3] - box[1]) - both);
}

/* The object that has the name, and overlaps the box; NULL: none. */
static const qz_detection *find(const qz_model *model, const qz_session *session, const char *name,
                                const float box[4], double least)
{
    const qz_detection *list;
    size_t count;
    OK(qz_session_detections(session, 0, &list, &count));
    for (size_t i = 0; i < count; i++)
        if (strcmp(qz_model_class(model, list[i].label), name) == 0 &&
            overlap(&list[i], box) > least)
            return &list[i];
    return NULL;
}

/* The letterboxed photo of the oracle folder: neither JPEG nor resizing play a part. */
static void test_letterboxed(void **state)
{
    qz_image image = {0};
    (void)state;
    json_t *golden = golden_load("yolov5n_real");
    qz_model *model = real_model(false);
    qz_session *session;
    if (!golden || !model ||
        qz_image_load(ctx, golden_path("bus_letterbox640.png"), &image) != QZ_OK) {
        printf("skipped: no yolov5n_real.json, bus_letterbox640.png or weights\n");
        qz_model_destroy(model);
        json_decref(golden);
        skip();
    }
    const json_t *square = json_object_get(golden, "square_640x640");
    OK(qz_session_create(model, NULL, &session));
    OK(qz_session_run_u8(session, image.rgb, image.width, image.height, (size_t)image.width * 3));
    assert_true(golden_difference(json_object_get(square, "decoded"), output(session, "decoded")) <
                TOLERANCE);
    const json_t *wanted = json_object_get(square, "detections");
    const qz_detection *list;
    size_t count;
    OK(qz_session_detections(session, 0, &list, &count));
    assert_int_equal(count, json_array_size(wanted));
    for (size_t i = 0; i < count; i++) {
        const json_t *d = json_array_get(wanted, i), *box = json_object_get(d, "box_letterboxed");
        const float edges[4] = {list[i].x1, list[i].y1, list[i].x2, list[i].y2};
        assert_int_equal(list[i].label, json_integer_value(json_object_get(d, "label")));
        assert_true(fabs((double)list[i].score - json_number_value(json_object_get(d, "score"))) <
                    1e-5);
        for (size_t e = 0; e < 4; e++) /* torch's are not cut to the input */
            assert_true(fabs((double)edges[e] - fmin(640.0, fmax(0.0, number(box, e)))) < 0.002);
    }
    qz_image_free(ctx, &image);
    qz_session_destroy(session);
    qz_model_destroy(model);
    json_decref(golden);
}

/* A photo of det/, letterboxed by ourselves. Reading JPEG by another library moves scores a little.
 */
static void check_photo(qz_session *session, const qz_model *model, const char *name)
{
    char file[300];
    qz_image image;
    (void)model;
    snprintf(file, sizeof(file), "det/%.200s", name);
    OK(qz_image_load(ctx, data_path(file), &image));
    OK(qz_session_run_u8(session, image.rgb, image.width, image.height, (size_t)image.width * 3));
    qz_image_free(ctx, &image);
}

static void check_object(const qz_model *model, const qz_session *session, const char *photo,
                         const char *name, double score, const float box[4])
{
    const qz_detection *d = find(model, session, name, box, 0.9);
    if (!d && score > 0.3)
        fail_msg("%s: no %s", photo, name);
    if (d && fabs((double)d->score - score) > 0.05)
        fail_msg("%s: %s of %g, not %g", photo, name, (double)d->score, score);
}

static void test_photos(void **state)
{
    char line[256], photo[256] = "";
    size_t objects = 0;
    (void)state;
    qz_model *model = real_model(false);
    json_t *golden = golden_load("yolov5n_real");
    FILE *file = fopen(data_path("det/yolov5n_detections.txt"), "r");
    qz_session *session;
    if (!model || !golden || !file) {
        printf("skipped: no photos of det/ or weights\n");
        if (file)
            fclose(file);
        qz_model_destroy(model);
        json_decref(golden);
        skip();
    }
    OK(qz_session_create(model, NULL, &session));
    while (fgets(line, sizeof(line), file)) {
        char name[100];
        float score, b[4];
        const char *slash = strrchr(line, '/');
        if (line[0] == '/' && slash) {
            sscanf(slash + 1, "%200[^ ]", photo);
            check_photo(session, model, photo);
        } else if (sscanf(line, " %99[a-z] %f [%f, %f, %f, %f]", name, &score, &b[0], &b[1], &b[2],
                          &b[3]) == 6) {
            check_object(model, session, photo, name, (double)score, b);
            objects++;
        }
    }
    fclose(file);
    assert_int_equal(objects, 25);
    set(model, 0.25, 0.45, -1, true);
    const char *key;
    const json_t *list;
    json_object_foreach((json_t *)json_object_get(golden, "all_images_minimal"), key, list)
    {
        check_photo(session, model, key);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *d = json_array_get(list, i);
            float b[4];
            for (size_t e = 0; e < 4; e++)
                b[e] = (float)number(d, 2 + e);
            check_object(model, session, key, json_string_value(json_array_get(d, 0)), number(d, 1),
                         b);
        }
    }
    qz_session_destroy(session);
    qz_model_destroy(model);
    json_decref(golden);
}

/* ---- int8 ---- */

static void hash_run(qz_model *model, qz_isa isa, uint32_t threads, const qz_image *image,
                     uint64_t *hash)
{
    qz_session_options so = QZ_SESSION_OPTIONS_INIT;
    qz_session *session;
    const qz_detection *list;
    size_t count;
    so.isa = isa;
    so.threads = threads;
    OK(qz_session_create(model, &so, &session));
    OK(qz_session_run_u8(session, image->rgb, image->width, image->height,
                         (size_t)image->width * 3));
    OK(qz_session_detections(session, 0, &list, &count));
    assert_true(count > 0);
    *hash = qzi_fnv1a(list, count * sizeof(*list), QZI_FNV_OFFSET);
    qz_session_destroy(session);
}

/* With random weights: many objects, and a photo that is resized. */
static void test_int8(void **state)
{
    enum { WIDTH = 150, HEIGHT = 110 };
    qz_model *model;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    qz_detection_options o;
    qz_session *session;
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    static float pixels[2 * 3 * 64 * 96];
    qz_tensor pair = {.dtype = QZ_F32, .ndim = 4, .dims = {2, 3, 64, 96}, .data = pixels};
    const qz_image image = {WIDTH, HEIGHT, rgb};
    (void)state;
    for (size_t i = 0; i < sizeof(rgb); i++)
        rgb[i] = (uint8_t)(i * i / 97 + i / 5);
    qz_random_uniform("pair", "", 0.0, 1.0, 2 * 3 * 64 * 96, pixels);
    options.quantize = true;
    OK(qz_model_create(ctx, "yolov5n", &options, &model));
    OK(qz_model_get_detection_options(model, &o));
    o.fixed_h = 64;
    o.fixed_w = 96;
    OK(qz_model_set_detection_options(model, &o));
    OK(qz_model_calibrate_synthetic(model, 1));
    OK(qz_model_convert(model));
    for (int multi = 0; multi < 2; multi++) {
        o.multi_label = multi;
        o.score_thresh = multi ? 0.01 : 0.25;
        OK(qz_model_set_detection_options(model, &o));
        OK(qz_session_create(model, NULL, &session));
        OK(qz_session_run(session, &pair));
        check_steps(session, model, 0);
        check_steps(session, model, 1);
        qz_session_destroy(session);
    }
    uint64_t hash, other;
    hash_run(model, QZ_ISA_REF, 1, &image, &hash);
    for (int isa = QZ_ISA_REF; isa < QZ_ISA_COUNT; isa++)
        for (uint32_t threads = 1; threads <= 3 && qz_isa_available((qz_isa)isa); threads++) {
            hash_run(model, (qz_isa)isa, threads, &image, &other);
            assert_true(hash == other);
        }
    qz_model_destroy(model);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_letterboxed),
        cmocka_unit_test(test_photos),
        cmocka_unit_test(test_int8),
    };
    if (argc > 1 && strcmp(argv[1], "--all") == 0) {
        name_count = QZI_ARRAY_LEN(all);
    } else if (argc > 1) {
        names = (const char *const *)(argv + 1);
        name_count = (size_t)argc - 1;
    }
    if (qz_context_create(NULL, &ctx) != QZ_OK)
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    qz_context_destroy(ctx);
    return failed;
}
