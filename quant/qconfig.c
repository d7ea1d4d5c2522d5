/* SPDX-License-Identifier: MIT */
/*
 * qconfig.c - the backends as data: types, granularity, observer, and for each op whether it
 * computes in int8, with what is known of it and where from.
 *
 * All activations are quint8 affine (native: by channel, where all readers can; channels.h), all
 * weights qint8 symmetric; reduce_range is nobody's default
 * (CONTRACT.md: our kernels cannot saturate).
 */
#include "quant/qconfig.h"
#include "layers/base/base.h"
#include "quant/decimals.h"
#include "quant/observers/observer.h"

#include <stdio.h>
#include <string.h>

#define BIT(backend) (1u << (backend))
#define TORCH (BIT(QZ_BACKEND_FBGEMM) | BIT(QZ_BACKEND_QNNPACK)) /* what torch has or would do */
#define NATIVE BIT(QZ_BACKEND_NATIVE)
#define ALL (TORCH | NATIVE)

#define MOVES "moves bytes; keeps the parameters of its input"
#define IDENTITY "the identity at inference; keeps the parameters of its input"
#define KEEPS "keeps the parameters of its input"
#define OBSERVES "observes its output"
#define TABLE "a table of 256 entries from the float function"
#define JOINS "computes the function or the sum behind it too, rounded once"
#define FIXED TABLE "; scale 1/256 and zero point 0, whatever is observed"

static const qzi_support support[] = {
    {"conv2d", TORCH, true, "", "torch.ao.nn.quantized.Conv2d"},
    {"conv2d", NATIVE, true, JOINS, ""},
    {"strided_pointwise", ALL, true,
     "a 1x1 convolution with stride above 1; some int8 libraries refuse it or compute it in float",
     "published experience calls it unsupported; torch itself runs the stride-2 1x1 convolutions "
     "of ResNet's shortcuts in int8, in fbgemm and in qnnpack"},
    {"linear", TORCH, true, "features, or every pixel of an image", "torch.ao.nn.quantized.Linear"},
    {"linear", NATIVE, true, JOINS, ""},
    {"conv_transpose2d", ALL, true, "",
     "torch.ao.nn.quantized.ConvTranspose2d, which refuses scales for each channel"},
    {"batch_norm2d", ALL, true, "only where it could not be folded into a convolution",
     "torch.ao.nn.quantized.BatchNorm2d"},
    {"layer_norm", TORCH, false, "this backend has no int8 layer norm",
     "torch's quantized layer norm computes in float, and torchvision has no quantizable model "
     "with one"},
    {"layer_norm", NATIVE, true, "exact sums of bytes; " OBSERVES, ""},
    {"group_norm", ALL, true, "exact sums of bytes; " OBSERVES,
     "torch.ao.nn.quantized.GroupNorm, which computes in float"},
    {"l2_norm", ALL, true, "exact sums of bytes; " OBSERVES,
     "torch.nn.functional.normalize has no quantized form"},
    {"layer_scale", ALL, true, "one factor for each channel; " OBSERVES, ""},
    {"channel_affine", ALL, false, "works on the image before it is quantized",
     "torchvision's transform_input comes before the quant stub"},
    {"relu", ALL, true,
     "fused where a convolution, linear, batch norm, group norm or add precedes it; " KEEPS,
     "torch.ao.nn.intrinsic.quantized"},
    {"relu6", ALL, true,
     "as relu; stays ReLU6, where torchvision's quantizable models replace it by ReLU (--relu)",
     "torchvision.models.quantization.utils"},
    {"hardswish", ALL, true, TABLE "; " OBSERVES, "torch.ao.nn.quantized.Hardswish"},
    {"hardsigmoid", TORCH, true, FIXED, "torch's quantized hardsigmoid"},
    {"hardsigmoid", NATIVE, true, TABLE "; " OBSERVES, ""},
    {"sigmoid", TORCH, true, FIXED, "torch's quantized sigmoid"},
    {"sigmoid", NATIVE, true, TABLE "; " OBSERVES, ""},
    {"silu", ALL, true, TABLE "; " OBSERVES, "torch has no quantized SiLU"},
    {"gelu", TORCH, false, "this backend has no int8 GELU",
     "torch has no quantized module of it: given a quantized tensor it computes in float and keeps "
     "the parameters of the input"},
    {"gelu", NATIVE, true, TABLE "; " OBSERVES, ""},
    {"leaky_relu", ALL, true, TABLE "; " OBSERVES, "torch.ao.nn.quantized.LeakyReLU"},
    {"mish", ALL, true, TABLE "; " OBSERVES, "torch has no quantized Mish"},
    {"max_pool2d", ALL, true, KEEPS, "torch's quantized max pool"},
    {"avg_pool2d", TORCH, true, KEEPS, "torch's quantized average pool"},
    {"avg_pool2d", NATIVE, true, OBSERVES, "an average has a smaller range than its terms"},
    {"adaptive_avg_pool2d", TORCH, true, KEEPS, "torch's quantized average pool"},
    {"adaptive_avg_pool2d", NATIVE, true, OBSERVES,
     "an average has a smaller range than its terms"},
    {"flatten", ALL, true, MOVES, ""},
    {"add", ALL, true, OBSERVES, "torch.ao.nn.quantized.QFunctional"},
    {"mul", ALL, true, OBSERVES, "torch.ao.nn.quantized.QFunctional"},
    {"concat", ALL, true,
     OBSERVES "; inputs take its parameters where they can, others go through a table",
     "torch.ao.nn.quantized.QFunctional"},
    {"slice", ALL, true, MOVES, "torch.chunk"},
    {"channel_shuffle", ALL, true, MOVES, "torch's quantized channel_shuffle"},
    {"resize2d", ALL, true, "nearest moves bytes, bilinear blends them; " KEEPS,
     "torch's quantized interpolate"},
    {"dropout", ALL, true, IDENTITY, ""},
    {"stochastic_depth", ALL, true, IDENTITY, ""},
};

