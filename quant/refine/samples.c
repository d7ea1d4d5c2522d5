/* SPDX-License-Identifier: MIT */
/* samples.c - takes patches of a layer's input, and multiplies them by weights. */
#include "quant/refine/samples.h"

#include <string.h>

qz_status qzi_layer_out_size(const qz_graph *graph, qz_value node, const qzk_view *in,
                             qzi_shape *out)
{
    const qzi_node *inputs[QZI_MAX_INPUTS];
    qzi_op_node n;
    qzi_graph_op_node(graph, node, inputs, &n);
    qzi_node alone = graph->nodes[node]; /* without a residual, whose shape would be checked */
    alone.in_count = 1;
    n.node = &alone;
    const qzi_shape shape = {in->n, in->h, in->w, in->c};
    return qzi_op_get(alone.op)->shape(&n, &shape, out);
}

/* The samples of one image. */
typedef struct take_task {
    const qzi_node *node, *value;
    const int32_t *zeros; /* [ic]; NULL: floats */
    qzk_view in;
    qzi_shape out;
    int64_t count;
    float *rows;
} take_task;

static void copy_pixel(const take_task *t, int64_t pixel, float *restrict to)
{
    const int64_t at = pixel * t->in.pixel_stride, c = t->in.c;
    if (!t->zeros) {
        memcpy(to, (const float *)t->in.data + at, (size_t)c * sizeof(*to));
        return;
    }
    const uint8_t *restrict from = (const uint8_t *)t->in.data + at;
    const int32_t *restrict zeros = t->zeros;
    for (int64_t i = 0; i < c; i++)
        to[i] = (float)(from[i] - zeros[i]);
}

/* One row: the patch of place (y, x) of the output. */
static void take_patch(const take_task *t, int32_t y, int32_t x, float *row)
{
    const qzi_conv2d_attr *a = &t->node->u.conv;
    for (int32_t tap = 0; tap < a->kh * a->kw; tap++, row += a->ic) {
        const int32_t iy = y * a->stride_h - a->pad_h + tap / a->kw * a->dil_h;
        const int32_t ix = x * a->stride_w - a->pad_w + tap % a->kw * a->dil_w;
        if (iy >= 0 && iy < t->in.h && ix >= 0 && ix < t->in.w)
            copy_pixel(t, (int64_t)iy * t->in.w + ix, row);
        else
            memset(row, 0, (size_t)a->ic * sizeof(*row));
    }
}

/* Place i of `count` among `total`: one of each run of equal length, at a spot that looks random,
 * so that no column of the image is preferred. */
static int64_t place_of(int64_t i, int64_t count, int64_t total)
{
    const int64_t begin = i * total / count, end = (i + 1) * total / count;
    const uint64_t number = ((uint64_t)i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return begin + (int64_t)((number >> 33) % (uint64_t)(end - begin));
}

static void take_places(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const take_task *t = arg;
    const int64_t width = (int64_t)t->node->u.conv.ic * t->node->u.conv.kh * t->node->u.conv.kw;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        const int64_t place = place_of(i, t->count, (int64_t)t->out.h * t->out.w);
        take_patch(t, (int32_t)(place / t->out.w), (int32_t)(place % t->out.w),
                   t->rows + i * width);
    }
}

/* Of an image; `each` places where it has as many. */
static qz_status take_image(const qz_graph *graph, qz_value node, take_task *task, int64_t each,
                            uint32_t threads, qzi_samples *samples)
{
    QZI_TRY(qzi_layer_out_size(graph, node, &task->in, &task->out));
    task->count = QZI_MIN(each, (int64_t)task->out.h * task->out.w);
    task->rows = samples->rows + samples->count * samples->width;
    qzi_parallel(graph->ctx, threads, task->count, 8192 / samples->width + 1, take_places, task);
    samples->count += task->count;
    return QZ_OK;
}

qz_status qzi_samples_take(const qz_graph *graph, qz_value node, qzi_exec *const *execs,
                           size_t count, int64_t places, uint32_t threads, qzi_samples *samples)
{
    const qzi_node *layer = &graph->nodes[node], *value = &graph->nodes[layer->in[0]];
    const qzi_conv2d_attr *a = &layer->u.conv;
    const int64_t each = QZI_DIV_UP(places, (int64_t)count);
    int32_t *zeros = NULL;
    qz_status st = QZ_OK;
    *samples = (qzi_samples){.width = (int64_t)a->ic * a->kh * a->kw};
    samples->rows = qzi_alloc(graph->ctx, (size_t)samples->width * (size_t)each * count *
                                              sizeof(*samples->rows));
    if (!samples->rows)
        return QZ_ERR_MEMORY;
    if (value->dtype == QZ_U8) {
        zeros = qzi_alloc(graph->ctx, (size_t)a->ic * sizeof(*zeros));
        if (!zeros)
            return QZ_ERR_MEMORY;
        for (int32_t c = 0; c < a->ic; c++)
            zeros[c] = qzi_q_zero(value, c);
    }
    for (size_t i = 0; i < count && st == QZ_OK; i++) {
        take_task task = {.node = layer,
                          .value = value,
                          .zeros = zeros,
                          .in = qzi_exec_value(execs[i], layer->in[0])};
        st = take_image(graph, node, &task, each, threads, samples);
    }
    qzi_free(graph->ctx, zeros);
    return st;
}

