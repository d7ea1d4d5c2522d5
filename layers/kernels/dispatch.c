/* SPDX-License-Identifier: MIT */
/*
 * dispatch.c - which kernels run under an instruction-set ceiling.
 */
#include "layers/base/base.h"
#include "layers/kernels/kernels.h"

#include <string.h>

/* kernels.inc as one array per list, in its order. */
#define PICK_u8s8_conv_u8s8_conv(symbol) &symbol,
#define PICK_u8s8_conv_f32_conv(symbol)
#define PICK_u8s8_conv_f32_winograd(symbol)
#define PICK_f32_conv_u8s8_conv(symbol)
#define PICK_f32_conv_f32_conv(symbol) &symbol,
#define PICK_f32_conv_f32_winograd(symbol)
#define PICK_f32_winograd_u8s8_conv(symbol)
#define PICK_f32_winograd_f32_conv(symbol)
#define PICK_f32_winograd_f32_winograd(symbol) &symbol,

static const qzk_conv_kernel *const all_u8s8_conv[] = {
#define QZK_CONV(list, symbol) PICK_u8s8_conv_##list(symbol)
#include "layers/kernels/kernels.inc"
#undef QZK_CONV
};

static const qzk_conv_kernel *const all_f32_conv[] = {
#define QZK_CONV(list, symbol) PICK_f32_conv_##list(symbol)
#include "layers/kernels/kernels.inc"
#undef QZK_CONV
};

static const qzk_conv_kernel *const all_f32_winograd[] = {
#define QZK_CONV(list, symbol) PICK_f32_winograd_##list(symbol)
#include "layers/kernels/kernels.inc"
#undef QZK_CONV
};

size_t qzk_conv_all(const qzk_conv_kernel *const **all, qzk_conv_list list)
{
    switch (list) {
    case QZK_F32_CONV:
        *all = all_f32_conv;
        return QZI_ARRAY_LEN(all_f32_conv);
    case QZK_U8S8_CONV:
        *all = all_u8s8_conv;
        return QZI_ARRAY_LEN(all_u8s8_conv);
    case QZK_F32_WINOGRAD:
        *all = all_f32_winograd;
        return QZI_ARRAY_LEN(all_f32_winograd);
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

/*
 * The list's last entry is the reference and always has a place. No ceiling allows more kernels
 * than the table has room for; tests/unit/test_dispatch.c would see one left out.
 */
static void fill(const qzk_conv_kernel **list, size_t room, const qzk_conv_kernel *const *all,
                 size_t count, qz_isa ceiling)
{
    size_t used = 0;
    for (size_t i = 0; i + 1 < count; i++)
        if (usable(ceiling, all[i]->isa) && used + 2 < room)
            list[used++] = all[i];
    list[used++] = all[count - 1];
    list[used] = NULL;
}

void qzk_init(qz_kernels *kernels, qz_isa ceiling)
{
    if (ceiling == QZ_ISA_AUTO)
        ceiling = qz_isa_best();
    memset(kernels, 0, sizeof(*kernels));
    kernels->isa = ceiling;
    fill(kernels->f32_conv, QZI_ARRAY_LEN(kernels->f32_conv), all_f32_conv,
         QZI_ARRAY_LEN(all_f32_conv), ceiling);
    fill(kernels->u8s8_conv, QZI_ARRAY_LEN(kernels->u8s8_conv), all_u8s8_conv,
         QZI_ARRAY_LEN(all_u8s8_conv), ceiling);
    fill(kernels->f32_winograd, QZI_ARRAY_LEN(kernels->f32_winograd), all_f32_winograd,
         QZI_ARRAY_LEN(all_f32_winograd), ceiling);
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

const qzk_conv_kernel *qzk_conv_choose(const qzk_conv_kernel *const *list,
                                       const qzk_conv_shape *shape)
{
    for (; *list; list++)
        if ((*list)->supports(shape))
            return *list;
    return NULL;
}
