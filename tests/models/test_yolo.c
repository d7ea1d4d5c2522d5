/* SPDX-License-Identifier: MIT */
/*
 * test_yolo.c - the YOLO networks with the goldens' weights: inner values and raw heads of an image
 * and of a structured batch, unfused, fused and divided; YOLOv3 with SiLU; keys, numbers, MACs.
 *
 * The int8 graph: no node stays fp32, boxes, objectness and classes have scales of their own, fused
 * or not; the heads alone in fp32; the same bytes of every instruction set and thread count.
 *
 *   test_yolo [--all | MODEL…]
 */
#include "golden.h"
#include "layers/graph/exec.h"
#include "zoo/detection/detector.h"
#include "zoo/model/model_build.h"
#include "zoo/model/weights_random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* FORMAT-YOLO.md's for another order of summation. */
#define TOLERANCE 1e-4

static const char *const all[] = {"yolov5n", "yolov5s", "yolov5m", "yolov5l",
                                  "yolov5x", "yolov3",  "yolov4"};
#define QUICK 2

static const char *const *names = all;
static size_t name_count = QUICK;

struct runner {
    const qz_graph *graph;
    qzi_packed *packed;
    qzi_exec *exec;
};

static void run(struct runner *r, const qz_graph *graph, const qz_tensor *image)
{
    const qzi_exec_input input = {.tensor = image};
    r->graph = graph;
    assert_int_equal(qzi_packed_create(graph, QZ_ISA_AUTO, &r->packed), QZ_OK);
    assert_int_equal(qzi_exec_create(r->packed, graph, 0, &r->exec), QZ_OK);
    if (qzi_exec_run_inputs(r->exec, &input, 1) != QZ_OK)
        fail_msg("%s", qz_context_message(graph->ctx));
}

static void done(struct runner *r)
{
    qzi_exec_destroy(r->exec);
    qzi_packed_destroy(r->packed);
}

static qz_tensor output_of(const struct runner *r, const char *name, int32_t level)
{
    char full[64];
    snprintf(full, sizeof(full), "%s.%d", name, (int)level);
    for (size_t i = 0; i < r->graph->output_count; i++) {
        qz_tensor out = {0};
        if (strcmp(r->graph->outputs[i].name, full) != 0)
            continue;
        assert_int_equal(qzi_exec_output_shape(r->exec, i, &out), QZ_OK);
        out.data = malloc((size_t)qz_tensor_numel(&out) * sizeof(float));
        assert_non_null(out.data);
        qzi_exec_output(r->exec, i, out.data);
        return out;
    }
    fail_msg("no output %s", full);
    return (qz_tensor){0};
}

/* The three outputs of a level as the one that torch has: anchors * (4 + 1 + classes) channels. */
static qz_tensor head_of(const struct runner *r, int32_t level)
{
    static const char *const parts[] = {"bbox_regression", "objectness", "cls_logits"};
    qz_tensor head = {.dtype = QZ_F32, .ndim = 4}, part[3];
    int64_t entries = 0, first = 0;
    for (size_t i = 0; i < 3; i++) {
        part[i] = output_of(r, parts[i], level);
        entries += part[i].dims[1] / 3;
    }
    memcpy(head.dims, part[0].dims, sizeof(head.dims));
    head.dims[1] = 3 * entries;
    const int64_t n = head.dims[0];
    const size_t plane = (size_t)(head.dims[2] * head.dims[3]);
    float *to = malloc((size_t)qz_tensor_numel(&head) * sizeof(*to));
    assert_non_null(to);
    for (size_t i = 0; i < 3; i++) {
        const int64_t run_length = part[i].dims[1] / 3;
        const float *from = part[i].data;
        for (int64_t row = 0; row < n * 3; row++)
            memcpy(to + (size_t)(row * entries + first) * plane,
                   from + (size_t)(row * run_length) * plane,
                   (size_t)run_length * plane * sizeof(*to));
        first += run_length;
        free(part[i].data);
    }
    head.data = to;
    return head;
}

