/* SPDX-License-Identifier: MIT */
/*
 * test_pool.c - pools of small images, float and int8, against torch's rule spelled out: windows of
 * ceil mode may reach beyond the image and its padding.
 */
#include "layers/base/base.h"
#include "layers/graph/exec.h"
#include "layers/graph/graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MOST 8 /* pixels along a side */

typedef struct axis {
    int32_t in, k, stride, pad;
    bool ceil;
} axis;

/* ATen/native/Pool.h, pooling_output_shape; 0 where torch refuses. */
static int32_t torch_size(const axis *a)
{
    const double room =
        (double)(a->in + 2 * a->pad - (a->k - 1) - 1 + (a->ceil ? a->stride - 1 : 0));
    int32_t out = (int32_t)floor(room / a->stride) + 1;
    if (a->ceil && (out - 1) * a->stride >= a->in + a->pad)
        out--;
    return out < 1 ? 0 : out;
}

static float pixel(int32_t y, int32_t x)
{
    return (float)((y * 37 + x * 101 + 13) % 200);
}

/* Window (oy, ox) of a square image: the maximum, or the average that counts padding. */
static double torch_value(const axis *a, bool max, int32_t oy, int32_t ox)
{
    double most = -1.0, sum = 0.0;
    int32_t counted = 0;
    for (int32_t ky = 0; ky < a->k; ky++) {
        for (int32_t kx = 0; kx < a->k; kx++) {
            const int32_t y = oy * a->stride - a->pad + ky, x = ox * a->stride - a->pad + kx;
            counted += y < a->in + a->pad && x < a->in + a->pad;
            if (y < 0 || x < 0 || y >= a->in || x >= a->in)
                continue;
            most = fmax(most, pixel(y, x));
            sum += pixel(y, x);
        }
    }
    return max ? most : sum / counted;
}

static void check(qz_context *ctx, const axis *a, bool max, bool u8)
{
    qz_graph *g;
    qzi_packed *packed;
    qzi_exec *exec;
    float image[MOST * MOST], out[4 * MOST * MOST];
    const qz_pool2d_options o = {
        .kernel_h = a->k, .stride_h = a->stride, .padding_h = a->pad, .ceil_mode = a->ceil};
    const int32_t size = torch_size(a);
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    qz_value x = qz_graph_input(g, "input", 1);
    qz_value y = max ? qz_max_pool2d(g, "pool", x, &o) : qz_avg_pool2d(g, "pool", x, &o);
    qz_graph_output(g, "output", y);
    for (size_t i = 0; u8 && i < g->node_count; i++) {
        g->nodes[i].dtype = QZ_U8;
        g->nodes[i].q = (qzi_qparams){.scale = 1.0f, .zero_point = 0};
    }
    assert_int_equal(qz_graph_finish(g), QZ_OK);
    assert_int_equal(qzi_packed_create(g, QZ_ISA_AUTO, &packed), QZ_OK);
    assert_int_equal(qzi_exec_create(packed, g, 1, &exec), QZ_OK);
    for (int32_t i = 0; i < a->in * a->in; i++)
        image[i] = pixel(i / a->in, i % a->in);
    const qz_tensor input = {
        .dtype = QZ_F32, .ndim = 4, .dims = {1, 1, a->in, a->in}, .data = image};
    assert_int_equal(qzi_exec_run(exec, &input, 1, false), size ? QZ_OK : QZ_ERR_ARGUMENT);
    if (size) {
        qz_tensor shape;
        assert_int_equal(qzi_exec_output_shape(exec, 0, &shape), QZ_OK);
        if (shape.dims[2] != size || shape.dims[3] != size)
            fail_msg("in %d k %d stride %d pad %d ceil %d: %d, not %d", a->in, a->k, a->stride,
                     a->pad, a->ceil, (int)shape.dims[2], size);
        qzi_exec_output(exec, 0, out);
        for (int32_t i = 0; i < size * size; i++) {
            const double want = torch_value(a, max, i / size, i % size);
            const double most = max ? 0.0 : u8 ? 0.5001 : 1e-4;
            if (!(fabs(out[i] - want) <= most))
                fail_msg("in %d k %d stride %d pad %d ceil %d, window %d: %g, not %g", a->in, a->k,
                         a->stride, a->pad, a->ceil, i, (double)out[i], want);
        }
    }
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    qz_graph_destroy(g);
}

static void test_small_images(void **state)
{
    (void)state;
    for (int bundle = 0; bundle < 2; bundle++) {
        qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
        qz_context *ctx;
        o.isa = bundle ? QZ_ISA_REF : QZ_ISA_AUTO;
        o.threads = 1;
        assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
        axis a;
        for (a.in = 1; a.in <= MOST; a.in++) {
            for (a.k = 1; a.k <= 5; a.k++) {
                for (a.stride = 1; a.stride <= 4; a.stride++) {
                    for (a.pad = 0; a.pad <= a.k / 2; a.pad++) {
                        for (int kind = 0; kind < 8; kind++) {
                            a.ceil = kind & 1;
                            check(ctx, &a, (kind & 2) != 0, (kind & 4) != 0);
                        }
                    }
                }
            }
        }
        qz_context_destroy(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_small_images)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
