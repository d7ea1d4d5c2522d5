/* SPDX-License-Identifier: MIT */
/*
 * nms.c - non-maximum suppression as torchvision's CPU kernel does it: stable order by score, IoU
 * in float32, suppressed where it is above the threshold.
 */
#include "zoo/detection/boxes.h"

#include <math.h>

/* torchvision moves boxes apart where boxes.numel() is at most 4000. */
#define MOVED_BOXES 1000

/* Boxes in order of groups, in each by falling score; one array a coordinate, so that the loop over
 * the lower scores vectorises. */
typedef struct job {
    const qz_context *ctx;
    float *x1, *y1, *x2, *y2, *area;
    int32_t *dead;
    const size_t *first; /* of each group; first[groups] is the number of boxes */
    size_t most;         /* kept of a group */
    float threshold;
} job;

/* The largest float that is at most the threshold: a float is above both or none. */
static float float_threshold(double threshold)
{
    float t = (float)threshold;
    if ((double)t > threshold) {
        uint32_t bits; /* t is above 0 */
        memcpy(&bits, &t, sizeof(bits));
        bits--;
        memcpy(&t, &bits, sizeof(bits));
    }
    return t;
}

/* Box i against those of lower scores, up to end. */
static void suppress(const job *n, size_t i, size_t end)
{
    const float x1 = n->x1[i], y1 = n->y1[i], x2 = n->x2[i], y2 = n->y2[i];
    const float area = n->area[i], threshold = n->threshold;
    const float *restrict bx1 = n->x1, *restrict by1 = n->y1;
    const float *restrict bx2 = n->x2, *restrict by2 = n->y2, *restrict areas = n->area;
    int32_t *restrict dead = n->dead;
    for (size_t j = i + 1; j < end; j++) {
        const float left = x1 < bx1[j] ? bx1[j] : x1, top = y1 < by1[j] ? by1[j] : y1;
        const float right = bx2[j] < x2 ? bx2[j] : x2, bottom = by2[j] < y2 ? by2[j] : y2;
        const float w = right - left, h = bottom - top;
        const float inter = (w > 0.0f ? w : 0.0f) * (h > 0.0f ? h : 0.0f);
        const float iou = inter / (area + areas[j] - inter);
        dead[j] |= iou > threshold ? 1 : 0;
    }
}

static void run_groups(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const job *n = arg;
    (void)thread;
    for (int64_t g = begin; g < end; g++) {
        const size_t last = n->first[g + 1];
        size_t kept = 0, i = n->first[g];
        for (; i < last && kept < n->most; i++) {
            if (n->dead[i])
                continue;
            kept++;
            if (kept % 1024 == 0 && qzi_check_cancelled(n->ctx) != QZ_OK)
                return;
            suppress(n, i, last);
        }
        for (; i < last; i++)
            n->dead[i] = 1;
    }
}

/* ---- what both functions share ---- */

typedef struct order {
    qzi_ranked *ranked; /* by score */
    size_t *place;      /* of each of them, in the order of the job */
    size_t *first;      /* of each group */
    size_t groups;
} order;

static size_t count_groups(const int32_t *groups, size_t count)
{
    int32_t most = 0;
    for (size_t i = 0; groups && i < count; i++)
        most = QZI_MAX(most, groups[i]);
    return (size_t)most + 1;
}

/* Sorts by score, then counts boxes by group: their places keep the order of scores. */
static void make_order(order *o, const float *scores, const int32_t *groups, size_t count)
{
    for (size_t i = 0; i < count; i++)
        o->ranked[i] = qzi_rank(scores[i], (uint32_t)i);
    qzi_rank_sort(o->ranked, count);
    memset(o->first, 0, (o->groups + 2) * sizeof(*o->first));
    for (size_t i = 0; i < count; i++)
        o->first[(groups ? groups[i] : 0) + 2]++;
    for (size_t g = 0; g < o->groups; g++)
        o->first[g + 2] += o->first[g + 1];
    for (size_t r = 0; r < count; r++) /* first[g + 1] runs from the group's begin to its end */
        o->place[r] = o->first[(groups ? groups[qzi_rank_index(o->ranked[r])] : 0) + 1]++;
}