static double check_heads(const struct runner *r, const json_t *heads)
{
    double worst = 0.0;
    for (int32_t level = 0; level < 3; level++) {
        qz_tensor head = head_of(r, level);
        const json_t *record = json_array_get(heads, (size_t)level);
        if (!record) { /* by name, the finest first */
            static const char *const keys[] = {"p3_stride8", "p4_stride16", "p5_stride32"};
            record = json_object_get(heads, keys[level]);
        }
        const double difference = golden_difference(record, &head);
        if (!(difference < TOLERANCE))
            fail_msg("head %d: difference %g", (int)level, difference);
        worst = fmax(worst, difference);
        free(head.data);
    }
    return worst;
}

/* "mids": the output of every module that the golden has. */
static double check_mids(qz_model *model, const json_t *golden, const qz_tensor *image)
{
    const json_t *record;
    const char *key;
    qz_graph *graph = NULL;
    struct runner r;
    double worst = 0.0;
    size_t i = 0;
    assert_int_equal(qzi_graph_clone(model->graph, true, &graph), QZ_OK);
    const size_t first = graph->output_count;
    json_object_foreach((json_t *)json_object_get(golden, "mids"), key, record)
    {
        const qz_value value = qzi_graph_find(graph, key);
        if (value < 0)
            fail_msg("no module %s", key);
        qz_graph_output(graph, key, value);
    }
    run(&r, graph, image);
    json_object_foreach((json_t *)json_object_get(golden, "mids"), key, record)
    {
        qz_tensor out = {0};
        assert_int_equal(qzi_exec_output_shape(r.exec, first + i, &out), QZ_OK);
        out.data = malloc((size_t)qz_tensor_numel(&out) * sizeof(float));
        assert_non_null(out.data);
        qzi_exec_output(r.exec, first + i++, out.data);
        const double difference = golden_difference(record, &out);
        if (!(difference < TOLERANCE))
            fail_msg("%s: difference %g", key, difference);
        worst = fmax(worst, difference);
        free(out.data);
    }
    done(&r);
    qz_graph_destroy(graph);
    return worst;
}

/* In [0, 1), or the structured batch. */
static qz_tensor image_of(const json_t *golden, bool alt)
{
    if (alt)
        return golden_input(golden, true);
    const json_t *shape = json_object_get(json_object_get(golden, "input"), "shape");
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4};
    for (size_t i = 0; i < 4; i++)
        image.dims[i] = json_integer_value(json_array_get(shape, i));
    image.data = malloc((size_t)qz_tensor_numel(&image) * sizeof(float));
    assert_non_null(image.data);
    qz_random_uniform("input", "", 0.0, 1.0, qz_tensor_numel(&image), image.data);
    return image;
}

static void check_numbers(const qz_model *model, const json_t *golden)
{
    int64_t floats = 0;
    for (size_t i = 0; i < model->graph->param_count; i++)
        if (model->graph->params[i].tensor.dtype == QZ_F32)
            floats += qz_tensor_numel(&model->graph->params[i].tensor);
    assert_int_equal(floats, json_integer_value(json_object_get(golden, "state_dict_float_elems")));
    assert_int_equal(model->graph->param_count,
                     json_integer_value(json_object_get(golden, "state_dict_entries")));
    assert_int_equal(model->params, json_integer_value(json_object_get(golden, "params")));
    assert_int_equal(model->macs, json_integer_value(json_object_get(golden, "macs")));
}

static double check_input(const qz_graph *graph, const json_t *golden, bool alt,
                          const json_t *heads)
{
    struct runner r;
    qz_tensor image = image_of(golden, alt);
    run(&r, graph, &image);
    const double worst = check_heads(&r, heads);
    done(&r);
    free(image.data);
    return worst;
}

