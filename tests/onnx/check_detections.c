/* SPDX-License-Identifier: MIT */
/*
 * check_detections.c - our side of test_onnxruntime.sh for files that find objects by themselves.
 *
 *   check_detections export MODEL FORMAT SIDE FILE [all]
 *                                                     the file, for images of SIDE x SIDE; all:
 *                                                     every value is an output
 *   check_detections input MODEL SIDE FILE            a synthetic image, normalized, as raw float32
 *   check_detections compare MODEL SIDE DIR LEAST     DIR: the outputs of the file
 *   check_detections heads MODEL SIDE DIR LEAST [inputs|none]
 *                                                     the same, each node and each step behind the
 *                                                     heads on what onnxruntime's had read; or
 *                                                     only the graph's first nodes, or none
 *   check_detections rois SIDE FILE                   boxes of all kinds, as raw float32
 *
 * MODEL is a saved int8 model, or the name of a float one. Objects are compared as a set:
 * onnxruntime orders equal scores otherwise, and sums in another order. LEAST is the share that
 * must have a partner of the same label, nearly the same score and box, and mask; "none": nothing
 * is found on either side. SETTINGS in the environment has settings, as "agnostic=1 decode=1"; ONLY
 * the classes of YOLO that are looked for, as "0,3".
 */
#include "ort_values.h"
#include "qzoo.h"
#include "zoo/detection/detect.h"
#include "zoo/detection/mask_post.h"
#include "zoo/detection/outputs.h"
#include "zoo/model/model.h"
#include "zoo/model/model_detect.h"
#include "zoo/model/model_pack.h"

#define IMAGE 7
#define MASK_TOLERANCE 0.01f
#define MASK 28

static int fail(const char *what, const char *text)
{
    fprintf(stderr, "check_detections: %s: %s\n", what, text);
    return 1;
}

/* What SETTINGS says, in place of the defaults. */
static qz_status set_settings(qz_context *ctx, const qz_model *model, qz_detection_options *o)
{
    const char *text = getenv("SETTINGS");
    while (text && *text) {
        char setting[64];
        double value;
        int length = 0;
        if (sscanf(text, " %63[a-z_]=%lf %n", setting, &value, &length) < 2)
            return QZ_ERR_ARGUMENT;
        const qz_status st =
            qz_detection_options_set(ctx, model->arch->info.name, o, setting, value);
        if (st != QZ_OK)
            return st;
        text += length;
    }
    return QZ_OK;
}

