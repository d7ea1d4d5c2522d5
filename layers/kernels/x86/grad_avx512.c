/* SPDX-License-Identifier: MIT */
/* grad_avx512.c - the kernels of training for this bundle. */
#include "layers/kernels/grad_loops.h"
#include "layers/kernels/x86/dwgrad_tile.h"
#include "layers/kernels/x86/wgrad_tile.h"

void qzk_grad_init_avx512(qzk_grad_kernels *kernels)
{
    grad_fill(kernels);
}
