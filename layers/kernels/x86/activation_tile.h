/* SPDX-License-Identifier: MIT */
/* activation_tile.h - activation functions of floats, and tables of bytes. */
#ifndef QZOO_LAYERS_KERNELS_X86_ACTIVATION_TILE_H
#define QZOO_LAYERS_KERNELS_X86_ACTIVATION_TILE_H

#include "layers/base/base.h"
#include "layers/kernels/activation.h"
#include "layers/kernels/x86/vec.h"

#if VL == 16
VEC_INLINE vf vf_negate(vf v)
{
    return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f));
}
/* v < limit ? v : limit, so NaN becomes limit */
VEC_INLINE vf vf_at_most(vf v, float limit)
{
    return _mm512_min_ps(v, _mm512_set1_ps(limit));
}
/* x < 0 ? a : b */
VEC_INLINE vf vf_where_negative(vf x, vf a, vf b)
{
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), a);
}
/* x is NaN ? x : y */
VEC_INLINE vf vf_keep_nan(vf x, vf y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}
/* Zeros in the lanes that do not exist. */
VEC_INLINE vf vf_only(vf v, vmask m)
{
    return _mm512_maskz_mov_ps(m, v);
}
#else
VEC_INLINE vf vf_negate(vf v)
{
    return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}
VEC_INLINE vf vf_at_most(vf v, float limit)
{
    return _mm256_min_ps(v, _mm256_set1_ps(limit));
}
VEC_INLINE vf vf_where_negative(vf x, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
}
VEC_INLINE vf vf_keep_nan(vf x, vf y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}
VEC_INLINE vf vf_only(vf v, vmask m)
{
    return _mm256_and_ps(v, _mm256_castsi256_ps(m));
}
#endif

/* f(x) for each of n elements. */
#define QZK_MAP(name, f)                                              \
    static void name(const float *x, float *y, size_t n)              \
    {                                                                 \
        size_t i = 0;                                                 \
        for (; i + 2 * VL <= n; i += 2 * VL) {                        \
            vf v0 = vf_load(x + i), v1 = vf_load(x + i + VL);         \
            v0 = f(v0);                                               \
            v1 = f(v1);                                               \
            vf_store(y + i, v0);                                      \
            vf_store(y + i + VL, v1);                                 \
        }                                                             \
        for (; i < n; i += VL) {                                      \
            const vmask m = vf_mask((int)QZI_MIN(n - i, (size_t)VL)); \
            vf_store_mask(y + i, f(vf_load_mask(x + i, m)), m);       \
        }                                                             \
    }

/* exp(-a) for 0 <= a <= QZK_EXP_LIMIT */
VEC_INLINE vf exp_minus(vf a)
{
    static const float c[QZK_EXP_TERMS] = {QZK_EXP_COEFFICIENTS};
    const vf magic = vf_set1(12582912.0f); /* rounds to nearest even below 2^22 */
    vf k = vf_sub(vf_add(vf_mul(a, vf_set1(-QZK_LOG2_E)), magic), magic);
    vf r = vf_fma(k, vf_set1(-QZK_LN2_HI), vf_negate(a));
    r = vf_fma(k, vf_set1(-QZK_LN2_LO), r);
    vf p = vf_set1(c[0]);
    VEC_UNROLL
    for (int i = 1; i < QZK_EXP_TERMS; i++)
        p = vf_fma(p, r, vf_set1(c[i]));
    vb power = vi_shift_left(vi_add32(vf_to_i32(k), vi_set1(127)), 23);
    return vf_mul(p, vf_from_bits(power));
}

/* erfc(a) / 2 for a >= 0 */
VEC_INLINE vf half_erfc(vf a)
{
    static const float c[QZK_ERFC_TERMS] = {QZK_ERFC_COEFFICIENTS};
    const vf one = vf_set1(1.0f), half = vf_set1(0.5f);
    a = vf_at_most(a, QZK_ERFC_LIMIT);
    vf t = vf_div(one, vf_fma(a, half, one));
    vf p = vf_set1(c[QZK_ERFC_TERMS - 1]);
    VEC_UNROLL
    for (int i = QZK_ERFC_TERMS - 2; i >= 0; i--)
        p = vf_fma(p, t, vf_set1(c[i]));
    return vf_mul(vf_mul(vf_mul(p, t), half), exp_minus(vf_mul(a, a)));
}

VEC_INLINE vf gate6(vf x)
{
    return vf_clamp(vf_add(x, vf_set1(3.0f)), vf_zero(), vf_set1(6.0f));
}

VEC_INLINE vf hardsigmoid(vf x)
{
    return vf_div(gate6(x), vf_set1(6.0f));
}

VEC_INLINE vf hardswish(vf x)
{
    return vf_div(vf_mul(x, gate6(x)), vf_set1(6.0f));
}

