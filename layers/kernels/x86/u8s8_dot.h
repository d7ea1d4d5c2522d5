/* SPDX-License-Identifier: MIT */
/*
 * u8s8_dot.h - the dot product of the int8 convolution kernels, and requantization.
 *
 * The kernels exist once, as templates (u8s8_*_tile.h); vec.h has a vector of 64 bytes
 * (AVX-512) or 32 bytes (AVX2), and a dot product of four unsigned with four signed bytes in each
 * 32-bit lane. With VNNI that is one instruction. Without, it is two steps of vpmaddwd on 16-bit
 * values, which never saturates: the even and the odd bytes of x, masked and shifted out, meet
 * weights that were widened and put into that order when packed. Such a part is a "half";
 * VEC_HALVES is their number.
 *
 * Which of the four comes out is decided by the flags of the bundle that includes this.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_U8S8_DOT_H
#define QZOO_LAYERS_KERNELS_X86_U8S8_DOT_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

#include <float.h>

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#define VEC_VNNI 1
#define VEC_HALVES 1
#else
#define VEC_VNNI 0
#define VEC_HALVES 2
#endif

#if defined(__AVX512F__)

#define VEC_OP(name) _mm512_##name
#define VEC_CAST(x) _mm512_castps_si512(x)
#define VEC_CASTF(x) _mm512_castsi512_ps(x)
#define VEC_LOGIC(name) _mm512_##name##_si512

/* The first `dwords` 32-bit words at p, zeros behind; what is not asked for is not touched. */
VEC_INLINE vb vb_load_words(const void *p, int32_t dwords)
{
    return _mm512_maskz_loadu_epi32((__mmask16)((1u << dwords) - 1), p);
}

/* Words [first, last) of those at p, and the others from x; p is touched in these words only. */
VEC_INLINE vb vb_load_range(const void *p, int32_t first, int32_t last, vb x)
{
    const uint32_t mask = last > first ? (1u << last) - (1u << first) : 0;
    return _mm512_mask_loadu_epi32(x, (__mmask16)mask, p);
}

VEC_INLINE void vb_store_part(uint8_t *p, vb x, int32_t bytes)
{
    _mm512_mask_storeu_epi8(p, (__mmask64)((UINT64_C(1) << bytes) - 1), x);
}

/* Bytes [part * VB / parts, ...) of x, `bytes` of them; parts is 1, 2 or 4, a constant. */
VEC_INLINE void vb_store_slice(uint8_t *p, vb x, const int parts, const int part, int32_t bytes)
{
    if (parts == 1) {
        if (bytes >= 64)
            vb_store(p, x);
        else
            vb_store_part(p, x, bytes);
    } else if (parts == 2) {
        const __m256i y = part == 0 ? _mm512_castsi512_si256(x) : _mm512_extracti64x4_epi64(x, 1);
        if (bytes >= 32)
            _mm256_storeu_si256((__m256i *)p, y);
        else
            _mm256_mask_storeu_epi8(p, (__mmask32)((1u << bytes) - 1), y);
    } else {
        const __m128i y = part == 0   ? _mm512_castsi512_si128(x)
                          : part == 1 ? _mm512_extracti32x4_epi32(x, 1)
                          : part == 2 ? _mm512_extracti32x4_epi32(x, 2)
                                      : _mm512_extracti32x4_epi32(x, 3);
        if (bytes >= 16)
            _mm_storeu_si128((__m128i *)p, y);
        else
            _mm_mask_storeu_epi8(p, (__mmask16)((1u << bytes) - 1), y);
    }
}

/*
 * The same to be loaded: `bytes` of each of `parts` slices, no more than a slice has; what is
 * behind them is not touched.
 */
VEC_INLINE vb vb_load_slices(const uint8_t *const *p, const int parts, int32_t bytes)
{
    if (parts == 1)
        return bytes >= 64 ? vb_load(p[0])
                           : _mm512_maskz_loadu_epi8((__mmask64)((UINT64_C(1) << bytes) - 1), p[0]);
    if (parts == 2) {
        const __mmask32 mask = bytes >= 32 ? ~(__mmask32)0 : (__mmask32)((1u << bytes) - 1);
        return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_maskz_loadu_epi8(mask, p[0])),
                                  _mm256_maskz_loadu_epi8(mask, p[1]), 1);
    }
    const __mmask16 mask = (__mmask16)(bytes >= 16 ? 0xffffu : (1u << bytes) - 1);
    vb x = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(mask, p[0]));
    x = _mm512_inserti32x4(x, _mm_maskz_loadu_epi8(mask, p[1]), 1);
    x = _mm512_inserti32x4(x, _mm_maskz_loadu_epi8(mask, p[2]), 2);
    return _mm512_inserti32x4(x, _mm_maskz_loadu_epi8(mask, p[3]), 3);
}

