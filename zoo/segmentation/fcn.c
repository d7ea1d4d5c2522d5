/* SPDX-License-Identifier: MIT */
/*
 * fcn.c - fully convolutional networks on dilated ResNets, as torchvision builds them.
 *
 *   Long, Shelhamer, Darrell, Fully Convolutional Networks for Semantic Segmentation, 2015
 */
#include "zoo/segmentation/segmentation.h"

static void build_fcn(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const qzi_segmenter_maps maps = qzi_segmenter_backbone(g, config);
    const qz_value x = qzi_segmenter_fcn_head(g, "classifier", maps.high, options->num_classes);
    qzi_segmenter_output(g, "out", x, maps.image);
    qzi_segmenter_aux(g, &maps, options);
}

#define FCN(id, backbone)                                                                  \
    static const qzi_segmenter id##_config = QZI_SEGMENTER_RESNET(backbone);               \
    const qzi_arch qzi_arch_##id = {                                                       \
        QZI_SEGMENTER_FIELDS(id, build_fcn, &id##_config, qzi_segmenter_rules_##backbone), \
        .has_aux_logits = true}

FCN(fcn_resnet50, resnet50);
FCN(fcn_resnet101, resnet101);
