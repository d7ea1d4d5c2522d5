/* SPDX-License-Identifier: MIT */
/* extremes.h - how far a range would go without the batch that made its end. Private. */
#ifndef QZOO_QUANT_OBSERVERS_EXTREMES_H
#define QZOO_QUANT_OBSERVERS_EXTREMES_H

#include <math.h>
#include <stdint.h>

/* The two smallest minima and the two largest maxima of all batches: of the set of batches, not of
 * their order. Zero-initialized. */
typedef struct qzi_extremes {
    float low[2], high[2];
    uint64_t batches;
} qzi_extremes;

static inline void qzi_extremes_add(qzi_extremes *e, float min, float max)
{
    if (e->batches++ == 0) {
        e->low[0] = min;
        e->high[0] = max;
        e->low[1] = INFINITY;
        e->high[1] = -INFINITY;
        return;
    }
    if (min < e->low[0]) {
        e->low[1] = e->low[0];
        e->low[0] = min;
    } else if (min < e->low[1]) {
        e->low[1] = min;
    }
    if (max > e->high[0]) {
        e->high[1] = e->high[0];
        e->high[0] = max;
    } else if (max > e->high[1]) {
        e->high[1] = max;
    }
}

/*
 * By how much of its width the last batch widens the range, on average over all orders of the
 * batches: a batch is the last one in one of `batches` orders, and only those that made an end
 * widen it. NaN: fewer than two batches, or the range has no width.
 */
static inline double qzi_extremes_growth(const qzi_extremes *e)
{
    const double width = (double)e->high[0] - (double)e->low[0];
    if (e->batches < 2 || width <= 0.0)
        return NAN;
    const double grown = ((double)e->high[0] - e->high[1]) + ((double)e->low[1] - e->low[0]);
    return grown / width / (double)e->batches;
}

#endif
