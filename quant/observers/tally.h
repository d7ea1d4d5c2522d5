/* SPDX-License-Identifier: MIT */
/*
 * tally.h - counts of values, for each channel of a value or for all together. Private.
 *
 * A channel's bins are [i 2^k, (i + 1) 2^k) for whole i. The exponent k is the smallest at which
 * the smallest and the largest value lie in bins less than `bins` apart. When a value lies outside,
 * k grows and neighbouring bins are joined, which is exact: floor(floor(x / 2^k) / 2) =
 * floor(x / 2^(k + 1)). So a tally is a function of the set of values alone: the order of values,
 * how they are split among tallies that are merged later, and threads change nothing.
 */
#ifndef QZOO_QUANT_OBSERVERS_TALLY_H
#define QZOO_QUANT_OBSERVERS_TALLY_H

#include "quant/observers/extremes.h"
#include "quant/observers/rows.h"

#define QZI_TALLY_BINS 2048        /* of one channel; bins are a power of two */
#define QZI_TALLY_CHANNEL_BINS 256 /* of many */

typedef struct qzi_tally {
    const qz_context *ctx;
    int32_t channels, bins;
    uint64_t values;   /* of each channel */
    float *min, *max;  /* [channels]: exact; INFINITY, -INFINITY: nothing was seen */
    uint64_t *zeros;   /* [channels]: values that are exactly 0, which are in `counts`, too */
    int32_t *exponent; /* [channels]: k */
    uint32_t *counts;  /* [channels, bins]: bin i is stored at i modulo `bins` */
    uint64_t *carried; /* the same: what the 32 bits of counts could not hold; NULL: nothing yet */
    uint64_t pending;  /* values of a channel that `counts` may hold */
    qzi_extremes ends; /* of the views that were added; those of files do not count */
} qzi_tally;

/* channels 1: all values count together, whatever their channel. */
qz_status qzi_tally_create(const qz_context *ctx, int32_t channels, qzi_tally *tally);
void qzi_tally_destroy(qzi_tally *tally);
/*
 * Counts a view, of `channels` channels unless there is one. QZ_ERR_NUMERIC (NaN, infinity, values
 * too far apart) and QZ_ERR_MEMORY leave the tally as it was. Threads change no byte.
 */
qz_status qzi_tally_add(qzi_tally *tally, const qzk_view *view, uint32_t threads);
/* Adds what another tally of as many channels and bins has counted. After QZ_ERR_NUMERIC (together
 * too far apart) and QZ_ERR_MEMORY nothing has changed. */
qz_status qzi_tally_merge(qzi_tally *tally, const qzi_tally *other);

/* The bin of x, whose width is 2^exponent; |x| / 2^exponent is below 2^23. */
int32_t qzi_tally_bin(float x, int32_t exponent);
/* The exponent of a channel of these ends. */
int32_t qzi_tally_exponent(float min, float max, int32_t bins);
static inline uint64_t qzi_tally_count(const qzi_tally *tally, int32_t channel, int32_t bin)
{
    const size_t at = (size_t)channel * (size_t)tally->bins +
                      (size_t)((uint32_t)bin & (uint32_t)(tally->bins - 1));
    return tally->counts[at] + (tally->carried ? tally->carried[at] : 0);
}
/* Adds to a bin: for readers of files. */
qz_status qzi_tally_put(qzi_tally *tally, int32_t channel, int32_t bin, uint64_t count);

#endif
