/* SPDX-License-Identifier: MIT */
/*
 * u8s8_dwconv_avx512vnni.c - int8 depthwise convolution for AVX512-VNNI.
 */
#define MAX_ROWS 4
#define CONV_SYMBOL qzk_u8s8_dwconv__avx512vnni
#define CONV_KERNEL_NAME "u8s8_dwconv_4x64__avx512vnni"
#define CONV_ISA QZ_ISA_AVX512VNNI
#include "layers/kernels/x86/u8s8_dwconv_tile.h"
