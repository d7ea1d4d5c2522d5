/* SPDX-License-Identifier: MIT */
/*
 * test_detectors.c - the graphs of detectors with the goldens' weights, stage by stage: feature
 * maps, raw heads and proposals' raw values of one image, against torchvision's; the RoI heads
 * against torchvision's on noise (gen/detector_goldens.py); MACs of all stages.
 *
 *   test_detectors [--all | MODEL…]
 */
#include "golden.h"
#include "layers/graph/exec.h"
#include "zoo/detection/detector.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detector_goldens.inc"

/* FORMAT.md's for an independent implementation. */
#define TOLERANCE 1e-4

static const char *const quick[] = {
    "ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn",
    "retinanet_resnet50_fpn_v2",     "fcos_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
};

static bool all_models;
static char **named;
static int named_count;

/* ---- the image ---- */

/* The image in [0, 1), normalised; the goldens' images have the network's own size. */
static qz_tensor image_of(const json_t *golden, const qzi_detector *detector)
{
    const json_t *input = json_object_get(golden, "input"),
                 *shape = json_object_get(input, "shape");
    const int64_t h = json_integer_value(json_array_get(shape, 1));
    const int64_t w = json_integer_value(json_array_get(shape, 2));
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, h, w}};
    float *data = malloc((size_t)(3 * h * w) * sizeof(*data));
    assert_non_null(data);
    qz_random_uniform("input", "", 0.0, 1.0, 3 * h * w, data);
    for (int64_t i = 0; i < 3 * h * w; i++)
        data[i] = (data[i] - detector->mean[i / (h * w)]) / detector->std[i / (h * w)];
    image.data = data;
    return image;
}

/* ---- one output ---- */

/* The caller frees its data. */
static qz_tensor output_of(const qzi_exec *exec, const qz_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->output_count; i++) {
        qz_tensor out = {0};
        if (strcmp(graph->outputs[i].name, name) != 0)
            continue;
        if (qzi_exec_output_shape(exec, i, &out) != QZ_OK)
            fail_msg("%s: %s", name, qz_context_message(graph->ctx));
        out.data = malloc((size_t)qz_tensor_numel(&out) * sizeof(float));
        assert_non_null(out.data);
        qzi_exec_output(exec, i, out.data);
        return out;
    }
    fail_msg("no output %s", name);
    return (qz_tensor){0};
}

static qz_tensor level_output(const qzi_exec *exec, const qz_graph *graph, const char *name,
                              int32_t level)
{
    char full[64];
    snprintf(full, sizeof(full), "%s.%d", name, (int)level);
    return output_of(exec, graph, full);
}

struct result {
    double maps, heads, rois;
};

static double check(const char *what, const json_t *record, qz_tensor *tensor)
{
    const double difference = golden_difference(record, tensor);
    free(tensor->data);
    if (!(difference < TOLERANCE))
        fail_msg("%s: difference %g", what, difference);
    return difference;
}

/* Levels behind each other, in each the places in rows, in each place its anchors. */
static qz_tensor joined(const qzi_exec *exec, const qz_graph *graph, const qzi_detector *detector,
                        const char *name, int64_t columns)
{
    qz_tensor all = {.dtype = QZ_F32, .ndim = 3, .dims = {1, 0, columns}};
    for (int32_t level = 0; level < detector->levels; level++) {
        qz_tensor map = level_output(exec, graph, name, level);
        const int64_t anchors = map.dims[1] / columns, places = map.dims[2] * map.dims[3];
        const int64_t first = all.dims[1];
        const float *from = map.data;
        assert_int_equal(anchors, qzi_detector_anchors(detector, level));
        all.dims[1] += anchors * places;
        float *to = realloc(all.data, (size_t)(all.dims[1] * columns) * sizeof(*to));
        assert_non_null(to);
        all.data = to;
        for (int64_t p = 0; p < places; p++)
            for (int64_t c = 0; c < anchors * columns; c++)
                to[first * columns + p * anchors * columns + c] = from[c * places + p];
        free(map.data);
    }
    return all;
}

