/* SPDX-License-Identifier: MIT */
/* tensor.c - element types, the size of a tensor, and whether its numbers are finite. */
#include "layers/base/base.h"

#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[QZ_DTYPE_COUNT] = {
    [QZ_F32] = {"float32", 4},   [QZ_U8] = {"uint8", 1},    [QZ_S8] = {"int8", 1},
    [QZ_S32] = {"int32", 4},     [QZ_S64] = {"int64", 8},   [QZ_F16] = {"float16", 2},
    [QZ_BF16] = {"bfloat16", 2}, [QZ_F64] = {"float64", 8}, [QZ_S16] = {"int16", 2},
    [QZ_BOOL] = {"bool", 1},
};

const char *qz_dtype_name(qz_dtype dtype)
{
    return (unsigned)dtype < QZ_DTYPE_COUNT ? dtypes[dtype].name : NULL;
}

size_t qz_dtype_size(qz_dtype dtype)
{
    return (unsigned)dtype < QZ_DTYPE_COUNT ? dtypes[dtype].size : 0;
}

int64_t qz_tensor_numel(const qz_tensor *tensor)
{
    if (tensor->ndim < 0 || tensor->ndim > QZ_MAX_DIMS)
        return -1;
    int64_t count = 1;
    bool empty = false;
    for (int32_t i = 0; i < tensor->ndim; i++) {
        int64_t dim = tensor->dims[i];
        if (dim < 0)
            return -1;
        empty = empty || dim == 0;
    }
    if (empty)
        return 0;
    for (int32_t i = 0; i < tensor->ndim; i++) {
        if (count > INT64_MAX / tensor->dims[i])
            return -1;
        count *= tensor->dims[i];
    }
    return count;
}

/* Reads the bits, and all of them, so that the loop vectorizes: an exponent of all ones is infinity
 * or NaN. */
bool qzi_all_finite(const float *values, size_t count)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof(bits));
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return bad == 0;
}
