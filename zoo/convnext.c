/* SPDX-License-Identifier: MIT */
/*
 * convnext.c - ConvNeXt, as torchvision builds it.
 *
 *   Liu et al., A ConvNet for the 2020s, 2022
 *
 * torchvision's blocks permute to channels last and back (modules 1 and 6); values here are
 * channels last anyway, so the linear layers read them as they are. torchvision has no quantizable
 * variant; the residual addition is named add.
 */
#include "zoo/blocks.h"

struct convnext {
    int32_t channels[4];
    int32_t blocks[4];
    float drop_path; /* what stochastic depth drops of the last block in training */
};

#define LAYER_NORM_EPS 1e-6f

/* 7x7 depthwise, layer norm, four times the width and back, scaled. */
static qz_value block(qz_graph *g, qz_value x, int32_t channels, float drop)
{
    qz_value y = x;
    qz_graph_enter(g, "block");
    y = qz_conv2d(g, "0", y,
                  &(qz_conv2d_options){.out_channels = channels,
                                       .kernel_h = 7,
                                       .padding_h = 3,
                                       .groups = channels,
                                       .bias = true});
    y = qz_layer_norm(g, "2", y, LAYER_NORM_EPS);
    y = qz_linear(g, "3", y, 4 * channels, true);
    y = qz_activate(g, "4", y, QZ_ACT_GELU);
    y = qz_linear(g, "5", y, channels, true);
    y = qz_graph_leave(g, y);
    y = qz_layer_scale(g, "layer_scale", "layer_scale", y);
    y = qz_stochastic_depth(g, "stochastic_depth", y, drop);
    return qz_add(g, "add", y, x, QZ_ACT_NONE);
}

/* Halves the size. */
static qz_value downsample(qz_graph *g, qz_value x, int32_t channels)
{
    x = qz_layer_norm(g, "0", x, LAYER_NORM_EPS);
    return qz_conv2d(
        g, "1", x,
        &(qz_conv2d_options){.out_channels = channels, .kernel_h = 2, .stride_h = 2, .bias = true});
}

static void build_convnext(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const struct convnext *net = config;
    int32_t blocks = net->blocks[0] + net->blocks[1] + net->blocks[2] + net->blocks[3];
    int32_t done = 0, feature = 0;
    qz_value x = qzi_block_image_input(g);
    qz_graph_enter(g, "features");
    qz_graph_enter(g, "%d", (int)feature++);
    x = qz_conv2d(
        g, "0", x,
        &(qz_conv2d_options){
            .out_channels = net->channels[0], .kernel_h = 4, .stride_h = 4, .bias = true});
    x = qz_graph_leave(g, qz_layer_norm(g, "1", x, LAYER_NORM_EPS));
    for (int32_t stage = 0; stage < 4; stage++) {
        qz_graph_enter(g, "%d", (int)feature++);
        for (int32_t i = 0; i < net->blocks[stage]; i++) {
            qz_graph_enter(g, "%d", (int)i);
            x = block(g, x, net->channels[stage],
                      net->drop_path * (float)done++ / (float)(blocks - 1));
            x = qz_graph_leave(g, x);
        }
        x = qz_graph_leave(g, x);
        if (stage == 3)
            break;
        qz_graph_enter(g, "%d", (int)feature++);
        x = qz_graph_leave(g, downsample(g, x, net->channels[stage + 1]));
    }
    x = qz_graph_leave(g, x);
    x = qz_adaptive_avg_pool2d(g, "avgpool", x, 1, 1);
    qz_graph_enter(g, "classifier");
    x = qz_layer_norm(g, "0", x, LAYER_NORM_EPS);
    x = qz_flatten(g, "1", x);
    x = qz_linear(g, "2", x, options->num_classes, true);
    x = qz_graph_leave(g, x);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule convnext_rules[] = {{"", 1.3}, {NULL, 0.0}};

#define CONVNEXT(id, resize, ...)                           \
    static const struct convnext id##_config = __VA_ARGS__; \
    const qzi_arch qzi_arch_##id = {QZI_CLASSIFIER_FIELDS(  \
        id, build_convnext, &id##_config, convnext_rules, resize, 224, QZ_INTERPOLATION_BILINEAR)}

/* clang-format off */
/*                  resize  channels                blocks        drop path */
CONVNEXT(convnext_tiny,  236, {{ 96, 192,  384,  768}, {3, 3,  9, 3}, 0.1f});
CONVNEXT(convnext_small, 230, {{ 96, 192,  384,  768}, {3, 3, 27, 3}, 0.4f});
CONVNEXT(convnext_base,  232, {{128, 256,  512, 1024}, {3, 3, 27, 3}, 0.5f});
CONVNEXT(convnext_large, 232, {{192, 384,  768, 1536}, {3, 3, 27, 3}, 0.5f});
/* clang-format on */
