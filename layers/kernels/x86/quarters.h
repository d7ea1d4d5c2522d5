/* SPDX-License-Identifier: MIT */
/* quarters.h - VB bytes as four vectors of floats and back: sums and products of uint8 values. */
#ifndef QZOO_LAYERS_KERNELS_X86_QUARTERS_H
#define QZOO_LAYERS_KERNELS_X86_QUARTERS_H

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

/* In the order of the unpack instructions, which the pack instructions undo. */
typedef struct quarters {
    vf q[4];
} quarters;

/* What widen takes away: 2^23 + zero point. */
VEC_INLINE vf widen_bias(int32_t zero_point)
{
    return vf_set1(8388608.0f + (float)zero_point);
}

/*
 * (float)(x - zero point). Bytes arrive under the upper half of 2^23 as a float, so that taking
 * the bias away gives the difference, exactly and without a conversion.
 */
VEC_INLINE quarters widen(vb x, vf bias)
{
    const vb zero = vb_zero(), magic = vb_set1_16(0x4b00);
    vb lo = vb_unpack_lo8(x, zero), hi = vb_unpack_hi8(x, zero);
    return (quarters){{vf_sub(vf_from_bits(vb_unpack_lo16(lo, magic)), bias),
                       vf_sub(vf_from_bits(vb_unpack_hi16(lo, magic)), bias),
                       vf_sub(vf_from_bits(vb_unpack_lo16(hi, magic)), bias),
                       vf_sub(vf_from_bits(vb_unpack_hi16(hi, magic)), bias)}};
}

/*
 * Rounds, adds the zero point and clamps. Values must fit int32. Rounding is monotonous, so
 * clamping may follow it, on the bytes, where nothing overflows on the way: saturation clamps to 0
 * and 255, lo and hi come after that.
 */
VEC_INLINE vb narrow(quarters y, vb zero_point, vb lo, vb hi)
{
    vb first = vb_pack32(vf_to_i32(y.q[0]), vf_to_i32(y.q[1]));
    vb second = vb_pack32(vf_to_i32(y.q[2]), vf_to_i32(y.q[3]));
    vb bytes = vb_pack16(vb_adds16(first, zero_point), vb_adds16(second, zero_point));
    return vb_min(vb_max(bytes, lo), hi);
}

#endif
