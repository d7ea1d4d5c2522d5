/* SPDX-License-Identifier: MIT */
/*
 * densenet.c - DenseNet-BC, as torchvision builds it.
 *
 *   Huang et al., Densely Connected Convolutional Networks, 2016
 *
 * What a block has so far is one value: each layer joins its new features to it, so that the memory
 * planner stores all of a block's values in one place and no concatenation copies. torchvision
 * has no quantizable variant; the concatenation after denselayerN is named catN.
 */
#include "zoo/blocks.h"

#include <stdio.h>
#include <string.h>

struct densenet {
    int32_t growth;    /* channels that a layer adds */
    int32_t layers[4]; /* of each block */
    int32_t stem;
};

/* 1x1 to four times the growth rate, 3x3 to the growth rate; norm and ReLU before each. */
static qz_value dense_layer(qz_graph *g, const struct densenet *net, qz_value x)
{
    x = qz_batch_norm2d(g, "norm1", x, QZI_BN.eps);
    x = qz_activate(g, "relu1", x, QZ_ACT_RELU);
    x = qz_conv2d(g, "conv1", x, QZI_CONV1X1(4 * net->growth, 1));
    x = qz_batch_norm2d(g, "norm2", x, QZI_BN.eps);
    x = qz_activate(g, "relu2", x, QZ_ACT_RELU);
    return qz_conv2d(g, "conv2", x, QZI_CONV3X3(net->growth, 1, 1));
}

static qz_value dense_block(qz_graph *g, const struct densenet *net, int32_t layers, qz_value x)
{
    for (int32_t i = 1; i <= layers; i++) {
        char name[16];
        qz_value parts[2] = {x, QZ_NO_VALUE};
        qz_graph_enter(g, "denselayer%d", (int)i);
        parts[1] = qz_graph_leave(g, dense_layer(g, net, x));
        snprintf(name, sizeof(name), "cat%d", (int)i);
        x = qz_concat(g, name, parts, 2);
    }
    return x;
}

/* Half the channels, half the size. */
static qz_value transition(qz_graph *g, int32_t channels, qz_value x)
{
    x = qz_batch_norm2d(g, "norm", x, QZI_BN.eps);
    x = qz_activate(g, "relu", x, QZ_ACT_RELU);
    x = qz_conv2d(g, "conv", x, QZI_CONV1X1(channels, 1));
    return qz_avg_pool2d(g, "pool", x, &(qz_pool2d_options){.kernel_h = 2});
}

static void build_densenet(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const struct densenet *net = config;
    int32_t channels = net->stem;
    qz_value x = qzi_block_image_input(g);
    qz_graph_enter(g, "features");
    x = qzi_block_conv_bn(
        g, QZI_BN, "conv0", "norm0", x,
        &(qz_conv2d_options){
            .out_channels = channels, .kernel_h = 7, .stride_h = 2, .padding_h = 3});
    x = qz_activate(g, "relu0", x, QZ_ACT_RELU);
    x = qz_max_pool2d(g, "pool0", x,
                      &(qz_pool2d_options){.kernel_h = 3, .stride_h = 2, .padding_h = 1});
    for (int32_t block = 0; block < 4; block++) {
        qz_graph_enter(g, "denseblock%d", (int)block + 1);
        x = qz_graph_leave(g, dense_block(g, net, net->layers[block], x));
        channels += net->layers[block] * net->growth;
        if (block == 3)
            break;
        channels /= 2;
        qz_graph_enter(g, "transition%d", (int)block + 1);
        x = qz_graph_leave(g, transition(g, channels, x));
    }
    x = qz_batch_norm2d(g, "norm5", x, QZI_BN.eps);
    x = qz_graph_leave(g, x);
    x = qz_activate(g, "relu", x, QZ_ACT_RELU);
    x = qzi_block_pool_flatten(g, "adaptive_avg_pool2d", x);
    x = qz_linear(g, "classifier", x, options->num_classes, true);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule densenet_rules[] = {{"", 1.38}, {NULL, 0.0}};

#define DENSENET(id, ...)                                   \
    static const struct densenet id##_config = __VA_ARGS__; \
    const qzi_arch qzi_arch_##id = {QZI_CLASSIFIER_FIELDS(  \
        id, build_densenet, &id##_config, densenet_rules, 256, 224, QZ_INTERPOLATION_BILINEAR)}

/* clang-format off */
/*                   growth  layers           stem */
DENSENET(densenet121, {32, {6, 12, 24, 16}, 64});
DENSENET(densenet161, {48, {6, 12, 36, 24}, 96});
DENSENET(densenet169, {32, {6, 12, 32, 32}, 64});
DENSENET(densenet201, {32, {6, 12, 48, 32}, 64});
/* clang-format on */
