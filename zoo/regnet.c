/* SPDX-License-Identifier: MIT */
/*
 * regnet.c - RegNetX and RegNetY (X with squeeze-excitation), as torchvision builds them.
 *
 *   Radosavovic et al., Designing Network Design Spaces, 2020
 *
 * The tables hold what the paper's parameters (depth, w_0, w_a, w_m) come to. torchvision has no
 * quantizable variant; the residual addition is named add.
 */
#include "zoo/blocks.h"

struct regnet {
    bool squeeze_excitation;
    int32_t depths[4];
    int32_t widths[4];
    int32_t group_width; /* at most the stage's width */
};

/* 1x1, 3x3 in groups, squeeze-excitation, 1x1; all of one width. */
static qz_value bottleneck(qz_graph *g, const struct regnet *net, qz_value x, int32_t in,
                           int32_t width, int32_t stride)
{
    int32_t groups = width / QZI_MIN(net->group_width, width);
    const qz_conv2d_options pointwise = {.out_channels = width, .kernel_h = 1};
    qz_graph_enter(g, "f");
    x = qzi_block_conv_bn_act(g, QZI_BN, "a", x, &pointwise, QZ_ACT_RELU);
    x = qzi_block_conv_bn_act(
        g, QZI_BN, "b", x,
        &(qz_conv2d_options){
            .out_channels = width, .kernel_h = 3, .stride_h = stride, .groups = groups},
        QZ_ACT_RELU);
    /* a quarter of the block's input, which is a multiple of 4 in all of the tables */
    if (net->squeeze_excitation)
        x = qzi_block_squeeze_excitation(g, "se", x, width, in / 4, QZ_ACT_RELU, QZ_ACT_SIGMOID);
    x = qzi_block_conv_bn_act(g, QZI_BN, "c", x, &pointwise, QZ_ACT_NONE);
    return qz_graph_leave(g, x);
}

static qz_value residual_block(qz_graph *g, const struct regnet *net, qz_value x, int32_t in,
                               int32_t width, int32_t stride)
{
    qz_value shortcut = x;
    if (in != width || stride != 1)
        shortcut =
            qzi_block_conv_bn_act(g, QZI_BN, "proj", x, QZI_CONV1X1(width, stride), QZ_ACT_NONE);
    x = bottleneck(g, net, x, in, width, stride);
    x = qz_add(g, "add", shortcut, x, QZ_ACT_NONE);
    return qz_activate(g, "activation", x, QZ_ACT_RELU);
}

static void build_regnet(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const struct regnet *net = config;
    int32_t channels = 32;
    qz_value x = qzi_block_image_input(g);
    x = qzi_block_conv_bn_act(
        g, QZI_BN, "stem", x,
        &(qz_conv2d_options){.out_channels = channels, .kernel_h = 3, .stride_h = 2}, QZ_ACT_RELU);
    qz_graph_enter(g, "trunk_output");
    for (int stage = 0; stage < 4; stage++) {
        qz_graph_enter(g, "block%d", stage + 1);
        for (int block = 0; block < net->depths[stage]; block++) {
            qz_graph_enter(g, "block%d-%d", stage + 1, block);
            x = residual_block(g, net, x, channels, net->widths[stage], block == 0 ? 2 : 1);
            x = qz_graph_leave(g, x);
            channels = net->widths[stage];
        }
        x = qz_graph_leave(g, x);
    }
    x = qz_graph_leave(g, x);
    x = qzi_block_pool_flatten(g, "avgpool", x);
    x = qz_linear(g, "fc", x, options->num_classes, true);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule x_rules[] = {{"f.c.0", 0.4}, {"", 1.2}, {NULL, 0.0}};
static const qz_fill_rule y_rules[] = {{"f.c.0", 0.6}, {"", 1.25}, {NULL, 0.0}};

#define REGNET(id, rules, resize, interpolation, ...)      \
    static const struct regnet id##_config = __VA_ARGS__;  \
    const qzi_arch qzi_arch_##id = {QZI_CLASSIFIER_FIELDS( \
        id, build_regnet, &id##_config, rules, resize, 224, QZ_INTERPOLATION_##interpolation)}
#define REGNET_X(id, ...) REGNET(id, x_rules, 256, BILINEAR, {false, __VA_ARGS__})
#define REGNET_Y(id, ...) REGNET(id, y_rules, 256, BILINEAR, {true, __VA_ARGS__})

/* clang-format off */
/*                          depths          widths             group width */
REGNET_X(regnet_x_400mf, {1, 2,  7, 12}, { 32,  64,  160,  400},  16);
REGNET_X(regnet_x_800mf, {1, 3,  7,  5}, { 64, 128,  288,  672},  16);
REGNET_X(regnet_x_1_6gf, {2, 4, 10,  2}, { 72, 168,  408,  912},  24);
REGNET_X(regnet_x_3_2gf, {2, 6, 15,  2}, { 96, 192,  432, 1008},  48);
REGNET_X(regnet_x_8gf,   {2, 5, 15,  1}, { 80, 240,  720, 1920}, 120);
REGNET_X(regnet_x_16gf,  {2, 6, 13,  1}, {256, 512,  896, 2048}, 128);
REGNET_X(regnet_x_32gf,  {2, 7, 13,  1}, {336, 672, 1344, 2520}, 168);
REGNET_Y(regnet_y_400mf, {1, 3,  6,  6}, { 48, 104,  208,  440},   8);
REGNET_Y(regnet_y_800mf, {1, 3,  8,  2}, { 64, 144,  320,  784},  16);
REGNET_Y(regnet_y_1_6gf, {2, 6, 17,  2}, { 48, 120,  336,  888},  24);
REGNET_Y(regnet_y_3_2gf, {2, 5, 13,  1}, { 72, 216,  576, 1512},  24);
REGNET_Y(regnet_y_8gf,   {2, 4, 10,  1}, {224, 448,  896, 2016},  56);
REGNET_Y(regnet_y_16gf,  {2, 4, 11,  1}, {224, 448, 1232, 3024}, 112);
REGNET_Y(regnet_y_32gf,  {2, 5, 12,  1}, {232, 696, 1392, 3712}, 232);
/* Its published weights have no V1 recipe; this is that of the 224x224 ones (SWAG, linear). */
REGNET(regnet_y_128gf, y_rules, 224, BICUBIC,
       {true, {2, 7, 17, 1}, {528, 1056, 2904, 7392}, 264});
/* clang-format on */
