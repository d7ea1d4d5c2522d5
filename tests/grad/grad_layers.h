/* SPDX-License-Identifier: MIT */
/* grad_layers.h - a graph for every op, small and odd, for tests of the backward. */
#ifndef QZOO_TESTS_GRAD_GRAD_LAYERS_H
#define QZOO_TESTS_GRAD_GRAD_LAYERS_H

#include "../unit/one_op.h"
#include "layers/graph/backward.h"

/* One layer in a graph of its own, and how it is moved. */
typedef struct layer {
    const char *name;
    qz_value (*build)(qz_graph *g, qz_value x);
    int32_t n, c, h, w;
    double step;      /* of a difference */
    double tolerance; /* of the derivative, relative to the gradient's length */
    qzi_train_mode mode;
    bool spaced; /* inputs are far from each other, and from corners of functions */
    int act;     /* of ACTIVATION layers */
} layer;

static int current_act;

static qz_value conv_of(qz_graph *g, qz_value x, qz_conv2d_options o)
{
    return qz_conv2d(g, "layer", x, &o);
}

static qz_value conv3(qz_graph *g, qz_value x)
{
    return conv_of(
        g, x,
        (qz_conv2d_options){
            .out_channels = 7, .kernel_h = 3, .padding_h = 1, .padding_w = 1, .bias = true});
}

/* Winograd's algorithm, forward and backward. */
static qz_value conv_wide(qz_graph *g, qz_value x)
{
    return conv_of(
        g, x,
        (qz_conv2d_options){.out_channels = 64, .kernel_h = 3, .padding_h = 1, .padding_w = 1});
}

static qz_value conv_strided(qz_graph *g, qz_value x)
{
    return conv_of(g, x,
                   (qz_conv2d_options){.out_channels = 20,
                                       .kernel_h = 3,
                                       .kernel_w = 2,
                                       .stride_h = 2,
                                       .stride_w = 3,
                                       .padding_h = 1});
}

static qz_value conv_pointwise_strided(qz_graph *g, qz_value x)
{
    return conv_of(
        g, x, (qz_conv2d_options){.out_channels = 9, .kernel_h = 1, .stride_h = 2, .stride_w = 2});
}

/* Padding beyond the kernel: rows of the input's gradient begin inside dy. */
static qz_value conv_padded(qz_graph *g, qz_value x)
{
    return conv_of(
        g, x,
        (qz_conv2d_options){
            .out_channels = 3, .kernel_h = 2, .padding_h = 3, .padding_w = 2, .bias = true});
}

static qz_value conv_grouped(qz_graph *g, qz_value x)
{
    return conv_of(g, x,
                   (qz_conv2d_options){.out_channels = 9,
                                       .kernel_h = 3,
                                       .stride_h = 2,
                                       .stride_w = 1,
                                       .padding_h = 1,
                                       .groups = 3});
}

static qz_value conv_depthwise(qz_graph *g, qz_value x)
{
    return conv_of(g, x,
                   (qz_conv2d_options){.out_channels = 18,
                                       .kernel_h = 5,
                                       .stride_h = 2,
                                       .stride_w = 2,
                                       .padding_h = 2,
                                       .padding_w = 2,
                                       .groups = 18});
}

static qz_value conv_multiplied(qz_graph *g, qz_value x)
{
    return conv_of(g, x, (qz_conv2d_options){.out_channels = 12, .kernel_h = 3, .groups = 6});
}

static qz_value conv_dilated(qz_graph *g, qz_value x)
{
    return conv_of(g, x,
                   (qz_conv2d_options){.out_channels = 5,
                                       .kernel_h = 3,
                                       .stride_h = 2,
                                       .stride_w = 2,
                                       .padding_h = 2,
                                       .padding_w = 4,
                                       .dilation_h = 2,
                                       .dilation_w = 3});
}

static qz_value transposed(qz_graph *g, qz_value x)
{
    return qz_conv_transpose2d(g, "layer", x,
                               &(qz_conv_transpose2d_options){.out_channels = 6,
                                                              .kernel_h = 3,
                                                              .kernel_w = 2,
                                                              .stride_h = 2,
                                                              .stride_w = 2,
                                                              .padding_h = 1,
                                                              .output_padding_h = 1,
                                                              .groups = 2,
                                                              .bias = true});
}

static qz_value linear(qz_graph *g, qz_value x)
{
    x = qz_flatten(g, "flatten", qz_adaptive_avg_pool2d(g, "pool", x, 2, 3));
    return qz_linear(g, "layer", x, 11, true);
}

