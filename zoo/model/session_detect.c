/* SPDX-License-Identifier: MIT */
/*
 * session_detect.c - sessions of detectors: each image goes through the stages by itself
 * (zoo/detection/detect.h), on one executor a stage.
 */
#include "zoo/model/session_detect.h"
#include "zoo/model/model_detect.h"

#include <string.h>

/* Most names of raw values: a level's two, and the RoI stages'. */
enum { RAW_MAX = 2 * QZI_DETECTOR_LEVELS + 4 };

struct qzi_session_detect {
    qzi_detections *results; /* of each image of the last run; memory is kept for the next */
    size_t count, capacity;
    float *rois; /* qz_session_set_rois; NULL: none */
    size_t roi_count;
    int32_t *classes; /* qz_session_set_classes */
    qzi_yolo_only only;
    char names[RAW_MAX][32];
    qzi_buffer raw[RAW_MAX];
    qz_tensor tensors[RAW_MAX];
    bool made[RAW_MAX]; /* of the last image */
    qz_detection_times times;
};

qz_status qzi_session_detect_create(qz_session *session)
{
    if (!session->model->arch->detector)
        return QZ_OK;
    session->detect = qzi_calloc(session->ctx, 1, sizeof(*session->detect));
    return session->detect ? QZ_OK : QZ_ERR_MEMORY;
}

void qzi_session_detect_destroy(qz_session *session)
{
    struct qzi_session_detect *d = session->detect;
    if (!d)
        return;
    for (size_t i = 0; i < d->capacity; i++)
        qzi_detections_free(session->ctx, &d->results[i]);
    for (size_t i = 0; i < RAW_MAX; i++)
        qzi_free(session->ctx, d->raw[i].data);
    qzi_free(session->ctx, d->results);
    qzi_free(session->ctx, d->rois);
    qzi_free(session->ctx, d->classes);
    qzi_free(session->ctx, d);
}

/* ---- running ---- */

/* A stage's input, and how long its making took. */
typedef struct timed_fill {
    const qzi_exec_input *input;
    double seconds;
} timed_fill;

static void fill_timed(void *user, const qz_context *ctx, const qzi_node *node, const qzk_view *out,
                       uint32_t threads)
{
    timed_fill *timed = user;
    const double start = qzi_now();
    timed->input->fill(timed->input->user, ctx, node, out, threads);
    timed->seconds = qzi_now() - start;
}

static qz_status run_stage(void *user, qzi_detector_stage stage, const qzi_exec_input *input,
                           qzi_exec **exec)
{
    qz_session *s = user;
    qzi_exec_input inputs[QZI_STAGE_COUNT] = {0};
    timed_fill timed = {.input = input};
    *exec = s->exec[stage];
    if (!input)
        return QZ_OK;
    inputs[stage] = *input;
    if (input->fill) {
        inputs[stage].fill = fill_timed;
        inputs[stage].user = &timed;
    }
    s->inputs[stage] = (qzi_shape){input->n, input->h, input->w, 0};
    const double start = qzi_now();
    const qz_status st = qzi_exec_run_inputs(s->exec[stage], inputs, s->graph->input_count);
    qz_detection_times *times = &s->detect->times;
    double *const of_stage[] = {&times->image, &times->box, &times->mask};
    *of_stage[stage] += qzi_now() - start - timed.seconds;
    if (stage == QZI_STAGE_IMAGE)
        times->transform += timed.seconds;
    return st;
}

/* What the stages took of all images so far. */
static double in_stages(const qz_detection_times *times)
{
    return times->transform + times->image + times->box + times->mask;
}

static qzi_detect_call call_of(const qz_session *s)
{
    const struct qzi_session_detect *d = s->detect;
    return (qzi_detect_call){.ctx = s->ctx,
                             .graph = s->graph,
                             .detector = s->model->arch->detector,
                             .options = &s->model->detection,
                             .classes = s->model->num_classes,
                             .threads = s->threads,
                             .runner = {run_stage, (qz_session *)(uintptr_t)s},
                             .yolo = qzi_model_yolo_info(s->model),
                             .only = d->only,
                             .rois = d->rois,
                             .roi_count = d->roi_count};
}

qz_status qzi_session_detect_run(qz_session *session, const qzi_detect_image *image, size_t at,
                                 size_t count)
{
    struct qzi_session_detect *d = session->detect;
    session->ran = false;
    const double start = qzi_now();
    if (at == 0) {
        d->count = 0;
        d->times = (qz_detection_times){0};
    }
    while (d->capacity <= at) {
        const size_t before = d->capacity;
        QZI_TRY(qzi_grow(session->ctx, &d->results, &d->capacity, at, sizeof(*d->results)));
        memset(&d->results[before], 0, (d->capacity - before) * sizeof(*d->results));
    }
    if (image->index == 0)
        memset(session->inputs, 0, sizeof(session->inputs));
    memset(d->made, 0, sizeof(d->made));
    const qzi_detect_call call = call_of(session);
    qz_detection_times *times = &d->times;
    const double before_this = in_stages(times);
    QZI_TRY(qzi_detect(&call, image, &d->results[at]));
    const double stages = in_stages(times) - before_this;
    times->post += qzi_now() - start - stages;
    d->count = at + 1;
    session->ran = d->count == count;
    return QZ_OK;
}

