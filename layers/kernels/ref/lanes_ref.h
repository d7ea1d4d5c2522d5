/* SPDX-License-Identifier: MIT */
/* lanes_ref.h - float sums over channels: 16 lanes that are joined in one order, so that any vector
 * width can do the same. */
#ifndef QZOO_LAYERS_KERNELS_REF_LANES_REF_H
#define QZOO_LAYERS_KERNELS_REF_LANES_REF_H

#define QZK_SUM_LANES 16

static inline float qzk_ref_join_lanes(float lane[QZK_SUM_LANES])
{
    for (int width = QZK_SUM_LANES / 2; width >= 1; width /= 2)
        for (int k = 0; k < width; k++)
            lane[k] = lane[k] + lane[k + width];
    return lane[0];
}

#endif
