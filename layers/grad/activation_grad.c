/* SPDX-License-Identifier: MIT */
/* activation_grad.c - dy times the derivative of an activation, at torch's corners. */
#include "layers/grad/grad.h"

#include <string.h>

/* Elements whose sigmoid is computed at once. */
#define BLOCK 1024

static unsigned needs(const qzi_node *node, const qzi_train_mode *mode)
{
    (void)mode;
    switch (node->act) {
    case QZ_ACT_RELU:
    case QZ_ACT_RELU6:
        return QZI_NEEDS_Y;
    default:
        return QZI_NEEDS_X(0);
    }
}

static void silu(const qzi_grad_run *r, const float *dy, const float *x, float *dx, size_t n)
{
    float s[BLOCK];
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t count = QZI_MIN(n - i, (size_t)BLOCK);
        r->kernels->f32_sigmoid(x + i, s, count);
        r->grad->f32_silu(dy + i, x + i, s, dx + i, count);
    }
}

static void sigmoid(const qzi_grad_run *r, const float *dy, const float *x, float *dx, size_t n)
{
    float s[BLOCK];
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t count = QZI_MIN(n - i, (size_t)BLOCK);
        r->kernels->f32_sigmoid(x + i, s, count);
        for (size_t k = 0; k < count; k++)
            dx[i + k] = dy[i + k] * (s[k] * (1.0f - s[k]));
    }
}

static void gelu(const float *dy, const float *x, float *dx, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double v = (double)x[i];
        const double cdf = 0.5 * (1.0 + qzi_math_erf(v * 0.70710678118654752));
        const double pdf = 0.39894228040143268 * qzi_math_exp(-0.5 * v * v);
        dx[i] = (float)((double)dy[i] * (cdf + v * pdf));
    }
}

static void mish(const float *dy, const float *x, float *dx, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        /* tanh(ln(1 + e^v)), by e^-|v|, which cannot overflow */
        const double v = (double)x[i], e = qzi_math_exp(v < 0.0 ? v : -v);
        const double num = v < 0.0 ? e * (e + 2.0) : 1.0 + 2.0 * e;
        const double den = v < 0.0 ? num + 2.0 : num + 2.0 * (e * e);
        const double t = num / den, s = (v < 0.0 ? e : 1.0) / (1.0 + e);
        dx[i] = (float)((double)dy[i] * (t + v * s * (1.0 - t * t)));
    }
}

static void elements(const qzi_grad_run *r, const float *dy, const float *v, float *dx, size_t n)
{
    float lo, hi;
    switch (r->node->act) {
    case QZ_ACT_RELU:
    case QZ_ACT_RELU6:
        qzi_act_range_f32(r->node->act, &lo, &hi);
        r->grad->f32_mask(dy, v, dx, n, lo, hi);
        break;
    case QZ_ACT_SIGMOID:
        sigmoid(r, dy, v, dx, n);
        break;
    case QZ_ACT_LEAKY_RELU:
        for (size_t i = 0; i < n; i++)
            dx[i] = v[i] > 0.0f ? dy[i] : dy[i] * 0.1f;
        break;
    case QZ_ACT_HARDSWISH:
        r->grad->f32_hardswish(dy, v, dx, n);
        break;
    case QZ_ACT_HARDSIGMOID:
        r->grad->f32_hardsigmoid(dy, v, dx, n);
        break;
    case QZ_ACT_SILU:
        silu(r, dy, v, dx, n);
        break;
    case QZ_ACT_GELU:
        gelu(dy, v, dx, n);
        break;
    case QZ_ACT_MISH:
        mish(dy, v, dx, n);
        break;
    default:
        memmove(dx, dy, n * sizeof(*dx));
    }
}

static void backward(const qzi_grad_run *r)
{
    const bool of_y = needs(r->node, r->mode) == QZI_NEEDS_Y;
    qzi_grad_elements(r, of_y ? &r->y : &r->x[0], elements);
}

const qzi_grad_class qzi_grad_activation = {
    .op = QZI_OP_ACTIVATION,
    .needs = needs,
    .backward = backward,
    .in_place = true,
};
