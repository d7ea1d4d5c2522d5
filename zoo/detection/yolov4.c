/* SPDX-License-Identifier: MIT */
/*
 * yolov4.c - YOLOv4 on CSPDarknet-53 with SPP and PAN; modules are the layers of darknet's file,
 * module_list.0 to module_list.161.
 *
 *   Bochkovskiy, Wang and Liao, YOLOv4: Optimal Speed and Accuracy of Object Detection, 2020
 *
 * Published networks were trained at 608; like the others, this one is listed at 640.
 * Mish in the backbone, LeakyReLU(0.1) behind it. A layer that copies another (darknet's route of
 * one) takes a number and computes nothing.
 */
#include "zoo/detection/yolo_blocks.h"

/* Batch norms of darknet, which PyTorch's ports follow. */
#define NORM ((qzi_norm){.eps = 1e-5f})

/* The network while it is built: the next layer's number. */
typedef struct layers {
    qz_graph *graph;
    int32_t next;
    qz_activation act;
} layers;

static qz_value conv(layers *l, qz_value x, int32_t channels, int32_t kernel, int32_t stride)
{
    qz_graph_enter(l->graph, "%d", (int)l->next++);
    x = qzi_block_conv_bn(l->graph, NORM, "Conv2d", "BatchNorm2d", x,
                          &(qz_conv2d_options){.out_channels = channels,
                                               .kernel_h = kernel,
                                               .stride_h = stride,
                                               .padding_h = kernel / 2});
    return qz_graph_leave(l->graph, qz_activate(l->graph, "act", x, l->act));
}

/* darknet's route of one earlier layer. */
static qz_value copy(layers *l, qz_value x)
{
    l->next++;
    return x;
}

static qz_value join(layers *l, const qz_value *values, size_t count)
{
    return qz_concat(l->graph, qzi_index(l->next++).text, values, count);
}

static qz_value join2(layers *l, qz_value a, qz_value b)
{
    const qz_value both[] = {a, b};
    return join(l, both, 2);
}

/* A stage of CSPDarknet: half the size, two branches, one of them with residual units. */
static qz_value csp_stage(layers *l, qz_value x, int32_t channels, int32_t units)
{
    /* the first stage does not halve the channels of its branches */
    const int32_t half = units > 1 ? channels / 2 : channels;
    const int32_t hidden = units > 1 ? half : half / 2;
    x = conv(l, x, channels, 3, 2);
    const qz_value side = conv(l, x, half, 1, 1);
    qz_value y = conv(l, copy(l, x), half, 1, 1);
    for (int32_t i = 0; i < units; i++) {
        const qz_value inner = conv(l, conv(l, y, hidden, 1, 1), half, 3, 1);
        y = qz_add(l->graph, qzi_index(l->next++).text, inner, y, QZ_ACT_NONE);
    }
    y = conv(l, y, half, 1, 1);
    return conv(l, join2(l, y, side), channels, 1, 1);
}

/* 1x1, 3x3, 1x1: `count` convolutions from `channels` to twice as many and back. */
static qz_value alternate(layers *l, qz_value x, int32_t channels, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        x = i % 2 == 0 ? conv(l, x, channels, 1, 1) : conv(l, x, 2 * channels, 3, 1);
    return x;
}

/* Spatial pyramid pooling: the largest window first. */
static qz_value spp(layers *l, qz_value x)
{
    qz_value maps[4] = {[3] = x};
    for (int32_t i = 0; i < 3; i++) {
        maps[2 - i] = qzi_yolo_pool(l->graph, qzi_index(l->next++).text, x, 5 + 4 * i);
        if (i < 2)
            copy(l, x);
    }
    return join(l, maps, 4);
}

/* Up to a finer map of the backbone, and five convolutions. */
static qz_value top_down(layers *l, qz_value x, qz_value map, int32_t channels)
{
    x = conv(l, x, channels, 1, 1);
    x = qzi_yolo_upsample(l->graph, qzi_index(l->next++).text, x, map);
    map = conv(l, copy(l, map), channels, 1, 1);
    return alternate(l, join2(l, map, x), channels, 5);
}

