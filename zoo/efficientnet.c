/* SPDX-License-Identifier: MIT */
/*
 * efficientnet.c - EfficientNet and EfficientNetV2, as torchvision builds them.
 *
 *   Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019
 *   Tan and Le, EfficientNetV2: Smaller Models and Faster Training, 2021
 *
 * torchvision has no quantizable variant; the residual addition is named skip_add, the product of a
 * squeeze-excitation skip_mul, as in its MobileNetV3.
 */
#include "zoo/blocks.h"

#include <math.h>

/* Expansion t, kernel k, stride s of the first, channels c, repeats n. A fused block has one
 * convolution in place of the expansion and the depthwise one, and no squeeze-excitation. */
struct stage {
    int32_t t, k, s, c, n;
    bool fused;
};
#define STAGES 7 /* at most; a table ends at n 0 */

/* The first paper's table 1. */
static const struct stage b_stages[STAGES] = {
    {1, 3, 1, 16, 1, false},  {6, 3, 2, 24, 2, false},  {6, 5, 2, 40, 2, false},
    {6, 3, 2, 80, 3, false},  {6, 5, 1, 112, 3, false}, {6, 5, 2, 192, 4, false},
    {6, 3, 1, 320, 1, false},
};

/* The second paper's table 4. */
static const struct stage v2_s_stages[STAGES] = {
    {1, 3, 1, 24, 2, true},   {4, 3, 2, 48, 4, true},   {4, 3, 2, 64, 4, true},
    {4, 3, 2, 128, 6, false}, {6, 3, 1, 160, 9, false}, {6, 3, 2, 256, 15, false},
};

struct efficientnet {
    const struct stage *stages;
    int32_t stem,
        last; /* channels of the first convolution; of the last, 0: four times its input */
    double width, depth; /* factors of channels and repeats */
    float dropout;
    qzi_norm norm;
};

/* What stochastic depth drops of a block in training, from the first to the last. */
#define DROP_PATH 0.2f

static int32_t repeats(const struct efficientnet *net, const struct stage *stage)
{
    return (int32_t)ceil((double)stage->n * net->depth);
}

/* What a fused block is made of: k x k with the stride, and 1x1 where that expanded. */
static qz_value fused_mbconv(qz_graph *g, qzi_norm norm, qz_value x, int32_t hidden, int32_t out,
                             const struct stage *stage, int32_t stride)
{
    bool expands = stage->t != 1;
    x = qzi_block_conv_bn_act(g, norm, "0", x,
                              &(qz_conv2d_options){.out_channels = expands ? hidden : out,
                                                   .kernel_h = stage->k,
                                                   .stride_h = stride},
                              QZ_ACT_SILU);
    if (expands)
        x = qzi_block_conv_bn_act(g, norm, "1", x, QZI_CONV1X1(out, 1), QZ_ACT_NONE);
    return x;
}

static qz_value mbconv(qz_graph *g, qzi_norm norm, qz_value x, int32_t in, int32_t hidden,
                       int32_t out, const struct stage *stage, int32_t stride)
{
    int32_t i = 0;
    if (hidden != in)
        x = qzi_block_conv_bn_act(g, norm, qzi_index(i++).text, x, QZI_CONV1X1(hidden, 1),
                                  QZ_ACT_SILU);
    x = qzi_block_conv_bn_act(
        g, norm, qzi_index(i++).text, x,
        &(qz_conv2d_options){
            .out_channels = hidden, .kernel_h = stage->k, .stride_h = stride, .groups = hidden},
        QZ_ACT_SILU);
    x = qzi_block_squeeze_excitation(g, qzi_index(i++).text, x, hidden, QZI_MAX(in / 4, 1),
                                     QZ_ACT_SILU, QZ_ACT_SIGMOID);
    return qzi_block_conv_bn_act(g, norm, qzi_index(i).text, x, QZI_CONV1X1(out, 1), QZ_ACT_NONE);
}

