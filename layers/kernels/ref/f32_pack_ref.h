/* SPDX-License-Identifier: MIT */
/* f32_pack_ref.h - how the float reference convolutions lay out what they packed. */
#ifndef QZOO_LAYERS_KERNELS_REF_F32_PACK_REF_H
#define QZOO_LAYERS_KERNELS_REF_F32_PACK_REF_H

#include "layers/kernels/ref/conv_ref.h"

/* Packed: this header, then at these offsets bias, weights and the row of zeros for padding. */
typedef struct qzk_ref_f32_layout {
    size_t bias, weights, pad_row, size;
} qzk_ref_f32_layout;

typedef struct qzk_ref_f32_header {
    bool exact; /* some weight is tiny: the fast way of fma_ref.h is not to be used */
} qzk_ref_f32_header;

/* depth: weights of one output channel. */
static inline qzk_ref_f32_layout qzk_ref_f32_layout_of(const qzk_conv_shape *s, size_t depth)
{
    size_t lanes = (size_t)qzk_ref_blocks(s) * QZK_REF_LANES;
    qzk_ref_f32_layout l;
    l.bias = QZI_ROUND_UP(sizeof(qzk_ref_f32_header), QZI_ALIGN);
    l.weights = l.bias + lanes * sizeof(float);
    l.pad_row = l.weights + lanes * depth * sizeof(float);
    l.size = l.pad_row + (size_t)s->ic * sizeof(float);
    return l;
}

#endif
