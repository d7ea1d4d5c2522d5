/* SPDX-License-Identifier: MIT */
/*
 * passes.h - what the tests of fuse, prepare and convert share: an allocator that counts and can
 * fail, seeded parameters and images, runs of a graph.
 */
#ifndef QZOO_TESTS_UNIT_PASSES_H
#define QZOO_TESTS_UNIT_PASSES_H

#include "assert_ok.h"
#include "quant/quant.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- memory ---- */

typedef struct test_memory {
    int64_t live, total;
    int64_t fail_at; /* the allocation with this number fails; -1: none */
} test_memory;

static inline void *test_memory_alloc(void *user, size_t size, size_t align)
{
    test_memory *m = user;
    void *ptr = NULL;
    if (m->total++ == m->fail_at || posix_memalign(&ptr, align, size) != 0)
        return NULL;
    memset(ptr, 0xa5, size); /* nothing may count on zeros */
    m->live++;
    return ptr;
}

static inline void test_memory_free(void *user, void *ptr)
{
    test_memory *m = user;
    m->live--;
    free(ptr);
}

/* One thread, so that the allocator needs no lock. */
static inline qz_context *test_context(test_memory *memory)
{
    const qz_allocator allocator = {test_memory_alloc, test_memory_free, memory};
    qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
    qz_context *ctx = NULL;
    *memory = (test_memory){.fail_at = -1};
    options.allocator = &allocator;
    options.threads = 1;
    assert_int_equal(qz_context_create(&options, &ctx), QZ_OK);
    return ctx;
}

static inline void test_context_end(qz_context *ctx, const test_memory *memory)
{
    qz_context_destroy(ctx);
    assert_int_equal(memory->live, 0);
}

#define ASSERT_FAILS(ctx, call, status, text)                                     \
    do {                                                                          \
        assert_int_equal((call), (status));                                       \
        if (!strstr(qz_context_message(ctx), (text)))                             \
            fail_msg("message '%s' lacks '%s'", qz_context_message(ctx), (text)); \
    } while (0)

/* ---- numbers ---- */

/* In [-1, 1); the seed decides all of them. */
static inline void test_uniform(uint64_t seed, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t z = seed * UINT64_C(0x9E3779B97F4A7C15) + (i + 1) * UINT64_C(0xD1B54A32D192ED03);
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        z ^= z >> 31;
        out[i] = (float)((double)(z >> 40) / 8388608.0 - 1.0);
    }
}

/* Weights of moderate gain, statistics as of a trained net. */
static inline void test_fill(qz_graph *graph)
{
    for (size_t i = 0; i < graph->param_count; i++) {
        qz_tensor *tensor = &graph->params[i].tensor;
        const size_t count = (size_t)qz_tensor_numel(tensor);
        const bool variance = strstr(graph->params[i].key, "running_var") != NULL;
        const bool gamma = tensor->ndim == 1 && strstr(graph->params[i].key, ".weight");
        float *x;
        tensor->data = qzi_calloc(graph->ctx, count, qz_dtype_size(tensor->dtype));
        assert_non_null(tensor->data);
        if (tensor->dtype != QZ_F32)
            continue;
        x = tensor->data;
        test_uniform(i + 1, count, x);
        const float gain =
            tensor->ndim > 1 ? 1.6f / sqrtf((float)(count / (size_t)tensor->dims[0])) : 0.5f;
        for (size_t k = 0; k < count; k++)
            x[k] = variance || gamma ? 1.0f + 0.5f * x[k] : gain * x[k];
    }
}

#define TEST_SIDE 16
#define TEST_IMAGE (3 * TEST_SIDE * TEST_SIDE)

static inline qz_tensor test_image(uint64_t seed, float data[TEST_IMAGE])
{
    test_uniform(1000 + seed, TEST_IMAGE, data);
    return (qz_tensor){QZ_F32, 4, {1, 3, TEST_SIDE, TEST_SIDE}, data};
}

/* ---- runs ---- */

typedef struct test_run {
    qzi_packed *packed;
    qzi_exec *exec;
} test_run;

static inline test_run test_run_start(const qz_graph *graph)
{
    test_run run = {0};
    ASSERT_OK(graph->ctx, qzi_packed_create(graph, QZ_ISA_AUTO, &run.packed));
    ASSERT_OK(graph->ctx, qzi_exec_create(run.packed, graph, 1, &run.exec));
    return run;
}

static inline void test_run_end(test_run *run)
{
    qzi_exec_destroy(run->exec);
    qzi_packed_destroy(run->packed);
}

/* Output 0 for image `seed`; returns how many numbers. */
static inline size_t test_output(const qz_graph *graph, uint64_t seed, float *out, size_t room)
{
    float image[TEST_IMAGE];
    const qz_tensor in = test_image(seed, image);
    qz_tensor y = {0};
    test_run run = test_run_start(graph);
    ASSERT_OK(graph->ctx, qzi_exec_run(run.exec, &in, 1, false));
    ASSERT_OK(graph->ctx, qzi_exec_output_shape(run.exec, 0, &y));
    assert_in_range(qz_tensor_numel(&y), 1, room);
    qzi_exec_output(run.exec, 0, out);
    test_run_end(&run);
    return (size_t)qz_tensor_numel(&y);
}

/* |a - b| / |a| */
static inline double test_distance(const float *a, const float *b, size_t count)
{
    double norm = 0.0, error = 0.0;
    for (size_t i = 0; i < count; i++) {
        norm += (double)a[i] * (double)a[i];
        error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    }
    return sqrt(error / norm);
}

static inline const qzi_node *test_node(const qz_graph *graph, const char *name)
{
    const qz_value value = qzi_graph_find(graph, name);
    if (value < 0)
        fail_msg("no node '%s'", name);
    return &graph->nodes[value];
}

static inline const qzi_node *test_input(const qz_graph *graph, const char *name, size_t k)
{
    const qzi_node *node = test_node(graph, name);
    assert_true(k < node->in_count);
    return &graph->nodes[node->in[k]];
}

#endif
