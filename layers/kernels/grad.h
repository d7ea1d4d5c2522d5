/* SPDX-License-Identifier: MIT */
/*
 * grad.h - the kernels of training: what the backward of an op needs beside the kernels of its
 * forward. GRADIENTS.md, has the numbers; ref/ is that page in C.
 *
 * The rules of kernels.h hold here too: a kernel never fails, never allocates, and computes the
 * same bytes on every instruction set, for any cut of its units.
 */
#ifndef QZOO_LAYERS_KERNELS_GRAD_H
#define QZOO_LAYERS_KERNELS_GRAD_H

#include "layers/kernels/kernels.h"

/* Pixels whose terms one chain sums. */
#define QZK_GRAD_PIXELS 512

/* The weight gradient of a convolution (or linear). */
typedef struct qzk_wgrad_args {
    const qzk_conv_shape *shape;
    qzk_view x;  /* the convolution's input */
    qzk_view dy; /* the gradient of its output */
    float *dw;   /* [oc][kh][kw][ic / groups]: the sums are added to it */
    /* threads that will share the units (0 and 1: one); no result depends on it */
    int32_t ways;
} qzk_wgrad_args;

typedef struct qzk_wgrad_kernel {
    const char *name;
    qz_isa isa;
    bool (*supports)(const qzk_conv_shape *shape);
    size_t (*scratch_size)(const qzk_wgrad_args *args); /* bytes per thread */
    int64_t (*units)(const qzk_wgrad_args *args);       /* pieces of about equal cost, any order */
    void (*run)(const qzk_wgrad_args *args, int64_t begin, int64_t end, void *scratch);
} qzk_wgrad_kernel;

/* Functions on runs of elements; y may be x or dy where the element is the same. */
typedef struct qzk_grad_kernels {
    qz_isa isa;
    /* dx = lo < y < hi ? dy : 0 */
    void (*f32_mask)(const float *dy, const float *y, float *dx, size_t n, float lo, float hi);
    /* sum[c] of a, product[c] of a * b, of at most QZK_SUM_PIXELS pixels of c channels */
    void (*f32_channel_products)(const float *a, int64_t a_stride, const float *b, int64_t b_stride,
                                 size_t pixels, size_t c, double *sum, double *product);
    /* y[p][c] = (a[p][c] * ka[c] + b[p][c] * kb[c]) + shift[c] */
    void (*f32_affine_pair)(const qzk_rows *a, const float *b, int64_t b_stride, const float *ka,
                            const float *kb, const float *shift);
    /* dy times the function's derivative at x: torch's */
    void (*f32_hardswish)(const float *dy, const float *x, float *dx, size_t n);
    void (*f32_hardsigmoid)(const float *dy, const float *x, float *dx, size_t n);
    /* s: sigmoid(x) */
    void (*f32_silu)(const float *dy, const float *x, const float *s, float *dx, size_t n);
} qzk_grad_kernels;

/* Fills the table with what `ceiling` allows on this CPU (AUTO: all of it). grad.c */
void qzk_grad_init(qzk_grad_kernels *kernels, qz_isa ceiling);

/* Every kernel that is compiled in, in order of preference; ref is the last. */
size_t qzk_wgrad_all(const qzk_wgrad_kernel *const **all);
/* The first that may run under the ceiling, runs on this CPU and supports the shape; never NULL. */
const qzk_wgrad_kernel *qzk_wgrad_choose(qz_isa ceiling, const qzk_conv_shape *shape);

void qzk_grad_init_ref(qzk_grad_kernels *kernels);
void qzk_grad_init_avx2(qzk_grad_kernels *kernels);
void qzk_grad_init_avx512(qzk_grad_kernels *kernels);

#define QZK_F32_WGRAD(symbol) extern const qzk_wgrad_kernel symbol;
#include "layers/kernels/kernels.inc"

#endif
