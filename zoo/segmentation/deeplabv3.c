/* SPDX-License-Identifier: MIT */
/*
 * deeplabv3.c - DeepLabV3 on dilated ResNets and MobileNetV3, as torchvision builds it.
 *
 *   Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, 2017
 */
#include "zoo/segmentation/segmentation.h"

enum { CHANNELS = 256 };

static qz_value conv_bn_relu(qz_graph *g, qz_value x, int32_t kernel, int32_t dilation)
{
    x = qzi_block_conv_bn(g, QZI_BN, "0", "1", x,
                          &(qz_conv2d_options){.out_channels = CHANNELS,
                                               .kernel_h = kernel,
                                               .padding_h = kernel / 2 * dilation,
                                               .dilation_h = dilation});
    return qz_activate(g, "2", x, QZ_ACT_RELU);
}

/* The mean of the whole image, at every pixel. */
static qz_value image_pooling(qz_graph *g, qz_value x)
{
    qz_value y = qz_adaptive_avg_pool2d(g, "0", x, 1, 1);
    y = qzi_block_conv_bn(g, QZI_BN, "1", "2", y, QZI_CONV1X1(CHANNELS, 1));
    y = qz_activate(g, "3", y, QZ_ACT_RELU);
    return qz_resize2d(g, "interpolate", y, x, QZ_RESIZE_BILINEAR);
}

/* Atrous spatial pyramid pooling: one map at several dilations, and its mean. */
static qz_value aspp(qz_graph *g, qz_value x)
{
    static const int32_t dilations[4] = {1, 12, 24, 36};
    qz_value branches[5];
    qz_graph_enter(g, "0");
    for (int32_t i = 0; i < 4; i++) {
        qz_graph_enter(g, "convs.%d", (int)i);
        branches[i] = qz_graph_leave(g, conv_bn_relu(g, x, i == 0 ? 1 : 3, dilations[i]));
    }
    qz_graph_enter(g, "convs.4");
    branches[4] = qz_graph_leave(g, image_pooling(g, x));
    x = qz_concat(g, "cat", branches, 5);
    qz_graph_enter(g, "project");
    x = conv_bn_relu(g, x, 1, 1);
    x = qz_graph_leave(g, qz_dropout(g, "3", x, 0.5f));
    return qz_graph_leave(g, x);
}

static void build_deeplabv3(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const qzi_segmenter_maps maps = qzi_segmenter_backbone(g, config);
    qz_value x = maps.high;
    qz_graph_enter(g, "classifier");
    x = aspp(g, x);
    x = qzi_block_conv_bn(g, QZI_BN, "1", "2", x, QZI_CONV3X3(CHANNELS, 1, 1));
    x = qz_activate(g, "3", x, QZ_ACT_RELU);
    x = qz_conv2d(
        g, "4", x,
        &(qz_conv2d_options){.out_channels = options->num_classes, .kernel_h = 1, .bias = true});
    x = qz_graph_leave(g, x);
    qzi_segmenter_output(g, "out", x, maps.image);
    qzi_segmenter_aux(g, &maps, options);
}

#define DEEPLABV3(id, segmenter, rules)                                                       \
    static const qzi_segmenter id##_config = segmenter;                                       \
    const qzi_arch qzi_arch_##id = {                                                          \
        QZI_SEGMENTER_FIELDS(id, build_deeplabv3, &id##_config, qzi_segmenter_rules_##rules), \
        .has_aux_logits = true}

DEEPLABV3(deeplabv3_resnet50, QZI_SEGMENTER_RESNET(resnet50), resnet50);
DEEPLABV3(deeplabv3_resnet101, QZI_SEGMENTER_RESNET(resnet101), resnet101);
DEEPLABV3(deeplabv3_mobilenet_v3_large, QZI_SEGMENTER_MOBILENET_V3(mobilenet_v3_large),
          mobilenet_v3);
