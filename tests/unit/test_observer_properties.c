/* SPDX-License-Identifier: MIT */
/*
 * test_observer_properties.c - what holds for observers whatever the values: the order of elements,
 * strides and threads change no byte, what is not finite is refused and leaves no trace, extreme
 * growth costs neither memory nor time, failing allocations leak nothing.
 */
#include "quant/observers/observer_histogram.h"
#include "quant/qparams.h"
#include "tests/unit/quant_oracle.h"

#include <float.h>

static const qz_observer_kind kinds[] = {QZ_OBSERVER_MINMAX,    QZ_OBSERVER_MOVING,
                                         QZ_OBSERVER_HISTOGRAM, QZ_OBSERVER_PERCENTILE,
                                         QZ_OBSERVER_ENTROPY,   QZ_OBSERVER_MSE};

static qzi_observer *create(const qz_context *ctx, qz_observer_kind kind)
{
    qzi_observer *o = NULL;
    assert_int_equal(qzi_observer_create(ctx, kind, false, 0, 0.0f, &o), QZ_OK);
    return o;
}

static qz_status observe(qzi_observer *o, const float *x, size_t n, uint32_t threads)
{
    qzk_view view = {
        .data = (void *)(uintptr_t)x, .n = 1, .h = 1, .w = (int32_t)n, .c = 1, .pixel_stride = 1};
    return qzi_observer_observe(o, &view, threads);
}

static void assert_same_state(const qzi_observer *a, const qzi_observer *b)
{
    assert_int_equal(a->seen, b->seen);
    assert_memory_equal(&a->min, &b->min, sizeof(float));
    assert_memory_equal(&a->max, &b->max, sizeof(float));
    if (a->histogram)
        assert_memory_equal(a->histogram, b->histogram, (size_t)a->bins * sizeof(float));
    if (a->tally.counts)
        assert_memory_equal(a->tally.counts, b->tally.counts,
                            (size_t)a->tally.bins * sizeof(uint32_t));
}

static float *random_values(uint64_t seed, size_t n, float scale, bool relu)
{
    float *x = malloc(n * sizeof(*x));
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        float v = seeded_float(seed, i);
        x[i] = (relu && v < 0.0f ? -0.0f : v * v * v) * scale;
    }
    return x;
}

static void shuffle(uint64_t seed, float *x, size_t n)
{
    for (size_t i = n - 1; i > 0; i--) {
        size_t j = (size_t)(seeded_word(seed, i) % (i + 1));
        float t = x[i];
        x[i] = x[j];
        x[j] = t;
    }
}

static void test_order_and_threads(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 3);
    for (size_t k = 0; k < QZI_ARRAY_LEN(kinds); k++) {
        qzi_observer *plain = create(ctx, kinds[k]), *other[3];
        for (int j = 0; j < 3; j++)
            other[j] = create(ctx, kinds[k]);
        for (uint64_t b = 0; b < 4; b++) {
            size_t n = 150000 + 1001 * b;
            float *x = random_values(b, n, 3.0f + (float)b, b % 2 == 0);
            assert_int_equal(observe(plain, x, n, 1), QZ_OK);
            for (uint32_t j = 0; j < 3; j++) {
                shuffle(b + j, x, n);
                assert_int_equal(observe(other[j], x, n, j + 1), QZ_OK);
                assert_same_state(plain, other[j]);
            }
            free(x);
        }
        qzi_observer_destroy(plain);
        for (int j = 0; j < 3; j++)
            qzi_observer_destroy(other[j]);
    }
    counted_end(ctx, &memory);
}

