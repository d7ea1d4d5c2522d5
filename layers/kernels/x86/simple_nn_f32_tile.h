/* SPDX-License-Identifier: MIT */
/*
 * simple_nn_f32_tile.h - activation functions, products, layer norm and shuffles of floats, written
 * once over u8_vec.h and included by simple_<bundle>.c.
 */
#include "layers/base/base.h"
#include "layers/kernels/activation.h"
#include "layers/kernels/x86/u8_vec.h"

#include <math.h>

#if VL == 16
QZK_INLINE vf vf_abs(vf v)
{
    return _mm512_abs_ps(v);
}
QZK_INLINE vf vf_negate(vf v)
{
    return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f));
}
/* v < limit ? v : limit, so NaN gives limit */
QZK_INLINE vf vf_at_most(vf v, float limit)
{
    return _mm512_min_ps(v, _mm512_set1_ps(limit));
}
/* x < 0 ? a : b */
QZK_INLINE vf vf_where_negative(vf x, vf a, vf b)
{
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), a);
}
/* x is NaN ? x : y */
QZK_INLINE vf vf_keep_nan(vf x, vf y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}
/* Zeros in the lanes that do not exist. */
QZK_INLINE vf vf_only(vf v, vmask m)
{
    return _mm512_maskz_mov_ps(m, v);
}
#else
QZK_INLINE vf vf_abs(vf v)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}
QZK_INLINE vf vf_negate(vf v)
{
    return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}
QZK_INLINE vf vf_at_most(vf v, float limit)
{
    return _mm256_min_ps(v, _mm256_set1_ps(limit));
}
QZK_INLINE vf vf_where_negative(vf x, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
}
QZK_INLINE vf vf_keep_nan(vf x, vf y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}
QZK_INLINE vf vf_only(vf v, vmask m)
{
    return _mm256_and_ps(v, _mm256_castsi256_ps(m));
}
#endif

/* ---- activation functions ---- */

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
QZK_INLINE vf exp_minus(vf a)
{
    static const float c[QZK_EXP_TERMS] = {QZK_EXP_COEFFICIENTS};
    const vf magic = vf_set1(12582912.0f); /* rounds to nearest even below 2^22 */
    vf k = vf_sub(vf_add(vf_mul(a, vf_set1(-QZK_LOG2_E)), magic), magic);
    vf r = vf_fma(k, vf_set1(-QZK_LN2_HI), vf_negate(a));
    r = vf_fma(k, vf_set1(-QZK_LN2_LO), r);
    vf p = vf_set1(c[0]);
    QZK_UNROLL
    for (int i = 1; i < QZK_EXP_TERMS; i++)
        p = vf_fma(p, r, vf_set1(c[i]));
    vb power = vi_shift_left(vi_add32(vf_to_i32(k), vi_set1(127)), 23);
    return vf_mul(p, vf_from_bits(power));
}

/* erfc(a) / 2 for a >= 0 */
QZK_INLINE vf half_erfc(vf a)
{
    static const float c[QZK_ERFC_TERMS] = {QZK_ERFC_COEFFICIENTS};
    const vf one = vf_set1(1.0f), half = vf_set1(0.5f);
    a = vf_at_most(a, QZK_ERFC_LIMIT);
    vf t = vf_div(one, vf_fma(a, half, one));
    vf p = vf_set1(c[QZK_ERFC_TERMS - 1]);
    QZK_UNROLL
    for (int i = QZK_ERFC_TERMS - 2; i >= 0; i--)
        p = vf_fma(p, t, vf_set1(c[i]));
    return vf_mul(vf_mul(vf_mul(p, t), half), exp_minus(vf_mul(a, a)));
}

QZK_INLINE vf gate6(vf x)
{
    return vf_clamp(vf_add(x, vf_set1(3.0f)), vf_zero(), vf_set1(6.0f));
}

QZK_INLINE vf hardsigmoid(vf x)
{
    return vf_div(gate6(x), vf_set1(6.0f));
}

QZK_INLINE vf hardswish(vf x)
{
    return vf_div(vf_mul(x, gate6(x)), vf_set1(6.0f));
}

QZK_INLINE vf sigmoid(vf x)
{
    const vf one = vf_set1(1.0f);
    vf e = exp_minus(vf_at_most(vf_abs(x), QZK_EXP_LIMIT));
    return vf_keep_nan(x, vf_div(vf_where_negative(x, e, one), vf_add(one, e)));
}

QZK_INLINE vf silu(vf x)
{
    const vf one = vf_set1(1.0f);
    vf e = exp_minus(vf_at_most(vf_abs(x), QZK_EXP_LIMIT));
    return vf_div(vf_mul(x, vf_where_negative(x, e, one)), vf_add(one, e));
}

QZK_INLINE vf gelu(vf x)
{
    vf h = half_erfc(vf_mul(vf_abs(x), vf_set1(QZK_SQRT_HALF)));
    return vf_where_negative(x, vf_mul(x, h), vf_fma(vf_negate(x), h, x));
}

QZK_MAP(f32_hardsigmoid, hardsigmoid)
QZK_MAP(f32_hardswish, hardswish)
QZK_MAP(f32_sigmoid, sigmoid)
QZK_MAP(f32_silu, silu)
QZK_MAP(f32_gelu, gelu)

/* ---- products ---- */

static void f32_mul(const float *a, const float *b, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(y + i, vf_mul(vf_load(a + i), vf_load(b + i)));
    if (i < n) {
        const vmask m = vf_mask((int)(n - i));
        vf_store_mask(y + i, vf_mul(vf_load_mask(a + i, m), vf_load_mask(b + i, m)), m);
    }
}

