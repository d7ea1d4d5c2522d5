/* SPDX-License-Identifier: MIT */
/*
 * observer_histogram.c - the histogram observer, equal to PyTorch 1.13's HistogramObserver in every
 * bit that it gives: the same bins, the same merge when the range grows, the same search for the
 * range with the least squared error. Three things of it look odd and are meant:
 *
 *  - A batch is counted over the range *truncated to integers* (torch hands int(min), int(max) to
 *    histc, which then drops what lies outside, or takes the batch's own range where both are the
 *    same integer), but the bins are then taken to span the whole range. The native backend, which
 *    has no oracle to equal, counts the whole range: small ranges lose by the truncation.
 *  - An observer whose range is a single value starts afresh with the next batch.
 *  - The merge keeps the integral of the old histogram, stored once in double and once in float32.
 *
 * Other than torch: a merge needs memory for the bins only, whatever the growth (torch allocates
 * growth x 128 x bins), and where torch would fail or compute with infinities, a defined result
 * follows (said at each place). A batch's counts are exact where torch's stop at 2^24.
 */
#include "quant/observers/observer_histogram.h"

#include <math.h>
#include <string.h>

#define TABLES 4  /* neighbours that fall into one bin must not wait for each other */
#define BLOCK 256 /* elements between computing bins and counting them */

/* ---- counting ---- */

typedef struct count_task {
    const qzi_rows *rows;
    float left, right, width;
    int32_t bins;
    uint32_t *tables;  /* threads x (bins + 1) x TABLES; the last bin takes what is not counted */
    uint64_t *sums;    /* threads x bins */
    uint64_t *pending; /* threads: elements in tables */
} count_task;

static void count_flush(const count_task *task, uint32_t thread)
{
    size_t entries = ((size_t)task->bins + 1) * TABLES;
    uint32_t *table = task->tables + thread * entries;
    uint64_t *sums = task->sums + (size_t)thread * (size_t)task->bins;
    for (int32_t b = 0; b < task->bins; b++) {
        for (int t = 0; t < TABLES; t++)
            sums[b] += table[(size_t)b * TABLES + t];
    }
    memset(table, 0, entries * sizeof(*table));
    task->pending[thread] = 0;
}

/*
 * torch's rule: bin = trunc((x - left) / (right - left) * bins), three float32 operations in this
 * order; the right edge belongs to the last bin. (Where bins + 1 is a multiple of 8, torch's
 * linspace may miss its own right edge by a rounding; that is not copied.) Branch-free, so that it
 * vectorises: what is out of range is moved to `bins` before the conversion to an integer.
 */
static void bins_of(const count_task *task, const float *x, int64_t n, int32_t *restrict index)
{
    const float left = task->left, right = task->right, width = task->width;
    const float bins = (float)task->bins, last = bins - 1.0f;
    for (int64_t i = 0; i < n; i++) {
        float v = x[i];
        float position = (v - left) / width * bins;
        position = position < last ? position : last;
        position = v >= left ? position : bins;
        position = v <= right ? position : bins;
        index[i] = (int32_t)position;
    }
}

static void count_rows(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const count_task *task = arg;
    uint32_t *table = task->tables + thread * ((size_t)task->bins + 1) * TABLES;
    int32_t index[BLOCK];
    for (int64_t row = begin; row < end; row++) {
        const float *x = task->rows->data + row * task->rows->stride;
        int64_t left = qzi_row_length(task->rows, row);
        if (task->pending[thread] > UINT32_MAX - (uint64_t)left)
            count_flush(task, thread);
        task->pending[thread] += (uint64_t)left;
        while (left > 0) {
            int64_t n = QZI_MIN(left, BLOCK), i = 0;
            bins_of(task, x, n, index);
            for (; i + TABLES <= n; i += TABLES) {
                for (int t = 0; t < TABLES; t++)
                    table[(size_t)index[i + t] * TABLES + t]++;
            }
            for (; i < n; i++)
                table[(size_t)index[i] * TABLES]++;
            x += n;
            left -= n;
        }
    }
}