/* A slice of the channels of a wider tensor; what lies between must not be looked at. */
static void test_strided_view(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 2);
    const int32_t channels[] = {1, 3, 16, 37}, wide = 40;
    const size_t pixels = 2 * 45 * 31;
    for (size_t k = 0; k < QZI_ARRAY_LEN(kinds); k++) {
        for (size_t j = 0; j < QZI_ARRAY_LEN(channels); j++) {
            int32_t c = channels[j];
            size_t n = pixels * (size_t)c;
            float *x = random_values(7, n, 5.0f, false);
            float *y = malloc(pixels * (size_t)wide * sizeof(*y));
            assert_non_null(y);
            for (size_t p = 0; p < pixels * (size_t)wide; p++)
                y[p] = NAN;
            for (size_t p = 0; p < pixels; p++)
                memcpy(y + p * (size_t)wide, x + p * (size_t)c, (size_t)c * sizeof(*x));
            qzi_observer *a = create(ctx, kinds[k]), *b = create(ctx, kinds[k]);
            assert_int_equal(observe(a, x, n, 1), QZ_OK);
            qzk_view view = {y, 2, 45, 31, c, wide};
            assert_int_equal(qzi_observer_observe(b, &view, 2), QZ_OK);
            assert_same_state(a, b);
            qzi_observer_destroy(a);
            qzi_observer_destroy(b);
            free(x);
            free(y);
        }
    }
    counted_end(ctx, &memory);
}

/* torch's rule for bins, element by element and in plain words. */
static void test_counts(void **state)
{
    (void)state;
    enum { N = 20000, BINS = 2048 };
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    static uint64_t counts[BINS], expected[BINS];
    const float edges[][2] = {{-2.0f, 3.0f}, {0.0f, 6.0f}, {-1.0f, 0.0f}, {0.0f, 0.0f}};
    for (size_t k = 0; k < QZI_ARRAY_LEN(edges); k++) {
        float *x = random_values(k, N, 7.0f, k == 1), min = INFINITY, max = -INFINITY;
        x[0] = edges[k][1]; /* the right edge belongs to the last bin */
        for (int i = 0; i < N; i++) {
            min = QZI_MIN(min, x[i]);
            max = QZI_MAX(max, x[i]);
        }
        float left = edges[k][0] == edges[k][1] ? min : edges[k][0];
        float right = edges[k][0] == edges[k][1] ? max : edges[k][1];
        memset(expected, 0, sizeof(expected));
        uint64_t inside = 0;
        for (int i = 0; i < N; i++) {
            if (x[i] < left || x[i] > right)
                continue;
            volatile float part = (x[i] - left) / (right - left);
            int bin = (int)(part * (float)BINS);
            expected[bin == BINS ? BINS - 1 : bin]++;
            inside++;
        }
        assert_true(inside > 0 && (k == 3) == (inside == N));
        qzi_rows rows = {x, 1, N, N, N, N, 1};
        assert_int_equal(
            qzi_histogram_count(ctx, &rows, 1, edges[k][0], edges[k][1], min, max, BINS, counts),
            QZ_OK);
        assert_memory_equal(counts, expected, sizeof(counts));
        free(x);
    }
    counted_end(ctx, &memory);
}

/* Half of the values lie above the largest integer in their range: torch drops them, native not. */
static void test_whole_range(void **state)
{
    (void)state;
    enum { N = 1000 };
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    float x[N], min, max;
    for (int i = 0; i < N; i++)
        x[i] = i % 2 ? 2.9f : (float)i / N;
    for (int whole = 0; whole < 2; whole++) {
        double counted = 0.0;
        qzi_observer *o = create(ctx, QZ_OBSERVER_HISTOGRAM);
        if (whole)
            qzi_observer_count_whole_range(o);
        assert_int_equal(observe(o, x, N, 1), QZ_OK);
        for (int32_t b = 0; b < o->bins; b++)
            counted += o->histogram[b];
        assert_true(counted == (whole ? N : N / 2));
        assert_int_equal(qzi_observer_search(o, &min, &max), QZ_OK);
        assert_true(whole ? max > 2.8f : max < 1.6f);
        qzi_observer_destroy(o);
    }
    counted_end(ctx, &memory);
}

