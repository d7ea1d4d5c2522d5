/* SPDX-License-Identifier: MIT */
/*
 * transform.c - an image to the network's input, as torchvision's detectors do: normalise,
 * F.interpolate(mode="bilinear", align_corners=False), pad with zeros at the right and below.
 */
#include "zoo/detection/transform.h"

#include <math.h>
#include <string.h>

/* ---- sizes ---- */

static int32_t round_up(int32_t size, int32_t divisor)
{
    return divisor > 1 ? QZI_DIV_UP(size, divisor) * divisor : size;
}

qz_status qzi_transform_sizes(const qz_context *ctx, const qzi_detector *detector,
                              const qz_detection_options *options, int32_t height, int32_t width,
                              int32_t padded_h, int32_t padded_w, qzi_transform_size *size)
{
    if (height < 1 || width < 1)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "image of %d x %d: it has no pixels", height, width);
    if (detector->kind == QZI_DETECTOR_SSD || detector->kind == QZI_DETECTOR_YOLO) {
        size->resized_h = options->fixed_h;
        size->resized_w = options->fixed_w;
    } else {
        /* the scale is a float32, and number / tensor is reciprocal times number in torch;
         * sizes are Python's floor of a double product */
        const float shorter = (float)QZI_MIN(height, width), longer = (float)QZI_MAX(height, width);
        const float by_min = 1.0f / shorter * (float)options->min_size;
        const float by_max = 1.0f / longer * (float)options->max_size;
        const double scale = (double)QZI_MIN(by_min, by_max);
        size->resized_h = (int32_t)floor((double)height * scale);
        size->resized_w = (int32_t)floor((double)width * scale);
    }
    if (size->resized_h < 1 || size->resized_w < 1)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "image of %d x %d: resized to max_size %d it is %d x %d; use one that is "
                        "less narrow, or a larger max_size",
                        width, height, options->max_size, size->resized_w, size->resized_h);
    size->padded_h = padded_h > 0 ? padded_h : round_up(size->resized_h, detector->size_divisor);
    size->padded_w = padded_w > 0 ? padded_w : round_up(size->resized_w, detector->size_divisor);
    if (size->padded_h < size->resized_h || size->padded_w < size->resized_w)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "image of %d x %d: resized to %d x %d it does not fit into %d x %d", width,
                        height, size->resized_w, size->resized_h, size->padded_w, size->padded_h);
    return QZ_OK;
}

/* ---- one axis of the resize ---- */

typedef struct source {
    int32_t low, step; /* the other is low + step */
    float low_weight, high_weight;
} source;

/* PyTorch's area_pixel_compute_source_index and its weights: a scale in float32, a place in double,
 * weights in float32. */
static source source_of(int32_t i, int32_t in, int32_t out)
{
    const float scale = (float)in / (float)out;
    double at = (double)scale * ((double)i + 0.5) - 0.5;
    at = at < 0.0 ? 0.0 : at;
    source s = {.low = QZI_MIN((int32_t)at, in - 1)};
    s.step = s.low < in - 1 ? 1 : 0;
    s.high_weight = (float)(at - (double)s.low);
    s.high_weight = s.high_weight > 1.0f ? 1.0f : s.high_weight;
    s.low_weight = 1.0f - s.high_weight;
    return s;
}

/* ---- preparation ---- */

qz_status qzi_transform_prepare(qzi_transform *t, const qzi_detector *detector, uint32_t threads)
{
    const size_t columns = (size_t)t->size.resized_w;
    t->threads = QZI_MAX(threads, 1u);
    for (int c = 0; c < 3; c++) {
        t->mean[c] = detector->mean[c];
        t->std[c] = detector->std[c];
        for (int v = 0; v < 256; v++)
            t->table[c][v] = ((float)v / 255.0f - t->mean[c]) / t->std[c];
    }
    if (t->chw && !qzi_all_finite(t->chw, (size_t)t->height * (size_t)t->width * 3))
        return qzi_fail(t->ctx, QZ_ERR_NUMERIC, "image: it has NaN or infinity");
    t->row_floats = QZI_ROUND_UP(3 * (size_t)t->width + 9 * columns, 16);
    t->left = qzi_calloc(t->ctx, columns, sizeof(*t->left));
    t->step = qzi_calloc(t->ctx, columns, sizeof(*t->step));
    t->left_weight = qzi_calloc(t->ctx, columns, sizeof(*t->left_weight));
    t->right_weight = qzi_calloc(t->ctx, columns, sizeof(*t->right_weight));
    t->rows = qzi_calloc(t->ctx, t->threads, t->row_floats * sizeof(*t->rows));
    if (!t->left || !t->step || !t->left_weight || !t->right_weight || !t->rows)
        return QZ_ERR_MEMORY;
    for (size_t x = 0; x < columns; x++) {
        const source s = source_of((int32_t)x, t->width, t->size.resized_w);
        t->left[x] = s.low;
        t->step[x] = s.step;
        t->left_weight[x] = s.low_weight;
        t->right_weight[x] = s.high_weight;
    }
    return QZ_OK;
}

