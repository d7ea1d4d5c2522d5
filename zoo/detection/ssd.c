/* SPDX-License-Identifier: MIT */
/*
 * ssd.c - SSD300 on a VGG-16, as torchvision builds it.
 *
 *   Liu et al., SSD: Single Shot MultiBox Detector, 2016
 */
#include "zoo/detection/detector_parts.h"

#define LEVELS 6

/* VGG's modules before and behind its fourth pool. */
static qz_value vgg(qz_graph *g, qz_value x, int32_t first, int32_t end, const char *last)
{
    const qzi_backbone_options options = {.first = first, .end = end, .ceil_pool = true};
    qz_value map = QZ_NO_VALUE;
    return qzi_backbone_build(g, &qzi_arch_vgg16, x, &options, &last, 1, &map) == QZ_OK
               ? map
               : QZ_NO_VALUE;
}

/* fc6 and fc7 of VGG as convolutions: the first dilated, behind a pool that keeps the size. */
static qz_value dense(qz_graph *g, qz_value x)
{
    qz_graph_enter(g, "7");
    x = qz_max_pool2d(g, "0", x,
                      &(qz_pool2d_options){.kernel_h = 3, .stride_h = 1, .padding_h = 1});
    x = qz_conv2d(
        g, "1", x,
        &(qz_conv2d_options){
            .out_channels = 1024, .kernel_h = 3, .padding_h = 6, .dilation_h = 6, .bias = true});
    x = qz_activate(g, "2", x, QZ_ACT_RELU);
    x = qz_conv2d(g, "3", x,
                  &(qz_conv2d_options){.out_channels = 1024, .kernel_h = 1, .bias = true});
    x = qz_activate(g, "4", x, QZ_ACT_RELU);
    return qz_graph_leave(g, x);
}

/* 1x1 to half the channels, 3x3 to all: stride 2, or no padding. */
static qz_value extra_block(qz_graph *g, int32_t index, qz_value x, int32_t channels, bool stride)
{
    qz_graph_enter(g, "%d", (int)index);
    x = qz_conv2d(g, "0", x,
                  &(qz_conv2d_options){.out_channels = channels / 2, .kernel_h = 1, .bias = true});
    x = qz_activate(g, "1", x, QZ_ACT_RELU);
    x = qz_conv2d(g, "2", x,
                  &(qz_conv2d_options){.out_channels = channels,
                                       .kernel_h = 3,
                                       .stride_h = stride ? 2 : 1,
                                       .padding_h = stride ? 1 : 0,
                                       .bias = true});
    x = qz_activate(g, "3", x, QZ_ACT_RELU);
    return qz_graph_leave(g, x);
}

static void build_backbone(qz_graph *g, qz_value x, qz_value maps[LEVELS])
{
    qz_graph_enter(g, "backbone");
    qz_graph_enter(g, "features");
    x = qz_graph_leave(g, vgg(g, x, 0, 23, "22"));
    maps[0] = qz_l2_norm(g, "scale_weight", "rescaled", x);
    qz_graph_enter(g, "extra");
    qz_graph_enter(g, "0");
    x = dense(g, vgg(g, x, 23, 30, "6"));
    maps[1] = qz_graph_leave(g, x);
    maps[2] = extra_block(g, 1, maps[1], 512, true);
    maps[3] = extra_block(g, 2, maps[2], 256, true);
    maps[4] = extra_block(g, 3, maps[3], 256, false);
    maps[5] = extra_block(g, 4, maps[4], 256, false);
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_leave(g, QZ_NO_VALUE);
}

static const qzi_detector detector;

/* One convolution for each map: columns for each anchor. */
static void build_head(qz_graph *g, const char *scope, const qz_value *maps, int32_t columns,
                       qz_value *out)
{
    qz_graph_enter(g, "%s", scope);
    qz_graph_enter(g, "module_list");
    for (int32_t i = 0; i < LEVELS; i++)
        out[i] = qz_conv2d(
            g, qzi_index(i).text, maps[i],
            &(qz_conv2d_options){.out_channels = qzi_detector_anchors(&detector, i) * columns,
                                 .kernel_h = 3,
                                 .padding_h = 1,
                                 .bias = true});
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_leave(g, QZ_NO_VALUE);
}

static void build_ssd(qz_graph *g, const void *config, const qzi_build_options *options)
{
    qz_value maps[LEVELS];
    (void)config;
    build_backbone(g, qzi_block_image_input(g), maps);
    qzi_part_ssd_heads(g, build_head, maps, LEVELS, options->num_classes);
}

/* Caffe's: the mean of each colour, no division. torchvision's images are from 0 to 1. */
#define SSD_MEAN                     \
    {                                \
        0.48235f, 0.45882f, 0.40784f \
    }
#define SSD_STD                                                          \
    {                                                                    \
        (float)(1.0 / 255.0), (float)(1.0 / 255.0), (float)(1.0 / 255.0) \
    }

static const qzi_detector detector = {
    .kind = QZI_DETECTOR_SSD,
    .levels = LEVELS,
    .dbox_ratio_count = {1, 2, 2, 2, 1, 1},
    .dbox_ratios = {{2}, {2, 3}, {2, 3}, {2, 3}, {2}, {2}},
    .dbox_scales = {0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05},
    .dbox_steps = {8, 16, 32, 64, 100, 300},
    .box_weights = {10, 10, 5, 5},
    .mean = SSD_MEAN,
    .std = SSD_STD,
    .size_divisor = 1,
    .defaults = {.size = sizeof(qz_detection_options),
                 .score_thresh = 0.01,
                 .nms_thresh = 0.45,
                 .detections_per_img = 200,
                 .topk_candidates = 400,
                 .fixed_h = 300,
                 .fixed_w = 300},
};

static const qz_fill_rule rules[] = {
    {"backbone.features.0.", 0.02}, {"head.reg", 0.5}, {"head.cls", 1.2}, {"", 1.4}, {NULL, 0.0},
};

const qzi_arch qzi_arch_ssd300_vgg16 = {
    QZI_DETECTOR_INFO(ssd300_vgg16, 300, .mean = SSD_MEAN, .std = SSD_STD), .fill_rules = rules,
    .build = build_ssd, .fuse = qzi_fuse, .detector = &detector};
