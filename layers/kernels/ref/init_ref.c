/* SPDX-License-Identifier: MIT */
/*
 * init_ref.c - the reference's entries of the kernel table, all but the convolution lists.
 */
#include "layers/kernels/ref/ref.h"

void qzk_init_ref(qzk_kernels *kernels)
{
    kernels->f32_add = qzk_f32_add__ref;
    kernels->f32_clamp = qzk_f32_clamp__ref;
    kernels->f32_affine = qzk_f32_affine__ref;
    kernels->f32_maxpool = qzk_f32_maxpool__ref;
    kernels->f32_avgpool = qzk_f32_avgpool__ref;
    kernels->f32_hardsigmoid = qzk_f32_hardsigmoid__ref;
    kernels->f32_hardswish = qzk_f32_hardswish__ref;
    kernels->f32_sigmoid = qzk_f32_sigmoid__ref;
    kernels->f32_silu = qzk_f32_silu__ref;
    kernels->f32_gelu = qzk_f32_gelu__ref;
    kernels->f32_leaky_relu = qzk_f32_leaky_relu__ref;
    kernels->f32_mish = qzk_f32_mish__ref;
    kernels->f32_mul = qzk_f32_mul__ref;
    kernels->f32_mul_channels = qzk_f32_mul_channels__ref;
    kernels->f32_layer_norm = qzk_f32_layer_norm__ref;
    kernels->f32_channel_sums = qzk_f32_channel_sums__ref;
    kernels->f32_l2_norm = qzk_f32_l2_norm__ref;
    kernels->f32_shuffle = qzk_f32_shuffle__ref;
    kernels->f32_blend = qzk_f32_blend__ref;
    kernels->f32_resize_row = qzk_f32_resize_row__ref;

    kernels->u8_add = qzk_u8_add__ref;
    kernels->u8_clamp = qzk_u8_clamp__ref;
    kernels->u8_lut = qzk_u8_lut__ref;
    kernels->u8_maxpool = qzk_u8_maxpool__ref;
    kernels->u8_avgpool = qzk_u8_avgpool__ref;
    kernels->u8_affine = qzk_u8_affine__ref;
    kernels->u8_mul = qzk_u8_mul__ref;
    kernels->u8_mul_channels = qzk_u8_mul_channels__ref;
    kernels->u8_layer_norm = qzk_u8_layer_norm__ref;
    kernels->u8_channel_sums = qzk_u8_channel_sums__ref;
    kernels->u8_l2_norm = qzk_u8_l2_norm__ref;
    kernels->u8_shuffle = qzk_u8_shuffle__ref;
    kernels->u8_blend = qzk_u8_blend__ref;
    kernels->u8_resize_row = qzk_u8_resize_row__ref;

    kernels->u8_filter_row = qzk_u8_filter_row__ref;
    kernels->u8_filter_column = qzk_u8_filter_column__ref;
    kernels->u8_affine_channels = qzk_u8_affine_channels__ref;
    kernels->u8_act_channels = qzk_u8_act_channels__ref;
    kernels->u8_add_channels = qzk_u8_add_channels__ref;
    kernels->u8_mul_pair_channels = qzk_u8_mul_pair_channels__ref;
    kernels->u8_factor_channels = qzk_u8_factor_channels__ref;
    kernels->u8_avgpool_channels = qzk_u8_avgpool_channels__ref;

    kernels->f32_roi_bin = qzk_f32_roi_bin__ref;
    kernels->u8_roi_bin = qzk_u8_roi_bin__ref;

    kernels->quantize = qzk_quantize__ref;
    kernels->dequantize = qzk_dequantize__ref;
    kernels->quantize_nchw = qzk_quantize_nchw__ref;
    kernels->f32_nchw_to_nhwc = qzk_f32_nchw_to_nhwc__ref;
    kernels->f32_nhwc_to_nchw = qzk_f32_nhwc_to_nchw__ref;
}
