/* SPDX-License-Identifier: MIT */
/*
 * vec.h - the vectors of the bundle that is being compiled: one vocabulary for all kernels.
 *
 * Kernels are written once, in *_tile.h headers over these names, and compiled once for each
 * bundle: 16 registers of 32 bytes with AVX2, 32 registers of 64 bytes with AVX-512.
 *
 *   vf  VL floats                       vf_add, vf_fma, ...
 *   vb  VB = 4 * VL bytes, or 16-bit    vb_load, vb_max, ...
 *       or 32-bit lanes                 vi_...: lanes of int32
 */
#ifndef QZOO_LAYERS_KERNELS_X86_VEC_H
#define QZOO_LAYERS_KERNELS_X86_VEC_H

#include "layers/kernels/kernels.h"

#include <immintrin.h>
#include <string.h>

#define VEC_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define VEC_UNROLL _Pragma("clang loop unroll(full)")
#define VEC_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define VEC_UNROLL _Pragma("GCC unroll 64")
#define VEC_NO_UNROLL _Pragma("GCC unroll 1")
#endif

/* Asks for `bytes` (a constant) from p on; any address may be given. */
VEC_INLINE void vf_prefetch(const char *p, const int bytes)
{
    VEC_UNROLL
    for (int i = 0; i < bytes; i += 64)
        _mm_prefetch(p + i, _MM_HINT_T0);
}

#if defined(__AVX512F__)

#define VL 16
#define QZK_BUNDLE(name) name##__avx512
#define QZK_BUNDLE_NAME "__avx512"
#define QZK_BUNDLE_ISA QZ_ISA_AVX512

typedef __m512 vf;
typedef __mmask16 vmask; /* which lanes exist in memory */

