/* SPDX-License-Identifier: MIT */
/* fake_quant.c - see fake_quant.h. */
#include "quant/qat/fake_quant.h"

#include <math.h>

/* x in steps from zero, rounded; far outside of every range it is cut, so that it is an integer. */
static int32_t steps_of(float x, float inverse)
{
    const float limit = 0x1p22f, v = x * inverse;
    /* NaN becomes the lower limit */
    const float cut = v > -limit ? v < limit ? v : limit : -limit;
    return (int32_t)((cut + 0x1.8p23f) - 0x1.8p23f);
}

/* Elements at once: the loops over a block are for the compiler's vectors. */
#define BLOCK 64

static void quantize_block(const qzi_fake_quant *q, const float *x, float *y, size_t n, float least,
                           float most, int32_t *in)
{
    const float inverse = 1.0f / q->scale, scale = q->scale, limit = 0x1p22f;
    const float lo = (float)(q->qmin - q->zero_point), hi = (float)(q->qmax - q->zero_point);
    for (size_t i = 0; i < n; i++) {
        const float v = x[i], s = v * inverse;
        /* as steps_of; adding 0 makes -0 a 0 */
        const float below = s > -limit ? s : -limit, cut = below < limit ? below : limit;
        const float steps = ((cut + 0x1.8p23f) - 0x1.8p23f) + 0.0f;
        const float up = steps < lo ? lo : steps, kept = up > hi ? hi : up;
        in[i] = (kept < steps ? 0 : 1) & (kept > steps ? 0 : 1) & (v > least) & (v < most);
        y[i] = kept * scale;
    }
}

void qzi_fake_quantize(const qzi_fake_quant *q, const float *x, float *y, size_t first, size_t n,
                       float least, float most, uint8_t *inside)
{
    for (size_t at = first; at < first + n; at += BLOCK) {
        const size_t count = QZI_MIN(first + n - at, (size_t)BLOCK);
        int32_t in[BLOCK] = {0};
        quantize_block(q, x + at, y + at, count, least, most, in);
        for (size_t i = 0; i < count && inside; i += 8) {
            int32_t bits = 0;
            for (int k = 0; k < 8; k++)
                bits |= in[i + (size_t)k] << k;
            inside[(at + i) / 8] = (uint8_t)bits;
        }
    }
}

void qzi_fake_quantize_learn(const qzi_fake_quant *q, const float *x, const float *dy, float *dx,
                             size_t n, double factor, double *dscale, double *dzero)
{
    const float inverse = 1.0f / q->scale;
    const int32_t lo = q->qmin - q->zero_point, hi = q->qmax - q->zero_point;
    double scale = 0.0, zero = 0.0;
    for (size_t i = 0; i < n; i++) {
        const int32_t steps = steps_of(x[i], inverse);
        const int32_t cut = steps < lo ? lo : steps > hi ? hi : steps;
        const bool in = cut == steps;
        const double slope = in ? (double)(((float)cut * q->scale - x[i]) * inverse) : (double)cut;
        scale += (double)dy[i] * slope;
        zero += in ? 0.0 : (double)dy[i] * -(double)q->scale;
        if (dx)
            dx[i] = in ? dy[i] : 0.0f;
    }
    *dscale += factor * scale;
    *dzero += factor * zero;
}

void qzi_moving_range_add(qzi_moving_range *range, float min, float max, float constant)
{
    if (!range->seen) {
        *range = (qzi_moving_range){min, max, true};
        return;
    }
    range->min = range->min + constant * (min - range->min);
    range->max = range->max + constant * (max - range->max);
}

void qzi_fake_quant_choose(qzi_fake_quant *q, float min, float max, bool symmetric)
{
    const double levels = (double)q->qmax - (double)q->qmin;
    if (symmetric && min < 0.0f && max > 0.0f) {
        const int32_t half = (q->qmax - q->qmin) / 2;
        const double below = fabs((double)min / (double)(half + 1));
        const double above = fabs((double)max / (double)half), step = QZI_MAX(below, above);
        min = (float)(step * -(double)(half + 1));
        max = (float)(step * (double)half);
    }
    min = QZI_MIN(min, 0.0f);
    max = QZI_MAX(max, 0.0f);
    double scale = ((double)max - (double)min) / levels;
    if (!((float)scale > 0.0f) || isinf(1.0f / (float)scale))
        scale = 0.1;
    if (scale < 6.1e-5) { /* torch's smallest: the range grows to it */
        const double grown = 6.1e-5;
        if (!(min < 0.0f))
            max = (float)(grown * levels);
        else if (!(max > 0.0f))
            min = (float)(-grown * levels);
        else {
            const float ratio = (float)(grown / scale);
            min *= ratio;
            max *= ratio;
        }
        scale = grown;
    }
    const double from_min = (double)q->qmin - (double)min / scale;
    const double from_max = (double)q->qmax - (double)max / scale;
    const double error_min = fabs((double)q->qmin) - fabs((double)min / scale);
    const double error_max = fabs((double)q->qmax) - fabs((double)max / scale);
    double zero = error_min < error_max ? from_min : from_max;
    if (symmetric && min < 0.0f && max > 0.0f)
        zero = (double)(q->qmin + q->qmax) / 2.0;
    q->scale = (float)scale;
    q->zero_point = zero < (double)q->qmin   ? q->qmin
                    : zero > (double)q->qmax ? q->qmax
                                             : (int32_t)qzi_rne(zero);
}
