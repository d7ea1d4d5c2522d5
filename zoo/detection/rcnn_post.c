/* SPDX-License-Identifier: MIT */
/*
 * rcnn_post.c - RoIHeads.postprocess_detections: softmax, a box for each class, thresholds, NMS.
 */
#include "zoo/detection/post.h"

/* boxes smaller than this are removed */
#define MIN_SIZE 1e-2f

typedef struct job {
    const qzi_post *post;
    const qzi_map *logits;
    float limit; /* of qzi_softmax_may_pass */
    double table[256];
    float *scores; /* RoIs x classes; the background's is -1 where no class can pass */
} job;

static void softmax_rois(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const job *j = arg;
    const int32_t classes = j->post->classes;
    (void)thread;
    for (int64_t r = begin; r < end; r++) {
        float *scores = j->scores + r * classes;
        if (qzi_softmax_may_pass(j->logits, r, 0, classes, j->limit))
            qzi_softmax(j->logits, j->table, r, 0, classes, scores);
        else
            scores[0] = -1.0f;
    }
}

static qz_status add_roi(const qzi_post *post, const float *scores, const qzi_map *deltas,
                         int64_t roi, qzi_box proposal, qzi_found *found)
{
    const float threshold = (float)post->options->box_score_thresh;
    QZI_TRY(qzi_found_reserve(post->ctx, found, (size_t)post->classes));
    for (int32_t label = 1; label < post->classes; label++) {
        float delta[4];
        if (!(scores[label] > threshold))
            continue;
        qzi_map_box(deltas, roi, label * 4, delta);
        const qzi_box b = qzi_box_clip(qzi_box_decode(delta, proposal, post->detector->box_weights),
                                       post->image_h, post->image_w);
        if (qzi_box_large(b, MIN_SIZE))
            qzi_found_add(found, b, scores[label], label);
    }
    return QZ_OK;
}

qz_status qzi_rcnn_post(const qzi_post *post, const qzi_map *logits, const qzi_map *deltas,
                        const qzi_box *rois, qzi_found *found)
{
    const qz_detection_options *o = post->options;
    const int64_t count = qzi_map_pixels(logits);
    job j = {.post = post, .logits = logits, .limit = qzi_logit_below(o->box_score_thresh)};
    size_t values;
    found->count = 0;
    if (!qzi_mul_size((size_t)count, (size_t)post->classes, &values))
        return qzi_fail_memory(post->ctx, SIZE_MAX);
    j.scores = qzi_calloc(post->ctx, values, sizeof(*j.scores));
    if (!j.scores)
        return QZ_ERR_MEMORY;
    qzi_softmax_prepare(logits, j.table);
    qzi_parallel(post->ctx, post->threads, count, 16, softmax_rois, &j);
    qz_status st = QZ_OK;
    for (int64_t r = 0; r < count && st == QZ_OK; r++) {
        const float *scores = j.scores + r * post->classes;
        if (scores[0] >= 0.0f)
            st = add_roi(post, scores, deltas, r, rois[r], found);
    }
    qzi_free(post->ctx, j.scores);
    if (st != QZ_OK)
        return st;
    return qzi_found_suppress(post, found, o->box_nms_thresh, (size_t)o->box_detections_per_img);
}
