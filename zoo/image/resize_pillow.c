/* SPDX-License-Identifier: MIT */
/*
 * resize_pillow.c - Pillow's Image.resize(BILINEAR, BICUBIC or NEAREST) on 8-bit RGB, to the bit.
 *
 * torchvision's published accuracies were measured on images that Pillow resized, so the arithmetic
 * is Pillow's: a filter that widens with the reduction (antialiasing), weights normalised in double
 * and rounded to 22-bit fixed point, a horizontal pass, rounding to 8 bits, a vertical pass,
 * rounding to 8 bits. NEAREST copies pixels, without a filter.
 */
#include "zoo/image/resize_pillow.h"

#include <math.h>
#include <string.h>

/* 8 bits of a pixel and 2 of headroom leave 22 in an int32; the magnitudes of the bicubic filter's
 * normalised weights sum to less than 1.4. */
#define WEIGHT_BITS 22
#define WEIGHT_HALF (1 << (WEIGHT_BITS - 1))

typedef qzi_resize_axis axis;

static void axis_free(const qz_context *ctx, axis *a)
{
    qzi_free(ctx, a->first);
    qzi_free(ctx, a->count);
    qzi_free(ctx, a->weights);
    qzi_free(ctx, a->real);
    *a = (axis){0};
}

static void *alloc_array(const qz_context *ctx, size_t count, size_t item, qz_status *status)
{
    size_t bytes;
    void *array = NULL;
    if (!qzi_mul_size(count, item, &bytes))
        bytes = SIZE_MAX;
    else
        array = qzi_alloc(ctx, bytes);
    if (!array && *status == QZ_OK)
        *status = QZ_ERR_MEMORY;
    return array;
}

/* ---- filters ---- */

static double triangle(double x)
{
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981, with a = -1/2. */
static double cubic(double x)
{
    const double a = -0.5;
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

/* By qz_interpolation. */
static const struct filter {
    const char *name;
    double (*at)(double distance); /* NULL: no filter */
    double support;                /* the filter is 0 from this distance on */
} filters[QZ_INTERPOLATION_COUNT] = {
    {"bilinear", triangle, 1.0},
    {"bicubic", cubic, 2.0},
    {"nearest", NULL, 0.0},
};

const char *qz_interpolation_name(qz_interpolation interpolation)
{
    return interpolation >= 0 && interpolation < QZ_INTERPOLATION_COUNT
               ? filters[interpolation].name
               : NULL;
}

static int32_t to_fixed(double weight)
{
    return (int32_t)((weight < 0.0 ? -0.5 : 0.5) + weight * (1 << WEIGHT_BITS));
}

static void axis_fill(axis *a, const struct filter *filter, int32_t in, int64_t full, int64_t start,
                      int32_t count)
{
    const double scale = (double)in / (double)full;
    const double stretch = QZI_MAX(scale, 1.0);
    const double width = filter->support * stretch;
    const double inverse = 1.0 / stretch;
    for (int32_t i = 0; i < count; i++) {
        double centre = ((double)(start + i) + 0.5) * scale;
        int64_t first = (int64_t)(centre - width + 0.5);
        int64_t end = (int64_t)(centre + width + 0.5);
        first = QZI_MAX(first, 0);
        end = QZI_MIN(end, in);
        int64_t n = end - first;
        double sum = 0.0;
        for (int64_t t = 0; t < n; t++) {
            a->real[t] = filter->at(fabs(((double)(t + first) - centre + 0.5) * inverse));
            sum += a->real[t];
        }
        int32_t *weights = a->weights + (size_t)i * a->taps;
        for (int64_t t = 0; t < n; t++) {
            double w = sum != 0.0 ? a->real[t] / sum : a->real[t];
            weights[t] = to_fixed(w);
        }
        a->first[i] = (int32_t)first;
        a->count[i] = (int32_t)n;
    }
}

static qz_status axis_init(const qz_context *ctx, axis *a, const struct filter *filter, int32_t in,
                           int64_t full, int64_t start, int32_t count)
{
    double width = filter->support * QZI_MAX((double)in / (double)full, 1.0);
    a->taps = (size_t)ceil(width) * 2 + 1;
    size_t weights;
    if (!qzi_mul_size(a->taps, (size_t)count, &weights))
        return qzi_fail_memory(ctx, SIZE_MAX);
    qz_status st = QZ_OK;
    a->first = alloc_array(ctx, (size_t)count, sizeof(*a->first), &st);
    a->count = alloc_array(ctx, (size_t)count, sizeof(*a->count), &st);
    a->weights = alloc_array(ctx, weights, sizeof(*a->weights), &st);
    a->real = alloc_array(ctx, a->taps, sizeof(*a->real), &st);
    if (st == QZ_OK)
        axis_fill(a, filter, in, full, start, count);
    return st;
}

static uint8_t to_byte(int32_t sum)
{
    int32_t value = sum >> WEIGHT_BITS; /* arithmetic: rounds down below 0 too */
    return (uint8_t)QZI_MAX(QZI_MIN(value, 255), 0);
}

static void resize_row(const axis *a, const uint8_t *in, int32_t count, uint8_t *out)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t *w = a->weights + (size_t)i * a->taps;
        const uint8_t *p = in + (size_t)a->first[i] * 3;
        int32_t red = WEIGHT_HALF, green = WEIGHT_HALF, blue = WEIGHT_HALF;
        for (int32_t t = 0; t < a->count[i]; t++, p += 3) {
            red += p[0] * w[t];
            green += p[1] * w[t];
            blue += p[2] * w[t];
        }
        out[3 * i] = to_byte(red);
        out[3 * i + 1] = to_byte(green);
        out[3 * i + 2] = to_byte(blue);
    }
}

