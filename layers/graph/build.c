/* SPDX-License-Identifier: MIT */
/*
 * build.c - the builder calls of qzoo_graph.h that make layers. Each makes one node, the parameters
 * that torch's module would have, and what is known of the output without knowing the image's size.
 */
#include "layers/graph/build.h"

#include <string.h>

qz_value qz_graph_input(qz_graph *graph, const char *name, int32_t channels)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_INPUT, name, NULL, 0);
    if (!node)
        return QZ_NO_VALUE;
    node->c = channels;
    node->u.input.index = (int32_t)graph->input_count++;
    return qzi_build_value(graph);
}

qz_value qz_graph_input_sized(qz_graph *graph, const char *name, int32_t channels, int32_t height,
                              int32_t width)
{
    if (height < 1 || width < 1)
        qzi_build_fail(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "input %s: no size is %dx%d",
                                       name, (int)height, (int)width));
    const qz_value value = qz_graph_input(graph, name, channels);
    if (value != QZ_NO_VALUE) {
        graph->nodes[value].h = height;
        graph->nodes[value].w = width;
    }
    return value;
}

static int32_t default_to(int32_t value, int32_t other)
{
    return value ? value : other;
}

/* The _w field of a padding: 0 means the same as _h, QZ_PAD_NONE means 0. */
static int32_t pad_w(int32_t pad_h, int32_t w)
{
    return w == QZ_PAD_NONE ? 0 : default_to(w, pad_h == QZ_PAD_NONE ? 0 : pad_h);
}

/* Output size of a convolution where the input's is known (squeeze-excitation); else 0. */
static int32_t known_size(int32_t in, int32_t k, int32_t stride, int32_t pad, int32_t dil)
{
    int64_t room = (int64_t)in + 2 * (int64_t)pad - ((int64_t)dil * ((int64_t)k - 1) + 1);
    return in < 1 || room < 0 || stride < 1 ? 0 : (int32_t)(room / stride + 1);
}

qz_value qz_conv2d(qz_graph *graph, const char *name, qz_value x, const qz_conv2d_options *options)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_CONV2D, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    qzi_conv2d_attr *a = &node->u.conv;
    a->ic = node->c;
    a->oc = options->out_channels;
    a->kh = default_to(options->kernel_h, 1);
    a->kw = default_to(options->kernel_w, a->kh);
    a->stride_h = default_to(options->stride_h, 1);
    a->stride_w = default_to(options->stride_w, a->stride_h);
    a->pad_h = options->padding_h == QZ_PAD_NONE ? 0 : options->padding_h;
    a->pad_w = pad_w(options->padding_h, options->padding_w);
    a->dil_h = default_to(options->dilation_h, 1);
    a->dil_w = default_to(options->dilation_w, a->dil_h);
    a->groups = default_to(options->groups, 1);
    node->c = a->oc;
    node->h = known_size(node->h, a->kh, a->stride_h, a->pad_h, a->dil_h);
    node->w = known_size(node->w, a->kw, a->stride_w, a->pad_w, a->dil_w);
    const qz_status st = qzi_conv2d_check(graph->ctx, node->name, a);
    if (st != QZ_OK) {
        qzi_build_fail(graph, st);
        return QZ_NO_VALUE;
    }
    const int64_t dims[] = {a->oc, a->ic / a->groups, a->kh, a->kw};
    qzi_build_param(graph, node, QZI_P_WEIGHT, "weight", 4, dims);
    if (options->bias)
        qzi_build_param(graph, node, QZI_P_BIAS, "bias", 1, dims);
    return qzi_build_value(graph);
}

qz_value qz_linear(qz_graph *graph, const char *name, qz_value x, int32_t out_features, bool bias)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_LINEAR, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    if (out_features < 1) {
        qzi_build_fail(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                                       "%s: gives at least one feature", node->name));
        return QZ_NO_VALUE;
    }
    node->u.conv = (qzi_conv2d_attr){node->c, out_features, 1, 1, 1, 1, 0, 0, 1, 1, 1};
    const int64_t dims[] = {out_features, node->c};
    node->c = out_features;
    qzi_build_param(graph, node, QZI_P_WEIGHT, "weight", 2, dims);
    if (bias)
        qzi_build_param(graph, node, QZI_P_BIAS, "bias", 1, dims);
    return qzi_build_value(graph);
}

/* Output size of a transposed convolution where the input's is known; else 0. */
static int32_t known_transposed(int32_t in, int32_t k, int32_t stride, int32_t pad, int32_t out_pad)
{
    const int64_t out = ((int64_t)in - 1) * stride - 2 * (int64_t)pad + k + out_pad;
    return in < 1 || out < 1 || out > INT32_MAX ? 0 : (int32_t)out;
}

