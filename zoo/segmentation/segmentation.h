/* SPDX-License-Identifier: MIT */
/*
 * segmentation.h - what torchvision's segmenters share: a dilated backbone, heads, results in the
 * size of the input. Private.
 */
#ifndef QZOO_ZOO_SEGMENTATION_SEGMENTATION_H
#define QZOO_ZOO_SEGMENTATION_SEGMENTATION_H

#include "zoo/blocks.h"

/* A backbone and what is read of it. */
typedef struct qzi_segmenter {
    const qzi_arch *backbone;
    bool dilate[3];
    const char *high; /* the module that the classifier reads */
    const char *low;  /* that of the auxiliary head; of LR-ASPP, the larger map */
} qzi_segmenter;

/* ResNets keep an eighth of the input's size, MobileNetV3 a sixteenth. */
#define QZI_SEGMENTER_RESNET(backbone_)                                \
    {                                                                  \
        &qzi_arch_##backbone_, {false, true, true}, "layer4", "layer3" \
    }
#define QZI_SEGMENTER_MOBILENET_V3(backbone_)                  \
    {                                                          \
        &qzi_arch_##backbone_, {false, false, true}, "16", "4" \
    }

/* Values of a segmenter under construction. */
typedef struct qzi_segmenter_maps {
    qz_value image, high, low;
} qzi_segmenter_maps;

/* The input, and the backbone in the scope "backbone"; values are QZ_NO_VALUE after an error. */
qzi_segmenter_maps qzi_segmenter_backbone(qz_graph *graph, const qzi_segmenter *net);

/* torchvision's FCNHead in the scope `name`. */
qz_value qzi_segmenter_fcn_head(qz_graph *graph, const char *name, qz_value x, int32_t classes);

/* Output `name`: the scores x in the size of the image. */
void qzi_segmenter_output(qz_graph *graph, const char *name, qz_value x, qz_value image);

/* The auxiliary head of FCN and DeepLabV3, and its output "aux", where the options have it. */
void qzi_segmenter_aux(qz_graph *graph, const qzi_segmenter_maps *maps,
                       const qzi_build_options *options);

/* Gains of the seeded random fill, by the backbone. */
extern const qz_fill_rule qzi_segmenter_rules_resnet50[], qzi_segmenter_rules_resnet101[],
    qzi_segmenter_rules_mobilenet_v3[];

/* 21 classes; torchvision's SemanticSegmentation preset, which does not crop. */
#define QZI_SEGMENTER_FIELDS(id, build_, config_, rules)                                \
    .info = {.name = #id,                                                               \
             .task = "segmentation",                                                    \
             .classes = 21,                                                             \
             .input_h = 520,                                                            \
             .input_w = 520,                                                            \
             .preprocess = QZI_PREPROCESS_IMAGENET(520, 0, QZ_INTERPOLATION_BILINEAR)}, \
    .fill_rules = (rules), .config = (config_), .build = (build_), .fuse = qzi_fuse

#endif
