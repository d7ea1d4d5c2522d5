/* SPDX-License-Identifier: MIT */
/* test_random_fill.c - the seeded fill against its test vectors and the oracles of whole models. */
#include "weights/qzoo_weights.h"

#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static void expect_floats(const float *values, const float *expected, size_t count)
{
    assert_memory_equal(values, expected, count * sizeof(float));
}

static void test_vectors(void **state)
{
    static const float input[] = {-0.80436337f, 0.304720759f, -0.592751503f};
    static const float conv[] = {0.0103028435f, 0.0560369641f, -0.109046474f};
    static const float var[] = {1.14230752f, 1.28675342f, 1.47077882f};
    static const qz_fill_rule rules[] = {{"conv2", 5.0}, {"", 0.8}, {"conv1", 7.0}};
    float values[3 * 147];
    qz_tensor tensor = {QZ_F32, 2, {3, 147}, values};
    (void)state;
    qz_random_uniform("input", "", -0.5, 2.0, 3, values);
    expect_floats(values, input, 3);
    qz_random_uniform("in", "put", -0.5, 2.0, 3,
                      values); /* the suffix goes on where the key ends */
    expect_floats(values, input, 3);
    qz_random_fill("conv1.weight", "", rules, 3, false, &tensor);
    expect_floats(values, conv, 3);
    tensor = (qz_tensor){QZ_F32, 1, {3}, values};
    qz_random_fill("bn1.running_var", "", rules, 3, false, &tensor);
    expect_floats(values, var, 3);
    /* whatever the rounding mode */
    fesetround(FE_UPWARD);
    qz_random_fill("bn1.running_var", "", rules, 3, false, &tensor);
    qz_random_uniform("input", "", -0.5, 2.0, 3, values + 3);
    assert_int_equal(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
    expect_floats(values, var, 3);
    expect_floats(values + 3, input, 3);
}

/* Range [off * mul, (off + 1) * mul) of what a key gets. */
static void expect_range(const char *key, int32_t ndim, bool one_dimensional, float low, float high)
{
    float values[2000], least = INFINITY, most = -INFINITY;
    qz_tensor tensor = {QZ_F32, ndim, {2000}, values};
    if (ndim == 2)
        tensor = (qz_tensor){QZ_F32, 2, {100, 20}, values};
    qz_random_fill(key, "7", NULL, 0, one_dimensional, &tensor);
    for (int i = 0; i < 2000; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    if (least < low || most >= high || least > low + 0.01f * (high - low) ||
        most < high - 0.01f * (high - low))
        fail_msg("%s: [%g, %g] instead of [%g, %g)", key, (double)least, (double)most, (double)low,
                 (double)high);
}

static void test_roles(void **state)
{
    int64_t tracked = 9;
    qz_tensor scalar = {QZ_S64, 0, {0}, &tracked};
    (void)state;
    expect_range("bn.running_mean", 1, false, -0.1f, 0.1f);
    expect_range("bn.running_var", 1, false, 0.5f, 1.5f);
    expect_range("block.layer_scale", 1, false, 0.1f, 0.2f);
    expect_range("backbone.scale_weight", 1, false, 10.0f, 30.0f);
    expect_range("bn.weight", 1, false, 0.5f, 1.5f);
    expect_range("fc.weight", 2, false, -0.38729834f, 0.38729834f); /* sqrt(3 / 20) */
    expect_range("bn.bias", 1, true, -0.1f, 0.1f);
    expect_range("fc.bias", 1, false, -0.05f, 0.05f);
    expect_range("bias", 1, false, -0.05f, 0.05f);
    qz_random_fill("bn.num_batches_tracked", "", NULL, 0, false, &scalar);
    assert_int_equal(tracked, 0);
}

/* ---- whole models ---- */

typedef struct oracle {
    const char *suffix;
    qz_fill_rule rules[64];
    size_t rule_count;
    json_t *samples;
    size_t checked;
    uint64_t sum;
} oracle;

/* "d0xd1x…" or "scalar" */
static void parse_shape(const char *text, qz_tensor *tensor)
{
    tensor->ndim = 0;
    if (strcmp(text, "scalar") == 0)
        return;
    for (char *end;; text = end + 1) {
        tensor->dims[tensor->ndim++] = strtoll(text, &end, 10);
        if (*end != 'x')
            return;
    }
}

/* Whether the weight beside a bias has one dimension; keys.txt lists it before the bias. */
static bool sibling_is_flat(const char *key, const char *last_key, int32_t last_ndim)
{
    size_t prefix = strlen(key) - strlen("bias");
    return strncmp(key, last_key, prefix) == 0 && strcmp(last_key + prefix, "weight") == 0 &&
           last_ndim == 1;
}

static void check_entry(oracle *o, const char *key, bool flat, qz_tensor *tensor)
{
    int64_t count = qz_tensor_numel(tensor);
    float *values = malloc((size_t)count * sizeof(float));
    uint64_t sum = 0;
    assert_non_null(values);
    tensor->data = values;
    qz_random_fill(key, o->suffix, o->rules, o->rule_count, flat, tensor);
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof(bits));
        sum += ((uint64_t)i + 1) * bits;
    }
    o->sum += sum;
    for (size_t i = 0; i < json_array_size(o->samples); i++) {
        json_t *sample = json_array_get(o->samples, i), *first = json_array_get(sample, 2);
        if (strcmp(json_string_value(json_array_get(sample, 0)), key) != 0)
            continue;
        for (size_t k = 0; k < json_array_size(first); k++)
            assert_true(values[k] == (float)json_number_value(json_array_get(first, k)));
        assert_true(strtoull(json_string_value(json_array_get(sample, 3)), NULL, 16) == sum);
        o->checked++;
    }
    free(values);
}

