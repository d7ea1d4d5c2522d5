/* SPDX-License-Identifier: MIT */
/* quadratic.c - see quadratic.h. */
#include "layers/kernels/quadratic.h"

const qzk_quadratic qzk_quadratics[QZ_ACT_COUNT] = {
#include "layers/kernels/quadratic.inc"
};
