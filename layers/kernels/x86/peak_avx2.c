/* SPDX-License-Identifier: MIT */
/* peak_avx2.c - ceilings of the AVX2 + FMA bundle; int8 is 16-bit vpmaddwd plus the add. */
#include "layers/kernels/peak.h"

#include <immintrin.h>

#define PEAK_REG "+x"

#define PEAK_NAME qzk_peak_f32__avx2
#define PEAK_VEC __m256
#define PEAK_ZERO _mm256_setzero_ps()
#define PEAK_STEP(acc, a, b) _mm256_fmadd_ps(a, b, acc)
#define PEAK_MACS 8
#include "layers/kernels/x86/peak_loop.h"
#undef PEAK_NAME
#undef PEAK_VEC
#undef PEAK_ZERO
#undef PEAK_STEP
#undef PEAK_MACS

#define PEAK_NAME qzk_peak_u8s8__avx2
#define PEAK_VEC __m256i
#define PEAK_ZERO _mm256_setzero_si256()
#define PEAK_STEP(acc, a, b) _mm256_add_epi32(acc, _mm256_madd_epi16(a, b))
#define PEAK_MACS 16
#include "layers/kernels/x86/peak_loop.h"

#define READ_NAME qzk_read__avx2
#define READ_VEC __m256i
#define READ_ZERO _mm256_setzero_si256()
#define READ_ADD(acc, at) \
    _mm256_add_epi64(acc, _mm256_load_si256((const __m256i *)(const void *)(at)))
#include "layers/kernels/x86/read_loop.h"