static void test_not_finite(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 2);
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    const size_t n = 100003;
    float *x = random_values(1, n, 2.0f, false);
    for (size_t k = 0; k < QZI_ARRAY_LEN(kinds); k++) {
        qzi_observer *o = create(ctx, kinds[k]), *twin = create(ctx, kinds[k]);
        for (int seen = 0; seen < 2; seen++) {
            for (size_t j = 0; j < QZI_ARRAY_LEN(bad); j++) {
                const size_t places[] = {0, n / 2, n - 1};
                for (size_t p = 0; p < QZI_ARRAY_LEN(places); p++) {
                    float saved = x[places[p]];
                    x[places[p]] = bad[j];
                    assert_int_equal(observe(o, x, n, 1 + (uint32_t)p), QZ_ERR_NUMERIC);
                    assert_non_null(strstr(qz_context_message(ctx), j < 2 ? "NaN" : "infinity"));
                    x[places[p]] = saved;
                    assert_same_state(o, twin);
                }
            }
            const float wide[] = {-3e38f, 3e38f};
            assert_int_equal(observe(o, wide, 2, 1), QZ_ERR_NUMERIC);
            assert_same_state(o, twin);
            assert_int_equal(observe(o, x, n, 1), QZ_OK);
            assert_int_equal(observe(twin, x, n, 1), QZ_OK);
            /* too wide only together with what was seen */
        }
        const float low = -2e38f, high = 2e38f;
        assert_int_equal(observe(o, &low, 1, 1), QZ_OK);
        if (kinds[k] != QZ_OBSERVER_MOVING)
            assert_int_equal(observe(o, &high, 1, 1), QZ_ERR_NUMERIC);
        qzi_observer_destroy(o);
        qzi_observer_destroy(twin);
    }
    free(x);
    counted_end(ctx, &memory);
}

static qzi_qparams qparams_of_constant(const qz_context *ctx, qz_observer_kind kind, float value)
{
    float x[33];
    for (size_t i = 0; i < QZI_ARRAY_LEN(x); i++)
        x[i] = value;
    qzi_observer *o = create(ctx, kind);
    qzi_qparams q;
    for (int b = 0; b < 3; b++)
        assert_int_equal(observe(o, x, QZI_ARRAY_LEN(x), 1), QZ_OK);
    assert_int_equal(qzi_observer_qparams(o, &q), QZ_OK);
    qzi_observer_destroy(o);
    return q;
}

static void test_constants(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    for (size_t k = 0; k < QZI_ARRAY_LEN(kinds); k++) {
        qzi_qparams q = qparams_of_constant(ctx, kinds[k], 0.0f);
        assert_same_float(q.scale, FLT_EPSILON, "scale of zeros");
        assert_int_equal(q.zero_point, 0);
        const float values[] = {0.75f, 510.0f, 1e20f, 3e38f};
        for (size_t j = 0; j < QZI_ARRAY_LEN(values); j++) {
            q = qparams_of_constant(ctx, kinds[k], values[j]);
            assert_same_float(q.scale, values[j] / 255.0f, "scale");
            assert_int_equal(q.zero_point, 0);
            q = qparams_of_constant(ctx, kinds[k], -values[j]);
            assert_same_float(q.scale, values[j] / 255.0f, "scale");
            assert_int_equal(q.zero_point, 255);
        }
        q = qparams_of_constant(ctx, kinds[k], 1e-30f);
        assert_same_float(q.scale, FLT_EPSILON, "scale of nearly nothing");
    }
    counted_end(ctx, &memory);
}

/*
 * torch allocates 128 x growth x bins numbers here and dies. Memory stays that of the bins, nothing
 * is lost, and the range that comes out holds what was seen.
 */
