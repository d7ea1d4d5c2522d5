/* SPDX-License-Identifier: MIT */
/*
 * qconfig.c - the backends as data: types, granularity, observer, and for each op whether it
 * computes in int8, with what is known of it and where from.
 *
 * All activations are quint8 affine, all weights qint8 symmetric; reduce_range is nobody's default
 * (CONTRACT.md: our kernels cannot saturate).
 */
#include "quant/quant.h"

#include <string.h>

/* Kept by both backends: torch's eager mode quantizes the same ops in fbgemm and qnnpack. */
static const qzi_support shared_support[] = {
    {"conv2d", true, "", ""},
    {"strided_pointwise", true,
     "a 1x1 convolution with stride above 1; some int8 libraries refuse it or compute it in float",
     "published experience calls it unsupported; torch itself runs the stride-2 1x1 convolutions "
     "of "
     "ResNet's shortcuts in int8, in fbgemm and in qnnpack"},
    {"linear", true, "", ""},
    {"batch_norm2d", true, "only where it could not be folded into a convolution",
     "torch.ao.nn.quantized.BatchNorm2d"},
    {"relu", true, "fused where a convolution, linear or add precedes it", ""},
    {"relu6", true, "kept as ReLU6; torchvision's quantizable models replace it by ReLU (--relu)",
     "torchvision.models.quantization.utils.quantize_model"},
    {"max_pool2d", true, "keeps the parameters of its input", ""},
    {"avg_pool2d", true, "keeps the parameters of its input, as torch does", ""},
    {"adaptive_avg_pool2d", true, "keeps the parameters of its input, as torch does", ""},
    {"flatten", true, "moves bytes; keeps the parameters of its input", ""},
    {"add", true, "observes its output", "torch.ao.nn.quantized.FloatFunctional"},
    {"concat", true, "observes its output; inputs with other parameters go through a table",
     "torch.ao.nn.quantized.FloatFunctional"},
    {"dropout", true, "the identity at inference; keeps the parameters of its input", ""},
    {NULL, false, NULL, NULL},
};

static const qzi_backend backends[] = {
    {QZ_BACKEND_FBGEMM, "fbgemm", true, QZ_OBSERVER_HISTOGRAM, shared_support},
    {QZ_BACKEND_QNNPACK, "qnnpack", false, QZ_OBSERVER_HISTOGRAM, shared_support},
};

#ifdef QZ_ARCH_X86
#define MACHINE_BACKEND QZ_BACKEND_FBGEMM
#else
#define MACHINE_BACKEND QZ_BACKEND_QNNPACK
#endif

const qzi_backend *qzi_backend_get(qz_backend id)
{
    if (id == QZ_BACKEND_AUTO)
        id = MACHINE_BACKEND;
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
        if (backends[i].id == id)
            return &backends[i];
    }
    return NULL;
}

static const char *const observer_names[] = {
    [QZ_OBSERVER_DEFAULT] = "default",
    [QZ_OBSERVER_MINMAX] = "minmax",
    [QZ_OBSERVER_MOVING] = "moving",
    [QZ_OBSERVER_HISTOGRAM] = "histogram",
};

const char *qz_backend_name(qz_backend backend)
{
    if (backend == QZ_BACKEND_AUTO)
        return "auto";
    const qzi_backend *b = qzi_backend_get(backend);
    return b ? b->name : NULL;
}

bool qz_backend_parse(const char *name, qz_backend *backend)
{
    if (!name)
        return false;
    if (strcmp(name, "auto") == 0) {
        *backend = QZ_BACKEND_AUTO;
        return true;
    }
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
        if (strcmp(name, backends[i].name) == 0) {
            *backend = backends[i].id;
            return true;
        }
    }
    return false;
}

const char *qz_observer_name(qz_observer_kind kind)
{
    return (size_t)kind < QZI_ARRAY_LEN(observer_names) ? observer_names[kind] : NULL;
}

bool qz_observer_parse(const char *name, qz_observer_kind *kind)
{
    for (size_t i = 0; name && i < QZI_ARRAY_LEN(observer_names); i++) {
        if (strcmp(name, observer_names[i]) == 0) {
            *kind = (qz_observer_kind)i;
            return true;
        }
    }
    return false;
}
