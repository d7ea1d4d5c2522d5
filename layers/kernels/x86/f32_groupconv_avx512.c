/* SPDX-License-Identifier: MIT */
/* f32_groupconv_avx512.c - float convolution with few channels in a group: f32_groupconv_tile.h for
 * this bundle. */
#include "layers/kernels/x86/f32_groupconv_tile.h"
