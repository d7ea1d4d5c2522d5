/* SPDX-License-Identifier: MIT */
/*
 * googlenet.c - GoogLeNet (Inception v1) with batch norm, as torchvision builds it: its "5x5"
 * convolutions are 3x3.
 *
 *   Szegedy et al., Going Deeper with Convolutions, 2014
 *
 * Module names are those of torchvision's quantizable variant. The auxiliary heads are built for
 * their parameters; only training runs them.
 */
#include "zoo/blocks.h"

/* The paper's table 1. */
static const struct inception {
    const char *name;
    int32_t conv1x1, reduce3x3, conv3x3, reduce5x5, conv5x5, pool_proj;
} inceptions[] = {
    {"inception3a", 64, 96, 128, 16, 32, 32},     {"inception3b", 128, 128, 192, 32, 96, 64},
    {"inception4a", 192, 96, 208, 16, 48, 64},    {"inception4b", 160, 112, 224, 24, 64, 64},
    {"inception4c", 128, 128, 256, 24, 64, 64},   {"inception4d", 112, 144, 288, 32, 64, 64},
    {"inception4e", 256, 160, 320, 32, 128, 128}, {"inception5a", 256, 160, 320, 32, 128, 128},
    {"inception5b", 384, 192, 384, 48, 128, 128},
};
enum { AFTER_3B = 1, AFTER_4A = 2, AFTER_4D = 5, AFTER_4E = 6 };

static qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t channels, int32_t kernel)
{
    return qzi_block_basic_conv(g, name, x,
                                &(qz_conv2d_options){.out_channels = channels,
                                                     .kernel_h = kernel,
                                                     .padding_h = kernel / 2});
}

/* 1x1 to `reduce` channels, 3x3 to `channels`. */
static qz_value reduced(qz_graph *g, const char *name, qz_value x, int32_t reduce, int32_t channels)
{
    qz_graph_enter(g, "%s", name);
    x = conv(g, "0", x, reduce, 1);
    x = conv(g, "1", x, channels, 3);
    return qz_graph_leave(g, x);
}

static qz_value inception(qz_graph *g, qz_value x, const struct inception *block)
{
    qz_value branch[4], pooled;
    qz_graph_enter(g, "%s", block->name);
    branch[0] = conv(g, "branch1", x, block->conv1x1, 1);
    branch[1] = reduced(g, "branch2", x, block->reduce3x3, block->conv3x3);
    branch[2] = reduced(g, "branch3", x, block->reduce5x5, block->conv5x5);
    qz_graph_enter(g, "branch4");
    pooled = qz_max_pool2d(
        g, "0", x,
        &(qz_pool2d_options){.kernel_h = 3, .stride_h = 1, .padding_h = 1, .ceil_mode = true});
    branch[3] = qz_graph_leave(g, conv(g, "1", pooled, block->pool_proj, 1));
    return qz_graph_leave(g, qz_concat(g, "cat", branch, 4));
}

static void auxiliary(qz_graph *g, const char *name, qz_value x, int32_t num_classes)
{
    qz_graph_enter(g, "%s", name);
    x = qz_adaptive_avg_pool2d(g, "adaptive_avg_pool2d", x, 4, 4);
    x = conv(g, "conv", x, 128, 1);
    x = qz_flatten(g, "flatten", x);
    x = qz_linear(g, "fc1", x, 1024, true);
    x = qz_activate(g, "relu", x, QZ_ACT_RELU);
    x = qz_dropout(g, "dropout", x, 0.7f);
    x = qz_linear(g, "fc2", x, num_classes, true);
    qz_graph_leave(g, x);
}

static void build_googlenet(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const qz_pool2d_options halve = {.kernel_h = 3, .stride_h = 2, .ceil_mode = true};
    qz_value x = qzi_block_image_input(g), aux[2] = {QZ_NO_VALUE, QZ_NO_VALUE};
    (void)config;
    if (options->transform_input)
        x = qzi_block_transform_input(g, x);
    x = qzi_block_basic_conv(
        g, "conv1", x,
        &(qz_conv2d_options){.out_channels = 64, .kernel_h = 7, .stride_h = 2, .padding_h = 3});
    x = qz_max_pool2d(g, "maxpool1", x, &halve);
    x = conv(g, "conv2", x, 64, 1);
    x = conv(g, "conv3", x, 192, 3);
    x = qz_max_pool2d(g, "maxpool2", x, &halve);
    for (int32_t i = 0; i < (int32_t)QZI_ARRAY_LEN(inceptions); i++) {
        x = inception(g, x, &inceptions[i]);
        if (i == AFTER_3B)
            x = qz_max_pool2d(g, "maxpool3", x, &halve);
        else if (i == AFTER_4A)
            aux[0] = x;
        else if (i == AFTER_4D)
            aux[1] = x;
        else if (i == AFTER_4E)
            x = qz_max_pool2d(g, "maxpool4", x,
                              &(qz_pool2d_options){.kernel_h = 2, .ceil_mode = true});
    }
    if (!options->no_aux_logits) {
        auxiliary(g, "aux1", aux[0], options->num_classes);
        auxiliary(g, "aux2", aux[1], options->num_classes);
    }
    x = qzi_block_pool_flatten(g, "avgpool", x);
    x = qz_dropout(g, "dropout", x, 0.2f);
    x = qz_linear(g, "fc", x, options->num_classes, true);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule googlenet_rules[] = {{"", 1.25}, {NULL, 0.0}};

const qzi_arch qzi_arch_googlenet = {
    QZI_CLASSIFIER_FIELDS(googlenet, build_googlenet, NULL, googlenet_rules, 256, 224,
                          QZ_INTERPOLATION_BILINEAR),
    .has_aux_logits = true,
    .has_transform_input = true,
};