/* VB / 2 bytes at p, or the first `dwords` 32-bit words of them, as 16-bit numbers. */
VEC_INLINE vb vb_widen(const uint8_t *p)
{
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)p));
}

VEC_INLINE vb vb_widen_part(const uint8_t *p, int32_t dwords)
{
    return _mm512_cvtepu8_epi16(
        _mm256_maskz_loadu_epi32((__mmask8)((1u << dwords) - 1), (const void *)p));
}

/* The bytes of x from its start, 4 * parts of them (parts: 1 or 2) into each 128-bit lane. */
VEC_INLINE vb vb_spread(vb x, const int parts)
{
    if (parts == 2)
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), x);
    return _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3), x);
}

/*
 * From 128-bit lanes of four words each, words i of which belong together for equal i / vectors:
 * brings them side by side. With three vectors the fourth word is dropped.
 */
VEC_INLINE vb vb_collect(vb x, const int vectors)
{
    if (vectors == 4)
        return x;
    if (vectors == 3)
        return _mm512_permutexvar_epi32(
            _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15), x);
    if (vectors == 2)
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), x);
    return _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x);
}

/* The way back of vb_collect. */
VEC_INLINE vb vb_uncollect(vb x, const int vectors)
{
    if (vectors == 4)
        return x;
    if (vectors == 3)
        return _mm512_permutexvar_epi32(
            _mm512_setr_epi32(0, 1, 2, 12, 3, 4, 5, 13, 6, 7, 8, 14, 9, 10, 11, 15), x);
    if (vectors == 2)
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), x);
    return vb_collect(x, 1);
}

#else

#define VEC_OP(name) _mm256_##name
#define VEC_CAST(x) _mm256_castps_si256(x)
#define VEC_CASTF(x) _mm256_castsi256_ps(x)
#define VEC_LOGIC(name) _mm256_##name##_si256

/* The first `dwords` 32-bit words at p, zeros behind; what is not asked for is not touched. */
VEC_INLINE vb vb_load_words(const void *p, int32_t dwords)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_epi32((const int *)p,
                                 _mm256_cmpgt_epi32(_mm256_set1_epi32(dwords), lane));
}

/* Words [first, last) of those at p, and the others from x; p is touched in these words only. */
VEC_INLINE vb vb_load_range(const void *p, int32_t first, int32_t last, vb x)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i mask = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(first), lane),
                                             _mm256_cmpgt_epi32(_mm256_set1_epi32(last), lane));
    return _mm256_blendv_epi8(x, _mm256_maskload_epi32((const int *)p, mask), mask);
}

VEC_INLINE void vb_store_part(uint8_t *p, vb x, int32_t bytes)
{
    uint8_t buffer[32];
    _mm256_storeu_si256((__m256i *)buffer, x);
    memcpy(p, buffer, (size_t)bytes);
}

/* Bytes [part * VB / parts, ...) of x, `bytes` of them; parts is 1, 2 or 4, a constant. */
VEC_INLINE void vb_store_slice(uint8_t *p, vb x, const int parts, const int part, int32_t bytes)
{
    if (parts == 1) {
        if (bytes >= 32)
            vb_store(p, x);
        else
            vb_store_part(p, x, bytes);
        return;
    }
    __m128i y = part < parts / 2 ? _mm256_castsi256_si128(x) : _mm256_extracti128_si256(x, 1);
    if (parts == 4 && part % 2 == 1)
        y = _mm_unpackhi_epi64(y, y);
    uint8_t buffer[16];
    if (bytes >= VB / parts) {
        if (parts == 2)
            _mm_storeu_si128((__m128i *)p, y);
        else
            _mm_storel_epi64((__m128i *)p, y);
    } else {
        _mm_storeu_si128((__m128i *)buffer, y);
        memcpy(p, buffer, (size_t)bytes);
    }
}

/* The first `bytes` bytes at p, at most 16, zeros behind. */
VEC_INLINE __m128i vb_load_bytes(const uint8_t *p, int32_t bytes)
{
    uint8_t buffer[16] = {0};
    if (bytes >= 16)
        return _mm_loadu_si128((const __m128i *)p);
    if (bytes == 8)
        return _mm_loadl_epi64((const __m128i *)p);
    memcpy(buffer, p, (size_t)bytes);
    return _mm_loadu_si128((const __m128i *)buffer);
}