static void test_extreme_growth(void **state)
{
    (void)state;
    const float growths[] = {200000.0f, 1e12f, 1e30f};
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    for (size_t k = 0; k < QZI_ARRAY_LEN(growths); k++) {
        for (int side = 0; side < 3; side++) {
            const size_t n = 1000;
            float *x = random_values(k, n, 1.0f, false);
            qzi_observer *o = create(ctx, QZ_OBSERVER_HISTOGRAM);
            assert_int_equal(observe(o, x, n, 1), QZ_OK);
            float wide[2] = {side == 0 ? 0.0f : -growths[k], side == 1 ? 0.0f : growths[k]};
            memory.peak = (int64_t)memory.bytes;
            int64_t before = memory.peak;
            assert_int_equal(observe(o, wide, 2, 1), QZ_OK);
            assert_true(memory.peak - before < 200000);
            double sum = 0.0;
            for (int32_t b = 0; b < o->bins; b++)
                sum += o->histogram[b];
            /* the two ends may lie outside of the range truncated to integers */
            assert_true(sum > 999.5 && sum < 1002.5);
            float min, max, low = QZI_MIN(x[0], wide[0]), high = QZI_MAX(x[0], wide[1]);
            qzi_observer_range(o, &min, &max);
            assert_true(min <= low && max >= high * 0.999f && isfinite(max));
            assert_true(max - min <= 1.1f * (growths[k] * (side == 2 ? 2.0f : 1.0f) + 2.0f));
            qzi_qparams q;
            assert_int_equal(qzi_observer_qparams(o, &q), QZ_OK);
            assert_true(q.scale >= FLT_EPSILON && isfinite(q.scale));
            assert_in_range(q.zero_point, 0, 255);
            qzi_observer_destroy(o);
            free(x);
        }
    }
    /* a range of the smallest numbers, then an ordinary one */
    const float tiny[] = {0.0f, 1e-45f}, usual[] = {-1.5f, 2.5f};
    qzi_observer *o = create(ctx, QZ_OBSERVER_HISTOGRAM);
    assert_int_equal(observe(o, tiny, 2, 1), QZ_OK);
    assert_int_equal(observe(o, usual, 2, 1), QZ_OK);
    float min, max;
    qzi_observer_range(o, &min, &max);
    assert_same_float(min, -1.5f, "min");
    assert_same_float(max, 2.5f, "max");
    qzi_observer_destroy(o);
    counted_end(ctx, &memory);
}

static void test_huge_range(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    for (size_t k = 0; k < QZI_ARRAY_LEN(kinds); k++) {
        const size_t n = 5000;
        float *x = random_values(3, n, 1.5e38f, false);
        qzi_observer *o = create(ctx, kinds[k]);
        for (int b = 0; b < 3; b++)
            assert_int_equal(observe(o, x, n, 1), QZ_OK);
        float min, max, low, high;
        qzi_observer_range(o, &min, &max);
        assert_int_equal(qzi_observer_search(o, &low, &high), QZ_OK);
        if (kinds[k] == QZ_OBSERVER_HISTOGRAM || kinds[k] == QZ_OBSERVER_MINMAX)
            /* cubes of distances overflow: the search keeps the whole range */
            assert_true(low == min && fabsf(high / max - 1.0f) < 1e-6f);
        assert_true(low >= min && low < min * 0.5f && high > max * 0.5f &&
                    high <= max * (1.0f + 1e-6f));
        qzi_observer_destroy(o);
        free(x);
    }
    counted_end(ctx, &memory);
}

