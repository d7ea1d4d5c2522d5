/* SPDX-License-Identifier: MIT */
/*
 * tally.c - counts values by channel.
 *
 * A batch is looked at twice: for the ends of each channel, which decide the exponent, and for the
 * counts. Channels lie side by side in memory, so both walks vectorise over channels. Threads share
 * pixels in the first walk, channels in the second, so that none has counts of its own to add.
 */
#include "quant/observers/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXPONENT_MIN (-126) /* 2^126 is a float, and so is 2^-126 times it */
#define INDEX_BITS 23       /* indexes of bins are exact in float32 */
#define GROUP 32            /* channels counted together: their counts fit the first cache */
#define GRAIN 32768         /* values worth a thread */

qz_status qzi_tally_create(const qz_context *ctx, int32_t channels, qzi_tally *tally)
{
    const int32_t bins = channels == 1 ? QZI_TALLY_BINS : QZI_TALLY_CHANNEL_BINS;
    *tally = (qzi_tally){.ctx = ctx, .channels = channels, .bins = bins};
    const size_t c = (size_t)channels;
    size_t counts;
    if (!qzi_mul_size(c, (size_t)bins, &counts))
        return qzi_fail_memory(ctx, SIZE_MAX);
    tally->min = qzi_calloc(ctx, c, sizeof(*tally->min));
    tally->max = qzi_calloc(ctx, c, sizeof(*tally->max));
    tally->zeros = qzi_calloc(ctx, c, sizeof(*tally->zeros));
    tally->exponent = qzi_calloc(ctx, c, sizeof(*tally->exponent));
    tally->counts = qzi_calloc(ctx, counts, sizeof(*tally->counts));
    if (!tally->min || !tally->max || !tally->zeros || !tally->exponent || !tally->counts) {
        qzi_tally_destroy(tally);
        return QZ_ERR_MEMORY;
    }
    for (size_t i = 0; i < c; i++) {
        tally->min[i] = INFINITY;
        tally->max[i] = -INFINITY;
        tally->exponent[i] = EXPONENT_MIN;
    }
    return QZ_OK;
}

void qzi_tally_destroy(qzi_tally *tally)
{
    qzi_free(tally->ctx, tally->min);
    qzi_free(tally->ctx, tally->max);
    qzi_free(tally->ctx, tally->zeros);
    qzi_free(tally->ctx, tally->exponent);
    qzi_free(tally->ctx, tally->counts);
    qzi_free(tally->ctx, tally->carried);
    *tally = (qzi_tally){0};
}

/* ---- bins ---- */

