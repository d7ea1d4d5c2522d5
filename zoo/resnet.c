/* SPDX-License-Identifier: MIT */
/*
 * resnet.c - ResNet, Wide ResNet and ResNeXt, as torchvision builds them: the stride of a
 * bottleneck is on its 3x3 convolution ("v1.5").
 *
 *   He et al., Deep Residual Learning for Image Recognition, 2015
 *   Zagoruyko and Komodakis, Wide Residual Networks, 2016
 *   Xie et al., Aggregated Residual Transformations for Deep Neural Networks, 2016
 *
 * Module names are those of torchvision's quantizable variants: each residual addition is a node
 * (add_relu, skip_add_relu) with quantization parameters of its own, and a bottleneck's activations
 * are relu1 and relu2.
 */
#include "zoo/blocks.h"

struct resnet {
    bool bottleneck;
    int32_t blocks[4];
    int32_t groups;
    int32_t width; /* of a group, in a block of 64 planes */
};

/* What the blocks of one layer have in common. */
struct layer {
    qzi_norm norm;
    int32_t planes, stride; /* of the first block */
    bool project;           /* the first block's shortcut is a convolution */
    int32_t dilation;
};

/* The two 3x3 convolutions of ResNet-18 and 34. */
static qz_value basic_block(qz_graph *g, const struct layer *layer, qz_value x, int32_t stride,
                            bool project)
{
    int32_t planes = layer->planes;
    qz_value y =
        qzi_block_conv_bn(g, layer->norm, "conv1", "bn1", x, QZI_CONV3X3(planes, stride, 1));
    y = qz_activate(g, "relu", y, QZ_ACT_RELU);
    y = qzi_block_conv_bn(g, layer->norm, "conv2", "bn2", y, QZI_CONV3X3(planes, 1, 1));
    if (project)
        x = qzi_block_conv_bn(g, layer->norm, "downsample.0", "downsample.1", x,
                              QZI_CONV1X1(planes, stride));
    return qz_add(g, "add_relu", y, x, QZ_ACT_RELU);
}

/* 1x1 to the inner width, 3x3 in groups, 1x1 to four times the planes. */
static qz_value bottleneck(qz_graph *g, const struct resnet *net, const struct layer *layer,
                           qz_value x, int32_t stride, int32_t dilation, bool project)
{
    int32_t inner = layer->planes * net->width / 64 * net->groups;
    int32_t out = layer->planes * 4;
    qz_value y = qzi_block_conv_bn(g, layer->norm, "conv1", "bn1", x, QZI_CONV1X1(inner, 1));
    y = qz_activate(g, "relu1", y, QZ_ACT_RELU);
    y = qzi_block_conv_bn(g, layer->norm, "conv2", "bn2", y,
                          &(qz_conv2d_options){.out_channels = inner,
                                               .kernel_h = 3,
                                               .stride_h = stride,
                                               .padding_h = dilation,
                                               .dilation_h = dilation,
                                               .groups = net->groups});
    y = qz_activate(g, "relu2", y, QZ_ACT_RELU);
    y = qzi_block_conv_bn(g, layer->norm, "conv3", "bn3", y, QZI_CONV1X1(out, 1));
    if (project)
        x = qzi_block_conv_bn(g, layer->norm, "downsample.0", "downsample.1", x,
                              QZI_CONV1X1(out, stride));
    return qz_add(g, "skip_add_relu", y, x, QZ_ACT_RELU);
}

/* The first block of a layer still has the dilation of the layer before. */
static qz_value build_layer(qz_graph *g, const struct resnet *net, const struct layer *layer,
                            int32_t blocks, int32_t first_dilation, qz_value x)
{
    for (int32_t block = 0; block < blocks; block++) {
        bool first = block == 0;
        int32_t stride = first ? layer->stride : 1;
        qz_graph_enter(g, "%d", (int)block);
        x = net->bottleneck
                ? bottleneck(g, net, layer, x, stride, first ? first_dilation : layer->dilation,
                             first && layer->project)
                : basic_block(g, layer, x, stride, first && layer->project);
        x = qz_graph_leave(g, x);
    }
    return x;
}

