/* SPDX-License-Identifier: MIT */
/* profile.c - from counts to the profile that the range searches read. */
#include "quant/observers/profile.h"

#include <math.h>

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

void qzi_profile_of_channel(const qzi_tally *tally, int32_t channel, qzi_bounds bounds,
                            qzi_profile *profile)
{
    const int32_t exponent = tally->exponent[channel];
    const int32_t first = qzi_tally_bin(tally->min[channel], exponent);
    const int32_t last = qzi_tally_bin(tally->max[channel], exponent);
    const double width = ldexp(1.0, exponent);
    profile->min = (float)clamp(tally->min[channel], bounds.low, bounds.high);
    profile->max = (float)clamp(tally->max[channel], bounds.low, bounds.high);
    profile->bins = last - first + 1;
    profile->zeros = (double)tally->zeros[channel];
    profile->total = (double)tally->values;
    profile->zero_bin = first <= 0 && last >= 0 ? -first : -1;
    for (int32_t i = 0; i < profile->bins; i++) {
        profile->edge[i] = clamp((double)(first + i) * width, profile->min, profile->max);
        profile->weight[i] = (double)qzi_tally_count(tally, channel, first + i);
    }
    profile->edge[profile->bins] = profile->max;
    if (profile->zero_bin >= 0)
        profile->weight[profile->zero_bin] -= profile->zeros;
}

/* ---- several channels together ---- */

/* Spreads a bin over the even bins of the profile. */
static void spread(qzi_profile *p, double begin, double end, double weight)
{
    const double low = p->edge[0], width = p->edge[1] - low;
    const double from = clamp((begin - low) / width, 0.0, p->bins);
    const double to = clamp((end - low) / width, 0.0, p->bins);
    int32_t i = QZI_MIN((int32_t)from, p->bins - 1);
    if (to - from <= 0.0) {
        p->weight[i] += weight;
        return;
    }
    for (double at = from; at < to && i < p->bins; i++) {
        const double stop = QZI_MIN(to, (double)i + 1.0);
        p->weight[i] += weight * ((stop - at) / (to - from));
        at = stop;
    }
}

static double part_of(const float *divisor, int32_t channel)
{
    return divisor ? 1.0 / (double)divisor[channel] : 1.0;
}

void qzi_profile_of_all(const qzi_tally *tally, const float *divisor, qzi_bounds bounds,
                        qzi_profile *profile)
{
    double low = INFINITY, high = -INFINITY;
    if (tally->channels == 1 && !divisor) {
        qzi_profile_of_channel(tally, 0, bounds, profile);
        return;
    }
    *profile = (qzi_profile){.bins = QZI_TALLY_BINS, .zero_bin = -1};
    for (int32_t c = 0; c < tally->channels; c++) {
        low = QZI_MIN(low, tally->min[c] * part_of(divisor, c));
        high = QZI_MAX(high, tally->max[c] * part_of(divisor, c));
        profile->zeros += (double)tally->zeros[c];
    }
    profile->total = (double)tally->values * tally->channels;
    profile->min = (float)clamp(low, bounds.low, bounds.high);
    profile->max = (float)clamp(high, bounds.low, bounds.high);
    low = profile->min;
    high = profile->max;
    if (!(high > low))
        profile->bins = 1;
    for (int32_t i = 0; i <= profile->bins; i++)
        profile->edge[i] = low + (high - low) * ((double)i / profile->bins);
    profile->edge[profile->bins] = high;
    if (!(high > low)) {
        profile->weight[0] = profile->total - profile->zeros;
        return;
    }
    for (int32_t c = 0; c < tally->channels; c++) {
        const double width = ldexp(1.0, tally->exponent[c]), part = part_of(divisor, c);
        const double min = tally->min[c], max = tally->max[c];
        const int32_t first = qzi_tally_bin(tally->min[c], tally->exponent[c]);
        const int32_t last = qzi_tally_bin(tally->max[c], tally->exponent[c]);
        for (int32_t i = first; i <= last; i++) {
            double weight = (double)qzi_tally_count(tally, c, i);
            if (i == 0)
                weight -= (double)tally->zeros[c];
            if (weight > 0.0)
                spread(profile, clamp(i * width, min, max) * part,
                       clamp((i + 1) * width, min, max) * part, weight);
        }
    }
    if (low <= 0.0 && high >= 0.0)
        profile->zero_bin =
            QZI_MIN((int32_t)(-low / (high - low) * profile->bins), profile->bins - 1);
}

void qzi_profile_moments(const qzi_profile *profile, double *mean, double *second)
{
    double sum = 0.0, squares = 0.0;
    for (int32_t i = 0; i < profile->bins; i++) {
        const double begin = profile->edge[i], end = profile->edge[i + 1];
        sum += profile->weight[i] * ((begin + end) / 2.0);
        squares += profile->weight[i] * ((begin * begin + begin * end + end * end) / 3.0);
    }
    *mean = profile->total > 0.0 ? sum / profile->total : 0.0;
    *second = profile->total > 0.0 ? squares / profile->total : 0.0;
}
