/* SPDX-License-Identifier: MIT */
/*
 * test_dispatch.c - what kernels a ceiling allows, and that nothing of kernels.inc is left out.
 */
#include "layers/base/base.h"
#include "layers/kernels/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void ceilings_contain(void **state)
{
    (void)state;
    static const struct {
        qz_isa ceiling, kernel;
        bool allowed;
    } rules[] = {
        {QZ_ISA_REF, QZ_ISA_REF, true},
        {QZ_ISA_REF, QZ_ISA_AVX2, false},
        {QZ_ISA_AVX2, QZ_ISA_REF, true},
        {QZ_ISA_AVX2, QZ_ISA_AVX2, true},
        {QZ_ISA_AVX2, QZ_ISA_AVXVNNI, false},
        {QZ_ISA_AVX2, QZ_ISA_AVX512, false},
        {QZ_ISA_AVXVNNI, QZ_ISA_AVX2, true},
        {QZ_ISA_AVXVNNI, QZ_ISA_AVX512, false},
        {QZ_ISA_AVX512, QZ_ISA_AVX2, true},
        {QZ_ISA_AVX512, QZ_ISA_AVXVNNI, false},
        {QZ_ISA_AVX512, QZ_ISA_AVX512VNNI, false},
        {QZ_ISA_AVX512VNNI, QZ_ISA_AVX512, true},
        {QZ_ISA_AVX512VNNI, QZ_ISA_AVX2, true},
        {QZ_ISA_AVX512VNNI, QZ_ISA_AVXVNNI, false},
        {QZ_ISA_AVX512VNNI, QZ_ISA_NEON, false},
        {QZ_ISA_AVX512VNNI, QZ_ISA_AMX, false},
        {QZ_ISA_AMX, QZ_ISA_AVX512VNNI, true},
        {QZ_ISA_AMX, QZ_ISA_AVXVNNI, false},
        {QZ_ISA_NEON, QZ_ISA_AVX2, false},
        {QZ_ISA_DOTPROD, QZ_ISA_NEON, true},
        {QZ_ISA_I8MM, QZ_ISA_DOTPROD, true},
        {QZ_ISA_NEON, QZ_ISA_DOTPROD, false},
        {QZ_ISA_COUNT, QZ_ISA_REF, false},
        {QZ_ISA_I8MM, QZ_ISA_COUNT, false},
    };
    for (size_t i = 0; i < QZI_ARRAY_LEN(rules); i++)
        assert_int_equal(qzk_isa_allows(rules[i].ceiling, rules[i].kernel), rules[i].allowed);
    for (int isa = QZ_ISA_REF; isa < QZ_ISA_COUNT; isa++)
        assert_int_equal(qzk_isa_allows(QZ_ISA_AUTO, (qz_isa)isa),
                         qzk_isa_allows(qz_isa_best(), (qz_isa)isa));
}

/* The list holds exactly what may run, in the order of kernels.inc, the reference last. */
static void check_list(const qzk_conv_kernel *const *list, qz_isa ceiling, qzk_conv_list which)
{
    const qzk_conv_kernel *const *all;
    size_t count = qzk_conv_all(&all, which), at = 0;
    assert_true(count > 0);
    assert_int_equal(all[count - 1]->isa, QZ_ISA_REF);
    for (size_t i = 0; i < count; i++)
        if (qzk_isa_allows(ceiling, all[i]->isa) && qz_isa_available(all[i]->isa))
            assert_ptr_equal(list[at++], all[i]);
    assert_null(list[at]);
}

static void tables_are_complete(void **state)
{
    (void)state;
    for (int isa = QZ_ISA_AUTO; isa < QZ_ISA_COUNT; isa++) {
        /* also a ceiling that this CPU does not reach: what it lacks is left out */
        qz_kernels kernels;
        qz_isa ceiling = isa == QZ_ISA_AUTO ? qz_isa_best() : (qz_isa)isa;
        memset(&kernels, 0xff, sizeof(kernels));
        qzk_init(&kernels, (qz_isa)isa);
        assert_int_equal(kernels.isa, ceiling);
        check_list(kernels.u8s8_conv, ceiling, QZK_U8S8_CONV);
        check_list(kernels.f32_conv, ceiling, QZK_F32_CONV);
        check_list(kernels.f32_winograd, ceiling, QZK_F32_WINOGRAD);
        void (*const *function)(void) = (void (*const *)(void)) & kernels.f32_add;
        void (*const *end)(void) = (void (*const *)(void))(&kernels + 1);
        for (; function < end; function++)
            assert_true(*function != NULL);
    }
}

static void kernels_are_described(void **state)
{
    (void)state;
    for (qzk_conv_list which = 0; which < QZK_CONV_LISTS; which++) {
        const qzk_conv_kernel *const *all;
        size_t count = qzk_conv_all(&all, which);
        const bool int8 = which == QZK_U8S8_CONV;
        for (size_t i = 0; i < count; i++) {
            const char *bundle = strstr(all[i]->name, "__");
            assert_non_null(bundle);
            assert_string_equal(bundle + 2, qz_isa_name(all[i]->isa));
            assert_true(strncmp(all[i]->name, int8 ? "u8s8_" : "f32_", int8 ? 5 : 4) == 0);
            assert_true(all[i]->tile_m > 0 && all[i]->tile_n > 0);
            for (size_t k = 0; k < i; k++)
                assert_string_not_equal(all[i]->name, all[k]->name);
        }
    }
}

static void choice_takes_the_first(void **state)
{
    (void)state;
    const qzk_conv_shape dense = {64, 64, 1, 3, 3, 1, 1, 1, 1, 1, 1};
    const qzk_conv_shape odd = {6, 9, 3, 2, 5, 3, 1, 7, 0, 1, 4};
    qz_kernels kernels;
    qzk_init(&kernels, QZ_ISA_REF);
    assert_ptr_equal(qzk_conv_choose(kernels.u8s8_conv, &dense), &qzk_u8s8_conv__ref);
    assert_ptr_equal(qzk_conv_choose(kernels.f32_conv, &odd), &qzk_f32_conv__ref);
    qzk_init(&kernels, QZ_ISA_AUTO);
    for (int i = 0; i < 4; i++) {
        const qzk_conv_kernel *const *list = i & 1 ? kernels.u8s8_conv : kernels.f32_conv;
        const qzk_conv_shape *shape = i & 2 ? &dense : &odd;
        const qzk_conv_kernel *chosen = qzk_conv_choose(list, shape);
        assert_non_null(chosen);
        for (; *list != chosen; list++)
            assert_false((*list)->supports(shape));
        assert_true(chosen->supports(shape));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ceilings_contain),
        cmocka_unit_test(tables_are_complete),
        cmocka_unit_test(kernels_are_described),
        cmocka_unit_test(choice_takes_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
