/* SPDX-License-Identifier: MIT */
/*
 * observer_mse.c - the range whose quantized values have the least squared error.
 *
 * With a step s = (high - low) / qmax the error of N values is close to
 *   N s^2 / 12  +  sum over x > high of (x - high)^2  +  sum over x < low of (low - x)^2.
 * Each term is convex in (low, high), so the least error is where the derivatives are 0:
 *   sum over x > high of (x - high) = sum over x < low of (low - x) = N (high - low) / (12 qmax^2).
 * For a width on the right, each sum determines its end; these ends move together when the width
 * grows, so that one bisection over the width finds where the ends are that width apart. low stays
 * at most 0 and high at least 0. Exact zeros are not among the N values: they have no error.
 */
#include "quant/observers/observer.h"

#include <math.h>

/* One tail: distances from 0 outwards, bin by bin. */
typedef struct tail {
    int32_t bins;
    double *begin, *end, *weight; /* [bins] */
    double *outside;              /* [bins + 1]: values from bin i on */
    double *excess;               /* [bins + 1]: sum of their distances from begin[i]; last: 0 */
} tail;

#define TAIL_ARRAYS 5

/* sign 1: what lies above 0, -1: below. Bins through 0 are cut there. */
static void tail_of(const qzi_profile *p, int32_t sign, double *memory, tail *t)
{
    const size_t size = (size_t)p->bins + 1;
    *t = (tail){.begin = memory,
                .end = memory + size,
                .weight = memory + 2 * size,
                .outside = memory + 3 * size,
                .excess = memory + 4 * size};
    for (int32_t j = 0; j < p->bins; j++) {
        const int32_t i = sign > 0 ? j : p->bins - 1 - j;
        double begin = sign > 0 ? p->edge[i] : -p->edge[i + 1];
        const double end = sign > 0 ? p->edge[i + 1] : -p->edge[i];
        double weight = p->weight[i];
        if (end < 0.0 || (end == 0.0 && begin < 0.0) || weight <= 0.0)
            continue;
        if (begin < 0.0) {
            weight *= end / (end - begin);
            begin = 0.0;
        }
        t->begin[t->bins] = begin;
        t->end[t->bins] = end;
        t->weight[t->bins++] = weight;
    }
    t->outside[t->bins] = t->excess[t->bins] = 0.0;
    for (int32_t i = t->bins - 1; i >= 0; i--) {
        const double next = i + 1 < t->bins ? t->begin[i + 1] : t->end[i];
        t->outside[i] = t->outside[i + 1] + t->weight[i];
        t->excess[i] = t->excess[i + 1] + t->outside[i + 1] * (next - t->begin[i]) +
                       t->weight[i] * ((t->end[i] - t->begin[i]) / 2.0);
    }
}

/* The distance d at which the sum of what values lie beyond d is `excess`; 0 where it is less. */
static double end_of(const tail *t, double excess)
{
    if (t->bins == 0 || t->excess[0] + t->outside[0] * t->begin[0] <= excess)
        return 0.0;
    int32_t low = 0, high = t->bins; /* excess[low] > excess >= excess[high], or low is 0 */
    while (high - low > 1) {
        const int32_t middle = (low + high) / 2;
        if (t->excess[middle] > excess)
            low = middle;
        else
            high = middle;
    }
    if (t->excess[low] <= excess) /* before the first bin */
        return t->begin[low] - (excess - t->excess[low]) / t->outside[low];
    const double width = t->end[low] - t->begin[low];
    /* beyond the bin only others lie */
    const double next = low + 1 < t->bins ? t->begin[low + 1] : t->end[low];
    const double at_end = t->excess[low + 1] + t->outside[low + 1] * (next - t->end[low]);
    if (at_end >= excess && t->outside[low + 1] > 0.0)
        return t->end[low] + (at_end - excess) / t->outside[low + 1];
    if (!(width > 0.0))
        return t->end[low];
    const double density = t->weight[low] / width, rest = excess - at_end;
    const double others = t->outside[low + 1];
    return t->end[low] - 2.0 * rest / (others + sqrt(others * others + 2.0 * density * rest));
}

/* An end that is less than half a step from the last value: that value, which is then exact. */
static double round_end(double end, double last, double step)
{
    return end >= last - step / 2.0 ? fmax(last, 0.0) : end;
}

qz_status qzi_search_mse(const qz_context *ctx, const qzi_profile *profile, int32_t qmax,
                         float *min, float *max)
{
    tail above, below;
    const size_t size = TAIL_ARRAYS * ((size_t)profile->bins + 1);
    const double values = profile->total - profile->zeros;
    const double factor = values / (12.0 * (double)qmax * (double)qmax);
    double *memory = qzi_alloc(ctx, 2 * size * sizeof(*memory));
    if (!memory)
        return QZ_ERR_MEMORY;
    tail_of(profile, 1, memory, &above);
    tail_of(profile, -1, memory + size, &below);
    double low = 0.0, high = fmax(profile->max, 0.0) - fmin(profile->min, 0.0);
    for (int i = 0; i < 40; i++) {
        const double width = (low + high) / 2.0, excess = factor * width;
        if (end_of(&above, excess) + end_of(&below, excess) > width)
            low = width;
        else
            high = width;
    }
    const double step = high / qmax;
    *max = (float)round_end(end_of(&above, factor * high), profile->max, step);
    *min = (float)-round_end(end_of(&below, factor * high), -profile->min, step) + 0.0f;
    qzi_free(ctx, memory);
    return QZ_OK;
}

static qz_status search(const qzi_observer *o, const qzi_profile *profile, float *min, float *max)
{
    return qzi_search_mse(o->ctx, profile, o->qmax, min, max);
}

const qzi_observer_class qzi_observer_mse = {
    .kind = QZ_OBSERVER_MSE,
    .name = "mse",
    .search_profile = search,
};
