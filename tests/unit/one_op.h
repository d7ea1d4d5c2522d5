/* SPDX-License-Identifier: MIT */
/* one_op.h - runs a graph of one op, float or uint8, on every instruction set and some threads. */
#ifndef QZOO_TESTS_UNIT_ONE_OP_H
#define QZOO_TESTS_UNIT_ONE_OP_H

#include "assert_ok.h"
#include "layers/graph/exec.h"
#include "layers/graph/graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static qz_context *ctx;

static inline int setup(void **state)
{
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    (void)state;
    o.threads = 3;
    return qz_context_create(&o, &ctx) == QZ_OK ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    qz_context_destroy(ctx);
    return 0;
}

static uint64_t one_op_rng = 7;

static inline uint32_t draw(uint32_t below)
{
    one_op_rng = one_op_rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(one_op_rng >> 33) % below;
}

static inline float draw_float(void)
{
    return (float)(int32_t)draw(2001) / 1000.0f - 1.0f;
}

/* Random int8 weights and biases of a convolution, and for each channel a scale from `least` on. */
static inline void draw_qweights(qzi_node *node, float least)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const size_t oc = (size_t)a->oc, count = oc * (size_t)(a->ic / a->groups * a->kh * a->kw);
    qzi_qweights *qw = node->qw = qzi_calloc(ctx, 1, sizeof(*qw));
    qw->w = qzi_alloc(ctx, count);
    qw->scales = qzi_alloc(ctx, oc * sizeof(float));
    qw->bias = qzi_alloc(ctx, oc * sizeof(int32_t));
    qw->bias_f32 = qzi_calloc(ctx, oc, sizeof(float));
    qw->per_channel = true;
    for (size_t i = 0; i < count; i++)
        qw->w[i] = (int8_t)((int32_t)draw(256) - 128);
    for (size_t o = 0; o < oc; o++) {
        qw->scales[o] = least + 0.0001f * (float)draw(20);
        qw->bias[o] = (int32_t)draw(20000) - 10000;
    }
}

/* Random parameters, all of a graph's. */
static inline void draw_params(qz_graph *g)
{
    for (size_t i = 0; i < g->param_count; i++) {
        const int64_t n = qz_tensor_numel(&g->params[i].tensor);
        float *data = qzi_alloc(g->ctx, (size_t)n * sizeof(*data));
        for (int64_t k = 0; k < n; k++)
            data[k] = draw_float();
        g->params[i].tensor.data = data;
    }
}

/* An image N x C x H x W; of bytes with parameters q where its scale is not 0. */
static inline qz_tensor draw_image(int32_t n, int32_t c, int32_t h, int32_t w, qzi_qparams q)
{
    qz_tensor t = {.dtype = QZ_F32, .ndim = 4, .dims = {n, c, h, w}};
    float *data = malloc((size_t)qz_tensor_numel(&t) * sizeof(*data));
    for (int64_t i = 0; i < qz_tensor_numel(&t); i++)
        data[i] = q.scale > 0.0f ? (float)((int32_t)draw(256) - q.zero_point) * q.scale
                                 : 3.0f * draw_float() + 0.5f;
    t.data = data;
    return t;
}

/* The only output, NCHW; the caller frees its data. */
static inline qz_tensor run_one(qz_graph *g, const qz_tensor *x, qz_isa isa, uint32_t threads)
{
    qzi_packed *packed;
    qzi_exec *exec;
    qz_tensor out = {0};
    ASSERT_OK(g->ctx, qzi_packed_create(g, isa, &packed));
    ASSERT_OK(g->ctx, qzi_exec_create(packed, g, threads, &exec));
    ASSERT_OK(g->ctx, qzi_exec_run(exec, x, 1, false));
    ASSERT_OK(g->ctx, qzi_exec_output_shape(exec, 0, &out));
    out.data = malloc((size_t)qz_tensor_numel(&out) * sizeof(float));
    qzi_exec_output(exec, 0, out.data);
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    return out;
}

/* Every instruction set and number of threads computes `want`, N x C x H x W, to the byte. */
static inline void check_all(qz_graph *g, const qz_tensor *x, const float *want, const char *what)
{
    for (int isa = QZ_ISA_REF; isa < QZ_ISA_COUNT; isa++) {
        if (!qz_isa_available((qz_isa)isa))
            continue;
        for (uint32_t threads = 1; threads <= 3; threads += 2) {
            qz_tensor y = run_one(g, x, (qz_isa)isa, threads);
            const float *got = y.data;
            for (int64_t i = 0; i < qz_tensor_numel(&y); i++)
                if (memcmp(&got[i], &want[i], sizeof(*want)) != 0 && got[i] != want[i])
                    fail_msg("%s, %s, %u threads, [%d] of %d: %.9g, not %.9g", what,
                             qz_isa_name((qz_isa)isa), threads, (int)i, (int)qz_tensor_numel(&y),
                             (double)got[i], (double)want[i]);
            free(y.data);
        }
    }
}

/* Makes the graph compute in uint8: the input with x, all other values with y. */
static inline void make_u8(qz_graph *g, qzi_qparams x, qzi_qparams y)
{
    for (size_t i = 0; i < g->node_count; i++) {
        g->nodes[i].dtype = QZ_U8;
        g->nodes[i].q = i == 0 ? x : y;
    }
}

static inline float clampq(float v, int32_t lo, const qzi_qparams *q)
{
    const float min = (float)(lo - q->zero_point), max = (float)(255 - q->zero_point);
    v = v < min ? min : v;
    v = v > max ? max : v;
    return (float)(int32_t)rintf(v) * q->scale;
}

#endif
