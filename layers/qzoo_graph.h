/* SPDX-License-Identifier: MIT */
/*
 * qzoo_graph.h - building a network as a graph of named layers.
 *
 * Builder calls return a value; an architecture reads like the paper's table. The first error
 * poisons the graph: later calls return QZ_NO_VALUE and do nothing, and qz_graph_finish reports
 * that first error. Names are torchvision's dotted module names: a layer's name is its scope's
 * name, a dot and its own, and its parameters are <name>.weight, <name>.bias, …
 *
 * The graph holds channels but no image sizes: those come with each input.
 */
#ifndef QZOO_GRAPH_H
#define QZOO_GRAPH_H

#include "qzoo_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A network under construction or done. Belongs to one thread at a time while it is built. */
typedef struct qz_graph qz_graph;
typedef int32_t qz_value; /* the value that a node computes */
#define QZ_NO_VALUE (-1)

/* An empty graph, which the caller destroys. QZ_ERR_ARGUMENT, QZ_ERR_MEMORY. */
QZ_API qz_status qz_graph_create(qz_context *context, qz_graph **graph);
/* With its parameters. NULL is fine. */
QZ_API void qz_graph_destroy(qz_graph *graph);

/* Opens and closes a scope, one of torch's modules. The closing call may name the scope's result
 * (otherwise QZ_NO_VALUE); the result is then found under the scope's name, as the output of
 * torch's module is. Returns `result`. */
QZ_API void qz_graph_enter(qz_graph *graph, const char *fmt, ...) QZ_PRINTF(2, 3);
/* Closes the scope that was opened last; see qz_graph_enter. */
QZ_API qz_value qz_graph_leave(qz_graph *graph, qz_value result);

/*
 * The layers that follow are call number `call` of torch's modules: 0, and again 0 after the last,
 * is the first. A module that is called several times (a detector's head, once for each map) is
 * built by the same calls for each. Layers and scopes of a further call have "@call" behind their
 * names, and share the parameters of the first call, which must have the same shapes.
 */
QZ_API void qz_graph_set_call(qz_graph *graph, int32_t call);

/* An NCHW float32 input with `channels` channels, of any height and width. */
QZ_API qz_value qz_graph_input(qz_graph *graph, const char *name, int32_t channels);
/* The same of one height and width, so that it can be flattened. */
QZ_API qz_value qz_graph_input_sized(qz_graph *graph, const char *name, int32_t channels,
                                     int32_t height, int32_t width);

/* NONE, RELU and RELU6 may be fused into other layers; the others stand alone. */
typedef enum qz_activation {
    QZ_ACT_NONE = 0,
    QZ_ACT_RELU,
    QZ_ACT_RELU6,
    QZ_ACT_HARDSWISH,
    QZ_ACT_HARDSIGMOID,
    QZ_ACT_SIGMOID,
    QZ_ACT_SILU,
    QZ_ACT_GELU,       /* the exact one, by erf */
    QZ_ACT_LEAKY_RELU, /* slope 0.1 below zero, as in YOLO */
    QZ_ACT_MISH,
    QZ_ACT_COUNT
} qz_activation;

/* Zero fields mean: kernel_w = kernel_h, stride 1, dilation 1, groups 1, padding 0, no bias;
 * *_w = *_h where *_w is 0 and the field has a _w (use QZ_PAD_NONE for a real 0 beside padding). */
typedef struct qz_conv2d_options {
    int32_t out_channels;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t padding_h, padding_w;
    int32_t dilation_h, dilation_w;
    int32_t groups;
    bool bias;
} qz_conv2d_options;
#define QZ_PAD_NONE (-1)
/*
 * nn.Conv2d: N x C x H x W to N x out_channels x H' x W', H' = (H + 2 padding - dilation
 * (kernel - 1) - 1) / stride + 1. Parameters <name>.weight (out x C / groups x kernel_h x
 * kernel_w) and, with bias, <name>.bias (out).
 */
QZ_API qz_value qz_conv2d(qz_graph *graph, const char *name, qz_value x,
                          const qz_conv2d_options *options);