static void f32_mul_channels(const float *x, float *y, size_t pixels, size_t c, int64_t x_stride,
                             int64_t y_stride, const float *factor)
{
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride)
        f32_mul(x, factor, y, c);
}

/* ---- layer norm ---- */

/* The 16 lanes of CONTRACT.md: one vector, or two. */
#define NV (16 / VL)

/* Lanes 8 … 15 to 0 … 7, then 4, 2 and 1. */
QZK_INLINE float join_lanes(const vf lanes[NV])
{
#if VL == 16
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(lanes[0]), _mm512_extractf32x8_ps(lanes[0], 1));
#else
    __m256 h = _mm256_add_ps(lanes[0], lanes[1]);
#endif
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}

/* Pixels whose sums run side by side, for one sum alone waits for its adds. */
#define LN_PIXELS 4

/* Sums of x, or of (x - mean)^2, of `count` pixels. */
QZK_INLINE void lanes_sum(const float *x, int64_t stride, const int count, size_t c,
                          const bool squares, const float *mean, float *sums)
{
    vf acc[LN_PIXELS][NV];
    QZK_UNROLL
    for (int p = 0; p < count; p++)
        for (int v = 0; v < NV; v++)
            acc[p][v] = vf_zero();
    for (size_t i = 0; i < c; i += 16) {
        QZK_UNROLL
        for (int v = 0; v < NV; v++) {
            const int64_t left = (int64_t)c - (int64_t)i - v * VL;
            const vmask m = vf_mask((int)QZI_MAX(QZI_MIN(left, (int64_t)VL), (int64_t)0));
            QZK_UNROLL
            for (int p = 0; p < count; p++) {
                const float *at = x + p * stride + (int64_t)i + v * VL;
                vf d = left >= VL ? vf_load(at) : vf_load_mask(at, m);
                if (squares) {
                    d = vf_only(vf_sub(d, vf_set1(mean[p])), m);
                    acc[p][v] = vf_fma(d, d, acc[p][v]);
                } else {
                    acc[p][v] = vf_add(acc[p][v], d);
                }
            }
        }
    }
    QZK_UNROLL
    for (int p = 0; p < count; p++)
        sums[p] = join_lanes(acc[p]);
}

QZK_INLINE void layer_norm_pixels(const float *x, float *y, const int count, size_t c,
                                  int64_t x_stride, int64_t y_stride, const float *weight,
                                  const float *bias, float eps)
{
    float mean[LN_PIXELS], r[LN_PIXELS];
    lanes_sum(x, x_stride, count, c, false, NULL, mean);
    for (int p = 0; p < count; p++)
        mean[p] = mean[p] / (float)c;
    lanes_sum(x, x_stride, count, c, true, mean, r);
    for (int p = 0; p < count; p++) {
        r[p] = r[p] / (float)c;
        r[p] = 1.0f / sqrtf(r[p] + eps);
    }
    for (size_t i = 0; i < c; i += VL) {
        const vmask m = vf_mask((int)QZI_MIN(c - i, (size_t)VL));
        const vf w = vf_load_mask(weight + i, m), b = vf_load_mask(bias + i, m);
        QZK_UNROLL
        for (int p = 0; p < count; p++) {
            vf d = vf_sub(vf_load_mask(x + p * x_stride + (int64_t)i, m), vf_set1(mean[p]));
            vf_store_mask(y + p * y_stride + (int64_t)i, vf_fma(vf_mul(d, vf_set1(r[p])), w, b), m);
        }
    }
}

static void f32_layer_norm(const float *x, float *y, size_t pixels, size_t c, int64_t x_stride,
                           int64_t y_stride, const float *weight, const float *bias, float eps)
{
    for (; pixels >= LN_PIXELS; pixels -= LN_PIXELS) {
        layer_norm_pixels(x, y, LN_PIXELS, c, x_stride, y_stride, weight, bias, eps);
        x += LN_PIXELS * x_stride;
        y += LN_PIXELS * y_stride;
    }
    for (; pixels > 0; pixels--, x += x_stride, y += y_stride)
        layer_norm_pixels(x, y, 1, c, x_stride, y_stride, weight, bias, eps);
}

/* ---- shuffle ---- */

/* Two groups: a0 b0 a1 b1 … The last step may overlap the one before. */
QZK_INLINE void interleave_f32(const float *a, const float *b, float *y, size_t each)
{
    if (each < 4) {
        for (size_t i = 0; i < each; i++) {
            memcpy(y + 2 * i, a + i, sizeof(*y));
            memcpy(y + 2 * i + 1, b + i, sizeof(*y));
        }
        return;
    }
    for (size_t step = 0; step < each; step += 4) {
        const size_t i = QZI_MIN(step, each - 4);
        __m128 p = _mm_loadu_ps(a + i), q = _mm_loadu_ps(b + i);
        _mm_storeu_ps(y + 2 * i, _mm_unpacklo_ps(p, q));
        _mm_storeu_ps(y + 2 * i + 4, _mm_unpackhi_ps(p, q));
    }
}

static void f32_shuffle(const float *x, float *y, size_t pixels, size_t c, size_t groups,
                        int64_t x_stride, int64_t y_stride)
{
    const size_t each = c / groups;
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride) {
        if (groups == 2) {
            interleave_f32(x, x + each, y, each);
            continue;
        }
        for (size_t i = 0; i < each; i++)
            for (size_t g = 0; g < groups; g++)
                memcpy(y + i * groups + g, x + g * each + i, sizeof(*y));
    }
}
