/* SPDX-License-Identifier: MIT */
/*
 * f32_vec.h - one vector of floats of the bundle that is being compiled.
 *
 * The float kernels are written once in *_tile.h headers over these names and compiled once for
 * each bundle: 8 lanes and 16 registers with AVX2, 16 lanes and 32 registers with AVX-512.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_F32_VEC_H
#define QZOO_LAYERS_KERNELS_X86_F32_VEC_H

#include <immintrin.h>

#include "layers/kernels/kernels.h"

#define QZK_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define QZK_UNROLL _Pragma("clang loop unroll(full)")
#define QZK_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define QZK_UNROLL _Pragma("GCC unroll 64")
#define QZK_NO_UNROLL _Pragma("GCC unroll 1")
#endif

/* Asks for `bytes` (a constant) from p on; any address may be given. */
QZK_INLINE void vf_prefetch(const char *p, const int bytes)
{
    QZK_UNROLL
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

QZK_INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}
QZK_INLINE vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}
QZK_INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
QZK_INLINE void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
/* Lanes below n, for 0 <= n <= VL. */
QZK_INLINE vmask vf_mask(int n)
{
    return (vmask)((1u << n) - 1u);
}
QZK_INLINE vf vf_load_mask(const float *p, vmask m)
{
    return _mm512_maskz_loadu_ps(m, p);
}
QZK_INLINE void vf_store_mask(float *p, vf v, vmask m)
{
    _mm512_mask_storeu_ps(p, m, v);
}
QZK_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
QZK_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
QZK_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
QZK_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
/* The rule of max pooling: x > acc or x is NaN ? x : acc. */
QZK_INLINE vf vf_pool_max(vf acc, vf x)
{
    return _mm512_mask_mov_ps(_mm512_max_ps(x, acc), _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}
QZK_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* Lane numbers, and v[index[lane]]. */
typedef __m512i vindex;
QZK_INLINE vindex vi_load(const int32_t *p)
{
    return _mm512_loadu_si512(p);
}
QZK_INLINE vindex vi_add(vindex v, int32_t x)
{
    return _mm512_add_epi32(v, _mm512_set1_epi32(x));
}
QZK_INLINE vf vf_permute(vf v, vindex index)
{
    return _mm512_permutexvar_ps(index, v);
}
/* Both give the second operand when one is NaN or both are zeros: v must stand there. */
QZK_INLINE vf vf_clamp(vf v, vf lo, vf hi)
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

QZK_INLINE vf vf_zero(void)
{
    return _mm256_setzero_ps();
}
QZK_INLINE vf vf_set1(float x)
{
    return _mm256_set1_ps(x);
}
QZK_INLINE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
QZK_INLINE void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}
QZK_INLINE vmask vf_mask(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
QZK_INLINE vf vf_load_mask(const float *p, vmask m)
{
    return _mm256_maskload_ps(p, m);
}
QZK_INLINE void vf_store_mask(float *p, vf v, vmask m)
{
    _mm256_maskstore_ps(p, m, v);
}
QZK_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
QZK_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
QZK_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
QZK_INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
/* The rule of max pooling: x > acc or x is NaN ? x : acc. */
QZK_INLINE vf vf_pool_max(vf acc, vf x)
{
    return _mm256_blendv_ps(_mm256_max_ps(x, acc), x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}
QZK_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
typedef __m256i vindex;
QZK_INLINE vindex vi_load(const int32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}
QZK_INLINE vindex vi_add(vindex v, int32_t x)
{
    return _mm256_add_epi32(v, _mm256_set1_epi32(x));
}
QZK_INLINE vf vf_permute(vf v, vindex index)
{
    return _mm256_permutevar8x32_ps(v, index);
}
QZK_INLINE vf vf_clamp(vf v, vf lo, vf hi)
{
    return _mm256_min_ps(hi, _mm256_max_ps(lo, v));
}

#endif
#endif
