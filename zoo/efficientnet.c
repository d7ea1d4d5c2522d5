/* SPDX-License-Identifier: MIT */
/*
 * efficientnet.c - EfficientNet, as torchvision builds it.
 *
 *   Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019
 *
 * torchvision has no quantizable variant; the residual addition is named skip_add, the product of a
 * squeeze-excitation skip_mul, as in its MobileNetV3.
 */
#include "zoo/blocks.h"

#include <math.h>

struct efficientnet {
    double width, depth; /* factors of channels and repeats */
    float dropout;
    qzi_norm norm;
};

/* The paper's table 1: expansion t, kernel k, stride s of the first, channels c, repeats n. */
static const struct stage {
    int32_t t, k, s, c, n;
} stages[] = {
    {1, 3, 1, 16, 1},  {6, 3, 2, 24, 2},  {6, 5, 2, 40, 2},  {6, 3, 2, 80, 3},
    {6, 5, 1, 112, 3}, {6, 5, 2, 192, 4}, {6, 3, 1, 320, 1},
};

/* What stochastic depth drops of a block in training, from the first to the last. */
#define DROP_PATH 0.2f

static int32_t repeats(const struct efficientnet *net, const struct stage *stage)
{
    return (int32_t)ceil((double)stage->n * net->depth);
}

static qz_value mbconv(qz_graph *g, qzi_norm norm, qz_value x, int32_t in, int32_t out,
                       const struct stage *stage, int32_t stride, float drop)
{
    int32_t hidden = qzi_make_divisible(in, stage->t, 8);
    int32_t i = 0;
    qz_value y = x;
    qz_graph_enter(g, "block");
    if (hidden != in)
        y = qzi_block_conv_bn_act(g, norm, qzi_index(i++).text, y,
                                  &(qz_conv2d_options){.out_channels = hidden, .kernel_h = 1},
                                  QZ_ACT_SILU);
    y = qzi_block_conv_bn_act(
        g, norm, qzi_index(i++).text, y,
        &(qz_conv2d_options){
            .out_channels = hidden, .kernel_h = stage->k, .stride_h = stride, .groups = hidden},
        QZ_ACT_SILU);
    y = qzi_block_squeeze_excitation(g, qzi_index(i++).text, y, hidden, QZI_MAX(in / 4, 1),
                                     QZ_ACT_SILU, QZ_ACT_SIGMOID);
    y = qzi_block_conv_bn_act(g, norm, qzi_index(i).text, y,
                              &(qz_conv2d_options){.out_channels = out, .kernel_h = 1},
                              QZ_ACT_NONE);
    y = qz_graph_leave(g, y);
    if (stride == 1 && in == out) {
        y = qz_stochastic_depth(g, "stochastic_depth", y, drop);
        y = qz_add(g, "skip_add", y, x, QZ_ACT_NONE);
    }
    return y;
}

static void build_efficientnet(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const struct efficientnet *net = config;
    int32_t channels = qzi_make_divisible(32, net->width, 8);
    int32_t blocks = 0, done = 0, feature = 0;
    for (size_t i = 0; i < QZI_ARRAY_LEN(stages); i++)
        blocks += repeats(net, &stages[i]);
    qz_value x = qzi_block_image_input(g);
    qz_graph_enter(g, "features");
    x = qzi_block_conv_bn_act(
        g, net->norm, qzi_index(feature++).text, x,
        &(qz_conv2d_options){.out_channels = channels, .kernel_h = 3, .stride_h = 2}, QZ_ACT_SILU);
    for (size_t i = 0; i < QZI_ARRAY_LEN(stages); i++) {
        const struct stage *stage = &stages[i];
        int32_t out = qzi_make_divisible(stage->c, net->width, 8);
        qz_graph_enter(g, "%d", (int)feature++);
        for (int32_t block = 0; block < repeats(net, stage); block++) {
            qz_graph_enter(g, "%d", (int)block);
            x = mbconv(g, net->norm, x, channels, out, stage, block == 0 ? stage->s : 1,
                       DROP_PATH * (float)done++ / (float)blocks);
            x = qz_graph_leave(g, x);
            channels = out;
        }
        x = qz_graph_leave(g, x);
    }
    x = qzi_block_conv_bn_act(g, net->norm, qzi_index(feature).text, x,
                              &(qz_conv2d_options){.out_channels = 4 * channels, .kernel_h = 1},
                              QZ_ACT_SILU);
    x = qz_graph_leave(g, x);
    x = qzi_block_pool_flatten(g, "avgpool", x);
    qz_graph_enter(g, "classifier");
    x = qz_dropout(g, "0", x, net->dropout);
    x = qz_linear(g, "1", x, options->num_classes, true);
    x = qz_graph_leave(g, x);
    qz_graph_output(g, "output", x);
}

/* Gains of the seeded random fill; the second is that of each stage's first block. */
#define RULES(id, first)                                                                 \
    static const qz_fill_rule id##_rules[] = {                                           \
        {"fc2", 0.25}, {".0.block.", first}, {"block.3.0", 0.3}, {"", 1.7}, {NULL, 0.0}, \
    }
RULES(efficientnet_b0, 1.58);
RULES(efficientnet_b1, 1.55);
RULES(efficientnet_b2, 1.56);
RULES(efficientnet_b3, 1.5);
RULES(efficientnet_b4, 1.49);
RULES(efficientnet_b5, 1.46);
RULES(efficientnet_b6, 1.45);
RULES(efficientnet_b7, 1.4);

#define EFFICIENTNET(id, resize, crop, ...)                     \
    static const struct efficientnet id##_config = __VA_ARGS__; \
    const qzi_arch qzi_arch_##id = {QZI_CLASSIFIER_FIELDS(      \
        id, build_efficientnet, &id##_config, id##_rules, resize, crop, QZ_INTERPOLATION_BICUBIC)}

/* clang-format off */
/*                       resize crop   width depth dropout norm */
EFFICIENTNET(efficientnet_b0, 256, 224, {1.0, 1.0, 0.2f, {.eps = 1e-5f}});
EFFICIENTNET(efficientnet_b1, 256, 240, {1.0, 1.1, 0.2f, {.eps = 1e-5f}});
EFFICIENTNET(efficientnet_b2, 288, 288, {1.1, 1.2, 0.3f, {.eps = 1e-5f}});
EFFICIENTNET(efficientnet_b3, 320, 300, {1.2, 1.4, 0.3f, {.eps = 1e-5f}});
EFFICIENTNET(efficientnet_b4, 384, 380, {1.4, 1.8, 0.4f, {.eps = 1e-5f}});
EFFICIENTNET(efficientnet_b5, 456, 456, {1.6, 2.2, 0.4f, {.eps = 1e-3f}});
EFFICIENTNET(efficientnet_b6, 528, 528, {1.8, 2.6, 0.5f, {.eps = 1e-3f}});
EFFICIENTNET(efficientnet_b7, 600, 600, {2.0, 3.1, 0.5f, {.eps = 1e-3f}});
/* clang-format on */
