/* SPDX-License-Identifier: MIT */
/* ssd_post.c - SSD.postprocess_detections: softmax, top-k of each class, NMS. */
#include "zoo/detection/post.h"

typedef struct job {
    const qzi_post *post;
    const qzi_map *cls;
    float limit; /* of qzi_softmax_may_pass */
    double table[QZI_DETECTOR_LEVELS][256];
    const qzi_map *box;
    qzi_box *boxes; /* of anchors of which a class can pass */
    float *scores;  /* anchors x classes; the background's is -1 where no class can pass */
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
        float *scores = j->scores + a * classes, delta[4];
        if (!qzi_softmax_may_pass(&j->cls[k], pixel, first, classes, j->limit)) {
            scores[0] = -1.0f;
            continue;
        }
        qzi_softmax(&j->cls[k], j->table[k], pixel, first, classes, scores);
        qzi_map_box(&j->box[k], pixel, first / classes * 4, delta);
        const qzi_box b = qzi_box_decode(delta, qzi_anchor_at(post->anchors, k, a - level->first),
                                         post->detector->box_weights);
        j->boxes[a] = qzi_box_clip(b, post->image_h, post->image_w);
    }
}

/* The best scores of each class but the background, from one pass over all scores. */
static void rank_classes(const job *j, qzi_top_k *tops)
{
    const int32_t classes = j->post->classes;
    const float *scores = j->scores;
    for (int64_t a = 0; a < j->post->anchors->count; a++, scores += classes)
        if (scores[0] >= 0.0f)
            for (int32_t label = 1; label < classes; label++)
                qzi_top_k_add(&tops[label], scores[label], (uint32_t)a);
}

static qz_status add_class(const job *j, int32_t label, qzi_top_k *top, qzi_found *found)
{
    qzi_top_k_finish(top);
    QZI_TRY(qzi_found_reserve(j->post->ctx, found, top->count));
    for (size_t i = 0; i < top->count; i++)
        qzi_found_add(found, j->boxes[qzi_rank_index(top->list[i])], qzi_rank_score(top->list[i]),
                      label);
    return QZ_OK;
}

static qz_status find_classes(const job *j, qzi_found *found)
{
    const qzi_post *post = j->post;
    const int32_t classes = post->classes;
    const size_t k = (size_t)QZI_MIN((int64_t)post->options->topk_candidates, post->anchors->count);
    qzi_top_k *tops = qzi_calloc(post->ctx, (size_t)classes, sizeof(*tops));
    qz_status st = tops ? QZ_OK : QZ_ERR_MEMORY;
    for (int32_t label = 1; label < classes && st == QZ_OK; label++)
        st = qzi_top_k_init(post->ctx, &tops[label], k, (float)post->options->score_thresh);
    if (st == QZ_OK)
        rank_classes(j, tops);
    for (int32_t label = 1; label < classes && st == QZ_OK; label++)
        st = add_class(j, label, &tops[label], found);
    for (int32_t label = 1; tops && label < classes; label++)
        qzi_top_k_free(post->ctx, &tops[label]);
    qzi_free(post->ctx, tops);
    return st;
}

qz_status qzi_ssd_post(const qzi_post *post, const qzi_map *cls, const qzi_map *box,
                       qzi_found *found)
{
    const qz_detection_options *o = post->options;
    const int64_t anchors = post->anchors->count;
    job j = {.post = post, .cls = cls, .box = box, .limit = qzi_logit_below(o->score_thresh)};
    size_t bytes;
    found->count = 0;
    if (anchors > (int64_t)UINT32_MAX ||
        !qzi_mul_size((size_t)anchors, (size_t)post->classes * sizeof(*j.scores), &bytes))
        return qzi_fail_memory(post->ctx, SIZE_MAX);
    j.scores = qzi_alloc(post->ctx, bytes);
    j.boxes = qzi_alloc(post->ctx, (size_t)anchors * sizeof(*j.boxes));
    qz_status st = j.scores && j.boxes ? QZ_OK : QZ_ERR_MEMORY;
    for (int32_t k = 0; k < post->detector->levels; k++)
        qzi_softmax_prepare(&cls[k], j.table[k]);
    if (st == QZ_OK) {
        qzi_parallel(post->ctx, post->threads, anchors, 64, softmax_anchors, &j);
        st = find_classes(&j, found);
    }
    qzi_free(post->ctx, j.boxes);
    qzi_free(post->ctx, j.scores);
    if (st != QZ_OK)
        return st;
    return qzi_found_suppress(post, found, o->nms_thresh, (size_t)o->detections_per_img);
}