/* The convolution of the outputs, and darknet's yolo layer. */
static void head(layers *l, qz_value x, int32_t level, int32_t channels, int32_t classes)
{
    x = conv(l, x, 2 * channels, 3, 1);
    qz_graph_enter(l->graph, "%d", (int)l->next);
    qzi_yolo_head(l->graph, "Conv2d", level, x, classes);
    qz_graph_leave(l->graph, QZ_NO_VALUE);
    l->next += 2;
}

static void build_yolov4(qz_graph *g, const void *config, const qzi_build_options *options)
{
    layers l = {.graph = g, .act = QZ_ACT_MISH};
    const int32_t classes = options->num_classes;
    (void)config;
    qz_value x = qzi_block_image_input(g);
    qz_graph_enter(g, "module_list");
    x = conv(&l, x, 32, 3, 1);
    x = csp_stage(&l, x, 64, 1);
    x = csp_stage(&l, x, 128, 2);
    const qz_value c3 = csp_stage(&l, x, 256, 8);
    const qz_value c4 = csp_stage(&l, c3, 512, 8);
    x = csp_stage(&l, c4, 1024, 4);
    l.act = QZ_ACT_LEAKY_RELU;
    x = spp(&l, alternate(&l, x, 512, 3));
    const qz_value p5 = alternate(&l, x, 512, 3);
    const qz_value p4 = top_down(&l, p5, c4, 256);
    const qz_value p3 = top_down(&l, p4, c3, 128);
    head(&l, p3, 0, 128, classes);
    x = conv(&l, copy(&l, p3), 256, 3, 2);
    const qz_value n4 = alternate(&l, join2(&l, x, p4), 256, 5);
    head(&l, n4, 1, 256, classes);
    x = conv(&l, copy(&l, n4), 512, 3, 2);
    const qz_value n5 = alternate(&l, join2(&l, x, p5), 512, 5);
    head(&l, n5, 2, 512, classes);
    qz_graph_leave(g, QZ_NO_VALUE);
}

static const qzi_detector detector = {
    QZI_YOLO_DETECTOR(640, QZ_YOLO_DECODE_DARKNET),
    .yolo_anchors = {{{12, 16}, {19, 36}, {40, 28}},
                     {{36, 75}, {76, 55}, {72, 146}},
                     {{142, 110}, {192, 243}, {459, 401}}},
    .scale_xy = {1.2f, 1.1f, 1.05f},
    .darknet = {"yolov4.conv.137", 92},
};

static const qz_fill_rule rules[] = {
    {"module_list.138.", 1.3},
    {"module_list.149.", 1.3},
    {"module_list.160.", 1.3},
    {"module_list.6.", 0.5},
    {"module_list.16.", 0.5},
    {"module_list.19.", 0.5},
    {"module_list.29.", 0.5},
    {"module_list.32.", 0.5},
    {"module_list.35.", 0.5},
    {"module_list.38.", 0.5},
    {"module_list.41.", 0.5},
    {"module_list.44.", 0.5},
    {"module_list.47.", 0.5},
    {"module_list.50.", 0.5},
    {"module_list.60.", 0.5},
    {"module_list.63.", 0.5},
    {"module_list.66.", 0.5},
    {"module_list.69.", 0.5},
    {"module_list.72.", 0.5},
    {"module_list.75.", 0.5},
    {"module_list.78.", 0.5},
    {"module_list.81.", 0.5},
    {"module_list.91.", 0.5},
    {"module_list.94.", 0.5},
    {"module_list.97.", 0.5},
    {"module_list.100.", 0.5},
    {"module_list.105", 1.25},
    {"module_list.106", 1.25},
    {"module_list.107", 1.25},
    {"module_list.11", 1.25},
    {"module_list.12", 1.25},
    {"module_list.13", 1.25},
    {"module_list.14", 1.25},
    {"module_list.15", 1.25},
    {"", 1.4},
    {NULL, 0.0},
};

const qzi_arch qzi_arch_yolov4 = {QZI_YOLO_INFO(yolov4, 640), .fill_rules = rules,
                                  .build = build_yolov4, .fuse = qzi_yolo_fuse,
                                  .detector = &detector};