qz_value qz_conv_transpose2d(qz_graph *graph, const char *name, qz_value x,
                             const qz_conv_transpose2d_options *options)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_CONV_TRANSPOSE2D, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    qzi_conv2d_attr *a = &node->u.transpose.conv;
    a->ic = node->c;
    a->oc = options->out_channels;
    a->kh = default_to(options->kernel_h, 1);
    a->kw = default_to(options->kernel_w, a->kh);
    a->stride_h = default_to(options->stride_h, 1);
    a->stride_w = default_to(options->stride_w, a->stride_h);
    a->pad_h = options->padding_h == QZ_PAD_NONE ? 0 : options->padding_h;
    a->pad_w = pad_w(options->padding_h, options->padding_w);
    a->dil_h = a->dil_w = 1;
    a->groups = default_to(options->groups, 1);
    node->u.transpose.out_pad_h =
        options->output_padding_h == QZ_PAD_NONE ? 0 : options->output_padding_h;
    node->u.transpose.out_pad_w = pad_w(options->output_padding_h, options->output_padding_w);
    node->c = a->oc;
    const qz_status st = qzi_conv_transpose2d_check(graph->ctx, node);
    if (st != QZ_OK) {
        qzi_build_fail(graph, st);
        return QZ_NO_VALUE;
    }
    node->h = known_transposed(node->h, a->kh, a->stride_h, a->pad_h, node->u.transpose.out_pad_h);
    node->w = known_transposed(node->w, a->kw, a->stride_w, a->pad_w, node->u.transpose.out_pad_w);
    const int64_t dims[] = {a->ic, a->oc / a->groups, a->kh, a->kw}, biases[] = {a->oc};
    qzi_build_param(graph, node, QZI_P_WEIGHT, "weight", 4, dims);
    if (options->bias)
        qzi_build_param(graph, node, QZI_P_BIAS, "bias", 1, biases);
    return qzi_build_value(graph);
}

static qz_value add_batch_norm(qz_graph *graph, const char *name, qz_value x, float eps,
                               bool frozen)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_BATCH_NORM2D, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    const int64_t dims[] = {node->c};
    size_t first = graph->param_count;
    node->u.bn.eps = eps;
    qzi_build_param(graph, node, QZI_P_WEIGHT, "weight", 1, dims);
    qzi_build_param(graph, node, QZI_P_BIAS, "bias", 1, dims);
    qzi_build_param(graph, node, QZI_P_MEAN, "running_mean", 1, dims);
    qzi_build_param(graph, node, QZI_P_VAR, "running_var", 1, dims);
    if (!frozen)
        qzi_build_param(graph, node, QZI_P_BATCHES, "num_batches_tracked", 0, dims);
    for (size_t i = first; i < graph->param_count && frozen; i++)
        graph->params[i].trainable = false;
    return qzi_build_value(graph);
}

qz_value qz_batch_norm2d(qz_graph *graph, const char *name, qz_value x, float eps)
{
    return add_batch_norm(graph, name, x, eps, false);
}

qz_value qz_frozen_batch_norm2d(qz_graph *graph, const char *name, qz_value x, float eps)
{
    return add_batch_norm(graph, name, x, eps, true);
}

qz_value qz_layer_norm(qz_graph *graph, const char *name, qz_value x, float eps)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_LAYER_NORM, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    const int64_t dims[] = {node->c};
    node->u.bn.eps = eps;
    qzi_build_param(graph, node, QZI_P_WEIGHT, "weight", 1, dims);
    qzi_build_param(graph, node, QZI_P_BIAS, "bias", 1, dims);
    return qzi_build_value(graph);
}

qz_value qz_group_norm(qz_graph *graph, const char *name, qz_value x, int32_t groups, float eps)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_GROUP_NORM, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    if (groups < 1 || node->c % groups != 0) {
        qzi_build_fail(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                                       "%s: %d channels do not divide into %d groups", node->name,
                                       node->c, groups));
        return QZ_NO_VALUE;
    }
    const int64_t dims[] = {node->c};
    node->u.bn.eps = eps;
    node->u.bn.groups = groups;
    qzi_build_param(graph, node, QZI_P_WEIGHT, "weight", 1, dims);
    qzi_build_param(graph, node, QZI_P_BIAS, "bias", 1, dims);
    return qzi_build_value(graph);
}

