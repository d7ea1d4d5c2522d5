/* SPDX-License-Identifier: MIT */
/* peak_avx512.c - ceilings of AVX-512 without VNNI; int8 is 16-bit vpmaddwd plus the add. */
#include "layers/kernels/peak.h"

#include <immintrin.h>

#define PEAK_REG "+v"

#define PEAK_NAME qzk_peak_f32__avx512
#define PEAK_VEC __m512
#define PEAK_ZERO _mm512_setzero_ps()
#define PEAK_STEP(acc, a, b) _mm512_fmadd_ps(a, b, acc)
#define PEAK_MACS 16
#include "layers/kernels/x86/peak_loop.h"
#undef PEAK_NAME
#undef PEAK_VEC
#undef PEAK_ZERO
#undef PEAK_STEP
#undef PEAK_MACS

#define PEAK_NAME qzk_peak_u8s8__avx512
#define PEAK_VEC __m512i
#define PEAK_ZERO _mm512_setzero_si512()
#define PEAK_STEP(acc, a, b) _mm512_add_epi32(acc, _mm512_madd_epi16(a, b))
#define PEAK_MACS 32
#include "layers/kernels/x86/peak_loop.h"

#define READ_NAME qzk_read__avx512
#define READ_VEC __m512i
#define READ_ZERO _mm512_setzero_si512()
#define READ_ADD(acc, at) _mm512_add_epi64(acc, _mm512_load_si512((const void *)(at)))
#include "layers/kernels/x86/read_loop.h"
