/* SPDX-License-Identifier: MIT */
/* levels_post.c - what the families share: lists of boxes, the best scores of a level, softmax. */
#include "zoo/detection/post.h"

#include <math.h>

/* ---- lists ---- */

void qzi_found_free(const qz_context *ctx, qzi_found *found)
{
    qzi_free(ctx, found->boxes);
    qzi_free(ctx, found->scores);
    qzi_free(ctx, found->labels);
    *found = (qzi_found){0};
}

static qz_status grow(const qz_context *ctx, void *items, size_t from, size_t to, size_t item)
{
    void *old, *grown;
    size_t bytes;
    memcpy(&old, items, sizeof(old));
    if (!qzi_mul_size(to, item, &bytes))
        return qzi_fail_memory(ctx, SIZE_MAX);
    grown = qzi_realloc(ctx, old, from * item, bytes);
    if (!grown)
        return QZ_ERR_MEMORY;
    memcpy(items, &grown, sizeof(grown));
    return QZ_OK;
}

qz_status qzi_found_reserve(const qz_context *ctx, qzi_found *found, size_t more)
{
    size_t need;
    if (!qzi_add_size(found->count, more, &need))
        return qzi_fail_memory(ctx, SIZE_MAX);
    if (need <= found->capacity)
        return QZ_OK;
    need = QZI_MAX(need, found->capacity + found->capacity / 2);
    QZI_TRY(grow(ctx, &found->boxes, found->count, need, sizeof(*found->boxes)));
    QZI_TRY(grow(ctx, &found->scores, found->count, need, sizeof(*found->scores)));
    QZI_TRY(grow(ctx, &found->labels, found->count, need, sizeof(*found->labels)));
    found->capacity = need;
    return QZ_OK;
}

void qzi_found_add(qzi_found *found, qzi_box box, float score, int32_t label)
{
    found->boxes[found->count] = box;
    found->scores[found->count] = score;
    found->labels[found->count++] = label;
}

qz_status qzi_found_keep(const qz_context *ctx, qzi_found *found, const uint32_t *keep,
                         size_t count)
{
    qzi_found kept = {0};
    const qz_status st = qzi_found_reserve(ctx, &kept, count);
    for (size_t i = 0; st == QZ_OK && i < count; i++)
        qzi_found_add(&kept, found->boxes[keep[i]], found->scores[keep[i]], found->labels[keep[i]]);
    qzi_found_free(ctx, st == QZ_OK ? found : &kept);
    if (st == QZ_OK)
        *found = kept;
    return st;
}

qz_status qzi_found_suppress(const qzi_post *post, qzi_found *found, double threshold, size_t most)
{
    size_t count = 0;
    if (found->count == 0)
        return QZ_OK;
    uint32_t *keep = qzi_calloc(post->ctx, found->count, sizeof(*keep));
    if (!keep)
        return QZ_ERR_MEMORY;
    qz_status st = qzi_batched_nms(post->ctx, post->threads, found->boxes, found->scores,
                                   found->labels, found->count, threshold, most, keep, &count);
    if (st == QZ_OK)
        st = qzi_found_keep(post->ctx, found, keep, count);
    qzi_free(post->ctx, keep);
    return st;
}

/* ---- the best scores of a level ---- */

typedef struct scan_job {
    qzi_scan_fn scan;
    const void *family;
    int32_t level;
    qzi_top_k *tops; /* one a thread */
} scan_job;

static void scan_pixels(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const scan_job *job = arg;
    job->scan(job->family, job->level, begin, end, &job->tops[thread]);
}

