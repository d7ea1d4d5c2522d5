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

static void tables_are_complete(void **state)
{
    (void)state;
    for (int isa = QZ_ISA_AUTO; isa < QZ_ISA_COUNT; isa++) {
        /* also a ceiling that this CPU does not reach: functions that it lacks are left out */
        qzk_kernels kernels;
        qz_isa ceiling = isa == QZ_ISA_AUTO ? qz_isa_best() : (qz_isa)isa;
        memset(&kernels, 0xff, sizeof(kernels));
        qzk_init(&kernels, (qz_isa)isa);
        assert_int_equal(kernels.isa, ceiling);
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
        const bool int8 = which == QZK_LIST_U8S8_CONV;
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

/* Under every ceiling the choice is the first of the whole list that may run and has the shape. */
static void choice_takes_the_first(void **state)
{
    (void)state;
    const qzk_conv_shape shapes[] = {
        {64, 64, 1, 3, 3, 1, 1, 1, 1, 1, 1, false},  /* dense */
        {32, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1, false}, /* depthwise */
        {64, 64, 4, 3, 3, 1, 1, 1, 1, 1, 1, false},  /* grouped */
        {6, 9, 3, 2, 5, 3, 1, 7, 0, 1, 4, false},    /* odd */
    };
    for (qzk_conv_list which = 0; which < QZK_LIST_F32_WINOGRAD; which++) {
        const qzk_conv_kernel *const *all;
        const size_t count = qzk_conv_all(&all, which);
        assert_true(count > 0);
        assert_int_equal(all[count - 1]->isa, QZ_ISA_REF);
        for (int isa = QZ_ISA_REF; isa < QZ_ISA_COUNT; isa++) {
            for (size_t s = 0; s < QZI_ARRAY_LEN(shapes); s++) {
                size_t first = 0;
                while (!qzk_isa_allows((qz_isa)isa, all[first]->isa) ||
                       !qz_isa_available(all[first]->isa) || !all[first]->supports(&shapes[s]))
                    assert_true(++first < count);
                assert_ptr_equal(qzk_conv_choose(which, (qz_isa)isa, &shapes[s]), all[first]);
                assert_true(isa != QZ_ISA_REF || first == count - 1);
            }
        }
    }
}

static void kernels_have_rates(void **state)
{
    (void)state;
    for (qzk_conv_list which = 0; which < QZK_CONV_LISTS; which++) {
        const qzk_conv_kernel *const *all;
        const size_t count = qzk_conv_all(&all, which);
        for (size_t i = 0; i < count; i++) {
            assert_true(all[i]->macs_per_ns > 0);
            assert_int_equal(all[i]->weight_bytes, which == QZK_LIST_U8S8_CONV ? 1 : 4);
            assert_true(all[i]->slow_values >= 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ceilings_contain),      cmocka_unit_test(tables_are_complete),
        cmocka_unit_test(kernels_are_described), cmocka_unit_test(choice_takes_the_first),
        cmocka_unit_test(kernels_have_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
