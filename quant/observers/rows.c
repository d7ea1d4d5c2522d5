/* SPDX-License-Identifier: MIT */
/*
 * rows.c - walks over the elements of a view, and finds the smallest and the largest.
 *
 * Neither depends on the order of the elements, so threads and layout change no bit.
 */
#include "quant/observers/rows.h"

#include <math.h>
#include <string.h>

/* Rows of a dense view: long enough for the vector loops, short enough to share among threads. */
#define BLOCK 8192
/* Elements worth a thread of their own. */
#define GRAIN (4 * BLOCK)

bool qzi_rows_of_view(const qzk_view *view, qzi_rows *rows)
{
    size_t total = 1;
    const int32_t dims[4] = {view->n, view->h, view->w, view->c};
    for (int i = 0; i < 4; i++) {
        if (dims[i] < 0 || !qzi_mul_size(total, (size_t)dims[i], &total) || total > INT64_MAX / 4)
            return false;
    }
    if (total != 0 && (!view->data || view->pixel_stride < view->c))
        return false;

    *rows = (qzi_rows){.data = view->data, .total = (int64_t)total};
    if (total == 0)
        return true;
    if (view->pixel_stride == view->c) {
        rows->length = rows->stride = BLOCK;
        rows->count = QZI_DIV_UP(rows->total, BLOCK);
        rows->last_length = rows->total - (rows->count - 1) * BLOCK;
    } else {
        rows->length = rows->last_length = view->c;
        rows->stride = view->pixel_stride;
        rows->count = rows->total / view->c;
    }
    rows->grain = QZI_MAX(1, GRAIN / rows->length);
    return true;
}

typedef struct range_slot {
    int32_t min, max;                          /* keys, see below */
    char pad[QZI_ALIGN - 2 * sizeof(int32_t)]; /* no two threads on one cache line */
} range_slot;

typedef struct range_task {
    const qzi_rows *rows;
    range_slot *slots;
} range_task;

/*
 * Minimum and maximum of float32 as integers: with all bits but the sign flipped where the sign is
 * set, the order of the integers is that of the numbers, and NaN and infinity lie at its ends. So
 * one plain integer reduction, which compilers vectorise, finds both and all that is not finite.
 */
static inline int32_t key_of(int32_t bits)
{
    return bits ^ ((bits >> 31) & INT32_MAX);
}

static float value_of(int32_t key)
{
    int32_t bits = key_of(key); /* its own inverse */
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void range_of_rows(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const range_task *task = arg;
    int32_t min = task->slots[thread].min, max = task->slots[thread].max;
    for (int64_t row = begin; row < end; row++) {
        const float *x = task->rows->data + row * task->rows->stride;
        int64_t n = qzi_row_length(task->rows, row);
        for (int64_t i = 0; i < n; i++) {
            int32_t bits;
            memcpy(&bits, &x[i], sizeof(bits));
            int32_t key = key_of(bits);
            min = key < min ? key : min;
            max = key > max ? key : max;
        }
    }
    task->slots[thread].min = min;
    task->slots[thread].max = max;
}

qz_status qzi_rows_range(const qz_context *ctx, const qzi_rows *rows, uint32_t threads, float *min,
                         float *max)
{
    uint32_t used = qzi_rows_threads(rows, threads);
    range_slot *slots = qzi_calloc(ctx, used, sizeof(*slots));
    if (!slots)
        return QZ_ERR_MEMORY;
    for (uint32_t t = 0; t < used; t++)
        slots[t] = (range_slot){.min = INT32_MAX, .max = INT32_MIN};

    range_task task = {rows, slots};
    qzi_parallel(ctx, used, rows->count, rows->grain, range_of_rows, &task);

    int32_t low_key = INT32_MAX, high_key = INT32_MIN;
    for (uint32_t t = 0; t < used; t++) {
        low_key = QZI_MIN(low_key, slots[t].min);
        high_key = QZI_MAX(high_key, slots[t].max);
    }
    qzi_free(ctx, slots);

    float lo = value_of(low_key), hi = value_of(high_key);
    if (!isfinite(lo) || !isfinite(hi))
        return qzi_fail(ctx, QZ_ERR_NUMERIC,
                        "%s among the values to be quantized; check the weights and the input",
                        isnan(lo) || isnan(hi) ? "NaN" : "infinity");
    if (!isfinite(hi - lo))
        return qzi_fail(ctx, QZ_ERR_NUMERIC,
                        "values from %g to %g are too far apart to be quantized", (double)lo,
                        (double)hi);
    /* one zero: -0 becomes +0 */
    *min = lo + 0.0f;
    *max = hi + 0.0f;
    return QZ_OK;
}