static const qzi_backend backends[] = {
    {
        .id = QZ_BACKEND_FBGEMM,
        .name = "fbgemm",
        .per_channel = true,
        .activations = QZ_OBSERVER_HISTOGRAM,
        .recipe = QZ_RECIPE_NONE,
    },
    {
        .id = QZ_BACKEND_QNNPACK,
        .name = "qnnpack",
        .activations = QZ_OBSERVER_HISTOGRAM,
        .recipe = QZ_RECIPE_NONE,
    },
    {
        .id = QZ_BACKEND_NATIVE,
        .name = "native",
        .per_channel = true,
        .own_average = true,
        .by_channel = true,
        .own_ranges = true,
        .activations = QZ_OBSERVER_MSE,
        .recipe = QZ_RECIPE_FAST,
    },
};

const qzi_support *qzi_support_next(const qzi_backend *backend, const qzi_support *row)
{
    row = row ? row + 1 : support;
    while (row < support + QZI_ARRAY_LEN(support) && !(row->backends & BIT(backend->id)))
        row++;
    return row < support + QZI_ARRAY_LEN(support) ? row : NULL;
}

const qzi_support *qzi_support_find(const qzi_backend *backend, const char *word)
{
    const qzi_support *row = NULL;
    while ((row = qzi_support_next(backend, row)) && strcmp(row->op, word) != 0)
        continue;
    return row;
}

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

/* ---- words of recipes ---- */

static const char *const recipe_names[] = {"default", "none", "fast", "best"};
static const char *const bias_correction_names[] = {"default", "none", "images"};

static const char *const rounding_names[] = {"default", "nearest", "adaround"};

/* The number of a word; -1: there is none. */
static int find_word(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; word && i < count; i++)
        if (strcmp(words[i], word) == 0)
            return (int)i;
    return -1;
}

const char *qz_recipe_name(qz_recipe recipe)
{
    return (size_t)recipe < QZI_ARRAY_LEN(recipe_names) ? recipe_names[recipe] : NULL;
}

bool qz_recipe_parse(const char *name, qz_recipe *recipe)
{
    const int i = find_word(recipe_names, QZI_ARRAY_LEN(recipe_names), name);
    if (i >= 0)
        *recipe = (qz_recipe)i;
    return i >= 0;
}

const char *qz_bias_correction_name(qz_bias_correction kind)
{
    return (size_t)kind < QZI_ARRAY_LEN(bias_correction_names) ? bias_correction_names[kind] : NULL;
}

bool qz_bias_correction_parse(const char *name, qz_bias_correction *kind)
{
    const int i = find_word(bias_correction_names, QZI_ARRAY_LEN(bias_correction_names), name);
    if (i >= 0)
        *kind = (qz_bias_correction)i;
    return i >= 0;
}

static const char *const equalization_names[] = {"default", "none", "auto"};

bool qz_equalization_parse_word(const char *word, qz_equalization *kind, double *alpha)
{
    int32_t millionths = 0;
    const int i = find_word(equalization_names, QZI_ARRAY_LEN(equalization_names), word);
    if (i < 0 && (!word || !qzi_decimals_parse(word, &millionths) || millionths > QZI_MILLION))
        return false;
    *kind = i >= 0 ? (qz_equalization)i : QZ_EQUALIZATION_ALPHA;
    *alpha = (double)millionths / QZI_MILLION;
    return true;
}

void qzi_equalization_word(qz_equalization kind, double alpha, char word[QZI_EQUALIZATION_WORD])
{
    if (kind == QZ_EQUALIZATION_ALPHA)
        qzi_decimals_print((int32_t)qzi_rne(alpha * QZI_MILLION), word);
    else
        snprintf(word, QZI_EQUALIZATION_WORD, "%s", equalization_names[kind]);
}

bool qzi_qconfig_can_equalize(const qzi_qconfig *qconfig)
{
    return qzi_qconfig_by_channel(qconfig) && qzi_observer_mergeable(qconfig->observer);
}

const char *qz_rounding_name(qz_rounding kind)
{
    return (size_t)kind < QZI_ARRAY_LEN(rounding_names) ? rounding_names[kind] : NULL;
}

bool qz_rounding_parse(const char *name, qz_rounding *kind)
{
    const int i = find_word(rounding_names, QZI_ARRAY_LEN(rounding_names), name);
    if (i >= 0)
        *kind = (qz_rounding)i;
    return i >= 0;
}

bool qzi_qconfig_needs_images(const qzi_qconfig *qconfig)
{
    return qconfig->recipe >= QZ_RECIPE_FAST || qconfig->rounding == QZ_ROUNDING_ADAROUND ||
           qconfig->bias_correction == QZ_BIAS_CORRECTION_IMAGES;
}
