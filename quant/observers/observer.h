/* SPDX-License-Identifier: MIT */
/*
 * observer.h - what the observers' two files share: the state of an observer, and a way to walk
 * over the elements of a view with threads. Private to quant/observer*.c and their tests.
 */
#ifndef QZOO_QUANT_OBSERVERS_OBSERVER_H
#define QZOO_QUANT_OBSERVERS_OBSERVER_H

#include "quant/quant.h"

#define QZI_HISTOGRAM_BINS 2048      /* torch's default */
#define QZI_HISTOGRAM_MAX_BINS 65536 /* bounds memory and the time of the search */
#define QZI_HISTOGRAM_UPSAMPLE 128   /* torch's upsample_rate */

struct qzi_observer {
    const qz_context *ctx;
    qz_observer_kind kind;
    int32_t bins;
    int32_t qmax; /* 255, or 127 with reduce_range */
    float averaging;
    bool whole_range; /* HISTOGRAM: count what torch drops */
    bool seen;
    float min, max;
    float *histogram; /* [bins], HISTOGRAM only; float32 because torch's merge makes fractions */
};

/*
 * A view as rows of contiguous elements: one row a pixel, or, where pixels touch, blocks of a size
 * that suits threads. The last row may be shorter.
 */
typedef struct qzi_rows {
    const float *data;
    int64_t count, length, last_length, stride;
    int64_t total; /* elements */
    int64_t grain; /* rows worth a thread of their own */
} qzi_rows;

static inline int64_t qzi_row_length(const qzi_rows *rows, int64_t row)
{
    return row == rows->count - 1 ? rows->last_length : rows->length;
}

/* Threads that this many elements keep busy: scratch is allocated for these only. */
static inline uint32_t qzi_rows_threads(const qzi_rows *rows, uint32_t threads)
{
    int64_t useful = rows->count / rows->grain;
    if (useful < 1)
        useful = 1;
    if (threads < 1)
        threads = 1;
    return useful < (int64_t)threads ? (uint32_t)useful : threads;
}

/* Smallest and largest element; QZ_ERR_NUMERIC on NaN, infinity or a width beyond float32. */
qz_status qzi_rows_range(const qz_context *ctx, const qzi_rows *rows, uint32_t threads, float *min,
                         float *max);

/*
 * observer_histogram.c. counts[bins] (cleared first) as torch.histc(x, bins, lo, hi) gives them:
 * elements outside [lo, hi] are not counted; lo == hi asks for the elements' own range, given as
 * own_min and own_max.
 */
qz_status qzi_histogram_count(const qz_context *ctx, const qzi_rows *rows, uint32_t threads,
                              float lo, float hi, float own_min, float own_max, int32_t bins,
                              uint64_t *counts);
/* One batch whose range is already known. */
qz_status qzi_histogram_observe(qzi_observer *observer, const qzi_rows *rows, uint32_t threads,
                                float min, float max);
qz_status qzi_histogram_search(const qzi_observer *observer, float *min, float *max);

#endif
