/* SPDX-License-Identifier: MIT */
/*
 * profile.h - how values are spread, as the range searches see it: bins of even density. Private.
 */
#ifndef QZOO_QUANT_OBSERVERS_PROFILE_H
#define QZOO_QUANT_OBSERVERS_PROFILE_H

#include "quant/observers/tally.h"

/*
 * Bin i holds `weight[i]` values, spread evenly from edge[i] to edge[i + 1]; of equal edges they
 * are at that value. Exact zeros are counted apart: an affine range holds 0, so that they cost
 * nothing. Their bin is `zero_bin`.
 */
typedef struct qzi_profile {
    int32_t bins, zero_bin; /* zero_bin -1: 0 is in none */
    double zeros, total;    /* total with zeros */
    float min, max;         /* exact */
    double edge[QZI_TALLY_BINS + 1];
    double weight[QZI_TALLY_BINS];
} qzi_profile;

/* What lies beyond [low, high] is taken to be at the end. */
typedef struct qzi_bounds {
    float low, high;
} qzi_bounds;

/* One channel of a tally that has seen values. */
void qzi_profile_of_channel(const qzi_tally *tally, int32_t channel, qzi_bounds bounds,
                            qzi_profile *profile);
/* All channels, each divided by its divisor, which is finite and above 0; NULL: all are 1. */
void qzi_profile_of_all(const qzi_tally *tally, const float *divisor, qzi_bounds bounds,
                        qzi_profile *profile);
/* The mean of x and of x^2. */
void qzi_profile_moments(const qzi_profile *profile, double *mean, double *second);

/* ---- range searches: observer_NAME.c ---- */

/* percent of the values lie inside, as many below as above. */
void qzi_search_percentile(const qzi_profile *profile, double percent, float *min, float *max);
/* The least squared error of quantizing to 0..qmax. */
qz_status qzi_search_mse(const qz_context *ctx, const qzi_profile *profile, int32_t qmax,
                         float *min, float *max);
/* The least Kullback-Leibler divergence of the quantized values from the values. */
void qzi_search_entropy(const qzi_profile *profile, int32_t qmax, float *min, float *max);

#endif
