/* SPDX-License-Identifier: MIT */
/* yolo_blocks.h - what the YOLO networks share: modules, heads, their description. Private. */
#ifndef QZOO_ZOO_DETECTION_YOLO_BLOCKS_H
#define QZOO_ZOO_DETECTION_YOLO_BLOCKS_H

#include "zoo/detection/detector_parts.h"
#include "zoo/qzoo_yolo.h"

#define QZI_YOLO_LEVELS QZ_YOLO_LEVELS
#define QZI_YOLO_ANCHORS QZ_YOLO_ANCHORS /* at a place */

/* Conv of ultralytics in the scope `name`: "conv" without bias, "bn", "act". */
typedef struct qzi_yolo_conv {
    int32_t channels, kernel, stride;
    int32_t padding; /* 0: half the kernel */
} qzi_yolo_conv;

qz_value qzi_yolo_conv_of(qz_graph *graph, const char *name, qz_value x, qzi_yolo_conv conv,
                          qz_activation act);
/* Bottleneck in the current scope: "cv1" to `hidden`, "cv2" of 3x3 to `channels`, and x added to
 * that where `add`. */
qz_value qzi_yolo_bottleneck(qz_graph *graph, qz_value x, int32_t channels, int32_t hidden,
                             bool add, qz_activation act);
/* nn.MaxPool2d(kernel, stride 1), which keeps the size. */
qz_value qzi_yolo_pool(qz_graph *graph, const char *name, qz_value x, int32_t kernel);
/* nn.Upsample(scale 2, nearest): as large as `like`, which is twice as large. */
qz_value qzi_yolo_upsample(qz_graph *graph, const char *name, qz_value x, qz_value like);

/*
 * The 1x1 convolution `name` of a level, its rows divided into the outputs "bbox_regression.K",
 * "objectness.K" and "cls_logits.K" (detector.h).
 */
void qzi_yolo_head(qz_graph *graph, const char *name, int32_t level, qz_value x, int32_t classes);
/* The scope `name`, torch's Detect: the buffer "anchors", and heads "m.0", "m.1", "m.2". */
void qzi_yolo_detect(qz_graph *graph, const char *name, const qzi_detector *detector,
                     const qz_value levels[QZI_YOLO_LEVELS], int32_t classes);

/* fuse_model: divides the heads, then fuses. */
qz_status qzi_yolo_fuse(qz_graph *graph, bool is_qat);

/* The anchors of COCO, of v3 and v5. */
#define QZI_YOLO_COCO_ANCHORS                                            \
    {                                                                    \
        {{10, 13}, {16, 30}, {33, 23}}, {{30, 61}, {62, 45}, {59, 119}}, \
        {                                                                \
            {116, 90}, {156, 198},                                       \
            {                                                            \
                373, 326                                                 \
            }                                                            \
        }                                                                \
    }

/* What all have in qzi_detector; images are from 0 to 1, neither mean nor std. */
#define QZI_YOLO_DETECTOR(side, kind_of_decode)                                                 \
    .kind = QZI_DETECTOR_YOLO, .levels = QZI_YOLO_LEVELS, .std = {1, 1, 1}, .size_divisor = 32, \
    .strides = {8, 16, 32},                                                                     \
    .defaults = {.size = sizeof(qz_detection_options),                                          \
                 .score_thresh = 0.25,                                                          \
                 .nms_thresh = 0.45,                                                            \
                 .detections_per_img = 300,                                                     \
                 .topk_candidates = 30000,                                                      \
                 .fixed_h = (side),                                                             \
                 .fixed_w = (side),                                                             \
                 .decode = (kind_of_decode)}

#define QZI_YOLO_INFO(id, side) QZI_DETECTOR_INFO_OF(id, 80, side, .std = {1, 1, 1})

#endif