static void test_arguments(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    qzi_observer *o = NULL;
    qzi_qparams q;
    float min, max, x[4] = {-1.0f, 0.0f, 0.5f, 1.0f};
    assert_int_equal(qzi_observer_create(ctx, QZ_OBSERVER_DEFAULT, false, 0, 0, &o),
                     QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_observer_create(ctx, QZ_OBSERVER_HISTOGRAM, false, 1, 0, &o),
                     QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_observer_create(ctx, QZ_OBSERVER_HISTOGRAM, false, 1 << 20, 0, &o),
                     QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_observer_create(ctx, QZ_OBSERVER_MOVING, false, 0, 1.5f, &o),
                     QZ_ERR_ARGUMENT);
    assert_int_equal(qzi_observer_create(ctx, QZ_OBSERVER_MOVING, false, 0, NAN, &o),
                     QZ_ERR_ARGUMENT);
    assert_null(o);
    qzi_observer_destroy(NULL);

    for (size_t k = 0; k < QZI_ARRAY_LEN(kinds); k++) {
        o = create(ctx, kinds[k]);
        assert_false(qzi_observer_seen(o));
        assert_int_equal(qzi_observer_qparams(o, &q), QZ_ERR_STATE);
        assert_int_equal(qzi_observer_search(o, &min, &max), QZ_ERR_STATE);
        assert_int_equal(observe(o, x, 0, 1), QZ_OK); /* nothing is nothing */
        assert_false(qzi_observer_seen(o));
        qzk_view view = {x, -1, 1, 1, 1, 1};
        assert_int_equal(qzi_observer_observe(o, &view, 1), QZ_ERR_ARGUMENT);
        view = (qzk_view){x, INT32_MAX, INT32_MAX, INT32_MAX, 4, 4};
        assert_int_equal(qzi_observer_observe(o, &view, 1), QZ_ERR_ARGUMENT);
        view = (qzk_view){x, 1, 1, 2, 2, 1};
        assert_int_equal(qzi_observer_observe(o, &view, 1), QZ_ERR_ARGUMENT);
        assert_int_equal(observe(o, x, 4, 0), QZ_OK);
        assert_true(qzi_observer_seen(o));
        qzi_observer_destroy(o);
    }

    assert_int_equal(qzi_observer_create(ctx, QZ_OBSERVER_MINMAX, true, 0, 0, &o), QZ_OK);
    assert_int_equal(observe(o, x, 4, 1), QZ_OK);
    assert_int_equal(qzi_observer_qparams(o, &q), QZ_OK);
    assert_same_float(q.scale, 2.0f / 127.0f, "scale of the reduced range");
    assert_int_equal(q.zero_point, 64);
    qzi_observer_destroy(o);
    counted_end(ctx, &memory);
}

static qz_status life(qz_context *ctx, qz_observer_kind kind)
{
    float x[100], min, max;
    qzi_observer *o;
    qz_status st = qzi_observer_create(ctx, kind, false, 0, 0.0f, &o);
    if (st != QZ_OK)
        return st;
    for (int b = 0; b < 3 && st == QZ_OK; b++) {
        for (size_t i = 0; i < QZI_ARRAY_LEN(x); i++)
            x[i] = seeded_float((uint64_t)b, i) * (float)(b + 1);
        st = observe(o, x, QZI_ARRAY_LEN(x), 1);
    }
    if (st == QZ_OK)
        st = qzi_observer_search(o, &min, &max);
    qzi_observer_destroy(o);
    return st;
}

static void test_no_memory(void **state)
{
    (void)state;
    counted_memory memory;
    qz_context *ctx = counted_context(&memory, 1);
    int64_t idle = memory.live;
    for (size_t k = 0; k < QZI_ARRAY_LEN(kinds); k++) {
        for (int64_t fail = 0;; fail++) {
            memory.total = 0;
            memory.fail_at = fail;
            qz_status st = life(ctx, kinds[k]);
            assert_int_equal(memory.live, idle);
            if (st == QZ_OK) {
                assert_true(fail >= 4 && memory.total == fail);
                break;
            }
            assert_int_equal(st, QZ_ERR_MEMORY);
        }
    }
    memory.fail_at = -1;
    counted_end(ctx, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_threads),
        cmocka_unit_test(test_strided_view),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_whole_range),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_extreme_growth),
        cmocka_unit_test(test_huge_range),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
