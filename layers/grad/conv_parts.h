/* SPDX-License-Identifier: MIT */
/* conv_parts.h - the three products of a convolution, by the kernels. Private to layers/grad. */
#ifndef QZOO_LAYERS_GRAD_CONV_PARTS_H
#define QZOO_LAYERS_GRAD_CONV_PARTS_H

#include "layers/grad/grad.h"

/*
 * Each takes what it needs of r: threads, kernels, scratch. Scratch of r must have the bytes that
 * the function of the same name says.
 */

/* y = conv(x), without bias, weights in OIHW: the input gradient of a transposed convolution. */
size_t qzi_conv_run_bytes(const qzi_grad_run *r, const qzk_conv_shape *s, const qzk_view *x,
                          const qzk_view *y);
void qzi_conv_run(const qzi_grad_run *r, const qzk_conv_shape *s, const float *weights,
                  const qzk_view *x, const qzk_view *y);

/* dw += the weight gradient in OIHW, of a convolution from x to dy's size. */
size_t qzi_conv_dw_bytes(const qzi_grad_run *r, const qzk_conv_shape *s, const qzk_view *x,
                         const qzk_view *dy);
void qzi_conv_dw(const qzi_grad_run *r, const qzk_conv_shape *s, const qzk_view *x,
                 const qzk_view *dy, float *dw);

/* dx = the input gradient: the convolution of dy with the weights turned around, in parts by the
 * remainder of a pixel's place divided by the stride. */
size_t qzi_conv_dx_bytes(const qzi_grad_run *r, const qzk_conv_shape *s, const qzk_view *dy,
                         const qzk_view *dx);
void qzi_conv_dx(const qzi_grad_run *r, const qzk_conv_shape *s, const float *weights,
                 const qzk_view *dy, const qzk_view *dx);

#endif
