/* SPDX-License-Identifier: MIT */
/*
 * simple_u8_tile.h - the functions of the kernel table that read or write uint8, but for those
 * that change the layout, written once over u8_vec.h and included by simple_<bundle>.c.
 */
#include "layers/base/base.h"
#include "layers/kernels/x86/u8_vec.h"

/* clampq of CONTRACT.md on lanes. */
QZK_INLINE vb clampq(vf v, vf lo, vf hi, vb zp)
{
    return vi_add32(vf_to_i32_nan0(vf_clamp(v, lo, hi)), zp);
}

/* ---- add ---- */

/*
 * One quarter of VB sums. Bytes arrive under the upper half of 2^23 as a float, so that taking
 * away 2^23 + zero point gives (float)(a - zp), exactly and without a conversion.
 */
QZK_INLINE vb add_quarter(vb a, vb b, vf a_bias, vf b_bias, vf a_mult, vf b_mult)
{
    vf x = vf_mul(vf_sub(vf_from_bits(a), a_bias), a_mult);
    vf z = vf_mul(vf_sub(vf_from_bits(b), b_bias), b_mult);
    return vf_to_i32(vf_add(x, z));
}

/*
 * Rounding is monotonous, so clamping may follow it, on the bytes, where nothing overflows on the
 * way: saturation clamps to 0 and 255, lo and hi come after that.
 */
QZK_INLINE vb add_bytes(vb a, vb b, const qzk_add_params *p, vb q_lo, vb q_hi)
{
    const vf a_bias = vf_set1(8388608.0f + (float)p->a_zp), a_mult = vf_set1(p->a_mult);
    const vf b_bias = vf_set1(8388608.0f + (float)p->b_zp), b_mult = vf_set1(p->b_mult);
    const vb zero = vb_zero(), magic = vb_set1_16(0x4b00), zp = vb_set1_16(p->y_zp);
    vb a_lo = vb_unpack_lo8(a, zero), a_hi = vb_unpack_hi8(a, zero);
    vb b_lo = vb_unpack_lo8(b, zero), b_hi = vb_unpack_hi8(b, zero);
    vb y0 = add_quarter(vb_unpack_lo16(a_lo, magic), vb_unpack_lo16(b_lo, magic), a_bias, b_bias,
                        a_mult, b_mult);
    vb y1 = add_quarter(vb_unpack_hi16(a_lo, magic), vb_unpack_hi16(b_lo, magic), a_bias, b_bias,
                        a_mult, b_mult);
    vb y2 = add_quarter(vb_unpack_lo16(a_hi, magic), vb_unpack_lo16(b_hi, magic), a_bias, b_bias,
                        a_mult, b_mult);
    vb y3 = add_quarter(vb_unpack_hi16(a_hi, magic), vb_unpack_hi16(b_hi, magic), a_bias, b_bias,
                        a_mult, b_mult);
    vb lo = vb_adds16(vb_pack32(y0, y1), zp), hi = vb_adds16(vb_pack32(y2, y3), zp);
    return vb_min(vb_max(vb_pack16(lo, hi), q_lo), q_hi);
}

/* Any multipliers: sums may be infinite or NaN. */
static void u8_add_any(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                       const qzk_add_params *p)
{
    const vf lo = vf_set1(p->lo), hi = vf_set1(p->hi);
    const vb a_zp = vi_set1(p->a_zp), b_zp = vi_set1(p->b_zp), y_zp = vi_set1(p->y_zp);
    for (size_t i = 0; i < n; i += VL) {
        size_t left = QZI_MIN(n - i, (size_t)VL);
        vf x = vf_from_i32(vi_sub32(vi_load_u8_n(a + i, left), a_zp));
        vf z = vf_from_i32(vi_sub32(vi_load_u8_n(b + i, left), b_zp));
        vf v = vf_add(vf_mul(x, vf_set1(p->a_mult)), vf_mul(z, vf_set1(p->b_mult)));
        vi_store_u8_n(y + i, clampq(v, lo, hi, y_zp), left);
    }
}

static void u8_add(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                   const qzk_add_params *p)
{
    /* 255 * 2^20 twice still fits int32 */
    const float sane = 1048576.0f;
    if (!(p->a_mult >= -sane && p->a_mult <= sane && p->b_mult >= -sane && p->b_mult <= sane)) {
        u8_add_any(a, b, y, n, p);
        return;
    }
    const vb q_lo = vb_set1_8((int)qzi_rnef(p->lo) + p->y_zp);
    const vb q_hi = vb_set1_8((int)qzi_rnef(p->hi) + p->y_zp);
    size_t i = 0;
    for (; i + VB <= n; i += VB)
        vb_store(y + i, add_bytes(vb_load(a + i), vb_load(b + i), p, q_lo, q_hi));
    if (i < n)
        vb_store_n(y + i,
                   add_bytes(vb_load_n(a + i, n - i), vb_load_n(b + i, n - i), p, q_lo, q_hi),
                   n - i);
}