qz_status qzi_level_top_k(const qzi_post *post, qzi_scan_fn scan, const void *family, int32_t level,
                          int64_t pixels, int32_t channels, size_t k, float threshold,
                          qzi_top_k *top)
{
    const int64_t values = pixels * channels;
    const uint32_t threads = QZI_MAX(post->threads, 1u);
    *top = (qzi_top_k){0};
    if (values > (int64_t)UINT32_MAX)
        return qzi_fail(post->ctx, QZ_ERR_ARGUMENT,
                        "detector: its map %d has too many scores; use a smaller image", level);
    k = QZI_MIN(k, (size_t)values);
    scan_job job = {scan, family, level, qzi_calloc(post->ctx, threads, sizeof(*job.tops))};
    if (!job.tops)
        return QZ_ERR_MEMORY;
    qz_status st = QZ_OK;
    for (uint32_t t = 0; t < threads && st == QZ_OK; t++)
        st = qzi_top_k_init(post->ctx, &job.tops[t], k, threshold);
    if (st == QZ_OK) {
        const int64_t grain = QZI_MAX(1, 65536 / QZI_MAX(channels, 1));
        qzi_parallel(post->ctx, threads, pixels, grain, scan_pixels, &job);
        *top = job.tops[0];
        job.tops[0].list = NULL;
        for (uint32_t t = 1; t < threads; t++)
            for (size_t i = 0; i < job.tops[t].count; i++)
                qzi_top_k_add(top, qzi_rank_score(job.tops[t].list[i]),
                              qzi_rank_index(job.tops[t].list[i]));
        qzi_top_k_finish(top);
    }
    for (uint32_t t = 0; t < threads; t++)
        qzi_top_k_free(post->ctx, &job.tops[t]);
    qzi_free(post->ctx, job.tops);
    return st;
}

/* ---- searching rows: mostly nothing is found, so blocks are tested at once ---- */

#define BLOCK 32

size_t qzi_next_f32(const float *x, size_t from, size_t count, float limit)
{
    size_t i = from;
    for (; i + BLOCK <= count; i += BLOCK) {
        int32_t any = 0;
        for (size_t j = 0; j < BLOCK; j++)
            any |= x[i + j] >= limit ? 1 : 0;
        if (any)
            break;
    }
    while (i < count && !(x[i] >= limit))
        i++;
    return i;
}

size_t qzi_next_u8(const uint8_t *x, size_t from, size_t count, int32_t limit)
{
    size_t i = from;
    if (limit <= 0)
        return from;
    if (limit > 255)
        return count;
    const uint8_t least = (uint8_t)limit;
    for (; i + BLOCK <= count; i += BLOCK) {
        uint8_t most = 0;
        for (size_t j = 0; j < BLOCK; j++)
            most = x[i + j] > most ? x[i + j] : most;
        if (most >= least)
            break;
    }
    while (i < count && x[i] < least)
        i++;
    return i;
}

float qzi_logit_below(double p)
{
    const double logit = qzi_logit(p);
    if (isinf(logit))
        return (float)logit;
    /* a float that rounds up to p is still above */
    return (float)(logit - 1e-5 * (1.0 + fabs(logit)));
}

/* ---- softmax ---- */

#define LOG2_E 0x1.71547652b82fep+0
#define LN2_HI 0x1.62e42fefa0000p-1 /* k * LN2_HI is exact */
#define LN2_LO 0x1.cf79abc9e3b3ap-40
#define ROUND 0x1.8p52 /* plus and minus this rounds to an integer */

/* exp(x) for x <= 0, with a relative error below 1e-12. softmax takes millions of them, and
 * products and sums apart need no call on a CPU without fused ones. 0 below -700. */
static double exp_of_negative(double x)
{
    static const double c[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                               1.0 / 5040,     1.0 / 720,     1.0 / 120,    1.0 / 24,
                               1.0 / 6,        0.5,           1.0,          1.0};
    if (!(x >= -700.0))
        return 0.0;
    const double k = (x * LOG2_E + ROUND) - ROUND;
    const double r = (x - k * LN2_HI) - k * LN2_LO;
    double p = c[0];
    for (size_t i = 1; i < QZI_ARRAY_LEN(c); i++)
        p = p * r + c[i];
    const uint64_t bits = (uint64_t)((int64_t)k + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof(power));
    return p * power;
}

void qzi_softmax_prepare(const qzi_map *map, double table[256])
{
    for (int32_t d = 0; qzi_map_is_u8(map) && d < 256; d++)
        table[d] = exp_of_negative(-(double)((float)d * map->node->q.scale));
}

