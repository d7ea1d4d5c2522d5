/* SPDX-License-Identifier: MIT */
/* test_analysis.c - what analysis reports of a value, by hand; and of a model's nodes. */
#include "passes.h"

#include "quant/detail.h"
#include "qzoo.h"

#define PIXELS 6
#define CHANNELS 3

static const qzi_reach all = {-INFINITY, INFINITY};

/* Channel 0 varies and is clipped twice, 1 is always 2, 2 always 0. */
static const float real[PIXELS * CHANNELS] = {1.0f,   2.0f, 0.0f, -1.2f,  2.0f, 0.0f,
                                              0.3f,   2.0f, 0.0f, 100.0f, 2.0f, 0.0f,
                                              -70.0f, 2.0f, 0.0f, 4.0f,   2.0f, 0.0f};
static const uint8_t bytes[PIXELS * CHANNELS] = {130, 132, 128, 126, 132, 128, 129, 132, 128,
                                                 255, 132, 128, 0,   132, 128, 136, 132, 128};

static void add(qz_context *ctx, qzi_detail *d, const qzi_node *node, const float *f, const void *x,
                int32_t first, int32_t count, qzi_reach reach)
{
    const size_t size = node->dtype == QZ_F32 ? sizeof(float) : 1;
    float data[PIXELS * CHANNELS];
    memcpy(data, f + first * CHANNELS, (size_t)(count * CHANNELS) * sizeof(*data));
    const qzk_view values = {data, 1, 1, count, CHANNELS, CHANNELS};
    const qzk_view view = {
        (char *)x + (size_t)(first * CHANNELS) * size, 1, 1, count, CHANNELS, CHANNELS};
    ASSERT_OK(ctx, qzi_detail_add(ctx, d, &values, node, &view, reach, 1));
}

static void check_row(const qz_analysis_row *row, const float *scale, const float *q)
{
    double signal = 0.0, noise = 0.0, other = 0.0, dot = 0.0;
    for (int i = 0; i < PIXELS * CHANNELS; i++) {
        signal += (double)real[i] * real[i];
        other += (double)q[i] * q[i];
        dot += (double)real[i] * q[i];
        noise += ((double)real[i] - q[i]) * ((double)real[i] - q[i]);
    }
    assert_true(fabs(row->mse - noise / (PIXELS * CHANNELS)) <= 1e-9);
    assert_true(fabs(row->cosine - dot / sqrt(signal * other)) <= 1e-9);
    assert_true(row->min == -70.0 && row->max == 100.0);
    assert_true(row->int8_min == -128.0 * scale[0] && row->int8_max == 127.0 * scale[0]);
    assert_true(fabs(row->clipped - 2.0 / (PIXELS * CHANNELS)) <= 1e-9);
    assert_int_equal(row->channels, CHANNELS);
    assert_int_equal(row->constant_channels, 2);
    assert_int_equal(row->zero_channels, 1);
    assert_true(row->kl > 0.0 && row->kl < 1.0);
}

/* Of one scale, and of one for each channel; in one batch and in two. */
static void test_value(void **state)
{
    (void)state;
    for (int by_channel = 0; by_channel < 2; by_channel++)
        for (int32_t first = 0; first < PIXELS; first += 2) {
            float scale[CHANNELS] = {0.5f, 0.5f, 0.25f}, q[PIXELS * CHANNELS];
            uint8_t zero[CHANNELS] = {128, 128, 128};
            qzi_channel_q channel_q = {scale, zero};
            const qzi_node node = {
                .dtype = QZ_U8, .q = {0.5f, 128}, .channel_q = by_channel ? &channel_q : NULL};
            qzi_detail d = {0};
            qz_analysis_row row;
            test_memory memory;
            qz_context *ctx = test_context(&memory);
            double signal = 0.0, noise = 0.0;
            for (int i = 0; i < PIXELS * CHANNELS; i++) {
                q[i] = (float)(bytes[i] - 128) * 0.5f;
                signal += (double)real[i] * real[i];
                noise += ((double)real[i] - q[i]) * ((double)real[i] - q[i]);
            }
            if (first > 0)
                add(ctx, &d, &node, real, bytes, 0, first, all);
            add(ctx, &d, &node, real, bytes, first, PIXELS - first, all);
            qzi_detail_row(&d, &node, signal, noise, &row);
            check_row(&row, scale, q);
            assert_int_equal(row.scales, by_channel ? CHANNELS : 1);
            qzi_detail_free(ctx, &d);
            test_context_end(ctx, &memory);
        }
}

