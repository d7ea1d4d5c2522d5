/* SPDX-License-Identifier: MIT */
/* box_coder.c - torchvision's BoxCoder and BoxLinearCoder, and the functions of scores. */
#include "zoo/detection/boxes.h"

#include <math.h>

/* log(1000 / 16), as float: larger deltas would overflow exp */
#define DELTA_MAX 4.135166556742356f

static float scaled_exp(float delta, float weight)
{
    const float d = delta / weight;
    return (float)qzi_math_exp((double)(d > DELTA_MAX ? DELTA_MAX : d));
}

qzi_box qzi_box_decode(const float delta[4], qzi_box anchor, const float weights[4])
{
    const float w = anchor.x2 - anchor.x1, h = anchor.y2 - anchor.y1;
    const float ctr_x = anchor.x1 + 0.5f * w, ctr_y = anchor.y1 + 0.5f * h;
    const float x = delta[0] / weights[0] * w + ctr_x;
    const float y = delta[1] / weights[1] * h + ctr_y;
    const float half_w = 0.5f * (scaled_exp(delta[2], weights[2]) * w);
    const float half_h = 0.5f * (scaled_exp(delta[3], weights[3]) * h);
    return (qzi_box){x - half_w, y - half_h, x + half_w, y + half_h};
}

qzi_box qzi_box_decode_linear(const float delta[4], qzi_box anchor)
{
    const float ctr_x = 0.5f * (anchor.x1 + anchor.x2), ctr_y = 0.5f * (anchor.y1 + anchor.y2);
    const float w = anchor.x2 - anchor.x1, h = anchor.y2 - anchor.y1;
    return (qzi_box){ctr_x - delta[0] * w, ctr_y - delta[1] * h, ctr_x + delta[2] * w,
                     ctr_y + delta[3] * h};
}

float qzi_sigmoid(float x)
{
    const double e = qzi_math_exp(-fabs((double)x));
    return (float)((x >= 0.0f ? 1.0 : e) / (1.0 + e));
}

double qzi_logit(double p)
{
    if (!(p > 0.0))
        return -INFINITY;
    return p >= 1.0 ? INFINITY : qzi_math_log(p / (1.0 - p));
}
