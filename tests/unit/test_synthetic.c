/* SPDX-License-Identifier: MIT */
/* test_synthetic.c - the synthetic calibration images against numpy's (gen/synthetic_goldens.py).
 */
#include "layers/base/base.h"
#include "zoo/qzoo_model.h"

#include <fenv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "synthetic_goldens.inc"

static void test_synthetic(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(synthetic_goldens); i++) {
        int32_t h = synthetic_goldens[i].h, w = synthetic_goldens[i].w;
        size_t bytes = (size_t)h * (size_t)w * 3 * sizeof(float);
        float *out = malloc(bytes);
        fesetround(FE_UPWARD);
        qz_synthetic_image(synthetic_goldens[i].index, h, w, out);
        fesetround(FE_TONEAREST);
        assert_true(qzi_fnv1a_numbers(out, bytes / sizeof(float), sizeof(float), QZI_FNV_OFFSET) ==
                    synthetic_goldens[i].hash);
        free(out);
    }
    float untouched = 7.0f;
    qz_synthetic_image(0, 0, 5, &untouched);
    assert_true(untouched == 7.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_synthetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
