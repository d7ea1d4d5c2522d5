/* SPDX-License-Identifier: MIT */
/*
 * u8s8_dwconv_avx2.c - int8 depthwise convolution for AVX2.
 */
#define MAX_ROWS 2
#define CONV_SYMBOL qzk_u8s8_dwconv__avx2
#define CONV_KERNEL_NAME "u8s8_dwconv_2x32__avx2"
#define CONV_ISA QZ_ISA_AVX2
#include "layers/kernels/x86/u8s8_dwconv_tile.h"
