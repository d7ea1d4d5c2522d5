/* SPDX-License-Identifier: MIT */
/*
 * test_aux_heads.c - the auxiliary heads of googlenet and inception_v3 are not run: a file whose
 * heads have other classes than its last layer, or that has none, loads all the same.
 */
#include "zoo/model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "assert_ok.h"

static qz_model *make(qz_context *ctx, const char *name, int32_t classes)
{
    qz_model *model = NULL;
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    o.num_classes = classes;
    o.skip_fuse = true;
    ASSERT_OK(ctx, qz_model_create(ctx, name, &o, &model));
    return model;
}

static bool is_aux(const char *key)
{
    return strncmp(key, "aux", 3) == 0 || strncmp(key, "AuxLogits", 9) == 0;
}

/* The body and last layer of `model`; heads of `aux`, or none. */
static qz_state_dict *mix(qz_context *ctx, const qz_model *model, const qz_model *aux)
{
    qz_state_dict *dict = NULL;
    ASSERT_OK(ctx, qz_state_dict_create(ctx, &dict));
    for (size_t i = 0; i < model->graph->param_count; i++) {
        const qzi_param *own = &model->graph->params[i];
        const qzi_param *param = is_aux(own->key) && aux ? &aux->graph->params[i] : own;
        if (aux || !is_aux(own->key))
            ASSERT_OK(ctx, qz_state_dict_add(dict, param->key, &param->tensor));
    }
    return dict;
}

static void check(const char *name)
{
    qz_context *ctx = NULL;
    ASSERT_OK(NULL, qz_context_create(NULL, &ctx));
    qz_model *seven = make(ctx, name, 7), *thousand = make(ctx, name, 1000);
    for (int heads = 0; heads < 2; heads++) {
        for (int32_t asked = 0; asked <= 7; asked += 7) {
            qz_state_dict *dict = mix(ctx, seven, heads ? thousand : NULL);
            qz_model_options o = QZ_MODEL_OPTIONS_INIT;
            qz_model *model = NULL;
            qz_model_info info;
            o.state_dict = dict;
            o.weights = "fine-tuned";
            o.num_classes = asked;
            ASSERT_OK(ctx, qz_model_create(ctx, name, &o, &model));
            qz_model_get_info(model, &info);
            assert_int_equal(info.num_classes, 7);
            assert_false(info.random_weights);
            qz_model_destroy(model);
            qz_state_dict_destroy(dict);
        }
    }
    qz_model_destroy(thousand);
    qz_model_destroy(seven);
    qz_context_destroy(ctx);
}

static void test_googlenet(void **state)
{
    (void)state;
    check("googlenet");
}

static void test_inception_v3(void **state)
{
    (void)state;
    check("inception_v3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_googlenet),
                                       cmocka_unit_test(test_inception_v3)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