static qz_value linear_pixels(qz_graph *g, qz_value x)
{
    return qz_linear(g, "layer", x, 5, true);
}

static qz_value batch_norm(qz_graph *g, qz_value x)
{
    return qz_batch_norm2d(g, "layer", x, 1e-3f);
}

static qz_value frozen_norm(qz_graph *g, qz_value x)
{
    return qz_frozen_batch_norm2d(g, "layer", x, 1e-3f);
}

static qz_value layer_norm(qz_graph *g, qz_value x)
{
    return qz_layer_norm(g, "layer", x, 1e-3f);
}

static qz_value group_norm(qz_graph *g, qz_value x)
{
    return qz_group_norm(g, "layer", x, 3, 1e-3f);
}

static qz_value l2_norm(qz_graph *g, qz_value x)
{
    return qz_l2_norm(g, "scale_weight", "layer", x);
}

static qz_value layer_scale(qz_graph *g, qz_value x)
{
    return qz_layer_scale(g, "layer_scale", "layer", x);
}

static qz_value channel_affine(qz_graph *g, qz_value x)
{
    static const float scale[] = {0.5f, -2.0f, 3.0f}, shift[] = {1.0f, 2.0f, 3.0f};
    return qz_channel_affine(g, "layer", x, scale, shift);
}

static qz_value activation(qz_graph *g, qz_value x)
{
    return qz_activate(g, "layer", x, (qz_activation)current_act);
}

static qz_value max_pool(qz_graph *g, qz_value x)
{
    return qz_max_pool2d(g, "layer", x,
                         &(qz_pool2d_options){.kernel_h = 3,
                                              .stride_h = 2,
                                              .stride_w = 2,
                                              .padding_h = 1,
                                              .padding_w = 1,
                                              .ceil_mode = true});
}

static qz_value avg_pool(qz_graph *g, qz_value x)
{
    return qz_avg_pool2d(g, "layer", x,
                         &(qz_pool2d_options){.kernel_h = 3,
                                              .kernel_w = 2,
                                              .stride_h = 2,
                                              .stride_w = 1,
                                              .padding_h = 1,
                                              .count_exclude_pad = true});
}

static qz_value adaptive_pool(qz_graph *g, qz_value x)
{
    return qz_adaptive_avg_pool2d(g, "layer", x, 3, 4);
}

static qz_value flatten(qz_graph *g, qz_value x)
{
    return qz_flatten(g, "layer", qz_adaptive_avg_pool2d(g, "pool", x, 3, 2));
}

/* x goes three ways that meet again; ReLU is fused into the sum. */
static qz_value residual(qz_graph *g, qz_value x)
{
    qz_value a = qz_activate(g, "act", x, QZ_ACT_SIGMOID);
    a = qz_add(g, "layer", a, x, QZ_ACT_NONE);
    return qz_add(g, "again", qz_add(g, "sum", x, a, QZ_ACT_RELU), a, QZ_ACT_RELU6);
}

static qz_value twice(qz_graph *g, qz_value x)
{
    return qz_mul(g, "square", qz_add(g, "layer", x, x, QZ_ACT_NONE), x);
}

static qz_value squeeze(qz_graph *g, qz_value x)
{
    qz_value s = qz_adaptive_avg_pool2d(g, "pool", x, 1, 1);
    s = qz_conv2d(g, "fc", s, &(qz_conv2d_options){.out_channels = 70, .kernel_h = 1});
    return qz_mul(g, "layer", qz_activate(g, "act", s, QZ_ACT_SIGMOID), x);
}

static qz_value concat(qz_graph *g, qz_value x)
{
    const qz_value a = qz_activate(g, "act", x, QZ_ACT_SIGMOID);
    const qz_value parts[] = {a, x, a};
    const qz_value joined = qz_concat(g, "layer", parts, 3);
    const qz_value again[] = {joined, x};
    return qz_concat(g, "again", again, 2);
}

static qz_value slices(qz_graph *g, qz_value x)
{
    const qz_value a = qz_slice_channels(g, "first", x, 0, 4);
    const qz_value b = qz_slice_channels(g, "layer", x, 4, 4);
    const qz_value p = qz_pick_channels(g, "pick", x, 1, 2, 4);
    qz_value y = qz_mul(g, "mul", qz_activate(g, "act", a, QZ_ACT_SIGMOID), b);
    y = qz_add(g, "sum", y, p, QZ_ACT_NONE);
    return qz_conv2d(g, "conv", y, &(qz_conv2d_options){.out_channels = 4, .kernel_h = 2});
}

