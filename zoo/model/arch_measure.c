/* SPDX-License-Identifier: MIT */
/* arch_measure.c - an architecture's parameters and multiply-adds, without weights. */
#include "zoo/model/model.h"
#include "zoo/model/model_build.h"

qz_status qz_arch_measure(qz_context *context, const char *name, uint64_t *params, uint64_t *macs)
{
    qz_arch_info info;
    qz_model *model;
    QZI_TRY(qz_arch_find(context, name, &info));
    QZI_TRY(qzi_model_alloc(context, qzi_arch_get(info.name), &model));
    qz_status st = qzi_model_build(model, NULL);
    *params = model->params;
    *macs = model->macs;
    qz_model_destroy(model);
    return st;
}
