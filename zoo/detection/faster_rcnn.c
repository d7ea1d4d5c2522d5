/* SPDX-License-Identifier: MIT */
/* faster_rcnn.c - Faster R-CNN (rcnn.h) on a ResNet-50 and on a MobileNetV3 large. */
#include "zoo/detection/rcnn.h"

static void build_faster_rcnn(qz_graph *g, const void *config, const qzi_build_options *options)
{
    qzi_rcnn_build(g, config, options);
}

static const qzi_detector resnet50_detector = {QZI_RCNN_RESNET50};

/* Both maps have the same size: every level has anchors of all sizes. */
#define ALL_SIZES             \
    {                         \
        32, 64, 128, 256, 512 \
    }
#define MOBILENET(...)                                                                          \
    .kind = QZI_DETECTOR_RCNN, .levels = 3, .roi_levels = 2, .size_count = 5, .ratio_count = 3, \
    .sizes = {ALL_SIZES, ALL_SIZES, ALL_SIZES}, .ratios = {0.5f, 1.0f, 2.0f},                   \
    .box_weights = {10, 10, 5, 5}, .mean = QZI_DETECTOR_IMAGENET_MEAN,                          \
    .std = QZI_DETECTOR_IMAGENET_STD, .size_divisor = 32,                                       \
    .defaults = QZI_RCNN_DEFAULTS(__VA_ARGS__)

static const qzi_detector mobilenet_detector = {MOBILENET(1000, 0.05, 800, 1333)};
static const qzi_detector mobilenet_320_detector = {MOBILENET(150, 0.05, 320, 640)};

/* Its norms have torch's own eps, other than in the classifier. */
static const qzi_fpn_body mobilenet_v3_large = {
    .arch = &qzi_arch_mobilenet_v3_large, .eps = 1e-5f, .count = 2, .maps = {"13", "16"}};
static const qzi_rcnn mobilenet = {.body = &mobilenet_v3_large, .anchors = 15};

static const qz_fill_rule mobilenet_rules[] = {
    {"rpn.head.bbox_pred", 0.28124},
    {"rpn.head.cls_logits", 0.937465},
    {"box_predictor.bbox_pred", 0.656226},
    {"box_predictor.cls_score", 1.4062},
    {"fc2", 0.468733},
    {"backbone.body", 1.21871},
    {"", 1.17183},
    {NULL, 0.0},
};
static const qz_fill_rule mobilenet_320_rules[] = {
    {"rpn.head.bbox_pred", 0.281267},
    {"rpn.head.cls_logits", 0.937556},
    {"box_predictor.bbox_pred", 0.656289},
    {"box_predictor.cls_score", 1.40633},
    {"fc2", 0.468778},
    {"backbone.body", 1.21882},
    {"", 1.17194},
    {NULL, 0.0},
};

#define FASTER_RCNN(id, side, config_, rules, detector_)                                  \
    const qzi_arch qzi_arch_##id = {                                                      \
        QZI_DETECTOR_INFO_IMAGENET(id, side), .fill_rules = (rules), .config = (config_), \
        .build = build_faster_rcnn,           .fuse = qzi_fuse,      .detector = &(detector_)}
FASTER_RCNN(fasterrcnn_resnet50_fpn, 800, &qzi_rcnn_resnet50, qzi_rcnn_resnet50_rules,
            resnet50_detector);
FASTER_RCNN(fasterrcnn_resnet50_fpn_v2, 800, &qzi_rcnn_resnet50_v2, qzi_rcnn_resnet50_v2_rules,
            resnet50_detector);
FASTER_RCNN(fasterrcnn_mobilenet_v3_large_fpn, 800, &mobilenet, mobilenet_rules,
            mobilenet_detector);
FASTER_RCNN(fasterrcnn_mobilenet_v3_large_320_fpn, 320, &mobilenet, mobilenet_320_rules,
            mobilenet_320_detector);
