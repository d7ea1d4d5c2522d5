/* SPDX-License-Identifier: MIT */
/* onnx_format.c - names of the formats; they are there whether or not ONNX is built in. */
#include "layers/base/base.h"
#include "zoo/qzoo_onnx.h"

#include <string.h>

static const char *const names[QZ_ONNX_FORMAT_COUNT] = {
    [QZ_ONNX_FP32] = "fp32",
    [QZ_ONNX_FP16] = "fp16",
    [QZ_ONNX_QDQ] = "qdq",
    [QZ_ONNX_QOPERATOR] = "qoperator",
};

const char *qz_onnx_format_name(qz_onnx_format format)
{
    return (unsigned)format < QZI_ARRAY_LEN(names) ? names[format] : NULL;
}

bool qz_onnx_format_parse(const char *name, qz_onnx_format *format)
{
    for (size_t i = 0; i < QZI_ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0) {
            *format = (qz_onnx_format)i;
            return true;
        }
    return false;
}

#if !defined(QZ_HAVE_ONNX)
qz_status qz_onnx_export(qz_model *model, const char *path, const qz_onnx_options *options)
{
    (void)model;
    (void)options;
    return qzi_fail(NULL, QZ_ERR_UNSUPPORTED,
                    "%s: this build writes no ONNX; build with protobuf-c and libonnx-dev",
                    path ? path : "qz_onnx_export");
}
#endif
