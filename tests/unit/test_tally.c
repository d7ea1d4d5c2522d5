/* SPDX-License-Identifier: MIT */
/*
 * test_tally.c - counts by channel depend on the set of values alone: order, split, merge and
 * threads change no byte, whatever the magnitudes; the ranges found in them are the least errors.
 */
#include "quant/observers/observer.h"
#include "tests/unit/quant_oracle.h"

#include <float.h>

static const qz_observer_kind mergeable[] = {QZ_OBSERVER_MINMAX, QZ_OBSERVER_PERCENTILE,
                                             QZ_OBSERVER_ENTROPY, QZ_OBSERVER_MSE};

enum { C = 37, PIXELS = 2000 };

static qzi_observer *create(const qz_context *ctx, qz_observer_kind kind, int32_t channels)
{
    qzi_observer *o = NULL;
    assert_int_equal(qzi_observer_create(ctx, kind, false, 0, 0.0f, &o), QZ_OK);
    assert_int_equal(qzi_observer_set_channels(o, channels), QZ_OK);
    return o;
}

static qz_status observe(qzi_observer *o, const float *x, int32_t pixels, int32_t c,
                         uint32_t threads)
{
    const qzk_view view = {(void *)(uintptr_t)x, 1, 1, pixels, c, c};
    return qzi_observer_observe(o, &view, threads);
}

/* What the counts are, wherever they are stored. */
static void assert_same_counts(const qzi_observer *a, const qzi_observer *b)
{
    const qzi_tally *s = &a->tally, *t = &b->tally;
    const size_t c = (size_t)s->channels;
    assert_int_equal(s->channels, t->channels);
    assert_true(s->values == t->values);
    assert_memory_equal(s->min, t->min, c * sizeof(float));
    assert_memory_equal(s->max, t->max, c * sizeof(float));
    assert_memory_equal(s->zeros, t->zeros, c * sizeof(uint64_t));
    assert_memory_equal(s->exponent, t->exponent, c * sizeof(int32_t));
    for (int32_t i = 0; i < s->channels; i++)
        for (int32_t bin = 0; bin < s->bins; bin++)
            assert_true(qzi_tally_count(s, i, bin) == qzi_tally_count(t, i, bin));
    assert_memory_equal(&a->min, &b->min, sizeof(float));
    assert_memory_equal(&a->max, &b->max, sizeof(float));
}

static void assert_same_ranges(const qzi_observer *a, const qzi_observer *b)
{
    float range[4];
    for (int32_t c = 0; c < qzi_observer_channels(a); c++) {
        assert_int_equal(qzi_observer_channel_range(a, c, &range[0], &range[1]), QZ_OK);
        assert_int_equal(qzi_observer_channel_range(b, c, &range[2], &range[3]), QZ_OK);
        assert_memory_equal(range, range + 2, 2 * sizeof(float));
    }
    assert_int_equal(qzi_observer_search(a, &range[0], &range[1]), QZ_OK);
    assert_int_equal(qzi_observer_search(b, &range[2], &range[3]), QZ_OK);
    assert_memory_equal(range, range + 2, 2 * sizeof(float));
}

/* Channels of all magnitudes: 1e-30 and less, 1e30 and more, denormals, dead, one-sided, far from
 * 0, and some that grow from the first magnitude to the other. */
static void fill(float *x, uint64_t seed)
{
    static const float scales[] = {1.0f,  1e-30f, 1e30f, 1e-40f, 0.0f,  3.0f,
                                   1e-3f, 100.0f, 6.0f,  1e-44f, 1e37f, 0.25f};
    for (size_t p = 0; p < PIXELS; p++)
        for (size_t c = 0; c < C; c++) {
            const float v = seeded_float(seed, p * C + c);
            float y = v * v * v * scales[c % 12];
            if (c % 5 == 1)
                y = y < 0.0f ? -0.0f : y;
            if (c % 5 == 2)
                y = -fabsf(y);
            if (c % 5 == 3)
                y = 1000.0f * scales[c % 12] * (1.0f + 0.001f * v);
            if (c % 7 == 6)
                y = v * (p < PIXELS / 4 ? 1e-30f : p < PIXELS / 2 ? 1.0f : 1e30f);
            x[p * C + c] = y;
        }
}

