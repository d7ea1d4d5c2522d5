/* SPDX-License-Identifier: MIT */
/* f32_dwconv_avx2.c - depthwise float convolution: f32_dwconv_tile.h for this bundle. */
#include "layers/kernels/x86/f32_dwconv_tile.h"