/* Zero fields mean the same as in qz_conv2d_options; no output padding. */
typedef struct qz_conv_transpose2d_options {
    int32_t out_channels;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t padding_h, padding_w;
    int32_t output_padding_h, output_padding_w; /* below the stride */
    int32_t groups;
    bool bias;
} qz_conv_transpose2d_options;
/*
 * nn.ConvTranspose2d: N x C x H x W to N x out_channels x H' x W', H' = (H - 1) stride - 2 padding
 * + kernel + output_padding. Parameters <name>.weight (C x out_channels / groups x kernel_h x
 * kernel_w) and, with bias, <name>.bias (out_channels).
 */
QZ_API qz_value qz_conv_transpose2d(qz_graph *graph, const char *name, qz_value x,
                                    const qz_conv_transpose2d_options *options);

/* nn.BatchNorm2d in eval mode: (x - running_mean) / sqrt(running_var + eps) * weight + bias. */
QZ_API qz_value qz_batch_norm2d(qz_graph *graph, const char *name, qz_value x, float eps);
/* FrozenBatchNorm2d of detectors: no num_batches_tracked, no trainable parameters. */
QZ_API qz_value qz_frozen_batch_norm2d(qz_graph *graph, const char *name, qz_value x, float eps);
/* Over the channels of each pixel: torchvision's LayerNorm2d; nn.LayerNorm(C), channels last. */
QZ_API qz_value qz_layer_norm(qz_graph *graph, const char *name, qz_value x, float eps);
/* nn.GroupNorm: normalises the pixels and channels of each of `groups` groups of channels of each
 * image. */
QZ_API qz_value qz_group_norm(qz_graph *graph, const char *name, qz_value x, int32_t groups,
                              float eps);
/* Divides each pixel by the L2 norm of its channels (at least 1e-12), then multiplies by the
 * parameter <scope>.<param_key> of shape C (SSD's scale_weight). */
QZ_API qz_value qz_l2_norm(qz_graph *graph, const char *param_key, const char *name, qz_value x);
/* Multiplies by the parameter <scope>.<param_key> of shape C x 1 x 1 (convnext's layer_scale). */
QZ_API qz_value qz_layer_scale(qz_graph *graph, const char *param_key, const char *name,
                               qz_value x);
/* x * scale[c] + shift[c] with constants that are no parameters (transform_input); copied. */
QZ_API qz_value qz_channel_affine(qz_graph *graph, const char *name, qz_value x, const float *scale,
                                  const float *shift);
/* A stand-alone activation: any but NONE. */
QZ_API qz_value qz_activate(qz_graph *graph, const char *name, qz_value x, qz_activation act);

/* Zero fields mean: kernel_w = kernel_h, stride = kernel, no padding. */
typedef struct qz_pool2d_options {
    int32_t kernel_h, kernel_w; /* 0 for kernel_w: the same as kernel_h */
    int32_t stride_h, stride_w; /* 0: the kernel */
    int32_t padding_h, padding_w;
    bool ceil_mode;
    bool count_exclude_pad; /* average pool: torch's count_include_pad = False */
} qz_pool2d_options;
/* nn.MaxPool2d. Padding, at most half the kernel, never wins. */
QZ_API qz_value qz_max_pool2d(qz_graph *graph, const char *name, qz_value x,
                              const qz_pool2d_options *options);
/* nn.AvgPool2d. Padding counts as zeros, unless count_exclude_pad. */
QZ_API qz_value qz_avg_pool2d(qz_graph *graph, const char *name, qz_value x,
                              const qz_pool2d_options *options);
/* nn.AdaptiveAvgPool2d: any size to out_h x out_w. */
QZ_API qz_value qz_adaptive_avg_pool2d(qz_graph *graph, const char *name, qz_value x, int32_t out_h,
                                       int32_t out_w);

/* torch.flatten(x, 1): features in torch's order (c, h, w). Height and width must be known. */
QZ_API qz_value qz_flatten(qz_graph *graph, const char *name, qz_value x);
/* Features, or an image whose every pixel is a row (nn.Linear, channels last). */
QZ_API qz_value qz_linear(qz_graph *graph, const char *name, qz_value x, int32_t out_features,
                          bool bias);
/* a + b, then `act` (FloatFunctional.add, add_relu). */
QZ_API qz_value qz_add(qz_graph *graph, const char *name, qz_value a, qz_value b,
                       qz_activation act);
