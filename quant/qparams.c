/* SPDX-License-Identifier: MIT */
/*
 * qparams.c - from ranges to scales and zero points, and from float weights to int8, bit for bit as
 * PyTorch 1.13: UniformQuantizationObserverBase._calculate_qparams, MinMaxObserver and
 * PerChannelMinMaxObserver with symmetric qint8, quantize_per_tensor and quantize_per_channel.
 */
#include "quant/qparams.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* |b32| stays below this (CONTRACT.md), so that it and the largest sum of products fit int32. */
#define BIAS_LIMIT 0x1p30f

qzi_qparams qzi_qparams_affine(float min, float max, int32_t qmin, int32_t qmax)
{
    min = min < 0.0f ? min : 0.0f;
    max = max > 0.0f ? max : 0.0f;
    float scale = (max - min) / (float)(qmax - qmin);
    scale = scale > FLT_EPSILON ? scale : FLT_EPSILON;
    float zero_point = (float)qmin - qzi_rnef(min / scale);
    zero_point = zero_point > (float)qmin ? zero_point : (float)qmin;
    zero_point = zero_point < (float)qmax ? zero_point : (float)qmax;
    return (qzi_qparams){.scale = scale, .zero_point = (int32_t)zero_point};
}

static float scale_of(float amax, float steps)
{
    const float scale = amax / steps;
    return scale > FLT_EPSILON ? scale : FLT_EPSILON;
}

float qzi_scale_symmetric(float amax)
{
    return scale_of(amax, 127.5f);
}

/*
 * Largest magnitude; false where an element is NaN or infinite. As integers, because without the
 * sign their order is that of the numbers, with what is not finite at the top.
 */
static bool largest(const float *x, int64_t n, float *amax)
{
    int32_t top = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, &x[i], sizeof(bits));
        bits &= INT32_MAX;
        top = bits > top ? bits : top;
    }
    memcpy(amax, &top, sizeof(*amax));
    return isfinite(*amax);
}

/* x times 1/scale, rounded half to even, clamped: torch multiplies by the reciprocal. */
static void quantize(const float *x, int8_t *q, int64_t n, float scale, int32_t bits)
{
    const float inverse = 1.0f / scale;
    const float low = (float)qzi_weight_low(bits), high = (float)qzi_weight_high(bits);
    for (int64_t i = 0; i < n; i++) {
        float v = x[i] * inverse;
        v = v > low ? v : low;
        v = v < high ? v : high;
        /* adding and taking away 1.5 * 2^23 rounds to nearest even what is below 2^22 */
        q[i] = (int8_t)(int32_t)((v + 0x1.8p23f) - 0x1.8p23f);
    }
}

void qzi_quantize_s8(const float *x, int8_t *q, int64_t n, float scale)
{
    quantize(x, q, n, scale, 8);
}

/*
 * Raises *scale by the least power of two for which |rne(bias / (sx * scale))| < 2^30. False where
 * no float32 scale does.
 */
static bool fit_bias(float bias, float sx, float *scale)
{
    while (!(fabsf(qzi_rnef(bias / (sx * *scale))) < BIAS_LIMIT)) {
        *scale *= 2.0f;
        if (!isfinite(sx * *scale))
            return false;
    }
    return true;
}

/* The scale of the input that output channel `o` reads: one for each output channel, or one. */
typedef struct input_scale {
    const float *each; /* [oc]; NULL: one */
    float one;
} input_scale;

static float input_scale_of(const input_scale *sx, int32_t o)
{
    return sx->each ? sx->each[o] : sx->one;
}

