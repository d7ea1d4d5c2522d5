/* SPDX-License-Identifier: MIT */
/* simple_tile.h - the simple functions of a bundle in the kernel table; each includes this once. */
#ifndef QZOO_LAYERS_KERNELS_X86_SIMPLE_TILE_H
#define QZOO_LAYERS_KERNELS_X86_SIMPLE_TILE_H

#include "layers/kernels/x86/activation_tile.h"
#include "layers/kernels/x86/add_tile.h"
#include "layers/kernels/x86/affine_tile.h"
#include "layers/kernels/x86/by_channel_tile.h"
#include "layers/kernels/x86/clamp_tile.h"
#include "layers/kernels/x86/filter_tile.h"
#include "layers/kernels/x86/group_norm_tile.h"
#include "layers/kernels/x86/l2_norm_tile.h"
#include "layers/kernels/x86/layer_norm_tile.h"
#include "layers/kernels/x86/layout_tile.h"
#include "layers/kernels/x86/mul_tile.h"
#include "layers/kernels/x86/pool_tile.h"
#include "layers/kernels/x86/quantize_tile.h"
#include "layers/kernels/x86/resize_tile.h"
#include "layers/kernels/x86/roi_align_tile.h"
#include "layers/kernels/x86/shuffle_tile.h"

static void simple_fill(qzk_kernels *kernels)
{
    kernels->f32_add = f32_add;
    kernels->f32_clamp = f32_clamp;
    kernels->f32_affine = f32_affine;
    kernels->f32_maxpool = f32_maxpool;
    kernels->f32_avgpool = f32_avgpool;
    kernels->f32_hardsigmoid = f32_hardsigmoid;
    kernels->f32_hardswish = f32_hardswish;
    kernels->f32_sigmoid = f32_sigmoid;
    kernels->f32_silu = f32_silu;
    kernels->f32_gelu = f32_gelu;
    kernels->f32_leaky_relu = f32_leaky_relu;
    kernels->f32_mish = f32_mish;
    kernels->f32_mul = f32_mul;
    kernels->f32_mul_channels = f32_mul_channels;
    kernels->f32_layer_norm = f32_layer_norm;
    kernels->f32_channel_sums = f32_channel_sums;
    kernels->f32_l2_norm = f32_l2_norm;
    kernels->f32_shuffle = f32_shuffle;
    kernels->f32_blend = f32_blend;
    kernels->f32_resize_row = f32_resize_row;
    kernels->u8_add = u8_add;
    kernels->u8_clamp = u8_clamp;
    kernels->u8_lut = u8_lut;
    kernels->u8_maxpool = u8_maxpool;
    kernels->u8_avgpool = u8_avgpool;
    kernels->u8_affine = u8_affine;
    kernels->u8_mul = u8_mul;
    kernels->u8_mul_channels = u8_mul_channels;
    kernels->u8_layer_norm = u8_layer_norm;
    kernels->u8_channel_sums = u8_channel_sums;
    kernels->u8_l2_norm = u8_l2_norm;
    kernels->u8_shuffle = u8_shuffle;
    kernels->u8_blend = u8_blend;
    kernels->u8_resize_row = u8_resize_row;
    kernels->u8_filter_row = u8_filter_row;
    kernels->u8_filter_column = u8_filter_column;
    kernels->u8_affine_channels = u8_affine_channels;
    kernels->u8_act_channels = u8_act_channels;
    kernels->u8_add_channels = u8_add_channels;
    kernels->u8_mul_pair_channels = u8_mul_pair_channels;
    kernels->u8_factor_channels = u8_factor_channels;
    kernels->u8_avgpool_channels = u8_avgpool_channels;
    kernels->f32_roi_bin = f32_roi_bin;
    kernels->u8_roi_bin = u8_roi_bin;
    kernels->quantize = quantize;
    kernels->dequantize = dequantize;
    kernels->quantize_nchw = quantize_nchw;
    kernels->f32_nchw_to_nhwc = f32_nchw_to_nhwc;
    kernels->f32_nhwc_to_nchw = f32_nhwc_to_nchw;
}

#endif