VEC_INLINE vf sigmoid(vf x)
{
    const vf one = vf_set1(1.0f);
    vf e = exp_minus(vf_at_most(vf_abs(x), QZK_EXP_LIMIT));
    return vf_keep_nan(x, vf_div(vf_where_negative(x, e, one), vf_add(one, e)));
}

VEC_INLINE vf silu(vf x)
{
    const vf one = vf_set1(1.0f);
    vf e = exp_minus(vf_at_most(vf_abs(x), QZK_EXP_LIMIT));
    return vf_div(vf_mul(x, vf_where_negative(x, e, one)), vf_add(one, e));
}

VEC_INLINE vf gelu(vf x)
{
    vf h = half_erfc(vf_mul(vf_abs(x), vf_set1(QZK_SQRT_HALF)));
    return vf_where_negative(x, vf_mul(x, h), vf_fma(vf_negate(x), h, x));
}

VEC_INLINE vf leaky_relu(vf x)
{
    return vf_where_negative(x, vf_mul(x, vf_set1(QZK_LEAKY_SLOPE)), x);
}

VEC_INLINE vf mish(vf x)
{
    const vf one = vf_set1(1.0f), two = vf_set1(2.0f);
    vf e = exp_minus(vf_at_most(vf_abs(x), QZK_EXP_LIMIT));
    vf below = vf_mul(e, vf_add(e, two)), above = vf_fma(e, two, one);
    vf den = vf_where_negative(x, vf_add(below, two), vf_fma(vf_add(e, e), e, above));
    return vf_div(vf_mul(x, vf_where_negative(x, below, above)), den);
}

QZK_MAP(f32_hardsigmoid, hardsigmoid)
QZK_MAP(f32_hardswish, hardswish)
QZK_MAP(f32_sigmoid, sigmoid)
QZK_MAP(f32_silu, silu)
QZK_MAP(f32_gelu, gelu)
QZK_MAP(f32_leaky_relu, leaky_relu)
QZK_MAP(f32_mish, mish)

/*
 * A table of 256 bytes as 16 tables of 16, each but the first and the ninth xored with the one
 * before. Subtracting 16 from the index at each step, a lookup returns 0 once the index is
 * negative: what came before adds up, by xor, to the entry. Indices from 128 on are negative from
 * the start; they take the second half of the tables, with the highest bit turned.
 */
VEC_INLINE vb lut_half(const vb *steps, vb index)
{
    const vb sixteen = vb_set1_8(16);
    vb y = vb_lookup16(steps[0], index);
    VEC_UNROLL
    for (int i = 1; i < 8; i++) {
        index = vb_subs_s8(index, sixteen);
        y = vb_xor(y, vb_lookup16(steps[i], index));
    }
    return y;
}

static void lut_vectors(const uint8_t *x, uint8_t *y, size_t n, const uint8_t table[256])
{
    const vb top = vb_set1_8(-128);
    vb steps[16];
    VEC_UNROLL
    for (int i = 0; i < 16; i++) {
        steps[i] = vb_load16(table + 16 * i);
        if (i % 8 != 0)
            steps[i] = vb_xor(steps[i], vb_load16(table + 16 * (i - 1)));
    }
    for (size_t i = 0; i < n; i += VB) {
        vb v = vb_load(x + i);
        vb_store(y + i, vb_xor(lut_half(steps, v), lut_half(steps + 8, vb_xor(v, top))));
    }
}

static void u8_lut(const uint8_t *x, uint8_t *y, size_t n, const uint8_t table[256])
{
    const size_t whole = n / VB * VB;
    if (whole > 0)
        lut_vectors(x, y, whole, table);
    for (size_t i = whole; i < n; i++)
        y[i] = table[x[i]];
}

#if VL == 16
/* The same where a CPU has AVX512-VBMI: an index into 128 bytes is one instruction. */
__attribute__((target("avx512f,avx512bw,avx512vbmi"))) static void
u8_lut_vbmi(const uint8_t *x, uint8_t *y, size_t n, const uint8_t table[256])
{
    const __m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 64);
    const __m512i t2 = _mm512_loadu_si512(table + 128), t3 = _mm512_loadu_si512(table + 192);
    for (size_t i = 0; i < n; i += 64) {
        const __mmask64 left = n - i < 64 ? ~UINT64_C(0) >> (64 - (n - i)) : ~UINT64_C(0);
        const __m512i v = _mm512_maskz_loadu_epi8(left, x + i);
        const __m512i low = _mm512_permutex2var_epi8(t0, v, t1);
        const __m512i high = _mm512_permutex2var_epi8(t2, v, t3);
        _mm512_mask_storeu_epi8(y + i, left,
                                _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(v), high));
    }
}
#endif

#endif
