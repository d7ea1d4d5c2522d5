/* SPDX-License-Identifier: MIT */
/*
 * detail.c - an int8 value beside its float value, beyond SQNR.
 *
 * Memory holds one value of one image, and counts that do not grow with the number of images.
 */
#include "quant/detail.h"

#include <math.h>
#include <string.h>

/* Bins of the divergence. An int8 range has 256 steps, so that a bin has at least four, and
 * rounding alone moves few values into the next one. */
#define KL_BINS 64
/* Independent sums: a fixed order that vectorises. */
#define LANES 8

void qzi_detail_free(const qz_context *ctx, qzi_detail *detail)
{
    qzi_free(ctx, detail->min);
    qzi_free(ctx, detail->max);
    if (detail->channels > 0) {
        qzi_tally_destroy(&detail->spread[0]);
        qzi_tally_destroy(&detail->spread[1]);
    }
    *detail = (qzi_detail){0};
}

static qz_status begin(const qz_context *ctx, qzi_detail *detail, int32_t channels)
{
    QZI_TRY(qzi_tally_create(ctx, 1, &detail->spread[0]));
    const qz_status st = qzi_tally_create(ctx, 1, &detail->spread[1]);
    if (st != QZ_OK) {
        qzi_tally_destroy(&detail->spread[0]);
        return st;
    }
    detail->channels = channels;
    detail->min = qzi_calloc(ctx, (size_t)channels, sizeof(float));
    detail->max = qzi_calloc(ctx, (size_t)channels, sizeof(float));
    if (!detail->min || !detail->max)
        return QZ_ERR_MEMORY;
    for (int32_t c = 0; c < channels; c++) {
        detail->min[c] = INFINITY;
        detail->max[c] = -INFINITY;
    }
    return QZ_OK;
}

/* ---- one value ---- */

/* The values of a node as dense real numbers. */
static void dequantize(const qzi_node *node, const qzk_view *view, qzi_reach reach, float *q)
{
    const int64_t pixels = (int64_t)view->n * view->h * view->w;
    const int32_t c = view->c;
    for (int64_t p = 0; p < pixels; p++, q += c) {
        if (node->dtype == QZ_F32) {
            memcpy(q, (const float *)view->data + p * view->pixel_stride, (size_t)c * sizeof(*q));
            continue;
        }
        const uint8_t *x = (const uint8_t *)view->data + p * view->pixel_stride;
        for (int32_t i = 0; i < c; i++)
            q[i] =
                qzi_reach_clamp(reach, (float)(x[i] - qzi_q_zero(node, i)) * qzi_q_scale(node, i));
    }
}

/* The real numbers that a channel's bytes are the nearest to end here. */
static void find_ends(const qzi_node *node, int32_t channels, float *low, float *high)
{
    for (int32_t c = 0; c < channels; c++) {
        const bool bytes = node->dtype != QZ_F32;
        const float scale = qzi_q_scale(node, c), zero = (float)qzi_q_zero(node, c);
        low[c] = bytes ? (-0.5f - zero) * scale : -INFINITY;
        high[c] = bytes ? (255.5f - zero) * scale : INFINITY;
    }
}

static void add_values(qzi_detail *d, const float *f, const float *q, int64_t pixels,
                       const float *low, const float *high)
{
    const int32_t channels = d->channels;
    double quantized[LANES] = {0.0};
    for (int64_t p = 0; p < pixels; p++, f += channels, q += channels) {
        uint32_t clipped = 0;
        for (int32_t c = 0; c < channels; c++) {
            d->min[c] = f[c] < d->min[c] ? f[c] : d->min[c];
            d->max[c] = f[c] > d->max[c] ? f[c] : d->max[c];
            clipped += (uint32_t)((f[c] < low[c]) | (f[c] > high[c]));
        }
        d->clipped += clipped;
        int32_t c = 0;
        for (; c + LANES <= channels; c += LANES)
            for (int32_t j = 0; j < LANES; j++)
                quantized[j] += (double)q[c + j] * q[c + j];
        for (int32_t j = 0; c < channels; c++, j++)
            quantized[j] += (double)q[c] * q[c];
    }
    for (int j = 0; j < LANES; j++)
        d->quantized += quantized[j];
}

/* `work`: room for the int8 values, and the ends of each channel. */
static qz_status add(qzi_detail *d, const qzk_view *real, const qzi_node *node,
                     const qzk_view *view, qzi_reach reach, uint32_t threads, float *work)
{
    const int64_t pixels = (int64_t)view->n * view->h * view->w;
    const size_t count = (size_t)pixels * (size_t)view->c;
    float *q = work, *low = work + count, *high = low + view->c;
    qzk_view quantized = *real;
    quantized.data = q;
    dequantize(node, view, reach, q);
    if (!qzi_all_finite(real->data, count) || !qzi_all_finite(q, count)) {
        d->invalid = true;
        return QZ_OK;
    }
    find_ends(node, view->c, low, high);
    add_values(d, real->data, q, pixels, low, high);
    QZI_TRY(qzi_tally_add(&d->spread[0], real, threads));
    return qzi_tally_add(&d->spread[1], &quantized, threads);
}