qz_status qzi_session_detect_tensor(qz_session *session, const qz_tensor *images)
{
    if (images->dtype != QZ_F32 || images->ndim != 4 || !images->data || images->dims[1] != 3 ||
        images->dims[0] < 1 || images->dims[2] < 1 || images->dims[3] < 1 ||
        images->dims[0] > INT32_MAX || images->dims[2] > INT32_MAX || images->dims[3] > INT32_MAX ||
        qz_tensor_numel(images) < 0)
        return qzi_fail(session->ctx, QZ_ERR_ARGUMENT,
                        "%s takes float32 images from 0 to 1, N x 3 x H x W, with data",
                        session->model->arch->info.name);
    const size_t each = (size_t)(qz_tensor_numel(images) / images->dims[0]);
    if (!qzi_all_finite(images->data, each * (size_t)images->dims[0]))
        return qzi_fail(session->ctx, QZ_ERR_NUMERIC,
                        "the image has NaN or infinity; check what made it");
    const bool at_once = session->model->arch->detector->kind == QZI_DETECTOR_YOLO;
    for (int64_t i = 0; i < images->dims[0]; i++) {
        qzi_detect_image image = {.chw = (const float *)images->data + (size_t)i * each,
                                  .width = (int32_t)images->dims[3],
                                  .height = (int32_t)images->dims[2]};
        if (at_once) {
            image.batch = (int32_t)images->dims[0];
            image.index = (int32_t)i;
        }
        QZI_TRY(qzi_session_detect_run(session, &image, (size_t)i, (size_t)images->dims[0]));
    }
    return QZ_OK;
}

/* ---- results ---- */

/* The results of an image of the last run. */
static qz_status find_result(const qz_session *session, const char *function, size_t image,
                             const qzi_detections **result)
{
    if (!session)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "%s: session is NULL", function);
    if (!session->detect)
        return qzi_fail(session->ctx, QZ_ERR_UNSUPPORTED, "%s: %s is no detector", function,
                        session->model->arch->info.name);
    if (!session->ran)
        return qzi_fail(session->ctx, QZ_ERR_STATE,
                        "%s: the session has not run, or its last run failed", function);
    if (image >= session->detect->count)
        return qzi_fail(session->ctx, QZ_ERR_ARGUMENT, "%s: there is no image %zu; %zu were run",
                        function, image, session->detect->count);
    *result = &session->detect->results[image];
    return QZ_OK;
}

qz_status qz_session_detections(const qz_session *session, size_t image, const qz_detection **list,
                                size_t *count)
{
    const qzi_detections *result = NULL;
    QZI_TRY(find_result(session, "qz_session_detections", image, &result));
    if (!list || !count)
        return qzi_fail(session->ctx, QZ_ERR_ARGUMENT,
                        "qz_session_detections: list or count is NULL");
    *list = result->list;
    *count = result->count;
    return QZ_OK;
}

qz_status qz_session_detection_times(const qz_session *session, qz_detection_times *times)
{
    const qzi_detections *result = NULL;
    QZI_TRY(find_result(session, "qz_session_detection_times", 0, &result));
    if (!times)
        return qzi_fail(session->ctx, QZ_ERR_ARGUMENT, "qz_session_detection_times: times is NULL");
    *times = session->detect->times;
    return QZ_OK;
}

static qz_status find_mask(const qz_session *session, const char *function, size_t image,
                           size_t index, const void *out, const qzi_detections **result)
{
    QZI_TRY(find_result(session, function, image, result));
    if (!session->model->arch->detector->has_masks)
        return qzi_fail(session->ctx, QZ_ERR_UNSUPPORTED, "%s: %s has no masks", function,
                        session->model->arch->info.name);
    if (!out || index >= (*result)->count)
        return qzi_fail(session->ctx, QZ_ERR_ARGUMENT,
                        "%s: there is no room for the mask, or no detection %zu of %zu", function,
                        index, (*result)->count);
    return QZ_OK;
}

qz_status qz_session_detection_mask(const qz_session *session, size_t image, size_t index,
                                    uint8_t *bytes)
{
    const qzi_detections *result = NULL;
    QZI_TRY(find_mask(session, "qz_session_detection_mask", image, index, bytes, &result));
    return qzi_detect_paste_mask(session->ctx, result, index, NULL, bytes);
}

