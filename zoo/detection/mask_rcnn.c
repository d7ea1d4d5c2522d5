/* SPDX-License-Identifier: MIT */
/*
 * mask_rcnn.c - Mask R-CNN on a ResNet-50: Faster R-CNN (rcnn.h) and a stage for masks.
 *
 *   He et al., Mask R-CNN, 2017
 */
#include "zoo/detection/rcnn.h"

/* MaskRCNNHeads and MaskRCNNPredictor: 28x28 probabilities, before the sigmoid, of each class. */
static void build_masks(qz_graph *g, const qzi_rcnn *net, int32_t classes)
{
    const qz_conv_transpose2d_options twice = {
        .out_channels = QZI_FPN_CHANNELS, .kernel_h = 2, .stride_h = 2, .bias = true};
    qz_value x = qz_graph_input_sized(g, "mask_features", QZI_FPN_CHANNELS, 14, 14);
    qz_graph_enter(g, "roi_heads");
    qz_graph_enter(g, "mask_head");
    for (int32_t i = 0; i < 4; i++)
        x = qzi_part_conv(g, qzi_index(i).text, x, QZI_FPN_CHANNELS, 3,
                          net->v2 ? QZI_PART_BATCH_NORM : QZI_PART_BIAS, QZ_ACT_RELU);
    x = qz_graph_leave(g, x);
    qz_graph_enter(g, "mask_predictor");
    x = qz_conv_transpose2d(g, "conv5_mask", x, &twice);
    x = qz_activate(g, "relu", x, QZ_ACT_RELU);
    x = qz_conv2d(g, "mask_fcn_logits", x,
                  &(qz_conv2d_options){.out_channels = classes, .kernel_h = 1, .bias = true});
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_leave(g, QZ_NO_VALUE);
    qz_graph_output(g, "mask_logits", x);
}

static void build_mask_rcnn(qz_graph *g, const void *config, const qzi_build_options *options)
{
    qzi_rcnn_build(g, config, options);
    build_masks(g, config, options->num_classes);
}

static const qzi_detector detector = {QZI_RCNN_RESNET50, .has_masks = true};

#define MASK_RCNN(id, config_, rules)                                    \
    const qzi_arch qzi_arch_##id = {QZI_DETECTOR_INFO_IMAGENET(id, 800), \
                                    .fill_rules = (rules),               \
                                    .config = (config_),                 \
                                    .build = build_mask_rcnn,            \
                                    .fuse = qzi_fuse,                    \
                                    .detector = &detector}
MASK_RCNN(maskrcnn_resnet50_fpn, &qzi_rcnn_resnet50, qzi_rcnn_resnet50_rules);
MASK_RCNN(maskrcnn_resnet50_fpn_v2, &qzi_rcnn_resnet50_v2, qzi_rcnn_resnet50_v2_rules);
