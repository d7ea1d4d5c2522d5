/* SPDX-License-Identifier: MIT */
/*
 * u8s8_dwconv_avxvnni.c - int8 depthwise convolution for AVX-VNNI.
 */
#define MAX_ROWS 2
#define CONV_SYMBOL qzk_u8s8_dwconv__avxvnni
#define CONV_KERNEL_NAME "u8s8_dwconv_2x32__avxvnni"
#define CONV_ISA QZ_ISA_AVXVNNI
#include "layers/kernels/x86/u8s8_dwconv_tile.h"
