/* SPDX-License-Identifier: MIT */
/*
 * blocks.c - the small modules that torchvision's architectures share (blocks.h).
 */
#include "zoo/blocks.h"

#include <stdio.h>

qz_value qzi_block_conv_bn(qz_graph *graph, const char *conv, const char *bn, qz_value x,
                           const qz_conv2d_options *options)
{
    return qz_batch_norm2d(graph, bn, qz_conv2d(graph, conv, x, options), QZI_BN_EPS);
}

qz_value qzi_block_conv_bn_act(qz_graph *graph, const char *name, qz_value x, int32_t out_channels,
                               int32_t kernel, int32_t stride, int32_t groups, qz_activation act)
{
    qz_graph_enter(graph, "%s", name);
    x = qzi_block_conv_bn(graph, "0", "1", x,
                          &(qz_conv2d_options){.out_channels = out_channels,
                                               .kernel_h = kernel,
                                               .stride_h = stride,
                                               .padding_h = (kernel - 1) / 2,
                                               .groups = groups});
    if (act != QZ_ACT_NONE)
        x = qz_activate(graph, "2", x, act);
    return qz_graph_leave(graph, x);
}

qz_value qzi_block_image_input(qz_graph *graph)
{
    return qz_graph_input(graph, "input", 3);
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
