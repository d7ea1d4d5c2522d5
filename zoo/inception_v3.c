/* SPDX-License-Identifier: MIT */
/*
 * inception_v3.c - Inception v3, as torchvision builds it. It sees 299x299 pixels.
 *
 *   Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2015
 *
 * Module names are those of torchvision's quantizable variant (myop is a block's concatenation).
 * The auxiliary head is built for its parameters; only training runs it.
 */
#include "zoo/blocks.h"

/* 1x1, or a square kernel whose padding keeps the size. */
static qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t channels, int32_t kernel)
{
    return qzi_block_basic_conv(g, name, x,
                                &(qz_conv2d_options){.out_channels = channels,
                                                     .kernel_h = kernel,
                                                     .padding_h = kernel / 2});
}

/* Without padding. */
static qz_value valid(qz_graph *g, const char *name, qz_value x, int32_t channels, int32_t kernel,
                      int32_t stride)
{
    return qzi_block_basic_conv(
        g, name, x,
        &(qz_conv2d_options){.out_channels = channels, .kernel_h = kernel, .stride_h = stride});
}

/* 1 x n and n x 1, which keep the size. */
static qz_value row(qz_graph *g, const char *name, qz_value x, int32_t channels, int32_t n)
{
    return qzi_block_basic_conv(g, name, x,
                                &(qz_conv2d_options){.out_channels = channels,
                                                     .kernel_h = 1,
                                                     .kernel_w = n,
                                                     .padding_h = QZ_PAD_NONE,
                                                     .padding_w = n / 2});
}

static qz_value column(qz_graph *g, const char *name, qz_value x, int32_t channels, int32_t n)
{
    return qzi_block_basic_conv(g, name, x,
                                &(qz_conv2d_options){.out_channels = channels,
                                                     .kernel_h = n,
                                                     .kernel_w = 1,
                                                     .padding_h = n / 2,
                                                     .padding_w = QZ_PAD_NONE});
}

/* 3x3 average that keeps the size, then 1x1. */
static qz_value pool_conv(qz_graph *g, qz_value x, int32_t channels)
{
    x = qz_avg_pool2d(g, "avg_pool2d", x,
                      &(qz_pool2d_options){.kernel_h = 3, .stride_h = 1, .padding_h = 1});
    return conv(g, "branch_pool", x, channels, 1);
}

static qz_value pool_halve(qz_graph *g, qz_value x)
{
    return qz_max_pool2d(g, "max_pool2d", x, &(qz_pool2d_options){.kernel_h = 3, .stride_h = 2});
}

/* The paper's figure 5. */
static qz_value inception_a(qz_graph *g, const char *name, qz_value x, int32_t pool_features)
{
    qz_value b[4];
    qz_graph_enter(g, "%s", name);
    b[0] = conv(g, "branch1x1", x, 64, 1);
    b[1] = conv(g, "branch5x5_1", x, 48, 1);
    b[1] = conv(g, "branch5x5_2", b[1], 64, 5);
    b[2] = conv(g, "branch3x3dbl_1", x, 64, 1);
    b[2] = conv(g, "branch3x3dbl_2", b[2], 96, 3);
    b[2] = conv(g, "branch3x3dbl_3", b[2], 96, 3);
    b[3] = pool_conv(g, x, pool_features);
    return qz_graph_leave(g, qz_concat(g, "myop", b, 4));
}

/* Figure 10: halves the size. */
static qz_value inception_b(qz_graph *g, const char *name, qz_value x)
{
    qz_value b[3];
    qz_graph_enter(g, "%s", name);
    b[0] = valid(g, "branch3x3", x, 384, 3, 2);
    b[1] = conv(g, "branch3x3dbl_1", x, 64, 1);
    b[1] = conv(g, "branch3x3dbl_2", b[1], 96, 3);
    b[1] = valid(g, "branch3x3dbl_3", b[1], 96, 3, 2);
    b[2] = pool_halve(g, x);
    return qz_graph_leave(g, qz_concat(g, "myop", b, 3));
}

/* Figure 6: 7x7 as 1x7 and 7x1, `inner` channels wide. */
static qz_value inception_c(qz_graph *g, const char *name, qz_value x, int32_t inner)
{
    qz_value b[4];
    qz_graph_enter(g, "%s", name);
    b[0] = conv(g, "branch1x1", x, 192, 1);
    b[1] = conv(g, "branch7x7_1", x, inner, 1);
    b[1] = row(g, "branch7x7_2", b[1], inner, 7);
    b[1] = column(g, "branch7x7_3", b[1], 192, 7);
    b[2] = conv(g, "branch7x7dbl_1", x, inner, 1);
    b[2] = column(g, "branch7x7dbl_2", b[2], inner, 7);
    b[2] = row(g, "branch7x7dbl_3", b[2], inner, 7);
    b[2] = column(g, "branch7x7dbl_4", b[2], inner, 7);
    b[2] = row(g, "branch7x7dbl_5", b[2], 192, 7);
    b[3] = pool_conv(g, x, 192);
    return qz_graph_leave(g, qz_concat(g, "myop", b, 4));
}

