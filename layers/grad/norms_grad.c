/* SPDX-License-Identifier: MIT */
/*
 * norms_grad.c - layer_norm, l2_norm and group_norm. The statistics are computed again from the
 * input, in double, one value after the other. Sums for the parameters are those of blocks (of
 * pixels, or images), added in order.
 */
#include "layers/grad/grad.h"

#include <math.h>
#include <string.h>

/* Pixels of a block. */
#define BLOCK 64

static unsigned needs(const qzi_node *node, const qzi_train_mode *mode)
{
    (void)node;
    (void)mode;
    return QZI_NEEDS_X(0);
}

static int64_t blocks_of(const qzi_grad_run *r)
{
    return r->node->op == QZI_OP_GROUP_NORM ? r->y.n : QZI_DIV_UP(qzi_view_pixels(&r->y), BLOCK);
}

/* Of each block: the sums of the weight's gradient, then of the bias's. */
static size_t scratch(const qzi_grad_run *r)
{
    return (size_t)blocks_of(r) * 2 * (size_t)r->node->c * sizeof(double);
}

static double *sums_of(const qzi_grad_run *r, int64_t block)
{
    return (double *)r->scratch + block * 2 * r->node->c;
}

/* What a norm subtracts from a value, and multiplies the rest with. */
typedef struct norm {
    double mean, factor;
    bool constant; /* the factor does not depend on the values */
} norm;

/* ---- channels of a pixel ---- */

static norm norm_of_pixel(const qzi_grad_run *r, const float *x)
{
    const int32_t c = r->node->c;
    double sum = 0.0, squares = 0.0;
    if (r->node->op == QZI_OP_L2_NORM) {
        for (int32_t k = 0; k < c; k++)
            squares += (double)x[k] * (double)x[k];
        const double length = sqrt(squares);
        const bool tiny = length < (double)QZK_L2_NORM_MIN;
        return (norm){0.0, 1.0 / (tiny ? (double)QZK_L2_NORM_MIN : length), tiny};
    }
    for (int32_t k = 0; k < c; k++)
        sum += (double)x[k];
    const double mean = sum / c;
    for (int32_t k = 0; k < c; k++)
        squares += ((double)x[k] - mean) * ((double)x[k] - mean);
    return (norm){mean, 1.0 / sqrt(squares / c + (double)r->node->u.bn.eps), false};
}

/* With g = dy * weight and the norm's values v: dx = factor * (g - mean(g) - v * mean(g * v)); of
 * an L2 norm, without a mean: dx = factor * (g - v * sum(g * v)). */
static void pixel(const qzi_grad_run *r, int64_t at, double *dw, double *db)
{
    const int32_t c = r->node->c;
    const bool l2 = r->node->op == QZI_OP_L2_NORM;
    const float *x = qzi_view_at(&r->x[0], at), *dy = qzi_view_at(&r->dy, at);
    const float *weight = r->params[QZI_P_WEIGHT]->data;
    const norm n = norm_of_pixel(r, x);
    double g_sum = 0.0, gv_sum = 0.0;
    for (int32_t k = 0; k < c; k++) {
        const double v = ((double)x[k] - n.mean) * n.factor, g = (double)dy[k] * (double)weight[k];
        g_sum += g;
        gv_sum += g * v;
        dw[k] += (double)dy[k] * v;
        db[k] += (double)dy[k];
    }
    if (!r->dx[0].data)
        return;
    const double mean = l2 ? 0.0 : g_sum / c, slope = n.constant ? 0.0 : l2 ? gv_sum : gv_sum / c;
    float *dx = qzi_view_at(&r->dx[0], at);
    for (int32_t k = 0; k < c; k++) {
        const double v = ((double)x[k] - n.mean) * n.factor, g = (double)dy[k] * (double)weight[k];
        dx[k] = (float)(n.factor * ((g - mean) - v * slope));
    }
}

static void pixel_blocks(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const qzi_grad_run *r = arg;
    const int64_t pixels = qzi_view_pixels(&r->dy);
    (void)thread;
    for (int64_t b = begin; b < end; b++) {
        double *dw = sums_of(r, b);
        memset(dw, 0, 2 * (size_t)r->node->c * sizeof(*dw));
        for (int64_t p = b * BLOCK; p < QZI_MIN((b + 1) * BLOCK, pixels); p++)
            pixel(r, p, dw, dw + r->node->c);
    }
}