/* A node whose weight, of `ndim` dimensions, is the scope's own parameter of the given key. */
static qz_value add_keyed(qz_graph *graph, qzi_op op, const char *param_key, const char *name,
                          qz_value x, int32_t ndim)
{
    qzi_node *node = qzi_build_node(graph, op, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    const int64_t dims[] = {node->c, 1, 1};
    qzi_build_param(graph, node, QZI_P_WEIGHT, "weight", ndim, dims);
    if (graph->status != QZ_OK)
        return QZ_NO_VALUE;
    char *key = qzi_build_name(graph, param_key);
    if (!key) {
        qzi_build_fail(graph, QZ_ERR_MEMORY);
        return QZ_NO_VALUE;
    }
    qzi_free(graph->ctx, graph->params[graph->param_count - 1].key);
    graph->params[graph->param_count - 1].key = key;
    qzi_build_param_first(graph);
    return qzi_build_value(graph);
}

qz_value qz_layer_scale(qz_graph *graph, const char *param_key, const char *name, qz_value x)
{
    return add_keyed(graph, QZI_OP_LAYER_SCALE, param_key, name, x, 3);
}

qz_value qz_l2_norm(qz_graph *graph, const char *param_key, const char *name, qz_value x)
{
    return add_keyed(graph, QZI_OP_L2_NORM, param_key, name, x, 1);
}

qz_value qz_channel_affine(qz_graph *graph, const char *name, qz_value x, const float *scale,
                           const float *shift)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_CHANNEL_AFFINE, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    size_t c = (size_t)QZI_MAX(node->c, 0), bytes = 2 * c * sizeof(float);
    node->constants = qzi_alloc(graph->ctx, bytes);
    if (!node->constants) {
        qzi_build_fail(graph, QZ_ERR_MEMORY);
        return QZ_NO_VALUE;
    }
    memcpy(node->constants, scale, c * sizeof(float));
    memcpy(node->constants + c, shift, c * sizeof(float));
    return qzi_build_value(graph);
}

qz_value qz_activate(qz_graph *graph, const char *name, qz_value x, qz_activation act)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_ACTIVATION, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    if (act <= QZ_ACT_NONE || act >= QZ_ACT_COUNT) {
        qzi_build_fail(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "%s: %d is no activation",
                                       node->name, (int)act));
        return QZ_NO_VALUE;
    }
    node->act = act;
    return qzi_build_value(graph);
}

static qz_value add_pool(qz_graph *g, qzi_op op, const char *name, qz_value x,
                         const qz_pool2d_options *o)
{
    qzi_node *node = qzi_build_node(g, op, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    qzi_pool2d_attr *a = &node->u.pool;
    a->kh = o->kernel_h;
    a->kw = default_to(o->kernel_w, a->kh);
    a->stride_h = default_to(o->stride_h, a->kh);
    a->stride_w = default_to(o->stride_w, o->stride_h ? a->stride_h : a->kw);
    a->pad_h = o->padding_h == QZ_PAD_NONE ? 0 : o->padding_h;
    a->pad_w = pad_w(o->padding_h, o->padding_w);
    a->ceil_mode = o->ceil_mode;
    a->count_exclude_pad = o->count_exclude_pad;
    node->h = node->w = 0;
    return qzi_build_value(g);
}

qz_value qz_max_pool2d(qz_graph *graph, const char *name, qz_value x,
                       const qz_pool2d_options *options)
{
    return add_pool(graph, QZI_OP_MAX_POOL2D, name, x, options);
}

qz_value qz_avg_pool2d(qz_graph *graph, const char *name, qz_value x,
                       const qz_pool2d_options *options)
{
    return add_pool(graph, QZI_OP_AVG_POOL2D, name, x, options);
}

qz_value qz_adaptive_avg_pool2d(qz_graph *graph, const char *name, qz_value x, int32_t out_h,
                                int32_t out_w)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_ADAPTIVE_AVG_POOL2D, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    node->u.adaptive.out_h = node->h = out_h;
    node->u.adaptive.out_w = node->w = out_w;
    return qzi_build_value(graph);
}

qz_value qz_flatten(qz_graph *graph, const char *name, qz_value x)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_FLATTEN, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    int64_t features = (int64_t)node->h * node->w * node->c;
    if (features < 1 || features > INT32_MAX) {
        qzi_build_fail(
            graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                            "%s: the image's size is not known here; pool to a fixed size first",
                            node->name));
        return QZ_NO_VALUE;
    }
    node->c = (int32_t)features;
    node->h = node->w = 1;
    node->flat = true;
    return qzi_build_value(graph);
}