static void swap_pixels(float *x, size_t i, size_t j)
{
    for (size_t c = 0; c < C; c++) {
        const float t = x[i * C + c];
        x[i * C + c] = x[j * C + c];
        x[j * C + c] = t;
    }
}

static void test_sets(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 3);
    static float x[PIXELS * C];
    for (size_t k = 0; k < QZI_ARRAY_LEN(mergeable); k++) {
        for (int32_t channels = 1; channels <= C; channels += C - 1) {
            qzi_observer *whole = create(ctx, mergeable[k], channels);
            fill(x, 5);
            assert_int_equal(observe(whole, x, PIXELS, C, 1), QZ_OK);
            for (uint32_t round = 0; round < 4; round++) {
                qzi_observer *parts[3];
                for (size_t i = 0; i < 3; i++)
                    parts[i] = create(ctx, mergeable[k], channels);
                if (round == 1) /* backwards, so that the largest come first */
                    for (size_t i = 0; i < PIXELS / 2; i++)
                        swap_pixels(x, i, PIXELS - 1 - i);
                if (round > 1)
                    for (size_t i = PIXELS - 1; i > 0; i--)
                        swap_pixels(x, i, seeded_word(round, i) % (i + 1));
                int32_t at = 0;
                for (int32_t i = 0; at < PIXELS; i++) {
                    const int32_t n = QZI_MIN(1 + 97 * i, PIXELS - at);
                    assert_int_equal(observe(parts[i % 3], x + at * C, n, C, 1 + round), QZ_OK);
                    at += n;
                }
                assert_int_equal(qzi_observer_merge(parts[round % 3], parts[(round + 1) % 3]),
                                 QZ_OK);
                assert_int_equal(qzi_observer_merge(parts[(round + 2) % 3], parts[round % 3]),
                                 QZ_OK);
                assert_same_counts(whole, parts[(round + 2) % 3]);
                assert_same_ranges(whole, parts[(round + 2) % 3]);
                for (size_t i = 0; i < 3; i++)
                    qzi_observer_destroy(parts[i]);
            }
            qzi_observer_destroy(whole);
        }
    }
    counted_end(ctx, &memory);
}

/* All counts in plain words: floor(x / 2^k) in double, which is exact. */
static void test_counts(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 2);
    static float x[PIXELS * C];
    fill(x, 9);
    qzi_observer *o = create(ctx, QZ_OBSERVER_MSE, C);
    assert_int_equal(observe(o, x, PIXELS / 2, C, 2), QZ_OK);
    assert_int_equal(observe(o, x + PIXELS / 2 * C, PIXELS / 2, C, 2), QZ_OK);
    for (int32_t c = 0; c < C; c++) {
        const qzi_tally *t = &o->tally;
        const int32_t k = t->exponent[c];
        uint64_t expected[QZI_TALLY_CHANNEL_BINS] = {0}, zeros = 0;
        float min = INFINITY, max = -INFINITY;
        for (int32_t p = 0; p < PIXELS; p++) {
            const float v = x[p * C + c];
            double at = ldexp((double)v, -k);
            /* a negative number on an edge belongs to the bin below */
            int32_t bin = v < 0.0f ? -1 - (int32_t)-at : (int32_t)at;
            expected[bin & (t->bins - 1)]++;
            zeros += v == 0.0f;
            min = QZI_MIN(min, v);
            max = QZI_MAX(max, v);
        }
        assert_true(t->zeros[c] == zeros);
        assert_same_float(t->min[c], min, "min");
        assert_same_float(t->max[c], max, "max");
        for (int32_t bin = 0; bin < t->bins; bin++)
            assert_true(qzi_tally_count(t, c, bin) == expected[bin]);
        /* no smaller width would do */
        const double narrow = ldexp(1.0, k - 1);
        assert_true(k == -126 || (max / narrow) - (min / narrow) >= t->bins - 1 ||
                    fmax(fabs((double)min), fabs((double)max)) / narrow >= 0x1p23);
    }
    qzi_observer_destroy(o);
    counted_end(ctx, &memory);
}

