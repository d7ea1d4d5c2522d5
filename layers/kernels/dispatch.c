/* SPDX-License-Identifier: MIT */
/*
 * dispatch.c - which kernels run under an instruction-set ceiling.
 */
#include "layers/base/base.h"
#include "layers/kernels/kernels.h"

#include <string.h>

#define ENTRY(symbol) &symbol,

static const qzk_conv_kernel *const f32_conv[] = {
#define QZK_F32_CONV ENTRY
#include "layers/kernels/kernels.inc"
};

static const qzk_conv_kernel *const u8s8_conv[] = {
#define QZK_U8S8_CONV ENTRY
#include "layers/kernels/kernels.inc"
};

static const qzk_conv_kernel *const f32_winograd[] = {
#define QZK_F32_WINOGRAD ENTRY
#include "layers/kernels/kernels.inc"
};

size_t qzk_conv_all(const qzk_conv_kernel *const **all, qzk_conv_list list)
{
    switch (list) {
    case QZK_LIST_F32_CONV:
        *all = f32_conv;
        return QZI_ARRAY_LEN(f32_conv);
    case QZK_LIST_U8S8_CONV:
        *all = u8s8_conv;
        return QZI_ARRAY_LEN(u8s8_conv);
    case QZK_LIST_F32_WINOGRAD:
        *all = f32_winograd;
        return QZI_ARRAY_LEN(f32_winograd);
    default:
        *all = NULL;
        return 0;
    }
}

#define BIT(isa) (1u << (isa))

/* The bundles that each bundle contains; all contain the reference. */
static const unsigned contained[QZ_ISA_COUNT] = {
    [QZ_ISA_REF] = BIT(QZ_ISA_REF),
    [QZ_ISA_AVX2] = BIT(QZ_ISA_REF) | BIT(QZ_ISA_AVX2),
    [QZ_ISA_AVXVNNI] = BIT(QZ_ISA_REF) | BIT(QZ_ISA_AVX2) | BIT(QZ_ISA_AVXVNNI),
    [QZ_ISA_AVX512] = BIT(QZ_ISA_REF) | BIT(QZ_ISA_AVX2) | BIT(QZ_ISA_AVX512),
    [QZ_ISA_AVX512VNNI] =
        BIT(QZ_ISA_REF) | BIT(QZ_ISA_AVX2) | BIT(QZ_ISA_AVX512) | BIT(QZ_ISA_AVX512VNNI),
    [QZ_ISA_AMX] = BIT(QZ_ISA_REF) | BIT(QZ_ISA_AVX2) | BIT(QZ_ISA_AVX512) |
                   BIT(QZ_ISA_AVX512VNNI) | BIT(QZ_ISA_AMX),
    [QZ_ISA_NEON] = BIT(QZ_ISA_REF) | BIT(QZ_ISA_NEON),
    [QZ_ISA_DOTPROD] = BIT(QZ_ISA_REF) | BIT(QZ_ISA_NEON) | BIT(QZ_ISA_DOTPROD),
    [QZ_ISA_I8MM] = BIT(QZ_ISA_REF) | BIT(QZ_ISA_NEON) | BIT(QZ_ISA_DOTPROD) | BIT(QZ_ISA_I8MM),
};

bool qzk_isa_allows(qz_isa ceiling, qz_isa kernel)
{
    if (ceiling == QZ_ISA_AUTO)
        ceiling = qz_isa_best();
    return ceiling < QZ_ISA_COUNT && kernel < QZ_ISA_COUNT &&
           (contained[ceiling] & BIT(kernel)) != 0;
}

static bool usable(qz_isa ceiling, qz_isa kernel)
{
    return qzk_isa_allows(ceiling, kernel) && qz_isa_available(kernel);
}

void qzk_init(qzk_kernels *kernels, qz_isa ceiling)
{
    if (ceiling == QZ_ISA_AUTO)
        ceiling = qz_isa_best();
    memset(kernels, 0, sizeof(*kernels));
    kernels->isa = ceiling;
    qzk_init_ref(kernels);
#if defined(QZ_ARCH_X86) && defined(QZ_VECTOR_KERNELS)
    if (usable(ceiling, QZ_ISA_AVX2))
        qzk_init_avx2(kernels);
    if (usable(ceiling, QZ_ISA_AVX512))
        qzk_init_avx512(kernels);
    if (usable(ceiling, QZ_ISA_AVX512VNNI))
        qzk_init_avx512vnni(kernels);
#endif
}

const qzk_conv_kernel *qzk_conv_choose(qzk_conv_list list, qz_isa ceiling,
                                       const qzk_conv_shape *shape)
{
    const qzk_conv_kernel *const *all;
    const size_t count = qzk_conv_all(&all, list);
    for (size_t i = 0; i < count; i++)
        if (usable(ceiling, all[i]->isa) && all[i]->supports(shape))
            return all[i];
    return NULL;
}
