/* SPDX-License-Identifier: MIT */
/*
 * observer.c - observers of activations: minimum and maximum, moving average of them, and the
 * frame of the histogram observer (observer_histogram.c). What they give equals PyTorch 1.13's
 * MinMaxObserver and MovingAverageMinMaxObserver bit for bit.
 *
 * All that is taken from the elements (minimum, maximum, counts) does not depend on their order,
 * so neither threads nor layout change a bit of the result.
 */
#include "quant/observers/observer.h"

#include <math.h>
#include <string.h>

/* Rows of a dense view: long enough for the vector loops, short enough to share among threads. */
#define BLOCK 8192
/* Elements worth a thread of their own. */
#define GRAIN (4 * BLOCK)

static bool rows_of_view(const qzk_view *view, qzi_rows *rows)
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

qz_status qzi_observer_create(const qz_context *ctx, qz_observer_kind kind, bool reduce_range,
                              int32_t bins, float averaging, qzi_observer **observer)
{
    *observer = NULL;
    if (kind != QZ_OBSERVER_MINMAX && kind != QZ_OBSERVER_MOVING && kind != QZ_OBSERVER_HISTOGRAM)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "observer kind %d is not minmax, moving or histogram",
                        (int)kind);
    if (bins != 0 && (bins < 2 || bins > QZI_HISTOGRAM_MAX_BINS))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "a histogram of %d bins is not possible; choose 2 to %d", (int)bins,
                        QZI_HISTOGRAM_MAX_BINS);
    if (!(averaging >= 0.0f && averaging <= 1.0f))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "averaging constant %g is not between 0 and 1",
                        (double)averaging);

    qzi_observer *o = qzi_calloc(ctx, 1, sizeof(*o));
    if (!o)
        return QZ_ERR_MEMORY;
    o->ctx = ctx;
    o->kind = kind;
    o->bins = bins ? bins : QZI_HISTOGRAM_BINS;
    o->qmax = reduce_range ? 127 : 255;
    o->averaging = averaging > 0.0f ? averaging : 0.01f;
    o->min = INFINITY;
    o->max = -INFINITY;
    if (kind == QZ_OBSERVER_HISTOGRAM) {
        o->histogram = qzi_calloc(ctx, (size_t)o->bins, sizeof(float));
        if (!o->histogram) {
            qzi_free(ctx, o);
            return QZ_ERR_MEMORY;
        }
    }
    *observer = o;
    return QZ_OK;
}

void qzi_observer_count_whole_range(qzi_observer *observer)
{
    observer->whole_range = true;
}

void qzi_observer_destroy(qzi_observer *observer)
{
    if (!observer)
        return;
    qzi_free(observer->ctx, observer->histogram);
    qzi_free(observer->ctx, observer);
}

static qz_status observe_rows(qzi_observer *observer, const qzi_rows *rows, uint32_t threads)
{
    float min, max;
    QZI_TRY(qzi_rows_range(observer->ctx, rows, threads, &min, &max));
    if (observer->seen) {
        /* what is merged below must stay a finite width, too */
        float low = QZI_MIN(min, observer->min), high = QZI_MAX(max, observer->max);
        if (!isfinite(high - low))
            return qzi_fail(observer->ctx, QZ_ERR_NUMERIC,
                            "values from %g to %g are too far apart to be quantized", (double)low,
                            (double)high);
    }

    switch (observer->kind) {
    case QZ_OBSERVER_HISTOGRAM:
        QZI_TRY(qzi_histogram_observe(observer, rows, threads, min, max));
        break;
    case QZ_OBSERVER_MOVING:
        if (observer->seen) {
            min = observer->min + observer->averaging * (min - observer->min);
            max = observer->max + observer->averaging * (max - observer->max);
        }
        observer->min = min;
        observer->max = max;
        break;
    default:
        observer->min = QZI_MIN(min, observer->min);
        observer->max = QZI_MAX(max, observer->max);
        break;
    }
    observer->seen = true;
    return QZ_OK;
}

qz_status qzi_observer_observe(qzi_observer *observer, const qzk_view *view, uint32_t threads)
{
    qzi_rows rows;
    if (!rows_of_view(view, &rows))
        return qzi_fail(observer->ctx, QZ_ERR_ARGUMENT,
                        "a view of %d x %d x %d x %d values cannot be observed", (int)view->n,
                        (int)view->h, (int)view->w, (int)view->c);
    if (rows.total == 0)
        return QZ_OK;
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = observe_rows(observer, &rows, threads);
    qzi_fpenv_leave(env);
    return st;
}

bool qzi_observer_seen(const qzi_observer *observer)
{
    return observer->seen;
}

void qzi_observer_range(const qzi_observer *observer, float *min, float *max)
{
    *min = observer->min;
    *max = observer->max;
}

qz_status qzi_observer_search(const qzi_observer *observer, float *min, float *max)
{
    if (!observer->seen)
        return qzi_fail(observer->ctx, QZ_ERR_STATE,
                        "the observer has seen no values; calibrate first");
    if (observer->kind != QZ_OBSERVER_HISTOGRAM) {
        qzi_observer_range(observer, min, max);
        return QZ_OK;
    }
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = qzi_histogram_search(observer, min, max);
    qzi_fpenv_leave(env);
    return st;
}

qz_status qzi_observer_qparams(const qzi_observer *observer, qzi_qparams *q)
{
    float min, max;
    QZI_TRY(qzi_observer_search(observer, &min, &max));
    *q = qzi_qparams_affine(min, max, 0, observer->qmax);
    return QZ_OK;
}
