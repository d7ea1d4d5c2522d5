/* SPDX-License-Identifier: MIT */
/*
 * quant_oracle.h - what the tests of observers and of quantization parameters share: the oracle
 * files, seeded values, an allocator that counts and can fail.
 */
#ifndef QZOO_TESTS_UNIT_QUANT_ORACLE_H
#define QZOO_TESTS_UNIT_QUANT_ORACLE_H

#include "counting.h"
#include "layers/base/base.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

/* ---- oracles ---- */

/* Skips the test, naming the file, where the oracles are absent. */
static inline json_t *oracle_load(const char *name)
{
    const char *folder = getenv("QZOO_TEST_DATA");
    char path[1024];
    snprintf(path, sizeof(path), "%s/goldens/ops/%s.json", folder ? folder : "../shared/data",
             name);
    json_error_t error;
    FILE *file = fopen(path, "rb");
    if (!file) {
        print_message("skipped: no %s (set QZOO_TEST_DATA)\n", path);
        skip();
    }
    json_t *json = json_loadf(file, 0, &error);
    fclose(file);
    if (!json)
        fail_msg("%s: line %d: %s", path, error.line, error.text);
    return json;
}

/* Numbers are printed with 9 or more digits: every float32 comes back as it was. */
static inline float oracle_float(const json_t *value)
{
    assert_true(json_is_number(value));
    return (float)json_number_value(value);
}

static inline const char *oracle_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

/* Allocated; *count numbers. */
static inline float *oracle_floats(const json_t *array, size_t *count)
{
    assert_true(json_is_array(array));
    *count = json_array_size(array);
    float *x = malloc(*count * sizeof(*x) + 1);
    assert_non_null(x);
    for (size_t i = 0; i < *count; i++)
        x[i] = oracle_float(json_array_get(array, i));
    return x;
}

/* Equal bits; zeros may differ in sign. */
static inline void assert_same_float(float a, float b, const char *what)
{
    if (!(a == b))
        fail_msg("%s: %.9g is not %.9g", what, (double)a, (double)b);
}

/* ---- values ---- */

static inline uint64_t seeded_word(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* [-1, 1) in steps of 2^-23: splitmix64, as gen/observer_torch.py. */
static inline float seeded_float(uint64_t seed, uint64_t i)
{
    return (float)((double)(seeded_word(seed, i) >> 40) / 8388608.0 - 1.0);
}

/* ---- memory ---- */

typedef counting counted_memory;

static inline qz_context *counted_context(counted_memory *memory, uint32_t threads)
{
    const qz_allocator allocator = {counting_alloc, counting_free, memory};
    qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
    qz_context *ctx = NULL;
    memset(memory, 0, sizeof(*memory));
    memory->fail_at = -1;
    options.allocator = &allocator;
    options.threads = threads;
    assert_int_equal(qz_context_create(&options, &ctx), QZ_OK);
    return ctx;
}

static inline void counted_end(qz_context *ctx, const counted_memory *memory)
{
    qz_context_destroy(ctx);
    assert_int_equal(memory->live, 0);
}

#endif
