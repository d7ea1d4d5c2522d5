/* SPDX-License-Identifier: MIT */
/* qparams.h - scales and zero points, and weights in int8. Private. */
#ifndef QZOO_QUANT_QPARAMS_H
#define QZOO_QUANT_QPARAMS_H

#include "layers/graph/graph.h"

qzi_qparams qzi_qparams_affine(float min, float max, int32_t qmin, int32_t qmax);
float qzi_scale_symmetric(float amax); /* amax / 127.5, at least FLT_EPSILON */
/* q = clamp(rne(x * (1 / scale)), -128, 127), as torch.quantize_per_channel; x finite. */
void qzi_quantize_s8(const float *x, int8_t *q, int64_t n, float scale);

/* How weights are quantized. */
typedef struct qzi_weight_form {
    bool per_channel; /* a scale for each output channel; else one */
    int32_t bits;     /* 8; 7, 4: fewer steps in the same bytes */
} qzi_weight_form;
/* The least and the largest integer: -128, 127; fewer bits are symmetric. */
static inline int32_t qzi_weight_low(int32_t bits)
{
    return bits == 8 ? -128 : -(1 << (bits - 1)) + 1;
}
static inline int32_t qzi_weight_high(int32_t bits)
{
    return (1 << (bits - 1)) - 1;
}

/*
 * Weights [oc][per] and bias [oc] (NULL: zeros) of a layer whose input scale is sx, to int8:
 * torch's weight observers and quantization, b32 as CONTRACT.md (a channel's scale raised where
 * |b32| would reach 2^30). Owned by the caller (qzi_qweights_free).
 */
qz_status qzi_qweights_make(const qz_context *ctx, const float *w, const float *bias, int32_t oc,
                            int64_t per, float sx, qzi_weight_form form, qzi_qweights **out);
/*
 * The same for a convolution whose input has a scale for each channel, sx [ic]: weights
 * [oc][ic/groups][taps]. Scales of the input are a part of the weights' own, so that a real sum is
 * acc * scales[o]. A sum over several channels has its weights multiplied by them before they are
 * quantized; of a depthwise convolution, whose sums are over one, the weights stay as they are.
 */
qz_status qzi_qweights_make_folded(const qz_context *ctx, const float *w, const float *bias,
                                   int32_t oc, int32_t ic, int32_t groups, int64_t taps,
                                   const float *sx, qzi_weight_form form, qzi_qweights **out);
/*
 * The same from weights that are int8 already: w [oc][per], one scale for each channel (equal ones
 * when not per_channel). They are taken as they are, but for a channel whose scale is raised for
 * its bias. QZ_ERR_NUMERIC for a scale or bias that is no number to compute with.
 */
qz_status qzi_qweights_take(const qz_context *ctx, const int8_t *w, const float *scales,
                            const float *bias, int32_t oc, int64_t per, float sx, bool per_channel,
                            qzi_qweights **out);
void qzi_qweights_free(const qz_context *ctx, qzi_qweights *qw);

#endif
