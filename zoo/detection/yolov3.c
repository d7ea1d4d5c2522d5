/* SPDX-License-Identifier: MIT */
/*
 * yolov3.c - YOLOv3 on darknet-53, with ultralytics' names: modules model.0 to model.28.
 *
 *   Redmon and Farhadi, YOLOv3: An Incremental Improvement, 2018
 *
 * Its first networks have LeakyReLU(0.1), later ones SiLU: the state dict does not say which.
 */
#include "zoo/detection/yolo_blocks.h"

static qz_value conv(qz_graph *g, qz_activation act, int32_t index, qz_value x, int32_t channels,
                     int32_t kernel, int32_t stride)
{
    return qzi_yolo_conv_of(g, qzi_index(index).text, x,
                            (qzi_yolo_conv){channels, kernel, stride, 0}, act);
}

/* Module `index`: `count` bottlenecks, numbered where there are several. */
static qz_value blocks(qz_graph *g, qz_activation act, int32_t index, qz_value x, int32_t channels,
                       int32_t count, bool add)
{
    qz_graph_enter(g, "%d", (int)index);
    for (int32_t i = 0; i < count; i++) {
        if (count > 1)
            qz_graph_enter(g, "%d", (int)i);
        x = qzi_yolo_bottleneck(g, x, channels, channels / 2, add, act);
        if (count > 1)
            qz_graph_leave(g, x);
    }
    return qz_graph_leave(g, x);
}

/* darknet-53: modules 0 to 10. */
static qz_value backbone(qz_graph *g, qz_activation act, qz_value x, qz_value *x6, qz_value *x8)
{
    x = conv(g, act, 0, x, 32, 3, 1);
    x = conv(g, act, 1, x, 64, 3, 2);
    x = blocks(g, act, 2, x, 64, 1, true);
    x = conv(g, act, 3, x, 128, 3, 2);
    x = blocks(g, act, 4, x, 128, 2, true);
    x = conv(g, act, 5, x, 256, 3, 2);
    *x6 = blocks(g, act, 6, x, 256, 8, true);
    x = conv(g, act, 7, *x6, 512, 3, 2);
    *x8 = blocks(g, act, 8, x, 512, 8, true);
    x = conv(g, act, 9, *x8, 1024, 3, 2);
    return blocks(g, act, 10, x, 1024, 4, true);
}

/* Modules `index`, `index` + 1: x in twice its size, then `map` behind it. */
static qz_value up_and_join(qz_graph *g, int32_t index, qz_value x, qz_value map)
{
    const qz_value both[] = {qzi_yolo_upsample(g, qzi_index(index).text, x, map), map};
    return qz_concat(g, qzi_index(index + 1).text, both, 2);
}

static const qzi_detector detector;

static void build_yolov3(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const qz_activation act =
        options->activation == QZ_ACT_NONE ? QZ_ACT_LEAKY_RELU : options->activation;
    qz_value x = qzi_block_image_input(g), x6, x8, maps[QZI_YOLO_LEVELS];
    (void)config;
    qz_graph_enter(g, "model");
    x = backbone(g, act, x, &x6, &x8);
    x = blocks(g, act, 11, x, 1024, 1, false);
    x = conv(g, act, 12, x, 512, 1, 1);
    x = conv(g, act, 13, x, 1024, 3, 1);
    const qz_value x14 = conv(g, act, 14, x, 512, 1, 1);
    maps[2] = conv(g, act, 15, x14, 1024, 3, 1);
    x = conv(g, act, 16, x14, 256, 1, 1);
    x = blocks(g, act, 19, up_and_join(g, 17, x, x8), 512, 1, false);
    x = blocks(g, act, 20, x, 512, 1, false);
    const qz_value x21 = conv(g, act, 21, x, 256, 1, 1);
    maps[1] = conv(g, act, 22, x21, 512, 3, 1);
    x = conv(g, act, 23, x21, 128, 1, 1);
    x = blocks(g, act, 26, up_and_join(g, 24, x, x6), 256, 1, false);
    maps[0] = blocks(g, act, 27, x, 256, 2, false);
    qzi_yolo_detect(g, "28", &detector, maps, options->num_classes);
    qz_graph_leave(g, QZ_NO_VALUE);
}

static const qzi_detector detector = {
    QZI_YOLO_DETECTOR(640, QZ_YOLO_DECODE_V5),
    .yolo_anchors = QZI_YOLO_COCO_ANCHORS,
    .scale_xy = {1, 1, 1},
    .darknet = {"darknet53.conv.74", 52},
};

static const qz_fill_rule rules[] = {
    {"model.28.", 1.0}, {"model.11.", 1.2}, {"model.19.", 1.2},
    {"model.20.", 1.2}, {"model.26.", 1.2}, {"model.27.", 1.2},
    {"cv2.conv", 0.4},  {"", 1.2},          {NULL, 0.0},
};

const qzi_arch qzi_arch_yolov3 = {QZI_YOLO_INFO(yolov3, 640), .fill_rules = rules,
                                  .build = build_yolov3,      .fuse = qzi_yolo_fuse,
                                  .detector = &detector,      .has_activation = true};
