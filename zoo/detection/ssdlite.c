/* SPDX-License-Identifier: MIT */
/*
 * ssdlite.c - SSDLite320 on a MobileNetV3 large, as torchvision builds it.
 *
 *   Howard et al., Searching for MobileNetV3, 2019
 *   Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018
 *
 * The backbone has the reduced tail. It is cut within its block 13: the first map is what that
 * block expands (C4), the rest of the block is module 0 of the second part.
 */
#include "zoo/detection/detector_parts.h"

#define LEVELS 6
#define C4_BLOCK 13

static qz_value mobilenet(qz_graph *g, qz_value x, int32_t first, int32_t end, int32_t base,
                          const char *last)
{
    const qzi_backbone_options options = {
        .first = first, .end = end, .base = base, .reduced_tail = true};
    qz_value map = QZ_NO_VALUE;
    return qzi_backbone_build(g, &qzi_arch_mobilenet_v3_large, x, &options, &last, 1, &map) == QZ_OK
               ? map
               : QZ_NO_VALUE;
}

/* Block 13 behind its expansion: numbers as in the block, which torch has sliced. */
static qz_value rest_of_c4(qz_graph *g, qz_value x)
{
    const qz_conv2d_options depthwise = {
        .out_channels = 672, .kernel_h = 5, .stride_h = 2, .groups = 672};
    qz_graph_enter(g, "0");
    x = qzi_block_conv_bn_act(g, QZI_BN_EPS_001, "1", x, &depthwise, QZ_ACT_HARDSWISH);
    x = qzi_block_squeeze_excitation(g, "2", x, 672, 168, QZ_ACT_RELU, QZ_ACT_HARDSIGMOID);
    x = qzi_block_conv_bn_act(g, QZI_BN_EPS_001, "3", x, QZI_CONV1X1(80, 1), QZ_ACT_NONE);
    return qz_graph_leave(g, x);
}

static void build_features(qz_graph *g, qz_value x, qz_value maps[2])
{
    qz_graph_enter(g, "features");
    qz_graph_enter(g, "0");
    x = mobilenet(g, x, 0, C4_BLOCK, 0, "12");
    x = qzi_block_conv_bn_act(g, QZI_BN_EPS_001, "13", x, QZI_CONV1X1(672, 1), QZ_ACT_HARDSWISH);
    maps[0] = qz_graph_leave(g, x);
    qz_graph_enter(g, "1");
    x = rest_of_c4(g, maps[0]);
    x = mobilenet(g, x, C4_BLOCK + 1, 0, 1, "3");
    maps[1] = qz_graph_leave(g, x);
    qz_graph_leave(g, QZ_NO_VALUE);
}

static qz_value depthwise(qz_graph *g, const char *name, qz_value x, int32_t channels,
                          int32_t stride)
{
    return qzi_block_conv_bn_act(g, QZI_BN_EPS_001, name, x,
                                 QZI_CONV3X3(channels, stride, channels), QZ_ACT_RELU6);
}

/* To half the channels, half the size, all channels. */
static qz_value extra_block(qz_graph *g, int32_t index, qz_value x, int32_t channels)
{
    qz_graph_enter(g, "%d", (int)index);
    x = qzi_block_conv_bn_act(g, QZI_BN_EPS_001, "0", x, QZI_CONV1X1(channels / 2, 1),
                              QZ_ACT_RELU6);
    x = depthwise(g, "1", x, channels / 2, 2);
    x = qzi_block_conv_bn_act(g, QZI_BN_EPS_001, "2", x, QZI_CONV1X1(channels, 1), QZ_ACT_RELU6);
    return qz_graph_leave(g, x);
}

/* Channels of the maps. */
static const int32_t channels[LEVELS] = {672, 480, 512, 256, 256, 128};

static void build_backbone(qz_graph *g, qz_value x, qz_value maps[LEVELS])
{
    qz_graph_enter(g, "backbone");
    build_features(g, x, maps);
    qz_graph_enter(g, "extra");
    for (int32_t i = 2; i < LEVELS; i++)
        maps[i] = extra_block(g, i - 2, maps[i - 1], channels[i]);
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_leave(g, QZ_NO_VALUE);
}

static const qzi_detector detector;

/* For each map a depthwise convolution, then a pointwise one: columns for each anchor. */
static void build_head(qz_graph *g, const char *scope, const qz_value *maps, int32_t columns,
                       qz_value *out)
{
    qz_graph_enter(g, "%s", scope);
    qz_graph_enter(g, "module_list");
    for (int32_t i = 0; i < LEVELS; i++) {
        const int32_t oc = qzi_detector_anchors(&detector, i) * columns;
        qz_graph_enter(g, "%d", (int)i);
        out[i] = depthwise(g, "0", maps[i], channels[i], 1);
        out[i] = qz_conv2d(g, "1", out[i],
                           &(qz_conv2d_options){.out_channels = oc, .kernel_h = 1, .bias = true});
        out[i] = qz_graph_leave(g, out[i]);
    }
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_leave(g, QZ_NO_VALUE);
}

static void build_ssdlite(qz_graph *g, const void *config, const qzi_build_options *options)
{
    qz_value maps[LEVELS];
    (void)config;
    build_backbone(g, qzi_block_image_input(g), maps);
    qzi_part_ssd_heads(g, build_head, maps, LEVELS, options->num_classes);
}

static const qzi_detector detector = {
    .kind = QZI_DETECTOR_SSD,
    .levels = LEVELS,
    .dbox_ratio_count = {2, 2, 2, 2, 2, 2},
    .dbox_ratios = {{2, 3}, {2, 3}, {2, 3}, {2, 3}, {2, 3}, {2, 3}},
    .dbox_scales = {0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0},
    .box_weights = {10, 10, 5, 5},
    .mean = {0.5f, 0.5f, 0.5f},
    .std = {0.5f, 0.5f, 0.5f},
    .size_divisor = 1,
    .defaults = {.size = sizeof(qz_detection_options),
                 .score_thresh = 0.001,
                 .nms_thresh = 0.55,
                 .detections_per_img = 300,
                 .topk_candidates = 300,
                 .fixed_h = 320,
                 .fixed_w = 320},
};

static const qz_fill_rule rules[] = {
    {"fc2", 0.472374}, {"head.reg", 0.566849}, {"head.cls", 0.850273}, {"", 1.22817}, {NULL, 0.0},
};

const qzi_arch qzi_arch_ssdlite320_mobilenet_v3_large = {
    QZI_DETECTOR_INFO(ssdlite320_mobilenet_v3_large, 320, .mean = {0.5f, 0.5f, 0.5f},
                      .std = {0.5f, 0.5f, 0.5f}),
    .fill_rules = rules, .build = build_ssdlite, .fuse = qzi_fuse, .detector = &detector};
