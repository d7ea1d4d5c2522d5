/* SPDX-License-Identifier: MIT */
/* torch_import.c - finds and checks what every form of a file of PyTorch's has. */
#include "zoo/torch/torch_import.h"

#include <inttypes.h>
#include <string.h>

const char *qzi_torch_module(const qzi_node *node)
{
    /* transform_input comes before torch's QuantStub */
    return node->op == QZI_OP_INPUT || node->op == QZI_OP_CHANNEL_AFFINE ? "quant" : node->name;
}

qz_status qzi_torch_fail_missing(const qzi_torch_import *import, const char *key)
{
    return qzi_fail(import->model->ctx, QZ_ERR_MISMATCH,
                    "%s: %s is missing; is this an int8 file of %s?", import->path, key,
                    import->model->arch->info.name);
}

qz_status qzi_torch_find(qzi_torch_import *import, const char *name, const char *leaf,
                         const char **key, const qz_tensor **tensor, const qz_tensor_quant **quant)
{
    size_t name_size = strlen(name), leaf_size = strlen(leaf);
    char *text = qzi_arena_alloc(&import->arena, name_size + leaf_size + 1);
    if (!text)
        return QZ_ERR_MEMORY;
    memcpy(text, name, name_size);
    memcpy(text + name_size, leaf, leaf_size + 1);
    *key = text;
    size_t index = qz_state_dict_index(import->dict, text);
    *tensor = qz_state_dict_tensor(import->dict, index);
    if (quant)
        *quant = qz_state_dict_quant(import->dict, index);
    return QZ_OK;
}

qz_status qzi_torch_number(const qzi_torch_import *import, const char *key, const qz_tensor *tensor,
                           double *value)
{
    float f32 = 0.0f;
    int64_t s64 = 0;
    int32_t s32 = 0;
    bool good = qz_tensor_numel(tensor) == 1;
    if (good && tensor->dtype == QZ_F32) {
        memcpy(&f32, tensor->data, sizeof(f32));
        *value = (double)f32;
    } else if (good && tensor->dtype == QZ_F64) {
        memcpy(value, tensor->data, sizeof(*value));
    } else if (good && tensor->dtype == QZ_S64) {
        memcpy(&s64, tensor->data, sizeof(s64));
        *value = (double)s64;
    } else if (good && tensor->dtype == QZ_S32) {
        memcpy(&s32, tensor->data, sizeof(s32));
        *value = s32;
    } else if (good && tensor->dtype == QZ_U8) {
        *value = *(const uint8_t *)tensor->data;
    } else {
        return qzi_fail(import->model->ctx, QZ_ERR_MISMATCH, "%s: %s is not one number",
                        import->path, key);
    }
    return QZ_OK;
}

/* As float32 it must still be a positive finite number. */
static bool scale_is_valid(double scale)
{
    return scale >= 0x1p-126 && scale <= 0x1.fffffep127;
}

qz_status qzi_torch_set_qparams(qzi_torch_import *import, size_t node, const char *what,
                                double scale, int64_t zero_point)
{
    if (!scale_is_valid(scale))
        return qzi_fail(import->model->ctx, QZ_ERR_NUMERIC,
                        "%s: the scale of %s is %g; a positive number is needed", import->path,
                        what, scale);
    if (zero_point < 0 || zero_point > 255)
        return qzi_fail(import->model->ctx, QZ_ERR_NUMERIC,
                        "%s: the zero point of %s is %" PRId64 "; 0 to 255 is needed", import->path,
                        what, zero_point);
    import->observed[node].q = (qzi_qparams){(float)scale, (int32_t)zero_point};
    return QZ_OK;
}

static qz_status fail_shape(const qzi_torch_import *import, const char *key, const char *what)
{
    return qzi_fail(import->model->ctx, QZ_ERR_MISMATCH, "%s: %s %s; is this an int8 file of %s?",
                    import->path, key, what, import->model->arch->info.name);
}

static bool has_shape(const qz_tensor *tensor, int32_t ndim, const int64_t *dims)
{
    bool same = tensor->ndim == ndim;
    for (int32_t i = 0; i < ndim && same; i++)
        same = tensor->dims[i] == dims[i];
    return same;
}

/* The scales of a weight as float32, one for each channel. */
static qz_status spread_scales(qzi_torch_import *import, const char *key,
                               const qz_tensor_quant *quant, int32_t oc, const float **out)
{
    float *scales = qzi_arena_alloc(&import->arena, (size_t)oc * sizeof(*scales));
    if (!scales)
        return QZ_ERR_MEMORY;
    for (int64_t i = 0; i < quant->count; i++)
        if (!scale_is_valid(quant->scales[i]) || quant->zero_points[i] != 0)
            return qzi_fail(import->model->ctx, QZ_ERR_UNSUPPORTED,
                            "%s: %s has a scale of %g and a zero point of %" PRId64
                            "; weights must be symmetric, with positive scales",
                            import->path, key, quant->scales[i], quant->zero_points[i]);
    for (int32_t o = 0; o < oc; o++)
        scales[o] = (float)quant->scales[quant->axis < 0 ? 0 : o];
    import->per_channel |= quant->axis >= 0;
    *out = scales;
    return QZ_OK;
}

qz_status qzi_torch_set_weights(qzi_torch_import *import, size_t node, const char *weight_key,
                                const qz_tensor *weight, const qz_tensor_quant *quant,
                                const char *bias_key, const qz_tensor *bias)
{
    const qzi_node *layer = &import->model->graph->nodes[node];
    const qzi_conv2d_attr *conv = &layer->u.conv;
    const int64_t dims[4] = {conv->oc, conv->ic / conv->groups, conv->kh, conv->kw};
    qzi_torch_weights *out = &import->weights[node];
    if (weight->dtype != QZ_S8 || !quant || quant->axis > 0)
        return fail_shape(import, weight_key,
                          "is not quantized to int8, with scales by tensor or "
                          "by output channel");
    if (!has_shape(weight, layer->op == QZI_OP_LINEAR ? 2 : 4, dims))
        return fail_shape(import, weight_key, "has another shape than the model's layer");
    QZI_TRY(spread_scales(import, weight_key, quant, conv->oc, &out->scales));
    out->w = weight->data;
    if (!bias)
        return QZ_OK;
    if (bias->dtype != QZ_F32 || !has_shape(bias, 1, dims))
        return fail_shape(import, bias_key, "is not float32, one number for each output channel");
    out->bias = bias->data;
    return QZ_OK;
}
