/* SPDX-License-Identifier: MIT */
/*
 * vgg.c - VGG with and without batch norm, as torchvision builds them.
 *
 *   Simonyan and Zisserman,
 *   Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014
 *
 * torchvision has no quantizable variant.
 */
#include "zoo/blocks.h"

struct vgg {
    bool batch_norm;
    int32_t convolutions[5]; /* 3x3, in each stage; a stage ends with a max pool */
};

static const int32_t stage_channels[5] = {64, 128, 256, 512, 512};

/* Modules that are numbered throughout. */
struct modules {
    qz_graph *g;
    const qzi_backbone_options *options;
    qz_value x;
    int32_t index; /* of the next */
    qzi_index_name name;
};

/* Whether the next module is built, and its name. */
static bool next(struct modules *m)
{
    const int32_t index = m->index++;
    m->name = qzi_index(index - m->options->first + m->options->base);
    return qzi_backbone_has(m->options, index);
}

/* torchvision's "features". */
static qz_value features(qz_graph *g, const void *config, qz_value x,
                         const qzi_backbone_options *options)
{
    const struct vgg *net = config;
    struct modules m = {.g = g, .options = options, .x = x};
    const qzi_norm norm = qzi_backbone_norm(QZI_BN, options);
    for (int32_t stage = 0; stage < 5; stage++) {
        for (int32_t conv = 0; conv < net->convolutions[stage]; conv++) {
            const qz_conv2d_options conv3x3 = {
                .out_channels = stage_channels[stage], .kernel_h = 3, .padding_h = 1, .bias = true};
            if (next(&m))
                m.x = qz_conv2d(g, m.name.text, m.x, &conv3x3);
            if (net->batch_norm && next(&m))
                m.x = qzi_block_norm(g, norm, m.name.text, m.x);
            if (next(&m))
                m.x = qz_activate(g, m.name.text, m.x, QZ_ACT_RELU);
        }
        const qz_pool2d_options pool = {.kernel_h = 2,
                                        .ceil_mode = options->ceil_pool && stage == 2};
        if (next(&m))
            m.x = qz_max_pool2d(g, m.name.text, m.x, &pool);
    }
    return m.x;
}

static void build_vgg(qz_graph *g, const void *config, const qzi_build_options *options)
{
    qz_value x = qzi_block_image_input(g);
    qz_graph_enter(g, "features");
    x = features(g, config, x, &(qzi_backbone_options){0});
    x = qz_graph_leave(g, x);
    x = qz_adaptive_avg_pool2d(g, "avgpool", x, 7, 7);
    x = qz_flatten(g, "flatten", x);
    qz_graph_enter(g, "classifier");
    x = qz_linear(g, "0", x, 4096, true);
    x = qz_activate(g, "1", x, QZ_ACT_RELU);
    x = qz_dropout(g, "2", x, 0.5f);
    x = qz_linear(g, "3", x, 4096, true);
    x = qz_activate(g, "4", x, QZ_ACT_RELU);
    x = qz_dropout(g, "5", x, 0.5f);
    x = qz_linear(g, "6", x, options->num_classes, true);
    x = qz_graph_leave(g, x);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule plain_rules[] = {{"", 1.4}, {NULL, 0.0}};
static const qz_fill_rule bn_rules[] = {{"", 1.27}, {NULL, 0.0}};

#define VGG(id, rules, ...)                                                                        \
    static const struct vgg id##_config = __VA_ARGS__;                                             \
    const qzi_arch qzi_arch_##id = {QZI_CLASSIFIER_FIELDS(id, build_vgg, &id##_config, rules, 256, \
                                                          224, QZ_INTERPOLATION_BILINEAR),         \
                                    .features = features}

/* clang-format off */
/* The paper's table 1, columns A, B, D and E. */
/*                         batch norm */
VGG(vgg11,    plain_rules, {false, {1, 1, 2, 2, 2}});
VGG(vgg13,    plain_rules, {false, {2, 2, 2, 2, 2}});
VGG(vgg16,    plain_rules, {false, {2, 2, 3, 3, 3}});
VGG(vgg19,    plain_rules, {false, {2, 2, 4, 4, 4}});
VGG(vgg11_bn, bn_rules,    {true,  {1, 1, 2, 2, 2}});
VGG(vgg13_bn, bn_rules,    {true,  {2, 2, 2, 2, 2}});
VGG(vgg16_bn, bn_rules,    {true,  {2, 2, 3, 3, 3}});
VGG(vgg19_bn, bn_rules,    {true,  {2, 2, 4, 4, 4}});
/* clang-format on */