static bool check_model(const char *name)
{
    json_t *golden = golden_load(name);
    if (!golden)
        return false;
    const json_t *heads = json_object_get(golden, "heads");
    const json_t *alt = json_object_get(json_object_get(golden, "alt"), "heads");
    for (int fuse = 0; fuse < 2; fuse++) {
        qz_context *ctx = NULL;
        assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
        qz_model *model = golden_model(ctx, name, golden, fuse != 0);
        assert_non_null(model);
        if (!fuse)
            check_numbers(model, golden);
        qz_tensor image = image_of(golden, false);
        const double mids = check_mids(model, golden, &image);
        free(image.data);
        printf("%-8s %s heads %.1e alt %.1e mids %.1e\n", name, fuse ? "fused  " : "unfused",
               check_input(model->graph, golden, false, heads),
               check_input(model->graph, golden, true, alt), mids);
        fflush(stdout);
        qz_model_destroy(model);
        qz_context_destroy(ctx);
    }
    const json_t *silu = json_object_get(golden, "variant_act_silu");
    if (silu) {
        qz_context *ctx = NULL;
        qz_model *model = NULL;
        const qzi_arch *arch = qzi_arch_get(name);
        assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
        assert_int_equal(qzi_model_alloc(ctx, arch, &model), QZ_OK);
        assert_int_equal(qzi_model_build(model, &(qzi_build_options){.activation = QZ_ACT_SILU}),
                         QZ_OK);
        assert_int_equal(qzi_weights_fill_arch(model->graph, arch, ""), QZ_OK);
        assert_int_equal(qzi_model_fuse(model), QZ_OK);
        printf("%-8s SiLU    heads %.1e\n", name,
               check_input(model->graph, golden, false, json_object_get(silu, "heads")));
        qz_model_destroy(model);
        qz_context_destroy(ctx);
    }
    json_decref(golden);
    return true;
}

static void test_goldens(void **state)
{
    (void)state;
    size_t checked = 0;
    for (size_t i = 0; i < name_count; i++)
        checked += check_model(names[i]);
    if (checked == 0)
        skip();
}

/* ---- int8 ---- */

static qz_model *int8_model(qz_context *ctx, const char *name, const char *backend, bool fuse,
                            bool float_heads)
{
    qz_model *model = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.quantize = true;
    options.skip_fuse = !fuse;
    options.float_heads = float_heads;
    assert_true(qz_backend_parse(backend, &options.backend));
    if (qz_model_create(ctx, name, &options, &model) != QZ_OK ||
        qz_model_calibrate_synthetic(model, 1) != QZ_OK || qz_model_convert(model) != QZ_OK)
        fail_msg("%s: %s", name, qz_context_message(ctx));
    return model;
}

static size_t fallbacks_of(const qz_graph *graph)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        count += graph->nodes[i].fallback != NULL;
    return count;
}

/* Every output is a convolution of its own, with a scale of its own. */
static void check_outputs(const qz_graph *graph)
{
    assert_int_equal(graph->output_count, 9);
    for (size_t i = 0; i < 9; i++) {
        const qzi_node *node = &graph->nodes[graph->outputs[i].value];
        assert_int_equal(node->op, QZI_OP_CONV2D);
        assert_int_equal(node->dtype, QZ_U8);
        for (size_t k = 0; k < i; k++)
            assert_true(graph->nodes[graph->outputs[k].value].q.scale != node->q.scale);
    }
}

/* A hook sees every value, so nothing follows a convolution. */
static qz_status look(void *user, const qz_graph *graph, qz_value node, const qzk_view *view)
{
    (void)user, (void)graph, (void)node, (void)view;
    return QZ_OK;
}

static uint64_t hash_of(const qz_graph *graph, qz_isa isa, uint32_t threads, bool apart,
                        const qz_tensor *x)
{
    const qzi_exec_input input = {.tensor = x};
    qzi_packed *packed = NULL;
    qzi_exec *exec = NULL;
    uint64_t hash = QZI_FNV_OFFSET;
    assert_int_equal(qzi_packed_create(graph, isa, &packed), QZ_OK);
    assert_int_equal(qzi_exec_create(packed, graph, threads, &exec), QZ_OK);
    qzi_exec_set_hook(exec, apart ? look : NULL, NULL);
    assert_int_equal(qzi_exec_run_inputs(exec, &input, 1), QZ_OK);
    for (size_t i = 0; i < graph->output_count; i++) {
        qz_tensor out = {0};
        assert_int_equal(qzi_exec_output_shape(exec, i, &out), QZ_OK);
        const size_t bytes = (size_t)qz_tensor_numel(&out) * sizeof(float);
        out.data = malloc(bytes);
        assert_non_null(out.data);
        qzi_exec_output(exec, i, out.data);
        hash = qzi_fnv1a(out.data, bytes, hash);
        free(out.data);
    }
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    return hash;
}

