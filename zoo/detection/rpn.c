/* SPDX-License-Identifier: MIT */
/* rpn.c - RegionProposalNetwork.filter_proposals: top-k of each level, decoding, NMS by level. */
#include "zoo/detection/post.h"

#include <math.h>

/* proposals smaller than this are removed */
#define MIN_SIZE 1e-3f

static void scan(const void *arg, int32_t level, int64_t begin, int64_t end, qzi_top_k *top)
{
    const qzi_map *map = (const qzi_map *)arg + level;
    const int32_t c = map->view.c;
    for (int64_t p = begin; p < end; p++)
        for (int32_t a = 0; a < c; a++)
            qzi_top_k_add(top, qzi_map_at(map, p, a), (uint32_t)(p * c + a));
}

static qz_status add_level(const qzi_post *post, const qzi_map *deltas, int32_t level,
                           const qzi_top_k *top, qzi_found *found)
{
    static const float weights[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    const int32_t at_place = post->anchors->level[level].count;
    const float threshold = (float)post->options->rpn_score_thresh;
    QZI_TRY(qzi_found_reserve(post->ctx, found, top->count));
    for (size_t i = 0; i < top->count; i++) {
        const int64_t anchor = qzi_rank_index(top->list[i]);
        const float score = qzi_sigmoid(qzi_rank_score(top->list[i]));
        float delta[4];
        qzi_map_box(deltas, anchor / at_place, (int32_t)(anchor % at_place) * 4, delta);
        const qzi_box b = qzi_box_clip(
            qzi_box_decode(delta, qzi_anchor_at(post->anchors, level, anchor), weights),
            post->image_h, post->image_w);
        if (qzi_box_large(b, MIN_SIZE) && score >= threshold)
            qzi_found_add(found, b, score, level);
    }
    return QZ_OK;
}

qz_status qzi_rpn_filter(const qzi_post *post, const qzi_map *objectness, const qzi_map *deltas,
                         qzi_found *found)
{
    const qz_detection_options *o = post->options;
    found->count = 0;
    for (int32_t k = 0; k < post->detector->levels; k++) {
        const qzi_map *map = &objectness[k];
        qzi_top_k top;
        qz_status st = qzi_level_top_k(post, scan, objectness, k, qzi_map_pixels(map), map->view.c,
                                       (size_t)o->rpn_pre_nms_top_n_test, -INFINITY, &top);
        if (st == QZ_OK)
            st = add_level(post, &deltas[k], k, &top, found);
        qzi_top_k_free(post->ctx, &top);
        if (st != QZ_OK)
            return st;
    }
    return qzi_found_suppress(post, found, o->rpn_nms_thresh, (size_t)o->rpn_post_nms_top_n_test);
}