qz_status qzi_detail_add(const qz_context *ctx, qzi_detail *detail, const qzk_view *real,
                         const qzi_node *node, const qzk_view *view, qzi_reach reach,
                         uint32_t threads)
{
    /* the executor's own copy of this value had to fit memory: no overflow */
    const size_t count = (size_t)view->n * (size_t)view->h * (size_t)view->w * (size_t)view->c;
    if (detail->invalid)
        return QZ_OK;
    if (detail->channels == 0)
        QZI_TRY(begin(ctx, detail, view->c));
    float *work = qzi_alloc(ctx, (count + 2 * (size_t)view->c) * sizeof(*work));
    if (!work)
        return QZ_ERR_MEMORY;
    const qzi_fpenv env = qzi_fpenv_enter();
    const qz_status st = add(detail, real, node, view, reach, threads, work);
    qzi_fpenv_leave(env);
    qzi_free(ctx, work);
    detail->invalid |= st == QZ_ERR_NUMERIC;
    return st == QZ_ERR_NUMERIC ? QZ_OK : st;
}

/* ---- results ---- */

/* counts[KL_BINS] of bins of width 2^exponent, the first of which is `first`. */
static void fold(const qzi_tally *tally, int32_t exponent, int32_t first, double *counts)
{
    const int32_t own = tally->exponent[0], shift = QZI_MIN(exponent - own, 31);
    const int32_t begin = qzi_tally_bin(tally->min[0], own);
    const int32_t end = qzi_tally_bin(tally->max[0], own);
    memset(counts, 0, KL_BINS * sizeof(*counts));
    for (int32_t i = begin; i <= end; i++)
        counts[QZI_MIN(QZI_MAX((i >> shift) - first, 0), KL_BINS - 1)] +=
            (double)qzi_tally_count(tally, 0, i);
}

/* The Kullback-Leibler divergence, in nats. Each bin has half a value more than was seen, so that
 * an empty one is no infinity. */
static double divergence(const qzi_tally *real, const qzi_tally *quantized)
{
    const float min = QZI_MIN(real->min[0], quantized->min[0]);
    const float max = QZI_MAX(real->max[0], quantized->max[0]);
    int32_t k = qzi_tally_exponent(min, max, KL_BINS);
    k = QZI_MAX(k, QZI_MAX(real->exponent[0], quantized->exponent[0]));
    const int32_t first = qzi_tally_bin(min, k);
    double p[KL_BINS], q[KL_BINS], sum = 0.0;
    fold(real, k, first, p);
    fold(quantized, k, first, q);
    for (int i = 0; i < KL_BINS; i++)
        sum += (p[i] + 0.5) * (qzi_math_log(p[i] + 0.5) - qzi_math_log(q[i] + 0.5));
    sum /= (double)real->values + 0.5 * KL_BINS;
    return sum > 0.0 ? sum : 0.0;
}

static double cosine(double signal, double quantized, double noise)
{
    if (signal == 0.0 || quantized == 0.0)
        return signal == quantized ? 1.0 : 0.0;
    /* 2 f q = f^2 + q^2 - (f - q)^2; two roots, as the product may overflow */
    const double c = 0.5 * (signal + quantized - noise) / sqrt(signal) / sqrt(quantized);
    return c > 1.0 ? 1.0 : c < -1.0 ? -1.0 : c;
}

static void find_range(const qzi_detail *d, const qzi_node *node, qz_analysis_row *row)
{
    row->min = INFINITY;
    row->max = -INFINITY;
    for (int32_t c = 0; c < d->channels; c++) {
        row->min = fmin(row->min, (double)d->min[c]);
        row->max = fmax(row->max, (double)d->max[c]);
        row->constant_channels += d->min[c] == d->max[c];
        row->zero_channels += d->min[c] == 0.0f && d->max[c] == 0.0f;
        if (node->dtype == QZ_F32)
            continue;
        const double scale = qzi_q_scale(node, c), zero = qzi_q_zero(node, c);
        row->int8_min = fmin(row->int8_min, (0.0 - zero) * scale); /* of NaN the other */
        row->int8_max = fmax(row->int8_max, (255.0 - zero) * scale);
    }
}

void qzi_detail_row(const qzi_detail *detail, const qzi_node *node, double signal, double noise,
                    qz_analysis_row *row)
{
    *row = (qz_analysis_row){.mse = NAN,
                             .cosine = NAN,
                             .kl = NAN,
                             .min = NAN,
                             .max = NAN,
                             .int8_min = NAN,
                             .int8_max = NAN,
                             .clipped = NAN,
                             .channels = detail->channels,
                             .scales = node->dtype == QZ_F32 ? 0
                                       : node->channel_q     ? detail->channels
                                                             : 1};
    if (detail->channels == 0 || detail->invalid)
        return;
    const double count = (double)detail->spread[0].values;
    const qzi_fpenv env = qzi_fpenv_enter();
    row->mse = noise / count;
    row->cosine = cosine(signal, detail->quantized, noise);
    row->kl = divergence(&detail->spread[0], &detail->spread[1]);
    row->clipped = (double)detail->clipped / count;
    find_range(detail, node, row);
    qzi_fpenv_leave(env);
}