static qz_status weight_scales(const qz_context *ctx, const float *w, const float *bias, int32_t oc,
                               int64_t per, const input_scale *sx, qzi_weight_form form,
                               float *scales)
{
    const float steps = form.bits == 8 ? 127.5f : (float)qzi_weight_high(form.bits);
    float all = 0.0f;
    for (int32_t o = 0; o < oc; o++) {
        float amax;
        if (!largest(w + o * per, per, &amax))
            return qzi_fail(ctx, QZ_ERR_NUMERIC,
                            "NaN or infinity among the weights of output channel %d", (int)o);
        if (bias && !isfinite(bias[o]))
            return qzi_fail(ctx, QZ_ERR_NUMERIC, "the bias of output channel %d is NaN or infinite",
                            (int)o);
        all = QZI_MAX(all, amax);
        scales[o] = scale_of(amax, steps);
    }
    /* Per tensor one scale serves all channels, and the most demanding bias decides. */
    float shared = scale_of(all, steps);
    for (int32_t o = 0; bias && o < oc; o++) {
        if (!fit_bias(bias[o], input_scale_of(sx, o), form.per_channel ? &scales[o] : &shared))
            return qzi_fail(ctx, QZ_ERR_NUMERIC,
                            "the bias %g of output channel %d is too large for int8 weights",
                            (double)bias[o], (int)o);
    }
    if (!form.per_channel) {
        for (int32_t o = 0; o < oc; o++)
            scales[o] = shared;
    }
    return QZ_OK;
}

/* Checks the shape and the input's scale, and allocates. */
static qz_status qweights_new(const qz_context *ctx, int32_t oc, int64_t per, float sx,
                              bool per_channel, qzi_qweights **out)
{
    size_t count;
    if (oc < 1 || per < 1 || (uint64_t)per > SIZE_MAX / sizeof(float) ||
        !qzi_mul_size((size_t)oc, (size_t)per, &count) || count > INT64_MAX / sizeof(float))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "weights of %d x %lld cannot be quantized", (int)oc,
                        (long long)per);
    if (!(sx > 0.0f) || !isfinite(sx))
        return qzi_fail(ctx, QZ_ERR_NUMERIC, "the input's scale %g is not positive and finite",
                        (double)sx);
    qzi_qweights *qw = qzi_calloc(ctx, 1, sizeof(*qw));
    if (!qw)
        return QZ_ERR_MEMORY;
    qw->per_channel = per_channel;
    qw->w = qzi_alloc(ctx, count);
    qw->scales = qzi_calloc(ctx, (size_t)oc, sizeof(*qw->scales));
    qw->bias = qzi_calloc(ctx, (size_t)oc, sizeof(*qw->bias));
    qw->bias_f32 = qzi_calloc(ctx, (size_t)oc, sizeof(*qw->bias_f32));
    if (!qw->w || !qw->scales || !qw->bias || !qw->bias_f32) {
        qzi_qweights_free(ctx, qw);
        return QZ_ERR_MEMORY;
    }
    *out = qw;
    return QZ_OK;
}

static void quantize_bias(qzi_qweights *qw, const float *bias, int32_t oc, const input_scale *sx)
{
    for (int32_t o = 0; bias && o < oc; o++) {
        qw->bias_f32[o] = bias[o];
        qw->bias[o] = (int32_t)qzi_rnef(bias[o] / (input_scale_of(sx, o) * qw->scales[o]));
    }
}

static qz_status make(const qz_context *ctx, const float *w, const float *bias, int32_t oc,
                      int64_t per, const input_scale *sx, qzi_weight_form form, qzi_qweights **out)
{
    qzi_qweights *qw = NULL;
    *out = NULL;
    QZI_TRY(qweights_new(ctx, oc, per, sx->one, form.per_channel, &qw));
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = weight_scales(ctx, w, bias, oc, per, sx, form, qw->scales);
    if (st == QZ_OK) {
        for (int32_t o = 0; o < oc; o++)
            quantize(w + o * per, qw->w + o * per, per, qw->scales[o], form.bits);
        quantize_bias(qw, bias, oc, sx);
    }
    qzi_fpenv_leave(env);
    if (st == QZ_OK)
        *out = qw;
    else
        qzi_qweights_free(ctx, qw);
    return st;
}

qz_status qzi_qweights_make(const qz_context *ctx, const float *w, const float *bias, int32_t oc,
                            int64_t per, float sx, qzi_weight_form form, qzi_qweights **out)
{
    return make(ctx, w, bias, oc, per, &(input_scale){.one = sx}, form, out);
}

/* Weights times their input's scale beside the largest; to[o][i][..]. */
static void fold(const float *w, int32_t oc, int32_t icg, int32_t groups, int64_t taps,
                 const float *sx, float top, float *to)
{
    for (int32_t o = 0; o < oc; o++)
        for (int32_t i = 0; i < icg; i++) {
            const float factor = sx[o / (oc / groups) * icg + i] / top;
            for (int64_t t = 0; t < taps; t++)
                *to++ = *w++ * factor;
        }
}

