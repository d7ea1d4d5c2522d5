/* SPDX-License-Identifier: MIT */
/* loss_boxes.c - the sums over elements and boxes that detectors are trained with. See loss.h. */
#include "zoo/train/loss.h"

#include <math.h>

static void add(const qzi_loss_run *r, float *gradient, size_t i, double g)
{
    if (gradient)
        gradient[i] = gradient[i] + (float)(g * r->scale);
}

/* ln(1 + e^-|x|), and the sigmoid. */
static double soft_part(double x, double *sigmoid)
{
    const double e = qzi_math_exp(x < 0.0 ? x : -x);
    *sigmoid = (x < 0.0 ? e : 1.0) / (1.0 + e);
    return qzi_math_log(1.0 + e);
}

double qzi_loss_binary(const qzi_loss_run *r, const float *x, const float *target, size_t n,
                       float *gradient)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double v = (double)x[i], t = (double)target[i];
        double p;
        const double soft = soft_part(v, &p);
        sum += (v > 0.0 ? v : 0.0) - v * t + soft;
        add(r, gradient, i, p - t);
    }
    return sum;
}

/* a^gamma, a from 0 to 1 */
static double power(double a, double gamma)
{
    return a > 0.0 ? qzi_math_exp(gamma * qzi_math_log(a)) : gamma > 0.0 ? 0.0 : 1.0;
}

double qzi_loss_focal(const qzi_loss_run *r, const float *x, const float *target, size_t n,
                      double alpha, double gamma, float *gradient)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double v = (double)x[i], t = (double)target[i];
        double p;
        const double soft = soft_part(v, &p);
        const double ce = (v > 0.0 ? v : 0.0) - v * t + soft;
        const double miss = 1.0 - (p * t + (1.0 - p) * (1.0 - t));
        const double weight = alpha < 0.0 ? 1.0 : alpha * t + (1.0 - alpha) * (1.0 - t);
        const double factor = power(miss, gamma);
        /* d miss / dx = (1 - 2 t) p (1 - p) */
        const double slope =
            gamma > 0.0 ? gamma * power(miss, gamma - 1.0) * (1.0 - 2.0 * t) * p * (1.0 - p) : 0.0;
        sum += weight * factor * ce;
        add(r, gradient, i, weight * (factor * (p - t) + slope * ce));
    }
    return sum;
}

double qzi_loss_smooth_l1(const qzi_loss_run *r, const float *x, const float *target, size_t n,
                          double beta, float *gradient)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)x[i] - (double)target[i], size = fabs(d);
        const double sign = d > 0.0 ? 1.0 : d < 0.0 ? -1.0 : 0.0;
        const bool round = size < beta;
        sum += round ? 0.5 * d * d / beta : size - 0.5 * beta;
        add(r, gradient, i, round ? d / beta : sign);
    }
    return sum;
}

/* The gradient of max(a, b) by a: shared where they are equal, as torch's. */
static double share(double a, double b)
{
    return a > b ? 1.0 : a < b ? 0.0 : 0.5;
}

/* One box; g: its gradient. */
static double giou(const float *box, const float *target, double *g)
{
    double a[4], b[4];
    for (int k = 0; k < 4; k++) {
        a[k] = (double)box[k];
        b[k] = (double)target[k];
        g[k] = 0.0;
    }
    const double left = QZI_MAX(a[0], b[0]), top = QZI_MAX(a[1], b[1]);
    const double right = QZI_MIN(a[2], b[2]), bottom = QZI_MIN(a[3], b[3]);
    const bool meet = bottom > top && right > left;
    const double w = right - left, h = bottom - top, common = meet ? w * h : 0.0;
    const double own = (a[2] - a[0]) * (a[3] - a[1]), theirs = (b[2] - b[0]) * (b[3] - b[1]);
    const double both = own + theirs - common, eps = 1e-7;
    const double hull_left = QZI_MIN(a[0], b[0]), hull_top = QZI_MIN(a[1], b[1]);
    const double hull_right = QZI_MAX(a[2], b[2]), hull_bottom = QZI_MAX(a[3], b[3]);
    const double hull = (hull_right - hull_left) * (hull_bottom - hull_top);
    /* loss = 1 - common / (both + eps) + (hull - both) / (hull + eps) */
    const double by_common = -1.0 / (both + eps);
    const double by_both = common / ((both + eps) * (both + eps)) - 1.0 / (hull + eps);
    const double by_hull = (both + eps) / ((hull + eps) * (hull + eps));
    const double by_meet = meet ? by_common - by_both : 0.0;
    g[0] += by_both * -(a[3] - a[1]) - by_meet * h * share(a[0], b[0]);
    g[1] += by_both * -(a[2] - a[0]) - by_meet * w * share(a[1], b[1]);
    g[2] += by_both * (a[3] - a[1]) + by_meet * h * share(b[2], a[2]);
    g[3] += by_both * (a[2] - a[0]) + by_meet * w * share(b[3], a[3]);
    const double hull_w = hull_right - hull_left, hull_h = hull_bottom - hull_top;
    g[0] -= by_hull * hull_h * share(b[0], a[0]);
    g[1] -= by_hull * hull_w * share(b[1], a[1]);
    g[2] += by_hull * hull_h * share(a[2], b[2]);
    g[3] += by_hull * hull_w * share(a[3], b[3]);
    return 1.0 - common / (both + eps) + (hull - both) / (hull + eps);
}

double qzi_loss_giou(const qzi_loss_run *r, const float *boxes, const float *target, size_t n,
                     float *gradient)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        double g[4];
        sum += giou(boxes + 4 * i, target + 4 * i, g);
        for (size_t k = 0; k < 4; k++)
            add(r, gradient, 4 * i + k, g[k]);
    }
    return sum;
}