static void check_one_stage(const qzi_exec *exec, const qz_graph *graph, const json_t *golden,
                            const qzi_detector *detector, struct result *result)
{
    static const struct {
        const char *name;
        int64_t columns;
    } heads[] = {{"cls_logits", 91}, {"bbox_regression", 4}, {"bbox_ctrness", 1}};
    for (size_t i = 0; i < QZI_ARRAY_LEN(heads); i++) {
        const json_t *record = json_object_get(json_object_get(golden, "heads"), heads[i].name);
        if (!record)
            continue;
        qz_tensor all = joined(exec, graph, detector, heads[i].name, heads[i].columns);
        result->heads = fmax(result->heads, check(heads[i].name, record, &all));
    }
}

static void check_two_stages(const qzi_exec *exec, const qz_graph *graph, const json_t *golden,
                             const qzi_detector *detector, struct result *result)
{
    const json_t *objectness = json_object_get(golden, "rpn_objectness_per_level");
    const json_t *deltas = json_object_get(golden, "rpn_deltas_per_level");
    const json_t *maps = json_object_get(golden, "backbone"), *record;
    const char *key;
    int32_t level = 0;
    json_object_foreach((json_t *)maps, key, record)
    {
        qz_tensor map = level_output(exec, graph, "features", level++);
        result->maps = fmax(result->maps, check(key, record, &map));
    }
    assert_int_equal(level, detector->levels);
    assert_int_equal(json_array_size(objectness), level);
    for (int32_t i = 0; i < level; i++) {
        qz_tensor scores = level_output(exec, graph, "rpn_objectness", i);
        qz_tensor boxes = level_output(exec, graph, "rpn_deltas", i);
        const json_t *want = json_array_get(objectness, (size_t)i);
        result->heads = fmax(result->heads, check("rpn_objectness", want, &scores));
        want = json_array_get(deltas, (size_t)i);
        result->heads = fmax(result->heads, check("rpn_deltas", want, &boxes));
    }
}

/* ---- RoI heads ---- */

static qz_tensor noise(const char *name, int64_t side)
{
    qz_tensor t = {.dtype = QZ_F32, .ndim = 4, .dims = {DETECTOR_ROIS, 256, side, side}};
    t.data = malloc((size_t)qz_tensor_numel(&t) * sizeof(float));
    assert_non_null(t.data);
    qz_random_uniform(name, "", 0.0, 1.0, qz_tensor_numel(&t), t.data);
    return t;
}

static void check_rois(qzi_exec *exec, const qz_graph *graph, const char *arch,
                       const qzi_detector *detector, struct result *result)
{
    qz_tensor boxes = noise("box_features", 7), masks = noise("mask_features", 14);
    qzi_exec_input inputs[QZI_STAGE_COUNT] = {0};
    inputs[QZI_STAGE_BOX].tensor = &boxes;
    if (detector->has_masks)
        inputs[QZI_STAGE_MASK].tensor = &masks;
    if (qzi_exec_run_inputs(exec, inputs, graph->input_count) != QZ_OK)
        fail_msg("%s", qz_context_message(graph->ctx));
    for (size_t i = 0; i < QZI_ARRAY_LEN(detector_goldens); i++) {
        double sum = 0.0, worst = 0.0;
        if (strcmp(detector_goldens[i].arch, arch) != 0)
            continue;
        qz_tensor out = output_of(exec, graph, detector_goldens[i].output);
        const float *data = out.data;
        const int64_t count = detector_goldens[i].count;
        assert_int_equal(qz_tensor_numel(&out), count);
        for (int64_t k = 0; k < count; k++)
            sum += (double)data[k] * (double)data[k];
        const double l2 = detector_goldens[i].l2, rms = l2 / sqrt((double)count);
        worst = fabs(sqrt(sum) / l2 - 1.0);
        for (int64_t k = 0; k < 8; k++)
            worst = fmax(worst, fabs((double)data[k * (count - 1) / 7] -
                                     (double)detector_goldens[i].spread[k]) /
                                    rms);
        free(out.data);
        if (!(worst < TOLERANCE))
            fail_msg("%s: difference %g", detector_goldens[i].output, worst);
        result->rois = fmax(result->rois, worst);
    }
    free(boxes.data);
    free(masks.data);
}

