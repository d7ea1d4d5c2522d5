/* SPDX-License-Identifier: MIT */
/*
 * peak.h - what the multiply-add units can do: loops of nothing but the instruction that a
 * bundle's convolutions use. The measured rate is the ceiling that bench reports shares of.
 * And what memory can do: loops of nothing but loads, the ceiling of layers that wait for weights.
 */
#ifndef QZOO_LAYERS_KERNELS_PEAK_H
#define QZOO_LAYERS_KERNELS_PEAK_H

#include "layers/qzoo_base.h"

/* Runs `rounds` rounds and returns the multiply-adds done. */
typedef int64_t (*qzk_peak_fn)(int64_t rounds);

int64_t qzk_peak_f32__ref(int64_t rounds);
int64_t qzk_peak_u8s8__ref(int64_t rounds);
int64_t qzk_peak_f32__avx2(int64_t rounds);
int64_t qzk_peak_u8s8__avx2(int64_t rounds);
int64_t qzk_peak_u8s8__avxvnni(int64_t rounds);
int64_t qzk_peak_f32__avx512(int64_t rounds);
int64_t qzk_peak_u8s8__avx512(int64_t rounds);
int64_t qzk_peak_u8s8__avx512vnni(int64_t rounds);
int64_t qzk_peak_u8s8__amx(int64_t rounds);

/* Reads `bytes` bytes (a multiple of 256, 64-byte aligned) once, in order; the sum of what it read
 * keeps the loads alive. */
typedef uint64_t (*qzk_read_fn)(const void *data, size_t bytes);

uint64_t qzk_read__ref(const void *data, size_t bytes);
uint64_t qzk_read__avx2(const void *data, size_t bytes);
uint64_t qzk_read__avx512(const void *data, size_t bytes);

#endif