/* Every backend, instruction set and number of threads; the first run sees every value. */
static void check_int8(qz_context *ctx, const char *name, const qz_tensor *image)
{
    static const char *const backends[] = {"fbgemm", "qnnpack", "native"};
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
        qz_model *model = int8_model(ctx, name, backends[i], true, false);
        const qz_graph *graph = qz_model_graph(model, true);
        assert_int_equal(fallbacks_of(graph), 0);
        check_outputs(graph);
        const uint64_t hash = hash_of(graph, QZ_ISA_REF, 1, true, image);
        for (int isa = QZ_ISA_REF; isa < QZ_ISA_COUNT; isa++)
            if (qz_isa_available((qz_isa)isa))
                for (uint32_t threads = 1; threads <= 3; threads++)
                    assert_int_equal(hash_of(graph, (qz_isa)isa, threads, false, image), hash);
        qz_model_destroy(model);
    }
}

static void test_int8(void **state)
{
    static float pixels[3 * 64 * 96];
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, 64, 96}, .data = pixels};
    qz_context *ctx = NULL;
    (void)state;
    qz_random_uniform("input", "", 0.0, 1.0, 3 * 64 * 96, pixels);
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    /* the others are calibrated at 640 x 640, which takes long */
    const size_t count = names == all && name_count == QUICK ? 1 : name_count;
    for (size_t i = 0; i < count; i++)
        check_int8(ctx, names[i], &image);
    qz_model *model = int8_model(ctx, "yolov5n", "fbgemm", false, false);
    assert_int_equal(fallbacks_of(qz_model_graph(model, true)), 0);
    check_outputs(qz_model_graph(model, true));
    qz_model_destroy(model);
    model = int8_model(ctx, "yolov5n", "fbgemm", true, true);
    assert_int_equal(fallbacks_of(qz_model_graph(model, true)), 9);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

/* ---- real weights ---- */

/* The letterboxed photo of the oracle folder, from 0 to 1; data NULL: it is not there. */
static qz_tensor photo(qz_context *ctx)
{
    qz_tensor x = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, 640, 640}};
    qz_image image = {0};
    if (qz_image_load(ctx, golden_path("bus_letterbox640.png"), &image) != QZ_OK)
        return x;
    const int64_t plane = 640 * 640;
    assert_int_equal((int64_t)image.width * image.height, plane);
    float *data = malloc((size_t)(3 * plane) * sizeof(*data));
    assert_non_null(data);
    for (int64_t i = 0; i < 3 * plane; i++)
        data[i] = (float)image.rgb[i % plane * 3 + i / plane] / 255.0f;
    qz_image_free(ctx, &image);
    x.data = data;
    return x;
}

/* dB of the int8 outputs of each kind, levels together, over the photo it was calibrated on. */
static void print_sqnr(const char *backend, const qz_graph *graph, const qz_graph *int8,
                       const qz_tensor *x)
{
    static const char *const kinds[] = {"bbox_regression", "objectness", "cls_logits"};
    struct runner a, b;
    run(&a, graph, x);
    run(&b, int8, x);
    printf("yolov5n  %-7s", backend);
    for (size_t k = 0; k < 3; k++) {
        double signal = 0.0, noise = 0.0;
        for (int32_t level = 0; level < 3; level++) {
            qz_tensor right = output_of(&a, kinds[k], level), out = output_of(&b, kinds[k], level);
            const float *p = right.data, *q = out.data;
            for (int64_t i = 0; i < qz_tensor_numel(&out); i++) {
                signal += (double)p[i] * (double)p[i];
                noise += ((double)p[i] - (double)q[i]) * ((double)p[i] - (double)q[i]);
            }
            free(right.data);
            free(out.data);
        }
        const double db = 10.0 * log10(signal / noise);
        printf(" %s %.1f dB", kinds[k], db);
        assert_true(db > 8.0);
    }
    printf("\n");
    done(&a);
    done(&b);
}

