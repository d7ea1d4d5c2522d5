/* SPDX-License-Identifier: MIT */
/*
 * build.c - the builder calls of qzoo_graph.h. Each makes one node, the parameters that torch's
 * module would have, and what is known of the output without knowing the image's size.
 */
#include "layers/graph/graph.h"

#include <stdio.h>
#include <string.h>

static void poison(qz_graph *g, qz_status status)
{
    if (g->status != QZ_OK)
        return;
    g->status = status;
    g->message = qzi_strdup(g->ctx, qz_context_message(g->ctx));
}

static char *dotted(const qz_graph *g, const char *name)
{
    if (g->scope_count == 0)
        return qzi_strdup(g->ctx, name);
    return qzi_format(g->ctx, "%s.%s", g->scope[g->scope_count - 1], name);
}

void qz_graph_enter(qz_graph *graph, const char *fmt, ...)
{
    char local[96];
    va_list ap;
    if (graph->status != QZ_OK)
        return;
    va_start(ap, fmt);
    int length = vsnprintf(local, sizeof(local), fmt, ap);
    va_end(ap);
    if (length <= 0 || (size_t)length >= sizeof(local)) {
        poison(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "a scope's name has 1 to 95 bytes"));
        return;
    }
    if (qzi_grow(graph->ctx, &graph->scope, &graph->scope_capacity, graph->scope_count,
                 sizeof(*graph->scope)) != QZ_OK) {
        poison(graph, QZ_ERR_MEMORY);
        return;
    }
    char *full = dotted(graph, local);
    if (!full)
        poison(graph, QZ_ERR_MEMORY);
    else
        graph->scope[graph->scope_count++] = full;
}

static void add_mark(qz_graph *g, char *name, qz_value value)
{
    if (qzi_grow(g->ctx, &g->marks, &g->mark_capacity, g->mark_count, sizeof(*g->marks)) != QZ_OK) {
        qzi_free(g->ctx, name);
        poison(g, QZ_ERR_MEMORY);
        return;
    }
    g->marks[g->mark_count++] = (qzi_mark){name, value};
}

qz_value qz_graph_leave(qz_graph *graph, qz_value result)
{
    if (graph->status != QZ_OK)
        return QZ_NO_VALUE;
    if (graph->scope_count == 0) {
        poison(graph, qzi_fail(graph->ctx, QZ_ERR_STATE, "qz_graph_leave without qz_graph_enter"));
        return QZ_NO_VALUE;
    }
    char *name = graph->scope[--graph->scope_count];
    if (result == QZ_NO_VALUE)
        qzi_free(graph->ctx, name);
    else
        add_mark(graph, name, result);
    return graph->status == QZ_OK ? result : QZ_NO_VALUE;
}

/*
 * Appends a node that reads `in`; NULL when the graph is or becomes poisoned. The output starts as
 * a copy of input 0's.
 */
static qzi_node *add_node(qz_graph *g, qzi_op op, const char *name, const qz_value *in,
                          size_t in_count)
{
    if (g->status != QZ_OK)
        return NULL;
    if (!name || !*name) {
        poison(g, qzi_fail(g->ctx, QZ_ERR_ARGUMENT, "a layer needs a name"));
        return NULL;
    }
    for (size_t i = 0; i < in_count; i++) {
        if (in[i] < 0 || (size_t)in[i] >= g->node_count) {
            poison(g, qzi_fail(g->ctx, QZ_ERR_ARGUMENT, "%s: reads a value of no layer", name));
            return NULL;
        }
    }
    if (g->node_count >= INT32_MAX / 2 ||
        qzi_grow(g->ctx, &g->nodes, &g->node_capacity, g->node_count, sizeof(*g->nodes)) != QZ_OK) {
        poison(g, QZ_ERR_MEMORY);
        return NULL;
    }
    qzi_node node = {.op = op, .in_count = in_count, .dtype = QZ_F32};
    for (int i = 0; i < QZI_P_COUNT; i++)
        node.param[i] = -1;
    node.name = dotted(g, name);
    node.in = qzi_alloc(g->ctx, QZI_MAX(in_count, (size_t)1) * sizeof(*node.in));
    if (!node.name || !node.in) {
        poison(g, QZ_ERR_MEMORY);
        qzi_free(g->ctx, node.name);
        qzi_free(g->ctx, node.in);
        return NULL;
    }
    if (in_count) {
        memcpy(node.in, in, in_count * sizeof(*node.in));
        const qzi_node *x = &g->nodes[in[0]];
        node.c = x->c;
        node.h = x->h;
        node.w = x->w;
        node.flat = x->flat;
    }
    g->nodes[g->node_count] = node;
    return &g->nodes[g->node_count++];
}

