/* SPDX-License-Identifier: MIT */
/* yolo_nms.c - which rows are candidates, and which of the candidates stay: ultralytics' rules. */
#include "zoo/detection/yolo.h"

bool qzi_yolo_wants(const qzi_yolo_only *only, int32_t c)
{
    if (!only || !only->on)
        return true;
    for (size_t i = 0; i < only->count; i++)
        if (only->classes[i] == c)
            return true;
    return false;
}

/* ---- suppression ---- */

/* The best topk_candidates, in order of scores: their numbers into *order. */
static void pick_best(const qzi_found *found, size_t most, qzi_ranked *ranked, size_t *count)
{
    for (size_t i = 0; i < found->count; i++)
        ranked[i] = qzi_rank(found->scores[i], (uint32_t)i);
    qzi_rank_sort(ranked, found->count);
    *count = QZI_MIN(found->count, most);
}

static qz_status suppress_best(const qz_context *ctx, uint32_t threads,
                               const qz_detection_options *options, const qzi_found *found,
                               size_t count, const qzi_ranked *ranked, uint32_t *keep, size_t *kept)
{
    qzi_found best = {0};
    qz_status st = qzi_found_reserve(ctx, &best, count); /* may have made some arrays of several */
    for (size_t i = 0; st == QZ_OK && i < count; i++) {
        const uint32_t from = qzi_rank_index(ranked[i]);
        qzi_found_add(&best, found->boxes[from], found->scores[from], found->labels[from]);
    }
    if (st == QZ_OK)
        st = qzi_grouped_nms(ctx, threads, best.boxes, best.scores,
                             options->agnostic ? NULL : best.labels, best.count,
                             options->nms_thresh, (size_t)options->detections_per_img, keep, kept);
    for (size_t i = 0; st == QZ_OK && i < *kept; i++)
        keep[i] = qzi_rank_index(ranked[keep[i]]);
    qzi_found_free(ctx, &best);
    return st;
}

qz_status qzi_yolo_suppress(const qz_context *ctx, uint32_t threads,
                            const qz_detection_options *options, const qzi_found *found,
                            uint32_t **keep, size_t *kept)
{
    size_t count = 0;
    *keep = NULL;
    *kept = 0;
    if (found->count == 0)
        return QZ_OK;
    if (found->count > UINT32_MAX)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "detector: %zu candidates are too many; use a higher score_thresh",
                        found->count);
    *keep = qzi_calloc(ctx, found->count, sizeof(**keep));
    qzi_ranked *ranked = qzi_calloc(ctx, found->count, sizeof(*ranked));
    qz_status st = *keep && ranked ? QZ_OK : QZ_ERR_MEMORY;
    if (st == QZ_OK) {
        pick_best(found, (size_t)options->topk_candidates, ranked, &count);
        st = suppress_best(ctx, threads, options, found, count, ranked, *keep, kept);
    }
    qzi_free(ctx, ranked);
    if (st != QZ_OK) {
        qzi_free(ctx, *keep);
        *keep = NULL;
        *kept = 0;
    }
    return st;
}

/* ---- rows ---- */

typedef struct candidates {
    qzi_found found;
    size_t *rows; /* of each */
    size_t row_room;
} candidates;

static qz_status add(const qz_context *ctx, candidates *c, const float *row, size_t number,
                     float score, int32_t label)
{
    QZI_TRY(qzi_found_reserve(ctx, &c->found, 1));
    QZI_TRY(qzi_grow(ctx, &c->rows, &c->row_room, c->found.count, sizeof(*c->rows)));
    c->rows[c->found.count] = number;
    qzi_found_add(&c->found, qzi_yolo_corners(row), score, label);
    return QZ_OK;
}

static qz_status scan_row(const qz_context *ctx, const qz_detection_options *options,
                          const qzi_yolo_only *only, const float *row, size_t number,
                          int32_t classes, candidates *c)
{
    const float limit = (float)options->score_thresh;
    float best = 0.0f;
    int32_t label = -1;
    if (!(row[4] > limit))
        return QZ_OK;
    for (int32_t k = 0; k < classes; k++) {
        const float score = row[5 + k] * row[4];
        if (options->multi_label && score > limit && qzi_yolo_wants(only, k))
            QZI_TRY(add(ctx, c, row, number, score, k));
        if (label < 0 || score > best) {
            best = score;
            label = k;
        }
    }
    if (options->multi_label || !(best > limit) || !qzi_yolo_wants(only, label))
        return QZ_OK;
    return add(ctx, c, row, number, best, label);
}

static qz_status write_list(const qz_context *ctx, const qz_detection_options *options,
                            const candidates *c, qz_detection *list, size_t *row_of, size_t *count)
{
    uint32_t *keep;
    QZI_TRY(qzi_yolo_suppress(ctx, 1, options, &c->found, &keep, count));
    for (size_t i = 0; i < *count; i++) {
        const uint32_t k = keep[i];
        const qzi_box b = c->found.boxes[k];
        list[i] = (qz_detection){b.x1, b.y1, b.x2, b.y2, c->found.scores[k], c->found.labels[k]};
        if (row_of)
            row_of[i] = c->rows[k];
    }
    qzi_free(ctx, keep);
    return QZ_OK;
}

qz_status qz_yolo_nms(qz_context *context, const float *rows, size_t row_count, int32_t classes,
                      const qz_detection_options *options, const int32_t *only, size_t only_count,
                      qz_detection *list, size_t *row_of, size_t *count)
{
    if ((!rows && row_count > 0) || !options || !list || !count || classes < 1 ||
        classes > INT32_MAX - 5)
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_yolo_nms: rows, options, list or count is NULL, or there is no class");
    if (options->detections_per_img < 1 || options->topk_candidates < 1 ||
        !(options->nms_thresh >= 0.0) || !(options->score_thresh >= 0.0))
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_yolo_nms: a setting makes no sense; begin with "
                        "qz_detection_options_default");
    const qzi_yolo_only filter = {only, only_count, only != NULL};
    candidates c = {0};
    qz_status st = QZ_OK;
    *count = 0;
    qzi_fpenv env = qzi_fpenv_enter();
    for (size_t i = 0; i < row_count && st == QZ_OK; i++)
        st = scan_row(context, options, &filter, rows + i * ((size_t)classes + 5), i, classes, &c);
    if (st == QZ_OK)
        st = write_list(context, options, &c, list, row_of, count);
    qzi_fpenv_leave(env);
    qzi_found_free(context, &c.found);
    qzi_free(context, c.rows);
    return st;
}
