/* SPDX-License-Identifier: MIT */
/* detector_parts.c - convolutions with a choice of norms, outputs by level (detector_parts.h). */
#include "zoo/detection/detector_parts.h"

#include <stdio.h>

qz_value qzi_part_conv(qz_graph *graph, const char *name, qz_value x, int32_t channels,
                       int32_t kernel, qzi_part_norm norm, qz_activation act)
{
    int32_t i = 1;
    qz_graph_enter(graph, "%s", name);
    x = qz_conv2d(graph, "0", x,
                  &(qz_conv2d_options){.out_channels = channels,
                                       .kernel_h = kernel,
                                       .padding_h = (kernel - 1) / 2,
                                       .bias = norm == QZI_PART_BIAS});
    if (norm == QZI_PART_BATCH_NORM)
        x = qz_batch_norm2d(graph, qzi_index(i++).text, x, 1e-5f);
    else if (norm == QZI_PART_GROUP_NORM)
        x = qz_group_norm(graph, qzi_index(i++).text, x, 32, 1e-5f);
    if (act != QZ_ACT_NONE)
        x = qz_activate(graph, qzi_index(i).text, x, act);
    return qz_graph_leave(graph, x);
}

void qzi_part_output(qz_graph *graph, const char *name, int32_t level, qz_value value)
{
    char full[32];
    snprintf(full, sizeof(full), "%s.%d", name, (int)level);
    qz_graph_output(graph, full, value);
}

void qzi_part_ssd_heads(qz_graph *graph, qzi_part_head_fn build, const qz_value *maps,
                        int32_t levels, int32_t classes)
{
    qz_value logits[QZI_DETECTOR_LEVELS], boxes[QZI_DETECTOR_LEVELS];
    qz_graph_enter(graph, "head");
    build(graph, "classification_head", maps, classes, logits);
    build(graph, "regression_head", maps, 4, boxes);
    qz_graph_leave(graph, QZ_NO_VALUE);
    for (int32_t i = 0; i < levels; i++) {
        qzi_part_output(graph, "cls_logits", i, logits[i]);
        qzi_part_output(graph, "bbox_regression", i, boxes[i]);
    }
}
