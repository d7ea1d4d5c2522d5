/* SPDX-License-Identifier: MIT */
/*
 * check_detections.c - our side of test_onnxruntime.sh for files that find objects by themselves.
 *
 *   check_detections export MODEL FORMAT SIDE FILE    the file, for images of SIDE x SIDE
 *   check_detections input MODEL SIDE FILE            a synthetic image, normalized, as raw float32
 *   check_detections compare MODEL SIDE DIR LEAST     DIR: the outputs of the file
 *   check_detections rois SIDE FILE                   boxes of all kinds, as raw float32
 *
 * MODEL is a saved int8 model, or the name of a float one. Objects are compared as a set:
 * onnxruntime orders equal scores otherwise, and sums in another order. LEAST is the share that
 * must have a partner of the same label, nearly the same score and box, and mask.
 */
#include "qzoo.h"
#include "zoo/detection/detect.h"
#include "zoo/model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE 7
#define SCORE_TOLERANCE 1e-3f
#define BOX_TOLERANCE 0.25f /* pixels */
#define MASK_TOLERANCE 0.01f
#define MASK 28

static int fail(const char *what, const char *text)
{
    fprintf(stderr, "check_detections: %s: %s\n", what, text);
    return 1;
}

static void *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*size + 1);
    if (data)
        data[fread(data, 1, *size, file)] = '\0';
    fclose(file);
    return data;
}

/* An output by its name in DIR/values.txt. */
static void *read_output(const char *dir, const char *name, size_t *size)
{
    char path[1024], line_name[64];
    void *data = NULL;
    int number;
    snprintf(path, sizeof(path), "%s/values.txt", dir);
    FILE *list = fopen(path, "r");
    while (list && !data && fscanf(list, "%d %63s", &number, line_name) == 2) {
        snprintf(path, sizeof(path), "%s/%d", dir, number);
        if (strcmp(line_name, name) == 0)
            data = read_whole(path, size);
    }
    if (list)
        fclose(list);
    return data;
}

/* The model, with a side of the resized image that needs no resizing. */
static qz_status open_model(qz_context *ctx, const char *name, const char *side_text,
                            qz_model **model, int32_t *side)
{
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    *side = (int32_t)strtol(side_text, NULL, 10);
    qz_status st = strstr(name, ".safetensors") ? qz_model_open(ctx, name, model)
                                                : qz_model_create(ctx, name, &options, model);
    if (st != QZ_OK || !(*model)->arch->detector)
        return st;
    qz_detection_options o = (*model)->detection;
    if ((*model)->arch->detector->kind == QZI_DETECTOR_SSD)
        o.fixed_h = o.fixed_w = *side;
    else
        o.min_size = o.max_size = *side;
    /* fewer, so that the test is quick */
    o.rpn_pre_nms_top_n_test = QZI_MIN(o.rpn_pre_nms_top_n_test, 200);
    o.rpn_post_nms_top_n_test = QZI_MIN(o.rpn_post_nms_top_n_test, 50);
    return qz_model_set_detection_options(*model, &o);
}

static int write_file(qz_context *ctx, char **args)
{
    qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
    qz_model *model = NULL;
    int32_t side;
    qz_status st = open_model(ctx, args[0], args[2], &model, &side);
    if (!qz_onnx_format_parse(args[1], &options.format))
        return fail(args[1], "no format");
    options.postprocess = true;
    if (st == QZ_OK)
        st = qz_onnx_export(model, args[3], &options);
    const int status = st == QZ_OK ? 0 : fail(args[0], qz_context_message(ctx));
    qz_model_destroy(model);
    return status;
}

static int write_input(qz_context *ctx, char **args)
{
    qz_model *model = NULL;
    int32_t side;
    qz_status st = open_model(ctx, args[0], args[1], &model, &side);
    if (st != QZ_OK)
        return fail(args[0], qz_context_message(ctx));
    const size_t plane = (size_t)side * (size_t)side;
    float *image = malloc(3 * plane * sizeof(*image));
    qz_synthetic_unit_image(IMAGE, side, side, image);
    for (size_t i = 0; i < 3 * plane; i++)
        image[i] = (image[i] - model->arch->detector->mean[i / plane]) /
                   model->arch->detector->std[i / plane];
    FILE *file = fopen(args[2], "wb");
    const bool written = file && fwrite(image, sizeof(*image), 3 * plane, file) == 3 * plane;
    if (file)
        fclose(file);
    free(image);
    qz_model_destroy(model);
    return written ? 0 : fail(args[2], "cannot be written");
}

/* Of every size, from none to beyond the image, and one that is turned inside out. */
static int write_rois(char **args)
{
    const float side = strtof(args[0], NULL);
    static const float parts[][4] = {
        {0.0f, 0.0f, 1.0f, 1.0f},   {0.1f, 0.1f, 0.15f, 0.2f}, {0.3f, 0.2f, 0.7f, 0.5f},
        {0.5f, 0.0f, 0.52f, 1.0f},  {0.9f, 0.9f, 1.0f, 1.0f},  {-0.2f, -0.1f, 1.4f, 1.1f},
        {0.25f, 0.5f, 0.25f, 0.5f}, {0.6f, 0.6f, 0.5f, 0.5f},  {0.0f, 0.4f, 0.33f, 0.73f}};
    float rois[QZI_ARRAY_LEN(parts)][4];
    for (size_t i = 0; i < QZI_ARRAY_LEN(parts); i++)
        for (size_t k = 0; k < 4; k++)
            rois[i][k] = parts[i][k] * side;
    FILE *file = fopen(args[1], "wb");
    const bool written = file && fwrite(rois, sizeof(rois), 1, file) == 1;
    if (file)
        fclose(file);
    return written ? 0 : fail(args[1], "cannot be written");
}

