/* SPDX-License-Identifier: MIT */
/*
 * provenance.c - what a model was made of, in words: "random" and "synthetic" are in them where any
 * weight or any calibration image was made up.
 */
#include "zoo/model/provenance.h"

#include <stdio.h>

qz_status qzi_provenance_weights(qz_model *model, const char *source, size_t missing)
{
    model->origin.missing = missing;
    model->origin.random |= missing > 0;
    model->origin.weights = source;
    if (missing == 0)
        return QZ_OK;
    size_t all = 0;
    for (size_t i = 0; i < model->graph->param_count; i++)
        all += !model->graph->params[i].optional;
    char *text =
        qzi_format(model->ctx, "%s + random:0 (%zu of %zu parameters)", source, missing, all);
    model->origin.weights = text ? qzi_arena_strdup(&model->arena, text) : NULL;
    qzi_free(model->ctx, text);
    if (model->origin.weights)
        return QZ_OK;
    model->origin.weights = "";
    return QZ_ERR_MEMORY;
}

void qzi_provenance_calib(qz_model *model)
{
    const size_t synthetic = model->synthetic_images, all = model->calibration_images;
    char *text = model->calib;
    const size_t size = sizeof(model->calib);
    if (model->qconfig.imported)
        snprintf(text, size, "imported");
    else if (all == 0)
        text[0] = '\0';
    else if (synthetic == 0)
        snprintf(text, size, "images:%zu", all);
    else if (synthetic == all)
        snprintf(text, size, "synthetic:%zu", all);
    else
        snprintf(text, size, "images:%zu+synthetic:%zu", all - synthetic, synthetic);
}
