/* SPDX-License-Identifier: MIT */
/* f32_conv_avx2.c - dense float convolution: f32_conv_call.h for this bundle. */
#include "layers/kernels/x86/f32_conv_call.h"
