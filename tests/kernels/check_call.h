/* SPDX-License-Identifier: MIT */
/*
 * check_call.h - one call of a simple kernel function: its operands, between guard pages, and what
 * is right. Shared by the checks of all functions.
 */
#ifndef QZOO_TESTS_KERNELS_CHECK_CALL_H
#define QZOO_TESTS_KERNELS_CHECK_CALL_H

#include "check_kernels.h"

/* One call of one function. The first difference is described in `how`. */
typedef struct call {
    const qzk_kernels *k;
    check_rng *rng;
    size_t n;
    bool at_front, in_place;
    check_buffer buffers[80];
    size_t count;
    char how[160];
} call;

/* Pixels of c->n channels; in place the strides are the same. */
typedef struct call_strided {
    size_t pixels, x_size, y_size;
    int64_t x_stride, y_stride;
} call_strided;

void *call_space(call *c, size_t n, size_t element);
uint8_t *call_random_u8(call *c, size_t n);
float *call_random_f32(call *c, size_t n, float reach);
void *call_fresh(call *c, size_t n, size_t element);
float call_random_scale(check_rng *rng);
int32_t call_random_zp(check_rng *rng);
void call_random_bounds(check_rng *rng, int32_t zp, float *lo, float *hi);
void call_random_clamp(check_rng *rng, float *lo, float *hi);
float call_clamped(float v, float lo, float hi);
uint8_t call_clampq(float v, float lo, float hi, int32_t zp);
bool call_same_u8(call *c, size_t i, uint8_t got, uint8_t want);
bool call_same_f32(call *c, size_t i, float got, float want);
void *call_copy_of(call *c, const void *x, size_t n, size_t element);
call_strided call_random_strided(call *c);

/* The checks of check_activation.c, check_by_channel.c, check_filter.c, check_group_norm.c,
 * check_mul.c, check_layer_norm.c, check_resize.c and check_shuffle.c: true when right. */
bool check_f32_hardsigmoid(call *c);
bool check_f32_hardswish(call *c);
bool check_f32_sigmoid(call *c);
bool check_f32_silu(call *c);
bool check_f32_gelu(call *c);
bool check_f32_leaky_relu(call *c);
bool check_f32_mish(call *c);
bool check_f32_mul(call *c);
bool check_f32_mul_channels(call *c);
bool check_f32_layer_norm(call *c);
bool check_f32_channel_sums(call *c);
bool check_f32_l2_norm(call *c);
bool check_f32_shuffle(call *c);
bool check_f32_blend(call *c);
bool check_f32_resize_row(call *c);
bool check_u8_mul(call *c);
bool check_u8_mul_channels(call *c);
bool check_u8_layer_norm(call *c);
bool check_u8_affine_channels(call *c);
bool check_u8_act_channels(call *c);
bool check_u8_add_channels(call *c);
bool check_u8_mul_pair_channels(call *c);
bool check_u8_factor_channels(call *c);
bool check_u8_avgpool_channels(call *c);
bool check_u8_channel_sums(call *c);
bool check_u8_l2_norm(call *c);
bool check_u8_shuffle(call *c);
bool check_u8_blend(call *c);
bool check_u8_resize_row(call *c);
bool check_u8_filter_row(call *c);
bool check_u8_filter_column(call *c);

#endif
