/* SPDX-License-Identifier: MIT */
/*
 * group_norm.c - normalises groups of channels of each image, float and int8: sums of each channel
 * over blocks of pixels, then one factor and one offset for each channel of each image, then those
 * applied to all pixels.
 */
#include "layers/ops/ops.h"

#include <string.h>

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *y = n->node;
    QZI_TRY(qzi_check_alike(n));
    if (!(y->u.bn.eps >= 0.0f))
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: eps must not be negative", y->name);
    if (y->u.bn.groups < 1 || y->c % y->u.bn.groups != 0)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: %d channels do not divide into %d groups",
                        y->name, y->c, y->u.bn.groups);
    return qzi_check_scales(n);
}

/* The blob is weight[c] and bias[c]. */
static qz_status pack(const qzi_op_node *n, const qzk_kernels *kernels, qzi_packed_node *packed)
{
    const size_t c = (size_t)n->node->c;
    (void)kernels;
    QZI_TRY(qzi_check_loaded(n, QZI_P_BIAS));
    packed->bytes = 2 * c * sizeof(float);
    if (packed->blob) {
        memcpy(packed->blob, n->params[QZI_P_WEIGHT]->data, c * sizeof(float));
        memcpy((float *)packed->blob + c, n->params[QZI_P_BIAS]->data, c * sizeof(float));
    }
    return QZ_OK;
}

/* ---- scratch: one piece for all threads ---- */

static int64_t pixels_of(const qzi_op_run *r)
{
    return (int64_t)r->out.h * r->out.w; /* of an image */
}

static int64_t blocks_of(const qzi_op_run *r)
{
    return QZI_DIV_UP(pixels_of(r), QZK_SUM_PIXELS);
}

/* Of a sum: uint32 for bytes, double otherwise. */
static size_t sum_bytes(const qzi_op_run *r)
{
    return r->node->dtype == QZ_U8 ? sizeof(uint32_t) : sizeof(double);
}

/* The sums of a block, then its sums of squares: a value for each channel. */
static void *block_sums(const qzi_op_run *r, int64_t image, int64_t block)
{
    const size_t c = (size_t)r->out.c;
    const size_t at = (size_t)(image * blocks_of(r) + block) * 2 * c * sum_bytes(r);
    return (char *)r->scratch + at;
}

/* Factor and offset of each channel of an image, behind the sums of all. */
static float *factors_of(const qzi_op_run *r, int64_t image)
{
    return (float *)block_sums(r, r->out.n, 0) + image * 2 * r->out.c;
}

static size_t scratch(const qzi_op_run *r)
{
    const size_t a_channel = (size_t)blocks_of(r) * sum_bytes(r) + sizeof(float);
    const size_t bytes = (size_t)r->out.n * (size_t)r->out.c * 2 * a_channel;
    return QZI_DIV_UP(bytes, (size_t)QZI_MAX(r->threads, 1U));
}

/* ---- sums ---- */

static void sum_blocks(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const qzi_op_run *r = arg;
    const qzk_view *x = &r->in[0], *y = x; /* the sums write no pixels */
    const int64_t blocks = blocks_of(r), pixels = pixels_of(r);
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        const int64_t image = i / blocks, first = i % blocks * QZK_SUM_PIXELS;
        const qzk_region part = {
            .first = image * pixels + first,
            .count = QZI_MIN(pixels - first, (int64_t)QZK_SUM_PIXELS),
            .channels = x->c,
        };
        void *sums = block_sums(r, image, i % blocks);
        if (r->node->dtype == QZ_U8)
            r->kernels->u8_channel_sums(QZI_ROWS(uint8_t, x, y, part), sums,
                                        (uint32_t *)sums + x->c);
        else
            r->kernels->f32_channel_sums(QZI_ROWS(float, x, y, part), sums, (double *)sums + x->c);
    }
}

/* Sum and sum of squares of channels first ... first + count - 1 of an image; of bytes exact. */
static void sum_group(const qzi_op_run *r, int64_t image, int32_t first, int32_t count, double *sum,
                      double *squares)
{
    const int64_t blocks = blocks_of(r);
    const int32_t c = r->out.c;
    *sum = *squares = 0.0;
    for (int32_t k = first; k < first + count; k++) {
        for (int64_t b = 0; b < blocks; b++) {
            const void *sums = block_sums(r, image, b);
            if (r->node->dtype == QZ_U8) {
                *sum += (double)((const uint32_t *)sums)[k];
                *squares += (double)((const uint32_t *)sums)[c + k];
            } else {
                *sum += ((const double *)sums)[k];
                *squares += ((const double *)sums)[c + k];
            }
        }
    }
}

