/* SPDX-License-Identifier: MIT */
/*
 * cut.h - how the work of one convolution is shared among threads. Private.
 *
 * No result depends on it. The op asks qzk_cut_choose for the number of threads and the direction
 * of the cut; a kernel divides its call into units accordingly.
 */
#ifndef QZOO_LAYERS_KERNELS_CUT_H
#define QZOO_LAYERS_KERNELS_CUT_H

#include "layers/kernels/kernels.h"

/* Sets args->ways (1 to `threads`) and args->by_channels from the shape, the views and the kernel's
 * rates. */
void qzk_cut_choose(qzk_conv_args *args, const qzk_conv_kernel *kernel, uint32_t threads);

#endif