qz_value qz_add(qz_graph *graph, const char *name, qz_value a, qz_value b, qz_activation act)
{
    const qz_value in[] = {a, b};
    qzi_node *node = qzi_build_node(graph, QZI_OP_ADD, name, in, 2);
    if (!node)
        return QZ_NO_VALUE;
    if (!qzi_act_is_clamp(act)) {
        qzi_build_fail(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                                       "%s: %s cannot be fused; give it a layer of its own",
                                       node->name, qzi_act_name(act)));
        return QZ_NO_VALUE;
    }
    node->act = act;
    return qzi_build_value(graph);
}

static bool is_one_pixel(const qzi_node *node)
{
    return node->h == 1 && node->w == 1;
}

qz_value qz_mul(qz_graph *graph, const char *name, qz_value a, qz_value b)
{
    qz_value in[] = {a, b};
    /* the image comes first, so that the product may overwrite it */
    if (graph->status == QZ_OK && a >= 0 && b >= 0 && (size_t)a < graph->node_count &&
        (size_t)b < graph->node_count && is_one_pixel(&graph->nodes[a]) &&
        !is_one_pixel(&graph->nodes[b])) {
        in[0] = b;
        in[1] = a;
    }
    qzi_node *node = qzi_build_node(graph, QZI_OP_MUL, name, in, 2);
    if (!node)
        return QZ_NO_VALUE;
    return qzi_build_value(graph);
}

qz_value qz_slice_channels(qz_graph *graph, const char *name, qz_value x, int32_t first,
                           int32_t count)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_SLICE, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    if (first < 0 || count < 1 || first > node->c || count > node->c - first) {
        qzi_build_fail(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                                       "%s: takes %d channels from number %d on, its input has %d",
                                       node->name, count, first, node->c));
        return QZ_NO_VALUE;
    }
    node->u.slice.first = first;
    node->c = count;
    return qzi_build_value(graph);
}

qz_value qz_pick_channels(qz_graph *graph, const char *name, qz_value x, int32_t first,
                          int32_t count, int32_t period)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_SLICE, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    if (period < 1 || node->c % period != 0 || first < 0 || count < 1 || first > period ||
        count > period - first) {
        qzi_build_fail(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                                       "%s: takes %d channels from number %d on of every %d, its "
                                       "input has %d",
                                       node->name, count, first, period, node->c));
        return QZ_NO_VALUE;
    }
    node->u.slice.first = first;
    node->u.slice.run = count;
    node->u.slice.period = period;
    node->c = node->c / period * count;
    return qzi_build_value(graph);
}

qz_value qz_channel_shuffle(qz_graph *graph, const char *name, qz_value x, int32_t groups)
{
    qzi_node *node = qzi_build_node(graph, QZI_OP_CHANNEL_SHUFFLE, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    if (groups < 1 || node->c % groups != 0) {
        qzi_build_fail(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                                       "%s: %d channels do not divide into %d groups", node->name,
                                       node->c, groups));
        return QZ_NO_VALUE;
    }
    node->u.shuffle.groups = groups;
    return qzi_build_value(graph);
}

qz_value qz_resize2d(qz_graph *graph, const char *name, qz_value x, qz_value like,
                     qz_resize_mode mode)
{
    const qz_value in[] = {x, like};
    qzi_node *node = qzi_build_node(graph, QZI_OP_RESIZE2D, name, in, 2);
    if (!node)
        return QZ_NO_VALUE;
    node->h = graph->nodes[like].h;
    node->w = graph->nodes[like].w;
    node->u.resize.mode = mode;
    return qzi_build_value(graph);
}

qz_value qz_concat(qz_graph *graph, const char *name, const qz_value *values, size_t count)
{
    if (graph->status == QZ_OK && count < 1)
        qzi_build_fail(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "%s: joins nothing", name));
    qzi_node *node = qzi_build_node(graph, QZI_OP_CONCAT, name, values, count);
    if (!node)
        return QZ_NO_VALUE;
    int64_t c = 0;
    for (size_t i = 0; i < count; i++)
        c += graph->nodes[values[i]].c;
    if (c > INT32_MAX) {
        qzi_build_fail(graph,
                       qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "%s: too many channels", node->name));
        return QZ_NO_VALUE;
    }
    node->c = (int32_t)c;
    return qzi_build_value(graph);
}

static qz_value add_dropout(qz_graph *graph, qzi_op op, const char *name, qz_value x, float p)
{
    qzi_node *node = qzi_build_node(graph, op, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    node->u.dropout.p = p;
    return qzi_build_value(graph);
}

qz_value qz_dropout(qz_graph *graph, const char *name, qz_value x, float p)
{
    return add_dropout(graph, QZI_OP_DROPOUT, name, x, p);
}

qz_value qz_stochastic_depth(qz_graph *graph, const char *name, qz_value x, float p)
{
    return add_dropout(graph, QZI_OP_STOCHASTIC_DEPTH, name, x, p);
}
