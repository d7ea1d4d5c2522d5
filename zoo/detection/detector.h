/* SPDX-License-Identifier: MIT */
/*
 * detector.h - what a detector's architecture declares about the stages that are not its graph.
 * Private.
 *
 * A detector is one graph. Each of its inputs is the start of a stage:
 *
 *   input "input"         3 channels: the normalised, padded image
 *     one-stage outputs, for each level K from the finest, counted from 0:
 *       "cls_logits.K"       N x A*classes x H x W   A anchors at a place; channel a*classes + c
 *       "bbox_regression.K"  N x A*4 x H x W         channel a*4 + coordinate
 *       "bbox_ctrness.K"     N x A x H x W           FCOS
 *       "objectness.K"       N x A x H x W           YOLO: all of them before the sigmoid
 *     two-stage outputs:
 *       "features.K"         the maps of the FPN; the last one is "pool"
 *       "rpn_objectness.K"   N x A x H x W
 *       "rpn_deltas.K"       N x A*4 x H x W
 *   input "box_features"  R x 256 x 7 x 7
 *       "roi_cls_logits"       R x classes
 *       "roi_bbox_regression"  R x classes*4
 *   input "mask_features" R x 256 x 14 x 14
 *       "mask_logits"          R x classes x 28 x 28
 */
#ifndef QZOO_ZOO_DETECTION_DETECTOR_H
#define QZOO_ZOO_DETECTION_DETECTOR_H

#include "zoo/qzoo_detection.h"

#define QZI_DETECTOR_LEVELS 6 /* most maps of a detector */
#define QZI_ANCHOR_SIZES 5    /* most sizes of a level */
#define QZI_ANCHOR_RATIOS 3   /* most aspect ratios */

/* The graph's inputs, by stage. */
typedef enum qzi_detector_stage {
    QZI_STAGE_IMAGE = 0,
    QZI_STAGE_BOX,
    QZI_STAGE_MASK,
    QZI_STAGE_COUNT
} qzi_detector_stage;

typedef enum qzi_detector_kind {
    QZI_DETECTOR_RETINANET = 0,
    QZI_DETECTOR_FCOS,
    QZI_DETECTOR_SSD,
    QZI_DETECTOR_RCNN,
    QZI_DETECTOR_YOLO
} qzi_detector_kind;

/*
 * Constant data of one detector. Fields that a kind does not use are 0.
 *
 * Faster R-CNN with a ResNet-50, for example: .kind RCNN, .levels 5, .roi_levels 4, .size_count 1,
 * .sizes {{32}, {64}, {128}, {256}, {512}}, .ratio_count 3, .ratios {0.5, 1, 2}, .box_weights
 * {10, 10, 5, 5}, .size_divisor 32. RetinaNet: .size_count 3 and .box_weights {1, 1, 1, 1}.
 */
typedef struct qzi_detector {
    qzi_detector_kind kind;
    bool has_masks; /* Mask R-CNN: the graph has stage 2 */
    int32_t levels; /* maps that heads read: cls_logits.0 …, or rpn_objectness.0 … */
    /* RCNN: RoIs are pooled from features.0 to features.(roi_levels - 1): all but "pool" */
    int32_t roi_levels;

    /* AnchorGenerator (all but SSD): anchors at a place are ratio-major, size-minor:
     * ratio_count * size_count of them. torchvision's sizes[level], aspect_ratios of every level */
    int32_t size_count, ratio_count;
    float sizes[QZI_DETECTOR_LEVELS][QZI_ANCHOR_SIZES];
    float ratios[QZI_ANCHOR_RATIOS];

    /* DefaultBoxGenerator (SSD): anchors at a place of level k are 2 + 2 * dbox_ratio_count[k] */
    int32_t dbox_ratio_count[QZI_DETECTOR_LEVELS];
    float dbox_ratios[QZI_DETECTOR_LEVELS][2]; /* {2} or {2, 3} */
    /* scales of levels 0 to `levels`, in double as Python has them: 0.07, 0.15, … */
    double dbox_scales[QZI_DETECTOR_LEVELS + 1];
    /* pixels between places (8, 16, 32, 64, 100, 300); 0: the map's own share of the image */
    int32_t dbox_steps[QZI_DETECTOR_LEVELS];

    /* YOLO: pixels between places, anchors in pixels unless the weights bring their own
     * (qzi_model_anchors), the factor of x and y; the decode is a setting */
    int32_t strides[3];
    float yolo_anchors[3][3][2]; /* level, anchor, width and height */
    float scale_xy[3];
    struct {
        const char *backbone;   /* a published file of the first layers alone; NULL: darknet has no
                                   files of this network */
        int32_t backbone_convs; /* its convolutions */
    } darknet;

    /* BoxCoder of the final boxes: {1, 1, 1, 1} of RetinaNet, {10, 10, 5, 5} of SSD and R-CNN. The
     * RPN's is always {1, 1, 1, 1}; FCOS has BoxLinearCoder(normalize_by_size=True). */
    float box_weights[4];

    /* GeneralizedRCNNTransform */
    float mean[3], std[3];
    int32_t size_divisor; /* 32; SSD: 1 */

    /* min_size and max_size, or fixed_h and fixed_w, and every threshold and count of its kind */
    qz_detection_options defaults;
} qzi_detector;

/* torchvision's ImageNet mean and std, for .mean and .std. */
#define QZI_DETECTOR_IMAGENET_MEAN \
    {                              \
        0.485f, 0.456f, 0.406f     \
    }
#define QZI_DETECTOR_IMAGENET_STD \
    {                             \
        0.229f, 0.224f, 0.225f    \
    }

/* Anchors at one place of a level. */
static inline int32_t qzi_detector_anchors(const qzi_detector *detector, int32_t level)
{
    if (detector->kind == QZI_DETECTOR_YOLO)
        return 3;
    return detector->kind == QZI_DETECTOR_SSD ? 2 + 2 * detector->dbox_ratio_count[level]
                                              : detector->size_count * detector->ratio_count;
}

#endif
