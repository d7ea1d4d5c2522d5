/* SPDX-License-Identifier: MIT */
/*
 * rcnn.c - the stages that Faster R-CNN and Mask R-CNN share, as torchvision builds them.
 *
 *   Ren et al., Faster R-CNN, 2015
 *   Li et al., Benchmarking Detection Transfer Learning with Vision Transformers, 2021 (v2)
 */
#include "zoo/detection/rcnn.h"

#define HIDDEN 1024 /* features of a box */

static qzi_part_norm norm_of(const qzi_rcnn *net)
{
    return net->v2 ? QZI_PART_BATCH_NORM : QZI_PART_BIAS;
}

/* RPNHead: its convolutions never have norms. */
static void build_rpn(qz_graph *g, const qzi_rcnn *net, int32_t level, qz_value x)
{
    const qz_conv2d_options logits = {.out_channels = net->anchors, .kernel_h = 1, .bias = true};
    const qz_conv2d_options deltas = {
        .out_channels = net->anchors * 4, .kernel_h = 1, .bias = true};
    qz_graph_set_call(g, level);
    qz_graph_enter(g, "rpn");
    qz_graph_enter(g, "head");
    qz_graph_enter(g, "conv");
    for (int32_t i = 0; i < (net->v2 ? 2 : 1); i++)
        x = qzi_part_conv(g, qzi_index(i).text, x, QZI_FPN_CHANNELS, 3, QZI_PART_BIAS, QZ_ACT_RELU);
    x = qz_graph_leave(g, x);
    const qz_value objectness = qz_conv2d(g, "cls_logits", x, &logits);
    const qz_value boxes = qz_conv2d(g, "bbox_pred", x, &deltas);
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_set_call(g, 0);
    qzi_part_output(g, "rpn_objectness", level, objectness);
    qzi_part_output(g, "rpn_deltas", level, boxes);
}

/* TwoMLPHead */
static qz_value two_layers(qz_graph *g, qz_value x)
{
    x = qz_flatten(g, "flatten", x);
    x = qz_linear(g, "fc6", x, HIDDEN, true);
    x = qz_activate(g, "fc6_relu", x, QZ_ACT_RELU);
    x = qz_linear(g, "fc7", x, HIDDEN, true);
    return qz_activate(g, "fc7_relu", x, QZ_ACT_RELU);
}

/* FastRCNNConvFCHead */
static qz_value convolutions_and_layer(qz_graph *g, qz_value x)
{
    int32_t i = 0;
    for (; i < 4; i++)
        x = qzi_part_conv(g, qzi_index(i).text, x, QZI_FPN_CHANNELS, 3, QZI_PART_BATCH_NORM,
                          QZ_ACT_RELU);
    x = qz_flatten(g, qzi_index(i++).text, x);
    x = qz_linear(g, qzi_index(i++).text, x, HIDDEN, true);
    return qz_activate(g, qzi_index(i).text, x, QZ_ACT_RELU);
}

static void build_boxes(qz_graph *g, const qzi_rcnn *net, int32_t classes)
{
    qz_value x = qz_graph_input_sized(g, "box_features", QZI_FPN_CHANNELS, 7, 7);
    qz_graph_enter(g, "roi_heads");
    qz_graph_enter(g, "box_head");
    x = qz_graph_leave(g, net->v2 ? convolutions_and_layer(g, x) : two_layers(g, x));
    qz_graph_enter(g, "box_predictor");
    const qz_value logits = qz_linear(g, "cls_score", x, classes, true);
    const qz_value boxes = qz_linear(g, "bbox_pred", x, classes * 4, true);
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_output(g, "roi_cls_logits", logits);
    qz_graph_output(g, "roi_bbox_regression", boxes);
}

void qzi_rcnn_build(qz_graph *graph, const qzi_rcnn *net, const qzi_build_options *options)
{
    qz_value levels[QZI_DETECTOR_LEVELS];
    const qz_value image = qzi_block_image_input(graph);
    const int32_t count =
        qzi_fpn_backbone(graph, net->body, image, norm_of(net), QZI_FPN_POOL, options, levels);
    if (count == 0)
        return;
    for (int32_t i = 0; i < count; i++)
        qzi_part_output(graph, "features", i, levels[i]);
    for (int32_t i = 0; i < count; i++)
        build_rpn(graph, net, i, levels[i]);
    build_boxes(graph, net, options->num_classes);
}

/* ---- on a ResNet-50 ---- */

static const qzi_fpn_body resnet50 = {.arch = &qzi_arch_resnet50,
                                      .eps = 1e-5f,
                                      .count = 4,
                                      .maps = {"layer1", "layer2", "layer3", "layer4"}};

const qzi_rcnn qzi_rcnn_resnet50 = {.body = &resnet50, .anchors = 3};
const qzi_rcnn qzi_rcnn_resnet50_v2 = {.body = &resnet50, .v2 = true, .anchors = 3};

const qz_fill_rule qzi_rcnn_resnet50_rules[] = {
    {"rpn.head.bbox_pred", 0.265614},
    {"rpn.head.cls_logits", 0.885381},
    {"box_predictor.bbox_pred", 0.619767},
    {"box_predictor.cls_score", 1.32807},
    {"fpn.", 0.796843},
    {"conv3.weight", 0.354153},
    {"", 1.01819},
    {NULL, 0.0},
};
const qz_fill_rule qzi_rcnn_resnet50_v2_rules[] = {
    {"rpn.head.bbox_pred", 0.289555},
    {"rpn.head.cls_logits", 0.965182},
    {"box_predictor.bbox_pred", 0.675628},
    {"box_predictor.cls_score", 1.44777},
    {"fpn.", 0.868664},
    {"conv3.weight", 0.386073},
    {"", 1.10996},
    {NULL, 0.0},
};
