/* SPDX-License-Identifier: MIT */
/*
 * u8s8_conv_avx512vnni.c - int8 convolution and linear for AVX512-VNNI: vpdpbusd on zmm, 14 pixels
 * x 32 channels.
 */
#define TILE_M 14
#define TILE_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define TILE_WIDE_M 6
#define TILE_WIDE_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define CONV_SYMBOL qzk_u8s8_conv__avx512vnni
#define CONV_KERNEL_NAME "u8s8_conv_14x32__avx512vnni"
#define CONV_ISA QZ_ISA_AVX512VNNI
#include "layers/kernels/x86/u8s8_conv_tile.h"