void qzi_transform_release(qzi_transform *t)
{
    qzi_free(t->ctx, t->left);
    qzi_free(t->ctx, t->step);
    qzi_free(t->ctx, t->left_weight);
    qzi_free(t->ctx, t->right_weight);
    qzi_free(t->ctx, t->rows);
    t->left = t->step = NULL;
    t->left_weight = t->right_weight = t->rows = NULL;
}

/* ---- rows ---- */

/* A source row, normalised: three planes of `width`. */
static void load_row(const qzi_transform *t, int32_t y, float *row)
{
    const size_t width = (size_t)t->width;
    for (int c = 0; c < 3; c++, row += width) {
        if (t->chw) {
            const float *x = t->chw + ((size_t)c * (size_t)t->height + (size_t)y) * width;
            const float mean = t->mean[c], std = t->std[c];
            for (size_t i = 0; i < width; i++)
                row[i] = (x[i] - mean) / std;
        } else {
            const uint8_t *x = t->rgb + (size_t)y * t->stride + c;
            const float *table = t->table[c];
            for (size_t i = 0; i < width; i++)
                row[i] = table[x[i * 3]];
        }
    }
}

/* The source row at the output's columns. */
static void resize_row(const qzi_transform *t, int32_t y, float *row, float *columns)
{
    const size_t count = (size_t)t->size.resized_w;
    load_row(t, y, row);
    for (int c = 0; c < 3; c++, row += t->width, columns += count)
        for (size_t x = 0; x < count; x++)
            columns[x] = row[t->left[x]] * t->left_weight[x] +
                         row[t->left[x] + t->step[x]] * t->right_weight[x];
}

typedef struct job {
    const qzi_transform *t;
    const qzi_node *node;
    const qzk_view *out;
} job;

static void pad_pixels(const job *j, int64_t first, int64_t count)
{
    const qzk_view *v = j->out;
    const bool bytes = j->node->dtype == QZ_U8;
    for (int64_t p = first; p < first + count; p++)
        for (int c = 0; c < 3; c++)
            if (bytes)
                ((uint8_t *)v->data)[p * v->pixel_stride + c] = (uint8_t)j->node->q.zero_point;
            else
                ((float *)v->data)[p * v->pixel_stride + c] = 0.0f;
}

static void write_row(const job *j, int64_t pixel, const float *planes)
{
    const qzi_transform *t = j->t;
    const size_t columns = (size_t)t->size.resized_w;
    const int64_t at = pixel * j->out->pixel_stride;
    if (j->node->dtype == QZ_U8)
        t->kernels->quantize_nchw(planes, (int64_t)columns, 3, columns,
                                  (uint8_t *)j->out->data + at, j->out->pixel_stride,
                                  1.0f / j->node->q.scale, j->node->q.zero_point);
    else
        t->kernels->f32_nchw_to_nhwc(planes, (int64_t)columns, 3, columns,
                                     (float *)j->out->data + at, j->out->pixel_stride);
}

static void run_rows(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const job *j = arg;
    const qzi_transform *t = j->t;
    const int64_t columns = t->size.resized_w, padded = t->size.padded_w;
    float *row = t->rows + thread * t->row_floats;
    float *upper = row + 3 * (size_t)t->width, *lower = upper + 3 * columns;
    float *result = lower + 3 * columns;
    int32_t upper_y = -1, lower_y = -1; /* which source rows they hold */
    for (int64_t y = begin; y < end; y++) {
        if (y >= t->size.resized_h) {
            pad_pixels(j, y * padded, padded);
            continue;
        }
        const source s = source_of((int32_t)y, t->height, t->size.resized_h);
        if (upper_y != s.low && lower_y == s.low) { /* going down, the lower becomes the upper */
            float *swapped = upper;
            upper = lower;
            lower = swapped;
            upper_y = lower_y;
            lower_y = -1;
        }
        if (upper_y != s.low)
            resize_row(t, s.low, row, upper);
        upper_y = s.low;
        const float *second = upper;
        if (s.step > 0) {
            if (lower_y != s.low + 1)
                resize_row(t, s.low + 1, row, lower);
            lower_y = s.low + 1;
            second = lower;
        }
        for (int64_t i = 0; i < 3 * columns; i++)
            result[i] = upper[i] * s.low_weight + second[i] * s.high_weight;
        write_row(j, y * padded, result);
        pad_pixels(j, y * padded + columns, padded - columns);
    }
}

void qzi_transform_fill(void *user, const qz_context *ctx, const qzi_node *node,
                        const qzk_view *out, uint32_t threads)
{
    const qzi_transform *t = user;
    job j = {t, node, out};
    qzi_parallel(ctx, QZI_MIN(threads, t->threads), t->size.padded_h, 16, run_rows, &j);
}
