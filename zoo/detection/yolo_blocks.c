/* SPDX-License-Identifier: MIT */
/* yolo_blocks.c - the modules that the YOLO networks share (yolo_blocks.h). */
#include "zoo/detection/yolo_blocks.h"

#include "quant/divide.h"

#include <stdio.h>

/* eps of ultralytics' batch norms */
#define EPS 1e-3f

qz_value qzi_yolo_conv_of(qz_graph *graph, const char *name, qz_value x, qzi_yolo_conv conv,
                          qz_activation act)
{
    const int32_t padding = conv.padding > 0 ? conv.padding : conv.kernel / 2;
    qz_graph_enter(graph, "%s", name);
    x = qzi_block_conv_bn(graph, (qzi_norm){.eps = EPS}, "conv", "bn", x,
                          &(qz_conv2d_options){.out_channels = conv.channels,
                                               .kernel_h = conv.kernel,
                                               .stride_h = conv.stride,
                                               .padding_h = padding});
    return qz_graph_leave(graph, qz_activate(graph, "act", x, act));
}

qz_value qzi_yolo_bottleneck(qz_graph *graph, qz_value x, int32_t channels, int32_t hidden,
                             bool add, qz_activation act)
{
    qz_value y = qzi_yolo_conv_of(graph, "cv1", x, (qzi_yolo_conv){hidden, 1, 1, 0}, act);
    y = qzi_yolo_conv_of(graph, "cv2", y, (qzi_yolo_conv){channels, 3, 1, 0}, act);
    return add ? qz_add(graph, "add", x, y, QZ_ACT_NONE) : y;
}

qz_value qzi_yolo_pool(qz_graph *graph, const char *name, qz_value x, int32_t kernel)
{
    return qz_max_pool2d(
        graph, name, x,
        &(qz_pool2d_options){.kernel_h = kernel, .stride_h = 1, .padding_h = kernel / 2});
}

qz_value qzi_yolo_upsample(qz_graph *graph, const char *name, qz_value x, qz_value like)
{
    return qz_resize2d(graph, name, x, like, QZ_RESIZE_NEAREST);
}

void qzi_yolo_head(qz_graph *graph, const char *name, int32_t level, qz_value x, int32_t classes)
{
    const int32_t entries = 5 + classes;
    /* x y w h, objectness, classes: of every anchor */
    const struct {
        const char *output;
        int32_t first, count;
    } parts[] = {{"bbox_regression", 0, 4}, {"objectness", 4, 1}, {"cls_logits", 5, classes}};
    x = qz_conv2d(graph, name, x,
                  &(qz_conv2d_options){
                      .out_channels = QZI_YOLO_ANCHORS * entries, .kernel_h = 1, .bias = true});
    qz_graph_enter(graph, "%s", name);
    for (size_t i = 0; i < QZI_ARRAY_LEN(parts); i++)
        qzi_part_output(
            graph, parts[i].output, level,
            qz_pick_channels(graph, parts[i].output, x, parts[i].first, parts[i].count, entries));
    qz_graph_leave(graph, QZ_NO_VALUE);
}

void qzi_yolo_detect(qz_graph *graph, const char *name, const qzi_detector *detector,
                     const qz_value levels[QZI_YOLO_LEVELS], int32_t classes)
{
    const int64_t dims[] = {QZI_YOLO_LEVELS, QZI_YOLO_ANCHORS, 2};
    float anchors[QZI_YOLO_LEVELS][QZI_YOLO_ANCHORS][2];
    for (int32_t k = 0; k < QZI_YOLO_LEVELS; k++)
        for (int32_t a = 0; a < QZI_YOLO_ANCHORS; a++)
            for (int32_t i = 0; i < 2; i++)
                anchors[k][a][i] = detector->yolo_anchors[k][a][i] / (float)detector->strides[k];
    qz_graph_enter(graph, "%s", name);
    qzi_graph_buffer(graph, "anchors", 3, dims, &anchors[0][0][0]);
    qz_graph_enter(graph, "m");
    for (int32_t k = 0; k < QZI_YOLO_LEVELS; k++)
        qzi_yolo_head(graph, qzi_index(k).text, k, levels[k], classes);
    qz_graph_leave(graph, QZ_NO_VALUE);
    qz_graph_leave(graph, QZ_NO_VALUE);
}

qz_status qzi_yolo_fuse(qz_graph *graph, bool is_qat)
{
    QZI_TRY(qzi_divide(graph));
    return qzi_fuse(graph, is_qat);
}
