/* SPDX-License-Identifier: MIT */
/* observer_histogram.h - the counting of the histogram observer, for its tests. Private. */
#ifndef QZOO_QUANT_OBSERVERS_OBSERVER_HISTOGRAM_H
#define QZOO_QUANT_OBSERVERS_OBSERVER_HISTOGRAM_H

#include "quant/observers/observer.h"

/*
 * counts[bins] (cleared first) as torch.histc(x, bins, lo, hi):
 * elements outside [lo, hi] are not counted; lo == hi asks for the elements' own range, given as
 * own_min and own_max.
 */
qz_status qzi_histogram_count(const qz_context *ctx, const qzi_rows *rows, uint32_t threads,
                              float lo, float hi, float own_min, float own_max, int32_t bins,
                              uint64_t *counts);

#endif
