/* SPDX-License-Identifier: MIT */
/*
 * ref.h - the reference of every simple function of the kernel table; kernels.h says what each
 * does, init_ref.c fills the table with them.
 */
#ifndef QZOO_LAYERS_KERNELS_REF_REF_H
#define QZOO_LAYERS_KERNELS_REF_REF_H

#include "layers/kernels/kernels.h"

/* add_ref.c */
void qzk_f32_add__ref(const float *a, const float *b, float *y, size_t n, float lo, float hi);
void qzk_u8_add__ref(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                     const qzk_add_params *p);

/* activation_ref.c */
void qzk_f32_hardsigmoid__ref(const float *x, float *y, size_t n);
void qzk_f32_hardswish__ref(const float *x, float *y, size_t n);
void qzk_f32_sigmoid__ref(const float *x, float *y, size_t n);
void qzk_f32_silu__ref(const float *x, float *y, size_t n);
void qzk_f32_gelu__ref(const float *x, float *y, size_t n);
void qzk_f32_leaky_relu__ref(const float *x, float *y, size_t n);
void qzk_f32_mish__ref(const float *x, float *y, size_t n);

/* mul_ref.c */
void qzk_f32_mul__ref(const float *a, const float *b, float *y, size_t n);
void qzk_f32_mul_channels__ref(const qzk_rows *rows, const float *factor);
void qzk_u8_mul__ref(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                     const qzk_mul_params *p);
void qzk_u8_mul_channels__ref(const qzk_rows *rows, const uint8_t *factor, const qzk_mul_params *p);

/* layer_norm_ref.c */
void qzk_f32_layer_norm__ref(const qzk_rows *rows, const float *weight, const float *bias,
                             float eps);
void qzk_u8_layer_norm__ref(const qzk_rows *rows, const float *weight, const float *bias,
                            const qzk_layer_norm_params *p);

/* group_norm_ref.c */
void qzk_f32_channel_sums__ref(const qzk_rows *rows, double *sum, double *squares);
void qzk_u8_channel_sums__ref(const qzk_rows *rows, uint32_t *sum, uint32_t *squares);

/* l2_norm_ref.c */
void qzk_f32_l2_norm__ref(const qzk_rows *rows, const float *scale);
void qzk_u8_l2_norm__ref(const qzk_rows *rows, const float *scale, const qzk_l2_norm_params *p);

/* shuffle_ref.c */
void qzk_u8_shuffle__ref(const qzk_rows *rows, size_t groups);
void qzk_f32_shuffle__ref(const qzk_rows *rows, size_t groups);

/* filter_ref.c */
void qzk_u8_filter_row__ref(const qzk_filter_row *row);
void qzk_u8_filter_column__ref(const uint8_t *x, size_t stride, const int32_t *weights, size_t taps,
                               uint8_t *y, size_t n);

/* resize_ref.c */
void qzk_f32_blend__ref(const float *a, const float *b, float wa, float wb, float *y, size_t n);
void qzk_f32_resize_row__ref(const qzk_resize_row *row);
void qzk_u8_blend__ref(const uint8_t *a, const uint8_t *b, int32_t zp, float wa, float wb, float *y,
                       size_t n);
void qzk_u8_resize_row__ref(const qzk_resize_row *row, int32_t zp);

/* clamp_ref.c */
void qzk_f32_clamp__ref(const float *x, float *y, size_t n, float lo, float hi);
void qzk_u8_clamp__ref(const uint8_t *x, uint8_t *y, size_t n, uint8_t lo, uint8_t hi);
void qzk_u8_lut__ref(const uint8_t *x, uint8_t *y, size_t n, const uint8_t table[256]);

/* affine_ref.c */
void qzk_f32_affine__ref(const qzk_rows *rows, const float *scale, const float *shift);
void qzk_u8_affine__ref(const qzk_rows *rows, const qzk_affine_params *p);

/* by_channel_ref.c */
void qzk_u8_affine_channels__ref(const qzk_rows *rows, const qzk_affine_channels_params *p);
void qzk_u8_act_channels__ref(const qzk_rows *rows, const qzk_act_channels_params *p);
void qzk_u8_add_channels__ref(const qzk_rows *rows, const uint8_t *b, int64_t b_stride,
                              const qzk_add_channels_params *p);
void qzk_u8_mul_pair_channels__ref(const qzk_rows *rows, const uint8_t *b, int64_t b_stride,
                                   const qzk_mul_channels_params *p);
void qzk_u8_factor_channels__ref(const uint8_t *b, size_t c, const qzk_mul_channels_params *p,
                                 float *mult, float *shift);
void qzk_u8_avgpool_channels__ref(const uint8_t *const *taps, size_t count, size_t c,
                                  const qzk_avgpool_channels_params *p, uint8_t *y);

/* pool_ref.c */
void qzk_f32_maxpool__ref(const float *const *taps, size_t count, size_t c, float *y);
void qzk_f32_avgpool__ref(const float *const *taps, size_t count, size_t c, float divisor,
                          float *y);
void qzk_u8_maxpool__ref(const uint8_t *const *taps, size_t count, size_t c, uint8_t *y);
void qzk_u8_avgpool__ref(const uint8_t *const *taps, size_t count, size_t c,
                         const qzk_avgpool_params *p, uint8_t *y);

/* quantize_ref.c */
void qzk_f32_roi_bin__ref(const float *const *taps, const float *weights, size_t count, size_t c,
                          float *y);
void qzk_u8_roi_bin__ref(const uint8_t *const *taps, const float *weights, size_t count, size_t c,
                         float start, float scale, float *y);
void qzk_quantize__ref(const float *x, uint8_t *y, size_t n, float inv_scale, int32_t zp);
void qzk_dequantize__ref(const uint8_t *x, float *y, size_t n, float scale, int32_t zp);

/* layout_ref.c */
void qzk_quantize_nchw__ref(const float *x, int64_t plane_stride, size_t c, size_t pixels,
                            uint8_t *y, int64_t pixel_stride, float inv_scale, int32_t zp);
void qzk_f32_nchw_to_nhwc__ref(const float *x, int64_t plane_stride, size_t c, size_t pixels,
                               float *y, int64_t pixel_stride);
void qzk_f32_nhwc_to_nchw__ref(const float *x, int64_t pixel_stride, size_t c, size_t pixels,
                               float *y, int64_t plane_stride);

#endif
