/* SPDX-License-Identifier: MIT */
/* model_images.c - tensors of images for calibration and analysis. */
#include "zoo/model/model_images.h"

#include "zoo/model/model_build.h"

qz_status qzi_model_check_images(const qz_model *model, const qz_tensor *images, const char *what)
{
    if (!images || !images->data || images->dtype != QZ_F32 || images->ndim != 4 ||
        images->dims[0] < 1 || images->dims[1] != qzi_model_channels(model) ||
        images->dims[2] < 1 || images->dims[3] < 1 || images->dims[0] > INT32_MAX ||
        images->dims[2] > INT32_MAX || images->dims[3] > INT32_MAX || qz_tensor_numel(images) < 0)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "%s: images must be float32, N x %d x H x W, with data", what,
                        (int)qzi_model_channels(model));
    return QZ_OK;
}

qz_status qzi_model_each_image(qz_model *model, const qz_tensor *images,
                               qz_status (*fn)(qz_model *, void *, const qzi_detect_image *),
                               void *user)
{
    const size_t each = (size_t)(qz_tensor_numel(images) / images->dims[0]);
    if (!qzi_all_finite(images->data, (size_t)qz_tensor_numel(images)))
        return qzi_fail(model->ctx, QZ_ERR_NUMERIC, "an image has NaN or infinity; remove it");
    for (int64_t i = 0; i < images->dims[0]; i++) {
        const qzi_detect_image image = {.chw = (const float *)images->data + (size_t)i * each,
                                        .width = (int32_t)images->dims[3],
                                        .height = (int32_t)images->dims[2]};
        QZI_TRY(fn(model, user, &image));
    }
    return QZ_OK;
}
