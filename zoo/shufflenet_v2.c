/* SPDX-License-Identifier: MIT */
/*
 * shufflenet_v2.c - ShuffleNetV2, as torchvision builds it.
 *
 *   Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, 2018
 *
 * Module names are those of torchvision's quantizable variant, whose concatenation is cat.
 */
#include "zoo/blocks.h"

struct shufflenet_v2 {
    int32_t channels[4]; /* of stage2, stage3, stage4 and conv5 */
};

static const int32_t repeats[3] = {4, 8, 4};
#define STEM 24

/* Modules `first`, `first` + 1 of a Sequential: 3x3, each channel by itself. */
static qz_value depthwise(qz_graph *g, int32_t first, qz_value x, int32_t channels, int32_t stride)
{
    return qzi_block_conv_bn(g, QZI_BN, qzi_index(first).text, qzi_index(first + 1).text, x,
                             QZI_CONV3X3(channels, stride, channels));
}

/* Modules `first` to `first` + 2: convolution, batch norm, ReLU. */
static qz_value conv_relu(qz_graph *g, int32_t first, qz_value x, const qz_conv2d_options *options)
{
    x = qzi_block_conv_bn(g, QZI_BN, qzi_index(first).text, qzi_index(first + 1).text, x, options);
    return qz_activate(g, qzi_index(first + 2).text, x, QZ_ACT_RELU);
}

static qz_value branch1(qz_graph *g, qz_value x, int32_t in, int32_t half)
{
    qz_graph_enter(g, "branch1");
    x = depthwise(g, 0, x, in, 2);
    x = conv_relu(g, 2, x, QZI_CONV1X1(half, 1));
    return qz_graph_leave(g, x);
}

static qz_value branch2(qz_graph *g, qz_value x, int32_t half, int32_t stride)
{
    qz_graph_enter(g, "branch2");
    x = conv_relu(g, 0, x, QZI_CONV1X1(half, 1));
    x = depthwise(g, 3, x, half, stride);
    x = conv_relu(g, 5, x, QZI_CONV1X1(half, 1));
    return qz_graph_leave(g, x);
}

/* Halves the size: both branches see all channels. Else one half of the channels passes by. */
static qz_value unit(qz_graph *g, qz_value x, int32_t in, int32_t out, int32_t stride)
{
    int32_t half = out / 2;
    qz_value parts[2];
    if (stride == 1) {
        parts[0] = qz_slice_channels(g, "x1", x, 0, half);
        parts[1] = branch2(g, qz_slice_channels(g, "x2", x, half, half), half, 1);
    } else {
        parts[0] = branch1(g, x, in, half);
        parts[1] = branch2(g, x, half, stride);
    }
    x = qz_concat(g, "cat", parts, 2);
    return qz_channel_shuffle(g, "channel_shuffle", x, 2);
}

static void build_shufflenet_v2(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const struct shufflenet_v2 *net = config;
    int32_t channels = STEM;
    qz_value x = qzi_block_image_input(g);
    qz_graph_enter(g, "conv1");
    x = conv_relu(g, 0, x, QZI_CONV3X3(STEM, 2, 1));
    x = qz_graph_leave(g, x);
    x = qz_max_pool2d(g, "maxpool", x,
                      &(qz_pool2d_options){.kernel_h = 3, .stride_h = 2, .padding_h = 1});
    for (int32_t stage = 0; stage < 3; stage++) {
        qz_graph_enter(g, "stage%d", (int)stage + 2);
        for (int32_t i = 0; i < repeats[stage]; i++) {
            qz_graph_enter(g, "%d", (int)i);
            x = unit(g, x, channels, net->channels[stage], i == 0 ? 2 : 1);
            x = qz_graph_leave(g, x);
            channels = net->channels[stage];
        }
        x = qz_graph_leave(g, x);
    }
    qz_graph_enter(g, "conv5");
    x = conv_relu(g, 0, x, QZI_CONV1X1(net->channels[3], 1));
    x = qz_graph_leave(g, x);
    x = qzi_block_pool_flatten(g, "mean", x);
    x = qz_linear(g, "fc", x, options->num_classes, true);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule shufflenet_v2_rules[] = {{"", 1.2}, {NULL, 0.0}};

#define SHUFFLENET_V2(id, resize, ...)                                                           \
    static const struct shufflenet_v2 id##_config = {.channels = __VA_ARGS__};                   \
    const qzi_arch qzi_arch_##id = {QZI_CLASSIFIER_FIELDS(id, build_shufflenet_v2, &id##_config, \
                                                          shufflenet_v2_rules, resize, 224,      \
                                                          QZ_INTERPOLATION_BILINEAR)}

/* clang-format off */
/* The paper's table 5.          resize  channels */
SHUFFLENET_V2(shufflenet_v2_x0_5, 256, { 48,  96, 192, 1024});
SHUFFLENET_V2(shufflenet_v2_x1_0, 256, {116, 232, 464, 1024});
SHUFFLENET_V2(shufflenet_v2_x1_5, 232, {176, 352, 704, 1024});
SHUFFLENET_V2(shufflenet_v2_x2_0, 232, {244, 488, 976, 2048});
/* clang-format on */