static qz_value shuffle(qz_graph *g, qz_value x)
{
    return qz_channel_shuffle(g, "layer", x, 3);
}

static qz_value resized(qz_graph *g, qz_value x)
{
    const qz_value like = qz_conv2d(
        g, "like", x,
        &(qz_conv2d_options){.out_channels = 1, .kernel_h = 1, .padding_h = 3, .padding_w = 1});
    return qz_resize2d(g, "layer", x, like, (qz_resize_mode)current_act);
}

static qz_value resized_smaller(qz_graph *g, qz_value x)
{
    const qz_value like =
        qz_conv2d(g, "like", x, &(qz_conv2d_options){.out_channels = 1, .kernel_h = 3});
    return qz_resize2d(g, "layer", x, like, (qz_resize_mode)current_act);
}

static qz_value dropout(qz_graph *g, qz_value x)
{
    return qz_dropout(g, "layer", x, 0.3f);
}

static qz_value stochastic_depth(qz_graph *g, qz_value x)
{
    return qz_stochastic_depth(g, "layer", x, 0.4f);
}

/* Layers in a row, as networks have them: what is kept, overwritten and added up. */
static qz_value block(qz_graph *g, qz_value x)
{
    qz_value y = qz_conv2d(g, "conv1", x, &(qz_conv2d_options){.out_channels = 12, .kernel_h = 1});
    y = qz_activate(g, "act1", qz_batch_norm2d(g, "bn1", y, 1e-3f), QZ_ACT_SILU);
    y = qz_conv2d(
        g, "conv2", y,
        &(qz_conv2d_options){
            .out_channels = 12, .kernel_h = 3, .padding_h = 1, .padding_w = 1, .groups = 12});
    y = qz_activate(g, "act2", qz_batch_norm2d(g, "bn2", y, 1e-3f), QZ_ACT_SIGMOID);
    y = qz_conv2d(g, "conv3", y, &(qz_conv2d_options){.out_channels = 5, .kernel_h = 1});
    y = qz_dropout(g, "drop", qz_batch_norm2d(g, "bn3", y, 1e-3f), 0.1f);
    y = qz_add(g, "sum", y, x, QZ_ACT_NONE);
    y = qz_flatten(g, "flatten", qz_adaptive_avg_pool2d(g, "pool", y, 1, 1));
    return qz_linear(g, "fc", y, 4, true);
}

#define BATCH                                                        \
    {                                                                \
        .batch_stats = true, .update_stats = false, .momentum = 0.1f \
    }
#define DROP                                  \
    {                                         \
        .dropout = true, .seed = 5, .step = 3 \
    }
/* linear in what is moved, or smooth */
#define LINEAR .step = 0.25, .tolerance = 2e-6
#define SMOOTH .step = 0.01, .tolerance = 2e-4

