/* SPDX-License-Identifier: MIT */
/*
 * observer_minmax.c - the smallest and the largest value of all batches, as PyTorch 1.13's
 * MinMaxObserver, bit for bit.
 */
#include "quant/observers/observer.h"

static qz_status observe(qzi_observer *o, const qzi_rows *rows, uint32_t threads, float min,
                         float max)
{
    (void)rows;
    (void)threads;
    o->min = QZI_MIN(min, o->min);
    o->max = QZI_MAX(max, o->max);
    return QZ_OK;
}

const qzi_observer_class qzi_observer_minmax = {
    .kind = QZ_OBSERVER_MINMAX,
    .name = "minmax",
    .observe = observe,
};
