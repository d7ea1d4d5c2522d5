/* SPDX-License-Identifier: MIT */
/*
 * u8s8_conv_avx512.c - int8 convolution and linear for AVX-512 without VNNI: vpmaddwd, 12 pixels x
 * 32 channels.
 */
#define TILE_M 12
#define TILE_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#define CONV_SYMBOL qzk_u8s8_conv__avx512
#define CONV_KERNEL_NAME "u8s8_conv_12x32__avx512"
#define CONV_ISA QZ_ISA_AVX512
#include "layers/kernels/x86/u8s8_conv_tile.h"