static void check_model(const char *folder, const char *model, json_t *json)
{
    oracle o = {.suffix = json_string_value(json_object_get(json, "seed_suffix")),
                .samples = json_object_get(json, "fill_samples")};
    json_t *rules = json_object_get(json, "gain_rules");
    char path[1024], line[512], last_key[512] = "";
    int32_t last_ndim = 0;
    for (size_t i = 0; i < json_array_size(rules) && i < 64; i++, o.rule_count++) {
        json_t *rule = json_array_get(rules, i);
        o.rules[i].substring = json_string_value(json_array_get(rule, 0));
        o.rules[i].gain = json_number_value(json_array_get(rule, 1));
    }
    snprintf(path, sizeof(path), "%s/goldens/%s.keys.txt", folder, model);
    FILE *keys = fopen(path, "r");
    assert_non_null(keys);
    while (fgets(line, sizeof(line), keys)) {
        qz_tensor tensor = {.dtype = QZ_F32};
        char *tab = strchr(line, '\t');
        assert_non_null(tab);
        *tab = '\0';
        tab[1 + strcspn(tab + 1, "\n")] = '\0';
        parse_shape(tab + 1, &tensor);
        const char *dot = strrchr(line, '.'), *leaf = dot ? dot + 1 : line;
        bool flat = strcmp(leaf, "bias") == 0 && sibling_is_flat(line, last_key, last_ndim);
        if (strcmp(leaf, "num_batches_tracked") != 0)
            check_entry(&o, line, flat, &tensor);
        snprintf(last_key, sizeof(last_key), "%s", line);
        last_ndim = tensor.ndim;
    }
    fclose(keys);
    assert_int_equal(o.checked, json_array_size(o.samples));
    assert_true(o.checked > 0);
    const char *total = json_string_value(json_object_get(json, "fill_wsum_total"));
    if (strtoull(total, NULL, 16) != o.sum)
        fail_msg("%s: fill_wsum_total %016llx instead of %s", model, (unsigned long long)o.sum,
                 total);
}

static void test_models(void **state)
{
    static const char *const models[] = {"resnet18",
                                         "mobilenet_v2",
                                         "convnext_tiny",
                                         "densenet121",
                                         "squeezenet1_1",
                                         "googlenet",
                                         "ssd300_vgg16",
                                         "mnasnet1_0",
                                         "maskrcnn_resnet50_fpn",
                                         "retinanet_resnet50_fpn_v2"};
    const char *folder = getenv("QZOO_TEST_DATA");
    char path[1024];
    size_t done = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        json_error_t error;
        snprintf(path, sizeof(path), "%s/goldens/%s.json", folder ? folder : "", models[i]);
        json_t *json = json_load_file(path, 0, &error);
        if (!json) {
            printf("skipped: %s is missing\n", path);
            continue;
        }
        check_model(folder, models[i], json);
        json_decref(json);
        done++;
    }
    if (done == 0)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors), cmocka_unit_test(test_roles),
                                       cmocka_unit_test(test_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
