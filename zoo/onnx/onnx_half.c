/* SPDX-License-Identifier: MIT */
/*
 * onnx_half.c - half precision: rounding, and which nodes cannot bear it.
 *
 * Above 65504 half precision has only infinity. Below 2^-14 it has multiples of 2^-24, so that
 * small numbers lose digits and vanish. Weights are looked at one by one, values on the images.
 * A node whose weights or values are too large or too small, or which reads such values, stays in
 * float32.
 */
#include "layers/graph/exec.h"
#include "zoo/onnx/onnx_emit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What rounds to infinity: half the step above the largest finite number. */
#define HALF_LIMIT 65520.0f
/* The smallest number with all digits, and the step of those below it. */
#define HALF_NORMAL 0x1p-14f
#define HALF_STEP 0x1p-24f
/* What rounding may cost, relative L2: twenty times what it costs where no number is small. */
#define HALF_LOSS 1e-2
/*
 * A channel this much smaller than its layer's largest is dead, and may vanish. (Batch norm's eps,
 * 1e-5, lets no such channel become large again.) Pruned networks have many of them.
 */
#define HALF_DEAD 0x1p-16f

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

/* ---- a row of numbers ---- */

typedef struct row_loss {
    float largest;     /* infinity also for NaN */
    double size, lost; /* sums of squares: of the numbers, and of what rounding small ones takes */
} row_loss;

/* `shift` is what the computation adds to each number: a batch norm's eps. */
static void add_row(row_loss *loss, const float *x, size_t count, float shift)
{
    for (size_t i = 0; i < count; i++) {
        const float magnitude = fabsf(x[i]);
        const double whole = (double)x[i] + (double)shift;
        if (!(magnitude <= loss->largest))
            loss->largest = isnan(magnitude) ? INFINITY : magnitude;
        loss->size += whole * whole;
        if (magnitude < HALF_NORMAL) {
            const float rest = magnitude - rintf(magnitude / HALF_STEP) * HALF_STEP;
            loss->lost += (double)rest * (double)rest;
        }
    }
}

static double loss_of(const row_loss *loss)
{
    return loss->lost > 0.0 ? sqrt(loss->lost / loss->size) : 0.0;
}

/* ---- values on images ---- */

/* What half precision does to a value, over the images. */
typedef struct value_range {
    bool large;
    double loss; /* of the image that suffers most */
} value_range;

static qz_status look(void *user, const qz_graph *graph, qz_value value, const qzk_view *view)
{
    value_range *range = (value_range *)user + value;
    const float *pixel = view->data;
    row_loss loss = {0};
    (void)graph;
    for (int64_t p = 0; p < (int64_t)view->n * view->h * view->w; p++)
        add_row(&loss, pixel + p * view->pixel_stride, (size_t)view->c, 0.0f);
    range->large |= loss.largest >= HALF_LIMIT;
    range->loss = QZI_MAX(range->loss, loss_of(&loss));
    return QZ_OK;
}

