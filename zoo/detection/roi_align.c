/* SPDX-License-Identifier: MIT */
/*
 * roi_align.c - MultiScaleRoIAlign(sampling_ratio=2, aligned=False). CONTRACT.md has the numbers,
 * the kernel table the sums.
 */
#include "zoo/detection/roi_align.h"

#include <math.h>

enum {
    SAMPLES = 2,                      /* of a bin, along an axis */
    TAPS = SAMPLES * SAMPLES * 2 * 2, /* of a bin */
    SIZE_MAX_BINS = 14,               /* largest output */
    AXIS_SAMPLES = SIZE_MAX_BINS * SAMPLES
};

#define CANONICAL_SCALE 224.0f
#define CANONICAL_LEVEL 4.0f
#define LEVEL_EPS 1e-6f

/* One sample along an axis. */
typedef struct sample {
    int32_t low, high; /* low < 0: outside */
    float h, l;        /* weights of low and high */
} sample;

/* ---- which map ---- */

/* round(log2(map / image)), in the floats of _infer_scale */
static int32_t scale_log2(int32_t map, int32_t image)
{
    const float approximate = (float)((double)map / (double)image);
    return (int32_t)qzi_rne((double)(float)qzi_math_log2((double)approximate));
}

static float power_of_two(int32_t exponent)
{
    float value = 1.0f;
    for (; exponent < 0; exponent++)
        value *= 0.5f;
    for (; exponent > 0; exponent--)
        value *= 2.0f;
    return value;
}

void qzi_roi_scales(qzi_roi_align *align, const int32_t *heights, int32_t image_h)
{
    for (int32_t k = 0; k < align->levels; k++) {
        const int32_t exponent = scale_log2(heights[k], image_h);
        align->scales[k] = power_of_two(exponent);
        if (k == 0)
            align->level_min = -exponent;
        align->level_max = -exponent;
    }
}

qz_status qzi_roi_align_prepare(qzi_roi_align *align, int32_t image_h, int32_t image_w,
                                uint32_t threads)
{
    (void)image_w; /* torchvision looks at heights alone */
    int32_t c = 1, heights[QZI_DETECTOR_LEVELS];
    for (int32_t k = 0; k < align->levels; k++) {
        heights[k] = align->maps[k].view.h;
        c = QZI_MAX(c, align->maps[k].view.c);
    }
    qzi_roi_scales(align, heights, image_h);
    align->threads = QZI_MAX(threads, 1u);
    align->row_floats = QZI_ROUND_UP((size_t)c, 16);
    align->rows = qzi_calloc(align->ctx, align->threads, align->row_floats * sizeof(*align->rows));
    return align->rows ? QZ_OK : QZ_ERR_MEMORY;
}

void qzi_roi_align_release(qzi_roi_align *align)
{
    qzi_free(align->ctx, align->rows);
    align->rows = NULL;
}

int32_t qzi_roi_level(const qzi_roi_align *align, qzi_box roi)
{
    const float s = sqrtf((roi.x2 - roi.x1) * (roi.y2 - roi.y1));
    if (align->levels == 1 || !(s > 0.0f))
        return 0;
    const int32_t last = align->level_max;
    float level = (float)last;
    if (isfinite(s)) {
        const float log2_s = (float)qzi_math_log2((double)(s / CANONICAL_SCALE));
        level = floorf((CANONICAL_LEVEL + log2_s) + LEVEL_EPS);
    }
    level = level < (float)align->level_min ? (float)align->level_min : level;
    level = level > (float)last ? (float)last : level;
    return QZI_MIN((int32_t)level - align->level_min, align->levels - 1);
}

/* ---- where ---- */

static sample sample_at(float p, int32_t size)
{
    if (!(p >= -1.0f && p <= (float)size))
        return (sample){.low = -1};
    p = p <= 0.0f ? 0.0f : p;
    sample s = {.low = (int32_t)p};
    if (s.low >= size - 1) {
        s.low = s.high = size - 1;
        p = (float)s.low;
    } else {
        s.high = s.low + 1;
    }
    s.l = p - (float)s.low;
    s.h = 1.0f - s.l;
    return s;
}

