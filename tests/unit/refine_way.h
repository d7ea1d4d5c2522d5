/* SPDX-License-Identifier: MIT */
/* refine_way.h - from a small net to the int8 net of a recipe, for the tests of recipes. */
#ifndef QZOO_TESTS_REFINE_WAY_H
#define QZOO_TESTS_REFINE_WAY_H

#include "passes.h"

#include "quant/refine/refine.h"

#define IMAGES 6

/* Calibrates on the images in order, or backwards, and converts. */
static inline qz_status whole_way(qz_graph *g, const qzi_qconfig *qconfig, uint32_t threads,
                                  bool backwards, qz_graph **out, qzi_recipe_report *report)
{
    qzi_calibration *calibration = NULL;
    qz_status st;
    *out = NULL;
    QZI_GOTO(st, qzi_prepare(g, qconfig, threads, &calibration));
    for (uint64_t i = 0; i < IMAGES; i++) {
        float data[TEST_IMAGE];
        const qz_tensor image = test_image(backwards ? IMAGES - 1 - i : i, data);
        QZI_GOTO(st, qzi_calibrate(calibration, &image));
    }
    st = qzi_refine_convert(g, calibration, out, report);
fail:
    qzi_calibration_destroy(calibration);
    return st;
}

#endif
