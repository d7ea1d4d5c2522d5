/* SPDX-License-Identifier: MIT */
/*
 * detector_parts.h - what the graphs of several detectors share: backbones with a feature pyramid,
 * convolutions with a choice of norms, outputs by level. Private.
 */
#ifndef QZOO_ZOO_DETECTION_DETECTOR_PARTS_H
#define QZOO_ZOO_DETECTION_DETECTOR_PARTS_H

#include "zoo/blocks.h"
#include "zoo/detection/detector.h"

/* What normalizes a convolution. */
typedef enum qzi_part_norm {
    QZI_PART_BIAS, /* nothing: the convolution has a bias */
    QZI_PART_BATCH_NORM,
    QZI_PART_GROUP_NORM /* of 32 groups */
} qzi_part_norm;

/*
 * torchvision.ops.Conv2dNormActivation in the scope `name`: convolution "0", which keeps the size,
 * then norm and activation (NONE: neither) with the next numbers.
 */
qz_value qzi_part_conv(qz_graph *graph, const char *name, qz_value x, int32_t channels,
                       int32_t kernel, qzi_part_norm norm, qz_activation act);

/* The coarser maps that follow those of the backbone. */
typedef enum qzi_fpn_extra {
    QZI_FPN_POOL,     /* LastLevelMaxPool: every second pixel of the last map */
    QZI_FPN_P6P7,     /* LastLevelP6P7 of the last map */
    QZI_FPN_P6P7_OF_C /* LastLevelP6P7 of the backbone's last map */
} qzi_fpn_extra;

#define QZI_FPN_CHANNELS 256

/*
 * torchvision's FeaturePyramidNetwork in the current scope, from `count` maps of the backbone (the
 * finest first) to levels[]: `count` maps of QZI_FPN_CHANNELS channels, then one ("pool") or two
 * ("p6", "p7"). Returns how many. norm: of its convolutions.
 */
int32_t qzi_fpn(qz_graph *graph, const qz_value *maps, int32_t count, qzi_part_norm norm,
                qzi_fpn_extra extra, qz_value *levels);

/* A backbone that a pyramid is built on. */
typedef struct qzi_fpn_body {
    const qzi_arch *arch;
    float eps;           /* of its norms */
    int32_t count;       /* of modules */
    const char *maps[4]; /* modules, the finest map first */
} qzi_fpn_body;

extern const qzi_fpn_body qzi_fpn_resnet50_c3; /* layer2 to layer4 */

/*
 * The scope "backbone": the classifier as "body", the pyramid as "fpn". Returns how many levels;
 * 0: the graph is poisoned, or is not complete.
 */
int32_t qzi_fpn_backbone(qz_graph *graph, const qzi_fpn_body *body, qz_value image,
                         qzi_part_norm norm, qzi_fpn_extra extra, const qzi_build_options *options,
                         qz_value levels[QZI_DETECTOR_LEVELS]);

/* Adds the output "<name>.<level>". */
void qzi_part_output(qz_graph *graph, const char *name, int32_t level, qz_value value);

/* Builds one head in the scope `name` on all maps: `columns` channels for each anchor. */
typedef void (*qzi_part_head_fn)(qz_graph *graph, const char *name, const qz_value *maps,
                                 int32_t columns, qz_value *out);
/* The two heads of an SSD, and the outputs of their levels. */
void qzi_part_ssd_heads(qz_graph *graph, qzi_part_head_fn build, const qz_value *maps,
                        int32_t levels, int32_t classes);

/* The description of a detector. side: of the network's input for a square image, at which its MACs
 * are counted. */
#define QZI_DETECTOR_INFO_OF(id, count, side, ...)                      \
    .info = {.name = #id,                                               \
             .task = "detection",                                       \
             .classes = (count),                                        \
             .input_h = (side),                                         \
             .input_w = (side),                                         \
             .preprocess = {.resize = (side),                           \
                            .crop_h = (side),                           \
                            .crop_w = (side),                           \
                            .interpolation = QZ_INTERPOLATION_BILINEAR, \
                            __VA_ARGS__}}
/* Of COCO's 91 classes, background counted. */
#define QZI_DETECTOR_INFO(id, side, ...) QZI_DETECTOR_INFO_OF(id, 91, side, __VA_ARGS__)
#define QZI_DETECTOR_INFO_IMAGENET(id, side)                        \
    QZI_DETECTOR_INFO(id, side, .mean = QZI_DETECTOR_IMAGENET_MEAN, \
                      .std = QZI_DETECTOR_IMAGENET_STD)

#endif
