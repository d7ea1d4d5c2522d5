/* SPDX-License-Identifier: MIT */
/* peak_avx512vnni.c - ceiling of 512-bit vpdpbusd. */
#include "layers/kernels/peak.h"

#include <immintrin.h>

#define PEAK_REG "+v"
#define PEAK_NAME qzk_peak_u8s8__avx512vnni
#define PEAK_VEC __m512i
#define PEAK_ZERO _mm512_setzero_si512()
#define PEAK_STEP(acc, a, b) _mm512_dpbusd_epi32(acc, a, b)
#define PEAK_MACS 64
#include "layers/kernels/x86/peak_loop.h"
