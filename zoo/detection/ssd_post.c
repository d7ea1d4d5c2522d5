/* SPDX-License-Identifier: MIT */
/* ssd_post.c - SSD.postprocess_detections: softmax, top-k of each class, NMS. */
#include "zoo/detection/post.h"

typedef struct job {
    const qzi_post *post;
    const qzi_map *cls;
    float limit; /* of qzi_softmax_may_pass */
    double table[QZI_DETECTOR_LEVELS][256];
    float *scores; /* anchors x classes; the background's is -1 where no class can pass */
} job;

/* The level of an anchor of all levels. */
static int32_t level_of(const qzi_anchors *anchors, int64_t anchor)
{
    int32_t k = 0;
    while (k + 1 < anchors->levels && anchor >= anchors->level[k + 1].first)
        k++;
    return k;
}

static void softmax_anchors(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const job *j = arg;
    const qzi_post *post = j->post;
    const int32_t classes = post->classes;
    (void)thread;
    for (int64_t a = begin; a < end; a++) {
        const int32_t k = level_of(post->anchors, a);
        const qzi_anchor_level *level = &post->anchors->level[k];
        const int64_t pixel = (a - level->first) / level->count;
        const int32_t first = (int32_t)((a - level->first) % level->count) * classes;
        float *scores = j->scores + a * classes;
        if (qzi_softmax_may_pass(&j->cls[k], pixel, first, classes, j->limit))
            qzi_softmax(&j->cls[k], j->table[k], pixel, first, classes, scores);
        else
            scores[0] = -1.0f;
    }
}

static qz_status add_class(const qzi_post *post, const qzi_map *box, const float *scores,
                           int32_t label, qzi_top_k *top, qzi_found *found)
{
    const qzi_anchors *anchors = post->anchors;
    for (int64_t a = 0; a < anchors->count; a++, scores += post->classes)
        if (scores[0] >= 0.0f)
            qzi_top_k_add(top, scores[label], (uint32_t)a);
    qzi_top_k_finish(top);
    QZI_TRY(qzi_found_reserve(post->ctx, found, top->count));
    for (size_t i = 0; i < top->count; i++) {
        const int64_t a = qzi_rank_index(top->list[i]);
        const int32_t k = level_of(anchors, a);
        const int64_t index = a - anchors->level[k].first;
        const int32_t at_place = anchors->level[k].count;
        float delta[4];
        qzi_map_box(&box[k], index / at_place, (int32_t)(index % at_place) * 4, delta);
        const qzi_box b =
            qzi_box_decode(delta, qzi_anchor_at(anchors, k, index), post->detector->box_weights);
        qzi_found_add(found, qzi_box_clip(b, post->image_h, post->image_w),
                      qzi_rank_score(top->list[i]), label);
    }
    return QZ_OK;
}

qz_status qzi_ssd_post(const qzi_post *post, const qzi_map *cls, const qzi_map *box,
                       qzi_found *found)
{
    const qz_detection_options *o = post->options;
    const int64_t anchors = post->anchors->count;
    job j = {.post = post, .cls = cls, .limit = qzi_logit_below(o->score_thresh)};
    size_t values;
    found->count = 0;
    if (anchors > (int64_t)UINT32_MAX ||
        !qzi_mul_size((size_t)anchors, (size_t)post->classes, &values))
        return qzi_fail_memory(post->ctx, SIZE_MAX);
    j.scores = qzi_calloc(post->ctx, values, sizeof(*j.scores));
    if (!j.scores)
        return QZ_ERR_MEMORY;
    for (int32_t k = 0; k < post->detector->levels; k++)
        qzi_softmax_prepare(&cls[k], j.table[k]);
    qzi_parallel(post->ctx, post->threads, anchors, 64, softmax_anchors, &j);
    qz_status st = QZ_OK;
    for (int32_t label = 1; label < post->classes && st == QZ_OK; label++) {
        const size_t k = QZI_MIN((size_t)o->topk_candidates, (size_t)anchors);
        qzi_top_k top;
        st = qzi_top_k_init(post->ctx, &top, k, (float)o->score_thresh);
        if (st == QZ_OK)
            st = add_class(post, box, j.scores, label, &top, found);
        qzi_top_k_free(post->ctx, &top);
    }
    qzi_free(post->ctx, j.scores);
    if (st != QZ_OK)
        return st;
    return qzi_found_suppress(post, found, o->nms_thresh, (size_t)o->detections_per_img);
}