/* The value of a node that was just added, or none when something failed since. */
static qz_value finish_node(const qz_graph *g)
{
    return g->status == QZ_OK ? (qz_value)(g->node_count - 1) : QZ_NO_VALUE;
}

static qz_status append_param(qz_graph *g, qzi_node *node, int which, const char *leaf,
                              int32_t ndim, const int64_t *dims)
{
    QZI_TRY(qzi_grow(g->ctx, &g->params, &g->param_capacity, g->param_count, sizeof(*g->params)));
    qzi_param p = {
        .tensor = {.dtype = QZ_F32, .ndim = ndim},
        .trainable = which == QZI_P_WEIGHT || which == QZI_P_BIAS,
    };
    if (which == QZI_P_BATCHES) {
        p.tensor.dtype = QZ_S64;
        p.optional = true;
    }
    for (int32_t i = 0; i < ndim; i++)
        p.tensor.dims[i] = dims[i];
    p.key = qzi_format(g->ctx, "%s.%s", node->name, leaf);
    if (!p.key)
        return QZ_ERR_MEMORY;
    node->param[which] = (int32_t)g->param_count;
    g->params[g->param_count++] = p;
    return QZ_OK;
}

static void add_param(qz_graph *g, qzi_node *node, int which, const char *leaf, int32_t ndim,
                      const int64_t *dims)
{
    qz_status st;
    if (g->status == QZ_OK && (st = append_param(g, node, which, leaf, ndim, dims)) != QZ_OK)
        poison(g, st);
}

qz_status qzi_node_add_bias(qz_graph *graph, qz_value value)
{
    qzi_node *node = &graph->nodes[value];
    const int64_t dims[] = {node->u.conv.oc};
    if (node->param[QZI_P_BIAS] >= 0)
        return QZ_OK;
    float *data = qzi_calloc(graph->ctx, (size_t)node->u.conv.oc, sizeof(*data));
    if (!data)
        return QZ_ERR_MEMORY;
    qz_status st = append_param(graph, node, QZI_P_BIAS, "bias", 1, dims);
    if (st != QZ_OK) {
        qzi_free(graph->ctx, data);
        return st;
    }
    graph->params[graph->param_count - 1].tensor.data = data;
    return QZ_OK;
}

qz_value qz_graph_input(qz_graph *graph, const char *name, int32_t channels)
{
    qzi_node *node = add_node(graph, QZI_OP_INPUT, name, NULL, 0);
    if (!node)
        return QZ_NO_VALUE;
    node->c = channels;
    node->u.input.index = (int32_t)graph->input_count++;
    return finish_node(graph);
}

qz_value qz_graph_input_sized(qz_graph *graph, const char *name, int32_t channels, int32_t height,
                              int32_t width)
{
    if (height < 1 || width < 1)
        poison(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "input %s: no size is %dx%d", name,
                               (int)height, (int)width));
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
    qzi_node *node = add_node(graph, QZI_OP_CONV2D, name, &x, 1);
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
        poison(graph, st);
        return QZ_NO_VALUE;
    }
    const int64_t dims[] = {a->oc, a->ic / a->groups, a->kh, a->kw};
    add_param(graph, node, QZI_P_WEIGHT, "weight", 4, dims);
    if (options->bias)
        add_param(graph, node, QZI_P_BIAS, "bias", 1, dims);
    return finish_node(graph);
}

qz_value qz_linear(qz_graph *graph, const char *name, qz_value x, int32_t out_features, bool bias)
{
    qzi_node *node = add_node(graph, QZI_OP_LINEAR, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    if (out_features < 1) {
        poison(graph,
               qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "%s: gives at least one feature", node->name));
        return QZ_NO_VALUE;
    }
    node->u.conv = (qzi_conv2d_attr){node->c, out_features, 1, 1, 1, 1, 0, 0, 1, 1, 1};
    const int64_t dims[] = {out_features, node->c};
    node->c = out_features;
    add_param(graph, node, QZI_P_WEIGHT, "weight", 2, dims);
    if (bias)
        add_param(graph, node, QZI_P_BIAS, "bias", 1, dims);
    return finish_node(graph);
}

