/* SPDX-License-Identifier: MIT */
/*
 * yolo_post.c - the heads' values to boxes. Nearly all places have no object, and objectness says
 * so: classes and boxes are read of the few others alone. Of bytes, sigmoids are tables, and the
 * test of a place is one comparison of bytes.
 */
#include "zoo/detection/yolo.h"

/* A level, as its scan reads it. */
typedef struct level {
    const qzi_post *post;
    const qzi_yolo_only *only;
    const qzi_map *box, *objectness, *cls;
    qzi_yolo_grid grid;
    float obj_table[256], cls_table[256]; /* sigmoid of the bytes of uint8 maps */
} level;

static void make_table(const qzi_map *map, float table[256])
{
    for (int q = 0; q < 256; q++)
        table[q] = qzi_sigmoid(qzi_map_dequantize(map, (uint8_t)q));
}

static float class_at(const level *l, int64_t at, int32_t c)
{
    if (qzi_map_is_u8(l->cls))
        return l->cls_table[((const uint8_t *)l->cls->view.data)[at + c]];
    return qzi_sigmoid(((const float *)l->cls->view.data)[at + c]);
}

static qz_status add(const level *l, int64_t place, int32_t anchor, float score, int32_t label,
                     qzi_found *found)
{
    float raw[4], xywh[4];
    QZI_TRY(qzi_found_reserve(l->post->ctx, found, 1));
    qzi_map_box(l->box, place, anchor * 4, raw);
    qzi_yolo_box(&l->grid, anchor, place, raw, xywh);
    qzi_found_add(found, qzi_yolo_corners(xywh), score, label);
    return QZ_OK;
}

/* A class's score can be above the threshold only where its value is at least this. */
static float least_value(const level *l, float objectness)
{
    const double limit = (double)(float)l->post->options->score_thresh;
    return qzi_logit_below(limit * (1.0 - 1e-6) / (double)objectness);
}

/* A place whose objectness is above the threshold. */
static qz_status look_at(const level *l, int64_t place, int32_t anchor, float objectness,
                         qzi_found *found)
{
    const qz_detection_options *o = l->post->options;
    const float limit = (float)o->score_thresh;
    const int32_t classes = l->post->classes;
    const int64_t at = place * l->cls->view.pixel_stride + (int64_t)anchor * classes;
    const float least = qzi_map_is_u8(l->cls) ? 0.0f : least_value(l, objectness);
    float best = 0.0f;
    int32_t label = -1;
    for (int32_t c = 0; c < classes; c++) {
        if (!qzi_map_is_u8(l->cls)) {
            const float *values = (const float *)l->cls->view.data + at;
            c = (int32_t)qzi_next_f32(values, (size_t)c, (size_t)classes, least);
            if (c >= classes)
                break;
        }
        const float score = class_at(l, at, c) * objectness;
        if (o->multi_label && score > limit && qzi_yolo_wants(l->only, c))
            QZI_TRY(add(l, place, anchor, score, c, found));
        if (label < 0 || score > best) {
            best = score;
            label = c;
        }
    }
    if (o->multi_label || !(best > limit) || !qzi_yolo_wants(l->only, label))
        return QZ_OK;
    return add(l, place, anchor, best, label, found);
}

static qz_status scan_u8(const level *l, int32_t anchor, qzi_found *found)
{
    const uint8_t *x = (const uint8_t *)l->objectness->view.data + anchor;
    const int64_t places = qzi_map_pixels(l->objectness);
    const int64_t stride = l->objectness->view.pixel_stride;
    int32_t least = 0; /* sigmoid rises with the byte */
    while (least < 256 && !(l->obj_table[least] > (float)l->post->options->score_thresh))
        least++;
    for (int64_t p = 0; p < places; p++)
        if (x[p * stride] >= least)
            QZI_TRY(look_at(l, p, anchor, l->obj_table[x[p * stride]], found));
    return QZ_OK;
}

static qz_status scan_f32(const level *l, int32_t anchor, qzi_found *found)
{
    const float *x = (const float *)l->objectness->view.data + anchor;
    const int64_t places = qzi_map_pixels(l->objectness);
    const int64_t stride = l->objectness->view.pixel_stride;
    const float limit = (float)l->post->options->score_thresh;
    const float least = qzi_logit_below((double)limit);
    for (int64_t p = 0; p < places; p++) {
        if (!(x[p * stride] >= least))
            continue;
        const float objectness = qzi_sigmoid(x[p * stride]);
        if (objectness > limit)
            QZI_TRY(look_at(l, p, anchor, objectness, found));
    }
    return QZ_OK;
}

static qz_status scan_level(level *l, qzi_found *found)
{
    const bool bytes = qzi_map_is_u8(l->objectness);
    if (bytes)
        make_table(l->objectness, l->obj_table);
    if (qzi_map_is_u8(l->cls))
        make_table(l->cls, l->cls_table);
    for (int32_t a = 0; a < QZ_YOLO_ANCHORS; a++)
        QZI_TRY(bytes ? scan_u8(l, a, found) : scan_f32(l, a, found));
    return QZ_OK;
}

/* What stays, in place of all. */
static qz_status keep_best(const qzi_post *post, qzi_found *found)
{
    uint32_t *keep;
    size_t count;
    QZI_TRY(qzi_yolo_suppress(post->ctx, post->threads, post->options, found, &keep, &count));
    const qz_status st = qzi_found_keep(post->ctx, found, keep, count);
    qzi_free(post->ctx, keep);
    return st;
}

qz_status qzi_yolo_post(const qzi_post *post, const qz_yolo_info *info, const qzi_yolo_only *only,
                        const qzi_map *box, const qzi_map *objectness, const qzi_map *cls,
                        qzi_found *found)
{
    found->count = 0;
    for (int32_t k = 0; k < QZ_YOLO_LEVELS; k++) {
        level l = {.post = post,
                   .only = only,
                   .box = &box[k],
                   .objectness = &objectness[k],
                   .cls = &cls[k],
                   .grid = qzi_yolo_grid_of(info, k, box[k].view.h, box[k].view.w)};
        QZI_TRY(scan_level(&l, found));
    }
    return keep_best(post, found);
}