/* All but the pool and the classes. */
static qz_value features(qz_graph *g, const void *config, qz_value x,
                         const qzi_backbone_options *options)
{
    const struct resnet *net = config;
    struct layer layer = {.norm = qzi_backbone_norm(QZI_BN, options), .dilation = 1};
    x = qzi_block_conv_bn(
        g, layer.norm, "conv1", "bn1", x,
        &(qz_conv2d_options){.out_channels = 64, .kernel_h = 7, .stride_h = 2, .padding_h = 3});
    x = qz_activate(g, "relu", x, QZ_ACT_RELU);
    x = qz_max_pool2d(g, "maxpool", x,
                      &(qz_pool2d_options){.kernel_h = 3, .stride_h = 2, .padding_h = 1});
    for (int32_t i = 0; i < 4; i++) {
        bool dilate = i > 0 && options->dilate[i - 1];
        int32_t previous = layer.dilation;
        layer.planes = 64 << i;
        layer.stride = i == 0 || dilate ? 1 : 2;
        layer.dilation *= dilate ? 2 : 1;
        /* The first block of a layer changes the channels or the size, so its shortcut is a
         * convolution; not in layer1 of the basic networks, where neither changes. */
        layer.project = i > 0 || net->bottleneck;
        qz_graph_enter(g, "layer%d", (int)i + 1);
        x = build_layer(g, net, &layer, net->blocks[i], previous, x);
        x = qz_graph_leave(g, x);
    }
    return x;
}

static void build_resnet(qz_graph *g, const void *config, const qzi_build_options *options)
{
    qz_value x = qzi_block_image_input(g);
    x = features(g, config, x, &(qzi_backbone_options){0});
    x = qzi_block_pool_flatten(g, "avgpool", x);
    x = qz_linear(g, "fc", x, options->num_classes, true);
    qz_graph_output(g, "output", x);
}

/*
 * Gains of the seeded random fill. The last convolution of a block is damped, the more the deeper
 * the network, so that the residual sums stay in range.
 */
#define RESNET_RULES(id, last, gain)           \
    static const qz_fill_rule id##_rules[] = { \
        {last, gain},                          \
        {"", 1.25},                            \
        {NULL, 0.0},                           \
    }
RESNET_RULES(resnet18, "conv2.weight", 0.5);
RESNET_RULES(resnet34, "conv2.weight", 0.4);
RESNET_RULES(depth50, "conv3.weight", 0.4);
RESNET_RULES(depth101, "conv3.weight", 0.3);
RESNET_RULES(depth152, "conv3.weight", 0.25);

/* torchvision has no dilated basic block. */
#define RESNET(id, rules, bottleneck_, ...)                                                      \
    static const struct resnet id##_config = {bottleneck_, __VA_ARGS__};                         \
    const qzi_arch qzi_arch_##id = {QZI_CLASSIFIER_FIELDS(id, build_resnet, &id##_config, rules, \
                                                          256, 224, QZ_INTERPOLATION_BILINEAR),  \
                                    .features = features,                                        \
                                    .can_dilate = {bottleneck_, bottleneck_, bottleneck_}}

/* clang-format off */
/*                                       bottleneck   blocks        groups width */
RESNET(resnet18,         resnet18_rules, false, {2, 2,  2, 2},  1,  64);
RESNET(resnet34,         resnet34_rules, false, {3, 4,  6, 3},  1,  64);
RESNET(resnet50,         depth50_rules,  true,  {3, 4,  6, 3},  1,  64);
RESNET(resnet101,        depth101_rules, true,  {3, 4, 23, 3},  1,  64);
RESNET(resnet152,        depth152_rules, true,  {3, 8, 36, 3},  1,  64);
RESNET(wide_resnet50_2,  depth50_rules,  true,  {3, 4,  6, 3},  1, 128);
RESNET(wide_resnet101_2, depth101_rules, true,  {3, 4, 23, 3},  1, 128);
RESNET(resnext50_32x4d,  depth50_rules,  true,  {3, 4,  6, 3}, 32,   4);
RESNET(resnext101_32x8d, depth101_rules, true,  {3, 4, 23, 3}, 32,   8);
RESNET(resnext101_64x4d, depth101_rules, true,  {3, 4, 23, 3}, 64,   4);
/* clang-format on */