/* The samples of all bins along an axis. */
static void axis_samples(float from, float to, float scale, int32_t size, int32_t bins,
                         sample *samples)
{
    const float start = from * scale;
    float length = to * scale - start;
    length = length < 1.0f ? 1.0f : length;
    const float bin = length / (float)bins;
    for (int32_t i = 0; i < bins; i++) {
        for (int32_t j = 0; j < SAMPLES; j++) {
            const float inside = ((float)j + 0.5f) * bin / (float)SAMPLES;
            *samples++ = sample_at(start + (float)i * bin + inside, size);
        }
    }
}

/* ---- a bin ---- */

typedef struct bin_taps {
    const void *data[TAPS];
    float weights[TAPS];
    size_t count;
} bin_taps;

static void add_sample(bin_taps *taps, const qzi_map *map, const sample *y, const sample *x)
{
    const qzk_view *v = &map->view;
    const int64_t element = (int64_t)qz_dtype_size(map->node->dtype);
    if (y->low < 0 || x->low < 0)
        return;
    const int64_t low = (int64_t)y->low * v->w, high = (int64_t)y->high * v->w;
    const int64_t pixels[4] = {low + x->low, low + x->high, high + x->low, high + x->high};
    const float weights[4] = {y->h * x->h, y->h * x->l, y->l * x->h, y->l * x->l};
    for (int t = 0; t < 4; t++) {
        taps->data[taps->count] = (const char *)v->data + pixels[t] * v->pixel_stride * element;
        taps->weights[taps->count++] = weights[t] * (1.0f / (SAMPLES * SAMPLES));
    }
}

static void run_bin(const qzk_kernels *kernels, const qzi_map *map, const bin_taps *taps, float *y)
{
    const size_t c = (size_t)map->view.c;
    if (!qzi_map_is_u8(map)) {
        const float *data[TAPS];
        for (size_t t = 0; t < taps->count; t++)
            data[t] = taps->data[t];
        kernels->f32_roi_bin(data, taps->weights, taps->count, c, y);
        return;
    }
    const uint8_t *data[TAPS];
    float sum = 0.0f;
    for (size_t t = 0; t < taps->count; t++) {
        data[t] = taps->data[t];
        sum = sum + taps->weights[t];
    }
    const qzi_qparams *q = &map->node->q;
    kernels->u8_roi_bin(data, taps->weights, taps->count, c, -((float)q->zero_point * sum),
                        q->scale, y);
}

/* ---- all ---- */

typedef struct job {
    const qzi_roi_align *align;
    const qzi_node *node;
    const qzk_view *out;
} job;

static void run_roi(const job *j, int64_t roi, float *row)
{
    const qzi_roi_align *align = j->align;
    const qzi_box box = align->rois[roi];
    const int32_t k = qzi_roi_level(align, box), size = align->size;
    const qzi_map *map = &align->maps[k];
    sample ys[AXIS_SAMPLES], xs[AXIS_SAMPLES];
    axis_samples(box.y1, box.y2, align->scales[k], map->view.h, size, ys);
    axis_samples(box.x1, box.x2, align->scales[k], map->view.w, size, xs);
    const bool bytes = j->node->dtype == QZ_U8;
    int64_t at = roi * size * size * j->out->pixel_stride;
    for (int32_t y = 0; y < size; y++) {
        for (int32_t x = 0; x < size; x++, at += j->out->pixel_stride) {
            bin_taps taps = {.count = 0};
            for (int iy = 0; iy < SAMPLES; iy++)
                for (int ix = 0; ix < SAMPLES; ix++)
                    add_sample(&taps, map, &ys[y * SAMPLES + iy], &xs[x * SAMPLES + ix]);
            float *to = bytes ? row : (float *)j->out->data + at;
            run_bin(align->kernels, map, &taps, to);
            if (bytes)
                align->kernels->quantize(row, (uint8_t *)j->out->data + at, (size_t)map->view.c,
                                         1.0f / j->node->q.scale, j->node->q.zero_point);
        }
    }
}

static void run_rois(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const job *j = arg;
    for (int64_t roi = begin; roi < end; roi++)
        run_roi(j, roi, j->align->rows + thread * j->align->row_floats);
}

void qzi_roi_align_fill(void *user, const qz_context *ctx, const qzi_node *node,
                        const qzk_view *out, uint32_t threads)
{
    const qzi_roi_align *align = user;
    job j = {align, node, out};
    qzi_parallel(ctx, QZI_MIN(threads, align->threads), (int64_t)align->count, 4, run_rois, &j);
}