/* How far batched_nms moves a group for each number: the highest coordinate + 1; 0: not at all. */
static float distance(const qzi_box *boxes, const int32_t *groups, size_t count)
{
    float most = -INFINITY;
    if (!groups || count > MOVED_BOXES)
        return 0.0f;
    for (size_t i = 0; i < count; i++) {
        const float x = QZI_MAX(boxes[i].x1, boxes[i].x2), y = QZI_MAX(boxes[i].y1, boxes[i].y2);
        most = QZI_MAX(most, QZI_MAX(x, y));
    }
    return most + 1.0f;
}

static void place_boxes(const job *n, const order *o, const qzi_box *boxes, const int32_t *groups,
                        float apart, size_t count)
{
    for (size_t r = 0; r < count; r++) {
        const uint32_t i = qzi_rank_index(o->ranked[r]);
        const size_t p = o->place[r];
        const float offset = groups ? (float)groups[i] * apart : 0.0f;
        n->x1[p] = boxes[i].x1 + offset;
        n->y1[p] = boxes[i].y1 + offset;
        n->x2[p] = boxes[i].x2 + offset;
        n->y2[p] = boxes[i].y2 + offset;
        n->area[p] = (n->x2[p] - n->x1[p]) * (n->y2[p] - n->y1[p]);
        n->dead[p] = 0;
    }
}

static qz_status run(const qz_context *ctx, uint32_t threads, const qzi_box *boxes,
                     const float *scores, const int32_t *groups, bool moved, size_t count,
                     double threshold, size_t most, uint32_t *keep, size_t *kept)
{
    order o = {.groups = count_groups(groups, count)};
    job n = {.ctx = ctx, .most = most, .threshold = float_threshold(threshold)};
    *kept = 0;
    if (count == 0)
        return QZ_OK;
    o.ranked = qzi_calloc(ctx, count, sizeof(*o.ranked));
    o.place = qzi_calloc(ctx, count, sizeof(*o.place));
    o.first = qzi_calloc(ctx, o.groups + 2, sizeof(*o.first));
    float *floats = qzi_calloc(ctx, count, 6 * sizeof(*floats));
    qz_status st = QZ_ERR_MEMORY;
    if (o.ranked && o.place && o.first && floats) {
        n.x1 = floats;
        n.y1 = floats + count;
        n.x2 = floats + 2 * count;
        n.y2 = floats + 3 * count;
        n.area = floats + 4 * count;
        n.dead = (int32_t *)(floats + 5 * count);
        make_order(&o, scores, groups, count);
        n.first = o.first;
        place_boxes(&n, &o, boxes, groups, moved ? distance(boxes, groups, count) : 0.0f, count);
        qzi_parallel(ctx, threads, (int64_t)o.groups, 1, run_groups, &n);
        st = qzi_check_cancelled(ctx);
        for (size_t r = 0; st == QZ_OK && r < count && *kept < most; r++)
            if (!n.dead[o.place[r]])
                keep[(*kept)++] = qzi_rank_index(o.ranked[r]);
    }
    qzi_free(ctx, floats);
    qzi_free(ctx, o.first);
    qzi_free(ctx, o.place);
    qzi_free(ctx, o.ranked);
    return st;
}

qz_status qzi_batched_nms(const qz_context *ctx, uint32_t threads, const qzi_box *boxes,
                          const float *scores, const int32_t *groups, size_t count,
                          double threshold, size_t most, uint32_t *keep, size_t *kept)
{
    return run(ctx, threads, boxes, scores, groups, true, count, threshold, most, keep, kept);
}

qz_status qzi_grouped_nms(const qz_context *ctx, uint32_t threads, const qzi_box *boxes,
                          const float *scores, const int32_t *groups, size_t count,
                          double threshold, size_t most, uint32_t *keep, size_t *kept)
{
    return run(ctx, threads, boxes, scores, groups, false, count, threshold, most, keep, kept);
}

qz_status qzi_nms(const qz_context *ctx, const qzi_box *boxes, const float *scores, size_t count,
                  double threshold, uint32_t *keep, size_t *kept)
{
    return run(ctx, 1, boxes, scores, NULL, false, count, threshold, count, keep, kept);
}
