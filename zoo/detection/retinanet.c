/* SPDX-License-Identifier: MIT */
/*
 * retinanet.c - RetinaNet on a ResNet-50, as torchvision builds it.
 *
 *   Lin et al., Focal Loss for Dense Object Detection, 2017
 *
 * v2 (Li et al., Benchmarking Detection Transfer Learning with Vision Transformers, 2021) has
 * GroupNorm in its heads, and p6 from the backbone's last map.
 */
#include "zoo/detection/detector_parts.h"

struct retinanet {
    qzi_part_norm norm; /* of the heads */
    qzi_fpn_extra extra;
};

#define ANCHORS 9

/* Four convolutions of the scope "conv", then the one that names the output. */
static qz_value build_head(qz_graph *g, const struct retinanet *net, const char *scope,
                           const char *last, qz_value x, int32_t channels)
{
    qz_graph_enter(g, "%s", scope);
    qz_graph_enter(g, "conv");
    for (int32_t i = 0; i < 4; i++)
        x = qzi_part_conv(g, qzi_index(i).text, x, QZI_FPN_CHANNELS, 3, net->norm, QZ_ACT_RELU);
    x = qz_graph_leave(g, x);
    x = qz_conv2d(g, last, x,
                  &(qz_conv2d_options){
                      .out_channels = channels, .kernel_h = 3, .padding_h = 1, .bias = true});
    return qz_graph_leave(g, x);
}

static void build_retinanet(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const struct retinanet *net = config;
    qz_value levels[QZI_DETECTOR_LEVELS];
    const qz_value image = qzi_block_image_input(g);
    const int32_t count = qzi_fpn_backbone(g, &qzi_fpn_resnet50_c3, image, QZI_PART_BIAS,
                                           net->extra, options, levels);
    for (int32_t i = 0; i < count; i++) {
        qz_graph_set_call(g, i);
        qz_graph_enter(g, "head");
        const qz_value logits = build_head(g, net, "classification_head", "cls_logits", levels[i],
                                           ANCHORS * options->num_classes);
        const qz_value boxes =
            build_head(g, net, "regression_head", "bbox_reg", levels[i], ANCHORS * 4);
        qz_graph_leave(g, QZ_NO_VALUE);
        qz_graph_set_call(g, 0);
        qzi_part_output(g, "cls_logits", i, logits);
        qzi_part_output(g, "bbox_regression", i, boxes);
    }
}

static const qzi_detector detector = {
    .kind = QZI_DETECTOR_RETINANET,
    .levels = 5,
    .size_count = 3,
    .ratio_count = 3,
    .sizes = {{32, 40, 50}, {64, 80, 101}, {128, 161, 203}, {256, 322, 406}, {512, 645, 812}},
    .ratios = {0.5f, 1.0f, 2.0f},
    .box_weights = {1, 1, 1, 1},
    .mean = QZI_DETECTOR_IMAGENET_MEAN,
    .std = QZI_DETECTOR_IMAGENET_STD,
    .size_divisor = 32,
    .defaults = {.size = sizeof(qz_detection_options),
                 .score_thresh = 0.05,
                 .nms_thresh = 0.5,
                 .detections_per_img = 300,
                 .topk_candidates = 1000,
                 .min_size = 800,
                 .max_size = 1333},
};

static const qz_fill_rule v1_rules[] = {
    {"bbox_reg", 0.376376}, {"cls_logits", 0.940939},
    {"fpn.", 0.846845},     {"conv3.weight", 0.376376},
    {"", 1.12913},          {NULL, 0.0},
};
static const qz_fill_rule v2_rules[] = {
    {"bbox_reg", 0.5},     {"cls_logits", 1.5}, {"fpn.", 0.8},
    {"conv3.weight", 0.4}, {"", 1.2},           {NULL, 0.0},
};

static const struct retinanet v1_config = {QZI_PART_BIAS, QZI_FPN_P6P7};
static const struct retinanet v2_config = {QZI_PART_GROUP_NORM, QZI_FPN_P6P7_OF_C};

#define RETINANET(id, config_, rules)                                    \
    const qzi_arch qzi_arch_##id = {QZI_DETECTOR_INFO_IMAGENET(id, 800), \
                                    .fill_rules = (rules),               \
                                    .config = (config_),                 \
                                    .build = build_retinanet,            \
                                    .fuse = qzi_fuse,                    \
                                    .detector = &detector}
RETINANET(retinanet_resnet50_fpn, &v1_config, v1_rules);
RETINANET(retinanet_resnet50_fpn_v2, &v2_config, v2_rules);