VEC_INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}
VEC_INLINE vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}
VEC_INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
VEC_INLINE void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
/* Lanes below n, for 0 <= n <= VL. */
VEC_INLINE vmask vf_mask(int n)
{
    return (vmask)((1u << n) - 1u);
}
VEC_INLINE vf vf_load_mask(const float *p, vmask m)
{
    return _mm512_maskz_loadu_ps(m, p);
}
VEC_INLINE void vf_store_mask(float *p, vf v, vmask m)
{
    _mm512_mask_storeu_ps(p, m, v);
}
VEC_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
VEC_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
VEC_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
VEC_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
/* Of NaN and another, and of two zeros, b. */
VEC_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
VEC_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
VEC_INLINE vf vf_abs(vf v)
{
    return _mm512_abs_ps(v);
}
/* The rule of max pooling: x > acc or x is NaN ? x : acc. */
VEC_INLINE vf vf_pool_max(vf acc, vf x)
{
    return _mm512_mask_mov_ps(_mm512_max_ps(x, acc), _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}
VEC_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* Lane numbers, and v[index[lane]]. */
typedef __m512i vindex;
VEC_INLINE vindex vi_load(const int32_t *p)
{
    return _mm512_loadu_si512(p);
}
VEC_INLINE vindex vi_add(vindex v, int32_t x)
{
    return _mm512_add_epi32(v, _mm512_set1_epi32(x));
}
VEC_INLINE vf vf_permute(vf v, vindex index)
{
    return _mm512_permutexvar_ps(index, v);
}
/* Both return the second operand when one is NaN or both are zeros: v must be the second. */
VEC_INLINE vf vf_clamp(vf v, vf lo, vf hi)
{
    return _mm512_min_ps(hi, _mm512_max_ps(lo, v));
}

#else

#define VL 8
#define QZK_BUNDLE(name) name##__avx2
#define QZK_BUNDLE_NAME "__avx2"
#define QZK_BUNDLE_ISA QZ_ISA_AVX2

typedef __m256 vf;
typedef __m256i vmask;

VEC_INLINE vf vf_zero(void)
{
    return _mm256_setzero_ps();
}
VEC_INLINE vf vf_set1(float x)
{
    return _mm256_set1_ps(x);
}
VEC_INLINE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
VEC_INLINE void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}
VEC_INLINE vmask vf_mask(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
VEC_INLINE vf vf_load_mask(const float *p, vmask m)
{
    return _mm256_maskload_ps(p, m);
}
VEC_INLINE void vf_store_mask(float *p, vf v, vmask m)
{
    _mm256_maskstore_ps(p, m, v);
}
VEC_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
VEC_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
VEC_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
VEC_INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
/* Of NaN and another, and of two zeros, b. */
VEC_INLINE vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
VEC_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
VEC_INLINE vf vf_abs(vf v)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}
/* The rule of max pooling: x > acc or x is NaN ? x : acc. */
VEC_INLINE vf vf_pool_max(vf acc, vf x)
{
    return _mm256_blendv_ps(_mm256_max_ps(x, acc), x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}
VEC_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
typedef __m256i vindex;
VEC_INLINE vindex vi_load(const int32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}
VEC_INLINE vindex vi_add(vindex v, int32_t x)
{
    return _mm256_add_epi32(v, _mm256_set1_epi32(x));
}
VEC_INLINE vf vf_permute(vf v, vindex index)
{
    return _mm256_permutevar8x32_ps(v, index);
}
VEC_INLINE vf vf_clamp(vf v, vf lo, vf hi)
{
    return _mm256_min_ps(hi, _mm256_max_ps(lo, v));
}

#endif

/* ---- bytes, and integers of 16 and 32 bits ---- */

#define VB (4 * VL)

#if VL == 16

typedef __m512i vb; /* VB bytes, or 16-bit or 32-bit lanes */

VEC_INLINE vb vb_load(const void *p)
{
    return _mm512_loadu_si512(p);
}
VEC_INLINE void vb_store(void *p, vb v)
{
    _mm512_storeu_si512(p, v);
}
/* The first n bytes, 0 < n <= VB; the others are neither read nor written. */
VEC_INLINE vb vb_load_n(const uint8_t *p, size_t n)
{
    return _mm512_maskz_loadu_epi8(~UINT64_C(0) >> (64 - n), p);
}
VEC_INLINE void vb_store_n(uint8_t *p, vb v, size_t n)
{
    _mm512_mask_storeu_epi8(p, ~UINT64_C(0) >> (64 - n), v);
}
VEC_INLINE vb vb_set1_8(int x)
{
    return _mm512_set1_epi8((char)x);
}
VEC_INLINE vb vb_set1_16(int x)
{
    return _mm512_set1_epi16((short)x);
}
VEC_INLINE vb vb_zero(void)
{
    return _mm512_setzero_si512();
}
VEC_INLINE vb vb_max(vb a, vb b)
{
    return _mm512_max_epu8(a, b);
}
VEC_INLINE vb vb_min(vb a, vb b)
{
    return _mm512_min_epu8(a, b);
}
VEC_INLINE vb vb_xor(vb a, vb b)
{
    return _mm512_xor_si512(a, b);
}
VEC_INLINE vb vb_subs_s8(vb a, vb b)
{
    return _mm512_subs_epi8(a, b);
}
/* Byte i of table, whose 16 bytes repeat, for the low half of each byte of i; 0 where i < 0. */
VEC_INLINE vb vb_lookup16(vb table, vb i)
{
    return _mm512_shuffle_epi8(table, i);
}
VEC_INLINE vb vb_load16(const uint8_t *p)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p));
}
VEC_INLINE vb vb_unpack_lo8(vb a, vb b)
{
    return _mm512_unpacklo_epi8(a, b);
}
VEC_INLINE vb vb_unpack_hi8(vb a, vb b)
{
    return _mm512_unpackhi_epi8(a, b);
}
VEC_INLINE vb vb_unpack_lo16(vb a, vb b)
{
    return _mm512_unpacklo_epi16(a, b);
}
VEC_INLINE vb vb_unpack_hi16(vb a, vb b)
{
    return _mm512_unpackhi_epi16(a, b);
}
VEC_INLINE vb vb_adds16(vb a, vb b)
{
    return _mm512_adds_epi16(a, b);
}
VEC_INLINE vb vb_pack32(vb a, vb b)
{
    return _mm512_packs_epi32(a, b);
}
VEC_INLINE vb vb_pack16(vb a, vb b)
{
    return _mm512_packus_epi16(a, b);
}
/* Puts bytes in memory order that vb_pack32 and vb_pack16 took from four vectors in order. */
VEC_INLINE vb vb_unlace(vb v)
{
    return _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
}
VEC_INLINE vf vf_from_bits(vb v)
{
    return _mm512_castsi512_ps(v);
}
VEC_INLINE vf vf_from_i32(vb v)
{
    return _mm512_cvtepi32_ps(v);
}
VEC_INLINE vb vf_to_i32(vf v)
{
    return _mm512_cvtps_epi32(v);
}
/* The same with NaN giving 0. */
VEC_INLINE vb vf_to_i32_nan0(vf v)
{
    return _mm512_maskz_cvtps_epi32(_mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v);
}
VEC_INLINE vb vi_add32(vb a, vb b)
{
    return _mm512_add_epi32(a, b);
}
VEC_INLINE vb vi_sub32(vb a, vb b)
{
    return _mm512_sub_epi32(a, b);
}
VEC_INLINE vb vi_set1(int32_t x)
{
    return _mm512_set1_epi32(x);
}
VEC_INLINE vb vi_or(vb a, vb b)
{
    return _mm512_or_si512(a, b);
}
VEC_INLINE vb vi_shift_left(vb v, int bits)
{
    return _mm512_slli_epi32(v, (unsigned)bits);
}
/* VL cells of four bytes, c bytes of each: the others keep their values. _n: the first n cells. */
VEC_INLINE void vi_store_cells_n(uint8_t *p, vb v, int c, size_t n)
{
    uint64_t bytes = UINT64_C(0x1111111111111111) * ((1u << c) - 1u);
    _mm512_mask_storeu_epi8(p, bytes & ~UINT64_C(0) >> (64 - 4 * n), v);
}
VEC_INLINE void vi_store_cells(uint8_t *p, vb v, int c)
{
    vi_store_cells_n(p, v, c, VL);
}
/* VL bytes to and from int32 lanes; _n: the first n of them, 0 < n <= VL. */
VEC_INLINE vb vi_load_u8(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}
VEC_INLINE vb vi_load_u8_n(const uint8_t *p, size_t n)
{
    return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1u), p));
}
VEC_INLINE void vi_store_u8(uint8_t *p, vb v)
{
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(v));
}
VEC_INLINE void vi_store_u8_n(uint8_t *p, vb v, size_t n)
{
    _mm512_mask_cvtepi32_storeu_epi8(p, (__mmask16)((1u << n) - 1u), v);
}

