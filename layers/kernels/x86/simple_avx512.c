/* SPDX-License-Identifier: MIT */
/* simple_avx512.c - the functions of the kernel table other than convolutions, for this bundle. */
#include "layers/kernels/x86/simple_tile.h"

void qzk_init_avx512(qzk_kernels *kernels)
{
    simple_fill(kernels);
}

/* Newer than VNNI, so asked for; the bundle below keeps to what it promises, and is tested so. */
void qzk_init_avx512vnni(qzk_kernels *kernels)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vbmi"))
        kernels->u8_lut = u8_lut_vbmi;
}
