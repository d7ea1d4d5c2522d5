/* SPDX-License-Identifier: MIT */
/* simple_avx2.c - the functions of the kernel table other than convolutions, for this bundle. */
#include "layers/kernels/x86/simple_tile.h"

void qzk_init_avx2(qzk_kernels *kernels)
{
    simple_fill(kernels);
}