/* 2^e as a float, -126 <= e <= 127. */
static float power_of_two(int32_t e)
{
    const uint32_t bits = (uint32_t)(e + 127) << 23;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/*
 * The magnitude is divided and truncated, and a negative number takes the complement: that is the
 * floor of a number that is not whole, and it stays right where a tiny quotient underflows. Bins
 * below 0 hold (i 2^k, (i + 1) 2^k], so that joining two is still a shift. -0 counts as 0.
 */
static inline int32_t bin_of(float x, float inverse)
{
    const float v = x + 0.0f;
    return (int32_t)(fabsf(v) * inverse) ^ -(int32_t)(v < 0.0f);
}

int32_t qzi_tally_bin(float x, int32_t exponent)
{
    return bin_of(x, power_of_two(-exponent));
}

/* Of a positive number the e in 2^e <= x < 2^(e + 1). */
static int32_t log2_of(double x)
{
    int e;
    frexp(x, &e);
    return e - 1;
}

int32_t qzi_tally_exponent(float min, float max, int32_t bins)
{
    const double magnitude = fmax(fabs((double)min), fabs((double)max));
    const double width = (double)max - (double)min;
    int32_t k = EXPONENT_MIN;
    if (magnitude > 0.0)
        k = QZI_MAX(k, log2_of(magnitude) - (INDEX_BITS - 1));
    if (width > 0.0)
        k = QZI_MAX(k, log2_of(width) - log2_of(bins));
    while (qzi_tally_bin(max, k) - qzi_tally_bin(min, k) >= bins)
        k++;
    return k;
}

/* Brings a channel's bins to a larger exponent, before its min and max change. */
static void widen(qzi_tally *tally, int32_t channel, int32_t exponent)
{
    const int32_t mask = tally->bins - 1, old = tally->exponent[channel];
    /* the bins of the old exponent are less than `bins` apart; a shift by 31 is as good as more */
    const int32_t shift = QZI_MIN(exponent - old, 31);
    tally->exponent[channel] = exponent;
    if (shift == 0 || tally->max[channel] < tally->min[channel])
        return;
    uint32_t *counts = tally->counts + (size_t)channel * (size_t)tally->bins;
    uint64_t *carried =
        tally->carried ? tally->carried + (size_t)channel * (size_t)tally->bins : NULL;
    uint32_t joined[QZI_TALLY_BINS] = {0};
    uint64_t joined_carried[QZI_TALLY_BINS] = {0};
    const int32_t first = qzi_tally_bin(tally->min[channel], old);
    const int32_t last = qzi_tally_bin(tally->max[channel], old);
    for (int32_t i = first; i <= last; i++) {
        joined[(i >> shift) & mask] += counts[i & mask];
        if (carried)
            joined_carried[(i >> shift) & mask] += carried[i & mask];
    }
    memcpy(counts, joined, (size_t)tally->bins * sizeof(*counts));
    if (carried)
        memcpy(carried, joined_carried, (size_t)tally->bins * sizeof(*carried));
}

/* Makes room in the 32-bit counts for `more` values of a channel, below 2^32. */
static qz_status make_room(qzi_tally *tally, uint64_t more)
{
    if (tally->pending + more <= UINT32_MAX) {
        tally->pending += more;
        return QZ_OK;
    }
    const size_t count = (size_t)tally->channels * (size_t)tally->bins;
    if (!tally->carried)
        tally->carried = qzi_calloc(tally->ctx, count, sizeof(*tally->carried));
    if (!tally->carried)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        tally->carried[i] += tally->counts[i];
    memset(tally->counts, 0, count * sizeof(*tally->counts));
    tally->pending = more;
    return QZ_OK;
}

/* New ends of a channel, which hold the old. */
static void extend(qzi_tally *tally, int32_t channel, float min, float max)
{
    const float low = QZI_MIN(min, tally->min[channel]), high = QZI_MAX(max, tally->max[channel]);
    const bool first = tally->max[channel] < tally->min[channel];
    if (first || low < tally->min[channel] || high > tally->max[channel])
        widen(tally, channel, qzi_tally_exponent(low, high, tally->bins));
    tally->min[channel] = low;
    tally->max[channel] = high;
}

/* ---- the ends of a batch ---- */

/* What a thread has seen of each channel. */
typedef struct ends {
    float *min, *max;
    int32_t *zeros;
    float *rest; /* 0, or NaN where a value was not finite */
} ends;

/* A batch as pixels of channels: of one channel, pixels are values, in rows of this length. */
typedef struct batch {
    qzi_tally *tally;
    qzi_rows rows;
    int32_t channels;
    float *memory;    /* of the ends, [threads, 4, channels] */
    float *inverse;   /* [channels]: 2^-k */
    uint32_t *tables; /* of one channel: [threads, TABLES, bins] */
} batch;

static ends ends_of(const batch *b, uint32_t thread)
{
    const size_t c = (size_t)b->channels;
    float *at = b->memory + (size_t)thread * 4 * c;
    return (ends){at, at + c, (int32_t *)(void *)(at + 2 * c), at + 3 * c};
}

static inline void look_at(const float *restrict x, int64_t n, float *restrict min,
                           float *restrict max, int32_t *restrict zeros, float *restrict rest)
{
    for (int64_t i = 0; i < n; i++) {
        const float v = x[i] + 0.0f;
        min[i] = v < min[i] ? v : min[i];
        max[i] = v > max[i] ? v : max[i];
        zeros[i] += v == 0.0f;
        rest[i] += v * 0.0f;
    }
}

static void find_ends(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const batch *b = arg;
    const ends e = ends_of(b, thread);
    for (int64_t row = begin; row < end; row++)
        look_at(b->rows.data + row * b->rows.stride, b->channels, e.min, e.max, e.zeros, e.rest);
}

static qz_status fail_values(const qz_context *ctx, float min, float max)
{
    return qzi_fail(ctx, QZ_ERR_NUMERIC, "values from %g to %g are too far apart to be quantized",
                    (double)min, (double)max);
}

/* Joins what the threads have seen into the first's; refuses what cannot be counted. */
static qz_status join_ends(const batch *b, uint32_t threads)
{
    const ends all = ends_of(b, 0);
    bool finite = true;
    for (uint32_t t = 1; t < threads; t++) {
        const ends e = ends_of(b, t);
        for (int32_t c = 0; c < b->channels; c++) {
            all.min[c] = QZI_MIN(all.min[c], e.min[c]);
            all.max[c] = QZI_MAX(all.max[c], e.max[c]);
            all.zeros[c] += e.zeros[c];
            all.rest[c] += e.rest[c];
        }
    }
    for (int32_t c = 0; c < b->channels; c++)
        finite = finite && all.rest[c] == 0.0f;
    if (!finite)
        return qzi_fail(b->tally->ctx, QZ_ERR_NUMERIC,
                        "NaN or infinity among the values to be quantized; check the weights and "
                        "the input");
    float low = INFINITY, high = -INFINITY;
    for (int32_t c = 0; c < b->channels; c++) {
        low = QZI_MIN(low, QZI_MIN(all.min[c], b->tally->min[c]));
        high = QZI_MAX(high, QZI_MAX(all.max[c], b->tally->max[c]));
    }
    return isfinite(high - low) ? QZ_OK : fail_values(b->tally->ctx, low, high);
}

/* ---- counting ---- */

/* Channels [begin, end) of all pixels, at most GROUP. */
static void count_group(const batch *b, int32_t begin, int32_t n)
{
    const qzi_tally *t = b->tally;
    const int32_t mask = t->bins - 1;
    uint32_t *counts = t->counts + (size_t)begin * (size_t)t->bins;
    int32_t at[GROUP], base[GROUP];
    float inverse[GROUP];
    for (int32_t c = 0; c < n; c++) {
        base[c] = c * t->bins;
        inverse[c] = b->inverse[begin + c];
    }
    for (int64_t p = 0; p < b->rows.count; p++) {
        const float *x = b->rows.data + p * b->rows.stride + begin;
        if (n == GROUP) {
            for (int32_t c = 0; c < GROUP; c++)
                at[c] = (bin_of(x[c], inverse[c]) & mask) + base[c];
        } else {
            for (int32_t c = 0; c < n; c++)
                at[c] = (bin_of(x[c], inverse[c]) & mask) + base[c];
        }
        for (int32_t c = 0; c < n; c++)
            counts[at[c]]++;
    }
}

/* Units are groups of 8 channels, so that threads share narrow values, too. */
#define UNIT 8

static void count_channels(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const batch *b = arg;
    (void)thread;
    const int32_t last = (int32_t)QZI_MIN(end * UNIT, (int64_t)b->channels);
    for (int32_t c = (int32_t)begin * UNIT; c < last; c += GROUP)
        count_group(b, c, QZI_MIN(GROUP, last - c));
}

static qz_status add_channels(batch *b, uint32_t threads)
{
    qzi_tally *t = b->tally;
    const int32_t channels = b->channels;
    const int64_t units = QZI_DIV_UP(channels, UNIT);
    const uint32_t used = qzi_rows_threads(&b->rows, threads);
    b->memory = qzi_calloc(t->ctx, (size_t)used * 4 + 1, (size_t)channels * sizeof(float));
    if (!b->memory)
        return QZ_ERR_MEMORY;
    for (uint32_t i = 0; i < used; i++) {
        const ends e = ends_of(b, i);
        for (int32_t c = 0; c < channels; c++) {
            e.min[c] = INFINITY;
            e.max[c] = -INFINITY;
        }
    }
    qzi_parallel(t->ctx, used, b->rows.count, b->rows.grain, find_ends, b);
    qz_status st = join_ends(b, used);
    if (st == QZ_OK)
        st = make_room(t, (uint64_t)b->rows.count);
    if (st == QZ_OK) {
        const ends all = ends_of(b, 0);
        float low = INFINITY, high = -INFINITY;
        b->inverse = b->memory + (size_t)used * 4 * (size_t)channels;
        for (int32_t c = 0; c < channels; c++) {
            extend(t, c, all.min[c], all.max[c]);
            low = QZI_MIN(low, all.min[c]);
            high = QZI_MAX(high, all.max[c]);
            t->zeros[c] += (uint64_t)all.zeros[c];
            b->inverse[c] = power_of_two(-t->exponent[c]);
        }
        const int64_t grain = QZI_MAX(1, GRAIN / QZI_MAX(1, b->rows.count * UNIT));
        qzi_parallel(t->ctx, used, units, grain, count_channels, b);
        t->values += (uint64_t)b->rows.count;
        qzi_extremes_add(&t->ends, low, high);
    }
    qzi_free(t->ctx, b->memory);
    return st;
}

/* ---- one channel ---- */

#define TABLES 4 /* neighbours that fall into one bin must not wait for each other */
#define BLOCK 256

static void count_values(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const batch *b = arg;
    const int32_t bins = b->tally->bins, mask = bins - 1;
    const float inverse = b->inverse[0];
    uint32_t *table = b->tables + (size_t)thread * TABLES * (size_t)bins;
    int32_t at[BLOCK];
    for (int64_t row = begin; row < end; row++) {
        const float *x = b->rows.data + row * b->rows.stride;
        int64_t left = qzi_row_length(&b->rows, row);
        while (left > 0) {
            const int64_t n = QZI_MIN(left, BLOCK);
            for (int64_t i = 0; i < n; i++)
                at[i] = (bin_of(x[i], inverse) & mask) + (int32_t)(i % TABLES) * bins;
            for (int64_t i = 0; i < n; i++)
                table[at[i]]++;
            x += n;
            left -= n;
        }
    }
}

typedef struct zero_task {
    const qzi_rows *rows;
    uint64_t *zeros; /* [threads] */
} zero_task;

static void count_zeros(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const zero_task *task = arg;
    for (int64_t row = begin; row < end; row++) {
        const float *x = task->rows->data + row * task->rows->stride;
        const int64_t n = qzi_row_length(task->rows, row);
        int32_t zeros = 0;
        for (int64_t i = 0; i < n; i++)
            zeros += x[i] == 0.0f;
        task->zeros[thread] += (uint64_t)zeros;
    }
}

static qz_status add_values(batch *b, uint32_t threads)
{
    qzi_tally *t = b->tally;
    const qzi_rows *rows = &b->rows;
    const size_t bins = (size_t)t->bins;
    const uint32_t used = qzi_rows_threads(rows, threads);
    float min, max, inverse;
    QZI_TRY(qzi_rows_range(t->ctx, rows, threads, &min, &max));
    const float low = QZI_MIN(min, t->min[0]), high = QZI_MAX(max, t->max[0]);
    if (!isfinite(high - low))
        return fail_values(t->ctx, low, high);
    uint64_t *zeros = qzi_calloc(t->ctx, used, sizeof(*zeros) + TABLES * bins * sizeof(*b->tables));
    if (!zeros)
        return QZ_ERR_MEMORY;
    b->tables = (uint32_t *)(void *)(zeros + used);
    const qz_status st = make_room(t, (uint64_t)rows->total);
    if (st == QZ_OK) {
        extend(t, 0, min, max);
        inverse = power_of_two(-t->exponent[0]);
        b->inverse = &inverse;
        qzi_parallel(t->ctx, used, rows->count, rows->grain, count_values, b);
        qzi_parallel(t->ctx, used, rows->count, rows->grain, count_zeros,
                     &(zero_task){rows, zeros});
        for (size_t i = 0; i < (size_t)used * TABLES * bins; i++)
            t->counts[i % bins] += b->tables[i];
        for (uint32_t i = 0; i < used; i++)
            t->zeros[0] += zeros[i];
        t->values += (uint64_t)rows->total;
        qzi_extremes_add(&t->ends, min, max);
    }
    qzi_free(t->ctx, zeros);
    return st;
}

qz_status qzi_tally_add(qzi_tally *tally, const qzk_view *view, uint32_t threads)
{
    batch b = {.tally = tally, .channels = tally->channels};
    if (!qzi_rows_of_view(view, &b.rows) || (tally->channels != 1 && tally->channels != view->c))
        return qzi_fail(tally->ctx, QZ_ERR_ARGUMENT,
                        "a view of %d x %d x %d x %d values cannot be counted in %d channels",
                        (int)view->n, (int)view->h, (int)view->w, (int)view->c,
                        (int)tally->channels);
    if (b.rows.total == 0)
        return QZ_OK;
    if (b.rows.total / tally->channels > INT32_MAX)
        return qzi_fail(tally->ctx, QZ_ERR_ARGUMENT, "%lld values at once are too many",
                        (long long)b.rows.total);
    if (tally->channels == 1)
        return add_values(&b, threads);
    b.rows.count = b.rows.total / view->c;
    b.rows.length = b.rows.last_length = view->c;
    b.rows.stride = view->pixel_stride;
    b.rows.grain = QZI_MAX(1, GRAIN / view->c);
    return add_channels(&b, threads);
}

/* ---- merging ---- */

qz_status qzi_tally_put(qzi_tally *tally, int32_t channel, int32_t bin, uint64_t count)
{
    const size_t all = (size_t)tally->channels * (size_t)tally->bins;
    const size_t at = (size_t)channel * (size_t)tally->bins +
                      (size_t)((uint32_t)bin & (uint32_t)(tally->bins - 1));
    if (count == 0)
        return QZ_OK;
    if (!tally->carried && !(tally->carried = qzi_calloc(tally->ctx, all, sizeof(uint64_t))))
        return QZ_ERR_MEMORY;
    tally->carried[at] += count;
    return QZ_OK;
}

/* Of the values that both have counted none is lost: `carried` holds 64 bits. */
qz_status qzi_tally_merge(qzi_tally *tally, const qzi_tally *other)
{
    if (tally->channels != other->channels || tally->bins != other->bins)
        return qzi_fail(tally->ctx, QZ_ERR_MISMATCH, "%d channels cannot be merged with %d",
                        (int)tally->channels, (int)other->channels);
    if (other->values == 0)
        return QZ_OK;
    if (tally->values > UINT64_MAX - other->values)
        return qzi_fail(tally->ctx, QZ_ERR_NUMERIC, "too many values together");
    for (int32_t c = 0; c < tally->channels; c++) {
        const float low = QZI_MIN(tally->min[c], other->min[c]);
        const float high = QZI_MAX(tally->max[c], other->max[c]);
        if (!isfinite(high - low))
            return fail_values(tally->ctx, low, high);
    }
    const size_t count = (size_t)tally->channels * (size_t)tally->bins;
    if (!tally->carried &&
        !(tally->carried = qzi_calloc(tally->ctx, count, sizeof(*tally->carried))))
        return QZ_ERR_MEMORY;
    for (int32_t c = 0; c < tally->channels; c++) {
        extend(tally, c, other->min[c], other->max[c]);
        const int32_t first = qzi_tally_bin(other->min[c], other->exponent[c]);
        const int32_t last = qzi_tally_bin(other->max[c], other->exponent[c]);
        const int32_t shift = QZI_MIN(tally->exponent[c] - other->exponent[c], 31);
        for (int32_t i = first; i <= last; i++)
            QZI_TRY(qzi_tally_put(tally, c, i >> shift, qzi_tally_count(other, c, i)));
        tally->zeros[c] += other->zeros[c];
    }
    tally->values += other->values;
    return QZ_OK;
}
