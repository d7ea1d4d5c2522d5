/* SPDX-License-Identifier: MIT */
/*
 * mnasnet.c - MNASNet-B1, as torchvision builds it.
 *
 *   Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, 2018
 *
 * torchvision has no quantizable variant; the residual addition is named add.
 */
#include "zoo/blocks.h"

struct mnasnet {
    double width;
};

/* The paper's figure 7: stacks of inverted residuals with expansion t, kernel k, channels c,
 * repeats n, stride s of the first. */
static const struct stack {
    int32_t t, k, c, n, s;
} stacks[] = {
    {3, 3, 24, 3, 2}, {3, 5, 40, 3, 2},  {6, 5, 80, 3, 2},
    {6, 3, 96, 2, 1}, {6, 5, 192, 4, 2}, {6, 3, 320, 1, 1},
};

/* Modules `first` to `first` + 2 of a Sequential. */
static qz_value conv_bn_relu(qz_graph *g, int32_t first, qz_value x,
                             const qz_conv2d_options *options)
{
    x = qzi_block_conv_bn(g, QZI_BN, qzi_index(first).text, qzi_index(first + 1).text, x, options);
    return qz_activate(g, qzi_index(first + 2).text, x, QZ_ACT_RELU);
}

static qz_value inverted_residual(qz_graph *g, qz_value x, const struct stack *stack, int32_t in,
                                  int32_t out, int32_t stride)
{
    int32_t hidden = in * stack->t;
    qz_value y = x;
    qz_graph_enter(g, "layers");
    y = conv_bn_relu(g, 0, y, QZI_CONV1X1(hidden, 1));
    y = conv_bn_relu(g, 3, y,
                     &(qz_conv2d_options){.out_channels = hidden,
                                          .kernel_h = stack->k,
                                          .stride_h = stride,
                                          .padding_h = stack->k / 2,
                                          .groups = hidden});
    y = qzi_block_conv_bn(g, QZI_BN, "6", "7", y, QZI_CONV1X1(out, 1));
    y = qz_graph_leave(g, y);
    if (in == out && stride == 1)
        y = qz_add(g, "add", y, x, QZ_ACT_NONE);
    return y;
}

static void build_mnasnet(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const struct mnasnet *net = config;
    int32_t stem = qzi_make_divisible(32, net->width, 8);
    int32_t channels = qzi_make_divisible(16, net->width, 8);
    qz_value x = qzi_block_image_input(g);
    qz_graph_enter(g, "layers");
    x = conv_bn_relu(g, 0, x, QZI_CONV3X3(stem, 2, 1));
    x = conv_bn_relu(g, 3, x, QZI_CONV3X3(stem, 1, stem));
    x = qzi_block_conv_bn(g, QZI_BN, "6", "7", x, QZI_CONV1X1(channels, 1));
    for (size_t i = 0; i < QZI_ARRAY_LEN(stacks); i++) {
        const struct stack *stack = &stacks[i];
        int32_t out = qzi_make_divisible(stack->c, net->width, 8);
        qz_graph_enter(g, "%d", (int)i + 8);
        for (int32_t block = 0; block < stack->n; block++) {
            qz_graph_enter(g, "%d", (int)block);
            x = inverted_residual(g, x, stack, channels, out, block == 0 ? stack->s : 1);
            x = qz_graph_leave(g, x);
            channels = out;
        }
        x = qz_graph_leave(g, x);
    }
    x = conv_bn_relu(g, 14, x, QZI_CONV1X1(1280, 1));
    x = qz_graph_leave(g, x);
    x = qzi_block_pool_flatten(g, "mean", x);
    qz_graph_enter(g, "classifier");
    x = qz_dropout(g, "0", x, 0.2f);
    x = qz_linear(g, "1", x, options->num_classes, true);
    x = qz_graph_leave(g, x);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule mnasnet_rules[] = {{"", 1.1}, {NULL, 0.0}};

#define MNASNET(id, width_, resize)                                \
    static const struct mnasnet id##_config = {.width = (width_)}; \
    const qzi_arch qzi_arch_##id = {QZI_CLASSIFIER_FIELDS(         \
        id, build_mnasnet, &id##_config, mnasnet_rules, resize, 224, QZ_INTERPOLATION_BILINEAR)}

/* clang-format off */
/*                  width resize */
MNASNET(mnasnet0_5,  0.5,  256);
MNASNET(mnasnet0_75, 0.75, 232);
MNASNET(mnasnet1_0,  1.0,  256);
MNASNET(mnasnet1_3,  1.3,  232);
/* clang-format on */
