/* SPDX-License-Identifier: MIT */
/*
 * u8s8_groupconv_avx512vnni.c - int8 convolution in groups of 4, 8 or 16 channels for AVX512-VNNI.
 */
#define TILE_M 6
#define CONV_SYMBOL qzk_u8s8_groupconv__avx512vnni
#define CONV_KERNEL_NAME "u8s8_groupconv_6x64__avx512vnni"
#define CONV_ISA QZ_ISA_AVX512VNNI
#include "layers/kernels/x86/u8s8_groupconv_tile.h"
