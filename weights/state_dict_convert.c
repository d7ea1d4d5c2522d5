/* SPDX-License-Identifier: MIT */
/*
 * state_dict_convert.c - stored types to float32: half, bfloat16 and double by rounding, quantized
 * integers by their scales.
 */
#include "weights/state_dict.h"

#include <string.h>

/* Exact: every half is a float. Written in integers, since ldexpf would be slower than the file. */
static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 0x1f;
    uint32_t mantissa = half & 0x3ff, bits;
    float value;
    if (exponent == 0) { /* mantissa x 2^-24: an exact product */
        value = (float)mantissa * 0x1p-24f;
        return sign != 0 ? -value : value;
    }
    if (exponent == 0x1f)
        bits = sign | 0x7f800000 | mantissa << 13;
    else
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static float bfloat_to_float(uint16_t bfloat)
{
    uint32_t bits = (uint32_t)bfloat << 16;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* False for other types than floating-point ones. Data of state dicts is aligned. */
static bool convert_floats(const qz_tensor *tensor, size_t count, float *out)
{
    switch (tensor->dtype) {
    case QZ_F32:
        memcpy(out, tensor->data, count * sizeof(*out));
        return true;
    case QZ_F64:
        for (size_t i = 0; i < count; i++)
            out[i] = (float)((const double *)tensor->data)[i];
        return true;
    case QZ_F16:
        for (size_t i = 0; i < count; i++)
            out[i] = half_to_float(((const uint16_t *)tensor->data)[i]);
        return true;
    case QZ_BF16:
        for (size_t i = 0; i < count; i++)
            out[i] = bfloat_to_float(((const uint16_t *)tensor->data)[i]);
        return true;
    default:
        return false;
    }
}

static int64_t integer_at(const qz_tensor *tensor, size_t index)
{
    switch (tensor->dtype) {
    case QZ_S8:
        return ((const int8_t *)tensor->data)[index];
    case QZ_U8:
        return ((const uint8_t *)tensor->data)[index];
    default: /* QZ_S32: pickles have no other quantized types */
        return ((const int32_t *)tensor->data)[index];
    }
}

/*
 * As torch: per tensor the difference of integers times the scale, in float32; per channel the
 * scale is a double in the file and is rounded to float32 first.
 */
static void dequantize(const qz_tensor *tensor, const qz_tensor_quant *quant, size_t count,
                       float *out)
{
    size_t inner = 1, channels = (size_t)quant->count;
    for (int32_t i = quant->axis + 1; quant->axis >= 0 && i < tensor->ndim; i++)
        inner *= (size_t)tensor->dims[i];
    for (size_t i = 0; i < count; i++) {
        size_t channel = quant->axis < 0 ? 0 : i / inner % channels;
        int64_t steps =
            (int64_t)((uint64_t)integer_at(tensor, i) - (uint64_t)quant->zero_points[channel]);
        out[i] = (float)steps * (float)quant->scales[channel];
    }
}

qz_status qz_tensor_to_f32(qz_context *context, const qz_tensor *tensor,
                           const qz_tensor_quant *quant, float *out)
{
    int64_t count = tensor ? qz_tensor_numel(tensor) : -1;
    if (count < 0 || !out)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_tensor_to_f32: NULL or no valid tensor");
    if (quant)
        dequantize(tensor, quant, (size_t)count, out);
    else if (!convert_floats(tensor, (size_t)count, out))
        return qzi_fail(context, QZ_ERR_UNSUPPORTED, "a tensor of %s holds no real numbers",
                        qz_dtype_name(tensor->dtype));
    return QZ_OK;
}
