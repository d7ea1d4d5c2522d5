/* SPDX-License-Identifier: MIT */
/*
 * squeezenet.c - SqueezeNet 1.0 and 1.1, as torchvision builds them.
 *
 *   Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, 2016
 *
 * torchvision has no quantizable variant; the concatenation of a fire module is named cat.
 */
#include "zoo/blocks.h"

/* A fire module: `squeeze` 1x1 filters, then `expand` 1x1 and as many 3x3. POOL: a max pool. */
struct fire {
    int32_t squeeze, expand;
};
#define POOL \
    {        \
        0, 0 \
    }

struct squeezenet {
    int32_t channels, kernel; /* of the first convolution */
    struct fire features[11]; /* from features.2 on: features.0 is the convolution, 1 its ReLU */
};

static qz_value fire(qz_graph *g, qz_value x, const struct fire *f)
{
    qz_value branch[2];
    x = qz_conv2d(g, "squeeze", x,
                  &(qz_conv2d_options){.out_channels = f->squeeze, .kernel_h = 1, .bias = true});
    x = qz_activate(g, "squeeze_activation", x, QZ_ACT_RELU);
    branch[0] =
        qz_conv2d(g, "expand1x1", x,
                  &(qz_conv2d_options){.out_channels = f->expand, .kernel_h = 1, .bias = true});
    branch[0] = qz_activate(g, "expand1x1_activation", branch[0], QZ_ACT_RELU);
    branch[1] =
        qz_conv2d(g, "expand3x3", x,
                  &(qz_conv2d_options){
                      .out_channels = f->expand, .kernel_h = 3, .padding_h = 1, .bias = true});
    branch[1] = qz_activate(g, "expand3x3_activation", branch[1], QZ_ACT_RELU);
    return qz_concat(g, "cat", branch, 2);
}

static void build_squeezenet(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const struct squeezenet *net = config;
    qz_value x = qzi_block_image_input(g);
    qz_graph_enter(g, "features");
    x = qz_conv2d(
        g, "0", x,
        &(qz_conv2d_options){
            .out_channels = net->channels, .kernel_h = net->kernel, .stride_h = 2, .bias = true});
    x = qz_activate(g, "1", x, QZ_ACT_RELU);
    for (int32_t i = 0; i < (int32_t)QZI_ARRAY_LEN(net->features); i++) {
        const struct fire *f = &net->features[i];
        if (f->squeeze == 0) {
            x = qz_max_pool2d(
                g, qzi_index(i + 2).text, x,
                &(qz_pool2d_options){.kernel_h = 3, .stride_h = 2, .ceil_mode = true});
            continue;
        }
        qz_graph_enter(g, "%d", (int)i + 2);
        x = fire(g, x, f);
        x = qz_graph_leave(g, x);
    }
    x = qz_graph_leave(g, x);
    qz_graph_enter(g, "classifier");
    x = qz_dropout(g, "0", x, 0.5f);
    x = qz_conv2d(
        g, "1", x,
        &(qz_conv2d_options){.out_channels = options->num_classes, .kernel_h = 1, .bias = true});
    x = qz_activate(g, "2", x, QZ_ACT_RELU);
    x = qz_adaptive_avg_pool2d(g, "3", x, 1, 1);
    x = qz_graph_leave(g, x);
    x = qz_flatten(g, "flatten", x);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule squeezenet_rules[] = {{"", 1.5}, {NULL, 0.0}};

static const struct squeezenet squeezenet1_0_config = {
    .channels = 96,
    .kernel = 7,
    .features = {POOL,
                 {16, 64},
                 {16, 64},
                 {32, 128},
                 POOL,
                 {32, 128},
                 {48, 192},
                 {48, 192},
                 {64, 256},
                 POOL,
                 {64, 256}},
};
QZI_CLASSIFIER(squeezenet1_0, build_squeezenet, &squeezenet1_0_config, squeezenet_rules);

static const struct squeezenet squeezenet1_1_config = {
    .channels = 64,
    .kernel = 3,
    .features = {POOL,
                 {16, 64},
                 {16, 64},
                 POOL,
                 {32, 128},
                 {32, 128},
                 POOL,
                 {48, 192},
                 {48, 192},
                 {64, 256},
                 {64, 256}},
};
QZI_CLASSIFIER(squeezenet1_1, build_squeezenet, &squeezenet1_1_config, squeezenet_rules);
