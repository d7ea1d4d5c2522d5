/* SPDX-License-Identifier: MIT */
/*
 * model_graph.c - models of graphs that an application has built with the public builders. Such a
 * model has an architecture of its own, which no registry knows.
 */
#include "zoo/model/model_graph.h"
#include "zoo/image/preprocess.h"
#include "zoo/model/model_build.h"

#include <string.h>

static const qz_fill_rule no_rules[] = {{NULL, 1.0}};

/* ---- the hash of a graph ---- */

static uint64_t add_text(uint64_t hash, const char *text)
{
    return qzi_fnv1a(text, strlen(text) + 1, hash);
}

static uint64_t add_number(uint64_t hash, int64_t number)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)number >> 8 * i);
    return qzi_fnv1a(bytes, sizeof(bytes), hash);
}

static uint64_t add_float(uint64_t hash, float number)
{
    return qzi_fnv1a_numbers(&number, 1, sizeof(number), hash);
}

/* What an op computes beside its parameters. */
static uint64_t add_attributes(uint64_t hash, const qzi_node *node)
{
    const qzi_conv2d_attr *c = &node->u.conv;
    const qzi_pool2d_attr *p = &node->u.pool;
    const int32_t conv[] = {c->ic,    c->oc,    c->kh,    c->kw,    c->stride_h, c->stride_w,
                            c->pad_h, c->pad_w, c->dil_h, c->dil_w, c->groups};
    switch (node->op) {
    case QZI_OP_CONV2D:
    case QZI_OP_LINEAR:
        for (size_t i = 0; i < QZI_ARRAY_LEN(conv); i++)
            hash = add_number(hash, conv[i]);
        return hash;
    case QZI_OP_CONV_TRANSPOSE2D:
        for (size_t i = 0; i < QZI_ARRAY_LEN(conv); i++)
            hash = add_number(hash, conv[i]);
        return add_number(add_number(hash, node->u.transpose.out_pad_h),
                          node->u.transpose.out_pad_w);
    case QZI_OP_MAX_POOL2D:
    case QZI_OP_AVG_POOL2D:
        hash = add_number(add_number(hash, p->kh), p->kw);
        hash = add_number(add_number(hash, p->stride_h), p->stride_w);
        hash = add_number(add_number(hash, p->pad_h), p->pad_w);
        return add_number(add_number(hash, p->ceil_mode), p->count_exclude_pad);
    case QZI_OP_ADAPTIVE_AVG_POOL2D:
        return add_number(add_number(hash, node->u.adaptive.out_h), node->u.adaptive.out_w);
    case QZI_OP_BATCH_NORM2D:
    case QZI_OP_LAYER_NORM:
        return add_float(hash, node->u.bn.eps);
    case QZI_OP_GROUP_NORM:
        return add_number(add_float(hash, node->u.bn.eps), node->u.bn.groups);
    case QZI_OP_SLICE:
        hash = add_number(hash, node->u.slice.first);
        return node->u.slice.period == 0
                   ? hash
                   : add_number(add_number(hash, node->u.slice.run), node->u.slice.period);
    case QZI_OP_CHANNEL_SHUFFLE:
        return add_number(hash, node->u.shuffle.groups);
    case QZI_OP_RESIZE2D:
        return add_number(hash, (int32_t)node->u.resize.mode);
    case QZI_OP_CHANNEL_AFFINE:
        return qzi_fnv1a_numbers(node->constants, 2 * (size_t)node->c, sizeof(float), hash);
    default:
        return hash;
    }
}

uint64_t qzi_model_hash_graph(const qz_graph *graph)
{
    uint64_t hash = QZI_FNV_OFFSET;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        hash = add_text(add_text(hash, node->name), qzi_op_name(node->op));
        hash = add_text(add_number(hash, node->c), qzi_act_name(node->act));
        for (size_t k = 0; k < node->in_count; k++)
            hash = add_number(hash, node->in[k]);
        for (int which = 0; which < QZI_P_COUNT; which++) {
            const qzi_param *param = qzi_node_param(graph, node, which);
            hash = add_text(hash, param ? param->key : "");
        }
        hash = add_attributes(hash, node);
    }
    for (size_t i = 0; i < graph->output_count; i++)
        hash = add_number(add_text(hash, graph->outputs[i].name), graph->outputs[i].value);
    return hash ? hash : 1; /* 0: an architecture's graph */
}

