/* SPDX-License-Identifier: MIT */
/* winograd.c - the weights of Winograd's F(4x4, 3x3), and where it is used. */
#include "layers/kernels/winograd.h"

bool qzk_winograd_supports(const qzk_conv_shape *s)
{
    return s->kh == 3 && s->kw == 3 && s->stride_h == 1 && s->stride_w == 1 && s->dil_h == 1 &&
           s->dil_w == 1 && s->groups == 1;
}

#define CHANNELS_MIN 16
#define TILES_MIN 9
#define WEIGHTS_NEAR (96 * 96)

/*
 * Chosen by shape alone, so that every machine computes the same. What decides, as measured on
 * AVX-512 (bench/NOTES.md): the transforms cost as much for few channels as for many, so they need
 * some to pay on both sides; and the weights are four times larger, so each of them must be used
 * by enough tiles, unless they stay in the second-level cache anyway.
 */
bool qzk_winograd_wins(const qzk_conv_shape *s, int32_t out_h, int32_t out_w)
{
    const qzk_view out = {.n = 1, .h = out_h, .w = out_w};
    if (!qzk_winograd_supports(s) || s->ic < CHANNELS_MIN || s->oc < CHANNELS_MIN)
        return false;
    return qzk_winograd_grid_of(&out).tiles >= TILES_MIN || (int64_t)s->ic * s->oc <= WEIGHTS_NEAR;
}

/* The six values that three weights have at the points. */
static void at_points(double g0, double g1, double g2, double *u)
{
    const double a = 0.70710678118654752440, b = 1.41421356237309504880;
    const double near = g0 + g2 * 0.5, near_odd = g1 * a;
    const double far = g0 + g2 * 2.0, far_odd = g1 * b;
    u[0] = g0;
    u[1] = (near + near_odd) / -1.5;
    u[2] = (near - near_odd) / -1.5;
    u[3] = (far + far_odd) / 6.0;
    u[4] = (far - far_odd) / 6.0;
    u[5] = g2;
}

void qzk_winograd_weights(const float *w, float *u)
{
    double rows[3][QZK_WINOGRAD_IN], column[QZK_WINOGRAD_IN];
    for (int i = 0; i < 3; i++, w += 3)
        at_points((double)w[0], (double)w[1], (double)w[2], rows[i]);
    for (int j = 0; j < QZK_WINOGRAD_IN; j++) {
        at_points(rows[0][j], rows[1][j], rows[2][j], column);
        for (int i = 0; i < QZK_WINOGRAD_IN; i++)
            u[i * QZK_WINOGRAD_IN + j] = (float)column[i];
    }
}