/*
 * The same to be loaded: `bytes` of each of `parts` slices, no more than a slice has; what is
 * behind them is not touched.
 */
VEC_INLINE vb vb_load_slices(const uint8_t *const *p, const int parts, int32_t bytes)
{
    if (parts == 1) {
        if (bytes >= 32)
            return vb_load(p[0]);
        const __m128i low = vb_load_bytes(p[0], bytes);
        return bytes <= 16 ? _mm256_zextsi128_si256(low)
                           : _mm256_setr_m128i(low, vb_load_bytes(p[0] + 16, bytes - 16));
    }
    const int32_t most = QZI_MIN(bytes, VB / parts);
    if (parts == 2)
        return _mm256_setr_m128i(vb_load_bytes(p[0], most), vb_load_bytes(p[1], most));
    return _mm256_setr_m128i(
        _mm_unpacklo_epi64(vb_load_bytes(p[0], most), vb_load_bytes(p[1], most)),
        _mm_unpacklo_epi64(vb_load_bytes(p[2], most), vb_load_bytes(p[3], most)));
}

/* VB / 2 bytes at p, or the first `dwords` 32-bit words of them, as 16-bit numbers. */
VEC_INLINE vb vb_widen(const uint8_t *p)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
}

VEC_INLINE vb vb_widen_part(const uint8_t *p, int32_t dwords)
{
    const __m128i mask = _mm_cmpgt_epi32(_mm_set1_epi32(dwords), _mm_setr_epi32(0, 1, 2, 3));
    return _mm256_cvtepu8_epi16(_mm_maskload_epi32((const int *)p, mask));
}

/* The bytes of x from its start, 4 * parts of them (parts: 1 or 2) into each 128-bit lane. */
VEC_INLINE vb vb_spread(vb x, const int parts)
{
    if (parts == 2)
        return _mm256_permute4x64_epi64(x, 0x50);
    return _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
}

/*
 * From 128-bit lanes of four words each, words i of which belong together for equal i / vectors
 * (1, 2 or 4 here): brings them side by side.
 */