/* The classes that ONLY has; returns how many, 0: all. */
static size_t read_only_classes(int32_t only[8])
{
    const char *text = getenv("ONLY");
    size_t count = 0;
    while (text && *text && count < 8) {
        char *end;
        only[count++] = (int32_t)strtol(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
    return count;
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
    if ((*model)->arch->detector->kind == QZI_DETECTOR_SSD ||
        (*model)->arch->detector->kind == QZI_DETECTOR_YOLO)
        o.fixed_h = o.fixed_w = *side;
    else
        o.min_size = o.max_size = *side;
    /* fewer, so that the test is quick */
    o.rpn_pre_nms_top_n_test = QZI_MIN(o.rpn_pre_nms_top_n_test, 200);
    o.rpn_post_nms_top_n_test = QZI_MIN(o.rpn_post_nms_top_n_test, 50);
    st = set_settings(ctx, *model, &o);
    return st != QZ_OK ? st : qz_model_set_detection_options(*model, &o);
}

static int write_file(qz_context *ctx, int count, char **args)
{
    qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
    qz_model *model = NULL;
    int32_t side;
    qz_status st = open_model(ctx, args[0], args[2], &model, &side);
    if (!qz_onnx_format_parse(args[1], &options.format))
        return fail(args[1], "no format");
    int32_t only[8];
    options.postprocess = true;
    options.only_count = read_only_classes(only);
    options.only = options.only_count ? only : NULL;
    options.all_outputs = count == 5;
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
    size_t count, real; /* all, and those that are objects */
    bool *taken;
    float box_tolerance, score_tolerance; /* pixels */
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
    float least = f->box_tolerance;
    for (size_t i = 0; i < f->count; i++) {
        const float *b = f->boxes + 4 * i;
        const float distance = fmaxf(fmaxf(fabsf(b[0] - d->x1), fabsf(b[1] - d->y1)),
                                     fmaxf(fabsf(b[2] - d->x2), fabsf(b[3] - d->y2)));
        if (f->taken[i] || f->labels[i] != d->label || !(distance <= least) ||
            !(fabsf(f->scores[i] - d->score) <= f->score_tolerance))
            continue;
        least = distance;
        best = i;
    }
    return best;
}

/* The outputs of the file, looked at by themselves. */
static bool read_found(const comparison *c, bool masks, found *f)
{
    size_t sizes[4] = {0};
    f->boxes = read_number(c, find_value(c, "boxes"), &sizes[0]);
    f->scores = read_number(c, find_value(c, "scores"), &sizes[1]);
    f->labels = read_number(c, find_value(c, "labels"), &sizes[2]);
    f->masks = read_number(c, find_value(c, "masks"), &sizes[3]);
    f->count = sizes[1] / sizeof(float);
    f->taken = calloc(f->count + 1, sizeof(*f->taken));
    if (!f->boxes || !f->scores || !f->labels || !f->taken || sizes[0] != f->count * 16 ||
        sizes[2] != f->count * 8 || (masks && sizes[3] != f->count * MASK * MASK * 4))
        return !fail(c->dir, "not the outputs that are expected");
    for (size_t i = 0; i < f->count; i++) {
        f->real += f->scores[i] > 0.0f;
        if (f->scores[i] == 0.0f && (f->labels[i] != 0 || f->boxes[4 * i + 2] != 0.0f))
            return !fail("absent objects", "not zero");
        if (i > 0 && f->scores[i] > f->scores[i - 1])
            return !fail("scores", "not sorted");
    }
    return true;
}

static void free_found(found *f)
{
    free(f->taken);
    free(f->boxes);
    free(f->scores);
    free(f->labels);
    free(f->masks);
}

/* Whether the share of objects that are alike is large enough. */
static bool enough(const char *what, size_t ours, size_t theirs, size_t alike, const char *least)
{
    const double share = strtod(least, NULL);
    printf("  %zu %s here, %zu there, %zu alike\n", ours, what, theirs, alike);
    if (strcmp(least, "none") == 0)
        return ours == 0 && theirs == 0;
    return ours > 0 && (double)alike >= share * (double)ours &&
           (double)alike >= share * (double)theirs;
}

static int compare(qz_context *ctx, char **args)
{
    qz_model *model = NULL;
    qz_session *session = NULL;
    const qz_detection *list = NULL;
    size_t count = 0, matched = 0;
    int32_t side = 0;
    comparison c;
    found f = {.box_tolerance = 0.25f, .score_tolerance = 1e-3f};
    int32_t only[8];
    const size_t only_count = read_only_classes(only);
    if (!open_values(&c, args[2]))
        return fail(args[2], "has no values.txt");
    qz_status st = open_model(ctx, args[0], args[1], &model, &side);
    float *image = malloc((size_t)3 * (size_t)side * (size_t)side * sizeof(*image));
    const qz_tensor tensor = {
        .dtype = QZ_F32, .ndim = 4, .dims = {1, 3, side, side}, .data = image};
    qz_synthetic_unit_image(IMAGE, side, side, image);
    if (st == QZ_OK)
        st = qz_session_create(model, NULL, &session);
    if (st == QZ_OK && only_count)
        st = qz_session_set_classes(session, only, only_count);
    if (st == QZ_OK)
        st = qz_session_run(session, &tensor);
    if (st == QZ_OK)
        st = qz_session_detections(session, 0, &list, &count);
    if (st != QZ_OK)
        return fail(args[0], qz_context_message(ctx));
    const bool masks = model->arch->detector->has_masks;
    int status = !read_found(&c, masks, &f);
    for (size_t i = 0; i < count && !status; i++) {
        const size_t k = partner_of(&f, &list[i]);
        if (k == SIZE_MAX)
            continue;
        f.taken[k] = true;
        matched += !masks || same_mask(ctx, session, i, &list[i], f.masks + k * MASK * MASK, side);
    }
    status = status || !enough("objects", count, f.real, matched, args[3]);
    qz_session_destroy(session);
    qz_model_destroy(model);
    free(image);
    free_found(&f);
    free(c.index);
    return status;
}

/* ---- each step on onnxruntime's values ---- */

typedef struct stages {
    qzi_exec *exec[QZI_STAGE_COUNT];
    const qzi_packed *packed;
    const qz_graph *graph;
    comparison *values;
    bool pinned[QZI_STAGE_COUNT]; /* others are ours alone: they run on other boxes */
} stages;

static qz_status run_stage(void *user, qzi_detector_stage stage, const qzi_exec_input *input,
                           qzi_exec **exec)
{
    stages *s = user;
    qzi_exec_input inputs[QZI_STAGE_COUNT] = {0};
    inputs[stage] = *input;
    if (stage == QZI_STAGE_IMAGE && s->exec[stage]) { /* it has run: one image */
        *exec = s->exec[stage];
        return QZ_OK;
    }
    if (!s->exec[stage])
        QZI_TRY(qzi_exec_create(s->packed, s->graph, 1, &s->exec[stage]));
    *exec = s->exec[stage];
    qzi_exec_set_hook(*exec, s->pinned[stage] ? compare_value : NULL, s->values);
    return qzi_exec_run_inputs(*exec, inputs, s->graph->input_count);
}

/* How many of our boxes are among theirs, which are R x 4; those of no size are none. */
static bool same_proposals(const qzi_detections *ours, const float *theirs, size_t count,
                           const char *least)
{
    size_t alike = 0, real = 0;
    bool *taken = calloc(count + 1, sizeof(*taken));
    for (size_t k = 0; k < count; k++)
        real += theirs[4 * k + 2] > theirs[4 * k];
    for (size_t i = 0; i < ours->roi_count; i++)
        for (size_t k = 0; k < count; k++) {
            float far = 0.0f;
            for (size_t j = 0; j < 4; j++)
                far = fmaxf(far, fabsf(ours->rois[4 * i + j] - theirs[4 * k + j]));
            if (taken[k] || !(far <= 0.01f))
                continue;
            taken[k] = true;
            alike++;
            break;
        }
    free(taken);
    return enough("proposals", ours->roi_count, real, alike, least);
}

/* Masks of their objects, of our probabilities on their logits. */
static bool same_masks(const stages *s, const found *f)
{
    qzi_map logits;
    float ours[MASK * MASK], most = 0.0f;
    if (qzi_detector_map(s->graph, s->exec[QZI_STAGE_MASK], "mask_logits", -1, &logits) != QZ_OK)
        return false;
    for (size_t i = 0; i < f->real; i++) {
        qzi_mask_probabilities(&logits, (int64_t)i, (int32_t)f->labels[i], ours);
        for (size_t k = 0; k < MASK * MASK; k++)
            most = fmaxf(most, fabsf(ours[k] - f->masks[i * MASK * MASK + k]));
    }
    printf("  masks differ by %.2g\n", (double)most);
    return most <= 1e-5f;
}

/*
 * The first run finds proposals, or objects. The second has onnxruntime's proposals, and finds
 * objects. The third has its objects, and finds masks.
 */
static int compare_heads(qz_context *ctx, int count, char **args)
{
    qz_model *model = NULL;
    int32_t side = 0;
    comparison c;
    stages s = {.values = &c, .pinned = {[QZI_STAGE_IMAGE] = true}};
    qzi_detections out = {0};
    found f = {.box_tolerance = 0.01f, .score_tolerance = 1e-5f};
    size_t size = 0, matched = 0;
    if (!open_values(&c, args[2]))
        return fail(args[2], "has no values.txt");
    qz_status st = open_model(ctx, args[0], args[1], &model, &side);
    if (st != QZ_OK)
        return fail(args[0], qz_context_message(ctx));
    const qzi_detector *d = model->arch->detector;
    float *image = malloc((size_t)3 * (size_t)side * (size_t)side * sizeof(*image));
    const qzi_detect_image shown = {.chw = image, .width = side, .height = side};
    qz_synthetic_unit_image(IMAGE, side, side, image);
    c.pin = count < 5 ? PIN_ALL : strcmp(args[4], "inputs") == 0 ? PIN_INPUTS : PIN_NONE;
    s.graph = model->int8_graph ? model->int8_graph : model->graph;
    st = qzi_model_packed(model, model->int8_graph != NULL, false, QZ_ISA_AUTO, &s.packed);
    qzi_detect_call call = {.ctx = ctx,
                            .graph = s.graph,
                            .detector = d,
                            .options = &model->detection,
                            .classes = model->num_classes,
                            .threads = 1,
                            .yolo = qzi_model_yolo_info(model),
                            .runner = {run_stage, &s}};
    int status = !read_found(&c, d->has_masks, &f);
    float *proposals = read_number(&c, find_value(&c, "proposals"), &size);
    if (st == QZ_OK)
        st = qzi_detect(&call, &shown, &out);
    if (st == QZ_OK && d->kind == QZI_DETECTOR_RCNN) {
        call.rois = proposals;
        call.roi_count = size / sizeof(qzi_box);
        status = !same_proposals(&out, proposals, call.roi_count, args[3]) || status;
        s.pinned[QZI_STAGE_BOX] = true;
        st = qzi_detect(&call, &shown, &out);
    }
    for (size_t i = 0; i < out.count && st == QZ_OK; i++) {
        const size_t k = partner_of(&f, &out.list[i]);
        if (k == SIZE_MAX)
            continue;
        f.taken[k] = true;
        matched++;
    }
    status = !enough("objects", out.count, f.real, matched, args[3]) || status;
    if (st == QZ_OK && d->has_masks) {
        call.rois = f.boxes;
        call.roi_count = f.count;
        call.only_rois = true;
        s.pinned[QZI_STAGE_BOX] = false;
        s.pinned[QZI_STAGE_MASK] = true;
        st = qzi_detect(&call, &shown, &out);
        status = st != QZ_OK || !same_masks(&s, &f) || status;
    }
    if (st != QZ_OK)
        status = fail(args[0], qz_context_message(ctx));
    status = !print_values(&c) || status;
    qzi_detections_free(ctx, &out);
    for (size_t stage = 0; stage < QZI_STAGE_COUNT; stage++)
        qzi_exec_destroy(s.exec[stage]);
    qz_model_destroy(model);
    free(proposals);
    free(image);
    free_found(&f);
    free(c.index);
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
    if (strcmp(command, "export") == 0 && (count == 4 || count == 5))
        status = write_file(ctx, count, args);
    else if (strcmp(command, "input") == 0 && count == 3)
        status = write_input(ctx, args);
    else if (strcmp(command, "rois") == 0 && count == 2)
        status = write_rois(args);
    else if (strcmp(command, "compare") == 0 && count == 4)
        status = compare(ctx, args);
    else if (strcmp(command, "heads") == 0 && (count == 4 || count == 5))
        status = compare_heads(ctx, count, args);
    else
        status = fail("usage", "see the head of check_detections.c");
    qz_context_destroy(ctx);
    return status;
}
