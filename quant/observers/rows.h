/* SPDX-License-Identifier: MIT */
/* rows.h - the elements of a view as rows that threads share. Private to observers. */
#ifndef QZOO_QUANT_OBSERVERS_ROWS_H
#define QZOO_QUANT_OBSERVERS_ROWS_H

#include "layers/base/base.h"
#include "layers/kernels/kernels.h"

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

/* False where the view is impossible: negative sizes, no data, pixels that overlap. */
bool qzi_rows_of_view(const qzk_view *view, qzi_rows *rows);
/* Smallest and largest element; QZ_ERR_NUMERIC on NaN, infinity or a width beyond float32. */
qz_status qzi_rows_range(const qz_context *ctx, const qzi_rows *rows, uint32_t threads, float *min,
                         float *max);

#endif
