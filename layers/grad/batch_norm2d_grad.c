/* SPDX-License-Identifier: MIT */
/*
 * batch_norm2d_grad.c - batch norm in training: with the statistics of the batch, or as an affine
 * function with the running ones. A norm without trainable parameters (FrozenBatchNorm2d) always
 * does the latter.
 */
#include "layers/grad/grad.h"

#include <math.h>
#include <string.h>

/* Kept from forward to backward, a value for each channel: mean, 1 / sqrt(var + eps), scale,
 * shift. */
enum { MEAN, RSTD, SCALE, SHIFT, ROWS };

static float *row_of(const qzi_grad_run *r, int row)
{
    return (float *)r->kept + (size_t)row * (size_t)r->node->c;
}

/* Whether the statistics are the batch's. */
static bool of_batch(const qzi_node *node, const qzi_train_mode *mode)
{
    return mode->batch_stats && node->param[QZI_P_BATCHES] >= 0;
}

static unsigned needs(const qzi_node *node, const qzi_train_mode *mode)
{
    (void)mode;
    return node->param[QZI_P_BATCHES] >= 0 ? QZI_NEEDS_X(0) : 0;
}

static qz_status check(const qzi_grad_run *r)
{
    if (of_batch(r->node, r->mode) && qzi_view_pixels(&r->y) < 2)
        return qzi_fail(r->ctx, QZ_ERR_ARGUMENT,
                        "%s: one value for each channel has no variance; use a larger batch, or "
                        "freeze the batch norms",
                        r->node->name);
    return QZ_OK;
}

static size_t kept(const qzi_grad_run *r)
{
    return ROWS * (size_t)r->node->c * sizeof(float);
}

/* The sums, then the three factors of the backward. */
static size_t scratch(const qzi_grad_run *r)
{
    return qzi_grad_sums_bytes(&r->y) + 3 * (size_t)r->node->c * sizeof(float);
}

static bool acts(const qzi_node *node, const qzi_train_mode *mode)
{
    (void)node;
    (void)mode;
    return true; /* packed factors are of an earlier step */
}

static void affine_pixels(const qzi_grad_run *r, int64_t begin, int64_t end)
{
    const qzk_view *x = &r->x[0], *y = &r->y;
    const qzk_rows rows = qzi_grad_rows(x, y, begin, end);
    float lo, hi;
    r->kernels->f32_affine(&rows, row_of(r, SCALE), row_of(r, SHIFT));
    if (r->node->act == QZ_ACT_NONE)
        return;
    qzi_act_range_f32(r->node->act, &lo, &hi);
    for (int64_t p = begin; p < end; p++)
        r->kernels->f32_clamp(qzi_view_at(y, p), qzi_view_at(y, p), (size_t)y->c, lo, hi);
}

/* torch's: the running variance is that of a sample */
static void update(const qzi_grad_run *r, int32_t c, double mean, double var, double count)
{
    const float m = r->mode->momentum;
    float *running_mean = r->params[QZI_P_MEAN]->data, *running_var = r->params[QZI_P_VAR]->data;
    const float sample = (float)(var * (count / (count - 1.0)));
    running_mean[c] = (1.0f - m) * running_mean[c] + m * (float)mean;
    running_var[c] = (1.0f - m) * running_var[c] + m * sample;
}

static void batch_statistics(const qzi_grad_run *r)
{
    const int32_t c = r->node->c;
    const double count = (double)qzi_view_pixels(&r->x[0]);
    const double *sums = qzi_grad_sums(r, &r->x[0], NULL, r->scratch);
    const qz_tensor *batches = r->params[QZI_P_BATCHES];
    for (int32_t k = 0; k < c; k++) {
        const double mean = sums[k] / count;
        double var = sums[c + k] / count - mean * mean;
        var = var < 0.0 ? 0.0 : var;
        row_of(r, MEAN)[k] = (float)mean;
        row_of(r, RSTD)[k] = qzi_rsqrtf((float)var + r->node->u.bn.eps);
        if (r->mode->update_stats)
            update(r, k, mean, var, count);
    }
    if (r->mode->update_stats && batches->data)
        *(int64_t *)batches->data += 1;
}