/* More values than 32 bits count: as if an image had been shown again and again. */
static void test_many_values(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    static float x[PIXELS * C];
    fill(x, 1);
    for (int32_t channels = 1; channels <= C; channels += C - 1) {
        qzi_observer *o = create(ctx, QZ_OBSERVER_MSE, channels);
        qzi_observer *twin = create(ctx, QZ_OBSERVER_MSE, channels);
        assert_int_equal(observe(o, x, PIXELS, C, 1), QZ_OK);
        for (int i = 0; i < 30; i++) {
            assert_int_equal(qzi_observer_merge(twin, o), QZ_OK);
            assert_int_equal(qzi_observer_merge(o, twin), QZ_OK);
        }
        o->tally.pending = UINT32_MAX - 5;
        const uint64_t before = o->tally.values;
        const uint64_t count = qzi_tally_count(&o->tally, 0, 0);
        assert_true(before > UINT32_MAX);
        assert_int_equal(observe(o, x, PIXELS, C, 1), QZ_OK);
        assert_true(o->tally.values > before && o->tally.pending < UINT32_MAX / 2);
        assert_true(qzi_tally_count(&o->tally, 0, 0) >= count);
        uint64_t all = 0;
        for (int32_t bin = 0; bin < o->tally.bins; bin++)
            all += qzi_tally_count(&o->tally, 0, bin);
        assert_true(all == o->tally.values);
        qzi_observer_destroy(o);
        qzi_observer_destroy(twin);
    }
    counted_end(ctx, &memory);
}

static void test_refused(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 2);
    static float x[PIXELS * C];
    const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
    fill(x, 2);
    for (int32_t channels = 1; channels <= C; channels += C - 1) {
        qzi_observer *o = create(ctx, QZ_OBSERVER_MSE, channels);
        qzi_observer *twin = create(ctx, QZ_OBSERVER_MSE, channels);
        assert_int_equal(observe(o, x, PIXELS, C, 1), QZ_OK);
        assert_int_equal(observe(twin, x, PIXELS, C, 1), QZ_OK);
        for (size_t i = 0; i < QZI_ARRAY_LEN(bad); i++) {
            const size_t at = (PIXELS / 2) * C + i, other = at + 7;
            const float saved = x[at], saved_other = x[other];
            x[at] = bad[i];
            x[other] = i == 3 ? -3e38f : saved_other;
            assert_int_equal(observe(o, x, PIXELS, C, 2), QZ_ERR_NUMERIC);
            x[at] = saved;
            x[other] = saved_other;
            assert_same_counts(o, twin);
        }
        assert_int_equal(qzi_observer_set_channels(o, 3), QZ_ERR_ARGUMENT); /* too late */
        if (channels > 1)
            assert_int_equal(observe(o, x, 10, C - 1, 1), QZ_ERR_ARGUMENT);
        qzi_observer *narrow = create(ctx, QZ_OBSERVER_MSE, 2);
        assert_int_equal(qzi_observer_merge(o, narrow), QZ_ERR_MISMATCH);
        qzi_observer_destroy(narrow);
        qzi_observer_destroy(o);
        qzi_observer_destroy(twin);
    }
    qzi_observer *o = NULL, *mse = create(ctx, QZ_OBSERVER_MSE, 1);
    float min, max;
    double mean, second;
    assert_int_equal(qzi_observer_create(ctx, QZ_OBSERVER_MOVING, false, 0, 0.0f, &o), QZ_OK);
    assert_int_equal(qzi_observer_set_channels(o, 3), QZ_ERR_UNSUPPORTED);
    assert_int_equal(qzi_observer_merge(mse, o), QZ_ERR_UNSUPPORTED);
    assert_int_equal(qzi_observer_merge(o, mse), QZ_ERR_UNSUPPORTED);
    assert_int_equal(qzi_observer_channel_range(o, 0, &min, &max), QZ_ERR_UNSUPPORTED);
    assert_int_equal(qzi_observer_channel_moments(mse, 0, &mean, &second), QZ_ERR_STATE);
    assert_int_equal(qzi_observer_set_percentile(mse, 101.0), QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_observer_set_percentile(mse, NAN), QZ_ERR_ARGUMENT);
    qzi_observer_destroy(o);
    qzi_observer_destroy(mse);
    counted_end(ctx, &memory);
}

/* ---- ranges ---- */

enum { N = 100000 };

