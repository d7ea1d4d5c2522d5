/* SPDX-License-Identifier: MIT */
/*
 * coco_score.c - average precision and recall from what was matched (pycocotools'
 * COCOeval.accumulate and summarize): precision made monotone, at 101 points of recall.
 */
#include "weights/bytes.h"
#include "zoo/eval/coco_match.h"

#include <float.h>
#include <math.h>

#define RECALL_POINTS 101
#define LIMITS 3

static const uint32_t limits[LIMITS] = {1, 10, QZI_COCO_LIMIT};

/* Sums over thresholds and points, of one category or of all. */
typedef struct sums {
    size_t categories[QZI_COCO_AREAS];                     /* that have an object to find */
    double precision[QZI_COCO_AREAS][QZI_COCO_THRESHOLDS]; /* at most 100 detections */
    double recall[QZI_COCO_AREAS][LIMITS][QZI_COCO_THRESHOLDS];
} sums;

typedef struct scorer {
    const qz_context *ctx;
    const qz_coco *coco;
    const qz_coco_results *results;
    qzi_coco_kind kind;
    uint32_t *image_rank;         /* of each image, by ids */
    size_t *objects, *detections; /* by category, image, score; those that count */
    size_t object_count, detection_count;
    size_t object_at, detection_at; /* how many are done */
    qzi_coco_scratch scratch;
    qzi_coco_hit *hits; /* of a category */
    size_t *order;      /* of the hits, the highest score first */
    double *recall, *precision;
} scorer;

const char *qz_coco_metric_name(size_t index)
{
    static const char *const names[QZ_COCO_METRICS] = {
        "AP",  "AP50", "AP75",  "APsmall", "APmedium", "APlarge",
        "AR1", "AR10", "AR100", "ARsmall", "ARmedium", "ARlarge"};
    return index < QZ_COCO_METRICS ? names[index] : NULL;
}

/* ---- order ---- */

typedef struct sorting {
    const qzi_coco_item *items;
    const uint32_t *image_rank;
} sorting;

static bool item_before(const void *arg, size_t a, size_t b)
{
    const sorting *s = arg;
    const qzi_coco_item *x = &s->items[a], *y = &s->items[b];
    if (x->category != y->category)
        return x->category < y->category;
    if (x->image != y->image)
        return s->image_rank[x->image] < s->image_rank[y->image];
    return x->score != y->score ? x->score > y->score : a < b;
}

static bool hit_before(const void *arg, size_t a, size_t b)
{
    const qzi_coco_hit *hits = arg;
    return hits[a].score != hits[b].score ? hits[a].score > hits[b].score : a < b;
}

/* Numbers of the items on images that count, sorted; they go to the front. */
static qz_status sort_items(const scorer *s, const qzi_coco_items *list, size_t **order,
                            size_t *count)
{
    *order = qzi_calloc(s->ctx, list->count, sizeof(**order));
    if (!*order)
        return QZ_ERR_MEMORY;
    qzi_sort_indices(*order, list->count, item_before,
                     &(sorting){.items = list->items, .image_rank = s->image_rank});
    for (size_t i = 0; i < list->count; i++) {
        if (s->results->counts[list->items[(*order)[i]].image])
            (*order)[(*count)++] = (*order)[i];
    }
    return QZ_OK;
}

/* ---- one category ---- */

/* Takes the next items of the category and the image off the sorted list; how many. */
static size_t take(const qzi_coco_item *items, const size_t *order, size_t count, size_t *at,
                   uint32_t category, uint32_t image)
{
    const size_t begin = *at;
    while (*at < count && items[order[*at]].category == category &&
           items[order[*at]].image == image)
        ++*at;
    return *at - begin;
}

/* The image that comes next in the category; QZI_COCO_NONE: no more. */
static uint32_t next_image(const scorer *s, uint32_t category)
{
    const qzi_coco_item *object = NULL, *detection = NULL;
    if (s->object_at < s->object_count)
        object = &s->coco->objects.items[s->objects[s->object_at]];
    if (s->detection_at < s->detection_count)
        detection = &s->results->items.items[s->detections[s->detection_at]];
    const uint32_t a = object && object->category == category ? object->image : QZI_COCO_NONE;
    const uint32_t b =
        detection && detection->category == category ? detection->image : QZI_COCO_NONE;
    if (a == QZI_COCO_NONE || b == QZI_COCO_NONE)
        return a == QZI_COCO_NONE ? b : a;
    return s->image_rank[a] < s->image_rank[b] ? a : b;
}

