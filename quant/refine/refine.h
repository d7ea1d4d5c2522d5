/* SPDX-License-Identifier: MIT */
/* refine.h - recipes: what makes an int8 model better than rounding alone. Private. */
#ifndef QZOO_QUANT_REFINE_REFINE_H
#define QZOO_QUANT_REFINE_REFINE_H

#include "quant/prepare.h"

/* The steps that a recipe took, in order; the first is the plain conversion. */
#define QZI_RECIPE_STEPS_MAX 6
typedef struct qzi_recipe_report {
    qz_recipe_step steps[QZI_RECIPE_STEPS_MAX];
    size_t count;
} qzi_recipe_report;

/*
 * qzi_convert, and the steps that the calibration's qconfig asks for. QZ_ERR_STATE where they need
 * images and none was kept. *report: empty without a recipe.
 */
qz_status qzi_refine_convert(qz_graph *graph, const qzi_calibration *calibration,
                             qz_graph **int8_graph, qzi_recipe_report *report);

#endif
