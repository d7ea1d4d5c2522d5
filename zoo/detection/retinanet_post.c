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

static qzi_box decode(const qzi_detector *detector, const float delta[4], qzi_box anchor)
{
    return qzi_box_decode(delta, anchor, detector->box_weights);
}

qz_status qzi_retinanet_post(const qzi_post *post, const qzi_map *cls, const qzi_map *box,
                             qzi_found *found)
{
    family f = {.cls = cls};
    qzi_levels_sigmoid(cls, post->detector->levels, f.sigmoid);
    return qzi_levels_find(post, scan, &f, cls, box, decode, found);
}