/* ---- factors ---- */

static void group_factors(const qzi_op_run *r, int64_t image, int32_t group)
{
    const qzi_node *node = r->node;
    const int32_t count = node->c / node->u.bn.groups, first = group * count;
    const float *weight = r->packed->blob, *bias = weight + node->c;
    const qzi_qparams *qx = &r->inputs[0]->q, *qy = &node->q;
    const double n = (double)pixels_of(r) * (double)count;
    float *scale = factors_of(r, image), *shift = scale + node->c;
    double sum, squares;
    sum_group(r, image, first, count, &sum, &squares);
    const double mean = sum / n;
    double variance = squares / n - mean * mean;
    variance = variance < 0.0 ? 0.0 : variance;
    const bool u8 = node->dtype == QZ_U8;
    float v = (float)variance, m = (float)mean;
    if (u8) {
        v = (v * qx->scale) * qx->scale;
        m = (float)(mean - (double)qx->zero_point) * qx->scale;
    }
    const float factor = qzi_rsqrtf(v + node->u.bn.eps);
    for (int32_t k = first; k < first + count; k++) {
        const float a = weight[k] * factor, b = bias[k] - m * a;
        scale[k] = u8 ? (qx->scale * a) / qy->scale : a;
        shift[k] = u8 ? b / qy->scale : b;
    }
}

static void find_factors(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const qzi_op_run *r = arg;
    const int32_t groups = r->node->u.bn.groups;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        group_factors(r, i / groups, (int32_t)(i % groups));
}

/* ---- all pixels ---- */

static void apply_u8(const qzi_op_run *r, const float *scale, qzk_region part)
{
    const qzi_node *node = r->node;
    const qzk_view *x = &r->in[0], *y = &r->out;
    int32_t lo, hi;
    qzi_act_range_u8(node->act, &node->q, &lo, &hi);
    const int32_t zp = node->q.zero_point;
    const qzk_affine_params p = {
        .mult = scale,
        .shift = scale + node->c,
        .x_zp = r->inputs[0]->q.zero_point,
        .y_zp = zp,
        .lo = (float)(lo - zp),
        .hi = (float)(hi - zp),
    };
    r->kernels->u8_affine(QZI_ROWS(uint8_t, x, y, part), &p);
}

static void apply_f32(const qzi_op_run *r, const float *scale, qzk_region part)
{
    const qzk_view *x = &r->in[0], *y = &r->out;
    float lo, hi;
    qzi_act_range_f32(r->node->act, &lo, &hi);
    r->kernels->f32_affine(QZI_ROWS(float, x, y, part), scale, scale + y->c);
    for (int64_t p = 0; p < part.count && r->node->act != QZ_ACT_NONE; p++) {
        float *pixel = (float *)y->data + (part.first + p) * y->pixel_stride;
        r->kernels->f32_clamp(pixel, pixel, (size_t)y->c, lo, hi);
    }
}

static void apply_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const int64_t pixels = pixels_of(r);
    while (begin < end) {
        const int64_t image = begin / pixels;
        const qzk_region part = {
            .first = begin,
            .count = QZI_MIN(end, (image + 1) * pixels) - begin,
            .channels = r->out.c,
        };
        if (r->node->dtype == QZ_U8)
            apply_u8(r, factors_of(r, image), part);
        else
            apply_f32(r, factors_of(r, image), part);
        begin += part.count;
    }
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    const int64_t pixels = pixels_of(r), channels = y->c;
    const int64_t block_bytes = QZI_MIN(pixels, (int64_t)QZK_SUM_PIXELS) * channels;
    const int64_t grain = QZI_MAX(32768 / QZI_MAX(block_bytes, (int64_t)1), (int64_t)1);
    qzi_op_run copy = *r;
    qzi_parallel(r->ctx, r->threads, y->n * blocks_of(r), grain, sum_blocks, &copy);
    qzi_parallel(r->ctx, r->threads, (int64_t)y->n * r->node->u.bn.groups, 64, find_factors, &copy);
    qzi_run_pixels(r, y->n * pixels, 2 * channels, apply_pixels);
}

const qzi_op_class qzi_op_group_norm = {
    .op = QZI_OP_GROUP_NORM,
    .validate = validate,
    .shape = qzi_shape_kept,
    .pack = pack,
    .scratch = scratch,
    .run = run,
    .in_place = true,
};