qz_status qzi_histogram_count(const qz_context *ctx, const qzi_rows *rows, uint32_t threads,
                              float lo, float hi, float own_min, float own_max, int32_t bins,
                              uint64_t *counts)
{
    memset(counts, 0, (size_t)bins * sizeof(*counts));
    /* Edges as torch picks them: in double, rounded to float32 at the end. */
    double left = lo, right = hi;
    if (left == right) {
        left = own_min;
        right = own_max;
    }
    if (left == right) {
        left -= 1.0;
        right += 1.0;
    }
    count_task task = {.rows = rows, .left = (float)left, .right = (float)right, .bins = bins};
    task.width = task.right - task.left;
    if (!(task.width > 0.0f)) {
        /* one value so large that 1 does not move it: where other single values go */
        counts[bins / 2] = (uint64_t)rows->total;
        return QZ_OK;
    }

    uint32_t used = qzi_rows_threads(rows, threads);
    qz_status st = QZ_OK;
    task.tables = qzi_calloc(ctx, used, ((size_t)bins + 1) * TABLES * sizeof(*task.tables));
    task.sums = qzi_calloc(ctx, used, (size_t)bins * sizeof(*task.sums));
    task.pending = qzi_calloc(ctx, used, sizeof(*task.pending));
    if (!task.tables || !task.sums || !task.pending) {
        st = QZ_ERR_MEMORY;
        goto done;
    }
    qzi_parallel(ctx, used, rows->count, rows->grain, count_rows, &task);
    for (uint32_t t = 0; t < used; t++) {
        count_flush(&task, t);
        for (int32_t b = 0; b < bins; b++)
            counts[b] += task.sums[(size_t)t * (size_t)bins + (size_t)b];
    }
done:
    qzi_free(ctx, task.tables);
    qzi_free(ctx, task.sums);
    qzi_free(ctx, task.pending);
    return st;
}

/* ---- merging ---- */

/* The place of the old histogram in the new, wider one. */
typedef struct placement {
    float min, max;
    float downsample; /* fine bins in a new bin; a whole number */
    float start;      /* fine bin at which the old histogram begins; a whole number */
} placement;

/* torch's _adjust_min_max: only the maximum is relaxed, so that one-sided ranges keep their 0. */
static placement place(const qzi_observer *o, float min, float max)
{
    float bins = (float)o->bins;
    float fine = (o->max - o->min) / (bins * QZI_HISTOGRAM_UPSAMPLE);
    float coarse = bins * fine;
    placement p = {.min = min, .max = max};
    p.downsample = ceilf((max - min) / coarse);
    p.max = max + (p.downsample * coarse - (max - min));
    p.start = qzi_rnef((o->min - min) / fine);
    return p;
}

/*
 * torch's _combine_histograms without its fine grid: new_counts (float32) += old histogram, each
 * bin of which represents UPSAMPLE equal fine bins. The running sum over fine bins is taken term by
 * term as torch's cumsum does (a product would round otherwise), but only over the old histogram:
 * the zeros around it do not change the sum. Fine bins past the end, which torch refuses, are
 * counted in the last bin.
 */
static void merge_scaled(const float *old, float *counts, int64_t bins, int64_t downsample,
                         int64_t start)
{
    const int64_t up = QZI_HISTOGRAM_UPSAMPLE, fine = bins * up;
    int64_t done = 0; /* fine bins of the old histogram in `sum` */
    double sum = 0.0;
    float before = 0.0f; /* torch keeps the shifted integral in float32 */
    for (int64_t b = 0; b < bins; b++) {
        int64_t end = b == bins - 1 ? fine : QZI_MIN((b + 1) * downsample - start, fine);
        while (done < end) {
            int64_t stop = QZI_MIN((done / up + 1) * up, end);
            double value = old[done / up];
            if (value == 0.0)
                done = stop;
            for (; done < stop; done++)
                sum += value;
        }
        counts[b] += (float)((sum - (double)before) / (double)up);
        before = (float)sum;
    }
}

/* The old range is a speck in the new one (torch runs out of memory): all of it into one bin. */
static void merge_speck(const qzi_observer *o, float *counts, float min, float max)
{
    double sum = 0.0;
    for (int32_t b = 0; b < o->bins; b++)
        sum += o->histogram[b];
    double at = ((double)o->min - min) / ((double)max - min) * o->bins;
    int32_t bin = at < 0.0 ? 0 : at < o->bins - 1 ? (int32_t)at : o->bins - 1;
    counts[bin] += (float)sum;
}

/* What is counted of [min, max]. */
static float edge(const qzi_observer *o, float limit)
{
    return o->whole_range ? limit : truncf(limit) + 0.0f;
}