/* Divergence: none of equal values, more of a coarser grid. What is no number makes no number. */
static void test_extremes(void **state)
{
    (void)state;
    enum { COUNT = PIXELS * CHANNELS };
    const qzi_node floats = {.dtype = QZ_F32};
    float other[COUNT], coarse[COUNT];
    qz_analysis_row row;
    double kl = 0.0;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    for (int i = 0; i < COUNT; i++)
        coarse[i] = 64.0f * floorf(real[i] / 64.0f);
    for (int step = 0; step < 2; step++) {
        qzi_detail d = {0};
        add(ctx, &d, &floats, real, step ? coarse : real, 0, PIXELS, all);
        qzi_detail_row(&d, &floats, 1.0, 0.0, &row);
        assert_true(step ? row.kl > kl : row.kl == 0.0);
        assert_true(isnan(row.int8_min) && isnan(row.int8_max) && row.clipped == 0.0);
        assert_int_equal(row.scales, 0);
        kl = row.kl;
        qzi_detail_free(ctx, &d);
    }
    for (int i = 0; i < COUNT; i++)
        other[i] = i == 4 ? NAN : i == 5 ? INFINITY : 1.0f;
    qzi_detail d = {0};
    add(ctx, &d, &floats, real, other, 0, PIXELS, all);
    add(ctx, &d, &floats, real, real, 0, PIXELS, all);
    qzi_detail_row(&d, &floats, 1.0, NAN, &row);
    assert_true(isnan(row.mse) && isnan(row.cosine) && isnan(row.kl) && isnan(row.min));
    qzi_detail_free(ctx, &d);
    /* nothing was added */
    qzi_detail_row(&d, &floats, 0.0, 0.0, &row);
    assert_true(isnan(row.mse) && row.channels == 0);
    /* memory that is not there */
    const qzk_view view = {coarse, 1, 1, PIXELS, CHANNELS, CHANNELS};
    qz_status st = QZ_ERR_MEMORY;
    int failures = 0;
    for (; st == QZ_ERR_MEMORY; failures++) {
        memory.fail_at = memory.total + failures;
        st = qzi_detail_add(ctx, &d, &view, &floats, &view, all, 1);
        memory.fail_at = -1;
        qzi_detail_free(ctx, &d);
    }
    assert_int_equal(st, QZ_OK);
    assert_in_range(failures, 13, 50);
    test_context_end(ctx, &memory);
}

/* The rows are those of the plain comparison, with more in them. */
static void test_model(void **state)
{
    (void)state;
    enum { SIDE = 32 };
    static float pixels[3 * SIDE * SIDE];
    static const qz_backend backends[] = {QZ_BACKEND_FBGEMM, QZ_BACKEND_NATIVE};
    const qz_tensor image = {QZ_F32, 4, {1, 3, SIDE, SIDE}, pixels};
    test_uniform(7, 3 * SIDE * SIDE, pixels);
    for (size_t b = 0; b < 2; b++) {
        test_memory memory;
        qz_context *ctx = test_context(&memory);
        qz_model_options options = QZ_MODEL_OPTIONS_INIT;
        qz_model *model = NULL;
        const qz_analysis_row *rows = NULL;
        const qz_sqnr_row *plain = NULL;
        size_t count = 0, plain_count = 0, scales = 0;
        double db[2], agreement[2];
        options.quantize = true;
        options.backend = backends[b];
        options.num_classes = 10;
        ASSERT_OK(ctx, qz_mnasnet0_5(ctx, &options, &model));
        ASSERT_OK(ctx, qz_model_calibrate(model, &image));
        ASSERT_FAILS(ctx, qz_model_analyse(model, &image, 1, &rows, &count, NULL, NULL),
                     QZ_ERR_STATE, "convert first");
        ASSERT_OK(ctx, qz_model_convert(model));
        ASSERT_FAILS(ctx, qz_model_analyse(model, &image, 1, NULL, &count, NULL, NULL),
                     QZ_ERR_ARGUMENT, "qz_model_analyse");
        ASSERT_OK(ctx, qz_model_analyse(model, &image, 1, &rows, &count, &db[0], &agreement[0]));
        double *activation = malloc(count * sizeof(*activation));
        assert_non_null(activation);
        for (size_t i = 0; i < count; i++) {
            const qz_analysis_row *r = &rows[i];
            activation[i] = r->sqnr.activation_db;
            scales += r->scales > 1;
            if (!(r->mse >= 0.0 && r->cosine > 0.9 && r->kl >= 0.0 && r->kl < 5.0 &&
                  r->min <= r->max && r->clipped >= 0.0 && r->clipped < 0.05))
                fail_msg("%s: mse %g, cosine %g, kl %g, %g to %g, clipped %g", r->sqnr.name, r->mse,
                         r->cosine, r->kl, r->min, r->max, r->clipped);
            if (r->sqnr.is_int8 && r->clipped == 0.0)
                assert_true(r->int8_max >= 0.99 * r->max);
        }
        assert_true((scales > 0) == (backends[b] == QZ_BACKEND_NATIVE));
        ASSERT_OK(ctx, qz_model_sqnr(model, &image, &plain, &plain_count, &db[1], &agreement[1]));
        assert_int_equal(count, plain_count);
        for (size_t i = 0; i < count; i++)
            assert_memory_equal(&activation[i], &plain[i].activation_db, sizeof(double));
        assert_memory_equal(&db[0], &db[1], sizeof(*db));
        free(activation);
        qz_model_destroy(model);
        test_context_end(ctx, &memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
