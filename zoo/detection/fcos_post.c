/* SPDX-License-Identifier: MIT */
/* fcos_post.c - FCOS.postprocess_detections: sqrt(class * centreness), top-k of each level, NMS. */
#include "zoo/detection/post.h"

#include <math.h>

typedef struct family {
    const qzi_map *cls, *ctr;
    int32_t classes;
    float sigmoid[QZI_DETECTOR_LEVELS][256]; /* of the bytes of uint8 maps of classes */
} family;

/* sqrt(class * centreness) reaches the bar only where the class's sigmoid reaches this. */
static float least_logit(float bar, float centre)
{
    const double product = (double)bar * (double)bar * (1.0 - 1e-6);
    return qzi_logit_below(product / (double)centre);
}

static void scan_f32(const float *x, int32_t classes, float centre, uint32_t first, qzi_top_k *top)
{
    float of_bar = top->bar_score, limit = least_logit(of_bar, centre);
    for (size_t i = 0;; i++) {
        if (of_bar != top->bar_score) {
            of_bar = top->bar_score;
            limit = least_logit(of_bar, centre);
        }
        i = qzi_next_f32(x, i, (size_t)classes, limit);
        if (i >= (size_t)classes)
            return;
        qzi_top_k_add(top, sqrtf(qzi_sigmoid(x[i]) * centre), first + (uint32_t)i);
    }
}

/* The least byte whose value is at least the logit, or one below it. */
static int32_t byte_limit(const qzi_map *map, float logit)
{
    const double q = floor((double)logit / (double)map->node->q.scale) + map->node->q.zero_point;
    return q <= 0.0 ? 0 : q > 255.0 ? 256 : (int32_t)q;
}

static void scan_u8(const qzi_map *map, const uint8_t *x, const float *sigmoid, int32_t classes,
                    float centre, uint32_t first, qzi_top_k *top)
{
    float of_bar = top->bar_score;
    int32_t limit = byte_limit(map, least_logit(of_bar, centre));
    for (size_t i = 0;; i++) {
        if (of_bar != top->bar_score) {
            of_bar = top->bar_score;
            limit = byte_limit(map, least_logit(of_bar, centre));
        }
        i = qzi_next_u8(x, i, (size_t)classes, limit);
        if (i >= (size_t)classes)
            return;
        qzi_top_k_add(top, sqrtf(sigmoid[x[i]] * centre), first + (uint32_t)i);
    }
}

static void scan(const void *arg, int32_t level, int64_t begin, int64_t end, qzi_top_k *top)
{
    const family *f = arg;
    const qzi_map *cls = &f->cls[level], *ctr = &f->ctr[level];
    const int32_t anchors = ctr->view.c;
    for (int64_t p = begin; p < end; p++) {
        for (int32_t a = 0; a < anchors; a++) {
            const float centre = qzi_sigmoid(qzi_map_at(ctr, p, a));
            const int64_t at = p * cls->view.pixel_stride + (int64_t)a * f->classes;
            const uint32_t first = (uint32_t)((p * anchors + a) * f->classes);
            if (qzi_map_is_u8(cls))
                scan_u8(cls, (const uint8_t *)cls->view.data + at, f->sigmoid[level], f->classes,
                        centre, first, top);
            else
                scan_f32((const float *)cls->view.data + at, f->classes, centre, first, top);
        }
    }
}

static qzi_box decode(const qzi_detector *detector, const float delta[4], qzi_box anchor)
{
    (void)detector;
    return qzi_box_decode_linear(delta, anchor);
}

qz_status qzi_fcos_post(const qzi_post *post, const qzi_map *cls, const qzi_map *box,
                        const qzi_map *ctr, qzi_found *found)
{
    family f = {.cls = cls, .ctr = ctr, .classes = post->classes};
    qzi_levels_sigmoid(cls, post->detector->levels, f.sigmoid);
    return qzi_levels_find(post, scan, &f, cls, box, decode, found);
}
