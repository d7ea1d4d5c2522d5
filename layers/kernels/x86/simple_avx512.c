/* SPDX-License-Identifier: MIT */
/* simple_avx512.c - the functions of the kernel table other than convolutions, for this bundle. */
#include "layers/kernels/x86/layout_tile.h"
#include "layers/kernels/x86/simple_f32_tile.h"
#include "layers/kernels/x86/simple_u8_tile.h"

void qzk_init_avx512(qz_kernels *kernels)
{
    kernels->f32_add = f32_add;
    kernels->f32_clamp = f32_clamp;
    kernels->f32_affine = f32_affine;
    kernels->f32_maxpool = f32_maxpool;
    kernels->f32_avgpool = f32_avgpool;
    kernels->u8_add = u8_add;
    kernels->u8_clamp = u8_clamp;
    kernels->u8_lut = u8_lut;
    kernels->u8_maxpool = u8_maxpool;
    kernels->u8_avgpool = u8_avgpool;
    kernels->u8_affine = u8_affine;
    kernels->quantize = quantize;
    kernels->dequantize = dequantize;
    kernels->quantize_nchw = quantize_nchw;
    kernels->f32_nchw_to_nhwc = f32_nchw_to_nhwc;
    kernels->f32_nhwc_to_nchw = f32_nhwc_to_nchw;
}