VEC_INLINE vb vb_collect(vb x, const int vectors)
{
    if (vectors == 4)
        return x;
    if (vectors == 2)
        return _mm256_permute4x64_epi64(x, 0xd8);
    return _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* The way back of vb_collect. */
VEC_INLINE vb vb_uncollect(vb x, const int vectors)
{
    if (vectors == 4)
        return x;
    if (vectors == 2)
        return _mm256_permute4x64_epi64(x, 0xd8);
    return _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

#endif

/* x, of which the compiler knows nothing more: it will keep it, not load it again for each use. */
VEC_INLINE vb vb_opaque(vb x)
{
    __asm__("" : "+v"(x));
    return x;
}

/* The same four bytes in every lane. */
VEC_INLINE vb vb_broadcast4(const uint8_t *p)
{
    int32_t word;
    memcpy(&word, p, sizeof(word));
    return VEC_OP(set1_epi32)(word);
}

/* The part of x that meets the weights of a half. */
VEC_INLINE vb vb_half(vb x, int half)
{
#if VEC_HALVES == 1
    (void)half;
    return x;
#else
    return half == 0 ? VEC_LOGIC(and)(x, VEC_OP(set1_epi16)(0x00ff)) : VEC_OP(srli_epi16)(x, 8);
#endif
}

/*
 * acc + the dot products of one half. The sum is assembler, because gcc 12 otherwise copies the
 * accumulators of the VNNI intrinsic around, and without VNNI gathers products of many steps before
 * it adds them, and spills either.
 */
VEC_INLINE vb vb_dot(vb acc, vb x, vb w)
{
#if defined(__AVX512VNNI__)
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
    return acc;
#elif defined(__AVXVNNI__)
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "x"(w));
    return acc;
#else
    __asm__("vpaddd %1, %0, %0" : "+v"(acc) : "v"(VEC_OP(madd_epi16)(x, w)));
    return acc;
#endif
}

/* Bytes of packed weights for four terms in each lane of one vector. */
#define VEC_WEIGHTS (VB * VEC_HALVES)

/*
 * Writes the weight of term `term` (0..3) of lane `lane` into the VEC_WEIGHTS bytes of one step.
 * Halves follow one another at `half_stride` bytes.
 */
VEC_INLINE void vb_put_weight(int8_t *step, size_t half_stride, int32_t lane, int32_t term,
                              int8_t value)
{
#if VEC_HALVES == 1
    (void)half_stride;
    step[lane * 4 + term] = value;
#else
    const int16_t wide = value;
    memcpy(step + (size_t)(term & 1) * half_stride + lane * 4 + (term >> 1) * 2, &wide,
           sizeof(wide));
#endif
}

/* ---- from sums to bytes ---- */

/* The first bytes of the packed weights of every kernel. */
typedef struct packed_head {
    int32_t limit; /* scaled sums may be too large for a conversion to integers */
    /* by channel */
    qz_activation act; /* a function, or NONE */
    bool residual;
    bool in_words;
    int32_t shift;
    /* the pieces' base and slope: with AVX-512 the words, otherwise vb_lookup64's tables of the low
     * and the high bytes of either */
    _Alignas(64) uint8_t pieces[4 * QZK_WORD_PIECES];
} packed_head;
#define PACKED_HEAD QZI_ROUND_UP(sizeof(packed_head), QZI_ALIGN) /* bytes kept for it */

/* Puts a function in words into the head. */
static inline void packed_words(const qzk_words *words, packed_head *head)
{
    const size_t half = sizeof(head->pieces) / 2;
    if (!words)
        return;
    head->in_words = true;
    head->shift = words->shift;
#if VB == 64
    memcpy(head->pieces, words->base, half);
    memcpy(head->pieces + half, words->slope, half);
#else
    for (int i = 0; i < QZK_WORD_PIECES; i++) {
        uint8_t *to = head->pieces + i;
        const uint16_t base = (uint16_t)words->base[i], slope = (uint16_t)words->slope[i];
        to[0] = (uint8_t)base;
        to[QZK_WORD_PIECES] = (uint8_t)(base >> 8);
        to[half] = (uint8_t)slope;
        to[half + QZK_WORD_PIECES] = (uint8_t)(slope >> 8);
    }
    for (size_t i = sizeof(head->pieces); i-- > 0;) /* each 16 beside those before */
        if (i % QZK_WORD_PIECES >= 16)
            head->pieces[i] ^= head->pieces[i - 16];
#endif
}

typedef struct vb_requant {
    bool limit;
    vf hi;
    vb zp;       /* 16-bit */
    vb qlo, qhi; /* bytes */
} vb_requant;

/*
 * (float)acc * m never is NaN here: packed_mult prevents it. Clamping after rounding equals
 * clamping before, because rounding is monotonic, and on bytes it is four times cheaper.
 * Only where a value could overflow the conversion upwards, which would make it the lowest integer,
 * is it held at `hi` before; downwards the conversion saturates the right way.
 */
VEC_INLINE vb_requant vb_requant_init(const qzk_conv_args *args)
{
    const int32_t zp = args->y_zp;
    const int32_t qlo = _mm_cvtss_si32(_mm_set_ss(args->lo)) + zp;
    const int32_t qhi = _mm_cvtss_si32(_mm_set_ss(args->hi)) + zp;
    vb_requant rq;
    rq.limit = ((const packed_head *)args->packed)->limit != 0;
    rq.hi = VEC_OP(set1_ps)(args->hi);
    rq.zp = VEC_OP(set1_epi16)((int16_t)zp);
    rq.qlo = VEC_OP(set1_epi8)((char)qlo);
    rq.qhi = VEC_OP(set1_epi8)((char)qhi);
    return rq;
}

/*
 * (float)acc * mult for `count` vectors, as the bits of floats; mult repeats after `period`. By
 * channel, with a zero of each channel added in the same rounding.
 */
VEC_INLINE void vb_scale(vb *acc, const int count, const float *mult, const float *zero,
                         const int period, const vb_requant *rq)
{
    if (zero) {
        VEC_UNROLL
        for (int i = 0; i < count; i++) {
            const vf m = vf_load(mult + i % period * VL), z = vf_load(zero + i % period * VL);
            acc[i] = VEC_CAST(vf_fma(VEC_OP(cvtepi32_ps)(acc[i]), m, z));
        }
    } else {
        VEC_UNROLL
        for (int i = 0; i < count; i++) {
            const vf m = vf_load(mult + i % period * VL);
            acc[i] = VEC_CAST(VEC_OP(mul_ps)(VEC_OP(cvtepi32_ps)(acc[i]), m));
        }
    }
    if (rq->limit) {
        VEC_UNROLL
        for (int i = 0; i < count; i++)
            acc[i] = VEC_CAST(VEC_OP(min_ps)(VEC_CASTF(acc[i]), rq->hi));
    }
}

/* Four vectors of scaled sums to bytes; each 128-bit lane has its four of a, of b, of c, of d. */
VEC_INLINE vb vb_narrow(vb a, vb b, vb c, vb d, const vb_requant *rq)
{
    const vb ab =
        VEC_OP(packs_epi32)(VEC_OP(cvtps_epi32)(VEC_CASTF(a)), VEC_OP(cvtps_epi32)(VEC_CASTF(b)));
    const vb cd =
        VEC_OP(packs_epi32)(VEC_OP(cvtps_epi32)(VEC_CASTF(c)), VEC_OP(cvtps_epi32)(VEC_CASTF(d)));
    const vb q =
        VEC_OP(packus_epi16)(VEC_OP(adds_epi16)(ab, rq->zp), VEC_OP(adds_epi16)(cd, rq->zp));
    return VEC_OP(min_epu8)(VEC_OP(max_epu8)(q, rq->qlo), rq->qhi);
}

/* In each 128-bit lane, byte 4*i + v from byte 4*v + i. */
VEC_INLINE vb vb_transpose4(vb x)
{
    const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
#if VB == 64
    return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(order));
#else
    return _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(order));