/* Outputs [begin, end). `rows` begins with row `base` of the horizontally resized image. */
static void resize_columns(const axis *a, const uint8_t *rows, int32_t base, int32_t begin,
                           int32_t end, size_t row_bytes, int32_t *sums, uint8_t *out)
{
    for (int32_t i = begin; i < end; i++, out += row_bytes) {
        const int32_t *w = a->weights + (size_t)i * a->taps;
        const uint8_t *p = rows + (size_t)(a->first[i] - base) * row_bytes;
        for (size_t k = 0; k < row_bytes; k++)
            sums[k] = WEIGHT_HALF;
        for (int32_t t = 0; t < a->count[i]; t++, p += row_bytes) {
            for (size_t k = 0; k < row_bytes; k++)
                sums[k] += p[k] * w[t];
        }
        for (size_t k = 0; k < row_bytes; k++)
            out[k] = to_byte(sums[k]);
    }
}

/* ---- nearest ---- */

/* Pillow adds the scale up pixel by pixel; the product would round otherwise. */
static void nearest_pixels(int32_t in, int64_t full, int64_t start, int32_t count, int32_t *from)
{
    const double scale = (double)in / (double)full;
    double at = scale * 0.5;
    for (int64_t i = 0; i < start; i++)
        at += scale;
    for (int32_t i = 0; i < count; i++, at += scale)
        from[i] = (int32_t)QZI_MIN((int64_t)at, (int64_t)in - 1);
}

static qz_status nearest_window(const qz_context *ctx, const qzi_pixels *in,
                                const qzi_window *window, uint8_t *out)
{
    qz_status st = QZ_OK;
    int32_t *columns = alloc_array(ctx, (size_t)window->width, sizeof(*columns), &st);
    int32_t *rows = alloc_array(ctx, (size_t)window->height, sizeof(*rows), &st);
    if (st == QZ_OK) {
        nearest_pixels(in->width, window->full_width, window->x, window->width, columns);
        nearest_pixels(in->height, window->full_height, window->y, window->height, rows);
        for (int32_t y = 0; y < window->height; y++) {
            const uint8_t *row = in->rgb + (size_t)rows[y] * in->stride;
            for (int32_t x = 0; x < window->width; x++, out += 3)
                memcpy(out, row + (size_t)columns[x] * 3, 3);
        }
    }
    qzi_free(ctx, columns);
    qzi_free(ctx, rows);
    return st;
}

/* ---- the whole ---- */

void qzi_resize_plan_free(const qz_context *ctx, qzi_resize_plan *plan)
{
    axis_free(ctx, &plan->across);
    axis_free(ctx, &plan->down);
    *plan = (qzi_resize_plan){0};
}

static bool same_window(const qzi_window *a, const qzi_window *b)
{
    return a->full_width == b->full_width && a->full_height == b->full_height && a->x == b->x &&
           a->y == b->y && a->width == b->width && a->height == b->height;
}

