/* SPDX-License-Identifier: MIT */
/*
 * test_detect.c - detectors and segmenters as ONNX files: stages, inputs, outputs, and what is
 * computed between them. The detectors are small; test_onnxruntime.sh runs those of torchvision.
 */
#include "every_op.h"
#include "zoo/model/model_detect.h"

#define DETECTOR_SIDE 64
#define CLASSES 4
#define KINDS 5

/* ---- small detectors ---- */

static qz_value head(qz_graph *g, const char *name, int32_t level, qz_value x, int32_t oc)
{
    char text[64];
    snprintf(text, sizeof(text), "%s_%d", name, level);
    x = conv(g, text, x, oc, 1);
    snprintf(text, sizeof(text), "%s.%d", name, level);
    qz_graph_output(g, text, x);
    return x;
}

/* A map of an eighth and one of a sixteenth of the image. */
static void two_maps(qz_graph *g, qz_value maps[2])
{
    qz_value x = qz_graph_input(g, "input", 3);
    x = qz_conv2d(
        g, "stem", x,
        &(qz_conv2d_options){.out_channels = 8, .kernel_h = 8, .stride_h = 8, .bias = true});
    maps[0] = qz_activate(g, "stem_relu", x, QZ_ACT_RELU);
    x = qz_max_pool2d(g, "half", maps[0], &(qz_pool2d_options){.kernel_h = 2, .stride_h = 2});
    maps[1] = conv(g, "coarse", x, 8, 3);
}

static void build_rcnn(qz_graph *g, const void *config, const qzi_build_options *options)
{
    qz_value maps[2];
    (void)config;
    two_maps(g, maps);
    for (int32_t k = 0; k < 2; k++)
        qz_graph_output(g, k == 0 ? "features.0" : "features.1", maps[k]);
    for (int32_t k = 0; k < 2; k++) {
        head(g, "rpn_objectness", k, maps[k], 3);
        head(g, "rpn_deltas", k, maps[k], 12);
    }
    qz_value x = qz_graph_input_sized(g, "box_features", 8, 7, 7);
    x = qz_activate(g, "fc_relu", qz_linear(g, "fc", qz_flatten(g, "flatten", x), 16, true),
                    QZ_ACT_RELU);
    qz_graph_output(g, "roi_cls_logits", qz_linear(g, "cls", x, options->num_classes, true));
    qz_graph_output(g, "roi_bbox_regression",
                    qz_linear(g, "bbox", x, options->num_classes * 4, true));
    x = qz_graph_input_sized(g, "mask_features", 8, 14, 14);
    x = qz_conv_transpose2d(g, "twice", x,
                            &(qz_conv_transpose2d_options){
                                .out_channels = 8, .kernel_h = 2, .stride_h = 2, .bias = true});
    qz_graph_output(g, "mask_logits", conv(g, "mask", x, options->num_classes, 1));
}

static void build_one_stage(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const qzi_detector *detector = config;
    qz_value maps[2];
    two_maps(g, maps);
    for (int32_t k = 0; k < 2; k++) {
        const int32_t anchors = qzi_detector_anchors(detector, k);
        head(g, "cls_logits", k, maps[k], anchors * options->num_classes);
        head(g, "bbox_regression", k, maps[k], anchors * 4);
        if (detector->kind == QZI_DETECTOR_FCOS)
            head(g, "bbox_ctrness", k, maps[k], anchors);
    }
}

static void build_yolo(qz_graph *g, const void *config, const qzi_build_options *options)
{
    qz_value maps[3];
    (void)config;
    two_maps(g, maps);
    maps[2] =
        qz_max_pool2d(g, "quarter", maps[1], &(qz_pool2d_options){.kernel_h = 2, .stride_h = 2});
    for (int32_t k = 0; k < 3; k++) {
        head(g, "bbox_regression", k, maps[k], QZ_YOLO_ANCHORS * 4);
        head(g, "objectness", k, maps[k], QZ_YOLO_ANCHORS);
        head(g, "cls_logits", k, maps[k], QZ_YOLO_ANCHORS * options->num_classes);
    }
}

#define COMMON                                                                               \
    .levels = 2, .size_count = 1, .sizes = {{16}, {32}}, .mean = QZI_DETECTOR_IMAGENET_MEAN, \
    .std = QZI_DETECTOR_IMAGENET_STD, .size_divisor = 32
