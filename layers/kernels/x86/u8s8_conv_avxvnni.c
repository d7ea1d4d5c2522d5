/* SPDX-License-Identifier: MIT */
/*
 * u8s8_conv_avxvnni.c - int8 convolution and linear for AVX-VNNI: vpdpbusd on ymm, 6 pixels x 16
 * channels.
 */
#define TILE_M 6
#define TILE_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define CONV_SYMBOL qzk_u8s8_conv__avxvnni
#define CONV_KERNEL_NAME "u8s8_conv_6x16__avxvnni"
#define CONV_ISA QZ_ISA_AVXVNNI
#include "layers/kernels/x86/u8s8_conv_tile.h"
