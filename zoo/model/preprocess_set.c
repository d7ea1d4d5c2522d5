/* SPDX-License-Identifier: MIT */
/* preprocess_set.c - the preprocessing of images that the user chooses for a model or a session. */
#include "zoo/image/preprocess.h"
#include "zoo/model/model_build.h"

qz_status qzi_model_takes_recipe(const qz_model *model)
{
    if (!model->arch->detector)
        return QZ_OK;
    return qzi_fail(model->ctx, QZ_ERR_UNSUPPORTED,
                    "%s prepares images by its own transform: set min_size and max_size",
                    model->arch->info.name);
}

qz_status qz_model_set_preprocess(qz_model *model, const qz_preprocess *recipe)
{
    if (!model || !recipe)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_model_set_preprocess: model or recipe is NULL");
    if (model->packings.count > 0)
        return qzi_model_fail_state(model,
                                    "the preprocessing of images is set before the first session");
    QZI_TRY(qzi_model_takes_recipe(model));
    QZI_TRY(qzi_preprocess_check_recipe(model->ctx, recipe));
    const int32_t h = model->input_h, w = model->input_w;
    const qz_graph *graph = model->graph ? model->graph : model->int8_graph;
    qzi_preprocess_usual(recipe, &model->input_h, &model->input_w);
    qz_status st = qzi_model_count_macs(model, graph);
    if (st == QZ_OK)
        st = qzi_model_measure(model);
    if (st != QZ_OK) { /* a size that the network cannot take */
        model->input_h = h;
        model->input_w = w;
        return st;
    }
    model->preprocess = *recipe;
    model->own_preprocess = true;
    return QZ_OK;
}
