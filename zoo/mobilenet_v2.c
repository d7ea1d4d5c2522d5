/* SPDX-License-Identifier: MIT */
/*
 * mobilenet_v2.c - MobileNetV2, as torchvision builds it.
 *
 *   Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018
 *
 * The residual addition is the quantizable variant's skip_add. ReLU6 stays ReLU6; torchvision's
 * quantizable model has ReLU in its place (the option `relu`).
 */
#include "zoo/blocks.h"

struct mobilenet_v2 {
    double width;
};

/* The paper's table 2: expansion t, channels c, repeats n, stride s of the first. */
static const struct stage {
    int32_t t, c, n, s;
} stages[] = {
    {1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2},  {6, 64, 4, 2},
    {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
};

static qz_value inverted_residual(qz_graph *g, qzi_norm norm, qz_value x, int32_t in, int32_t out,
                                  int32_t stride, int32_t expand)
{
    int32_t hidden = in * expand;
    int32_t i = 0;
    qz_value y = x;
    qz_graph_enter(g, "conv");
    if (expand != 1)
        y = qzi_block_conv_bn_act(g, norm, qzi_index(i++).text, y, QZI_CONV1X1(hidden, 1),
                                  QZ_ACT_RELU6);
    y = qzi_block_conv_bn_act(
        g, norm, qzi_index(i++).text, y,
        &(qz_conv2d_options){
            .out_channels = hidden, .kernel_h = 3, .stride_h = stride, .groups = hidden},
        QZ_ACT_RELU6);
    y = qzi_block_conv_bn(g, norm, qzi_index(i).text, qzi_index(i + 1).text, y,
                          QZI_CONV1X1(out, 1));
    y = qz_graph_leave(g, y);
    if (stride == 1 && in == out)
        y = qz_add(g, "skip_add", x, y, QZ_ACT_NONE);
    return y;
}

/* torchvision's "features". */
static qz_value features(qz_graph *g, const void *config, qz_value x,
                         const qzi_backbone_options *options)
{
    const struct mobilenet_v2 *net = config;
    qzi_norm norm = QZI_BN;
    int32_t channels = qzi_make_divisible(32, net->width, 8);
    int32_t last = qzi_make_divisible(1280, QZI_MAX(1.0, net->width), 8);
    int32_t feature = 0;
    norm.frozen = options->frozen_norms;
    x = qzi_block_conv_bn_act(
        g, norm, qzi_index(feature++).text, x,
        &(qz_conv2d_options){.out_channels = channels, .kernel_h = 3, .stride_h = 2}, QZ_ACT_RELU6);
    for (size_t i = 0; i < QZI_ARRAY_LEN(stages); i++) {
        const struct stage *stage = &stages[i];
        int32_t out = qzi_make_divisible(stage->c, net->width, 8);
        for (int32_t block = 0; block < stage->n; block++) {
            int32_t stride = block == 0 ? stage->s : 1;
            qz_graph_enter(g, "%d", (int)feature++);
            x = inverted_residual(g, norm, x, channels, out, stride, stage->t);
            x = qz_graph_leave(g, x);
            channels = out;
        }
    }
    return qzi_block_conv_bn_act(g, norm, qzi_index(feature).text, x, QZI_CONV1X1(last, 1),
                                 QZ_ACT_RELU6);
}

static void build_mobilenet_v2(qz_graph *g, const void *config, const qzi_build_options *options)
{
    qz_value x = qzi_block_image_input(g);
    qz_graph_enter(g, "features");
    x = features(g, config, x, &(qzi_backbone_options){0});
    x = qz_graph_leave(g, x);
    x = qzi_block_pool_flatten(g, "adaptive_avg_pool2d", x);
    qz_graph_enter(g, "classifier");
    x = qz_dropout(g, "0", x, 0.2f);
    x = qz_linear(g, "1", x, options->num_classes, true);
    x = qz_graph_leave(g, x);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule mobilenet_v2_rules[] = {{"", 1.15}, {NULL, 0.0}};

static const struct mobilenet_v2 mobilenet_v2_config = {.width = 1.0};
const qzi_arch qzi_arch_mobilenet_v2 = {
    QZI_CLASSIFIER_FIELDS(mobilenet_v2, build_mobilenet_v2, &mobilenet_v2_config,
                          mobilenet_v2_rules, 256, 224, QZ_INTERPOLATION_BILINEAR),
    .features = features,
};