#endif
}

/*
 * The multiplier as the kernels read it. A multiplier that is not finite would make NaN, which the
 * contract turns into 0: 0 for NaN, and the largest number for infinity (0 times it is 0, anything
 * else is beyond every clamp), give the same bytes without a test for NaN, because the clamp
 * always has 0 in it: the zero point is in [q_lo, q_hi].
 */
static inline float packed_mult(float mult)
{
    if (mult != mult)
        return 0.0f;
    return mult > FLT_MAX ? FLT_MAX : mult < -FLT_MAX ? -FLT_MAX : mult;
}

/* The zero point of input channel c. */
static inline uint32_t packed_zp(const qzk_conv_weights *weights, int32_t c)
{
    return weights->x_zps ? weights->x_zps[c] : (uint32_t)weights->x_zp;
}

/* A row of zero points, of pixels of `pixel` bytes whose first `ic` are channels. */
static inline void packed_zp_row(const qzk_conv_weights *weights, int32_t ic, int32_t pixel,
                                 size_t bytes, uint8_t *row)
{
    for (size_t i = 0; i < bytes; i++) {
        const int32_t c = (int32_t)(i % (size_t)pixel);
        row[i] = c < ic ? (uint8_t)packed_zp(weights, c) : 0;
    }
}

/* The largest |v| of CONTRACT.md, "by channel", for sums of at most `bound`. */
static inline double packed_largest(const qzk_conv_weights *w, int32_t o, double bound)
{
    const double x = bound * w->mult[o], zero = w->out_zero[o];
    double v = x < 0 ? -x : x;
    if (w->words)
        return v;
    if (qzk_act_is_function(w->act)) /* none is larger than 6, or 6 times its argument */
        v = 6 * (v > 1 ? v : 1) * (w->out_mult[o] < 0 ? -w->out_mult[o] : w->out_mult[o]);
    if (w->residual_mult)
        v += 255.0 * (w->residual_mult[o] < 0 ? -w->residual_mult[o] : w->residual_mult[o]);
    return v + (zero < 0 ? -zero : zero);
}

/*
 * Packs bias and multiplier of output channel o, the sum of whose weights times their zero points
 * is `sum`, of their magnitudes `magnitude`. Notes in the head whether its sums need a limit (|x -
 * x_zp| is at most 255). By channel, `mult` is followed at `step` by the second multiplier, and
 * again by the zero; otherwise step is 0.
 */
static inline void packed_channel(const qzk_conv_weights *weights, int32_t o, uint32_t sum,
                                  uint32_t magnitude, int32_t *bias, float *mult, size_t step,
                                  packed_head *head)
{
    const int32_t b = weights->bias_s32 ? weights->bias_s32[o] : 0;
    const double most = 255.0 * magnitude + (b < 0 ? -(double)b : b);
    double bound;
    *bias = (int32_t)((uint32_t)b - sum);
    if (step > 0) {
        const float *second = weights->residual_mult ? weights->residual_mult : weights->out_mult;
        *mult = weights->mult[o];
        mult[step] = second ? second[o] : 0.0f;
        mult[2 * step] = weights->out_zero[o];
        head->act = qzk_act_is_function(weights->act) ? weights->act : QZ_ACT_NONE;
        head->residual = weights->residual_mult != NULL;
        if (o == 0)
            packed_words(weights->words, head);
        bound = packed_largest(weights, o, most);
    } else {
        *mult = packed_mult(weights->mult[o]);
        bound = most * *mult;
    }
    if (!(bound < 0x7fffff00 && bound > -0x7fffff00))
        head->limit = 1;
}

#endif