static void forward(const qzi_grad_run *r)
{
    const float *gamma = r->params[QZI_P_WEIGHT]->data, *beta = r->params[QZI_P_BIAS]->data;
    const float *mean = r->params[QZI_P_MEAN]->data, *var = r->params[QZI_P_VAR]->data;
    float *scale = row_of(r, SCALE), *shift = row_of(r, SHIFT);
    if (of_batch(r->node, r->mode))
        batch_statistics(r);
    for (int32_t k = 0; k < r->node->c; k++) {
        if (!of_batch(r->node, r->mode)) {
            row_of(r, MEAN)[k] = mean[k];
            row_of(r, RSTD)[k] = qzi_rsqrtf(var[k] + r->node->u.bn.eps);
        }
        scale[k] = gamma[k] * row_of(r, RSTD)[k];
        shift[k] = beta[k] - row_of(r, MEAN)[k] * scale[k];
    }
    qzi_grad_pixels(r, qzi_view_pixels(&r->y), 8 * (int64_t)r->y.c, affine_pixels);
}

/* ---- backward ---- */

static float *factor_of(const qzi_grad_run *r, int row)
{
    char *room = (char *)r->scratch + qzi_grad_sums_bytes(&r->y);
    return (float *)(void *)room + (size_t)row * (size_t)r->node->c;
}

static void pair_pixels(const qzi_grad_run *r, int64_t begin, int64_t end)
{
    const qzk_view *x = &r->x[0], *dy = &r->dy, *dx = &r->dx[0];
    const qzk_rows rows = qzi_grad_rows(dy, dx, begin, end);
    r->grad->f32_affine_pair(&rows, qzi_view_at(x, begin), x->pixel_stride, factor_of(r, 0),
                             factor_of(r, 1), factor_of(r, 2));
}

static void scale_pixels(const qzi_grad_run *r, int64_t begin, int64_t end)
{
    const qzk_view *dy = &r->dy, *dx = &r->dx[0];
    const qzk_rows rows = qzi_grad_rows(dy, dx, begin, end);
    r->kernels->f32_mul_channels(&rows, row_of(r, SCALE));
}

static void backward(const qzi_grad_run *r)
{
    const int32_t c = r->node->c;
    const bool batch = of_batch(r->node, r->mode);
    float *dgamma = r->dparam[QZI_P_WEIGHT], *dbeta = r->dparam[QZI_P_BIAS];
    const double count = (double)qzi_view_pixels(&r->dy);
    const float *mean = row_of(r, MEAN), *rstd = row_of(r, RSTD), *scale = row_of(r, SCALE);
    if (batch || dgamma || dbeta) {
        const double *sums = qzi_grad_sums(r, &r->dy, &r->x[0], r->scratch);
        for (int32_t k = 0; k < c; k++) {
            const double slope = (sums[c + k] - (double)mean[k] * sums[k]) * (double)rstd[k];
            if (dgamma)
                dgamma[k] = dgamma[k] + (float)slope;
            if (dbeta)
                dbeta[k] = dbeta[k] + (float)sums[k];
            /* dx = scale * (dy - mean(dy) - xhat * mean(dy * xhat)) */
            const double a = (double)scale[k], b = -a * (double)rstd[k] * slope / count;
            factor_of(r, 0)[k] = scale[k];
            factor_of(r, 1)[k] = (float)b;
            factor_of(r, 2)[k] = (float)(-a * sums[k] / count - b * (double)mean[k]);
        }
    }
    if (r->dx[0].data)
        qzi_grad_pixels(r, qzi_view_pixels(&r->dy), 12 * (int64_t)c,
                        batch ? pair_pixels : scale_pixels);
}

const qzi_grad_class qzi_grad_batch_norm2d = {
    .op = QZI_OP_BATCH_NORM2D,
    .needs = needs,
    .check = check,
    .kept = kept,
    .scratch = scratch,
    .acts = acts,
    .forward = forward,
    .backward = backward,
    .in_place = true,
};
