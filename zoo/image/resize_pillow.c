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
#define WEIGHT_BITS QZK_FILTER_BITS

typedef qzi_resize_axis axis;

static void axis_free(const qz_context *ctx, axis *a)
{
    qzi_free(ctx, a->first);
    qzi_free(ctx, a->count);
    qzi_free(ctx, a->weights);
    qzi_free(ctx, a->real);
    qzi_free(ctx, a->start);
    qzi_free(ctx, a->spread);
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

/* ---- weights for vectors ---- */

#define LOAD_PIXELS 4 /* that a load of 16 bytes serves … */
#define LOAD_BEFORE 2 /* … and of which there must be so many before them, at the right end */
#define WEIGHT_LOW ((1 << QZK_FILTER_LOW_BITS) - 1)

/* The weight of pair `pair` of load `load`, for output i of its group. */
static int16_t *spread_at(const axis *a, size_t group, size_t load, size_t pair, size_t i)
{
    return a->spread + (((group * a->loads + load) * 2 + pair) * 2 * QZK_FILTER_GROUP + i) * 8;
}

/* At the right end the pixels that a load serves begin earlier, and the first weights are 0. */
static void spread_output(const axis *a, size_t i, int32_t in)
{
    const size_t group = i / QZK_FILTER_GROUP, lane = i % QZK_FILTER_GROUP;
    a->start[i] = QZI_MIN(a->first[i], in - LOAD_PIXELS * (int32_t)a->loads);
    const size_t moved = (size_t)(a->first[i] - a->start[i]);
    for (size_t t = 0; t < (size_t)a->count[i]; t++) {
        const int32_t w = a->weights[i * a->taps + t];
        const size_t at = moved + t;
        int16_t *high = spread_at(a, group, at / LOAD_PIXELS, at / 2 % 2, lane);
        int16_t *low = high + QZK_FILTER_GROUP * 8;
        for (size_t c = 0; c < 3; c++) {
            high[2 * c + at % 2] = (int16_t)(w >> QZK_FILTER_LOW_BITS);
            low[2 * c + at % 2] = (int16_t)(w & WEIGHT_LOW);
        }
    }
}

/* Groups whose loads stay inside the row; false: of another one a load would begin before it. */
static bool count_inner(axis *a, int32_t in, size_t count, size_t groups)
{
    const int64_t last = 3 * (int64_t)in - 16 - 12 * ((int64_t)a->loads - 1);
    a->inner = 0;
    while (a->inner < groups) {
        const size_t end = QZI_MIN((a->inner + 1) * QZK_FILTER_GROUP, count);
        if (3 * (int64_t)a->start[end - 1] > last) /* starts rise */
            break;
        a->inner++;
    }
    for (size_t i = count; i < groups * QZK_FILTER_GROUP; i++)
        a->start[i] = a->start[count - 1];
    return a->inner == groups || a->start[a->inner * QZK_FILTER_GROUP] >= LOAD_BEFORE;
}

/* QZ_ERR_MEMORY. Nothing where the image is too narrow. */
static qz_status axis_spread(const qz_context *ctx, axis *a, int32_t in, size_t count)
{
    const size_t groups = QZI_DIV_UP(count, QZK_FILTER_GROUP);
    int32_t most = 1;
    size_t values;
    for (size_t i = 0; i < count; i++)
        most = QZI_MAX(most, a->count[i]);
    a->loads = (size_t)QZI_DIV_UP(most, LOAD_PIXELS);
    if (in / LOAD_PIXELS < (int32_t)a->loads)
        return QZ_OK;
    if (!qzi_mul_size(groups, a->loads * 4 * QZK_FILTER_GROUP * 8, &values))
        return qzi_fail_memory(ctx, SIZE_MAX);
    a->start = qzi_calloc(ctx, groups * QZK_FILTER_GROUP, sizeof(*a->start));
    a->spread = qzi_calloc(ctx, values, sizeof(*a->spread));
    if (!a->start || !a->spread)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        spread_output(a, i, in);
    if (!count_inner(a, in, count, groups)) {
        qzi_free(ctx, a->spread);
        a->spread = NULL;
    }
    return QZ_OK;
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
    if (st == QZ_OK)
        st = axis_spread(ctx, &plan->across, in_width, (size_t)window->width);
    if (st != QZ_OK) {
        qzi_resize_plan_free(ctx, plan);
        return st;
    }
    qzk_init(&plan->kernels, !plan->across.spread ? QZ_ISA_REF
                             : ctx                ? qz_context_isa(ctx)
                                                  : QZ_ISA_AUTO);
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
    int32_t most = 0;
    size_t bytes;
    for (int32_t y = 0; y < plan->window.height; y++)
        most = QZI_MAX(most, rows_read(&plan->down, y, y + QZI_MIN(rows, plan->window.height - y)));
    if (!qzi_mul_size((size_t)plan->window.width * 3, (size_t)most, &bytes))
        return SIZE_MAX;
    return bytes;
}

void qzi_resize_rows(const qzi_resize_plan *plan, const qzi_pixels *in, int32_t begin, int32_t end,
                     void *scratch, uint8_t *out)
{
    const axis *across = &plan->across, *down = &plan->down;
    const size_t row_bytes = (size_t)plan->window.width * 3;
    const int32_t base = down->first[begin], count = rows_read(down, begin, end);
    uint8_t *rows = scratch;
    const qzk_filter_row row = {.x = in->rgb + (size_t)base * in->stride,
                                .y = rows,
                                .rows = (size_t)count,
                                .x_stride = in->stride,
                                .y_stride = row_bytes,
                                .outputs = (size_t)plan->window.width,
                                .first = across->first,
                                .counts = across->count,
                                .weights = across->weights,
                                .taps = across->taps,
                                .start = across->start,
                                .spread = across->spread,
                                .loads = across->loads,
                                .inner = across->inner};
    plan->kernels.u8_filter_row(&row);
    for (int32_t y = begin; y < end; y++, out += row_bytes)
        plan->kernels.u8_filter_column(rows + (size_t)(down->first[y] - base) * row_bytes,
                                       row_bytes, down->weights + (size_t)y * down->taps,
                                       (size_t)down->count[y], out, row_bytes);
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