qz_status qzi_resize_plan_make(const qz_context *ctx, int32_t in_width, int32_t in_height,
                               const qzi_window *window, qz_interpolation interpolation,
                               qzi_resize_plan *plan)
{
    const struct filter *filter = &filters[interpolation];
    if (plan->down.weights && plan->in_width == in_width && plan->in_height == in_height &&
        plan->interpolation == interpolation && same_window(&plan->window, window))
        return QZ_OK;
    qzi_resize_plan_free(ctx, plan);
    qz_status st = axis_init(ctx, &plan->across, filter, in_width, window->full_width, window->x,
                             window->width);
    if (st == QZ_OK)
        st = axis_init(ctx, &plan->down, filter, in_height, window->full_height, window->y,
                       window->height);
    if (st != QZ_OK) {
        qzi_resize_plan_free(ctx, plan);
        return st;
    }
    plan->in_width = in_width;
    plan->in_height = in_height;
    plan->window = *window;
    plan->interpolation = interpolation;
    return QZ_OK;
}

/* Rows of the image that the rows [begin, end) of the window read; bounds rise with the row. */
static int32_t rows_read(const axis *down, int32_t begin, int32_t end)
{
    return end > begin ? down->first[end - 1] + down->count[end - 1] - down->first[begin] : 0;
}

size_t qzi_resize_scratch(const qzi_resize_plan *plan, int32_t rows)
{
    const size_t row_bytes = (size_t)plan->window.width * 3;
    int32_t most = 0;
    size_t bytes;
    for (int32_t y = 0; y < plan->window.height; y++)
        most = QZI_MAX(most, rows_read(&plan->down, y, y + QZI_MIN(rows, plan->window.height - y)));
    if (!qzi_mul_size((size_t)most + sizeof(int32_t), row_bytes, &bytes) ||
        !qzi_add_size(bytes, 64, &bytes))
        return SIZE_MAX;
    return QZI_ROUND_UP(bytes, 64);
}

void qzi_resize_rows(const qzi_resize_plan *plan, const qzi_pixels *in, int32_t begin, int32_t end,
                     void *scratch, uint8_t *out)
{
    const size_t row_bytes = (size_t)plan->window.width * 3;
    int32_t *sums = scratch;
    uint8_t *rows = (uint8_t *)(sums + row_bytes);
    const int32_t base = plan->down.first[begin], count = rows_read(&plan->down, begin, end);
    for (int32_t y = 0; y < count; y++)
        resize_row(&plan->across, in->rgb + (size_t)(base + y) * in->stride, plan->window.width,
                   rows + (size_t)y * row_bytes);
    resize_columns(&plan->down, rows, base, begin, end, row_bytes, sums, out);
}

qz_status qzi_resize_window(const qz_context *ctx, const qzi_pixels *in, const qzi_window *window,
                            qz_interpolation interpolation, uint8_t *out)
{
    if (!filters[interpolation].at)
        return nearest_window(ctx, in, window, out);
    qzi_resize_plan plan = {0};
    QZI_TRY(qzi_resize_plan_make(ctx, in->width, in->height, window, interpolation, &plan));
    void *scratch = qzi_alloc(ctx, qzi_resize_scratch(&plan, window->height));
    const qz_status st = scratch ? QZ_OK : QZ_ERR_MEMORY;
    if (scratch)
        qzi_resize_rows(&plan, in, 0, window->height, scratch, out);
    qzi_free(ctx, scratch);
    qzi_resize_plan_free(ctx, &plan);
    return st;
}

qz_status qzi_check_pixels(const qz_context *ctx, const char *function, const qzi_pixels *in)
{
    if (!in->rgb)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: no pixels were given", function);
    if (in->width < 1 || in->height < 1)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: an image of %d x %d pixels is empty", function,
                        in->width, in->height);
    if (in->stride / 3 < (size_t)in->width)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: stride %zu is less than a row of %d RGB pixels",
                        function, in->stride, in->width);
    return QZ_OK;
}

qz_status qz_image_resize(qz_context *context, const uint8_t *rgb, int32_t width, int32_t height,
                          size_t stride, int32_t out_width, int32_t out_height,
                          qz_interpolation interpolation, uint8_t *out)
{
    const qzi_pixels in = {rgb, width, height, stride};
    QZI_TRY(qzi_check_pixels(context, "qz_image_resize", &in));
    if (!out || out_width < 1 || out_height < 1)
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_image_resize: an output of %d x %d pixels is empty", out_width,
                        out_height);
    if (!qz_interpolation_name(interpolation))
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_image_resize: there is no interpolation number %d", (int)interpolation);
    const qzi_window whole = {.full_width = out_width,
                              .full_height = out_height,
                              .width = out_width,
                              .height = out_height};
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = qzi_resize_window(context, &in, &whole, interpolation, out);
    qzi_fpenv_leave(env);
    return st;
}
