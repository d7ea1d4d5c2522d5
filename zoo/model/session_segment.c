/* SPDX-License-Identifier: MIT */
/*
 * session_segment.c - class maps: the class with the highest score at each pixel, in the size of
 * the caller's image.
 */
#include "zoo/model/session_segment.h"
#include "zoo/qzoo_segmentation.h"

#include <string.h>

enum { CLASSES_MAX = 256 }; /* a map has a byte a pixel */

struct qzi_segments {
    qz_segmentation *list;
    size_t count, capacity;
};

bool qzi_is_segmenter(const qz_model *model)
{
    return strcmp(model->arch->info.task, "segmentation") == 0;
}

void qzi_segments_clear(qz_session *session)
{
    struct qzi_segments *s = session->segments;
    for (size_t i = 0; s && i < s->count; i++)
        qzi_free(session->ctx, (void *)(uintptr_t)s->list[i].pixels);
    if (s)
        qzi_free(session->ctx, s->list);
    qzi_free(session->ctx, s);
    session->segments = NULL;
}

/* The best class of each pixel of a row: planes of `plane` scores, one a class. */
static void best_classes(const float *scores, size_t plane, int32_t count, int32_t width,
                         float *best, uint8_t *classes)
{
    memcpy(best, scores, (size_t)width * sizeof(*best));
    memset(classes, 0, (size_t)width);
    for (int32_t c = 1; c < count; c++) {
        const float *x = scores + (size_t)c * plane;
        for (int32_t i = 0; i < width; i++) {
            const bool better = x[i] > best[i];
            best[i] = better ? x[i] : best[i];
            classes[i] = better ? (uint8_t)c : classes[i];
        }
    }
}

/* The nearest pixel, by centres. */
static int32_t nearest(int32_t at, int32_t in, int32_t out)
{
    return (int32_t)(((2 * (int64_t)at + 1) * in) / (2 * (int64_t)out));
}

/* The map of h x w scores, map->height x map->width. */
static qz_status fill_map(const qz_context *ctx, const float *scores, int32_t h, int32_t w,
                          const qz_segmentation *map, uint8_t *classes, int64_t *pixels)
{
    float *best = qzi_alloc(ctx, (size_t)w * (sizeof(*best) + 1));
    if (!best)
        return QZ_ERR_MEMORY;
    uint8_t *row = (uint8_t *)(best + w);
    int32_t done = -1;
    for (int32_t y = 0; y < map->height; y++, classes += map->width) {
        const int32_t from = nearest(y, h, map->height);
        if (from != done)
            best_classes(scores + (size_t)from * (size_t)w, (size_t)h * (size_t)w, map->num_classes,
                         w, best, row);
        done = from;
        for (int32_t x = 0; x < map->width; x++) {
            classes[x] = row[map->width == w ? x : nearest(x, w, map->width)];
            pixels[classes[x]]++;
        }
    }
    qzi_free(ctx, best);
    return QZ_OK;
}

static qz_status check_scores(const qz_session *s, const qz_tensor *scores)
{
    if (!qzi_is_segmenter(s->model))
        return qzi_fail(s->ctx, QZ_ERR_UNSUPPORTED, "%s is no segmenter: it has no class map",
                        s->model->arch->info.name);
    if (s->model->num_classes > CLASSES_MAX)
        return qzi_fail(s->ctx, QZ_ERR_UNSUPPORTED, "%s has %d classes; class maps have at most %d",
                        s->model->arch->info.name, (int)s->model->num_classes, CLASSES_MAX);
    if (scores->ndim != 4 || scores->dims[1] != s->model->num_classes)
        return qzi_fail(s->ctx, QZ_ERR_STATE,
                        "the session's first output, %s, is not the scores of the classes",
                        s->graph->outputs[0].name);
    return QZ_OK;
}

/* One block: the numbers of pixels, then the classes. */
static qz_status make_map(const qz_session *s, const float *scores, int32_t h, int32_t w,
                          qz_segmentation *map)
{
    *map = (qz_segmentation){.width = s->source_w > 0 ? s->source_w : w,
                             .height = s->source_h > 0 ? s->source_h : h,
                             .num_classes = s->model->num_classes};
    size_t bytes;
    if (!qzi_mul_size((size_t)map->width, (size_t)map->height, &bytes) ||
        bytes > SIZE_MAX - CLASSES_MAX * sizeof(int64_t))
        return qzi_fail_memory(s->ctx, SIZE_MAX);
    int64_t *pixels = qzi_alloc(s->ctx, bytes + CLASSES_MAX * sizeof(*pixels));
    if (!pixels)
        return QZ_ERR_MEMORY;
    memset(pixels, 0, CLASSES_MAX * sizeof(*pixels));
    uint8_t *classes = (uint8_t *)(pixels + CLASSES_MAX);
    const qz_status st = fill_map(s->ctx, scores, h, w, map, classes, pixels);
    if (st != QZ_OK) {
        qzi_free(s->ctx, pixels);
        return st;
    }
    map->pixels = pixels;
    map->classes = classes;
    return QZ_OK;
}