static double softmax_u8(const uint8_t *x, const double table[256], int32_t classes, float *scores)
{
    double sum = 0.0;
    uint8_t most = 0;
    for (int32_t c = 0; c < classes; c++)
        most = x[c] > most ? x[c] : most;
    for (int32_t c = 0; c < classes; c++) {
        sum += table[most - x[c]];
        scores[c] = (float)table[most - x[c]];
    }
    return sum;
}

static double softmax_f32(const float *x, int32_t classes, float *scores)
{
    double sum = 0.0;
    float most = -INFINITY;
    for (int32_t c = 0; c < classes; c++)
        most = x[c] > most ? x[c] : most;
    for (int32_t c = 0; c < classes; c++) {
        const double e = exp_of_negative((double)(x[c] - most));
        sum += e;
        scores[c] = (float)e;
    }
    return sum;
}

void qzi_softmax(const qzi_map *map, const double table[256], int64_t pixel, int32_t first,
                 int32_t classes, float *scores)
{
    const int64_t at = pixel * map->view.pixel_stride + first;
    const double sum =
        qzi_map_is_u8(map)
            ? softmax_u8((const uint8_t *)map->view.data + at, table, classes, scores)
            : softmax_f32((const float *)map->view.data + at, classes, scores);
    for (int32_t c = 0; c < classes; c++)
        scores[c] = (float)((double)scores[c] / sum);
}

bool qzi_softmax_may_pass(const qzi_map *map, int64_t pixel, int32_t first, int32_t classes,
                          float limit)
{
    const float background = qzi_map_at(map, pixel, first);
    float most = -INFINITY;
    for (int32_t c = 1; c < classes; c++)
        most = QZI_MAX(most, qzi_map_at(map, pixel, first + c));
    return most - background >= limit;
}

/* ---- boxes of all levels ---- */

void qzi_levels_sigmoid(const qzi_map *cls, int32_t levels, float table[][256])
{
    for (int32_t k = 0; k < levels; k++)
        for (int32_t q = 0; qzi_map_is_u8(&cls[k]) && q < 256; q++)
            table[k][q] = qzi_sigmoid(qzi_map_dequantize(&cls[k], (uint8_t)q));
}

static qz_status add_level(const qzi_post *post, const qzi_map *box, qzi_decode_fn decode,
                           int32_t level, const qzi_top_k *top, qzi_found *found)
{
    const int32_t at_place = post->anchors->level[level].count;
    QZI_TRY(qzi_found_reserve(post->ctx, found, top->count));
    for (size_t i = 0; i < top->count; i++) {
        const int64_t index = qzi_rank_index(top->list[i]), anchor = index / post->classes;
        float delta[4];
        qzi_map_box(box, anchor / at_place, (int32_t)(anchor % at_place) * 4, delta);
        const qzi_box b =
            decode(post->detector, delta, qzi_anchor_at(post->anchors, level, anchor));
        qzi_found_add(found, qzi_box_clip(b, post->image_h, post->image_w),
                      qzi_rank_score(top->list[i]), (int32_t)(index % post->classes));
    }
    return QZ_OK;
}

qz_status qzi_levels_find(const qzi_post *post, qzi_scan_fn scan, const void *family,
                          const qzi_map *cls, const qzi_map *box, qzi_decode_fn decode,
                          qzi_found *found)
{
    const qz_detection_options *o = post->options;
    found->count = 0;
    for (int32_t k = 0; k < post->detector->levels; k++) {
        qzi_top_k top;
        qz_status st =
            qzi_level_top_k(post, scan, family, k, qzi_map_pixels(&cls[k]), cls[k].view.c,
                            (size_t)o->topk_candidates, (float)o->score_thresh, &top);
        if (st == QZ_OK)
            st = add_level(post, &box[k], decode, k, &top, found);
        qzi_top_k_free(post->ctx, &top);
        if (st != QZ_OK)
            return st;
    }
    return qzi_found_suppress(post, found, o->nms_thresh, (size_t)o->detections_per_img);
}
