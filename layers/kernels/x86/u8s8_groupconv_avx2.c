/* SPDX-License-Identifier: MIT */
/*
 * u8s8_groupconv_avx2.c - int8 convolution in groups of 4, 8 or 16 channels for AVX2.
 */
#define TILE_M 3
#define CONV_SYMBOL qzk_u8s8_groupconv__avx2
#define CONV_KERNEL_NAME "u8s8_groupconv_3x32__avx2"
#define CONV_ISA QZ_ISA_AVX2
#include "layers/kernels/x86/u8s8_groupconv_tile.h"