/* A list of at least `count` maps, those behind the known ones empty. */
static qz_status reserve(qz_session *session, size_t count)
{
    if (!session->segments)
        session->segments = qzi_calloc(session->ctx, 1, sizeof(*session->segments));
    if (!session->segments)
        return QZ_ERR_MEMORY;
    struct qzi_segments *s = session->segments;
    while (s->count < count) {
        QZI_TRY(qzi_grow(session->ctx, &s->list, &s->capacity, s->count, sizeof(*s->list)));
        s->list[s->count++] = (qz_segmentation){0};
    }
    return QZ_OK;
}

qz_status qzi_segments_add(qz_session *session, size_t at, const float *scores,
                           const qz_tensor *shape)
{
    const size_t numel = (size_t)(shape->dims[1] * shape->dims[2] * shape->dims[3]);
    QZI_TRY(check_scores(session, shape));
    if (!qzi_all_finite(scores, numel))
        return qzi_fail(session->ctx, QZ_ERR_NUMERIC,
                        "%s of image %zu has NaN or infinity: numbers grew too large; check the "
                        "image's values and the weights",
                        session->graph->outputs[0].name, at);
    QZI_TRY(reserve(session, at + 1));
    return make_map(session, scores, (int32_t)shape->dims[2], (int32_t)shape->dims[3],
                    &session->segments->list[at]);
}

/* Where image `image` has its scores in the session's output; NULL: they are gone. */
static const float *scores_of(const qz_session *s, size_t image)
{
    const qz_tensor *t = &s->out_tensor[0];
    const size_t each = (size_t)(t->dims[1] * t->dims[2] * t->dims[3]);
    if (s->mixed)
        return image + 1 == s->segments->count ? t->data : NULL;
    return image < (size_t)t->dims[0] ? (const float *)t->data + image * each : NULL;
}

static qz_status check_call(const qz_session *session, const char *function, bool results)
{
    if (!session || !results)
        return qzi_fail(session ? session->ctx : NULL, QZ_ERR_ARGUMENT,
                        "%s: session or result is NULL", function);
    if (!qzi_is_segmenter(session->model)) /* a detector's outputs are others */
        return qzi_fail(session->ctx, QZ_ERR_UNSUPPORTED, "%s is no segmenter: it has no class map",
                        session->model->arch->info.name);
    if (!session->ran)
        return qzi_fail(session->ctx, QZ_ERR_STATE,
                        "the session has no class map: it has not run, or its last run failed");
    return check_scores(session, &session->out_tensor[0]);
}

qz_status qz_session_segmentation(qz_session *session, size_t image,
                                  const qz_segmentation **segmentation)
{
    QZI_TRY(check_call(session, "qz_session_segmentation", segmentation != NULL));
    const bool known = session->segments && image < session->segments->count &&
                       session->segments->list[image].classes;
    if (!known) {
        const float *scores = session->mixed ? NULL : scores_of(session, image);
        if (!scores)
            return qzi_fail(session->ctx, QZ_ERR_ARGUMENT, "the last run had no image %zu", image);
        const qz_tensor *t = &session->out_tensor[0];
        QZI_TRY(reserve(session, image + 1));
        QZI_TRY(make_map(session, scores, (int32_t)t->dims[2], (int32_t)t->dims[3],
                         &session->segments->list[image]));
    }
    *segmentation = &session->segments->list[image];
    return QZ_OK;
}

qz_status qz_session_segmentation_probabilities(qz_session *session, size_t image, int32_t x,
                                                int32_t y, float *probabilities)
{
    const qz_segmentation *map;
    QZI_TRY(check_call(session, "qz_session_segmentation_probabilities", probabilities != NULL));
    QZI_TRY(qz_session_segmentation(session, image, &map));
    if (x < 0 || y < 0 || x >= map->width || y >= map->height)
        return qzi_fail(session->ctx, QZ_ERR_ARGUMENT, "the class map of %dx%d has no pixel %d, %d",
                        (int)map->width, (int)map->height, (int)x, (int)y);
    const float *scores = scores_of(session, image);
    if (!scores)
        return qzi_fail(session->ctx, QZ_ERR_STATE,
                        "the scores of image %zu are gone: only the last image of several sizes "
                        "has them; run it alone",
                        image);
    const qz_tensor *t = &session->out_tensor[0];
    const int32_t h = (int32_t)t->dims[2], w = (int32_t)t->dims[3];
    const size_t plane = (size_t)h * (size_t)w;
    scores += (size_t)nearest(y, h, map->height) * (size_t)w + (size_t)nearest(x, w, map->width);
    /* in double and in order of the classes, as qz_topk */
    double max = (double)scores[0], sum = 0.0;
    for (int32_t c = 1; c < map->num_classes; c++)
        max = QZI_MAX(max, (double)scores[(size_t)c * plane]);
    qzi_fpenv env = qzi_fpenv_enter();
    for (int32_t c = 0; c < map->num_classes; c++)
        sum += qzi_math_exp((double)scores[(size_t)c * plane] - max);
    for (int32_t c = 0; c < map->num_classes; c++)
        probabilities[c] = (float)(qzi_math_exp((double)scores[(size_t)c * plane] - max) / sum);
    qzi_fpenv_leave(env);
    return QZ_OK;
}
