/* SPDX-License-Identifier: MIT */
/* model_analysis.c - the int8 model beside the float model, on images. */
#include "zoo/model/model_build.h"
#include "zoo/model/model_detect.h"
#include "zoo/model/model_images.h"
#include "zoo/model/model_pack.h"

#include <math.h>

static qz_status compare_image(qz_model *model, void *user, const qzi_detect_image *image)
{
    return qzi_model_detect_compare(model, user, image);
}

static qz_status sqnr_begin(qz_model *model, bool details)
{
    const qzi_packed *float_packed = NULL, *int8_packed = NULL;
    uint32_t threads = model->threads != 0 ? model->threads : qz_context_threads(model->ctx);
    QZI_TRY(qzi_model_packed(model, false, false, QZ_ISA_AUTO, &float_packed));
    QZI_TRY(qzi_model_packed(model, true, false, QZ_ISA_AUTO, &int8_packed));
    return qzi_sqnr_create(model->graph, float_packed, model->int8_graph, int8_packed, threads,
                           details, &model->sqnr);
}

static qz_status compare(qz_model *model, const char *function, bool details,
                         const qz_tensor *images, size_t tensor_count, const qz_sqnr_row **rows,
                         size_t *count, double *output_db, double *top1_agreement)
{
    if (!model || !rows || !count || tensor_count < 1)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "%s: model, rows or count is NULL, or there is no image", function);
    if (!model->int8_graph)
        return qzi_model_fail_state(model, "nothing to compare; convert first");
    if (!model->graph)
        return qzi_model_fail_state(model,
                                    "there is no float model to compare with (an opened int8 file, "
                                    "or it was dropped)");
    for (size_t i = 0; i < tensor_count; i++)
        QZI_TRY(qzi_model_check_images(model, images ? &images[i] : NULL, function));
    qzi_sqnr_destroy(model->sqnr);
    model->sqnr = NULL;
    QZI_TRY(sqnr_begin(model, details));
    for (size_t i = 0; i < tensor_count; i++)
        QZI_TRY(model->arch->detector
                    ? qzi_model_each_image(model, &images[i], compare_image, model->sqnr)
                    : qzi_sqnr_add(model->sqnr, &images[i]));
    QZI_TRY(qzi_sqnr_rows(model->sqnr, rows, count));
    if (output_db)
        *output_db = model->arch->detector ? qzi_sqnr_worst_output_db(model->sqnr, "features.")
                                           : qzi_sqnr_output_db(model->sqnr);
    if (top1_agreement)
        *top1_agreement = qzi_sqnr_top1_agreement(model->sqnr);
    return QZ_OK;
}

qz_status qz_model_sqnr_each(qz_model *model, const qz_tensor *images, size_t tensor_count,
                             const qz_sqnr_row **rows, size_t *count, double *output_db,
                             double *top1_agreement)
{
    return compare(model, "qz_model_sqnr", false, images, tensor_count, rows, count, output_db,
                   top1_agreement);
}

qz_status qz_model_analyse(qz_model *model, const qz_tensor *images, size_t tensor_count,
                           const qz_analysis_row **rows, size_t *count, double *output_db,
                           double *top1_agreement)
{
    const qz_sqnr_row *sqnr = NULL;
    QZI_TRY(compare(model, "qz_model_analyse", true, images, tensor_count, rows ? &sqnr : NULL,
                    count, output_db, top1_agreement));
    *rows = qzi_sqnr_analysis(model->sqnr);
    return QZ_OK;
}

qz_status qz_model_sqnr(qz_model *model, const qz_tensor *images, const qz_sqnr_row **rows,
                        size_t *count, double *output_db, double *top1_agreement)
{
    return qz_model_sqnr_each(model, images, 1, rows, count, output_db, top1_agreement);
}

double qz_model_sqnr_kind(const qz_model *model, const char *kind)
{
    return model && model->sqnr && kind ? qzi_sqnr_kind_db(model->sqnr, kind) : (double)NAN;
}