/* ---- the model ---- */

/* Files and messages have it. */
static qz_status check_name(const qz_context *ctx, const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    const size_t length = strlen(name);
    if (length >= 1 && length <= 64 && strspn(name, allowed) == length)
        return QZ_OK;
    return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                    "a network's name is 1 to 64 letters, digits, '_', '-' and '.', not '%.64s'",
                    name);
}

static qz_status check_graph(const qz_context *ctx, const char *name, const qz_graph *graph)
{
    if (graph->ctx != ctx)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: the graph belongs to another context", name);
    if (graph->input_count != 1 || graph->output_count < 1)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: a model has one input and at least one output; the graph has %zu and "
                        "%zu",
                        name, graph->input_count, graph->output_count);
    return QZ_OK;
}

/* name: of the model, in its arena. */
static qz_status make_arch(qz_model *model, const char *name, const qz_preprocess *recipe)
{
    static const qz_preprocess imagenet =
        QZI_PREPROCESS_IMAGENET(256, 224, QZ_INTERPOLATION_BILINEAR);
    qzi_arch *arch = qzi_arena_alloc(&model->arena, sizeof(*arch));
    const char *own = qzi_arena_strdup(&model->arena, name);
    if (!arch || !own)
        return QZ_ERR_MEMORY;
    if (recipe)
        QZI_TRY(qzi_preprocess_check_recipe(model->ctx, recipe));
    *arch = (qzi_arch){.fill_rules = no_rules, .fuse = qzi_fuse};
    arch->info = (qz_arch_info){.name = own, .task = "", .preprocess = recipe ? *recipe : imagenet};
    arch->info.input_h = arch->info.input_w = 224;
    qzi_preprocess_usual(&arch->info.preprocess, &arch->info.input_h, &arch->info.input_w);
    model->arch = arch;
    model->preprocess = arch->info.preprocess;
    model->own_preprocess = recipe != NULL;
    model->input_h = arch->info.input_h;
    model->input_w = arch->info.input_w;
    return QZ_OK;
}

static qz_status own_graph(qz_model *model, const char *name, const qz_preprocess *recipe)
{
    QZI_TRY(check_name(model->ctx, name));
    QZI_TRY(make_arch(model, name, recipe));
    QZI_TRY(qz_graph_finish(model->graph)); /* a poisoned graph has its own message */
    QZI_TRY(check_graph(model->ctx, name, model->graph));
    model->graph_hash = qzi_model_hash_graph(model->graph);
    QZI_TRY(qzi_model_finish_graph(model));
    model->num_classes = model->graph->nodes[model->graph->outputs[0].value].c;
    return QZ_OK;
}

qz_status qzi_model_own_graph(qz_context *ctx, const char *name, qz_graph *graph,
                              const qz_preprocess *recipe, qz_model **model)
{
    static const qzi_arch nothing = {.info = {.name = ""}};
    qz_model *m = NULL;
    qz_status st = qzi_model_alloc(ctx, &nothing, &m);
    if (st != QZ_OK) {
        qz_graph_destroy(graph);
        return st;
    }
    m->graph = graph;
    st = own_graph(m, name, recipe);
    if (st == QZ_OK)
        *model = m;
    else
        qz_model_destroy(m);
    return st;
}

qz_status qzi_model_takes_rgb(const qz_model *model, const char *function)
{
    const int32_t channels = qzi_model_channels(model);
    if (channels == 3)
        return QZ_OK;
    return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                    "%s: images have 3 channels, the input of %s has %d; give float tensors",
                    function, model->arch->info.name, (int)channels);
}
