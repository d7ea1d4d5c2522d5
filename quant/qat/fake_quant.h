/* SPDX-License-Identifier: MIT */
/*
 * fake_quant.h - fake quantization with straight-through gradients, and the observers that move its
 * ranges: PyTorch's arithmetic. Private.
 */
#ifndef QZOO_QUANT_QAT_FAKE_QUANT_H
#define QZOO_QUANT_QAT_FAKE_QUANT_H

#include "layers/base/base.h"

typedef struct qzi_fake_quant {
    float scale;
    int32_t zero_point, qmin, qmax;
} qzi_fake_quant;

/*
 * y = (clamp(rne(x * (1 / scale)) + zero_point, qmin, qmax) - zero_point) * scale. x may be y.
 * Elements first ... first + n - 1 of an array; first is a multiple of 8.
 * inside: bit i % 8 of byte i / 8 is whether the clamp let element i be, and x is between lo and
 * hi: those of a clamp before it, which is undone with it; without one -inf and inf. NULL: none.
 */
void qzi_fake_quantize(const qzi_fake_quant *q, const float *x, float *y, size_t first, size_t n,
                       float lo, float hi, uint8_t *inside);

/*
 * The same with scale and zero point that are learned (LSQ), as torch's
 * _fake_quantize_learnable_per_tensor_affine: adds to *dscale and *dzero, times `factor`. dx NULL:
 * none.
 */
void qzi_fake_quantize_learn(const qzi_fake_quant *q, const float *x, const float *dy, float *dx,
                             size_t n, double factor, double *dscale, double *dzero);

/* A range that follows those of batches: torch's MovingAverageMinMaxObserver. */
typedef struct qzi_moving_range {
    float min, max;
    bool seen; /* the first batch is taken as it is */
} qzi_moving_range;

#define QZI_MOVING_CONSTANT 0.01f /* torch's averaging_constant */

void qzi_moving_range_add(qzi_moving_range *range, float min, float max, float constant);

/*
 * Scale and zero point of a range as torch's fused observers choose them, in double; symmetric:
 * for weights, zero point 0 where qmin is -qmax - 1.
 */
void qzi_fake_quant_choose(qzi_fake_quant *q, float min, float max, bool symmetric);

#endif