/* Even, with one outlier on each side, or cut at 0. */
static void fill_outliers(float *x, size_t n, bool relu)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = seeded_float(3, i);
        if (relu)
            x[i] = QZI_MAX(x[i], 0.0f);
    }
    x[n / 3] = relu ? 1.2f : 1.5f;
    x[n / 2] = relu ? 0.0f : -1.5f;
}

static double error_of(const float *x, size_t n, float min, float max)
{
    const double low = fmin(min, 0.0), high = fmax(max, 0.0), step = (high - low) / 255.0;
    const double zero = nearbyint(-low / step);
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        double q = nearbyint((double)x[i] / step) + zero;
        q = q < 0.0 ? 0.0 : q > 255.0 ? 255.0 : q;
        const double d = (q - zero) * step - (double)x[i];
        sum += d * d;
    }
    return sum / (double)n;
}

/* No range of a fine grid has an error below that of the range found, but for what bins hide. */
static void test_mse(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    static float x[N];
    for (int relu = 0; relu < 2; relu++) {
        for (int32_t c = 1; c <= 2; c++) { /* 2048 bins; 256 bins */
            float min, max;
            fill_outliers(x, N, relu);
            qzi_observer *o = create(ctx, QZ_OBSERVER_MSE, c);
            assert_int_equal(observe(o, x, N / c, c, 1), QZ_OK);
            assert_int_equal(qzi_observer_search(o, &min, &max), QZ_OK);
            const double found = error_of(x, N, min, max);
            double best = INFINITY;
            for (int i = 22; i <= 40; i += 3)
                for (int j = relu ? 40 : 22; j <= 40; j += 3)
                    best = fmin(
                        best, error_of(x, N, o->min * (float)j / 40.0f, o->max * (float)i / 40.0f));
            assert_true(found < 1.02 * best);
            assert_true(max < 0.97f * o->max); /* something was gained */
            assert_true(found < 0.97 * error_of(x, N, o->min, o->max));
            qzi_observer_destroy(o);
        }
    }
    /* all of ReLU6's 6 are exact */
    for (size_t i = 0; i < N; i++)
        x[i] = QZI_MIN(6.0f, QZI_MAX(0.0f, 12.0f * seeded_float(8, i)));
    qzi_observer *o = create(ctx, QZ_OBSERVER_MSE, 1);
    float min, max;
    assert_int_equal(observe(o, x, N, 1, 1), QZ_OK);
    assert_int_equal(qzi_observer_search(o, &min, &max), QZ_OK);
    assert_same_float(min, 0.0f, "low");
    assert_same_float(max, 6.0f, "high");
    qzi_observer_destroy(o);
    counted_end(ctx, &memory);
}

static void test_percentile(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    static float x[N];
    const double percents[] = {100.0, 99.99, 99.0, 90.0, 50.0};
    fill_outliers(x, N, false);
    for (size_t k = 0; k < QZI_ARRAY_LEN(percents); k++) {
        qzi_observer *o = create(ctx, QZ_OBSERVER_PERCENTILE, 1);
        float min, max;
        int below = 0, above = 0;
        assert_int_equal(qzi_observer_set_percentile(o, percents[k]), QZ_OK);
        assert_int_equal(observe(o, x, N, 1, 1), QZ_OK);
        assert_int_equal(qzi_observer_search(o, &min, &max), QZ_OK);
        for (int i = 0; i < N; i++) {
            below += x[i] < min;
            above += x[i] > max;
        }
        const double aim = N * (100.0 - percents[k]) / 200.0;
        assert_true(fabs(below - aim) <= 2.0 + N * 0.002 && fabs(above - aim) <= 2.0 + N * 0.002);
        if (k == 0)
            assert_true(min == o->min && max == o->max);
        qzi_observer_destroy(o);
    }
    counted_end(ctx, &memory);
}