/* Halves the size. */
static qz_value inception_d(qz_graph *g, const char *name, qz_value x)
{
    qz_value b[3];
    qz_graph_enter(g, "%s", name);
    b[0] = conv(g, "branch3x3_1", x, 192, 1);
    b[0] = valid(g, "branch3x3_2", b[0], 320, 3, 2);
    b[1] = conv(g, "branch7x7x3_1", x, 192, 1);
    b[1] = row(g, "branch7x7x3_2", b[1], 192, 7);
    b[1] = column(g, "branch7x7x3_3", b[1], 192, 7);
    b[1] = valid(g, "branch7x7x3_4", b[1], 192, 3, 2);
    b[2] = pool_halve(g, x);
    return qz_graph_leave(g, qz_concat(g, "myop", b, 3));
}

/* Figure 7: branches that fork into 1x3 and 3x1. */
static qz_value inception_e(qz_graph *g, const char *name, qz_value x)
{
    qz_value b[4], fork[2];
    qz_graph_enter(g, "%s", name);
    b[0] = conv(g, "branch1x1", x, 320, 1);
    b[1] = conv(g, "branch3x3_1", x, 384, 1);
    fork[0] = row(g, "branch3x3_2a", b[1], 384, 3);
    fork[1] = column(g, "branch3x3_2b", b[1], 384, 3);
    b[1] = qz_concat(g, "myop1", fork, 2);
    b[2] = conv(g, "branch3x3dbl_1", x, 448, 1);
    b[2] = conv(g, "branch3x3dbl_2", b[2], 384, 3);
    fork[0] = row(g, "branch3x3dbl_3a", b[2], 384, 3);
    fork[1] = column(g, "branch3x3dbl_3b", b[2], 384, 3);
    b[2] = qz_concat(g, "myop2", fork, 2);
    b[3] = pool_conv(g, x, 192);
    return qz_graph_leave(g, qz_concat(g, "myop3", b, 4));
}

static void auxiliary(qz_graph *g, qz_value x, int32_t num_classes)
{
    qz_graph_enter(g, "AuxLogits");
    x = qz_avg_pool2d(g, "avg_pool2d", x, &(qz_pool2d_options){.kernel_h = 5, .stride_h = 3});
    x = conv(g, "conv0", x, 128, 1);
    x = valid(g, "conv1", x, 768, 5, 1);
    x = qzi_block_pool_flatten(g, "adaptive_avg_pool2d", x);
    x = qz_linear(g, "fc", x, num_classes, true);
    qz_graph_leave(g, x);
}

/* The paper's table 1. */
static void build_inception_v3(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const qz_pool2d_options halve = {.kernel_h = 3, .stride_h = 2};
    qz_value x = qzi_block_image_input(g);
    (void)config;
    if (options->transform_input)
        x = qzi_block_transform_input(g, x);
    x = valid(g, "Conv2d_1a_3x3", x, 32, 3, 2);
    x = valid(g, "Conv2d_2a_3x3", x, 32, 3, 1);
    x = conv(g, "Conv2d_2b_3x3", x, 64, 3);
    x = qz_max_pool2d(g, "maxpool1", x, &halve);
    x = conv(g, "Conv2d_3b_1x1", x, 80, 1);
    x = valid(g, "Conv2d_4a_3x3", x, 192, 3, 1);
    x = qz_max_pool2d(g, "maxpool2", x, &halve);
    x = inception_a(g, "Mixed_5b", x, 32);
    x = inception_a(g, "Mixed_5c", x, 64);
    x = inception_a(g, "Mixed_5d", x, 64);
    x = inception_b(g, "Mixed_6a", x);
    x = inception_c(g, "Mixed_6b", x, 128);
    x = inception_c(g, "Mixed_6c", x, 160);
    x = inception_c(g, "Mixed_6d", x, 160);
    x = inception_c(g, "Mixed_6e", x, 192);
    if (!options->no_aux_logits)
        auxiliary(g, x, options->num_classes);
    x = inception_d(g, "Mixed_7a", x);
    x = inception_e(g, "Mixed_7b", x);
    x = inception_e(g, "Mixed_7c", x);
    x = qz_adaptive_avg_pool2d(g, "avgpool", x, 1, 1);
    x = qz_dropout(g, "dropout", x, 0.5f);
    x = qz_flatten(g, "flatten", x);
    x = qz_linear(g, "fc", x, options->num_classes, true);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule inception_v3_rules[] = {{"", 1.38}, {NULL, 0.0}};

const qzi_arch qzi_arch_inception_v3 = {
    QZI_CLASSIFIER_FIELDS(inception_v3, build_inception_v3, NULL, inception_v3_rules, 342, 299,
                          QZ_INTERPOLATION_BILINEAR),
    .has_aux_logits = true,
    .has_transform_input = true,
};
