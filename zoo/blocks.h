/* SPDX-License-Identifier: MIT */
/*
 * blocks.h - what the architecture files share: torchvision's usual small modules, the way a model
 * is declared, channel rounding. Private.
 */
#ifndef QZOO_ZOO_BLOCKS_H
#define QZOO_ZOO_BLOCKS_H

#include "zoo/arch.h"

/* How the convolutions of a network are normalized. */
typedef struct qzi_norm {
    float eps;
    bool frozen; /* FrozenBatchNorm2d, as detectors have it */
} qzi_norm;

/* torch's default of nn.BatchNorm2d. */
#define QZI_BN ((qzi_norm){.eps = 1e-5f})
/* That of the networks which came from TensorFlow. */
#define QZI_BN_EPS_001 ((qzi_norm){.eps = 1e-3f})

/* The family's norm as the owner of a backbone wants it. */
qzi_norm qzi_backbone_norm(qzi_norm own, const qzi_backbone_options *options);
/* Whether module `index` is one of those that are built. */
bool qzi_backbone_has(const qzi_backbone_options *options, int32_t index);

/* torchvision's conv1x1 and conv3x3: no bias, and padding that keeps the size at stride 1. */
#define QZI_CONV1X1(out, stride) \
    (&(qz_conv2d_options){.out_channels = (out), .kernel_h = 1, .stride_h = (stride)})
#define QZI_CONV3X3(out, stride, groups_)        \
    (&(qz_conv2d_options){.out_channels = (out), \
                          .kernel_h = 3,         \
                          .stride_h = (stride),  \
                          .padding_h = 1,        \
                          .groups = (groups_)})

qz_value qzi_block_norm(qz_graph *graph, qzi_norm norm, const char *name, qz_value x);

/* Convolution without bias, then batch norm; both under their own names in the current scope. */
qz_value qzi_block_conv_bn(qz_graph *graph, qzi_norm norm, const char *conv, const char *bn,
                           qz_value x, const qz_conv2d_options *options);

/*
 * torchvision.ops.Conv2dNormActivation: scope `name` with convolution "0", batch norm "1" and the
 * activation "2". Padding 0 means the one that keeps the size at stride 1.
 */
qz_value qzi_block_conv_bn_act(qz_graph *graph, qzi_norm norm, const char *name, qz_value x,
                               const qz_conv2d_options *options, qz_activation act);

/* BasicConv2d of googlenet and inception_v3: scope `name` with "conv", "bn" and "relu". */
qz_value qzi_block_basic_conv(qz_graph *graph, const char *name, qz_value x,
                              const qz_conv2d_options *options);

/*
 * torchvision.ops.SqueezeExcitation in the scope `name`: pool, fc1 to `squeeze` channels and
 * `activation`, fc2 back to `channels` and `scale_activation`, and the product of that with x.
 */
qz_value qzi_block_squeeze_excitation(qz_graph *graph, const char *name, qz_value x,
                                      int32_t channels, int32_t squeeze, qz_activation activation,
                                      qz_activation scale_activation);

/* The network's own input: 3 channels (RGB) of any size. */
qz_value qzi_block_image_input(qz_graph *graph);

/*
 * googlenet's and inception_v3's transform_input: from ImageNet's mean and std to 0.5 and 0.5, with
 * which their published weights were trained.
 */
qz_value qzi_block_transform_input(qz_graph *graph, qz_value x);

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
 * What every ImageNet classifier has: 1000 classes, the size that it sees (its preprocessing's
 * crop), the family's builder, the model's row of the family's table, and its fill rules. An
 * architecture file adds to it where its family has more.
 */
#define QZI_CLASSIFIER_FIELDS(id, build_, config_, rules, resize_, crop_, interpolation_) \
    .info = {.name = #id,                                                                 \
             .task = "classification",                                                    \
             .classes = 1000,                                                             \
             .input_h = (crop_),                                                          \
             .input_w = (crop_),                                                          \
             .preprocess = QZI_PREPROCESS_IMAGENET(resize_, crop_, interpolation_)},      \
    .fill_rules = (rules), .config = (config_), .build = (build_), .fuse = qzi_fuse

/* Defines qzi_arch_<id> for a classifier of the usual recipe: 224x224 out of 256. */
#define QZI_CLASSIFIER(id, build_, config_, rules) \
    const qzi_arch qzi_arch_##id = {               \
        QZI_CLASSIFIER_FIELDS(id, build_, config_, rules, 256, 224, QZ_INTERPOLATION_BILINEAR)}

#endif
