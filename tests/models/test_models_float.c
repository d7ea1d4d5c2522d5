/* SPDX-License-Identifier: MIT */
/*
 * test_models_float.c - float outputs, and values on the way, against torchvision's (goldens): the
 * unfused model by module, the fused one by its output; and bytes that do not depend on the
 * instruction set.
 *
 * Without an argument the quick models, one or two of each family; with --all every architecture;
 * else those that are named.
 */
#include "golden.h"
#include "zoo/model/model_build.h"
#include "zoo/model/weights_random.h"
#include "zoo/qzoo_segmentation.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Summation order alone gives about 1e-6; the limit is FORMAT.md's. */
#define TOLERANCE 1e-4
/* Folding the batch norms may not move the output further than this from the unfused model's. */
#define FUSE_TOLERANCE 1e-5

static const char *const quick[] = {
    "resnet18",
    "resnet50",
    "mobilenet_v2",
    "squeezenet1_1",
    "densenet121",
    "mnasnet0_75",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "googlenet",
    "inception_v3",
    "efficientnet_b0",
    "convnext_tiny",
    "vgg11_bn",
    "fcn_resnet50",
    "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
};
/* Small enough for the reference kernels. */
static const char *const small[] = {"squeezenet1_1", "mobilenet_v2", "shufflenet_v2_x0_5",
                                    "mobilenet_v3_small"};

static bool all_models;
static char **named;
static int named_count;

static qz_context *context(qz_isa isa)
{
    qz_context *ctx = NULL;
    qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
    options.isa = isa;
    assert_int_equal(qz_context_create(&options, &ctx), QZ_OK);
    return ctx;
}