qz_status qz_session_detection_mask_prob(const qz_session *session, size_t image, size_t index,
                                         float *probabilities)
{
    const qzi_detections *result = NULL;
    QZI_TRY(
        find_mask(session, "qz_session_detection_mask_prob", image, index, probabilities, &result));
    return qzi_detect_paste_mask(session->ctx, result, index, probabilities, NULL);
}

/* The classes in *copy, which the caller frees. */
static qz_status copy_classes(const qz_session *session, const int32_t *classes, size_t count,
                              int32_t **copy)
{
    *copy = qzi_calloc(session->ctx, QZI_MAX(count, (size_t)1), sizeof(**copy));
    if (!*copy)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        (*copy)[i] = classes[i];
        if (classes[i] < 0 || classes[i] >= session->model->num_classes)
            return qzi_fail(session->ctx, QZ_ERR_ARGUMENT,
                            "qz_session_set_classes: there is no class %d; %s has 0 to %d",
                            classes[i], session->model->arch->info.name,
                            session->model->num_classes - 1);
    }
    return QZ_OK;
}

qz_status qz_session_set_classes(qz_session *session, const int32_t *classes, size_t count)
{
    const char *function = "qz_session_set_classes";
    int32_t *copy = NULL;
    if (!session)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "%s: session is NULL", function);
    if (!session->detect || session->model->arch->detector->kind != QZI_DETECTOR_YOLO)
        return qzi_fail(session->ctx, QZ_ERR_UNSUPPORTED, "%s: %s is no YOLO", function,
                        session->model->arch->info.name);
    if (classes) {
        const qz_status st = copy_classes(session, classes, count, &copy);
        if (st != QZ_OK) {
            qzi_free(session->ctx, copy);
            return st;
        }
    }
    qzi_free(session->ctx, session->detect->classes);
    session->detect->classes = copy;
    session->detect->only = (qzi_yolo_only){copy, count, copy != NULL};
    return QZ_OK;
}

qz_status qz_session_set_rois(qz_session *session, const float *boxes, size_t count)
{
    const char *function = "qz_session_set_rois";
    if (!session || (!boxes && count > 0))
        return qzi_fail(session ? session->ctx : NULL, QZ_ERR_ARGUMENT,
                        "%s: session is NULL, or there is a count but no boxes", function);
    if (!session->detect || session->model->arch->detector->kind != QZI_DETECTOR_RCNN)
        return qzi_fail(session->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: only Faster R-CNN and Mask R-CNN have a stage for boxes", function);
    struct qzi_session_detect *d = session->detect;
    qzi_free(session->ctx, d->rois);
    d->rois = NULL;
    d->roi_count = 0;
    session->ran = false;
    if (!boxes)
        return QZ_OK;
    size_t bytes;
    if (count < 1 || count > INT32_MAX || !qzi_mul_size(count, 4 * sizeof(float), &bytes))
        return qzi_fail(session->ctx, QZ_ERR_ARGUMENT, "%s: %zu boxes", function, count);
    if (!qzi_all_finite(boxes, count * 4))
        return qzi_fail(session->ctx, QZ_ERR_NUMERIC, "%s: a box has NaN or infinity", function);
    d->rois = qzi_alloc(session->ctx, bytes);
    if (!d->rois)
        return QZ_ERR_MEMORY;
    memcpy(d->rois, boxes, bytes);
    d->roi_count = count;
    return QZ_OK;
}

/* ---- raw values ---- */

size_t qzi_session_detect_output_count(const qz_session *session)
{
    const qzi_detect_call call = call_of(session);
    return QZI_MIN(qzi_detect_raw_count(&call), (size_t)RAW_MAX);
}

qz_status qzi_session_detect_output(const qz_session *session, size_t index, const char **name,
                                    const qz_tensor **tensor)
{
    struct qzi_session_detect *d = session->detect;
    const qzi_detect_call call = call_of(session);
    const qzi_detections *last = d->count > 0 ? &d->results[d->count - 1] : NULL;
    qz_tensor *t = &d->tensors[index];
    if (!session->ran && tensor)
        return qzi_fail(session->ctx, QZ_ERR_STATE,
                        "the session has no output: it has not run, or its last run failed");
    if (!tensor || !d->made[index]) {
        QZI_TRY(qzi_detect_raw(&call, session->ran ? last : NULL, session->exec, index,
                               d->names[index], t, NULL));
        if (name)
            *name = d->names[index];
    }
    if (!tensor)
        return QZ_OK;
    if (!d->made[index]) {
        const size_t count = (size_t)qz_tensor_numel(t);
        QZI_TRY(qzi_buffer_reserve(session->ctx, &d->raw[index], QZI_MAX(count, (size_t)1),
                                   sizeof(float)));
        t->data = d->raw[index].data;
        QZI_TRY(qzi_detect_raw(&call, last, session->exec, index, d->names[index], t, t->data));
        t->data = d->raw[index].data;
        d->made[index] = true;
    }
    if (name)
        *name = d->names[index];
    *tensor = t;
    return QZ_OK;
}