/* a * b (FloatFunctional.mul); one of them may be N x C x 1 x 1 (squeeze-excitation). */
QZ_API qz_value qz_mul(qz_graph *graph, const char *name, qz_value a, qz_value b);
/* Along channels. */
QZ_API qz_value qz_concat(qz_graph *graph, const char *name, const qz_value *values, size_t count);
/* Channels first … first + count - 1 (torch.chunk, split). */
QZ_API qz_value qz_slice_channels(qz_graph *graph, const char *name, qz_value x, int32_t first,
                                  int32_t count);
/*
 * Of every `period` channels the `count` that begin at number `first`: the parts of a head that
 * computes several values for each anchor in one convolution. The channels of x are a multiple of
 * the period.
 */
QZ_API qz_value qz_pick_channels(qz_graph *graph, const char *name, qz_value x, int32_t first,
                                 int32_t count, int32_t period);
/* Channel i of group g becomes channel i * groups + g. */
QZ_API qz_value qz_channel_shuffle(qz_graph *graph, const char *name, qz_value x, int32_t groups);

/* Ways of torch's F.interpolate. */
typedef enum qz_resize_mode { QZ_RESIZE_NEAREST, QZ_RESIZE_BILINEAR } qz_resize_mode;
/*
 * F.interpolate(x, size=like.shape[-2:], mode, align_corners=False): x in the height and width of
 * `like`, a value of any number of channels. Only the size of `like` is used: its data need not be
 * computed.
 */
QZ_API qz_value qz_resize2d(qz_graph *graph, const char *name, qz_value x, qz_value like,
                            qz_resize_mode mode);

/* nn.Dropout, an identity in eval mode. The node keeps the name, and a place for training. */
QZ_API qz_value qz_dropout(qz_graph *graph, const char *name, qz_value x, float p);
/* As qz_dropout: torchvision.ops.StochasticDepth in eval mode. */
QZ_API qz_value qz_stochastic_depth(qz_graph *graph, const char *name, qz_value x, float p);

/* Adds an output, in order. --dump-outputs writes it as NAME.npy. */
QZ_API void qz_graph_output(qz_graph *graph, const char *name, qz_value value);

/* Checks the whole graph. Reports the first builder error, or what verification finds. */
QZ_API qz_status qz_graph_finish(qz_graph *graph);

/* ---- looking at a graph ---- */

/* One entry of a state dict. Pointers belong to the graph. */
typedef struct qz_param_info {
    const char *key;         /* torchvision's: "layer1.0.conv1.weight" */
    const qz_tensor *tensor; /* data NULL before weights are loaded, and after finalize */
    bool trainable;          /* parameters; buffers (running_mean, …) are not */
} qz_param_info;
/* torch's state_dict, in its order. */
QZ_API size_t qz_graph_param_count(const qz_graph *graph);
/* `index` below qz_graph_param_count. */
QZ_API void qz_graph_param_at(const qz_graph *graph, size_t index, qz_param_info *info);

/* Facts about a node. Texts belong to the graph and are never NULL. */
typedef struct qz_node_info {
    const char *name;
    const char *op;              /* "conv2d", "add", "hardswish", … */
    const char *activation;      /* fused: "relu", "relu6"; else "" */
    const char *fused;           /* names fused into it, joined by '+': "bn1+relu"; else "" */
    bool is_int8;                /* computes in int8 */
    const char *fallback_reason; /* why it stays in fp32 in an int8 graph; else "" */
    uint64_t macs;               /* at the size last asked for; 0 when it has none */
    int64_t out_shape[4];        /* NCHW at that size */
    float out_scale;             /* int8: parameters of the output */
    int32_t out_zero_point;
    /* int8: each channel of the output has parameters of its own; out_scale is the largest */
    bool by_channel;
} qz_node_info;
/* Nodes, in the order in which they are computed. */
QZ_API size_t qz_graph_node_count(const qz_graph *graph);
/* `index` below qz_graph_node_count. */
QZ_API void qz_graph_node_at(const qz_graph *graph, size_t index, qz_node_info *info);

/* A listing for people, one node a line, through `write` (a chunk of text each call). */
QZ_API void qz_graph_print(const qz_graph *graph, void (*write)(void *user, const char *text),
                           void *user);

/* Index of a node by its dotted name, or of the node whose value is the output of a scope
 * ("layer1.0"); -1 when there is none. */
QZ_API int64_t qz_graph_find_node(const qz_graph *graph, const char *name);

#ifdef __cplusplus
}
#endif
#endif
