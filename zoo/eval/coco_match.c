/* SPDX-License-Identifier: MIT */
/*
 * coco_match.c - the matching of pycocotools' COCOeval.evaluateImg. Detections choose in the order
 * of their scores. Each takes the object of the highest IoU that is free and reaches the threshold;
 * of equal ones the last. Objects that do not count (crowds, and those outside the range of areas)
 * come after those that do, and are taken only where no object that counts can be. A crowd is never
 * used up. A detection that takes what does not count does not count, nor does one that takes
 * nothing and is itself outside the range of areas.
 *
 * Where an object's id is 0, pycocotools takes a detection that found it for one that found nothing
 * (its list of matches holds ids, and 0 for none), and so does this: the numbers must be equal.
 */
#include "zoo/eval/coco_match.h"

#include <math.h>

static const double area_ranges[QZI_COCO_AREAS][2] = {
    {0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}};

double qzi_coco_threshold(int i)
{
    return i == QZI_COCO_THRESHOLDS - 1 ? 0.95 : i * ((0.95 - 0.5) / 9) + 0.5;
}

double qzi_coco_box_iou(const double d[4], const double o[4], bool crowd)
{
    const double w = fmin(d[0] + d[2], o[0] + o[2]) - fmax(d[0], o[0]);
    const double h = fmin(d[1] + d[3], o[1] + o[3]) - fmax(d[1], o[1]);
    if (!(w > 0 && h > 0))
        return 0;
    const double both = w * h, own = d[2] * d[3];
    return both / (crowd ? own : own + o[2] * o[3] - both);
}

static double mask_iou(const qzi_coco_item *d, const qzi_coco_item *o, uint32_t pixels)
{
    const uint64_t both = qzi_coco_mask_common(&d->mask, &o->mask, pixels);
    if (both == 0)
        return 0;
    const uint64_t own = qzi_coco_mask_area(&d->mask, pixels);
    const uint64_t other = qzi_coco_mask_area(&o->mask, pixels);
    return (double)both / (double)(o->crowd ? own : own + other - both);
}

static bool outside(double area, const double range[2])
{
    return area < range[0] || area > range[1];
}

static const qzi_coco_item *object_at(const qzi_coco_group *g, size_t i)
{
    return &g->objects[g->object_order[i]];
}

static const qzi_coco_item *detection_at(const qzi_coco_group *g, size_t i)
{
    return &g->detections[g->detection_order[i]];
}

static qz_status reserve(const qz_context *ctx, const qzi_coco_group *g, qzi_coco_scratch *s)
{
    const size_t pairs = g->object_count * g->detection_count;
    if (pairs > s->iou_capacity) {
        qzi_free(ctx, s->iou);
        s->iou_capacity = 0;
        if (!(s->iou = qzi_calloc(ctx, pairs, sizeof(*s->iou))))
            return QZ_ERR_MEMORY;
        s->iou_capacity = pairs;
    }
    if (g->object_count > s->capacity) {
        qzi_coco_scratch_free(ctx, &(qzi_coco_scratch){
                                       .order = s->order,
                                       .ignored = s->ignored,
                                       .taken = s->taken,
                                   });
        s->capacity = 0;
        s->order = qzi_calloc(ctx, g->object_count, sizeof(*s->order));
        s->ignored = qzi_calloc(ctx, g->object_count, sizeof(*s->ignored));
        s->taken = qzi_calloc(ctx, g->object_count, sizeof(*s->taken));
        if (!s->order || !s->ignored || !s->taken)
            return QZ_ERR_MEMORY;
        s->capacity = g->object_count;
    }
    return QZ_OK;
}

void qzi_coco_scratch_free(const qz_context *ctx, qzi_coco_scratch *s)
{
    qzi_free(ctx, s->iou);
    qzi_free(ctx, s->order);
    qzi_free(ctx, s->ignored);
    qzi_free(ctx, s->taken);
}

/* Objects that count first; returns how many. */
static size_t order_objects(const qzi_coco_group *g, int area, qzi_coco_scratch *s)
{
    size_t count = 0, positives;
    for (size_t i = 0; i < g->object_count; i++) {
        const qzi_coco_item *o = object_at(g, i);
        s->ignored[i] = o->crowd || outside(o->area[g->kind], area_ranges[area]);
        s->taken[i] = 0;
    }
    for (size_t i = 0; i < g->object_count; i++) {
        if (!s->ignored[i])
            s->order[count++] = i;
    }
    positives = count;
    for (size_t i = 0; i < g->object_count; i++) {
        if (s->ignored[i])
            s->order[count++] = i;
    }
    return positives;
}

/* The object that detection d takes; object_count: none. */
static size_t choose(const qzi_coco_group *g, const qzi_coco_scratch *s, size_t d, int threshold)
{
    const double *row = g->object_count > 0 ? s->iou + d * g->object_count : NULL;
    double best = fmin(qzi_coco_threshold(threshold), 1 - 1e-10);
    size_t chosen = g->object_count;
    for (size_t k = 0; k < g->object_count; k++) {
        const size_t i = s->order[k];
        if ((s->taken[i] >> threshold & 1) && !object_at(g, i)->crowd)
            continue;
        if (chosen < g->object_count && !s->ignored[chosen] && s->ignored[i])
            break;
        if (row[i] < best)
            continue;
        best = row[i];
        chosen = i;
    }
    return chosen;
}

static void match_area(const qzi_coco_group *g, int area, qzi_coco_scratch *s, qzi_coco_hit *hits)
{
    for (size_t d = 0; d < g->detection_count; d++) {
        const bool off = outside(detection_at(g, d)->area[g->kind], area_ranges[area]);
        unsigned matched = 0, ignored = 0;
        for (int t = 0; t < QZI_COCO_THRESHOLDS; t++) {
            const size_t i = choose(g, s, d, t);
            const bool found = i < g->object_count;
            const bool counts = found && !object_at(g, i)->zero_id;
            if (found)
                s->taken[i] |= 1U << t;
            matched |= (unsigned)counts << t;
            ignored |= (unsigned)((found && s->ignored[i]) || (!counts && off)) << t;
        }
        hits[d].matched[area] = (uint16_t)matched;
        hits[d].ignored[area] = (uint16_t)ignored;
    }
}

qz_status qzi_coco_match(const qz_context *ctx, const qzi_coco_group *g, qzi_coco_scratch *s,
                         qzi_coco_hit *hits, size_t positives[QZI_COCO_AREAS])
{
    QZI_TRY(reserve(ctx, g, s));
    for (size_t d = 0; d < g->detection_count; d++) {
        const qzi_coco_item *detection = detection_at(g, d);
        hits[d] = (qzi_coco_hit){.score = detection->score, .rank = (uint32_t)d};
        for (size_t i = 0; i < g->object_count; i++) {
            const qzi_coco_item *o = object_at(g, i);
            s->iou[d * g->object_count + i] =
                g->kind == QZI_COCO_BBOX ? qzi_coco_box_iou(detection->box, o->box, o->crowd)
                                         : mask_iou(detection, o, g->pixels);
        }
    }
    for (int area = 0; area < QZI_COCO_AREAS; area++) {
        positives[area] += order_objects(g, area, s);
        match_area(g, area, s, hits);
    }
    return QZ_OK;
}
