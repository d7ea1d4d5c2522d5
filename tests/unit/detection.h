/* SPDX-License-Identifier: MIT */
/* detection.h - what the tests of zoo/detection share: a context, maps of their own, oracles. */
#ifndef QZOO_TESTS_UNIT_DETECTION_H
#define QZOO_TESTS_UNIT_DETECTION_H

#include "quant_oracle.h"
#include "weights/qzoo_weights.h"
#include "zoo/detection/boxes.h"
#include "zoo/detection/maps.h"

static inline qz_context *detection_context(void)
{
    qz_context *ctx = NULL;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    return ctx;
}

/* goldens/NAME.json; NULL where it is missing, which is printed. */
static inline json_t *detection_golden(const char *name)
{
    const char *folder = getenv("QZOO_TEST_DATA");
    char path[1024];
    snprintf(path, sizeof(path), "%s/goldens/%s.json", folder ? folder : "../shared/data", name);
    json_t *json = json_load_file(path, 0, NULL);
    if (!json)
        print_message("skipped: no %s (set QZOO_TEST_DATA)\n", path);
    return json;
}

static inline qzi_box oracle_box(const json_t *list, size_t i)
{
    const json_t *b = json_array_get(list, i);
    return (qzi_box){oracle_float(json_array_get(b, 0)), oracle_float(json_array_get(b, 1)),
                     oracle_float(json_array_get(b, 2)), oracle_float(json_array_get(b, 3))};
}

static inline void assert_box_near(qzi_box a, qzi_box b, float relative)
{
    const float *x = &a.x1, *y = &b.x1;
    for (int i = 0; i < 4; i++)
        if (!(fabsf(x[i] - y[i]) <= relative * fmaxf(1.0f, fabsf(y[i]))))
            fail_msg("coordinate %d is %.9g, not %.9g", i, (double)x[i], (double)y[i]);
}

/* A map of n x h x w x c random values; uint8 ones have scale and zero point of their own. */
typedef struct fake_map {
    qzi_node node;
    qzi_map map;
} fake_map;

static inline void fake_map_make(fake_map *fake, const char *key, int32_t n, int32_t h, int32_t w,
                                 int32_t c, double spread, bool bytes)
{
    const int64_t stride = bytes ? (c + 3) / 4 * 4 : c, count = (int64_t)n * h * w;
    float *values = malloc((size_t)(count * c + 1) * sizeof(float));
    assert_non_null(values);
    qz_random_uniform(key, "", -0.5, 2.0 * spread, count * c, values);
    *fake = (fake_map){.node = {.dtype = bytes ? QZ_U8 : QZ_F32, .c = c}};
    fake->map = (qzi_map){&fake->node, {values, n, h, w, c, stride}};
    if (!bytes)
        return;
    fake->node.q = (qzi_qparams){(float)(2.0 * spread / 255.0), 131};
    uint8_t *q = calloc((size_t)(count * stride + 64), 1);
    assert_non_null(q);
    for (int64_t p = 0; p < count; p++) {
        for (int32_t i = 0; i < c; i++) {
            const float v = rintf(values[p * c + i] / fake->node.q.scale) + 131.0f;
            q[p * stride + i] = (uint8_t)fminf(fmaxf(v, 0.0f), 255.0f);
        }
    }
    free(values);
    fake->map.view.data = q;
}

static inline void fake_map_free(fake_map *fake)
{
    free(fake->map.view.data);
}

#endif
