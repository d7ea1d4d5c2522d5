/* SPDX-License-Identifier: MIT */
/*
 * f32_winograd_tile.h - the transforms of Winograd's F(4x4, 3x3), a vector of channels at once,
 * written once over vec.h. CONTRACT.md has the formulas, f32_winograd_call.h what is around.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_F32_WINOGRAD_TILE_H
#define QZOO_LAYERS_KERNELS_X86_F32_WINOGRAD_TILE_H

#include "layers/kernels/winograd.h"
#include "layers/kernels/x86/vec.h"

typedef struct vf6 {
    vf v0, v1, v2, v3, v4, v5;
} vf6;
typedef struct vf4 {
    vf v0, v1, v2, v3;
} vf4;

/* Six inputs at the six points. */
VEC_INLINE vf6 winograd_input(const vf6 d)
{
    const vf two = vf_set1(-2.0f), half = vf_set1(-0.5f), middle = vf_set1(-2.5f);
    const vf near = vf_fma(two, d.v2, d.v4), near_odd = vf_fma(two, d.v1, d.v3);
    const vf far = vf_fma(half, d.v2, d.v4), far_odd = vf_fma(half, d.v1, d.v3);
    return (vf6){
        vf_add(vf_fma(middle, d.v2, d.v0), d.v4),
        vf_fma(vf_set1(QZK_WINOGRAD_A), near_odd, near),
        vf_fma(vf_set1(-QZK_WINOGRAD_A), near_odd, near),
        vf_fma(vf_set1(QZK_WINOGRAD_B), far_odd, far),
        vf_fma(vf_set1(-QZK_WINOGRAD_B), far_odd, far),
        vf_add(vf_fma(middle, d.v3, d.v1), d.v5),
    };
}

/* Four outputs from six products. */
VEC_INLINE vf4 winograd_output(const vf6 m)
{
    const vf near = vf_add(m.v1, m.v2), near_odd = vf_sub(m.v1, m.v2);
    const vf far = vf_add(m.v3, m.v4), far_odd = vf_sub(m.v3, m.v4);
    return (vf4){
        vf_add(vf_add(m.v0, near), far),
        vf_fma(vf_set1(QZK_WINOGRAD_B), far_odd, vf_mul(vf_set1(QZK_WINOGRAD_A), near_odd)),
        vf_fma(vf_set1(2.0f), far, vf_mul(vf_set1(0.5f), near)),
        vf_fma(vf_set1(2.0f * QZK_WINOGRAD_B), far_odd,
               vf_fma(vf_set1(0.5f * QZK_WINOGRAD_A), near_odd, m.v5)),
    };
}

/*
 * Channels [c, c + VL) of a tile's 36 pixels to v, whose points are `step` floats apart. Of the
 * last vector of a pixel only `left` channels exist.
 */
VEC_INLINE void winograd_input_vector(const float *const *pixels, int64_t c, const bool whole,
                                      int left, float *v, size_t step)
{
    const vmask mask = vf_mask(whole ? VL : left);
    vf6 rows[QZK_WINOGRAD_IN];
#define INPUT(j) (whole ? vf_load(pixels[j] + c) : vf_load_mask(pixels[j] + c, mask))
    for (int i = 0; i < QZK_WINOGRAD_IN; i++, pixels += QZK_WINOGRAD_IN)
        rows[i] = winograd_input((vf6){INPUT(0), INPUT(1), INPUT(2), INPUT(3), INPUT(4), INPUT(5)});
#undef INPUT
#define COLUMN(j)                                                                           \
    {                                                                                       \
        const vf6 column = winograd_input((vf6){rows[0].v##j, rows[1].v##j, rows[2].v##j,   \
                                                rows[3].v##j, rows[4].v##j, rows[5].v##j}); \
        vf_store(v + (0 * QZK_WINOGRAD_IN + j) * step, column.v0);                          \
        vf_store(v + (1 * QZK_WINOGRAD_IN + j) * step, column.v1);                          \
        vf_store(v + (2 * QZK_WINOGRAD_IN + j) * step, column.v2);                          \
        vf_store(v + (3 * QZK_WINOGRAD_IN + j) * step, column.v3);                          \
        vf_store(v + (4 * QZK_WINOGRAD_IN + j) * step, column.v4);                          \
        vf_store(v + (5 * QZK_WINOGRAD_IN + j) * step, column.v5);                          \
    }
    COLUMN(0) COLUMN(1) COLUMN(2) COLUMN(3) COLUMN(4) COLUMN(5)
#undef COLUMN
}

/* What becomes of a tile's sums. */
typedef struct winograd_outputs {
    float *y;             /* of the tile's first pixel and the vector's first channel */
    int64_t row, pixel;   /* to the next one, in floats */
    int32_t rows, pixels; /* that exist, at most 4 */
    int32_t left;         /* channels that exist: VL or more, or fewer in the last vector */
    vf bias, lo, hi;
} winograd_outputs;

/* A vector of 36 products, `step` floats apart, to at most 16 pixels. */
VEC_INLINE void winograd_output_vector(const float *m, size_t step, const winograd_outputs *o)
{
    vf4 rows[QZK_WINOGRAD_IN];
    for (int i = 0; i < QZK_WINOGRAD_IN; i++, m += QZK_WINOGRAD_IN * step)
        rows[i] = winograd_output((vf6){vf_load(m), vf_load(m + step), vf_load(m + 2 * step),
                                        vf_load(m + 3 * step), vf_load(m + 4 * step),
                                        vf_load(m + 5 * step)});
    const vmask mask = vf_mask(QZI_MIN(o->left, VL));
    float *y = o->y;
#define STORE(i)                                                               \
    if (i < o->rows) {                                                         \
        const vf value = vf_clamp(vf_add(column.v##i, o->bias), o->lo, o->hi); \
        if (o->left >= VL)                                                     \
            vf_store(y + i * o->row, value);                                   \
        else                                                                   \
            vf_store_mask(y + i * o->row, value, mask);                        \
    }
#define COLUMN(j)                                                                            \
    if (j < o->pixels) {                                                                     \
        const vf4 column = winograd_output((vf6){rows[0].v##j, rows[1].v##j, rows[2].v##j,   \
                                                 rows[3].v##j, rows[4].v##j, rows[5].v##j}); \
        STORE(0) STORE(1) STORE(2) STORE(3) y += o->pixel;                                   \
    }
    COLUMN(0) COLUMN(1) COLUMN(2) COLUMN(3)
#undef COLUMN
#undef STORE
}

#endif