#define SETTINGS                                                                    \
    .size = sizeof(qz_detection_options), .score_thresh = 0.01, .nms_thresh = 0.5,  \
    .detections_per_img = 20, .topk_candidates = 30, .rpn_pre_nms_top_n_test = 50,  \
    .rpn_post_nms_top_n_test = 10, .rpn_nms_thresh = 0.7, .box_score_thresh = 0.01, \
    .box_nms_thresh = 0.5, .box_detections_per_img = 5
#define RESIZED .min_size = DETECTOR_SIDE, .max_size = DETECTOR_SIDE

static const qzi_detector detectors[KINDS] = {
    {.kind = QZI_DETECTOR_RETINANET,
     COMMON,
     .ratio_count = 3,
     .ratios = {0.5f, 1.0f, 2.0f},
     .box_weights = {1, 1, 1, 1},
     .defaults = {SETTINGS, RESIZED}},
    {.kind = QZI_DETECTOR_FCOS,
     COMMON,
     .ratio_count = 1,
     .ratios = {1.0f},
     .defaults = {SETTINGS, RESIZED}},
    {.kind = QZI_DETECTOR_SSD,
     COMMON,
     .dbox_ratio_count = {1, 2},
     .dbox_ratios = {{2}, {2, 3}},
     .dbox_scales = {0.2, 0.5, 0.9},
     .box_weights = {10, 10, 5, 5},
     .defaults = {SETTINGS, .fixed_h = DETECTOR_SIDE, .fixed_w = DETECTOR_SIDE}},
    {.kind = QZI_DETECTOR_RCNN,
     COMMON,
     .has_masks = true,
     .roi_levels = 2,
     .ratio_count = 3,
     .ratios = {0.5f, 1.0f, 2.0f},
     .box_weights = {10, 10, 5, 5},
     .defaults = {SETTINGS, RESIZED}},
    {.kind = QZI_DETECTOR_YOLO,
     .levels = QZ_YOLO_LEVELS,
     .strides = {8, 16, 32},
     .yolo_anchors = {{{4, 5}, {8, 8}, {9, 6}},
                      {{12, 9}, {15, 15}, {20, 30}},
                      {{30, 30}, {40, 50}}},
     .scale_xy = {1.2f, 1.1f, 1.05f},
     .std = {1, 1, 1},
     .size_divisor = 32,
     .defaults = {SETTINGS, .fixed_h = DETECTOR_SIDE, .fixed_w = DETECTOR_SIDE}},
};

#define SMALL(kind_, build_)                                                                      \
    {                                                                                             \
        .info = {.name = "small",                                                                 \
                 .task = "detection",                                                             \
                 .classes = CLASSES,                                                              \
                 .input_h = DETECTOR_SIDE,                                                        \
                 .input_w = DETECTOR_SIDE},                                                       \
        .fill_rules = fill_rules, .config = &detectors[kind_], .build = build_, .fuse = qzi_fuse, \
        .detector = &detectors[kind_]                                                             \
    }
static const qzi_arch archs[KINDS] = {
    SMALL(QZI_DETECTOR_RETINANET, build_one_stage), SMALL(QZI_DETECTOR_FCOS, build_one_stage),
    SMALL(QZI_DETECTOR_SSD, build_one_stage),       SMALL(QZI_DETECTOR_RCNN, build_rcnn),
    SMALL(QZI_DETECTOR_YOLO, build_yolo),
};

static void make_path(fixture *f)
{
    strcpy(f->path, "/tmp/qzoo-export-XXXXXX");
    const int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    close(fd);
}