/* All images of a category. */
static qz_status match_category(scorer *s, uint32_t category, size_t *hit_count,
                                size_t positives[QZI_COCO_AREAS])
{
    *hit_count = 0;
    for (uint32_t image; (image = next_image(s, category)) != QZI_COCO_NONE;) {
        const qz_coco_image *where = &s->coco->images[image];
        qzi_coco_group g = {
            .kind = s->kind,
            .pixels = (uint32_t)where->width * (uint32_t)where->height,
            .objects = s->coco->objects.items,
            .detections = s->results->items.items,
            .object_order = s->objects + s->object_at,
            .detection_order = s->detections + s->detection_at,
        };
        g.object_count =
            take(g.objects, s->objects, s->object_count, &s->object_at, category, image);
        g.detection_count = take(g.detections, s->detections, s->detection_count, &s->detection_at,
                                 category, image);
        g.detection_count = QZI_MIN(g.detection_count, QZI_COCO_LIMIT);
        QZI_TRY(qzi_check_cancelled(s->ctx));
        QZI_TRY(qzi_coco_match(s->ctx, &g, &s->scratch, s->hits + *hit_count, positives));
        *hit_count += g.detection_count;
    }
    return QZ_OK;
}

/* Precision and recall of one threshold; the last recall is returned. */
static double curve(const scorer *s, size_t hit_count, int area, int limit, int threshold,
                    size_t positives, size_t *points)
{
    double right = 0, wrong = 0;
    size_t n = 0;
    for (size_t i = 0; i < hit_count; i++) {
        const qzi_coco_hit *hit = &s->hits[s->order[i]];
        if (hit->rank >= limits[limit])
            continue;
        if (!(hit->ignored[area] >> threshold & 1)) {
            const bool matched = hit->matched[area] >> threshold & 1;
            right += matched;
            wrong += !matched;
        }
        s->recall[n] = right / (double)positives;
        s->precision[n++] = right / (wrong + right + DBL_EPSILON);
    }
    *points = n;
    return n ? s->recall[n - 1] : 0;
}

/* The sum of precision at 101 points of recall. */
static double precision_sum(const scorer *s, size_t points)
{
    double sum = 0;
    for (size_t i = points; i-- > 1;)
        s->precision[i - 1] = fmax(s->precision[i - 1], s->precision[i]);
    for (size_t r = 0, at = 0; r < RECALL_POINTS; r++) {
        const double recall = r == RECALL_POINTS - 1 ? 1 : (double)r * 0.01;
        while (at < points && s->recall[at] < recall)
            at++;
        if (at == points)
            break;
        sum += s->precision[at];
    }
    return sum;
}

static qz_status score_category(scorer *s, uint32_t category, sums *one)
{
    size_t hit_count, positives[QZI_COCO_AREAS] = {0}, points;
    QZI_TRY(match_category(s, category, &hit_count, positives));
    qzi_sort_indices(s->order, hit_count, hit_before, s->hits);
    for (int area = 0; area < QZI_COCO_AREAS; area++) {
        if (positives[area] == 0)
            continue;
        one->categories[area] = 1;
        for (int t = 0; t < QZI_COCO_THRESHOLDS; t++) {
            for (int limit = 0; limit < LIMITS; limit++)
                one->recall[area][limit][t] =
                    curve(s, hit_count, area, limit, t, positives[area], &points);
            one->precision[area][t] = precision_sum(s, points); /* of the last limit, 100 */
        }
    }
    return QZ_OK;
}

/* ---- all categories ---- */

static double mean(double sum, size_t categories, size_t of_each)
{
    return categories ? sum / (double)(categories * of_each) : (double)NAN;
}

static double precision_mean(const sums *s, int area)
{
    double sum = 0;
    for (int t = 0; t < QZI_COCO_THRESHOLDS; t++)
        sum += s->precision[area][t];
    return mean(sum, s->categories[area], (size_t)QZI_COCO_THRESHOLDS * RECALL_POINTS);
}

static double recall_mean(const sums *s, int area, int limit)
{
    double sum = 0;
    for (int t = 0; t < QZI_COCO_THRESHOLDS; t++)
        sum += s->recall[area][limit][t];
    return mean(sum, s->categories[area], QZI_COCO_THRESHOLDS);
}

static void add_sums(sums *all, const sums *one)
{
    for (int area = 0; area < QZI_COCO_AREAS; area++) {
        all->categories[area] += one->categories[area];
        for (int t = 0; t < QZI_COCO_THRESHOLDS; t++) {
            all->precision[area][t] += one->precision[area][t];
            for (int limit = 0; limit < LIMITS; limit++)
                all->recall[area][limit][t] += one->recall[area][limit][t];
        }
    }
}

static void summarize(const sums *s, double metrics[QZ_COCO_METRICS])
{
    metrics[0] = precision_mean(s, 0);
    metrics[1] = mean(s->precision[0][0], s->categories[0], RECALL_POINTS);
    metrics[2] = mean(s->precision[0][5], s->categories[0], RECALL_POINTS);
    for (int area = 1; area < QZI_COCO_AREAS; area++) {
        metrics[2 + area] = precision_mean(s, area);
        metrics[8 + area] = recall_mean(s, area, LIMITS - 1);
    }
    for (int limit = 0; limit < LIMITS; limit++)
        metrics[6 + limit] = recall_mean(s, 0, limit);
}