static qz_status observe_more(qzi_observer *o, const qzi_rows *rows, uint32_t threads, float min,
                              float max, uint64_t *counts, float *merged)
{
    placement p = place(o, QZI_MIN(min, o->min), QZI_MAX(max, o->max));
    /* 2^31 keeps products below 2^47 in merge_scaled; torch would need 8 bytes x bins x that */
    bool speck = !(p.downsample < 0x1p31f && p.start < 0x1p47f) || !isfinite(p.max - p.min);
    if (speck) {
        p.min = QZI_MIN(min, o->min);
        p.max = QZI_MAX(max, o->max);
    }
    QZI_TRY(qzi_histogram_count(o->ctx, rows, threads, edge(o, p.min), edge(o, p.max), min, max,
                                o->bins, counts));
    for (int32_t b = 0; b < o->bins; b++)
        merged[b] = (float)counts[b];
    if (speck) {
        merge_speck(o, merged, p.min, p.max);
    } else if (p.min == o->min && p.max == o->max) {
        for (int32_t b = 0; b < o->bins; b++)
            merged[b] += o->histogram[b];
    } else {
        merge_scaled(o->histogram, merged, o->bins, (int64_t)p.downsample, (int64_t)p.start);
    }
    memcpy(o->histogram, merged, (size_t)o->bins * sizeof(float));
    o->min = p.min;
    o->max = p.max;
    return QZ_OK;
}

static qz_status observe(qzi_observer *o, const qzi_rows *rows, uint32_t threads, float min,
                         float max)
{
    size_t bytes = (size_t)o->bins * (sizeof(uint64_t) + sizeof(float));
    uint64_t *counts = qzi_alloc(o->ctx, bytes);
    if (!counts)
        return QZ_ERR_MEMORY;
    qz_status st;
    if (!o->seen || o->min == o->max) {
        st = qzi_histogram_count(o->ctx, rows, threads, edge(o, min), edge(o, max), min, max,
                                 o->bins, counts);
        if (st == QZ_OK) {
            for (int32_t b = 0; b < o->bins; b++)
                o->histogram[b] = (float)counts[b];
            o->min = min;
            o->max = max;
        }
    } else {
        st = observe_more(o, rows, threads, min, max, counts, (float *)(counts + o->bins));
    }
    qzi_free(o->ctx, counts);
    return st;
}

/* ---- search ---- */

#define SUM_LANES 8 /* torch's vector of floats on AVX2 */
#define SUM_ROWS 4  /* its vectors in flight */
#define SUM_LEVELS 4

/*
 * torch.sum of a float32 vector: its cascade over 4 x 8 lanes, because the search compares such
 * sums and a last bit may decide where it stops.
 */
static float sum_as_torch(const float *x, int64_t n)
{
    enum { WIDTH = SUM_ROWS * SUM_LANES };
    float acc[SUM_LEVELS][WIDTH];
    memset(acc, 0, sizeof(acc));
    int64_t vectors = n / SUM_LANES, rows = vectors / SUM_ROWS;
    int log2 = 0;
    while ((INT64_C(1) << log2) < rows)
        log2++;
    int power = QZI_MAX(4, log2 / SUM_LEVELS);
    int64_t step = INT64_C(1) << power, mask = step - 1, i = 0;

    while (i + step <= rows) {
        for (int64_t j = 0; j < step; j++, i++) {
            for (int k = 0; k < WIDTH; k++)
                acc[0][k] += x[i * WIDTH + k];
        }
        for (int level = 1; level < SUM_LEVELS; level++) {
            for (int k = 0; k < WIDTH; k++) {
                acc[level][k] += acc[level - 1][k];
                acc[level - 1][k] = 0.0f;
            }
            if ((i & (mask << (level * power))) != 0)
                break;
        }
    }
    for (; i < rows; i++) {
        for (int k = 0; k < WIDTH; k++)
            acc[0][k] += x[i * WIDTH + k];
    }
    for (int level = 1; level < SUM_LEVELS; level++) {
        for (int k = 0; k < WIDTH; k++)
            acc[0][k] += acc[level][k];
    }
    for (i = rows * SUM_ROWS; i < vectors; i++) {
        for (int k = 0; k < SUM_LANES; k++)
            acc[0][k] += x[i * SUM_LANES + k];
    }
    for (int row = 1; row < SUM_ROWS; row++) {
        for (int k = 0; k < SUM_LANES; k++)
            acc[0][k] += acc[0][row * SUM_LANES + k];
    }
    float sum = 0.0f;
    for (i = vectors * SUM_LANES; i < n; i++)
        sum += x[i];
    for (int k = 0; k < SUM_LANES; k++)
        sum += acc[0][k];
    return sum;
}

/* What quantizing to 256 steps between two bins costs, each source bin taken as evenly filled. */
typedef struct error_terms {
    const float *density; /* [bins] */
    float *norm;          /* [bins], scratch */
    double bin_width;
    int32_t bins;
} error_terms;

/* Squared distance of values spread from begin to end, in units of their density. */
static inline float spread(float begin, float end)
{
    return (end * end * end - begin * begin * begin) / 3.0f;
}