/* ---- clamp, tables, pooling ---- */

static void u8_clamp(const uint8_t *x, uint8_t *y, size_t n, uint8_t lo, uint8_t hi)
{
    const vb low = vb_set1_8(lo), high = vb_set1_8(hi);
    size_t i = 0;
    for (; i + VB <= n; i += VB)
        vb_store(y + i, vb_min(vb_max(vb_load(x + i), low), high));
    if (i < n)
        vb_store_n(y + i, vb_min(vb_max(vb_load_n(x + i, n - i), low), high), n - i);
}

/*
 * A table of 256 bytes as 16 tables of 16, each but the first and the ninth xored with the one
 * before. Subtracting 16 from the index at each step, a lookup gives 0 once the index is negative:
 * what came before adds up, by xor, to the entry. Indices from 128 on are negative from the start;
 * they take the second half of the tables, with the highest bit turned.
 */
QZK_INLINE vb lut_half(const vb *steps, vb index)
{
    const vb sixteen = vb_set1_8(16);
    vb y = vb_lookup16(steps[0], index);
    QZK_UNROLL
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
    QZK_UNROLL
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

static void u8_maxpool(const uint8_t *const *taps, size_t count, size_t c, uint8_t *y)
{
    size_t i = 0;
    for (; i + VB <= c; i += VB) {
        vb acc = vb_load(taps[0] + i);
        for (size_t t = 1; t < count; t++)
            acc = vb_max(acc, vb_load(taps[t] + i));
        vb_store(y + i, acc);
    }
    if (i < c) {
        vb acc = vb_load_n(taps[0] + i, c - i);
        for (size_t t = 1; t < count; t++)
            acc = vb_max(acc, vb_load_n(taps[t] + i, c - i));
        vb_store_n(y + i, acc, c - i);
    }
}

QZK_INLINE vb avg_finish(vb sum, size_t count, const qzk_avgpool_params *p)
{
    vf v = vf_from_i32(vi_sub32(sum, vi_set1((int32_t)count * p->x_zp)));
    return clampq(vf_mul(v, vf_set1(p->mult)), vf_set1(p->lo), vf_set1(p->hi), vi_set1(p->y_zp));
}

static void u8_avgpool(const uint8_t *const *taps, size_t count, size_t c,
                       const qzk_avgpool_params *p, uint8_t *y)
{
    size_t i = 0;
    for (; i + 2 * VL <= c; i += 2 * VL) {
        vb sum0 = vb_zero(), sum1 = vb_zero();
        for (size_t t = 0; t < count; t++) {
            sum0 = vi_add32(sum0, vi_load_u8(taps[t] + i));
            sum1 = vi_add32(sum1, vi_load_u8(taps[t] + i + VL));
        }
        vi_store_u8(y + i, avg_finish(sum0, count, p));
        vi_store_u8(y + i + VL, avg_finish(sum1, count, p));
    }
    for (; i < c; i += VL) {
        size_t left = QZI_MIN(c - i, (size_t)VL);
        vb sum = vb_zero();
        for (size_t t = 0; t < count; t++)
            sum = vi_add32(sum, vi_load_u8_n(taps[t] + i, left));
        vi_store_u8_n(y + i, avg_finish(sum, count, p), left);
    }
}

/* ---- affine, quantize, dequantize ---- */

/* Any multipliers and shifts: values may be infinite or NaN. */
static void u8_affine_any(const uint8_t *x, uint8_t *y, size_t c, const float *mult,
                          const float *shift, vb from, vf low, vf high, vb to)
{
    size_t i = 0;
    for (; i + VL <= c; i += VL) {
        vf v = vf_from_i32(vi_sub32(vi_load_u8(x + i), from));
        v = vf_add(vf_mul(v, vf_load(mult + i)), vf_load(shift + i));
        vi_store_u8(y + i, clampq(v, low, high, to));
    }
    if (i < c) {
        const vmask m = vf_mask((int)(c - i));
        vf v = vf_from_i32(vi_sub32(vi_load_u8_n(x + i, c - i), from));
        v = vf_add(vf_mul(v, vf_load_mask(mult + i, m)), vf_load_mask(shift + i, m));
        vi_store_u8_n(y + i, clampq(v, low, high, to), c - i);
    }
}

/* A quarter of VB channels, in order. */
QZK_INLINE vb affine_quarter(vb x, vb from, const float *mult, const float *shift)
{
    return vf_to_i32(vf_add(vf_mul(vf_from_i32(vi_sub32(x, from)), vf_load(mult)), vf_load(shift)));
}

/* VB channels of all pixels, then the next VB: multipliers and shifts stay in the nearest cache. */
static void u8_affine(const uint8_t *x, uint8_t *y, size_t pixels, size_t c, int64_t x_stride,
                      int64_t y_stride, const float *mult, const float *shift, int32_t x_zp,
                      int32_t y_zp, float lo, float hi)
{
    const vf low = vf_set1(lo), high = vf_set1(hi);
    const vb from = vi_set1(x_zp), to = vi_set1(y_zp), zp = vb_set1_16(y_zp);
    const float sane = 1048576.0f; /* 255 times it and it fit int32 */
    bool fits = true;
    for (size_t i = 0; i < c; i++)
        fits &= mult[i] >= -sane && mult[i] <= sane && shift[i] >= -sane && shift[i] <= sane;
    if (!fits) {
        for (; pixels; pixels--, x += x_stride, y += y_stride)
            u8_affine_any(x, y, c, mult, shift, from, low, high, to);
        return;
    }
    /* clamps after rounding, on bytes, as in u8_add */
    const vb q_lo = vb_set1_8((int)qzi_rnef(lo) + y_zp), q_hi = vb_set1_8((int)qzi_rnef(hi) + y_zp);
    size_t i = 0;
    for (; i + VB <= c; i += VB) {
        const uint8_t *px = x + i;
        uint8_t *py = y + i;
        for (size_t p = 0; p < pixels; p++, px += x_stride, py += y_stride) {
            vb a = affine_quarter(vi_load_u8(px), from, mult + i, shift + i);
            vb b = affine_quarter(vi_load_u8(px + VL), from, mult + i + VL, shift + i + VL);
            vb d = affine_quarter(vi_load_u8(px + 2 * VL), from, mult + i + 2 * VL,
                                  shift + i + 2 * VL);
            vb e = affine_quarter(vi_load_u8(px + 3 * VL), from, mult + i + 3 * VL,
                                  shift + i + 3 * VL);
            vb ab = vb_adds16(vb_pack32(a, b), zp), de = vb_adds16(vb_pack32(d, e), zp);
            vb_store(py, vb_min(vb_max(vb_unlace(vb_pack16(ab, de)), q_lo), q_hi));
        }
    }
    for (; i < c && pixels; pixels--, x += x_stride, y += y_stride)
        u8_affine_any(x + i, y + i, c - i, mult + i, shift + i, from, low, high, to);
}

static void quantize(const float *x, uint8_t *y, size_t n, float inv_scale, int32_t zp)
{
    const vf inv = vf_set1(inv_scale), lo = vf_set1((float)-zp), hi = vf_set1((float)(255 - zp));
    const vb zp16 = vb_set1_16(zp), zp32 = vi_set1(zp);
    size_t i = 0;
    for (; i + VB <= n; i += VB) {
        vb q0 = vf_to_i32_nan0(vf_clamp(vf_mul(vf_load(x + i), inv), lo, hi));
        vb q1 = vf_to_i32_nan0(vf_clamp(vf_mul(vf_load(x + i + VL), inv), lo, hi));
        vb q2 = vf_to_i32_nan0(vf_clamp(vf_mul(vf_load(x + i + 2 * VL), inv), lo, hi));
        vb q3 = vf_to_i32_nan0(vf_clamp(vf_mul(vf_load(x + i + 3 * VL), inv), lo, hi));
        vb low = vb_adds16(vb_pack32(q0, q1), zp16), high = vb_adds16(vb_pack32(q2, q3), zp16);
        vb_store(y + i, vb_unlace(vb_pack16(low, high)));
    }
    for (; i < n; i += VL) {
        size_t left = QZI_MIN(n - i, (size_t)VL);
        vf v = vf_mul(vf_load_mask(x + i, vf_mask((int)left)), inv);
        vi_store_u8_n(y + i, clampq(v, lo, hi, zp32), left);
    }
}

static void dequantize(const uint8_t *x, float *y, size_t n, float scale, int32_t zp)
{
    const vf by = vf_set1(scale);
    const vb from = vi_set1(zp);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(y + i, vf_mul(vf_from_i32(vi_sub32(vi_load_u8(x + i), from)), by));
    if (i < n) {
        vf v = vf_from_i32(vi_sub32(vi_load_u8_n(x + i, n - i), from));
        vf_store_mask(y + i, vf_mul(v, by), vf_mask((int)(n - i)));
    }
}
