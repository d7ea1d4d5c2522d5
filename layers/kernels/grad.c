/* SPDX-License-Identifier: MIT */
/* grad.c - which kernels of training run under an instruction-set ceiling. */
#include "layers/kernels/grad.h"
#include "layers/base/base.h"

#include <string.h>

static const qzk_wgrad_kernel *const wgrad[] = {
#define QZK_F32_WGRAD(symbol) &symbol,
#include "layers/kernels/kernels.inc"
};

size_t qzk_wgrad_all(const qzk_wgrad_kernel *const **all)
{
    *all = wgrad;
    return QZI_ARRAY_LEN(wgrad);
}

static bool usable(qz_isa ceiling, qz_isa kernel)
{
    return qzk_isa_allows(ceiling, kernel) && qz_isa_available(kernel);
}

const qzk_wgrad_kernel *qzk_wgrad_choose(qz_isa ceiling, const qzk_conv_shape *shape)
{
    for (size_t i = 0; i < QZI_ARRAY_LEN(wgrad); i++)
        if (usable(ceiling, wgrad[i]->isa) && wgrad[i]->supports(shape))
            return wgrad[i];
    return NULL;
}

void qzk_grad_init(qzk_grad_kernels *kernels, qz_isa ceiling)
{
    memset(kernels, 0, sizeof(*kernels));
    kernels->isa = ceiling == QZ_ISA_AUTO ? qz_isa_best() : ceiling;
    qzk_grad_init_ref(kernels);
#if defined(QZ_ARCH_X86) && defined(QZ_VECTOR_KERNELS)
    if (usable(ceiling, QZ_ISA_AVX2))
        qzk_grad_init_avx2(kernels);
    if (usable(ceiling, QZ_ISA_AVX512))
        qzk_grad_init_avx512(kernels);
#endif
}
