/* SPDX-License-Identifier: MIT */
/*
 * layout_tile.h - between NCHW float planes and NHWC pixels, written once over vec.h and
 * included by simple_<bundle>.c. Three channels, the images that a network is fed, have their own
 * ways; elements between pixels keep their values.
 */
#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

/* ---- quantize_nchw ---- */

VEC_INLINE vb quantize_lanes(vf x, vf inv, vf lo, vf hi, vb zp)
{
    return vi_add32(vf_to_i32_nan0(vf_clamp(vf_mul(x, inv), lo, hi)), zp);
}

/* Up to four channels of VL pixels: a lane is a pixel, its bytes are the channels. */
VEC_INLINE vb quantize_cells(const float *x, int64_t plane_stride, const int C, vmask m, vf inv,
                             vf lo, vf hi, vb zp)
{
    vb cell = vb_zero();
    VEC_UNROLL
    for (int ch = 0; ch < C; ch++) {
        vb q = quantize_lanes(vf_load_mask(x + ch * plane_stride, m), inv, lo, hi, zp);
        cell = vi_or(cell, vi_shift_left(q, 8 * ch));
    }
    return cell;
}

/* The same for all of an image in pixels of four bytes. */
VEC_INLINE void quantize_pixels(const float *x, int64_t plane_stride, const int C, size_t pixels,
                                uint8_t *y, vf inv, vf lo, vf hi, vb zp)
{
    const vmask all = vf_mask(VL);
    size_t p = 0;
    for (; p + VL < pixels; p += VL)
        vi_store_cells(y + 4 * p, quantize_cells(x + p, plane_stride, C, all, inv, lo, hi, zp), C);
    if (p < pixels) {
        vb cells =
            quantize_cells(x + p, plane_stride, C, vf_mask((int)(pixels - p)), inv, lo, hi, zp);
        vi_store_cells_n(y + 4 * p, cells, C, pixels - p);
    }
}

static void quantize_nchw(const float *x, int64_t plane_stride, size_t c, size_t pixels, uint8_t *y,
                          int64_t pixel_stride, float inv_scale, int32_t zero_point)
{
    const vf inv = vf_set1(inv_scale), lo = vf_set1((float)-zero_point);
    const vf hi = vf_set1((float)(255 - zero_point));
    const vb zp = vi_set1(zero_point);
    if (pixel_stride == 4 && c == 3) {
        quantize_pixels(x, plane_stride, 3, pixels, y, inv, lo, hi, zp);
        return;
    }
    if (pixel_stride == 4 && c == 1) {
        quantize_pixels(x, plane_stride, 1, pixels, y, inv, lo, hi, zp);
        return;
    }
    if (pixel_stride == 4 && c == 4) {
        quantize_pixels(x, plane_stride, 4, pixels, y, inv, lo, hi, zp);
        return;
    }
    for (size_t p = 0; p < pixels; p += VL) {
        const size_t n = QZI_MIN(pixels - p, (size_t)VL);
        const vmask m = vf_mask((int)n);
        for (size_t ch = 0; ch < c; ch++) {
            uint8_t bytes[VL], *to = y + (int64_t)p * pixel_stride + (int64_t)ch;
            vf v = vf_load_mask(x + (int64_t)ch * plane_stride + (int64_t)p, m);
            vi_store_u8(bytes, quantize_lanes(v, inv, lo, hi, zp));
            for (size_t i = 0; i < n; i++, to += pixel_stride)
                *to = bytes[i];
        }
    }
}

/* ---- float transposes ---- */

/* y[j][i] = x[i][j] for 8 x 8 floats. */
VEC_INLINE void transpose8(const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    __m256 r[8], t[8];
    VEC_UNROLL
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps(x + i * x_stride);
    VEC_UNROLL
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    VEC_UNROLL
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    VEC_UNROLL
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(y + i * y_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(y + (i + 4) * y_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

/* y[j][i] = x[i][j], rows of cols floats. */
static void transpose(const float *x, int64_t x_stride, size_t rows, size_t cols, float *y,
                      int64_t y_stride)
{
    size_t i = 0;
    for (; i + 8 <= rows; i += 8) {
        size_t j = 0;
        for (; j + 8 <= cols; j += 8)
            transpose8(x + (int64_t)i * x_stride + (int64_t)j, x_stride,
                       y + (int64_t)j * y_stride + (int64_t)i, y_stride);
        for (; j < cols; j++)
            for (size_t k = i; k < i + 8; k++)
                y[(int64_t)j * y_stride + (int64_t)k] = x[(int64_t)k * x_stride + (int64_t)j];
    }
    for (; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            y[(int64_t)j * y_stride + (int64_t)i] = x[(int64_t)i * x_stride + (int64_t)j];
}

/* Three planes to pixels of three floats, eight pixels at a time. */
static void interleave3(const float *x, int64_t plane_stride, size_t pixels, float *y)
{
    const __m256i rr = _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5);
    const __m256i gg = _mm256_setr_epi32(5, 0, 3, 6, 1, 4, 7, 2);
    const __m256i bb = _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7);
    size_t p = 0;
    for (; p + 8 <= pixels; p += 8, y += 24) {
        __m256 r = _mm256_permutevar8x32_ps(_mm256_loadu_ps(x + p), rr);
        __m256 g = _mm256_permutevar8x32_ps(_mm256_loadu_ps(x + plane_stride + (int64_t)p), gg);
        __m256 b = _mm256_permutevar8x32_ps(_mm256_loadu_ps(x + 2 * plane_stride + (int64_t)p), bb);
        /* r g b r g b r g | b r g b r g b r | g b r g b r g b */
        _mm256_storeu_ps(y, _mm256_blend_ps(_mm256_blend_ps(r, g, 0x92), b, 0x24));
        _mm256_storeu_ps(y + 8, _mm256_blend_ps(_mm256_blend_ps(b, r, 0x92), g, 0x24));
        _mm256_storeu_ps(y + 16, _mm256_blend_ps(_mm256_blend_ps(g, b, 0x92), r, 0x24));
    }
    for (; p < pixels; p++, y += 3)
        for (int ch = 0; ch < 3; ch++)
            y[ch] = x[ch * plane_stride + (int64_t)p];
}

static void f32_nchw_to_nhwc(const float *x, int64_t plane_stride, size_t c, size_t pixels,
                             float *y, int64_t pixel_stride)
{
    if (c == 3 && pixel_stride == 3)
        interleave3(x, plane_stride, pixels, y);
    else
        transpose(x, plane_stride, c, pixels, y, pixel_stride);
}

static void f32_nhwc_to_nchw(const float *x, int64_t pixel_stride, size_t c, size_t pixels,
                             float *y, int64_t plane_stride)
{
    if (pixels == 1 && plane_stride == 1)
        memcpy(y, x, c * sizeof(float));
    else
        transpose(x, pixel_stride, pixels, c, y, plane_stride);
}
