/* SPDX-License-Identifier: MIT */
/*
 * check_kernels.h - the harness that compares every kernel with the reference.
 *
 *   check_kernels SUITE [--seed N] [--runs N] [--isa NAME] [--kernel TEXT]
 *
 * The seed is printed; --seed, or QZOO_CHECK_SEED in the environment, repeats a run. --isa keeps
 * the kernels of that bundle only, --kernel those whose name contains TEXT. A suite that compared
 * nothing has failed.
 */
#ifndef QZOO_TESTS_KERNELS_CHECK_KERNELS_H
#define QZOO_TESTS_KERNELS_CHECK_KERNELS_H

#include "layers/base/base.h"
#include "layers/kernels/kernels.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct check_options {
    uint64_t seed;
    int64_t runs;       /* 0: the suite's own default */
    qz_isa isa;         /* AUTO: every bundle that the CPU has */
    const char *kernel; /* NULL: all */
} check_options;

/* A suite returns the number of comparisons that failed; *compared counts those that it made. */
typedef int (*check_suite)(const check_options *options, int64_t *compared);
int check_suite_fmaf(const check_options *options, int64_t *compared);
int check_suite_simple(const check_options *options, int64_t *compared);
int check_suite_winograd(const check_options *options, int64_t *compared);
int check_suite_conv(const check_options *options, int64_t *compared);

/* Whether the options and the CPU let the kernel run. */
bool check_wanted(const check_options *options, const char *name, qz_isa isa);

/* What runs now: printed if it touches a guard page, which ends the program. */
void check_now(const char *fmt, ...) QZ_PRINTF(1, 2);

/* ---- random numbers: splitmix64 ---- */

typedef struct check_rng {
    uint64_t state;
} check_rng;
uint64_t check_u64(check_rng *rng);
int64_t check_range(check_rng *rng, int64_t lo, int64_t hi); /* both inclusive */
bool check_one_in(check_rng *rng, int64_t n);
float check_uniform(check_rng *rng, float lo, float hi);
float check_any_float(check_rng *rng); /* any bit pattern, with the special ones more often */
void check_random_bytes(check_rng *rng, void *data, size_t size);

/* ---- memory with a guard page before and after ---- */

/*
 * `size` bytes that end right before a page that must not be touched, or (at_front) begin right
 * after one. The rest of the pages holds a pattern that check_buffer_intact looks at.
 * Aborts the program with a message when the system gives no memory.
 */
typedef struct check_buffer {
    unsigned char *data;
    size_t size;
    unsigned char *pages; /* between the guards */
    size_t pages_size;
    bool readable_only;
} check_buffer;
check_buffer check_buffer_new(size_t size, size_t align, bool at_front);
void check_buffer_free(check_buffer *buffer);
void check_buffer_protect(check_buffer *buffer, bool readable_only);
/* False if a byte between the guards but outside `data` has changed. */
bool check_buffer_intact(const check_buffer *buffer);

/* fmaf, of which not every C library has a right one: musl 1.2.3 rounds subnormal results twice. */
float check_fmaf(float x, float w, float acc);

/* The rounding mode, flush to zero and masks now; must be the same after a kernel. */
uint64_t check_fp_state(void);

#endif
