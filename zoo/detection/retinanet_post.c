/* SPDX-License-Identifier: MIT */
/* retinanet_post.c - RetinaNet.postprocess_detections: sigmoid, top-k of each level, NMS. */
#include "zoo/detection/post.h"

#include <math.h>

typedef struct family {
    const qzi_map *cls;
    float sigmoid[QZI_DETECTOR_LEVELS][256]; /* of the bytes of uint8 maps */
} family;

static void scan_f32(const qzk_view *v, int64_t pixel, qzi_top_k *top, float *limit, float *of_bar)
{
    const float *x = (const float *)v->data + pixel * v->pixel_stride;
    const size_t count = (size_t)v->c;
    for (size_t i = 0;; i++) {
        if (*of_bar != top->bar_score) {
            *of_bar = top->bar_score;
            *limit = qzi_logit_below((double)*of_bar);
        }
        i = qzi_next_f32(x, i, count, *limit);
        if (i >= count)
            return;
        qzi_top_k_add(top, qzi_sigmoid(x[i]), (uint32_t)((size_t)pixel * count + i));
    }
}

static void scan_u8(const qzk_view *v, const float *sigmoid, int64_t pixel, qzi_top_k *top,
                    int32_t *limit, float *of_bar)
{
    const uint8_t *x = (const uint8_t *)v->data + pixel * v->pixel_stride;
    const size_t count = (size_t)v->c;
    for (size_t i = 0;; i++) {
        if (*of_bar != top->bar_score) {
            *of_bar = top->bar_score;
            for (*limit = 0; *limit < 256 && sigmoid[*limit] < *of_bar;)
                ++*limit;
        }
        i = qzi_next_u8(x, i, count, *limit);
        if (i >= count)
            return;
        qzi_top_k_add(top, sigmoid[x[i]], (uint32_t)((size_t)pixel * count + i));
    }
}

static void scan(const void *arg, int32_t level, int64_t begin, int64_t end, qzi_top_k *top)
{
    const family *f = arg;
    const qzi_map *map = &f->cls[level];
    float of_bar = NAN, limit = 0.0f;
    int32_t byte_limit = 0;
    for (int64_t p = begin; p < end; p++) {
        if (qzi_map_is_u8(map))
            scan_u8(&map->view, f->sigmoid[level], p, top, &byte_limit, &of_bar);
        else
            scan_f32(&map->view, p, top, &limit, &of_bar);
    }
}

static qz_status add_level(const qzi_post *post, const qzi_map *box, int32_t level,
                           const qzi_top_k *top, qzi_found *found)
{
    const int32_t at_place = post->anchors->level[level].count;
    QZI_TRY(qzi_found_reserve(post->ctx, found, top->count));
    for (size_t i = 0; i < top->count; i++) {
        const int64_t index = qzi_rank_index(top->list[i]), anchor = index / post->classes;
        float delta[4];
        qzi_map_box(box, anchor / at_place, (int32_t)(anchor % at_place) * 4, delta);
        const qzi_box b = qzi_box_decode(delta, qzi_anchor_at(post->anchors, level, anchor),
                                         post->detector->box_weights);
        qzi_found_add(found, qzi_box_clip(b, post->image_h, post->image_w),
                      qzi_rank_score(top->list[i]), (int32_t)(index % post->classes));
    }
    return QZ_OK;
}

qz_status qzi_retinanet_post(const qzi_post *post, const qzi_map *cls, const qzi_map *box,
                             qzi_found *found)
{
    const qz_detection_options *o = post->options;
    family f = {.cls = cls};
    found->count = 0;
    for (int32_t k = 0; k < post->detector->levels; k++) {
        qzi_top_k top;
        for (int32_t q = 0; qzi_map_is_u8(&cls[k]) && q < 256; q++)
            f.sigmoid[k][q] = qzi_sigmoid(qzi_map_dequantize(&cls[k], (uint8_t)q));
        qz_status st = qzi_level_top_k(post, scan, &f, k, qzi_map_pixels(&cls[k]), cls[k].view.c,
                                       (size_t)o->topk_candidates, (float)o->score_thresh, &top);
        if (st == QZ_OK)
            st = add_level(post, &box[k], k, &top, found);
        qzi_top_k_free(post->ctx, &top);
        if (st != QZ_OK)
            return st;
    }
    return qzi_found_suppress(post, found, o->nms_thresh, (size_t)o->detections_per_img);
}
