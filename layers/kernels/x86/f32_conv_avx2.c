/* SPDX-License-Identifier: MIT */
/* f32_conv_avx2.c - dense float convolution, direct and by Winograd, for this bundle. */
#include "layers/kernels/x86/f32_winograd_call.h"
