/* SPDX-License-Identifier: MIT */
/*
 * fpn.c - feature pyramids as torchvision builds them (detector_parts.h).
 *
 *   Lin et al., Feature Pyramid Networks for Object Detection, 2017
 *
 * torch's functions have no names; here the enlarged map of level i is "inner_top_down.i", the sum
 * "inner_add.i".
 */
#include "zoo/detection/detector_parts.h"

#include <stdio.h>

const qzi_fpn_body qzi_fpn_resnet50_c3 = {
    .arch = &qzi_arch_resnet50, .eps = 1e-5f, .count = 3, .maps = {"layer2", "layer3", "layer4"}};

/* Lateral convolutions, then sums from the coarsest map to the finest, then convolutions. */
static void top_down(qz_graph *g, const qz_value *maps, int32_t count, qzi_part_norm norm,
                     qz_value *levels)
{
    char name[32];
    qz_graph_enter(g, "inner_blocks");
    for (int32_t i = 0; i < count; i++)
        levels[i] =
            qzi_part_conv(g, qzi_index(i).text, maps[i], QZI_FPN_CHANNELS, 1, norm, QZ_ACT_NONE);
    qz_graph_leave(g, QZ_NO_VALUE);
    for (int32_t i = count - 2; i >= 0; i--) {
        snprintf(name, sizeof(name), "inner_top_down.%d", (int)i);
        qz_value up = qz_resize2d(g, name, levels[i + 1], levels[i], QZ_RESIZE_NEAREST);
        snprintf(name, sizeof(name), "inner_add.%d", (int)i);
        levels[i] = qz_add(g, name, levels[i], up, QZ_ACT_NONE);
    }
    qz_graph_enter(g, "layer_blocks");
    for (int32_t i = 0; i < count; i++)
        levels[i] =
            qzi_part_conv(g, qzi_index(i).text, levels[i], QZI_FPN_CHANNELS, 3, norm, QZ_ACT_NONE);
    qz_graph_leave(g, QZ_NO_VALUE);
}

int32_t qzi_fpn(qz_graph *graph, const qz_value *maps, int32_t count, qzi_part_norm norm,
                qzi_fpn_extra extra, qz_value *levels)
{
    const qz_conv2d_options half = {.out_channels = QZI_FPN_CHANNELS,
                                    .kernel_h = 3,
                                    .stride_h = 2,
                                    .padding_h = 1,
                                    .bias = true};
    const qz_value last = maps[count - 1];
    top_down(graph, maps, count, norm, levels);
    qz_graph_enter(graph, "extra_blocks");
    if (extra == QZI_FPN_POOL) {
        levels[count] = qz_max_pool2d(graph, "pool", levels[count - 1],
                                      &(qz_pool2d_options){.kernel_h = 1, .stride_h = 2});
        qz_graph_leave(graph, QZ_NO_VALUE);
        return count + 1;
    }
    levels[count] =
        qz_conv2d(graph, "p6", extra == QZI_FPN_P6P7_OF_C ? last : levels[count - 1], &half);
    levels[count + 1] =
        qz_conv2d(graph, "p7", qz_activate(graph, "relu", levels[count], QZ_ACT_RELU), &half);
    qz_graph_leave(graph, QZ_NO_VALUE);
    return count + 2;
}

int32_t qzi_fpn_backbone(qz_graph *graph, const qzi_fpn_body *body, qz_value image,
                         qzi_part_norm norm, qzi_fpn_extra extra, const qzi_build_options *options,
                         qz_value levels[QZI_DETECTOR_LEVELS])
{
    const qzi_backbone_options backbone = {.eps = body->eps, .zero_eps = options->zero_eps};
    qz_value maps[QZI_ARRAY_LEN(body->maps)];
    qz_graph_enter(graph, "backbone");
    qz_graph_enter(graph, "body");
    if (qzi_backbone_build(graph, body->arch, image, &backbone, body->maps, (size_t)body->count,
                           maps) != QZ_OK)
        return 0;
    qz_graph_leave(graph, QZ_NO_VALUE);
    qz_graph_enter(graph, "fpn");
    const int32_t count = qzi_fpn(graph, maps, body->count, norm, extra, levels);
    qz_graph_leave(graph, QZ_NO_VALUE);
    qz_graph_leave(graph, QZ_NO_VALUE);
    return graph->status == QZ_OK ? count : 0;
}