qz_status qzi_qweights_make_folded(const qz_context *ctx, const float *w, const float *bias,
                                   int32_t oc, int32_t ic, int32_t groups, int64_t taps,
                                   const float *sx, qzi_weight_form form, qzi_qweights **out)
{
    const int32_t icg = ic / groups;
    const int64_t per = icg * taps;
    input_scale scale = {.one = sx[0]};
    for (int32_t i = 1; i < ic; i++)
        scale.one = QZI_MAX(scale.one, sx[i]);
    /* depthwise: the scale of each output channel's input; else folded weights */
    const size_t count = icg == 1 ? (size_t)oc : (size_t)oc * (size_t)per;
    float *numbers = qzi_alloc(ctx, count * sizeof(*numbers));
    if (!numbers)
        return QZ_ERR_MEMORY;
    if (icg == 1) {
        for (int32_t o = 0; o < oc; o++)
            numbers[o] = sx[o / (oc / groups)];
        scale.each = numbers;
    } else {
        fold(w, oc, icg, groups, taps, sx, scale.one, numbers);
        w = numbers;
    }
    const qz_status st = make(ctx, w, bias, oc, per, &scale, form, out);
    for (int32_t o = 0; st == QZ_OK && o < oc; o++)
        (*out)->scales[o] = input_scale_of(&scale, o) * (*out)->scales[o];
    qzi_free(ctx, numbers);
    return st;
}

/* The integers of a channel whose scale was raised: powers of two, so that they shrink alike. */
static void rescale_s8(int8_t *w, int64_t n, float from, float to)
{
    const float factor = from / to;
    for (int64_t i = 0; i < n; i++)
        w[i] = (int8_t)qzi_rnef((float)w[i] * factor);
}

qz_status qzi_qweights_take(const qz_context *ctx, const int8_t *w, const float *scales,
                            const float *bias, int32_t oc, int64_t per, float sx, bool per_channel,
                            qzi_qweights **out)
{
    qzi_qweights *qw = NULL;
    qz_status st = QZ_OK;
    *out = NULL;
    QZI_TRY(qweights_new(ctx, oc, per, sx, per_channel, &qw));
    memcpy(qw->w, w, (size_t)oc * (size_t)per);
    qzi_fpenv env = qzi_fpenv_enter();
    float shared = scales[0]; /* of all, where there is only one */
    for (int32_t o = 0; o < oc && st == QZ_OK; o++) {
        qw->scales[o] = scales[o];
        if (!(scales[o] > 0.0f) || !isfinite(scales[o]) || (!per_channel && scales[o] != shared))
            st = qzi_fail(ctx, QZ_ERR_NUMERIC,
                          "the weight scale %g of output channel %d is not "
                          "valid",
                          (double)scales[o], (int)o);
        else if (bias && !isfinite(bias[o]))
            st = qzi_fail(ctx, QZ_ERR_NUMERIC, "the bias of output channel %d is NaN or infinite",
                          (int)o);
    }
    for (int32_t o = 0; bias && o < oc && st == QZ_OK; o++)
        if (!fit_bias(bias[o], sx, per_channel ? &qw->scales[o] : &shared))
            st = qzi_fail(ctx, QZ_ERR_NUMERIC,
                          "the bias %g of output channel %d is too large for int8 weights",
                          (double)bias[o], (int)o);
    for (int32_t o = 0; o < oc && st == QZ_OK; o++) {
        if (!per_channel)
            qw->scales[o] = shared;
        if (qw->scales[o] != scales[o])
            rescale_s8(qw->w + o * per, per, scales[o], qw->scales[o]);
    }
    if (st == QZ_OK)
        quantize_bias(qw, bias, oc, &(input_scale){.one = sx});
    qzi_fpenv_leave(env);
    if (st == QZ_OK)
        *out = qw;
    else
        qzi_qweights_free(ctx, qw);
    return st;
}

void qzi_qweights_free(const qz_context *ctx, qzi_qweights *qw)
{
    if (!qw)
        return;
    qzi_free(ctx, qw->w);
    qzi_free(ctx, qw->scales);
    qzi_free(ctx, qw->bias);
    qzi_free(ctx, qw->bias_f32);
    qzi_free(ctx, qw);
}