static qz_value residual_block(qz_graph *g, qzi_norm norm, qz_value x, int32_t in, int32_t out,
                               const struct stage *stage, int32_t stride, float drop)
{
    int32_t hidden = qzi_make_divisible(in, stage->t, 8);
    qz_value y;
    qz_graph_enter(g, "block");
    y = stage->fused ? fused_mbconv(g, norm, x, hidden, out, stage, stride)
                     : mbconv(g, norm, x, in, hidden, out, stage, stride);
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
    int32_t channels = qzi_make_divisible(net->stem, net->width, 8);
    int32_t blocks = 0, done = 0, feature = 0;
    for (int32_t i = 0; i < STAGES; i++)
        blocks += repeats(net, &net->stages[i]);
    qz_value x = qzi_block_image_input(g);
    qz_graph_enter(g, "features");
    x = qzi_block_conv_bn_act(
        g, net->norm, qzi_index(feature++).text, x,
        &(qz_conv2d_options){.out_channels = channels, .kernel_h = 3, .stride_h = 2}, QZ_ACT_SILU);
    for (int32_t i = 0; i < STAGES && net->stages[i].n > 0; i++) {
        const struct stage *stage = &net->stages[i];
        int32_t out = qzi_make_divisible(stage->c, net->width, 8);
        qz_graph_enter(g, "%d", (int)feature++);
        for (int32_t block = 0; block < repeats(net, stage); block++) {
            qz_graph_enter(g, "%d", (int)block);
            x = residual_block(g, net->norm, x, channels, out, stage, block == 0 ? stage->s : 1,
                               DROP_PATH * (float)done++ / (float)blocks);
            x = qz_graph_leave(g, x);
            channels = out;
        }
        x = qz_graph_leave(g, x);
    }
    x = qzi_block_conv_bn_act(g, net->norm, qzi_index(feature).text, x,
                              QZI_CONV1X1(net->last > 0 ? net->last : 4 * channels, 1),
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
static const qz_fill_rule efficientnet_v2_s_rules[] = {
    {"fc2", 0.21}, {"block.3.0", 0.26}, {"", 1.36}, {NULL, 0.0}};

#define EFFICIENTNET(id, resize, crop, interpolation, ...)                                      \
    static const struct efficientnet id##_config = __VA_ARGS__;                                 \
    const qzi_arch qzi_arch_##id = {QZI_CLASSIFIER_FIELDS(id, build_efficientnet, &id##_config, \
                                                          id##_rules, resize, crop,             \
                                                          QZ_INTERPOLATION_##interpolation)}
#define EFFICIENTNET_B(id, resize, crop, ...) \
    EFFICIENTNET(id, resize, crop, BICUBIC, {b_stages, 32, 0, __VA_ARGS__})

/* clang-format off */
/*                          resize crop width depth dropout norm */
EFFICIENTNET_B(efficientnet_b0, 256, 224, 1.0, 1.0, 0.2f, {.eps = 1e-5f});
EFFICIENTNET_B(efficientnet_b1, 256, 240, 1.0, 1.1, 0.2f, {.eps = 1e-5f});
EFFICIENTNET_B(efficientnet_b2, 288, 288, 1.1, 1.2, 0.3f, {.eps = 1e-5f});
EFFICIENTNET_B(efficientnet_b3, 320, 300, 1.2, 1.4, 0.3f, {.eps = 1e-5f});
EFFICIENTNET_B(efficientnet_b4, 384, 380, 1.4, 1.8, 0.4f, {.eps = 1e-5f});
EFFICIENTNET_B(efficientnet_b5, 456, 456, 1.6, 2.2, 0.4f, {.eps = 1e-3f});
EFFICIENTNET_B(efficientnet_b6, 528, 528, 1.8, 2.6, 0.5f, {.eps = 1e-3f});
EFFICIENTNET_B(efficientnet_b7, 600, 600, 2.0, 3.1, 0.5f, {.eps = 1e-3f});
/* clang-format on */
EFFICIENTNET(efficientnet_v2_s, 384, 384, BILINEAR,
             {v2_s_stages, 24, 1280, 1.0, 1.0, 0.2f, {.eps = 1e-3f}});