/* ---- comparing ---- */

typedef struct found {
    float *boxes, *scores, *masks; /* masks: NULL */
    int64_t *labels;
    size_t count;
    bool *taken;
} found;

/* Whether the mask of their object is ours, both pasted into the image. */
static bool same_mask(qz_context *ctx, const qz_session *session, size_t ours,
                      const qz_detection *d, float *mask, int32_t side)
{
    const size_t pixels = (size_t)side * (size_t)side;
    float *both = malloc(2 * pixels * sizeof(*both));
    qz_detection theirs = *d;
    const qzi_detections one = {
        .list = &theirs, .count = 1, .masks = mask, .width = side, .height = side};
    qz_status st = qz_session_detection_mask_prob(session, 0, ours, both);
    if (st == QZ_OK)
        st = qzi_detect_paste_mask(ctx, &one, 0, both + pixels, NULL);
    float most = st == QZ_OK ? 0.0f : 1.0f;
    for (size_t i = 0; i < pixels; i++)
        most = fmaxf(most, fabsf(both[i] - both[pixels + i]));
    free(both);
    return most <= MASK_TOLERANCE;
}

/* The nearest partner that is free; SIZE_MAX: none. */
static size_t partner_of(const found *f, const qz_detection *d)
{
    size_t best = SIZE_MAX;
    float least = BOX_TOLERANCE;
    for (size_t i = 0; i < f->count; i++) {
        const float *b = f->boxes + 4 * i;
        const float distance = fmaxf(fmaxf(fabsf(b[0] - d->x1), fabsf(b[1] - d->y1)),
                                     fmaxf(fabsf(b[2] - d->x2), fabsf(b[3] - d->y2)));
        if (f->taken[i] || f->labels[i] != d->label || !(distance <= least) ||
            !(fabsf(f->scores[i] - d->score) <= SCORE_TOLERANCE))
            continue;
        least = distance;
        best = i;
    }
    return best;
}

static int compare(qz_context *ctx, char **args)
{
    qz_model *model = NULL;
    qz_session *session = NULL;
    const qz_detection *list = NULL;
    size_t count = 0, sizes[4] = {0}, matched = 0, real = 0;
    int32_t side = 0;
    found f = {.boxes = read_output(args[2], "boxes", &sizes[0]),
               .scores = read_output(args[2], "scores", &sizes[1]),
               .labels = read_output(args[2], "labels", &sizes[2]),
               .masks = read_output(args[2], "masks", &sizes[3])};
    qz_status st = open_model(ctx, args[0], args[1], &model, &side);
    float *image = malloc((size_t)3 * (size_t)side * (size_t)side * sizeof(*image));
    const qz_tensor tensor = {
        .dtype = QZ_F32, .ndim = 4, .dims = {1, 3, side, side}, .data = image};
    qz_synthetic_unit_image(IMAGE, side, side, image);
    if (st == QZ_OK)
        st = qz_session_create(model, NULL, &session);
    if (st == QZ_OK)
        st = qz_session_run(session, &tensor);
    if (st == QZ_OK)
        st = qz_session_detections(session, 0, &list, &count);
    if (st != QZ_OK)
        return fail(args[0], qz_context_message(ctx));
    const bool masks = model->arch->detector->has_masks;
    f.count = sizes[1] / sizeof(float);
    if (!f.boxes || !f.scores || !f.labels || sizes[0] != f.count * 16 || sizes[2] != f.count * 8 ||
        (masks && sizes[3] != f.count * MASK * MASK * 4))
        return fail(args[2], "not the outputs that are expected");
    f.taken = calloc(f.count + 1, sizeof(*f.taken));
    for (size_t i = 0; i < f.count; i++) {
        real += f.scores[i] > 0.0f;
        if (f.scores[i] == 0.0f && (f.labels[i] != 0 || f.boxes[4 * i + 2] != 0.0f))
            return fail("absent objects", "not zero");
        if (i > 0 && f.scores[i] > f.scores[i - 1])
            return fail("scores", "not sorted");
    }
    for (size_t i = 0; i < count; i++) {
        const size_t k = partner_of(&f, &list[i]);
        if (k == SIZE_MAX)
            continue;
        f.taken[k] = true;
        matched += !masks || same_mask(ctx, session, i, &list[i], f.masks + k * MASK * MASK, side);
    }
    printf("  %zu objects here, %zu there, %zu alike\n", count, real, matched);
    const double least = strtod(args[3], NULL);
    const int status = count == 0 || (double)matched < least * (double)count ||
                       (double)matched < least * (double)real;
    qz_session_destroy(session);
    qz_model_destroy(model);
    free(image);
    free(f.taken);
    free(f.boxes);
    free(f.scores);
    free(f.labels);
    free(f.masks);
    return status;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    char **args = argv + 2;
    const int count = argc - 2;
    qz_context *ctx = NULL;
    int status;
    if (qz_context_create(NULL, &ctx) != QZ_OK)
        return fail("context", qz_context_message(NULL));
    if (strcmp(command, "export") == 0 && count == 4)
        status = write_file(ctx, args);
    else if (strcmp(command, "input") == 0 && count == 3)
        status = write_input(ctx, args);
    else if (strcmp(command, "rois") == 0 && count == 2)
        status = write_rois(args);
    else if (strcmp(command, "compare") == 0 && count == 4)
        status = compare(ctx, args);
    else
        status = fail("usage", "see the head of check_detections.c");
    qz_context_destroy(ctx);
    return status;
}
