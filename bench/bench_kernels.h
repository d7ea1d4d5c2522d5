/* SPDX-License-Identifier: MIT */
/*
 * bench_kernels.h - the convolutions of a network as lines of text (bench/shapes/MODEL.txt).
 */
#ifndef QZOO_BENCH_BENCH_KERNELS_H
#define QZOO_BENCH_BENCH_KERNELS_H

#include "check_conv.h"

/* A convolution or linear layer, and how often the network has it. */
typedef struct bench_case {
    conv_problem problem; /* what: the first node that is one, in `name` */
    int32_t count;
    char name[100];
} bench_case;

typedef struct bench_cases {
    bench_case *items; /* by malloc */
    size_t count;
} bench_cases;

/* Both say on stderr what is wrong. */
bool bench_read(const char *path, bench_cases *cases);
/* The same of a model's graph for one image of its own size, and written. */
bool bench_write(const char *model, FILE *out);

#endif
