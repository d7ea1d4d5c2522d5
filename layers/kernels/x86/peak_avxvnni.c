/* SPDX-License-Identifier: MIT */
/* peak_avxvnni.c - ceiling of 256-bit vpdpbusd. */
#include "layers/kernels/peak.h"

#include <immintrin.h>

#define PEAK_REG "+x"
#define PEAK_NAME qzk_peak_u8s8__avxvnni
#define PEAK_VEC __m256i
#define PEAK_ZERO _mm256_setzero_si256()
#define PEAK_STEP(acc, a, b) _mm256_dpbusd_avx_epi32(acc, a, b)
#define PEAK_MACS 32
#include "layers/kernels/x86/peak_loop.h"
