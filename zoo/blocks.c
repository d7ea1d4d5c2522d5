/* SPDX-License-Identifier: MIT */
/*
 * blocks.c - the small modules that torchvision's architectures share (blocks.h).
 */
#include "zoo/blocks.h"

#include <stdio.h>

qzi_norm qzi_backbone_norm(qzi_norm own, const qzi_backbone_options *options)
{
    own.frozen = options->frozen_norms;
    if (options->eps > 0.0f)
        own.eps = options->eps;
    if (options->zero_eps)
        own.eps = 0.0f;
    return own;
}

bool qzi_backbone_has(const qzi_backbone_options *options, int32_t index)
{
    return index >= options->first && (options->end == 0 || index < options->end);
}

qz_value qzi_block_norm(qz_graph *graph, qzi_norm norm, const char *name, qz_value x)
{
    return norm.frozen ? qz_frozen_batch_norm2d(graph, name, x, norm.eps)
                       : qz_batch_norm2d(graph, name, x, norm.eps);
}

qz_value qzi_block_conv_bn(qz_graph *graph, qzi_norm norm, const char *conv, const char *bn,
                           qz_value x, const qz_conv2d_options *options)
{
    return qzi_block_norm(graph, norm, bn, qz_conv2d(graph, conv, x, options));
}

qz_value qzi_block_conv_bn_act(qz_graph *graph, qzi_norm norm, const char *name, qz_value x,
                               const qz_conv2d_options *options, qz_activation act)
{
    qz_conv2d_options conv = *options;
    if (conv.padding_h == 0)
        conv.padding_h = (conv.kernel_h - 1) / 2 * QZI_MAX(conv.dilation_h, 1);
    qz_graph_enter(graph, "%s", name);
    x = qzi_block_conv_bn(graph, norm, "0", "1", x, &conv);
    if (act != QZ_ACT_NONE)
        x = qz_activate(graph, "2", x, act);
    return qz_graph_leave(graph, x);
}

qz_value qzi_block_basic_conv(qz_graph *graph, const char *name, qz_value x,
                              const qz_conv2d_options *options)
{
    qz_graph_enter(graph, "%s", name);
    x = qzi_block_conv_bn(graph, QZI_BN_EPS_001, "conv", "bn", x, options);
    x = qz_activate(graph, "relu", x, QZ_ACT_RELU);
    return qz_graph_leave(graph, x);
}

qz_value qzi_block_squeeze_excitation(qz_graph *graph, const char *name, qz_value x,
                                      int32_t channels, int32_t squeeze, qz_activation activation,
                                      qz_activation scale_activation)
{
    qz_graph_enter(graph, "%s", name);
    qz_value s = qz_adaptive_avg_pool2d(graph, "avgpool", x, 1, 1);
    s = qz_conv2d(graph, "fc1", s,
                  &(qz_conv2d_options){.out_channels = squeeze, .kernel_h = 1, .bias = true});
    s = qz_activate(graph, "activation", s, activation);
    s = qz_conv2d(graph, "fc2", s,
                  &(qz_conv2d_options){.out_channels = channels, .kernel_h = 1, .bias = true});
    s = qz_activate(graph, "scale_activation", s, scale_activation);
    x = qz_mul(graph, "skip_mul", s, x);
    return qz_graph_leave(graph, x);
}

qz_value qzi_block_image_input(qz_graph *graph)
{
    return qz_graph_input(graph, "input", 3);
}

qz_value qzi_block_transform_input(qz_graph *graph, qz_value x)
{
    static const float scale[3] = {
        (float)(0.229 / 0.5),
        (float)(0.224 / 0.5),
        (float)(0.225 / 0.5),
    };
    static const float shift[3] = {
        (float)((0.485 - 0.5) / 0.5),
        (float)((0.456 - 0.5) / 0.5),
        (float)((0.406 - 0.5) / 0.5),
    };
    return qz_channel_affine(graph, "transform_input", x, scale, shift);
}

qz_value qzi_block_pool_flatten(qz_graph *graph, const char *name, qz_value x)
{
    return qz_flatten(graph, "flatten", qz_adaptive_avg_pool2d(graph, name, x, 1, 1));
}

int32_t qzi_make_divisible(int32_t channels, double width, int32_t divisor)
{
    double value = (double)channels * width;
    int32_t rounded = (int32_t)(value + (double)divisor / 2.0) / divisor * divisor;
    if (rounded < divisor)
        rounded = divisor;
    if ((double)rounded < 0.9 * value)
        rounded += divisor;
    return rounded;
}

qzi_index_name qzi_index(int32_t index)
{
    qzi_index_name name;
    snprintf(name.text, sizeof(name.text), "%d", (int)index);
    return name;
}
