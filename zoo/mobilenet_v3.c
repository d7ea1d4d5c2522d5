/* SPDX-License-Identifier: MIT */
/*
 * mobilenet_v3.c - MobileNetV3 large and small, as torchvision builds them.
 *
 *   Howard et al., Searching for MobileNetV3, 2019
 *
 * Module names are those of torchvision's quantizable variant: the residual addition is skip_add,
 * the product of a squeeze-excitation skip_mul.
 */
#include "zoo/blocks.h"

/* The paper's tables 1 and 2. RE: ReLU, HS: hard swish. */
enum { RE, HS };
struct bneck {
    int32_t kernel, expand, out;
    bool squeeze_excitation;
    int32_t function, stride;
};

struct mobilenet_v3 {
    int32_t last;            /* features before the classes */
    int32_t dilated_from;    /* from this block on a segmenter has dilation */
    struct bneck blocks[15]; /* ends at kernel 0 */
};

static qz_value inverted_residual(qz_graph *g, qzi_norm norm, qz_value x, int32_t in,
                                  const struct bneck *block, int32_t dilation)
{
    const qz_activation act = block->function == HS ? QZ_ACT_HARDSWISH : QZ_ACT_RELU;
    int32_t stride = dilation > 1 ? 1 : block->stride;
    int32_t i = 0;
    qz_value y = x;
    qz_graph_enter(g, "block");
    if (block->expand != in)
        y = qzi_block_conv_bn_act(g, norm, qzi_index(i++).text, y, QZI_CONV1X1(block->expand, 1),
                                  act);
    y = qzi_block_conv_bn_act(g, norm, qzi_index(i++).text, y,
                              &(qz_conv2d_options){.out_channels = block->expand,
                                                   .kernel_h = block->kernel,
                                                   .stride_h = stride,
                                                   .dilation_h = dilation,
                                                   .groups = block->expand},
                              act);
    if (block->squeeze_excitation)
        y = qzi_block_squeeze_excitation(g, qzi_index(i++).text, y, block->expand,
                                         qzi_make_divisible(block->expand / 4, 1.0, 8), QZ_ACT_RELU,
                                         QZ_ACT_HARDSIGMOID);
    y = qzi_block_conv_bn_act(g, norm, qzi_index(i).text, y, QZI_CONV1X1(block->out, 1),
                              QZ_ACT_NONE);
    y = qz_graph_leave(g, y);
    if (block->stride == 1 && in == block->out)
        y = qz_add(g, "skip_add", x, y, QZ_ACT_NONE);
    return y;
}

/* The reduced tail halves what the last three blocks compute, and what the last two expand. */
static struct bneck block_of(const struct mobilenet_v3 *net, int32_t index,
                             const qzi_backbone_options *options)
{
    struct bneck block = net->blocks[index];
    if (options->reduced_tail && index >= net->dilated_from) {
        block.out /= 2;
        if (index > net->dilated_from)
            block.expand /= 2;
    }
    return block;
}

/* torchvision's "features". */
static qz_value features(qz_graph *g, const void *config, qz_value x,
                         const qzi_backbone_options *options)
{
    const struct mobilenet_v3 *net = config;
    const qzi_norm norm = qzi_backbone_norm(QZI_BN_EPS_001, options);
    const int32_t shift = options->base - options->first; /* of the names */
    int32_t channels = 16, i = 0;
    if (qzi_backbone_has(options, 0))
        x = qzi_block_conv_bn_act(
            g, norm, qzi_index(shift).text, x,
            &(qz_conv2d_options){.out_channels = channels, .kernel_h = 3, .stride_h = 2},
            QZ_ACT_HARDSWISH);
    for (; i < (int32_t)QZI_ARRAY_LEN(net->blocks) && net->blocks[i].kernel > 0; i++) {
        const struct bneck block = block_of(net, i, options);
        const bool dilate = options->dilate[2] && i >= net->dilated_from;
        if (qzi_backbone_has(options, i + 1)) {
            qz_graph_enter(g, "%d", (int)(i + 1 + shift));
            x = inverted_residual(g, norm, x, channels, &block, dilate ? 2 : 1);
            x = qz_graph_leave(g, x);
        }
        channels = block.out;
    }
    if (qzi_backbone_has(options, i + 1))
        x = qzi_block_conv_bn_act(g, norm, qzi_index(i + 1 + shift).text, x,
                                  QZI_CONV1X1(6 * channels, 1), QZ_ACT_HARDSWISH);
    return x;
}

static void build_mobilenet_v3(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const struct mobilenet_v3 *net = config;
    qz_value x = qzi_block_image_input(g);
    qz_graph_enter(g, "features");
    x = features(g, config, x, &(qzi_backbone_options){0});
    x = qz_graph_leave(g, x);
    x = qzi_block_pool_flatten(g, "avgpool", x);
    qz_graph_enter(g, "classifier");
    x = qz_linear(g, "0", x, net->last, true);
    x = qz_activate(g, "1", x, QZ_ACT_HARDSWISH);
    x = qz_dropout(g, "2", x, 0.2f);
    x = qz_linear(g, "3", x, options->num_classes, true);
    x = qz_graph_leave(g, x);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule large_rules[] = {{"fc2", 0.5}, {"", 1.3}, {NULL, 0.0}};
static const qz_fill_rule small_rules[] = {{"fc2", 0.5}, {"", 1.42}, {NULL, 0.0}};

#define MOBILENET_V3(id, rules)                                                                 \
    const qzi_arch qzi_arch_##id = {QZI_CLASSIFIER_FIELDS(id, build_mobilenet_v3, &id##_config, \
                                                          rules, 256, 224,                      \
                                                          QZ_INTERPOLATION_BILINEAR),           \
                                    .features = features, .can_dilate = {false, false, true}}

/* clang-format off */
static const struct mobilenet_v3 mobilenet_v3_large_config = {
    .last = 1280,
    .dilated_from = 12,
    .blocks = {
        /* kernel expand out   squeeze  function stride */
        {3,  16,  16, false, RE, 1},
        {3,  64,  24, false, RE, 2},
        {3,  72,  24, false, RE, 1},
        {5,  72,  40, true,  RE, 2},
        {5, 120,  40, true,  RE, 1},
        {5, 120,  40, true,  RE, 1},
        {3, 240,  80, false, HS, 2},
        {3, 200,  80, false, HS, 1},
        {3, 184,  80, false, HS, 1},
        {3, 184,  80, false, HS, 1},
        {3, 480, 112, true,  HS, 1},
        {3, 672, 112, true,  HS, 1},
        {5, 672, 160, true,  HS, 2},
        {5, 960, 160, true,  HS, 1},
        {5, 960, 160, true,  HS, 1},
    },
};
static const struct mobilenet_v3 mobilenet_v3_small_config = {
    .last = 1024,
    .dilated_from = 8,
    .blocks = {
        {3,  16,  16, true,  RE, 2},
        {3,  72,  24, false, RE, 2},
        {3,  88,  24, false, RE, 1},
        {5,  96,  40, true,  HS, 2},
        {5, 240,  40, true,  HS, 1},
        {5, 240,  40, true,  HS, 1},
        {5, 120,  48, true,  HS, 1},
        {5, 144,  48, true,  HS, 1},
        {5, 288,  96, true,  HS, 2},
        {5, 576,  96, true,  HS, 1},
        {5, 576,  96, true,  HS, 1},
    },
};
/* clang-format on */
MOBILENET_V3(mobilenet_v3_large, large_rules);
MOBILENET_V3(mobilenet_v3_small, small_rules);