#else

typedef __m256i vb;

VEC_INLINE vb vb_load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}
VEC_INLINE void vb_store(void *p, vb v)
{
    _mm256_storeu_si256((__m256i *)p, v);
}
VEC_INLINE vb vb_load_n(const uint8_t *p, size_t n)
{
    uint8_t bytes[VB] = {0};
    memcpy(bytes, p, n);
    return vb_load(bytes);
}
VEC_INLINE void vb_store_n(uint8_t *p, vb v, size_t n)
{
    uint8_t bytes[VB];
    vb_store(bytes, v);
    memcpy(p, bytes, n);
}
VEC_INLINE vb vb_set1_8(int x)
{
    return _mm256_set1_epi8((char)x);
}
VEC_INLINE vb vb_set1_16(int x)
{
    return _mm256_set1_epi16((short)x);
}
VEC_INLINE vb vb_zero(void)
{
    return _mm256_setzero_si256();
}
VEC_INLINE vb vb_max(vb a, vb b)
{
    return _mm256_max_epu8(a, b);
}
VEC_INLINE vb vb_min(vb a, vb b)
{
    return _mm256_min_epu8(a, b);
}
VEC_INLINE vb vb_xor(vb a, vb b)
{
    return _mm256_xor_si256(a, b);
}
VEC_INLINE vb vb_subs_s8(vb a, vb b)
{
    return _mm256_subs_epi8(a, b);
}
/* Byte i of table, whose 16 bytes repeat, for the low half of each byte of i; 0 where i < 0. */
VEC_INLINE vb vb_lookup16(vb table, vb i)
{
    return _mm256_shuffle_epi8(table, i);
}
VEC_INLINE vb vb_load16(const uint8_t *p)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
}
VEC_INLINE vb vb_unpack_lo8(vb a, vb b)
{
    return _mm256_unpacklo_epi8(a, b);
}
VEC_INLINE vb vb_unpack_hi8(vb a, vb b)
{
    return _mm256_unpackhi_epi8(a, b);
}
VEC_INLINE vb vb_unpack_lo16(vb a, vb b)
{
    return _mm256_unpacklo_epi16(a, b);
}
VEC_INLINE vb vb_unpack_hi16(vb a, vb b)
{
    return _mm256_unpackhi_epi16(a, b);
}
VEC_INLINE vb vb_adds16(vb a, vb b)
{
    return _mm256_adds_epi16(a, b);
}
VEC_INLINE vb vb_pack32(vb a, vb b)
{
    return _mm256_packs_epi32(a, b);
}
VEC_INLINE vb vb_pack16(vb a, vb b)
{
    return _mm256_packus_epi16(a, b);
}
VEC_INLINE vb vb_unlace(vb v)
{
    return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
VEC_INLINE vf vf_from_bits(vb v)
{
    return _mm256_castsi256_ps(v);
}
VEC_INLINE vf vf_from_i32(vb v)
{
    return _mm256_cvtepi32_ps(v);
}
VEC_INLINE vb vf_to_i32(vf v)
{
    return _mm256_cvtps_epi32(v);
}
VEC_INLINE vb vf_to_i32_nan0(vf v)
{
    return _mm256_cvtps_epi32(_mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q)));
}
VEC_INLINE vb vi_add32(vb a, vb b)
{
    return _mm256_add_epi32(a, b);
}
VEC_INLINE vb vi_sub32(vb a, vb b)
{
    return _mm256_sub_epi32(a, b);
}
VEC_INLINE vb vi_set1(int32_t x)
{
    return _mm256_set1_epi32(x);
}
VEC_INLINE vb vi_or(vb a, vb b)
{
    return _mm256_or_si256(a, b);
}
VEC_INLINE vb vi_shift_left(vb v, int bits)
{
    return _mm256_slli_epi32(v, bits);
}
/* Reads and writes what it must keep, so the last cell of an image is not for this. */
VEC_INLINE void vi_store_cells(uint8_t *p, vb v, int c)
{
    const vb written = _mm256_set1_epi32((int)(~0u >> (32 - 8 * c)));
    vb_store(p, _mm256_blendv_epi8(vb_load(p), v, written));
}
VEC_INLINE void vi_store_cells_n(uint8_t *p, vb v, int c, size_t n)
{
    uint8_t bytes[VB];
    vb_store(bytes, v);
    for (size_t i = 0; i < 4 * n; i += 4)
        for (int ch = 0; ch < c; ch++)
            p[i + (size_t)ch] = bytes[i + (size_t)ch];
}
VEC_INLINE vb vi_load_u8(const uint8_t *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
VEC_INLINE vb vi_load_u8_n(const uint8_t *p, size_t n)
{
    uint8_t bytes[VL] = {0};
    memcpy(bytes, p, n);
    return vi_load_u8(bytes);
}
/* Lanes must be in [0, 255]. */
VEC_INLINE void vi_store_u8(uint8_t *p, vb v)
{
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(words, words));
}
VEC_INLINE void vi_store_u8_n(uint8_t *p, vb v, size_t n)
{
    uint8_t bytes[VL];
    vi_store_u8(bytes, v);
    memcpy(p, bytes, n);
}

#endif

/* ---- bytes of the contract ---- */

/* clampq of CONTRACT.md on lanes. */
VEC_INLINE vb clampq(vf v, vf lo, vf hi, vb zp)
{
    return vi_add32(vf_to_i32_nan0(vf_clamp(v, lo, hi)), zp);
}

#endif
