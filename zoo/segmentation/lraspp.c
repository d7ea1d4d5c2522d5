/* SPDX-License-Identifier: MIT */
/*
 * lraspp.c - Lite R-ASPP on a dilated MobileNetV3, as torchvision builds it.
 *
 *   Howard et al., Searching for MobileNetV3, 2019
 */
#include "zoo/segmentation/segmentation.h"

enum { CHANNELS = 128 };

static qz_value classes_of(qz_graph *g, const char *name, qz_value x, int32_t classes)
{
    return qz_conv2d(g, name, x,
                     &(qz_conv2d_options){.out_channels = classes, .kernel_h = 1, .bias = true});
}

static void build_lraspp(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const qzi_segmenter_maps maps = qzi_segmenter_backbone(g, config);
    qz_value x, scale, low;
    qz_graph_enter(g, "classifier");
    qz_graph_enter(g, "cbr");
    x = qzi_block_conv_bn(g, QZI_BN, "0", "1", maps.high, QZI_CONV1X1(CHANNELS, 1));
    x = qz_graph_leave(g, qz_activate(g, "2", x, QZ_ACT_RELU));
    qz_graph_enter(g, "scale");
    scale = qz_adaptive_avg_pool2d(g, "0", maps.high, 1, 1);
    scale = qz_conv2d(g, "1", scale, QZI_CONV1X1(CHANNELS, 1));
    scale = qz_graph_leave(g, qz_activate(g, "2", scale, QZ_ACT_SIGMOID));
    x = qz_mul(g, "mul", x, scale);
    x = qz_resize2d(g, "interpolate", x, maps.low, QZ_RESIZE_BILINEAR);
    low = classes_of(g, "low_classifier", maps.low, options->num_classes);
    x = classes_of(g, "high_classifier", x, options->num_classes);
    x = qz_graph_leave(g, qz_add(g, "add", low, x, QZ_ACT_NONE));
    qzi_segmenter_output(g, "out", x, maps.image);
}

static const qzi_segmenter lraspp_mobilenet_v3_large_config =
    QZI_SEGMENTER_MOBILENET_V3(mobilenet_v3_large);

const qzi_arch qzi_arch_lraspp_mobilenet_v3_large = {
    QZI_SEGMENTER_FIELDS(lraspp_mobilenet_v3_large, build_lraspp, &lraspp_mobilenet_v3_large_config,
                         qzi_segmenter_rules_mobilenet_v3)};