static void make_detector(fixture *f, qzi_detector_kind kind, bool int8)
{
    float *image = malloc((size_t)3 * DETECTOR_SIDE * DETECTOR_SIDE * sizeof(*image));
    const qz_tensor images = {
        .dtype = QZ_F32, .ndim = 4, .dims = {1, 3, DETECTOR_SIDE, DETECTOR_SIDE}, .data = image};
    *f = (fixture){.memory = COUNTING_INIT};
    f->ctx = counting_context(&f->memory, 1);
    assert_non_null(f->ctx);
    ASSERT_OK(f->ctx, qzi_model_alloc(f->ctx, &archs[kind], &f->model));
    ASSERT_OK(f->ctx, qzi_model_build(f->model, NULL));
    ASSERT_OK(f->ctx, qzi_weights_fill(f->model->graph, fill_rules, "0"));
    ASSERT_OK(f->ctx, qzi_model_fuse(f->model));
    f->model->qconfig.backend = qzi_backend_get(QZ_BACKEND_FBGEMM);
    f->model->qconfig.observer = QZ_OBSERVER_MINMAX;
    f->model->qconfig.per_channel = true;
    if (int8) {
        ASSERT_OK(f->ctx, qz_model_prepare(f->model));
        qz_synthetic_unit_image(0, DETECTOR_SIDE, DETECTOR_SIDE, image);
        ASSERT_OK(f->ctx, qz_model_calibrate(f->model, &images));
        ASSERT_OK(f->ctx, qz_model_convert(f->model));
    }
    free(image);
    make_path(f);
}

/* ---- inputs and outputs ---- */

/* dims: 0 is N, QZI_ONNX_ROIS is R. */
static void check_value(const QziOnnx__ValueInfoProto *value, const char *name, size_t ndim,
                        const int64_t *dims)
{
    const QziOnnx__TensorShapeProto *shape = value->type->tensor_type->shape;
    assert_string_equal(value->name, name);
    assert_int_equal(shape->n_dim, ndim);
    for (size_t i = 0; i < ndim; i++)
        if (dims[i] > 0)
            assert_int_equal(shape->dim[i]->dim_value, dims[i]);
        else
            assert_string_equal(shape->dim[i]->dim_param, dims[i] == 0 ? "N" : "R");
}

static const char *metadata_of(const QziOnnx__ModelProto *m, const char *key)
{
    for (size_t i = 0; i < m->n_metadata_props; i++)
        if (strcmp(m->metadata_props[i]->key, key) == 0)
            return m->metadata_props[i]->value;
    return "";
}

static long count_op(const QziOnnx__ModelProto *m, const char *op)
{
    long count = 0;
    for (size_t i = 0; i < m->graph->n_node; i++)
        count += strcmp(m->graph->node[i]->op_type, op) == 0;
    return count;
}

static const int64_t image[4] = {1, 3, DETECTOR_SIDE, DETECTOR_SIDE};

/* Raw values, both stages on boxes that are an input. */
static void test_stages(void **state)
{
    static const int64_t rois[2] = {QZI_ONNX_ROIS, 4}, objectness[4] = {1, 3, 8, 8};
    static const int64_t logits[2] = {QZI_ONNX_ROIS, CLASSES};
    static const int64_t masks[4] = {QZI_ONNX_ROIS, CLASSES, 28, 28};
    (void)state;
    for (int int8 = 0; int8 < 2; int8++) {
        fixture f = {0};
        qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
        make_detector(&f, QZI_DETECTOR_RCNN, int8);
        options.format = int8 ? QZ_ONNX_QDQ : QZ_ONNX_FP32;
        QziOnnx__ModelProto *m = export_and_read(&f, &options);
        check_order(m);
        assert_int_equal(m->graph->n_input, 2);
        check_value(m->graph->input[0], "input", 4, image);
        check_value(m->graph->input[1], "rois", 2, rois);
        assert_int_equal(m->graph->n_output, 7);
        check_value(m->graph->output[0], "rpn_objectness.0", 4, objectness);
        check_value(m->graph->output[4], "roi_cls_logits", 2, logits);
        check_value(m->graph->output[6], "mask_logits", 4, masks);
        /* two maps in each stage, of which one is chosen; bytes are quantized behind it */
        assert_int_equal(count_op(m, "RoiAlign"), 4);
        assert_int_equal(count_op(m, "Where"), 2);
        assert_int_equal(find_node(m, "box_features_quantize") != NULL, int8);
        assert_string_equal(metadata_of(m, "outputs"), "raw");
        assert_string_equal(metadata_of(m, "resize"), "fit 64x64");
        qzi_onnx__model_proto__free_unpacked(m, NULL);
        end_model(&f);
    }
}