static const layer layers[] = {
    {"conv 3x3", conv3, 2, 5, 9, 7, LINEAR},
    {"conv wide", conv_wide, 1, 64, 13, 14, .step = 0.25, .tolerance = 1e-5},
    {"conv strided", conv_strided, 2, 5, 11, 8, LINEAR},
    {"conv 1x1 strided", conv_pointwise_strided, 2, 35, 6, 5, LINEAR},
    {"conv padded", conv_padded, 2, 4, 3, 5, LINEAR},
    {"conv grouped", conv_grouped, 2, 6, 8, 7, LINEAR},
    {"conv depthwise", conv_depthwise, 2, 18, 9, 8, LINEAR},
    {"conv depthwise multiplied", conv_multiplied, 1, 6, 6, 5, LINEAR},
    {"conv dilated", conv_dilated, 2, 3, 11, 13, LINEAR},
    {"conv large", conv3, 3, 40, 21, 19, LINEAR},
    {"conv transposed", transposed, 2, 4, 5, 6, LINEAR},
    {"linear", linear, 3, 6, 7, 8, LINEAR},
    {"linear of pixels", linear_pixels, 2, 19, 3, 4, LINEAR},
    {"batch norm", batch_norm, 3, 20, 5, 4, SMOOTH, .mode = BATCH},
    {"batch norm, many pixels", batch_norm, 2, 5, 23, 31, SMOOTH, .mode = BATCH},
    {"batch norm, running statistics", batch_norm, 3, 5, 5, 4, LINEAR},
    {"frozen batch norm", frozen_norm, 3, 5, 5, 4, LINEAR, .mode = BATCH},
    {"layer norm", layer_norm, 2, 21, 9, 8, SMOOTH},
    {"group norm", group_norm, 2, 12, 5, 6, SMOOTH},
    {"l2 norm", l2_norm, 2, 12, 9, 8, SMOOTH},
    {"layer scale", layer_scale, 2, 12, 5, 6, LINEAR},
    {"channel affine", channel_affine, 2, 3, 5, 6, LINEAR},
    {"relu", activation, 2, 7, 5, 6, SMOOTH, .spaced = true, .act = QZ_ACT_RELU},
    {"relu6", activation, 2, 7, 5, 6, SMOOTH, .spaced = true, .act = QZ_ACT_RELU6},
    {"hardswish", activation, 2, 7, 5, 6, SMOOTH, .spaced = true, .act = QZ_ACT_HARDSWISH},
    {"hardsigmoid", activation, 2, 7, 5, 6, SMOOTH, .spaced = true, .act = QZ_ACT_HARDSIGMOID},
    {"sigmoid", activation, 2, 7, 5, 6, SMOOTH, .act = QZ_ACT_SIGMOID},
    {"silu", activation, 2, 70, 5, 6, SMOOTH, .act = QZ_ACT_SILU},
    {"gelu", activation, 2, 7, 5, 6, SMOOTH, .act = QZ_ACT_GELU},
    {"leaky relu", activation, 2, 7, 5, 6, SMOOTH, .spaced = true, .act = QZ_ACT_LEAKY_RELU},
    {"mish", activation, 2, 7, 5, 6, SMOOTH, .act = QZ_ACT_MISH},
    {"max pool", max_pool, 2, 70, 8, 7, SMOOTH, .spaced = true},
    {"average pool", avg_pool, 2, 5, 8, 7, LINEAR},
    {"adaptive average pool", adaptive_pool, 2, 5, 8, 7, LINEAR},
    {"flatten", flatten, 2, 5, 8, 7, LINEAR},
    {"residual", residual, 2, 5, 8, 7, .step = 0.004, .tolerance = 2e-4, .spaced = true},
    {"twice", twice, 2, 5, 8, 7, SMOOTH},
    {"squeeze", squeeze, 2, 70, 8, 7, SMOOTH},
    {"concat", concat, 2, 5, 8, 7, SMOOTH},
    {"slices", slices, 2, 8, 8, 7, SMOOTH},
    {"shuffle", shuffle, 2, 12, 8, 7, LINEAR},
    {"resize nearest", resized, 2, 5, 4, 7, LINEAR, .act = QZ_RESIZE_NEAREST},
    {"resize bilinear", resized, 2, 5, 4, 7, LINEAR, .act = QZ_RESIZE_BILINEAR},
    {"resize smaller", resized_smaller, 2, 5, 9, 7, LINEAR, .act = QZ_RESIZE_BILINEAR},
    {"resize one pixel", resized, 2, 5, 1, 1, LINEAR, .act = QZ_RESIZE_BILINEAR},
    {"dropout", dropout, 2, 5, 4, 7, LINEAR, .mode = DROP},
    {"dropout off", dropout, 2, 5, 4, 7, LINEAR},
    {"stochastic depth", stochastic_depth, 6, 5, 4, 7, LINEAR, .mode = DROP},
    {"block", block, 3, 5, 6, 7, .step = 0.01, .tolerance = 1e-3,
     .mode = {.batch_stats = true, .dropout = true, .seed = 2}},
};

static qz_graph *make(const layer *l)
{
    qz_graph *g;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    current_act = l->act;
    qz_graph_output(g, "output", l->build(g, qz_graph_input(g, "input", l->c)));
    ASSERT_OK(ctx, qz_graph_finish(g));
    for (size_t i = 0; i < g->param_count; i++) {
        qz_tensor *t = &g->params[i].tensor;
        const int64_t n = qz_tensor_numel(t);
        if (t->dtype != QZ_F32) {
            t->data = qzi_calloc(ctx, 1, sizeof(int64_t));
            continue;
        }
        float *data = t->data = qzi_alloc(ctx, (size_t)n * sizeof(*data));
        const bool positive = strstr(g->params[i].key, "running_var") != NULL;
        for (int64_t k = 0; k < n; k++)
            data[k] = positive ? 1.25f + draw_float() : draw_float();
    }
    return g;
}

#endif
