/* SPDX-License-Identifier: MIT */
/* mul_grad.c - products: of two values, with one factor for each channel (squeeze-excitation,
 * layer_scale), with constants (channel_affine). */
#include "layers/grad/grad.h"

#include <string.h>

/* ---- mul ---- */

static unsigned mul_needs(const qzi_node *node, const qzi_train_mode *mode)
{
    (void)node;
    (void)mode;
    return QZI_NEEDS_X(0) | QZI_NEEDS_X(1);
}

static bool is_factor(const qzi_grad_run *r, int k)
{
    return r->x[k].h * r->x[k].w != r->y.h * r->y.w;
}

/* The gradient of input k, where it is as large as the product. */
static void mul_input(const qzi_grad_run *r, int k, int64_t begin, int64_t end)
{
    const qzk_view *dy = &r->dy, *dx = &r->dx[k], *other = &r->x[1 - k];
    const int64_t pixels = (int64_t)dy->h * dy->w;
    const bool factor = is_factor(r, 1 - k);
    for (int64_t p = begin; p < end && dx->data; p++)
        r->kernels->f32_mul(qzi_view_at(dy, p), qzi_view_at(other, factor ? p / pixels : p),
                            qzi_view_at(dx, p), (size_t)dy->c);
}

static void mul_pixels(const qzi_grad_run *r, int64_t begin, int64_t end)
{
    for (int k = 0; k < 2; k++)
        if (!is_factor(r, k))
            mul_input(r, k, begin, end);
}

/* Sums over the pixels of an image. */
static void mul_factor(const qzi_grad_run *r, int32_t image, int32_t channel, int32_t channels)
{
    const int k = is_factor(r, 0) ? 0 : 1;
    const qzk_view *dy = &r->dy, *x = &r->x[1 - k];
    const int64_t pixels = (int64_t)dy->h * dy->w;
    float *dx = qzi_view_at(&r->dx[k], image) + channel;
    double total[QZI_GRAD_PART] = {0.0}, sum[QZI_GRAD_PART], product[QZI_GRAD_PART];
    for (int64_t first = 0; first < pixels; first += QZK_SUM_PIXELS) {
        const int64_t p = image * pixels + first;
        r->grad->f32_channel_products(qzi_view_at(dy, p) + channel, dy->pixel_stride,
                                      qzi_view_at(x, p) + channel, x->pixel_stride,
                                      (size_t)QZI_MIN(pixels - first, (int64_t)QZK_SUM_PIXELS),
                                      (size_t)channels, sum, product);
        for (int32_t c = 0; c < channels; c++)
            total[c] += product[c];
    }
    for (int32_t c = 0; c < channels; c++)
        dx[c] = (float)total[c];
}

static void mul(const qzi_grad_run *r)
{
    for (int k = 0; k < 2; k++)
        if (is_factor(r, k) && r->dx[k].data)
            qzi_grad_images(r, &r->dy, mul_factor);
    qzi_grad_pixels(r, qzi_view_pixels(&r->dy), 20 * (int64_t)r->dy.c, mul_pixels);
}

const qzi_grad_class qzi_grad_mul = {
    .op = QZI_OP_MUL,
    .needs = mul_needs,
    .backward = mul,
};

/* ---- layer_scale, channel_affine ---- */

static void factor_pixels(const qzi_grad_run *r, int64_t begin, int64_t end)
{
    const qzk_view *dy = &r->dy, *dx = &r->dx[0];
    const qzk_rows rows = qzi_grad_rows(dy, dx, begin, end);
    const qz_tensor *weight = r->params[QZI_P_WEIGHT];
    r->kernels->f32_mul_channels(&rows, weight ? weight->data : r->node->constants);
}

static unsigned scale_needs(const qzi_node *node, const qzi_train_mode *mode)
{
    (void)node;
    (void)mode;
    return QZI_NEEDS_X(0);
}

static size_t scale_scratch(const qzi_grad_run *r)
{
    return qzi_grad_sums_bytes(&r->y);
}

static void factor(const qzi_grad_run *r)
{
    if (r->dx[0].data)
        qzi_grad_pixels(r, qzi_view_pixels(&r->dy), 8 * (int64_t)r->dy.c, factor_pixels);
}

static void layer_scale(const qzi_grad_run *r)
{
    float *dw = r->dparam[QZI_P_WEIGHT];
    if (dw) {
        const double *sums = qzi_grad_sums(r, &r->dy, &r->x[0], r->scratch);
        for (int32_t c = 0; c < r->dy.c; c++)
            dw[c] = dw[c] + (float)sums[r->dy.c + c];
    }
    factor(r);
}

const qzi_grad_class qzi_grad_layer_scale = {
    .op = QZI_OP_LAYER_SCALE,
    .needs = scale_needs,
    .scratch = scale_scratch,
    .backward = layer_scale,
    .in_place = true,
};

const qzi_grad_class qzi_grad_channel_affine = {
    .op = QZI_OP_CHANNEL_AFFINE,
    .backward = factor,
    .in_place = true,
};
