/* SPDX-License-Identifier: MIT */
/*
 * synthetic.c - calibration images out of nothing: coarse blocks, so that images differ after
 * pooling, plus half as much noise. The same numbers on every machine.
 */
#include "layers/base/base.h"
#include "weights/qzoo_weights.h"
#include "zoo/qzoo_image.h"

#include <inttypes.h>
#include <stdio.h>

#define BLOCKS 8

void qz_synthetic_image(int64_t index, int32_t h, int32_t w, float *out)
{
    if (h < 1 || w < 1)
        return;
    char key[64];
    float coarse[3 * BLOCKS * BLOCKS];
    qzi_fpenv env = qzi_fpenv_enter();
    snprintf(key, sizeof(key), "synthetic%" PRId64 ".coarse", index);
    qz_random_uniform(key, "", -0.5, 2.0, (int64_t)QZI_ARRAY_LEN(coarse), coarse);
    snprintf(key, sizeof(key), "synthetic%" PRId64, index);
    qz_random_uniform(key, "", -0.5, 2.0, (int64_t)3 * h * w, out);
    for (int c = 0; c < 3; c++) {
        for (int64_t y = 0; y < h; y++) {
            const float *blocks = coarse + (c * BLOCKS + BLOCKS * y / h) * BLOCKS;
            float *row = out + (c * (int64_t)h + y) * w;
            for (int64_t x = 0; x < w; x++)
                row[x] = blocks[BLOCKS * x / w] + 0.5f * row[x];
        }
    }
    qzi_fpenv_leave(env);
}

void qz_synthetic_unit_image(int64_t index, int32_t h, int32_t w, float *out)
{
    const size_t count = 3 * (size_t)h * (size_t)w;
    qz_synthetic_image(index, h, w, out); /* from -1.5 to 1.5 */
    for (size_t i = 0; i < count; i++)
        out[i] = QZI_MIN(QZI_MAX(out[i] * (1.0f / 3.0f) + 0.5f, 0.0f), 1.0f);
}
