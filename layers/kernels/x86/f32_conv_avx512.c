/* SPDX-License-Identifier: MIT */
/* f32_conv_avx512.c - dense float convolution of this bundle: f32_conv_tile.h. */
#include "layers/kernels/x86/f32_conv_tile.h"