/* Far outliers are cut off; a distribution without a tail keeps its range. */
static void test_entropy(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    static float x[N];
    for (int outliers = 0; outliers < 2; outliers++) {
        qzi_observer *o = create(ctx, QZ_OBSERVER_ENTROPY, 1);
        float min, max;
        for (size_t i = 0; i < N; i++)
            x[i] = seeded_float(6, i);
        x[0] = outliers ? 40.0f : 1.0f;
        assert_int_equal(observe(o, x, N, 1, 1), QZ_OK);
        assert_int_equal(qzi_observer_search(o, &min, &max), QZ_OK);
        assert_true(outliers ? max < 20.0f && max >= 0.9f : max > 0.9f);
        assert_true(min >= -1.0f && min < -0.8f);
        qzi_observer_destroy(o);
    }
    counted_end(ctx, &memory);
}

/* Channels divided by their largest values have the range of one; moments are those of x. */
static void test_scaled(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    static float x[N];
    enum { W = 4 };
    const float scales[W] = {0.01f, 1.0f, 7.0f, 300.0f};
    for (size_t i = 0; i < N; i++)
        x[i] = seeded_float(5, i) * scales[i % W];
    for (size_t k = 0; k < QZI_ARRAY_LEN(mergeable); k++) {
        qzi_observer *o = create(ctx, mergeable[k], W);
        float min, max, mins[W], maxs[W];
        assert_int_equal(observe(o, x, N / W, W, 1), QZ_OK);
        assert_int_equal(qzi_observer_scaled_range(o, scales, &min, &max), QZ_OK);
        assert_true(min >= -1.001f && min < -0.97f && max <= 1.001f && max > 0.97f);
        assert_int_equal(qzi_observer_channel_ranges(o, 2, mins, maxs), QZ_OK);
        for (int32_t c = 0; c < W; c++) {
            double mean, second;
            assert_int_equal(qzi_observer_channel_range(o, c, &min, &max), QZ_OK);
            assert_true(min == mins[c] && max == maxs[c]);
            assert_true(max > 0.97f * scales[c] && max <= 1.001f * scales[c]);
            assert_int_equal(qzi_observer_channel_moments(o, c, &mean, &second), QZ_OK);
            double sum = 0.0, squares = 0.0;
            for (size_t i = (size_t)c; i < N; i += W) {
                sum += (double)x[i];
                squares += (double)x[i] * (double)x[i];
            }
            assert_true(fabs(mean - sum * W / N) < 0.001 * (double)scales[c]);
            assert_true(fabs(second / (squares * W / N) - 1.0) < 0.005);
        }
        /* all within the bounds */
        qzi_observer_set_bounds(o, -0.5f, 2.0f);
        assert_int_equal(qzi_observer_search(o, &min, &max), QZ_OK);
        assert_true(min >= -0.5f && max <= 2.0f);
        if (mergeable[k] == QZ_OBSERVER_MINMAX)
            assert_true(min == -0.5f && max == 2.0f);
        qzi_observer_destroy(o);
    }
    counted_end(ctx, &memory);
}

static void test_no_memory(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    static float x[PIXELS * C];
    const int64_t idle = memory.live;
    fill(x, 2);
    for (int64_t fail = 0;; fail++) {
        float min[C], max[C];
        qzi_observer *o = NULL, *other = NULL;
        memory.total = 0;
        memory.fail_at = fail;
        qz_status st = qzi_observer_create(ctx, QZ_OBSERVER_MSE, false, 0, 0.0f, &o);
        if (st == QZ_OK)
            st = qzi_observer_set_channels(o, C);
        if (st == QZ_OK)
            st = observe(o, x, 50, C, 1);
        if (st == QZ_OK)
            st = qzi_observer_create(ctx, QZ_OBSERVER_MSE, false, 0, 0.0f, &other);
        if (st == QZ_OK)
            st = qzi_observer_set_channels(other, C);
        if (st == QZ_OK)
            st = qzi_observer_merge(other, o);
        if (st == QZ_OK)
            st = qzi_observer_channel_ranges(other, 1, min, max);
        if (st == QZ_OK)
            st = qzi_observer_scaled_range(other, NULL, min, max);
        qzi_observer_destroy(o);
        qzi_observer_destroy(other);
        assert_int_equal(memory.live, idle);
        if (st == QZ_OK) {
            assert_true(fail > 20);
            break;
        }
        assert_int_equal(st, QZ_ERR_MEMORY);
    }
    memory.fail_at = -1;
    counted_end(ctx, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets),        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_many_values), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_mse),         cmocka_unit_test(test_percentile),
        cmocka_unit_test(test_entropy),     cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
