/* SPDX-License-Identifier: MIT */
/*
 * blocks.h - what the architecture files share: torchvision's usual small modules, the way a model
 * is declared, channel rounding. Private.
 */
#ifndef QZOO_ZOO_BLOCKS_H
#define QZOO_ZOO_BLOCKS_H

#include "zoo/zoo.h"

/* torch's default of nn.BatchNorm2d, which all models here use. */
#define QZI_BN_EPS 1e-5f

/* Convolution without bias, then batch norm; both under their own names in the current scope. */
qz_value qzi_block_conv_bn(qz_graph *graph, const char *conv, const char *bn, qz_value x,
                           const qz_conv2d_options *options);

/*
 * torchvision.ops.Conv2dNormActivation: scope `name` with convolution "0", batch norm "1" and the
 * activation "2". A square kernel; the padding that keeps the size at stride 1.
 */
qz_value qzi_block_conv_bn_act(qz_graph *graph, const char *name, qz_value x, int32_t out_channels,
                               int32_t kernel, int32_t stride, int32_t groups, qz_activation act);

/* The network's own input: 3 channels (RGB) of any size. */
qz_value qzi_block_image_input(qz_graph *graph);

/* Global average pool to 1x1 under `name`, then "flatten". */
qz_value qzi_block_pool_flatten(qz_graph *graph, const char *name, qz_value x);

/*
 * torchvision's _make_divisible: `channels * width` rounded to the nearest multiple of `divisor`,
 * but never below nine tenths of it. The product is taken in double, as Python does.
 */
int32_t qzi_make_divisible(int32_t channels, double width, int32_t divisor);

/* Names of numbered modules ("0", "1", …) for calls that take a plain name. */
typedef struct qzi_index_name {
    char text[12];
} qzi_index_name;
qzi_index_name qzi_index(int32_t index);

/*
 * Defines qzi_arch_<id> for an ImageNet classifier with 1000 classes that sees 224x224 pixels:
 * the family's builder, the model's row of the family's table, and its fill rules.
 */
#define QZI_CLASSIFIER(id, build_, config_, rules)                                             \
    const qzi_arch qzi_arch_##id = {.info = {.name = #id,                                      \
                                             .task = "classification",                         \
                                             .classes = 1000,                                  \
                                             .input_h = 224,                                   \
                                             .input_w = 224,                                   \
                                             .preprocess = QZI_PREPROCESS_IMAGENET(256, 224)}, \
                                    .fill_rules = (rules),                                     \
                                    .config = (config_),                                       \
                                    .build = (build_),                                         \
                                    .fuse = qzi_fuse}

#endif