/* Each stage in a file of its own, on what is pooled in boxes. */
static void test_one_stage(void **state)
{
    static const struct {
        const char *input, *first;
        int64_t side;
        size_t outputs;
    } rows[QZ_ONNX_STAGE_COUNT] = {{0},
                                   {"input", "rpn_objectness.0", DETECTOR_SIDE, 4},
                                   {"box_features", "roi_cls_logits", 7, 2},
                                   {"mask_features", "mask_logits", 14, 1}};
    (void)state;
    for (int int8 = 0; int8 < 2; int8++)
        for (int stage = QZ_ONNX_STAGE_IMAGE; stage < QZ_ONNX_STAGE_COUNT; stage++)
            for (int all = 0; all < 2; all++) {
                fixture f = {0};
                qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
                const bool whole = stage == QZ_ONNX_STAGE_IMAGE;
                const int64_t side = rows[stage].side;
                const int64_t dims[4] = {whole ? 1 : QZI_ONNX_ROIS, whole ? 3 : 8, side, side};
                make_detector(&f, QZI_DETECTOR_RCNN, int8);
                options.format = int8 ? QZ_ONNX_QDQ : QZ_ONNX_FP32;
                options.stage = (qz_onnx_stage)stage;
                options.all_outputs = all;
                QziOnnx__ModelProto *m = export_and_read(&f, &options);
                check_order(m);
                assert_int_equal(m->graph->n_input, 1);
                check_value(m->graph->input[0], rows[stage].input, 4, dims);
                if (!all)
                    assert_int_equal(m->graph->n_output, rows[stage].outputs);
                assert_string_equal(m->graph->output[0]->name, rows[stage].first);
                assert_int_equal(count_op(m, "RoiAlign"), 0);
                assert_int_equal(find_node(m, "fc") != NULL, stage == QZ_ONNX_STAGE_BOX);
                assert_int_equal(find_node(m, "stem") != NULL, whole);
                qzi_onnx__model_proto__free_unpacked(m, NULL);
                end_model(&f);
            }
}

static void test_levels(void **state)
{
    static const int64_t any[4] = {0, 3, DETECTOR_SIDE, DETECTOR_SIDE};
    static const size_t outputs[3] = {4, 6, 4};
    (void)state;
    for (int kind = QZI_DETECTOR_RETINANET; kind <= QZI_DETECTOR_SSD; kind++) {
        fixture f = {0};
        make_detector(&f, (qzi_detector_kind)kind, false);
        QziOnnx__ModelProto *m = export_and_read(&f, NULL);
        check_order(m);
        assert_int_equal(m->graph->n_input, 1);
        check_value(m->graph->input[0], "input", 4, any);
        assert_int_equal(m->graph->n_output, outputs[kind]);
        assert_int_equal(count_op(m, "NonMaxSuppression"), 0);
        qzi_onnx__model_proto__free_unpacked(m, NULL);
        end_model(&f);
    }
}

static void test_detections(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        const bool rcnn = kind == QZI_DETECTOR_RCNN;
        const int64_t count = rcnn ? 5 : 20;
        const int64_t boxes[2] = {count, 4}, masks[3] = {count, 28, 28};
        fixture f = {0};
        qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
        make_detector(&f, (qzi_detector_kind)kind, false);
        options.postprocess = true;
        QziOnnx__ModelProto *m = export_and_read(&f, &options);
        check_order(m);
        assert_int_equal(m->graph->n_input, 1);
        check_value(m->graph->input[0], "input", 4, image);
        assert_int_equal(m->graph->n_output, rcnn ? 4 : 3);
        check_value(m->graph->output[0], "boxes", 2, boxes);
        check_value(m->graph->output[1], "scores", 1, boxes);
        check_value(m->graph->output[2], "labels", 1, boxes);
        if (rcnn)
            check_value(m->graph->output[3], "masks", 3, masks);
        /* the proposals' of each level, and the classes' */
        assert_int_equal(count_op(m, "NonMaxSuppression"), rcnn ? 3 : 1);
        assert_string_equal(metadata_of(m, "outputs"), "detections");
        assert_string_equal(metadata_of(m, "absent"), "score 0, label 0, box 0 0 0 0");
        qzi_onnx__model_proto__free_unpacked(m, NULL);
        end_model(&f);
    }
}

