/* SPDX-License-Identifier: MIT */
/*
 * qzoo_cpu.h - what this CPU is, how fast it is measured to be, and which kernels it takes.
 */
#ifndef QZOO_CPU_H
#define QZOO_CPU_H

#include "qzoo_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Facts about the CPU. Sizes are in bytes and never 0: where nothing is known, usual sizes. */
typedef struct qz_cpu_info {
    char name[96];
    uint32_t physical_cores;
    uint32_t logical_cores;
    size_t l1d_bytes; /* of one core */
    size_t l2_bytes;  /* of one core */
    size_t l3_bytes;
} qz_cpu_info;
/* Fills in `info`. The same for the life of the process; from any thread. */
QZ_API void qz_cpu_query(qz_cpu_info *info);

/* Measures the ceiling of one thread: multiply-adds (1e9/s) of the bundle's own instruction with
 * operands in registers. Takes about 30 ms. */
QZ_API qz_status qz_cpu_peak(const qz_context *context, qz_isa isa, bool int8, double *gmacs_per_s);

/* Measures how fast `threads` threads (0: the context's) read a buffer of `bytes` bytes (64 KiB at
 * least) that they read over and over, in 1e9 bytes a second: where it fits into a cache, that
 * cache's rate; where not, memory's. The ceiling of layers whose weights are read once. Takes 50 ms
 * or eight passes, and as much memory as the buffer has: QZ_ERR_MEMORY. context NULL: one thread.
 */
QZ_API qz_status qz_cpu_read_rate(const qz_context *context, size_t bytes, uint32_t threads,
                                  double *gb_per_s);

/* Which kernel a typical layer of each kind would take under a ceiling (AUTO: the context's). */
typedef struct qz_kernel_row {
    const char *op, *precision, *kernel, *isa;
} qz_kernel_row;
/* Fills at most `capacity` rows and returns how many there are. */
QZ_API size_t qz_kernel_rows(const qz_context *context, qz_isa isa, qz_kernel_row *rows,
                             size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