/* ---- MACs ---- */

/* They were counted with the box stage run on the proposals, and the mask stage on as many
 * detections as an image may have. */
static void check_macs(const qz_graph *graph, const json_t *golden, const qz_tensor *image)
{
    const json_t *proposals = json_object_get(json_object_get(golden, "proposals"), "count");
    const json_t *masks =
        json_object_get(json_object_get(golden, "config"), "box_detections_per_img");
    const uint64_t runs[QZI_STAGE_COUNT] = {
        1, (uint64_t)json_integer_value(json_array_get(proposals, 0)),
        (uint64_t)json_integer_value(masks)};
    qzi_shape *shapes = NULL;
    int32_t *stage = calloc(graph->node_count, sizeof(*stage));
    uint64_t macs = 0;
    assert_non_null(stage);
    assert_int_equal(
        qzi_graph_image_shapes(graph, (int32_t)image->dims[2], (int32_t)image->dims[3], &shapes),
        QZ_OK);
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        stage[i] = node->op == QZI_OP_INPUT ? node->u.input.index : stage[node->in[0]];
        macs += runs[stage[i]] * qzi_node_macs(node, &shapes[i]);
    }
    assert_int_equal(macs, json_integer_value(json_object_get(golden, "macs_golden_input")));
    qzi_free(graph->ctx, shapes);
    free(stage);
}

/* ---- a model ---- */

static bool check_model(const char *name)
{
    json_t *golden = golden_load(name);
    if (!golden)
        return false;
    for (int fuse = 0; fuse < 2; fuse++) {
        struct result result = {0};
        qz_context *ctx = NULL;
        assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
        qz_model *model = golden_model(ctx, name, golden, fuse != 0);
        assert_non_null(model);
        const qz_graph *graph = model->graph;
        const qzi_detector *detector = model->arch->detector;
        qz_tensor image = image_of(golden, detector);
        qzi_exec_input inputs[QZI_STAGE_COUNT] = {{.tensor = &image}};
        qzi_packed *packed = NULL;
        qzi_exec *exec = NULL;
        assert_non_null(detector);
        check_macs(graph, golden, &image);
        assert_int_equal(qzi_packed_create(graph, QZ_ISA_AUTO, &packed), QZ_OK);
        assert_int_equal(qzi_exec_create(packed, graph, 0, &exec), QZ_OK);
        if (qzi_exec_run_inputs(exec, inputs, graph->input_count) != QZ_OK)
            fail_msg("%s: %s", name, qz_context_message(ctx));
        if (detector->kind == QZI_DETECTOR_RCNN) {
            check_two_stages(exec, graph, golden, detector, &result);
            check_rois(exec, graph, name, detector, &result);
        } else {
            check_one_stage(exec, graph, golden, detector, &result);
        }
        printf("%-38s %s maps %.1e heads %.1e rois %.1e\n", name, fuse ? "fused  " : "unfused",
               result.maps, result.heads, result.rois);
        fflush(stdout);
        qzi_exec_destroy(exec);
        qzi_packed_destroy(packed);
        free(image.data);
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
    if (all_models) {
        for (size_t i = 0; i < qz_arch_count(); i++) {
            qz_arch_info arch;
            qz_arch_at(i, &arch);
            const qzi_detector *detector = qzi_arch_get(arch.name)->detector;
            const bool here = detector && detector->kind != QZI_DETECTOR_YOLO; /* test_yolo */
            checked += here && check_model(arch.name);
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

int main(int argc, char **argv)
{
    all_models = argc > 1 && strcmp(argv[1], "--all") == 0;
    if (!all_models && argc > 1) {
        named = argv + 1;
        named_count = argc - 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