/* ---- groups of an image ---- */

static norm norm_of_group(const qzi_grad_run *r, int64_t first, int64_t pixels, int32_t channel,
                          int32_t channels)
{
    const double count = (double)pixels * channels;
    double sum = 0.0, squares = 0.0;
    for (int64_t p = first; p < first + pixels; p++) {
        const float *x = qzi_view_at(&r->x[0], p) + channel;
        for (int32_t k = 0; k < channels; k++)
            sum += (double)x[k];
    }
    const double mean = sum / count;
    for (int64_t p = first; p < first + pixels; p++) {
        const float *x = qzi_view_at(&r->x[0], p) + channel;
        for (int32_t k = 0; k < channels; k++)
            squares += ((double)x[k] - mean) * ((double)x[k] - mean);
    }
    return (norm){mean, 1.0 / sqrt(squares / count + (double)r->node->u.bn.eps), false};
}

static void group(const qzi_grad_run *r, int64_t first, int64_t pixels, int32_t channel,
                  int32_t channels, double *dw, double *db)
{
    const float *weight = (const float *)r->params[QZI_P_WEIGHT]->data + channel;
    const norm n = norm_of_group(r, first, pixels, channel, channels);
    const double count = (double)pixels * channels;
    double g_sum = 0.0, gv_sum = 0.0;
    for (int64_t p = first; p < first + pixels; p++) {
        const float *x = qzi_view_at(&r->x[0], p) + channel, *dy = qzi_view_at(&r->dy, p) + channel;
        for (int32_t k = 0; k < channels; k++) {
            const double v = ((double)x[k] - n.mean) * n.factor;
            const double g = (double)dy[k] * (double)weight[k];
            g_sum += g;
            gv_sum += g * v;
            dw[k] += (double)dy[k] * v;
            db[k] += (double)dy[k];
        }
    }
    for (int64_t p = first; p < first + pixels && r->dx[0].data; p++) {
        const float *x = qzi_view_at(&r->x[0], p) + channel, *dy = qzi_view_at(&r->dy, p) + channel;
        float *dx = qzi_view_at(&r->dx[0], p) + channel;
        for (int32_t k = 0; k < channels; k++) {
            const double v = ((double)x[k] - n.mean) * n.factor;
            const double g = (double)dy[k] * (double)weight[k];
            dx[k] = (float)(n.factor * ((g - g_sum / count) - v * (gv_sum / count)));
        }
    }
}

static void group_images(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const qzi_grad_run *r = arg;
    const int64_t pixels = (int64_t)r->dy.h * r->dy.w;
    const int32_t c = r->node->c, channels = c / r->node->u.bn.groups;
    (void)thread;
    for (int64_t n = begin; n < end; n++) {
        double *dw = sums_of(r, n), *db = dw + c;
        memset(dw, 0, 2 * (size_t)c * sizeof(*dw));
        for (int32_t channel = 0; channel < c; channel += channels)
            group(r, n * pixels, pixels, channel, channels, dw + channel, db + channel);
    }
}

static void backward(const qzi_grad_run *r)
{
    const int32_t c = r->node->c;
    const int64_t blocks = blocks_of(r);
    qzi_grad_run copy = *r;
    qzi_parallel(r->ctx, r->threads, blocks, 1,
                 r->node->op == QZI_OP_GROUP_NORM ? group_images : pixel_blocks, &copy);
    for (int which = QZI_P_WEIGHT; which <= QZI_P_BIAS; which++) {
        float *to = r->dparam[which];
        for (int32_t k = 0; k < c && to; k++) {
            double sum = 0.0;
            for (int64_t b = 0; b < blocks; b++)
                sum += sums_of(r, b)[which == QZI_P_BIAS ? c + k : k];
            to[k] = to[k] + (float)sum;
        }
    }
}

#define NORM(NAME, name)                     \
    const qzi_grad_class qzi_grad_##name = { \
        .op = QZI_OP_##NAME,                 \
        .needs = needs,                      \
        .scratch = scratch,                  \
        .backward = backward,                \
        .in_place = true,                    \
    };
NORM(LAYER_NORM, layer_norm)
NORM(GROUP_NORM, group_norm)
NORM(L2_NORM, l2_norm)