/* YOLO's settings choose what is written. */
static void test_yolo(void **state)
{
    static const int32_t only[2] = {1, 3};
    /* the top k of best classes, and of candidates where they may be too many, of what is kept, and
     * of what is inside the input; Equal keeps classes apart */
    static const struct {
        int32_t multi_label, agnostic, topk_candidates, decode;
        long top_k, equal;
    } rows[] = {{0, 0, 1000, 0, 3, 1},
                {0, 1, 1000, 0, 3, 0},
                {0, 0, 30, 0, 4, 1},
                {1, 0, 1000, 0, 3, 1},
                {0, 0, 1000, 1, 3, 1}};
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(rows); i++) {
        fixture f = {0};
        qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
        make_detector(&f, QZI_DETECTOR_YOLO, false);
        f.model->detection.multi_label = rows[i].multi_label;
        f.model->detection.agnostic = rows[i].agnostic;
        f.model->detection.topk_candidates = rows[i].topk_candidates;
        f.model->detection.decode = rows[i].decode;
        options.postprocess = true;
        options.only = i == 1 ? only : NULL;
        options.only_count = 2;
        QziOnnx__ModelProto *m = export_and_read(&f, &options);
        check_order(m);
        assert_int_equal(count_op(m, "TopK"), rows[i].top_k);
        assert_int_equal(count_op(m, "Equal"), rows[i].equal);
        assert_int_equal(find_node(m, "post.2.size_twice") != NULL, !rows[i].decode);
        assert_int_equal(find_tensor(m, "post.candidates.only") != NULL, i == 1);
        assert_string_equal(metadata_of(m, "only"), i == 1 ? "1,3" : "");
        assert_string_equal(metadata_of(m, "resize"), "letterbox 64x64");
        assert_string_equal(metadata_of(m, "pad"), "114");
        assert_memory_equal(metadata_of(m, "anchors"), "4 5 8 8 9 6 12 9 ", 17);
        qzi_onnx__model_proto__free_unpacked(m, NULL);
        end_model(&f);
    }
}

/* Equal scores: kept boxes go back to where they came from, so that the first candidate wins. */
static void test_equal_scores(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        fixture f = {0};
        qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
        make_detector(&f, (qzi_detector_kind)kind, false);
        options.postprocess = true;
        QziOnnx__ModelProto *m = export_and_read(&f, &options);
        assert_int_equal(count_op(m, "ScatterElements"), 1);
        /* by a polynomial, which does not tell large scores apart */
        assert_int_equal(count_op(m, "Sigmoid"), kind == QZI_DETECTOR_RCNN);
        qzi_onnx__model_proto__free_unpacked(m, NULL);
        end_model(&f);
    }
}

/* ---- a segmenter ---- */

static void build_segmenter(qz_graph *g, const void *config, const qzi_build_options *options)
{
    (void)config;
    const qz_value input = qz_graph_input(g, "input", 3);
    qz_value x = qz_conv2d(
        g, "stem", input,
        &(qz_conv2d_options){.out_channels = 8, .kernel_h = 1, .stride_h = 15, .bias = true});
    for (int i = 0; i < 2; i++) { /* the nodes have the names of the outputs */
        const char *name = i == 0 ? "out" : "aux";
        const qz_value y = conv(g, i == 0 ? "head" : "aux_head", x, options->num_classes, 1);
        qz_graph_output(g, name, qz_resize2d(g, name, y, input, QZ_RESIZE_BILINEAR));
    }
}

static const qzi_arch segmenter = {
    .info = {.name = "segmenter",
             .task = "segmentation",
             .classes = CLASSES,
             .input_h = 97,
             .input_w = 97},
    .fill_rules = fill_rules,
    .build = build_segmenter,
    .fuse = qzi_fuse,
    .has_aux_logits = true,
};

