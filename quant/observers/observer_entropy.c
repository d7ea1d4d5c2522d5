/* SPDX-License-Identifier: MIT */
/*
 * observer_entropy.c - the range whose quantized values tell least apart from the values: the
 * Kullback-Leibler divergence of Migacz, "8-bit Inference with TensorRT" (GTC 2017), for a range of
 * two ends. First the upper end moves inwards, with the whole lower half; then the lower end.
 *
 * Exact zeros are left out: they have a step of their own, and would hide all others. A channel's
 * 256 bins are as many as steps, so that there only what is cut off counts.
 */
#include "quant/observers/observer.h"

#include <math.h>

#define CANDIDATES 128

/* Of bins [first, last], in which `profile` is cut off: what lies outside goes into the ends. */
static double divergence(const qzi_profile *p, int32_t first, int32_t last, int32_t levels)
{
    double below = 0.0, above = 0.0, inside = 0.0, sum = 0.0;
    const int32_t bins = last - first + 1;
    for (int32_t i = 0; i < p->bins; i++)
        *(i < first ? &below : i > last ? &above : &inside) += p->weight[i];
    const double all = below + inside + above;
    if (!(inside > 0.0))
        return INFINITY;
    for (int32_t level = 0; level < QZI_MIN(levels, bins); level++) {
        const int32_t n = QZI_MIN(levels, bins);
        const int32_t begin = first + (int32_t)((int64_t)level * bins / n);
        const int32_t end = first + (int32_t)((int64_t)(level + 1) * bins / n);
        double mass = 0.0;
        int32_t used = 0;
        for (int32_t i = begin; i < end; i++) {
            mass += p->weight[i];
            used += p->weight[i] > 0.0;
        }
        for (int32_t i = begin; i < end; i++) {
            const double own =
                p->weight[i] + (i == first ? below : 0.0) + (i == last ? above : 0.0);
            if (!(own > 0.0))
                continue;
            /* an end that only holds what was cut off: as if one value were there */
            const double step = p->weight[i] > 0.0 ? mass / used : 1.0;
            sum += own / all * qzi_math_log((own / all) / (step / inside));
        }
    }
    return sum;
}

void qzi_search_entropy(const qzi_profile *profile, int32_t qmax, float *min, float *max)
{
    int32_t first = 0, last = profile->bins - 1;
    const int32_t step = QZI_MAX(1, profile->bins / CANDIDATES);
    *min = profile->min;
    *max = profile->max;
    if (profile->total <= profile->zeros)
        return;
    double best = divergence(profile, first, last, qmax + 1);
    const int32_t whole = last;
    for (int32_t end = whole - step; end > 0 && profile->edge[end + 1] > 0.0; end -= step) {
        const double d = divergence(profile, 0, end, qmax + 1);
        if (d < best) {
            best = d;
            last = end;
        }
    }
    for (int32_t begin = step; begin < last && profile->edge[begin] < 0.0; begin += step) {
        const double d = divergence(profile, begin, last, qmax + 1);
        if (d < best) {
            best = d;
            first = begin;
        }
    }
    *min = (float)profile->edge[first];
    *max = (float)profile->edge[last + 1];
}

static qz_status search(const qzi_observer *o, const qzi_profile *profile, float *min, float *max)
{
    qzi_search_entropy(profile, o->qmax, min, max);
    return QZ_OK;
}

const qzi_observer_class qzi_observer_entropy = {
    .kind = QZ_OBSERVER_ENTROPY,
    .name = "entropy",
    .search_profile = search,
};
