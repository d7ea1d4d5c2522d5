/* SPDX-License-Identifier: MIT */
/*
 * observer_minmax.c - the smallest and the largest value of all batches, as PyTorch 1.13's
 * MinMaxObserver, bit for bit.
 */
#include "quant/observers/observer.h"

static qz_status search(const qzi_observer *o, const qzi_profile *profile, float *min, float *max)
{
    (void)o;
    *min = profile->min;
    *max = profile->max;
    return QZ_OK;
}

const qzi_observer_class qzi_observer_minmax = {
    .kind = QZ_OBSERVER_MINMAX,
    .name = "minmax",
    .search_profile = search,
};