static void test_aux(void **state)
{
    static const int64_t dims[4] = {0, CLASSES, 97, 97};
    (void)state;
    for (int format = QZ_ONNX_FP32; format <= QZ_ONNX_FP16; format++)
        for (int aux = 0; aux < 2; aux++) {
            fixture f = {.memory = COUNTING_INIT};
            qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
            f.ctx = counting_context(&f.memory, 1);
            assert_non_null(f.ctx);
            ASSERT_OK(f.ctx, qzi_model_alloc(f.ctx, &segmenter, &f.model));
            ASSERT_OK(f.ctx, qzi_model_build(f.model, NULL));
            ASSERT_OK(f.ctx, qzi_weights_fill(f.model->graph, fill_rules, "0"));
            make_path(&f);
            options.format = (qz_onnx_format)format;
            options.aux = aux;
            QziOnnx__ModelProto *m = export_and_read(&f, &options);
            check_order(m);
            assert_int_equal(m->graph->n_output, aux ? 2 : 1);
            check_value(m->graph->output[0], "out", 4, dims);
            assert_int_equal(find_node(m, "aux_head") != NULL, aux);
            assert_int_equal(find_tensor(m, "aux_head.weight") != NULL, aux);
            /* 7 to 97: not below 97 in double either, in which shapes may be inferred */
            const QziOnnx__TensorProto *scales = find_tensor(m, "out_scales");
            float scale[4];
            assert_non_null(scales);
            assert_int_equal(scales->raw_data.len, sizeof(scale));
            memcpy(scale, scales->raw_data.data, sizeof(scale));
            assert_true((double)scale[2] * 7.0 >= 97.0);
            assert_true((double)scale[3] * 7.0 < 98.0);
            qzi_onnx__model_proto__free_unpacked(m, NULL);
            end_model(&f);
        }
}

/* ---- what is refused, memory ---- */

static void refused(const fixture *f, const qz_onnx_options *options, const char *text)
{
    assert_int_equal(qz_onnx_export(f->model, f->path, options), QZ_ERR_ARGUMENT);
    assert_non_null(strstr(qz_context_message(f->ctx), text));
}

static void test_refused(void **state)
{
    fixture f = {0};
    qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
    (void)state;
    make_detector(&f, QZI_DETECTOR_RCNN, false);
    options.batch = 2;
    refused(&f, &options, "batch 2");
    options.batch = 0;
    options.postprocess = true;
    options.stage = QZ_ONNX_STAGE_BOX;
    refused(&f, &options, "leave postprocess out");
    options.postprocess = false;
    options.only = (const int32_t[]){1};
    options.only_count = 1;
    refused(&f, &options, "go with YOLO");
    options.only = NULL;
    options.stage = QZ_ONNX_STAGE_COUNT;
    refused(&f, &options, "no stage number 4");
    options.stage = QZ_ONNX_STAGE_ALL;
    end_model(&f);
    make_model(&f, QZ_BACKEND_FBGEMM, false);
    options.postprocess = true;
    refused(&f, &options, "detectors only");
    options.postprocess = false;
    options.stage = QZ_ONNX_STAGE_IMAGE;
    refused(&f, &options, "detectors of two stages only");
    options.stage = QZ_ONNX_STAGE_ALL;
    options.aux = true;
    refused(&f, &options, "no auxiliary head");
    end_model(&f);
    make_detector(&f, QZI_DETECTOR_YOLO, false);
    options.aux = false;
    options.only = (const int32_t[]){0, CLASSES};
    options.only_count = 2;
    refused(&f, &options, "go with YOLO and postprocess");
    options.postprocess = true;
    refused(&f, &options, "no class 4");
    options.only = NULL;
    options.height = 64;
    options.width = 100;
    refused(&f, &options, "multiples of 32");
    end_model(&f);
}

static void test_memory(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        fixture f = {0};
        qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
        int64_t failed = 0;
        make_detector(&f, (qzi_detector_kind)kind, false);
        options.postprocess = true;
        const int64_t live = f.memory.live;
        for (int64_t n = 0; counting_fail(&f.memory, n); n++) {
            const qz_status st = qz_onnx_export(f.model, f.path, &options);
            assert_int_equal(f.memory.live, live);
            if (st == QZ_OK)
                break;
            assert_int_equal(st, QZ_ERR_MEMORY);
            failed++;
        }
        f.memory.fail_at = -1;
        assert_in_range(failed, 10, 1000);
        end_model(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages),     cmocka_unit_test(test_levels),
        cmocka_unit_test(test_detections), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_memory),     cmocka_unit_test(test_equal_scores),
        cmocka_unit_test(test_aux),        cmocka_unit_test(test_one_stage),
        cmocka_unit_test(test_yolo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