static qz_status run_images(const qz_graph *graph, const struct qzi_packed *packed,
                            const qz_tensor *images, value_range *ranges)
{
    qzi_exec *exec = NULL;
    QZI_TRY(qzi_exec_create(packed, graph, qz_context_threads(graph->ctx), &exec));
    qzi_exec_set_hook(exec, look, ranges);
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

/* ---- weights ---- */

/* The rows of a parameter: output channels of a convolution or linear; a vector is one row. */
static size_t rows_of(int which, const qz_tensor *t)
{
    return which == QZI_P_WEIGHT && t->ndim > 1 && t->dims[0] > 0 ? (size_t)t->dims[0] : 1;
}

/* Over all parameters of a node: the largest number, and the worst loss of rows that are not dead
 * beside the parameter's largest row (a bias: beside the weights). */
static void look_at_weights(const qz_graph *graph, const qzi_node *node, float *largest,
                            double *worst)
{
    float weights = 0.0f;
    *largest = 0.0f;
    *worst = 0.0;
    for (int which = 0; which < QZI_P_COUNT; which++) {
        const qzi_param *param = qzi_node_param(graph, node, which);
        if (!param || param->tensor.dtype != QZ_F32 || !param->tensor.data)
            continue;
        const qz_tensor *t = &param->tensor;
        const size_t rows = rows_of(which, t), count = (size_t)qz_tensor_numel(t) / rows;
        const float shift = which == QZI_P_VAR ? node->u.bn.eps : 0.0f;
        row_loss whole = {0};
        add_row(&whole, t->data, rows * count, shift);
        *largest = QZI_MAX(*largest, whole.largest);
        if (which == QZI_P_WEIGHT)
            weights = whole.largest;
        const float alive = HALF_DEAD * (which == QZI_P_BIAS ? weights : whole.largest);
        for (size_t r = 0; r < rows && whole.lost > 0.0; r++) {
            row_loss row = {0};
            add_row(&row, (const float *)t->data + r * count, count, shift);
            if (row.largest >= alive)
                *worst = QZI_MAX(*worst, loss_of(&row));
        }
    }
    if (node->constants) {
        row_loss row = {0};
        add_row(&row, node->constants, 2 * (size_t)node->c, 0.0f);
        *largest = QZI_MAX(*largest, row.largest);
        *worst = QZI_MAX(*worst, loss_of(&row));
    }
}

/* ---- deciding ---- */

#define TOO_LARGE "above 65504, which half precision lacks"
#define TOO_SMALL "so small that half precision would lose %.0f %% of them"

/* Why the node stays in float32, in `text`; "": it does not. */
static void reason_of(const qz_graph *graph, size_t i, const value_range *ranges, char *text,
                      size_t size)
{
    const qzi_node *node = &graph->nodes[i];
    float largest = 0.0f;
    double worst = 0.0;
    text[0] = '\0';
    if (ranges[i].large) {
        snprintf(text, size, "it has values " TOO_LARGE);
        return;
    }
    for (size_t k = 0; k < qzi_node_data_count(node); k++)
        if (ranges[node->in[k]].large) {
            snprintf(text, size, "it reads values " TOO_LARGE);
            return;
        }
    look_at_weights(graph, node, &largest, &worst);
    if (largest >= HALF_LIMIT)
        snprintf(text, size, "it has %s " TOO_LARGE, node->constants ? "constants" : "weights");
    else if (worst > HALF_LOSS)
        snprintf(text, size, "it has %s " TOO_SMALL, node->constants ? "constants" : "weights",
                 100.0 * worst);
    else if (ranges[i].loss > HALF_LOSS)
        snprintf(text, size, "it has values " TOO_SMALL, 100.0 * ranges[i].loss);
    for (size_t k = 0; k < qzi_node_data_count(node) && text[0] == '\0'; k++)
        if (ranges[node->in[k]].loss > HALF_LOSS)
            snprintf(text, size, "it reads values " TOO_SMALL, 100.0 * ranges[node->in[k]].loss);
}

/* The same of a value that is an output of the file, where outputs are half precision. */
static void add_output(const qz_graph *graph, size_t i, const value_range *range, char *text,
                       size_t size)
{
    const size_t used = strlen(text);
    for (size_t k = 0; k < graph->output_count; k++)
        if (graph->outputs[k].value == (qz_value)i && (range->large || range->loss > HALF_LOSS)) {
            snprintf(text + used, size - used, "; the file's half precision output loses them");
            return;
        }
}

qz_status qzi_onnx_half_plan(const qz_graph *graph, const struct qzi_packed *packed,
                             const qz_onnx_options *options, const bool *used, bool *kept)
{
    value_range *ranges = qzi_calloc(graph->ctx, graph->node_count, sizeof(*ranges));
    qz_status st = QZ_OK;
    if (!ranges)
        return QZ_ERR_MEMORY;
    if (options->images)
        st = run_images(graph, packed, options->images, ranges);
    for (size_t i = 0; i < graph->node_count && st == QZ_OK; i++) {
        char reason[200];
        if (!used[i])
            continue;
        reason_of(graph, i, ranges, reason, sizeof(reason));
        if (options->io_fp16)
            add_output(graph, i, &ranges[i], reason, sizeof(reason));
        /* the parts of these norms square values; LayerNormalization does so in float32 */
        const qzi_op op = graph->nodes[i].op;
        kept[i] = reason[0] || op == QZI_OP_L2_NORM || op == QZI_OP_GROUP_NORM ||
                  (op == QZI_OP_LAYER_NORM && options->opset < 17);
        if (reason[0] && options->note)
            options->note(options->note_user, graph->nodes[i].name, reason);
    }
    qzi_free(graph->ctx, ranges);
    return st;
}