static qz_value add_batch_norm(qz_graph *graph, const char *name, qz_value x, float eps,
                               bool frozen)
{
    qzi_node *node = add_node(graph, QZI_OP_BATCH_NORM2D, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    const int64_t dims[] = {node->c};
    size_t first = graph->param_count;
    node->u.bn.eps = eps;
    add_param(graph, node, QZI_P_WEIGHT, "weight", 1, dims);
    add_param(graph, node, QZI_P_BIAS, "bias", 1, dims);
    add_param(graph, node, QZI_P_MEAN, "running_mean", 1, dims);
    add_param(graph, node, QZI_P_VAR, "running_var", 1, dims);
    if (!frozen)
        add_param(graph, node, QZI_P_BATCHES, "num_batches_tracked", 0, dims);
    for (size_t i = first; i < graph->param_count && frozen; i++)
        graph->params[i].trainable = false;
    return finish_node(graph);
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
    qzi_node *node = add_node(graph, QZI_OP_LAYER_NORM, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    const int64_t dims[] = {node->c};
    node->u.bn.eps = eps;
    add_param(graph, node, QZI_P_WEIGHT, "weight", 1, dims);
    add_param(graph, node, QZI_P_BIAS, "bias", 1, dims);
    return finish_node(graph);
}

/* Whether the key belongs to a child of the scope: it has a dot after the scope's name and dot. */
static bool is_of_child(const qz_graph *g, const char *key)
{
    if (g->scope_count) {
        const char *scope = g->scope[g->scope_count - 1];
        size_t length = strlen(scope);
        if (strncmp(key, scope, length) != 0 || key[length] != '.')
            return false;
        key += length + 1;
    }
    return strchr(key, '.') != NULL;
}

/*
 * Moves the parameter that was appended last to where torch lists a module's own parameters:
 * before those of its children, which the builder made earlier.
 */
static void move_before_children(qz_graph *g)
{
    size_t last = g->param_count - 1, at = 0;
    while (at < last && !is_of_child(g, g->params[at].key))
        at++;
    qzi_param p = g->params[last];
    memmove(g->params + at + 1, g->params + at, (last - at) * sizeof(p));
    g->params[at] = p;
    for (size_t i = 0; i < g->node_count; i++) {
        for (int k = 0; k < QZI_P_COUNT; k++) {
            int32_t *index = &g->nodes[i].param[k];
            if (*index == (int32_t)last)
                *index = (int32_t)at;
            else if (*index >= (int32_t)at)
                ++*index;
        }
    }
}

qz_value qz_layer_scale(qz_graph *graph, const char *param_key, const char *name, qz_value x)
{
    qzi_node *node = add_node(graph, QZI_OP_LAYER_SCALE, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    const int64_t dims[] = {node->c, 1, 1};
    add_param(graph, node, QZI_P_WEIGHT, "weight", 3, dims);
    if (graph->status != QZ_OK)
        return QZ_NO_VALUE;
    char *key = dotted(graph, param_key);
    if (!key) {
        poison(graph, QZ_ERR_MEMORY);
        return QZ_NO_VALUE;
    }
    qzi_free(graph->ctx, graph->params[graph->param_count - 1].key);
    graph->params[graph->param_count - 1].key = key;
    move_before_children(graph);
    return finish_node(graph);
}

qz_value qz_channel_affine(qz_graph *graph, const char *name, qz_value x, const float *scale,
                           const float *shift)
{
    qzi_node *node = add_node(graph, QZI_OP_CHANNEL_AFFINE, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    size_t c = (size_t)QZI_MAX(node->c, 0), bytes = 2 * c * sizeof(float);
    node->constants = qzi_alloc(graph->ctx, bytes);
    if (!node->constants) {
        poison(graph, QZ_ERR_MEMORY);
        return QZ_NO_VALUE;
    }
    memcpy(node->constants, scale, c * sizeof(float));
    memcpy(node->constants + c, shift, c * sizeof(float));
    return finish_node(graph);
}

qz_value qz_activate(qz_graph *graph, const char *name, qz_value x, qz_activation act)
{
    qzi_node *node = add_node(graph, QZI_OP_ACTIVATION, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    if (act <= QZ_ACT_NONE || act >= QZ_ACT_COUNT) {
        poison(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "%s: %d is no activation", node->name,
                               (int)act));
        return QZ_NO_VALUE;
    }
    node->act = act;
    return finish_node(graph);
}

static qz_value add_pool(qz_graph *g, qzi_op op, const char *name, qz_value x,
                         const qz_pool2d_options *o)
{
    qzi_node *node = add_node(g, op, name, &x, 1);
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
    return finish_node(g);
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
    qzi_node *node = add_node(graph, QZI_OP_ADAPTIVE_AVG_POOL2D, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    node->u.adaptive.out_h = node->h = out_h;
    node->u.adaptive.out_w = node->w = out_w;
    return finish_node(graph);
}

qz_value qz_flatten(qz_graph *graph, const char *name, qz_value x)
{
    qzi_node *node = add_node(graph, QZI_OP_FLATTEN, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    int64_t features = (int64_t)node->h * node->w * node->c;
    if (features < 1 || features > INT32_MAX) {
        poison(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                               "%s: the image's size is not known here; pool to a fixed size first",
                               node->name));
        return QZ_NO_VALUE;
    }
    node->c = (int32_t)features;
    node->h = node->w = 1;
    node->flat = true;
    return finish_node(graph);
}

qz_value qz_add(qz_graph *graph, const char *name, qz_value a, qz_value b, qz_activation act)
{
    const qz_value in[] = {a, b};
    qzi_node *node = add_node(graph, QZI_OP_ADD, name, in, 2);
    if (!node)
        return QZ_NO_VALUE;
    if (!qzi_act_is_clamp(act)) {
        poison(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                               "%s: %s cannot be fused; give it a layer of its own", node->name,
                               qzi_act_name(act)));
        return QZ_NO_VALUE;
    }
    node->act = act;
    return finish_node(graph);
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
    qzi_node *node = add_node(graph, QZI_OP_MUL, name, in, 2);
    if (!node)
        return QZ_NO_VALUE;
    return finish_node(graph);
}

qz_value qz_slice_channels(qz_graph *graph, const char *name, qz_value x, int32_t first,
                           int32_t count)
{
    qzi_node *node = add_node(graph, QZI_OP_SLICE, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    if (first < 0 || count < 1 || first > node->c || count > node->c - first) {
        poison(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                               "%s: takes %d channels from number %d on, its input has %d",
                               node->name, count, first, node->c));
        return QZ_NO_VALUE;
    }
    node->u.slice.first = first;
    node->c = count;
    return finish_node(graph);
}

qz_value qz_channel_shuffle(qz_graph *graph, const char *name, qz_value x, int32_t groups)
{
    qzi_node *node = add_node(graph, QZI_OP_CHANNEL_SHUFFLE, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    if (groups < 1 || node->c % groups != 0) {
        poison(graph,
               qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "%s: %d channels do not divide into %d groups",
                        node->name, node->c, groups));
        return QZ_NO_VALUE;
    }
    node->u.shuffle.groups = groups;
    return finish_node(graph);
}

qz_value qz_concat(qz_graph *graph, const char *name, const qz_value *values, size_t count)
{
    if (graph->status == QZ_OK && count < 1)
        poison(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "%s: joins nothing", name));
    qzi_node *node = add_node(graph, QZI_OP_CONCAT, name, values, count);
    if (!node)
        return QZ_NO_VALUE;
    int64_t c = 0;
    for (size_t i = 0; i < count; i++)
        c += graph->nodes[values[i]].c;
    if (c > INT32_MAX) {
        poison(graph, qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "%s: too many channels", node->name));
        return QZ_NO_VALUE;
    }
    node->c = (int32_t)c;
    return finish_node(graph);
}

static qz_value add_dropout(qz_graph *graph, qzi_op op, const char *name, qz_value x, float p)
{
    qzi_node *node = add_node(graph, op, name, &x, 1);
    if (!node)
        return QZ_NO_VALUE;
    node->u.dropout.p = p;
    return finish_node(graph);
}

qz_value qz_dropout(qz_graph *graph, const char *name, qz_value x, float p)
{
    return add_dropout(graph, QZI_OP_DROPOUT, name, x, p);
}

qz_value qz_stochastic_depth(qz_graph *graph, const char *name, qz_value x, float p)
{
    return add_dropout(graph, QZI_OP_STOCHASTIC_DEPTH, name, x, p);
}

void qz_graph_output(qz_graph *graph, const char *name, qz_value value)
{
    if (graph->status != QZ_OK)
        return;
    if (value < 0 || (size_t)value >= graph->node_count) {
        poison(graph,
               qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "output %s is a value of no layer", name));
        return;
    }
    char *copy = qzi_strdup(graph->ctx, name);
    if (!copy || qzi_grow(graph->ctx, &graph->outputs, &graph->output_capacity, graph->output_count,
                          sizeof(*graph->outputs)) != QZ_OK) {
        qzi_free(graph->ctx, copy);
        poison(graph, QZ_ERR_MEMORY);
        return;
    }
    graph->outputs[graph->output_count++] = (qzi_output){copy, value};
}

qz_status qz_graph_finish(qz_graph *graph)
{
    if (graph->status != QZ_OK)
        return qzi_fail(graph->ctx, graph->status, "%s",
                        graph->message ? graph->message : "out of memory");
    if (graph->scope_count)
        return qzi_fail(graph->ctx, QZ_ERR_STATE, "scope %s is not left",
                        graph->scope[graph->scope_count - 1]);
    QZI_TRY(qzi_graph_verify(graph));
    graph->finished = true;
    return QZ_OK;
}