/*
 * Destination bin of a distance: floor(x / width) clamped to 0..255. In double, because it is exact
 * there for these quotients, as torch's float32 floor division (by fmod) is.
 */
static inline float destination(float x, double width)
{
    double q = (double)x / width;
    q = q > 0.0 ? q : 0.0;
    q = q < 255.0 ? q : 255.0;
    return (float)(int32_t)q;
}

static float quantization_error(const error_terms *e, int32_t first, int32_t last)
{
    double dst_width = e->bin_width * (last - first + 1) / 256;
    if (dst_width == 0.0)
        return 0.0f;
    const float width = (float)e->bin_width, dst = (float)dst_width, half = (float)(dst_width / 2);
    const double dst_as_double = dst;
    const float middle = spread(-half, half);
    for (int32_t i = 0; i < e->bins; i++) {
        float begin = (float)(i - first) * width;
        float end = begin + width;
        float dst_begin = destination(begin, dst_as_double);
        float dst_end = destination(end, dst_as_double);
        float center_begin = (dst_begin + 0.5f) * dst;
        float center_end = dst_end * dst + half;
        float d = e->density[i];
        float norm = d * spread(begin - center_begin, half);
        norm += (dst_end - dst_begin - 1.0f) * (d * middle);
        norm += d * spread(-half, end - center_end);
        e->norm[i] = norm;
    }
    return sum_as_torch(e->norm, e->bins);
}

/*
 * torch's _non_linear_param_search: from both ends, the quantile bound that drops more empty bins
 * moves on by 1e-5, as long as the error does not grow. Bounds only move inwards, so each end scans
 * the bins once in all.
 */
static void search(const qzi_observer *o, const error_terms *e, const float *integral, double total,
                   int32_t *first, int32_t *last)
{
    const double step = 1e-5;
    double alpha = 0.0, beta = 1.0;
    int32_t start = 0, end = o->bins - 1;
    int32_t left = start, right = end; /* how far the scans have come */
    float best = INFINITY;
    while (alpha < beta) {
        double next_alpha = alpha + step, next_beta = beta - step;
        float low = (float)(next_alpha * total), high = (float)(next_beta * total);
        left = QZI_MAX(left, start);
        while (left < end && integral[left] < low)
            left++;
        right = QZI_MIN(right, end);
        while (right > start && integral[right] > high)
            right--;
        int32_t l = QZI_MIN(left, end), r = QZI_MAX(right, start);

        int32_t next_start = start, next_end = end;
        if (l - start > end - r) {
            next_start = l;
            alpha = next_alpha;
        } else {
            next_end = r;
            beta = next_beta;
        }
        if (next_start == start && next_end == end)
            continue;
        float norm = quantization_error(e, next_start, next_end);
        /* Where cubes overflow torch goes on to the median; here the whole range stays. */
        if (norm > best || !isfinite(norm))
            break;
        best = norm;
        start = next_start;
        end = next_end;
    }
    *first = start;
    *last = end;
}

static qz_status find_range(const qzi_observer *o, float *min, float *max)
{
    const int32_t bins = o->bins;
    size_t bytes = (size_t)bins * 3 * sizeof(float);
    float *integral = qzi_alloc(o->ctx, bytes);
    if (!integral)
        return QZ_ERR_MEMORY;
    float *density = integral + bins, *norm = density + bins;

    float width = (o->max - o->min) / (float)bins;
    double width_in_double = ((double)o->max - (double)o->min) / bins;
    double sum = 0.0;
    for (int32_t b = 0; b < bins; b++) {
        sum += o->histogram[b];
        integral[b] = (float)sum;
        density[b] = o->histogram[b] / (float)width_in_double;
    }
    error_terms terms = {density, norm, width_in_double, bins};
    int32_t first, last;
    search(o, &terms, integral, sum_as_torch(o->histogram, bins), &first, &last);
    *min = o->min + width * (float)first;
    *max = o->min + width * (float)(last + 1);
    qzi_free(o->ctx, integral);
    return QZ_OK;
}

static qz_status create(qzi_observer *o)
{
    o->histogram = qzi_calloc(o->ctx, (size_t)o->bins, sizeof(*o->histogram));
    return o->histogram ? QZ_OK : QZ_ERR_MEMORY;
}

static void destroy(qzi_observer *o)
{
    qzi_free(o->ctx, o->histogram);
}

const qzi_observer_class qzi_observer_histogram = {
    .kind = QZ_OBSERVER_HISTOGRAM,
    .name = "histogram",
    .create = create,
    .destroy = destroy,
    .observe = observe,
    .search = find_range,
};
