/* SPDX-License-Identifier: MIT */
/*
 * peak.h - what the multiply-add units can do: loops of nothing but the instruction that a
 * bundle's convolutions stand on. The measured rate is the ceiling that bench reports shares of.
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

#endif
