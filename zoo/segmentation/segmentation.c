/* SPDX-License-Identifier: MIT */
/* segmentation.c - the parts that several segmenters have. */
#include "zoo/segmentation/segmentation.h"

qzi_segmenter_maps qzi_segmenter_backbone(qz_graph *graph, const qzi_segmenter *net)
{
    const char *const layers[2] = {net->high, net->low};
    qzi_backbone_options options = {0};
    qz_value found[2] = {QZ_NO_VALUE, QZ_NO_VALUE};
    const qz_value image = qzi_block_image_input(graph);
    for (size_t i = 0; i < QZI_ARRAY_LEN(options.dilate); i++)
        options.dilate[i] = net->dilate[i];
    qz_graph_enter(graph, "backbone");
    (void)qzi_backbone_build(graph, net->backbone, image, &options, layers, 2, found);
    qz_graph_leave(graph, found[0]);
    return (qzi_segmenter_maps){image, found[0], found[1]};
}

qz_value qzi_segmenter_fcn_head(qz_graph *graph, const char *name, qz_value x, int32_t classes)
{
    const int32_t channels = x == QZ_NO_VALUE ? 4 : graph->nodes[x].c;
    qz_graph_enter(graph, "%s", name);
    x = qzi_block_conv_bn(graph, QZI_BN, "0", "1", x, QZI_CONV3X3(channels / 4, 1, 1));
    x = qz_activate(graph, "2", x, QZ_ACT_RELU);
    x = qz_dropout(graph, "3", x, 0.1f);
    x = qz_conv2d(graph, "4", x,
                  &(qz_conv2d_options){.out_channels = classes, .kernel_h = 1, .bias = true});
    return qz_graph_leave(graph, x);
}

void qzi_segmenter_output(qz_graph *graph, const char *name, qz_value x, qz_value image)
{
    qz_graph_output(graph, name, qz_resize2d(graph, name, x, image, QZ_RESIZE_BILINEAR));
}

void qzi_segmenter_aux(qz_graph *graph, const qzi_segmenter_maps *maps,
                       const qzi_build_options *options)
{
    if (options->no_aux_logits)
        return;
    const qz_value x =
        qzi_segmenter_fcn_head(graph, "aux_classifier", maps->low, options->num_classes);
    qzi_segmenter_output(graph, "aux", x, maps->image);
}

const qz_fill_rule qzi_segmenter_rules_resnet50[] = {
    {"conv3.weight", 0.4}, {"", 1.25}, {NULL, 0.0}};
const qz_fill_rule qzi_segmenter_rules_resnet101[] = {
    {"conv3.weight", 0.3}, {"", 1.25}, {NULL, 0.0}};
const qz_fill_rule qzi_segmenter_rules_mobilenet_v3[] = {
    {"fc2", 0.5}, {"backbone", 1.3}, {"", 1.25}, {NULL, 0.0}};
