/* SPDX-License-Identifier: MIT */
/*
 * fcos.c - FCOS on a ResNet-50, as torchvision builds it.
 *
 *   Tian et al., FCOS: A Simple and Strong Anchor-free Object Detector, 2020
 *
 * A place has one box, whose distances are at least 0 (the node "relu").
 */
#include "zoo/detection/detector_parts.h"

#define CONV3X3(channels) \
    (&(qz_conv2d_options){.out_channels = (channels), .kernel_h = 3, .padding_h = 1, .bias = true})

/* Four times convolution with bias, GroupNorm, ReLU, all in one Sequential. */
static qz_value build_tower(qz_graph *g, qz_value x)
{
    int32_t index = 0;
    qz_graph_enter(g, "conv");
    for (int32_t i = 0; i < 4; i++) {
        x = qz_conv2d(g, qzi_index(index++).text, x, CONV3X3(QZI_FPN_CHANNELS));
        x = qz_group_norm(g, qzi_index(index++).text, x, 32, 1e-5f);
        x = qz_activate(g, qzi_index(index++).text, x, QZ_ACT_RELU);
    }
    return qz_graph_leave(g, x);
}

static void build_heads(qz_graph *g, int32_t level, qz_value map, int32_t classes)
{
    qz_graph_set_call(g, level);
    qz_graph_enter(g, "head");
    qz_graph_enter(g, "classification_head");
    qz_value x = build_tower(g, map);
    const qz_value logits = qz_conv2d(g, "cls_logits", x, CONV3X3(classes));
    qz_graph_leave(g, logits);
    qz_graph_enter(g, "regression_head");
    x = build_tower(g, map);
    qz_value boxes = qz_conv2d(g, "bbox_reg", x, CONV3X3(4));
    boxes = qz_activate(g, "relu", boxes, QZ_ACT_RELU);
    const qz_value centre = qz_conv2d(g, "bbox_ctrness", x, CONV3X3(1));
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_set_call(g, 0);
    qzi_part_output(g, "cls_logits", level, logits);
    qzi_part_output(g, "bbox_regression", level, boxes);
    qzi_part_output(g, "bbox_ctrness", level, centre);
}

static void build_fcos(qz_graph *g, const void *config, const qzi_build_options *options)
{
    qz_value levels[QZI_DETECTOR_LEVELS];
    const qz_value image = qzi_block_image_input(g);
    const int32_t count = qzi_fpn_backbone(g, &qzi_fpn_resnet50_c3, image, QZI_PART_BIAS,
                                           QZI_FPN_P6P7, options, levels);
    (void)config;
    for (int32_t i = 0; i < count; i++)
        build_heads(g, i, levels[i], options->num_classes);
}

static const qzi_detector detector = {
    .kind = QZI_DETECTOR_FCOS,
    .levels = 5,
    .size_count = 1,
    .ratio_count = 1,
    .sizes = {{8}, {16}, {32}, {64}, {128}},
    .ratios = {1.0f},
    .mean = QZI_DETECTOR_IMAGENET_MEAN,
    .std = QZI_DETECTOR_IMAGENET_STD,
    .size_divisor = 32,
    .defaults = {.size = sizeof(qz_detection_options),
                 .score_thresh = 0.2,
                 .nms_thresh = 0.6,
                 .detections_per_img = 100,
                 .topk_candidates = 1000,
                 .min_size = 800,
                 .max_size = 1333},
};

static const qz_fill_rule rules[] = {
    {"bbox_reg", 0.6},     {"cls_logits", 1.5}, {"fpn.", 0.8},
    {"conv3.weight", 0.4}, {"", 1.2},           {NULL, 0.0},
};
/* boxes of some size */
static const qzi_fill_range ranges[] = {{"bbox_reg.bias", 0.75, 1.2}, {NULL, 0.0, 0.0}};

const qzi_arch qzi_arch_fcos_resnet50_fpn = {QZI_DETECTOR_INFO_IMAGENET(fcos_resnet50_fpn, 800),
                                             .fill_rules = rules,
                                             .fill_ranges = ranges,
                                             .build = build_fcos,
                                             .fuse = qzi_fuse,
                                             .detector = &detector};