static qz_session *session_of(qz_context *ctx, qz_model *model, bool no_winograd, uint32_t threads)
{
    qz_session *s = NULL;
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    options.no_winograd = no_winograd;
    options.threads = threads;
    if (qz_session_create(model, &options, &s) != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    return s;
}

static qz_session *session(qz_context *ctx, qz_model *model)
{
    return session_of(ctx, model, false, 0);
}

static const qz_tensor *run(qz_context *ctx, qz_session *s, const qz_tensor *input)
{
    const qz_tensor *output = NULL;
    if (qz_session_run(s, input) != QZ_OK || qz_session_output(s, 0, NULL, &output) != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    return output;
}

/* Compares each module output that the golden records, as it passes. */
struct mids {
    const json_t *records;
    const qz_session *session;
    size_t seen;
    double worst;
};

static qz_status check_mid(void *user, const char *name, const qz_tensor *value,
                           const qz_tensor *bytes)
{
    struct mids *mids = user;
    const char *module;
    json_t *record;
    assert_null(bytes);
    json_object_foreach((json_t *)mids->records, module, record)
    {
        const char *node = qz_session_node_name(mids->session, module);
        assert_non_null(node);
        if (strcmp(node, name) != 0)
            continue;
        double difference = golden_difference(record, value);
        if (!(difference < TOLERANCE))
            fail_msg("%s: difference %g", module, difference);
        mids->worst = fmax(mids->worst, difference);
        mids->seen++;
    }
    return QZ_OK;
}

static double check_output(const char *what, const json_t *record, const qz_tensor *output)
{
    double difference = golden_difference(record, output);
    if (!(difference < TOLERANCE))
        fail_msg("%s: difference %g", what, difference);
    return difference;
}

/* The record of a classifier's output, or of a segmenter's "out". */
static const json_t *main_record(const json_t *golden)
{
    const json_t *record = json_object_get(golden, "output");
    return record ? record : json_object_get(json_object_get(golden, "outputs"), "out");
}

/* A segmenter's auxiliary head, which a session computes where it is named; and the classes. */
static void check_segmenter(qz_context *ctx, qz_model *model, const json_t *golden,
                            const qz_tensor *input, const qz_tensor *alt)
{
    static const char *const names[2] = {"out", "aux"};
    const json_t *outputs = json_object_get(golden, "outputs");
    if (!outputs)
        return;
    qz_session *s = NULL;
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    options.outputs = names;
    options.output_count = json_object_size(outputs);
    assert_int_equal(qz_session_create(model, &options, &s), QZ_OK);
    for (int which = 0; which < 2; which++) {
        const json_t *records =
            which ? json_object_get(json_object_get(golden, "alt"), "outputs") : outputs;
        run(ctx, s, which ? alt : input);
        for (size_t i = 0; i < options.output_count; i++) {
            const qz_tensor *output;
            assert_int_equal(qz_session_output(s, i, NULL, &output), QZ_OK);
            check_output(names[i], json_object_get(records, names[i]), output);
        }
    }
    run(ctx, s, input);
    const qz_segmentation *map = NULL;
    assert_int_equal(qz_session_segmentation(s, 0, &map), QZ_OK);
    const json_t *hist = json_object_get(json_object_get(golden, "argmax"), "hist");
    assert_int_equal(json_array_size(hist), map->num_classes);
    int64_t moved = 0; /* pixels whose best two classes are nearly equal may differ */
    for (int32_t c = 0; c < map->num_classes; c++)
        moved += llabs(map->pixels[c] - json_integer_value(json_array_get(hist, (size_t)c)));
    assert_in_range(moved, 0, map->width * map->height / 2000);
    qz_session_destroy(s);
}

/* The output with transform_input, where the golden has it. */
static void check_transform_input(const char *name, const json_t *golden, const qz_tensor *input)
{
    const json_t *record = json_object_get(golden, "transform_input_true");
    if (!record)
        return;
    qz_context *ctx = context(QZ_ISA_AUTO);
    qz_model *model = NULL;
    const char *suffix = json_string_value(json_object_get(golden, "seed_suffix"));
    assert_int_equal(qzi_model_alloc(ctx, qzi_arch_get(name), &model), QZ_OK);
    assert_int_equal(qzi_model_build(model, &(qzi_build_options){.transform_input = true,
                                                                 .no_aux_logits = true}),
                     QZ_OK);
    assert_int_equal(qzi_weights_fill_arch(model->graph, model->arch, suffix), QZ_OK);
    assert_int_equal(qzi_model_fuse(model), QZ_OK);
    qz_session *s = session(ctx, model);
    double difference =
        check_output("transform_input", json_object_get(record, "output"), run(ctx, s, input));
    printf("%-18s transform_input %.1e\n", name, difference);
    qz_session_destroy(s);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

static bool check_model(const char *name)
{
    json_t *golden = golden_load(name);
    if (!golden)
        return false;
    qz_context *ctx = context(QZ_ISA_AUTO);
    qz_tensor input = golden_input(golden, false), alt = golden_input(golden, true);

    qz_model *model = golden_model(ctx, name, golden, false);
    assert_non_null(model);
    qz_session *s = session(ctx, model);
    struct mids mids = {.records = json_object_get(golden, "mids"), .session = s};
    qz_session_set_node_hook(s, check_mid, &mids);
    const qz_tensor *output = run(ctx, s, &input);
    assert_int_equal(mids.seen, json_object_size(mids.records));
    double plain = check_output("unfused", main_record(golden), output);
    size_t count = (size_t)qz_tensor_numel(output);
    float *unfused = malloc(count * sizeof(*unfused));
    assert_non_null(unfused);
    memcpy(unfused, output->data, count * sizeof(*unfused));
    qz_session_destroy(s);
    qz_model_destroy(model);

    model = golden_model(ctx, name, golden, true);
    assert_non_null(model);
    s = session(ctx, model);
    output = run(ctx, s, &input);
    double fused = check_output("fused", main_record(golden), output);
    double folding = relative_l2(unfused, output->data, count);
    assert_true(folding <= FUSE_TOLERANCE);
    output = run(ctx, s, &alt);
    double other = check_output("alt", main_record(json_object_get(golden, "alt")), output);
    qz_session *direct = session_of(ctx, model, true, 0);
    double without = check_output("no_winograd", main_record(golden), run(ctx, direct, &input));
    printf("%-18s mids %.1e unfused %.1e fused %.1e alt %.1e folding %.1e no_winograd %.1e\n", name,
           mids.worst, plain, fused, other, folding, without);
    qz_session_destroy(direct);
    check_segmenter(ctx, model, golden, &input, &alt);
    check_transform_input(name, golden, &input);
    fflush(stdout);

    qz_session_destroy(s);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    free(unfused);
    free(input.data);
    free(alt.data);
    json_decref(golden);
    return true;
}

static void test_goldens(void **state)
{
    (void)state;
    size_t checked = 0;
    if (all_models) {
        for (size_t i = 0; i < qz_arch_count(); i++) {
            qz_arch_info arch;
            qz_arch_at(i, &arch);
            /* of other tasks: test_detectors */
            checked += strcmp(arch.task, "classification") == 0 && check_model(arch.name);
        }
    } else if (named_count > 0) {
        for (int i = 0; i < named_count; i++)
            checked += check_model(named[i]);
    } else {
        for (size_t i = 0; i < QZI_ARRAY_LEN(quick); i++)
            checked += check_model(quick[i]);
    }
    if (checked == 0)
        skip();
}

static uint64_t hash_of(const qz_tensor *output)
{
    return qzi_fnv1a(output->data, (size_t)qz_tensor_numel(output) * sizeof(float), QZI_FNV_OFFSET);
}

/* The reference speaks for all: the same bytes from every bundle and any number of threads. */
static void test_isas(void **state)
{
    (void)state;
    size_t checked = 0;
    for (size_t i = 0; i < QZI_ARRAY_LEN(small); i++) {
        json_t *golden = golden_load(small[i]);
        if (!golden)
            continue;
        qz_tensor input = golden_input(golden, false);
        uint64_t reference[2] = {0};
        for (int isa = QZ_ISA_REF; isa < QZ_ISA_COUNT; isa++) {
            if (!qz_isa_available((qz_isa)isa))
                continue;
            qz_context *ctx = context((qz_isa)isa);
            qz_model *model = golden_model(ctx, small[i], golden, true);
            assert_non_null(model);
            for (int direct = 0; direct < 2; direct++) {
                qz_session *s = session_of(ctx, model, direct != 0, (uint32_t)isa % 3 + 1);
                const qz_tensor *output = run(ctx, s, &input);
                check_output(qz_isa_name((qz_isa)isa), json_object_get(golden, "output"), output);
                if (isa == QZ_ISA_REF)
                    reference[direct] = hash_of(output);
                if (hash_of(output) != reference[direct])
                    fail_msg("%s: %s gives other bytes than ref", small[i],
                             qz_isa_name((qz_isa)isa));
                qz_session_destroy(s);
            }
            qz_model_destroy(model);
            qz_context_destroy(ctx);
            checked++;
        }
        free(input.data);
        json_decref(golden);
    }
    if (checked == 0)
        skip();
}

int main(int argc, char **argv)
{
    all_models = argc > 1 && strcmp(argv[1], "--all") == 0;
    if (!all_models && argc > 1) {
        named = argv + 1;
        named_count = argc - 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_isas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