static qz_status begin(scorer *s)
{
    const qz_coco *coco = s->coco;
    s->image_rank = qzi_calloc(s->ctx, coco->image_count, sizeof(*s->image_rank));
    if (!s->image_rank)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < coco->image_count; i++)
        s->image_rank[coco->by_image.order[i]] = (uint32_t)i;
    QZI_TRY(sort_items(s, &coco->objects, &s->objects, &s->object_count));
    QZI_TRY(sort_items(s, &s->results->items, &s->detections, &s->detection_count));
    s->hits = qzi_calloc(s->ctx, s->detection_count, sizeof(*s->hits));
    s->order = qzi_calloc(s->ctx, s->detection_count, sizeof(*s->order));
    s->recall = qzi_calloc(s->ctx, s->detection_count, sizeof(*s->recall));
    s->precision = qzi_calloc(s->ctx, s->detection_count, sizeof(*s->precision));
    return s->hits && s->order && s->recall && s->precision ? QZ_OK : QZ_ERR_MEMORY;
}

static void end(scorer *s)
{
    qzi_free(s->ctx, s->image_rank);
    qzi_free(s->ctx, s->objects);
    qzi_free(s->ctx, s->detections);
    qzi_free(s->ctx, s->hits);
    qzi_free(s->ctx, s->order);
    qzi_free(s->ctx, s->recall);
    qzi_free(s->ctx, s->precision);
    qzi_coco_scratch_free(s->ctx, &s->scratch);
}

static qz_status score_kind(const qz_coco_results *results, qzi_coco_kind kind,
                            double metrics[QZ_COCO_METRICS], double (*per_category)[2])
{
    scorer s = {.ctx = results->coco->ctx, .coco = results->coco, .results = results, .kind = kind};
    sums all = {0};
    qz_status st = begin(&s);
    for (size_t c = 0; c < s.coco->category_count && st == QZ_OK; c++) {
        sums one = {0};
        st = score_category(&s, (uint32_t)c, &one);
        add_sums(&all, &one);
        if (st == QZ_OK && per_category)
            per_category[c][kind] = precision_mean(&one, 0);
    }
    end(&s);
    summarize(&all, metrics);
    return st;
}

/* ---- what can be scored ---- */

static size_t count_kind(const qzi_coco_items *list, qzi_coco_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += kind == QZI_COCO_BBOX ? list->items[i].has_box : list->items[i].has_mask;
    return count;
}

/* Whether both sides have the kind; QZ_ERR_FORMAT where one has it in part. */
static qz_status check_kind(const qz_coco_results *results, qzi_coco_kind kind, bool *has)
{
    const qz_coco *coco = results->coco;
    const char *key = kind == QZI_COCO_BBOX ? "bbox" : "segmentation";
    const size_t truths = count_kind(&coco->objects, kind);
    const size_t found = count_kind(&results->items, kind);
    *has = (truths > 0 || coco->objects.count == 0) && (found > 0 || results->items.count == 0);
    if (!*has || found == 0)
        return QZ_OK;
    for (size_t i = 0; i < coco->objects.count; i++) {
        const qzi_coco_item *o = &coco->objects.items[i];
        if (!(kind == QZI_COCO_BBOX ? o->has_box : o->has_mask))
            return qzi_fail(coco->ctx, QZ_ERR_FORMAT,
                            "%s: annotations[%zu]: '%s' is missing, or its image has no size",
                            coco->name, i, key);
    }
    return QZ_OK;
}

qz_status qz_coco_score(const qz_coco_results *results, qz_coco_scores *scores,
                        double (*per_category)[2])
{
    if (!results || !scores)
        return qzi_fail(results ? results->coco->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_coco_score: NULL argument");
    *scores = (qz_coco_scores){0};
    for (size_t i = 0; i < results->coco->image_count; i++)
        scores->images += results->counts[i];
    for (size_t i = 0; per_category && i < results->coco->category_count; i++)
        per_category[i][0] = per_category[i][1] = (double)NAN;
    QZI_TRY(check_kind(results, QZI_COCO_BBOX, &scores->has_bbox));
    QZI_TRY(check_kind(results, QZI_COCO_SEGM, &scores->has_segm));
    if (!scores->has_bbox && !scores->has_segm)
        return qzi_fail(results->coco->ctx, QZ_ERR_FORMAT,
                        "%s: its objects lack what the detections have (boxes, or masks)",
                        results->coco->name);
    if (scores->has_bbox)
        QZI_TRY(score_kind(results, QZI_COCO_BBOX, scores->bbox, per_category));
    if (scores->has_segm)
        QZI_TRY(score_kind(results, QZI_COCO_SEGM, scores->segm, per_category));
    return QZ_OK;
}