static void test_real(void **state)
{
    static const char *const backends[] = {"fbgemm", "qnnpack", "native"};
    const char *folder = getenv("QZOO_TEST_DATA");
    char weights[1024];
    qz_context *ctx = NULL;
    (void)state;
    snprintf(weights, sizeof(weights), "%s/weights/yolov5n.pth",
             folder ? folder : "../shared/data");
    json_t *golden = golden_load("yolov5n_real");
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    qz_tensor x = photo(ctx);
    if (!golden || !x.data || access(weights, R_OK) != 0) {
        printf("skipped: no yolov5n_real.json, bus_letterbox640.png or %s\n", weights);
        qz_context_destroy(ctx);
        json_decref(golden);
        free(x.data);
        skip();
    }
    const json_t *heads = json_object_get(json_object_get(golden, "square_640x640"), "heads");
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
        qz_model *model = NULL;
        qz_model_options options = QZ_MODEL_OPTIONS_INIT;
        options.weights = weights;
        options.quantize = true;
        assert_true(qz_backend_parse(backends[i], &options.backend));
        if (qz_model_create(ctx, "yolov5n", &options, &model) != QZ_OK ||
            qz_model_calibrate(model, &x) != QZ_OK || qz_model_convert(model) != QZ_OK)
            fail_msg("%s", qz_context_message(ctx));
        if (i == 0) {
            struct runner r;
            run(&r, model->graph, &x);
            printf("yolov5n  real    heads %.1e\n", check_heads(&r, heads));
            done(&r);
        }
        print_sqnr(backends[i], model->graph, model->int8_graph, &x);
        qz_model_destroy(model);
    }
    free(x.data);
    json_decref(golden);
    qz_context_destroy(ctx);
}

/* ---- what is kept ---- */

/* What a saved model keeps: the activation, the norms' eps, anchors. */
static void test_saved(void **state)
{
    char path[1024];
    const char *folder = getenv("TMPDIR");
    qz_context *ctx = NULL;
    qz_model *opened = NULL;
    float pixels[3][3][2];
    (void)state;
    snprintf(path, sizeof(path), "%s/qzoo_yolo_%ld.safetensors", folder ? folder : "/tmp",
             (long)getpid());
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    qz_model *model = int8_model(ctx, "yolov5n", "fbgemm", true, false);
    qzi_model_anchors(model, pixels);
    assert_true(pixels[0][0][0] == 10.0f && pixels[2][2][1] == 326.0f);
    model->norm_eps = 1e-5f;
    model->anchors[1][2][0] = 17.25f;
    if (qz_model_save(model, path) != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    qz_model_destroy(model);
    if (qz_model_open(ctx, path, &opened) != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    qzi_model_anchors(opened, pixels);
    assert_true(pixels[0][0][0] == 10.0f && pixels[1][2][0] == 17.25f);
    assert_true(opened->norm_eps == 1e-5f);
    qz_model_destroy(opened);
    unlink(path);

    /* of an architecture that has no such option, and of one that has no such value */
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.activation = QZ_ACT_SILU;
    assert_int_equal(qz_model_create(ctx, "yolov5n", &options, &model), QZ_ERR_ARGUMENT);
    options.activation = QZ_ACT_MISH;
    assert_int_equal(qz_model_create(ctx, "yolov3", &options, &model), QZ_ERR_ARGUMENT);
    qz_context_destroy(ctx);
}

/* Anchors and the eps of norms are set before fusing, and outlive a graph that is built anew. */
static void test_norm_eps(void **state)
{
    qz_context *ctx = NULL;
    qz_model *model = NULL;
    (void)state;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    assert_int_equal(qzi_model_alloc(ctx, qzi_arch_get("yolov5n"), &model), QZ_OK);
    assert_int_equal(qzi_model_build(model, NULL), QZ_OK);
    qzi_model_set_norm_eps(model, 1e-5f);
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < model->graph->node_count; i++)
            if (model->graph->nodes[i].op == QZI_OP_BATCH_NORM2D)
                assert_true(model->graph->nodes[i].u.bn.eps == 1e-5f);
        assert_int_equal(qzi_model_build(model, &(qzi_build_options){.num_classes = 7}), QZ_OK);
    }
    qzi_param *anchors = qzi_graph_param(model->graph, "model.24.anchors");
    assert_non_null(anchors);
    ((float *)anchors->tensor.data)[7] = 2.5f;
    assert_int_equal(qzi_model_take_anchors(model), QZ_OK);
    assert_true(model->anchors[1][0][1] == 40.0f);
    ((float *)anchors->tensor.data)[7] = 0.0f;
    assert_int_equal(qzi_model_take_anchors(model), QZ_ERR_NUMERIC);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--all") == 0) {
        name_count = QZI_ARRAY_LEN(all);
    } else if (argc > 1) {
        names = (const char *const *)(argv + 1);
        name_count = (size_t)argc - 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),  cmocka_unit_test(test_int8),
        cmocka_unit_test(test_real),     cmocka_unit_test(test_saved),
        cmocka_unit_test(test_norm_eps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
