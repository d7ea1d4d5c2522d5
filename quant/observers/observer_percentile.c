/* SPDX-License-Identifier: MIT */
/*
 * observer_percentile.c - the range inside which P percent of the values lie, half of the others
 * below and half above.
 */
#include "quant/observers/observer.h"

/* The value beyond which `rest` values lie, counted from the end at bin `first`, by `step`. */
static double quantile(const qzi_profile *p, double rest, int32_t first, int32_t step)
{
    double seen = 0.0;
    for (int32_t i = first; i >= 0 && i < p->bins; i += step) {
        const double weight = p->weight[i] + (i == p->zero_bin ? p->zeros : 0.0);
        if (seen + weight > rest) {
            const double part = (rest - seen) / weight;
            const double from = p->edge[step > 0 ? i : i + 1], to = p->edge[step > 0 ? i + 1 : i];
            return from + (to - from) * part;
        }
        seen += weight;
    }
    return step > 0 ? p->max : p->min;
}

void qzi_search_percentile(const qzi_profile *profile, double percent, float *min, float *max)
{
    const double rest = profile->total * ((100.0 - percent) / 200.0);
    const float low = (float)quantile(profile, rest, 0, 1);
    const float high = (float)quantile(profile, rest, profile->bins - 1, -1);
    *min = low;
    *max = QZI_MAX(low, high);
}

static qz_status search(const qzi_observer *o, const qzi_profile *profile, float *min, float *max)
{
    qzi_search_percentile(profile, o->percentile, min, max);
    return QZ_OK;
}

const qzi_observer_class qzi_observer_percentile = {
    .kind = QZ_OBSERVER_PERCENTILE,
    .name = "percentile",
    .search_profile = search,
};
