/* SPDX-License-Identifier: MIT */
/*
 * check_conv.h - what the convolution check, its shapes and bench_kernels share.
 */
#ifndef QZOO_TESTS_KERNELS_CHECK_CONV_H
#define QZOO_TESTS_KERNELS_CHECK_CONV_H

#include "check_kernels.h"

/* A convolution with the sizes of its tensors; the strides of the views are chosen elsewhere. */
typedef struct conv_problem {
    const char *what; /* of which kind, or of which network */
    qzk_conv_shape shape;
    int32_t n, ih, iw, oh, ow;
} conv_problem;

int64_t conv_macs(const conv_problem *problem);
/* One line without its end, at most 300 characters. */
typedef struct conv_text {
    char text[300];
} conv_text;
conv_text conv_describe(const conv_problem *problem);

/* Shapes that every run checks, whatever the seed; NULL past the last. */
const conv_problem *conv_directed(size_t i);
/* A shape of one of the kinds of networks, sizes odd and even, at most about 2 M MACs. */
conv_problem conv_random(check_rng *rng);
/* The same, but a dense 3x3 of stride 1: what Winograd's algorithm does. */
conv_problem conv_random_3x3(check_rng *rng);

/* The operands of a problem, in guarded read-only memory; weights are OIHW. */
typedef struct conv_operands {
    bool int8;
    conv_problem problem;
    qzk_conv_weights weights;
    qzk_conv_args args; /* all but out.data and packed */
    bool in_place;      /* the output is written over the residual */
    check_buffer w, bias, mult, in;
    check_buffer zps, second, zero, residual, words; /* by channel, where there are any */
} conv_operands;

conv_operands conv_operands_new(check_rng *rng, const conv_problem *problem, bool int8,
                                bool at_front, bool plain);
void conv_operands_free(conv_operands *operands);
/* int8 operands become those of a convolution by channel; before their memory is protected. */
void conv_channels_fill(check_rng *rng, conv_operands *operands, qz_activation act, bool residual,
                        bool at_front);
/* The byte of CONTRACT.md for a sum, bias and all; `pixel` of the residual. */
uint8_t conv_channels_right(const conv_operands *operands, int32_t oc, int64_t sum, int64_t pixel);
/* The functions by channel beside the real ones; returns how many are too far from them. */
int conv_channels_errors(int64_t *compared);
/* The outputs as CONTRACT.md has them, dense and by malloc: uint8_t or float; by Winograd. */
void *conv_direct(const conv_operands *operands);
float *conv_winograd(const conv_operands *operands);
/* Bytes of a view by the rules of kernels.h. */
size_t conv_view_bytes(const qzk_view *view, bool int8);

#endif
