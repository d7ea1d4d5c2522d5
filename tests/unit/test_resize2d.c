/* SPDX-License-Identifier: MIT */
/*
 * test_resize2d.c - resizing to the size of another value: torch's numbers, the value that is read
 * for its size alone, int8, and refusals.
 */
#include "layers/graph/exec.h"
#include "layers/graph/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static qz_context *ctx;

static int setup(void **state)
{
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    (void)state;
    o.threads = 2;
    return qz_context_create(&o, &ctx) == QZ_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    qz_context_destroy(ctx);
    return 0;
}

/* Resizes h x w to out_h x out_w: two inputs, the second only for its size. */
static void resize(const float *x, int32_t c, int32_t h, int32_t w, int32_t out_h, int32_t out_w,
                   qz_resize_mode mode, qz_isa isa, float *y)
{
    static float zeros[4096];
    qz_graph *g;
    qzi_packed *packed;
    qzi_exec *exec;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    const qz_value image = qz_graph_input(g, "image", c), like = qz_graph_input(g, "like", 1);
    qz_graph_output(g, "out", qz_resize2d(g, "resize", image, like, mode));
    assert_int_equal(qz_graph_finish(g), QZ_OK);
    assert_int_equal(qzi_packed_create(g, isa, &packed), QZ_OK);
    assert_int_equal(qzi_exec_create(packed, g, 2, &exec), QZ_OK);
    const qz_tensor inputs[2] = {
        {.dtype = QZ_F32, .ndim = 4, .dims = {1, c, h, w}, .data = (void *)(uintptr_t)x},
        {.dtype = QZ_F32, .ndim = 4, .dims = {1, 1, out_h, out_w}, .data = zeros},
    };
    assert_int_equal(qzi_exec_run(exec, inputs, 2, false), QZ_OK);
    qzi_exec_output(exec, 0, y);
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    qz_graph_destroy(g);
}

static void expect(const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fabsf(got[i] - want[i]) > 1e-5f)
            fail_msg("value %zu is %g, not %g", i, (double)got[i], (double)want[i]);
}

/* torch.nn.functional.interpolate of [[0, 1, 2], [10, 20, 30]] */
static void torch_numbers(void **state)
{
    static const float x[6] = {0, 1, 2, 10, 20, 30};
    static const float larger[20] = {/* bilinear to 4 x 5 */
                                     0,    0.4f,  1,      1.6f,  2,  2.5f, 3.8f, 5.75f, 7.7f, 9,
                                     7.5f, 10.6f, 15.25f, 19.9f, 23, 10,   14,   20,    26,   30};
    static const float nearest[20] = {0,  0,  1,  1,  2,  0,  0,  1,  1,  2,
                                      10, 10, 20, 20, 30, 10, 10, 20, 20, 30};
    static const float smaller[2] = {6.375f, 14.625f}; /* bilinear to 1 x 2 */
    static const qz_isa isas[2] = {QZ_ISA_REF, QZ_ISA_AUTO};
    float y[24];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        resize(x, 1, 2, 3, 4, 5, QZ_RESIZE_BILINEAR, isas[i], y);
        expect(y, larger, 20);
        resize(x, 1, 2, 3, 4, 5, QZ_RESIZE_NEAREST, isas[i], y);
        expect(y, nearest, 20);
        resize(x, 1, 2, 3, 1, 2, QZ_RESIZE_BILINEAR, isas[i], y);
        expect(y, smaller, 2);
        resize(x, 6, 1, 1, 2, 2, QZ_RESIZE_BILINEAR, isas[i], y); /* a broadcast */
        for (size_t k = 0; k < 24; k++)
            assert_true(y[k] >= x[k / 4] && y[k] <= x[k / 4]);
    }
}

/* Many shapes: any bundle gives the reference's bytes. */
static void bundles_agree(void **state)
{
    static float x[40 * 7 * 9], ref[40 * 30 * 31], got[40 * 30 * 31];
    uint32_t rng = 1;
    (void)state;
    for (size_t i = 0; i < sizeof(x) / sizeof(*x); i++) {
        rng = rng * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)(rng >> 8) / 65536.0f - 100.0f;
    }
    for (int32_t c = 1; c <= 40; c += 3)
        for (int32_t side = 1; side <= 7; side += 2) {
            const int32_t out_h = 31 - 4 * side, out_w = 1 + c % 30;
            const size_t n = (size_t)(c * out_h * out_w);
            for (int mode = 0; mode < 2; mode++) {
                resize(x, c, side, 9, out_h, out_w, (qz_resize_mode)mode, QZ_ISA_REF, ref);
                resize(x, c, side, 9, out_h, out_w, (qz_resize_mode)mode, QZ_ISA_AUTO, got);
                assert_memory_equal(ref, got, n * sizeof(float));
            }
        }
}

/* What is read for its size is neither kept nor computed for that. */
static void size_costs_nothing(void **state)
{
    const qzi_shape shape = {1, 16, 16, 4};
    qz_graph *g;
    qzi_plan *plan;
    (void)state;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    qz_value x = qz_graph_input(g, "input", 4);
    const qz_value like = qz_max_pool2d(g, "like", x, &(qz_pool2d_options){.kernel_h = 2});
    x = qz_max_pool2d(g, "small", x, &(qz_pool2d_options){.kernel_h = 4});
    x = qz_resize2d(g, "resize", x, like, QZ_RESIZE_BILINEAR);
    qz_graph_output(g, "out", x);
    assert_int_equal(qz_graph_finish(g), QZ_OK);
    assert_int_equal(qzi_plan_create(g, &shape, &plan), QZ_OK);
    assert_false(plan->values[like].needed);
    assert_int_equal(plan->shapes[x].h, 8);
    assert_int_equal(qzi_plan_traffic(g, plan, x, false).read, 4 * 4 * 4 * sizeof(float));
    qzi_plan_destroy(plan);
    qz_graph_destroy(g);
}

static void refusals(void **state)
{
    qz_graph *g;
    (void)state;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    qz_value x = qz_graph_input(g, "input", 4);
    const qz_value flat = qz_flatten(g, "flat", qz_adaptive_avg_pool2d(g, "pool", x, 1, 1));
    qz_graph_output(g, "out", qz_resize2d(g, "resize", flat, x, QZ_RESIZE_BILINEAR));
    assert_int_equal(qz_graph_finish(g), QZ_ERR_ARGUMENT);
    assert_non_null(strstr(qz_context_message(ctx), "resize"));
    qz_graph_destroy(g);
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    x = qz_graph_input(g, "input", 4);
    qz_graph_output(g, "out", qz_resize2d(g, "resize", x, x, (qz_resize_mode)7));
    assert_int_equal(qz_graph_finish(g), QZ_ERR_ARGUMENT);
    qz_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch_numbers),
        cmocka_unit_test(bundles_agree),
        cmocka_unit_test(size_costs_nothing),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
