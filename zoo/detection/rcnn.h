/* SPDX-License-Identifier: MIT */
/* rcnn.h - what Faster R-CNN and Mask R-CNN share. Private. */
#ifndef QZOO_ZOO_DETECTION_RCNN_H
#define QZOO_ZOO_DETECTION_RCNN_H

#include "zoo/detection/detector_parts.h"

typedef struct qzi_rcnn {
    const qzi_fpn_body *body;
    /* v2: batch norms in the pyramid and the heads, two convolutions before the proposals, four
     * before the boxes */
    bool v2;
    int32_t anchors; /* at a place */
} qzi_rcnn;

extern const qzi_rcnn qzi_rcnn_resnet50, qzi_rcnn_resnet50_v2;
extern const qz_fill_rule qzi_rcnn_resnet50_rules[], qzi_rcnn_resnet50_v2_rules[];

/* The stages of the image and of the boxes: the inputs "input" and "box_features". */
void qzi_rcnn_build(qz_graph *graph, const qzi_rcnn *net, const qzi_build_options *options);

/* Facts of a detector on a ResNet-50, but for has_masks. */
#define QZI_RCNN_RESNET50                                                                       \
    .kind = QZI_DETECTOR_RCNN, .levels = 5, .roi_levels = 4, .size_count = 1, .ratio_count = 3, \
    .sizes = {{32}, {64}, {128}, {256}, {512}}, .ratios = {0.5f, 1.0f, 2.0f},                   \
    .box_weights = {10, 10, 5, 5}, .mean = QZI_DETECTOR_IMAGENET_MEAN,                          \
    .std = QZI_DETECTOR_IMAGENET_STD, .size_divisor = 32,                                       \
    .defaults = QZI_RCNN_DEFAULTS(1000, 0.0, 800, 1333)

#define QZI_RCNN_DEFAULTS(proposals, rpn_score, min, max)                                 \
    {                                                                                     \
        .size = sizeof(qz_detection_options), .rpn_pre_nms_top_n_test = (proposals),      \
        .rpn_post_nms_top_n_test = (proposals), .rpn_nms_thresh = 0.7,                    \
        .rpn_score_thresh = (rpn_score), .box_score_thresh = 0.05, .box_nms_thresh = 0.5, \
        .box_detections_per_img = 100, .min_size = (min), .max_size = (max)               \
    }

#endif
