/* SPDX-License-Identifier: MIT */
/*
 * ops_oracle.h - reading goldens/ops (FORMAT.md there), and counting what differs by one step from
 * PyTorch. qint8 tensors are compared as uint8 ones with 128 added to everything.
 */
#ifndef QZOO_TESTS_KERNELS_OPS_ORACLE_H
#define QZOO_TESTS_KERNELS_OPS_ORACLE_H

#include "layers/base/base.h"
#include "layers/kernels/kernels.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the files ---- */

/* goldens/ops/NAME.json, or the test is skipped. */
static inline json_t *load(const char *name)
{
    char path[4096];
    const char *folder = getenv("QZOO_TEST_DATA");
    json_error_t error;
    snprintf(path, sizeof(path), "%s/goldens/ops/%s.json", folder ? folder : "", name);
    json_t *root = folder ? json_load_file(path, 0, &error) : NULL;
    if (!root) {
        printf("skipped: %s is missing (set QZOO_TEST_DATA)\n", path);
        skip();
    }
    return root;
}

static inline double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static inline int integer(const json_t *object, const char *key)
{
    return (int)number(object, key);
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

/* An element of a list of floats; "inf", "-inf" and "nan" are strings. */
static inline float float_at(const json_t *list, size_t i)
{
    const json_t *value = json_array_get(list, i);
    return json_is_string(value) ? strtof(json_string_value(value), NULL)
                                 : (float)json_number_value(value);
}

static inline int int_at(const json_t *list, size_t i)
{
    return (int)json_integer_value(json_array_get(list, i));
}

/* A quantized tensor of the files, N x C x H x W (1 where it has fewer axes). */
typedef struct quantized {
    int32_t n, c, h, w;
    size_t count;
    const json_t *q;
    float scale;
    int32_t zp; /* as uint8 */
    int shift;  /* 128 for qint8, else 0 */
} quantized;

static inline quantized quantized_of(const json_t *tensor)
{
    quantized t = {1, 1, 1, 1, 0, json_object_get(tensor, "q"), 0, 0, 0};
    const json_t *shape = json_object_get(tensor, "shape");
    int32_t *dims[] = {&t.n, &t.c, &t.h, &t.w};
    for (size_t i = 0; i < json_array_size(shape) && i < 4; i++)
        *dims[i] = int_at(shape, i);
    t.count = json_array_size(t.q);
    assert_true(t.count > 0);
    assert_int_equal(t.count, t.n * t.c * t.h * t.w);
    t.shift = strcmp(text(tensor, "dtype"), "qint8") == 0 ? 128 : 0;
    t.scale = (float)number(tensor, "scale");
    t.zp = integer(tensor, "zp") + t.shift;
    return t;
}

/* Its values as NHWC uint8 with the pixel stride that kernels want. */
static inline qzk_view nhwc_of(const quantized *t)
{
    qzk_view v = {NULL, t->n, t->h, t->w, t->c, QZK_CEIL4(t->c)};
    size_t i = 0;
    uint8_t *data = calloc((size_t)(t->n * t->h * t->w), (size_t)v.pixel_stride);
    assert_non_null(data);
    for (int32_t n = 0; n < t->n; n++)
        for (int32_t c = 0; c < t->c; c++)
            for (int32_t p = 0; p < t->h * t->w; p++, i++)
                data[(n * t->h * t->w + p) * v.pixel_stride + c] =
                    (uint8_t)(int_at(t->q, i) + t->shift);
    v.data = data;
    return v;
}

/* ---- comparing ---- */

typedef struct score {
    int64_t values, one_step;
    int most;
} score;

static inline void score_print(const char *name, const char *against, const score *s)
{
    printf("%-24s against %-8s %6" PRId64 " values compared, %4" PRId64 " differ by one\n", name,
           against, s->values, s->one_step);
    assert_true(s->values > 0);
}

static inline void compare(score *s, const qzk_view *got, const quantized *want, const char *what)
{
    size_t i = 0;
    assert_int_equal(got->n * got->h * got->w * got->c, want->count);
    for (int32_t n = 0; n < got->n; n++)
        for (int32_t c = 0; c < got->c; c++)
            for (int32_t p = 0; p < got->h * got->w; p++, i++) {
                const uint8_t *y = got->data;
                int difference = abs(y[(n * got->h * got->w + p) * got->pixel_stride + c] -
                                     (int_at(want->q, i) + want->shift));
                if (difference > 1)
                    printf("%s: element %zu differs by %d\n", what, i, difference);
                assert_true(difference <= 1);
                s->values++;
                s->one_step += difference;
                s->most = QZI_MAX(s->most, difference);
            }
}

/* The result of an engine: both may share one. NULL, with a line printed, where torch refused. */
static const json_t *result_of(const json_t *results, const char *engine, const char *what)
{
    const json_t *result = json_object_get(results, "both");
    if (!result)
        result = json_object_get(results, engine);
    assert_non_null(result);
    if (!json_object_get(result, "error"))
        return result;
    printf("not compared: %s on %s: torch refuses it\n", what, engine);
    return NULL;
}

static const char *const engines[] = {"qnnpack", "onednn"};

#endif