void qzi_samples_free(const qz_context *ctx, qzi_samples *samples)
{
    qzi_free(ctx, samples->rows);
    samples->rows = NULL;
}

/* ---- the product ---- */

/* Layers of several groups, which are small. */
typedef struct group_task {
    const qzi_samples *samples;
    const qzi_node *node;
    const float *w;
    float *y;
} group_task;

static void multiply_channels(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const group_task *t = arg;
    const qzi_conv2d_attr *a = &t->node->u.conv;
    const int64_t icg = a->ic / a->groups, taps = (int64_t)a->kh * a->kw;
    (void)thread;
    for (int64_t s = 0; s < t->samples->count; s++)
        for (int64_t o = begin; o < end; o++) {
            const float *row =
                t->samples->rows + s * t->samples->width + o / (a->oc / a->groups) * icg;
            const float *w = t->w + o * icg * taps;
            float sum = 0.0f;
            for (int64_t i = 0; i < icg; i++)
                for (int64_t tap = 0; tap < taps; tap++)
                    sum += row[tap * a->ic + i] * w[i * taps + tap];
            t->y[o * t->samples->count + s] = sum;
        }
}

static void fill_rows(void *user, const qz_context *ctx, const qzi_node *node, const qzk_view *out,
                      uint32_t threads)
{
    const qzi_samples *s = user;
    (void)ctx;
    (void)node;
    (void)threads;
    for (int64_t i = 0; i < s->count; i++)
        memcpy((float *)out->data + i * out->pixel_stride, s->rows + i * s->width,
               (size_t)s->width * sizeof(float));
}

/* [oc][channel][tap] to [oc][tap][channel], the order of the rows. */
static qz_status order_weights(qz_graph *product, const qzi_node *node, const float *w)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const int64_t icg = a->ic, taps = (int64_t)a->kh * a->kw;
    qz_tensor *tensor = &product->params[0].tensor;
    float *to = qzi_alloc(product->ctx, (size_t)(a->oc * icg * taps) * sizeof(*to));
    tensor->data = to;
    if (!to)
        return QZ_ERR_MEMORY;
    for (int64_t o = 0; o < a->oc; o++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t i = 0; i < icg; i++)
                *to++ = w[(o * icg + i) * taps + t];
    return QZ_OK;
}

static qz_status run_product(qz_graph *product, uint32_t threads, const qzi_samples *samples,
                             float *y)
{
    qzi_packed *packed = NULL;
    qzi_exec *exec = NULL;
    qz_tensor shape;
    qz_status st;
    const qzi_exec_input input = {.fill = fill_rows,
                                  .user = (void *)(uintptr_t)samples,
                                  .n = 1,
                                  .h = 1,
                                  .w = (int32_t)samples->count,
                                  .finite = true};
    QZI_GOTO(st, qzi_packed_create(product, QZ_ISA_AUTO, &packed));
    QZI_GOTO(st, qzi_exec_create(packed, product, threads, &exec));
    QZI_GOTO(st, qzi_exec_run_inputs(exec, &input, 1));
    QZI_GOTO(st, qzi_exec_output_shape(exec, 0, &shape));
    qzi_exec_output(exec, 0, y);
fail:
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    return st;
}

/* The rows are the pixels of an image, the layer a pointwise convolution: kernels that are the same
 * to the bit everywhere do the work. */
qz_status qzi_samples_multiply(qz_context *ctx, uint32_t threads, const qzi_samples *samples,
                               const qzi_node *node, const float *w, float *y)
{
    qz_graph *product = NULL;
    if (node->u.conv.groups > 1) {
        group_task task = {samples, node, w, y};
        qzi_parallel(ctx, threads, node->u.conv.oc, 16, multiply_channels, &task);
        return QZ_OK;
    }
    qz_status st = qz_graph_create(ctx, &product);
    if (st != QZ_OK)
        return st;
    const qz_value x = qz_graph_input(product, "x", (int32_t)samples->width);
    const qz_value made = qz_conv2d(
        product, "product", x,
        &(qz_conv2d_options){.out_channels = node->u.conv.oc, .kernel_h = 1, .kernel_w = 1});
    qz_graph_output(product, "y", made);
    st = qz_graph_finish(product);
    if (st == QZ_OK)
        st = order_weights(product, node, w);
    if (st == QZ_OK)
        st = run_product(product, threads, samples, y);
    qz_graph_destroy(product);
    return st;
}
