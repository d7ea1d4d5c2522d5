/* SPDX-License-Identifier: MIT */
/* grad_ref.c - the reference's functions of training. */
#include "layers/kernels/grad_loops.h"

void qzk_grad_init_ref(qzk_grad_kernels *kernels)
{
    grad_fill(kernels);
}
