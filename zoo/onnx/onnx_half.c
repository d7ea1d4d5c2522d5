/* SPDX-License-Identifier: MIT */
/*
 * onnx_half.c - half precision: rounding, and which nodes cannot bear it.
 *
 * Above 65504 half precision has only infinity. Weights are looked at one by one, values on the
 * the caller's images; a node that has such a weight, computes such a value or reads one
 * stays in float32.
 */
#include "layers/graph/exec.h"
#include "zoo/onnx/onnx_emit.h"

#include <math.h>
#include <string.h>

/* What rounds to infinity: half the step above the largest finite number. */
#define HALF_LIMIT 65520.0f

uint16_t qzi_onnx_half(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    const uint32_t magnitude = bits & 0x7fffffff;
    uint32_t half, rest, middle;
    if (magnitude > 0x7f800000) /* NaN */
        return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) /* 65520 */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x33000000) /* below half of the smallest */
        return sign;
    if (magnitude < 0x38800000) { /* subnormal: multiples of 2^-24 */
        const uint32_t shift = 126 - (magnitude >> 23);
        const uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
        half = mantissa >> shift;
        rest = mantissa & ((1u << shift) - 1);
        middle = 1u << (shift - 1);
    } else {
        half = (magnitude - 0x38000000) >> 13;
        rest = magnitude & 0x1fff;
        middle = 0x1000;
    }
    if (rest > middle || (rest == middle && (half & 1)))
        half++;
    return (uint16_t)(sign | half);
}

static bool too_large(const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(x[i]) < HALF_LIMIT))
            return true;
    return false;
}

/* ---- values on images ---- */

static qz_status look(void *user, const qz_graph *graph, qz_value value, const qzk_view *view)
{
    bool *large = user;
    const float *pixel = view->data;
    (void)graph;
    for (int64_t p = 0; p < (int64_t)view->n * view->h * view->w && !large[value]; p++)
        large[value] = too_large(pixel + p * view->pixel_stride, (size_t)view->c);
    return QZ_OK;
}

static qz_status run_images(const qz_graph *graph, const struct qzi_packed *packed,
                            const qz_tensor *images, bool *large)
{
    qzi_exec *exec = NULL;
    QZI_TRY(qzi_exec_create(packed, graph, qz_context_threads(graph->ctx), &exec));
    qzi_exec_set_hook(exec, look, large);
    qz_tensor image = *images;
    image.dims[0] = 1;
    const size_t stride = (size_t)qz_tensor_numel(&image);
    qz_status st = QZ_OK;
    for (int64_t n = 0; n < images->dims[0] && st == QZ_OK; n++) {
        image.data = (float *)images->data + (size_t)n * stride;
        st = qzi_exec_run(exec, &image, 1, false);
    }
    qzi_exec_destroy(exec);
    return st;
}

/* ---- deciding ---- */

/* Why the node stays in float32; NULL: it does not. */
static const char *reason_of(const qz_graph *graph, size_t i, const bool *large)
{
    const qzi_node *node = &graph->nodes[i];
    if (large[i])
        return "it has values above 65504, which half precision lacks";
    for (size_t k = 0; k < node->in_count; k++)
        if (large[node->in[k]])
            return "it reads values above 65504, which half precision lacks";
    for (int which = 0; which < QZI_P_COUNT; which++) {
        const qzi_param *param = qzi_node_param(graph, node, which);
        if (param && param->tensor.dtype == QZ_F32 && param->tensor.data &&
            too_large(param->tensor.data, (size_t)qz_tensor_numel(&param->tensor)))
            return "it has weights above 65504, which half precision lacks";
    }
    if (node->constants && too_large(node->constants, 2 * (size_t)node->c))
        return "it has constants above 65504, which half precision lacks";
    return NULL;
}

qz_status qzi_onnx_half_plan(const qz_graph *graph, const struct qzi_packed *packed,
                             const qz_onnx_options *options, bool *kept)
{
    bool *large = qzi_calloc(graph->ctx, graph->node_count, sizeof(*large));
    qz_status st = QZ_OK;
    if (!large)
        return QZ_ERR_MEMORY;
    if (options->images)
        st = run_images(graph, packed, options->images, large);
    for (size_t i = 0; i < graph->node_count && st == QZ_OK; i++) {
        const char *reason = reason_of(graph, i, large);
        /* the parts of a layer norm square deviations; LayerNormalization does so in float32 */
        kept[i] = reason || (graph->nodes[i].op == QZI_OP_LAYER_NORM && options->opset < 17);
        if (reason && options->note)
            options->note(options->note_user, graph->nodes[i].name, reason);
    }
    qzi_free(graph->ctx, large);
    return st;
}
