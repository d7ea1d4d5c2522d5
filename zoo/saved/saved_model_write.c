/* SPDX-License-Identifier: MIT */
/*
 * saved_model_write.c - qz_model_save. The format is described in saved_model.h.
 */
#include "quant/channels.h"
#include "zoo/model/classes.h"
#include "zoo/model/model_detect.h"
#include "zoo/saved/saved_model.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_METADATA = 40 };

/* What will be written. Keys and values live in the arena, tensors in the model. */
struct writer {
    const qz_model *model;
    qzi_arena arena;
    qz_safetensors_entry *entries;
    size_t count, capacity;
    const char *keys[MAX_METADATA];
    const char *values[MAX_METADATA];
    size_t metadata_count;
    bool *written; /* by parameter: calls of one layer share them */
};

/* A formatted string in the writer's arena. */
static qz_status keep(struct writer *w, char *text, const char **out)
{
    if (!text)
        return QZ_ERR_MEMORY;
    *out = qzi_arena_strdup(&w->arena, text);
    qzi_free(w->model->ctx, text);
    return *out ? QZ_OK : QZ_ERR_MEMORY;
}

static qz_status add_text(struct writer *w, const char *key, const char *value)
{
    if (w->metadata_count == MAX_METADATA)
        return qzi_fail(w->model->ctx, QZ_ERR_INTERNAL, "too many metadata entries");
    w->keys[w->metadata_count] = key;
    w->values[w->metadata_count++] = value;
    return QZ_OK;
}

/* Text of the user's: any bytes. */
static qz_status add_escaped(struct writer *w, const char *key, const char *value)
{
    const char *text = qzi_arena_escape(&w->arena, value);
    return text ? add_text(w, key, text) : QZ_ERR_MEMORY;
}

static qz_status add_number(struct writer *w, const char *key, uint64_t value)
{
    const char *text = NULL;
    QZI_TRY(keep(w, qzi_format(w->model->ctx, "%" PRIu64, value), &text));
    return add_text(w, key, text);
}

static qz_status add_hash(struct writer *w, const char *key, uint64_t value)
{
    const char *text = NULL;
    QZI_TRY(keep(w, qzi_format(w->model->ctx, "%016" PRIx64, value), &text));
    return add_text(w, key, text);
}

static qz_status add_list(struct writer *w, const char *key, const char *const *names, size_t count)
{
    size_t bytes = 1;
    for (size_t i = 0; i < count; i++)
        bytes += strlen(names[i]) + 1;
    char *text = qzi_arena_alloc(&w->arena, bytes);
    if (!text)
        return QZ_ERR_MEMORY;
    char *end = text;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if (i > 0)
            *end++ = ',';
        memcpy(end, names[i], length);
        end += length;
    }
    *end = '\0';
    return add_text(w, key, text);
}

static qz_status add_metadata(struct writer *w)
{
    const qz_model *m = w->model;
    const qzi_qconfig *q = &m->qconfig;
    /* only the base name: where a file lay is nobody's business, and differs between machines */
    const char *slash = strrchr(m->origin.weights, '/'), *classes = NULL;
    QZI_TRY(qzi_classes_join(m, &w->arena, &classes));
    QZI_TRY(add_text(w, "format",
                     qzi_qconfig_by_channel(q) ? QZI_SAVED_FORMAT_CHANNELS : QZI_SAVED_FORMAT));
    QZI_TRY(add_text(w, "version", qz_version()));
    QZI_TRY(add_text(w, "arch", m->arch->info.name));
    if (m->graph_hash != 0)
        QZI_TRY(add_hash(w, "graph", m->graph_hash));
    QZI_TRY(add_number(w, "num_classes", (uint64_t)m->num_classes));
    QZI_TRY(add_number(w, "transform_input", m->transform_input));
    QZI_TRY(add_number(w, "no_aux_logits", m->no_aux_logits));
    if (m->zero_eps)
        QZI_TRY(add_number(w, "zero_eps", m->zero_eps));
    if (m->activation != QZ_ACT_NONE)
        QZI_TRY(add_text(w, "activation", qzi_act_name(m->activation)));
    if (m->norm_eps > 0.0f) {
        uint32_t bits;
        memcpy(&bits, &m->norm_eps, sizeof(bits));
        QZI_TRY(add_hash(w, "norm_eps", bits));
    }
    QZI_TRY(add_number(w, "relu", m->relu));
    QZI_TRY(add_number(w, "fused", m->fused));
    QZI_TRY(add_text(w, "backend", q->backend->name));
    QZI_TRY(add_number(w, "imported", q->imported));
    QZI_TRY(add_text(w, "observer", q->imported ? "" : m->observer));
    QZI_TRY(add_number(w, "per_channel", q->per_channel));
    QZI_TRY(add_number(w, "reduce_range", q->reduce_range));
    if (q->recipe != QZ_RECIPE_NONE)
        QZI_TRY(add_text(w, "recipe", qz_recipe_name(q->recipe)));
    if (q->bias_correction != QZ_BIAS_CORRECTION_NONE)
        QZI_TRY(add_text(w, "bias_correction", qz_bias_correction_name(q->bias_correction)));
    if (q->equalize != QZ_EQUALIZATION_NONE)
        QZI_TRY(add_text(w, "equalize", m->equalize));
    if (q->rounding == QZ_ROUNDING_ADAROUND)
        QZI_TRY(add_text(w, "rounding", qz_rounding_name(q->rounding)));
    if (qzi_qconfig_weight_form(q).bits != 8)
        QZI_TRY(add_number(w, "weight_bits", (uint64_t)q->weight_bits));
    QZI_TRY(add_list(w, "exclude", q->exclude, q->exclude_count));
    QZI_TRY(add_list(w, "fallback", q->fallback, q->fallback_count));
    if (m->arch->detector) {
        const char *settings = NULL;
        QZI_TRY(qzi_model_detection_text(m, &w->arena, &settings));
        QZI_TRY(add_text(w, "detection", settings));
    }
    QZI_TRY(add_number(w, "resize", (uint64_t)m->preprocess.resize));
    QZI_TRY(add_number(w, "crop_h", (uint64_t)m->preprocess.crop_h));
    QZI_TRY(add_number(w, "crop_w", (uint64_t)m->preprocess.crop_w));
    QZI_TRY(add_number(w, "resize_h", (uint64_t)m->preprocess.resize_h));
    QZI_TRY(add_number(w, "resize_w", (uint64_t)m->preprocess.resize_w));
    QZI_TRY(add_number(w, "bgr", m->preprocess.bgr));
    QZI_TRY(add_text(w, "interpolation", qz_interpolation_name(m->preprocess.interpolation)));
    QZI_TRY(add_escaped(w, "classes", classes));
    QZI_TRY(add_number(w, "random", m->origin.random));
    QZI_TRY(add_number(w, "missing", m->origin.missing));
    QZI_TRY(add_escaped(w, "weights", slash ? slash + 1 : m->origin.weights));
    QZI_TRY(add_hash(w, "weights_hash", m->origin.hash));
    QZI_TRY(add_number(w, "calibration_images", m->calibration_images));
    QZI_TRY(add_number(w, "synthetic_images", m->synthetic_images));
    QZI_TRY(add_text(w, "calib", m->calib));
    return add_hash(w, "calibration_hash", m->calibration_hash);
}

/* key: `name` alone, or with `.leaf` behind it. The data is only read. */
static qz_status add_tensor(struct writer *w, const char *name, const char *leaf, qz_dtype dtype,
                            const void *data, int32_t ndim, const int64_t *dims)
{
    const char *key = name;
    QZI_TRY(qzi_grow(w->model->ctx, &w->entries, &w->capacity, w->count, sizeof(*w->entries)));
    if (leaf)
        QZI_TRY(keep(w, qzi_format(w->model->ctx, "%s.%s", name, leaf), &key));
    qz_safetensors_entry *entry = &w->entries[w->count++];
    *entry = (qz_safetensors_entry){.key = key,
                                    .tensor = {.dtype = dtype, .ndim = ndim, .data = (void *)data}};
    memcpy(entry->tensor.dims, dims, (size_t)ndim * sizeof(*dims));
    return QZ_OK;
}

/* Nodes of the int8 graph by the node of the float graph whose value they have, in its order; NULL
 * where there is none. */
static qz_status by_source(struct writer *w, const qzi_node ***list, size_t *count)
{
    const qz_graph *graph = w->model->int8_graph;
    *count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].source != QZ_NO_VALUE)
            *count = QZI_MAX(*count, (size_t)graph->nodes[i].source + 1);
    *list = qzi_arena_alloc(&w->arena, *count * sizeof(**list));
    if (!*list)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].source != QZ_NO_VALUE)
            (*list)[graph->nodes[i].source] = &graph->nodes[i];
    return QZ_OK;
}

static bool has_channels(const qzi_node *node)
{
    return node && node->channel_q && !qzi_channels_moved(node);
}

/* Scales and zero points by channel. */
static qz_status add_channels(struct writer *w, const qzi_node *const *nodes, size_t count)
{
    const int64_t values = (int64_t)count;
    int64_t sum = 0;
    int32_t *channels = qzi_arena_alloc(&w->arena, count * sizeof(*channels));
    if (!channels)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        sum += channels[i] = has_channels(nodes[i]) ? nodes[i]->c : 0;
    QZI_TRY(add_tensor(w, "activation.channels", NULL, QZ_S32, channels, 1, &values));
    if (sum == 0)
        return QZ_OK;
    float *scales = qzi_arena_alloc(&w->arena, (size_t)sum * sizeof(*scales));
    uint8_t *zero_points = qzi_arena_alloc(&w->arena, (size_t)sum);
    if (!scales || !zero_points)
        return QZ_ERR_MEMORY;
    QZI_TRY(add_tensor(w, "channel.scale", NULL, QZ_F32, scales, 1, &sum));
    QZI_TRY(add_tensor(w, "channel.zero_point", NULL, QZ_U8, zero_points, 1, &sum));
    for (size_t i = 0; i < count; i++) {
        if (!has_channels(nodes[i]))
            continue;
        const size_t c = (size_t)nodes[i]->c;
        memcpy(scales, nodes[i]->channel_q->scale, c * sizeof(*scales));
        memcpy(zero_points, nodes[i]->channel_q->zero_point, c);
        scales += c;
        zero_points += c;
    }
    return QZ_OK;
}

/* The parameters of the values, in the order of the float graph's nodes. */
static qz_status add_activations(struct writer *w)
{
    const qzi_node **nodes = NULL;
    size_t values = 0;
    QZI_TRY(by_source(w, &nodes, &values));
    const int64_t count = (int64_t)values;
    float *scales = qzi_arena_alloc(&w->arena, values * sizeof(*scales));
    int32_t *zero_points = qzi_arena_alloc(&w->arena, values * sizeof(*zero_points));
    if (!scales || !zero_points)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < values; i++) {
        scales[i] = nodes[i] ? nodes[i]->q.scale : 0.0f;
        zero_points[i] = nodes[i] ? nodes[i]->q.zero_point : 0;
    }
    QZI_TRY(add_tensor(w, "activation.scale", NULL, QZ_F32, scales, 1, &count));
    QZI_TRY(add_tensor(w, "activation.zero_point", NULL, QZ_S32, zero_points, 1, &count));
    return qzi_qconfig_by_channel(&w->model->qconfig) ? add_channels(w, nodes, values) : QZ_OK;
}

static qz_status add_node(struct writer *w, const qzi_node *node)
{
    if (node->tables) {
        const int64_t dims[2] = {(int64_t)node->in_count, 256};
        QZI_TRY(add_tensor(w, node->name, "table", QZ_U8, node->tables, 2, dims));
    }
    if (node->qw) {
        const qzi_conv2d_attr *conv = &node->u.conv;
        const int64_t oc = conv->oc, dims[4] = {oc, conv->ic / conv->groups, conv->kh, conv->kw};
        const int64_t transposed[4] = {conv->ic, oc / conv->groups, conv->kh, conv->kw};
        QZI_TRY(add_tensor(w, node->name, "weight", QZ_S8, node->qw->w,
                           node->op == QZI_OP_LINEAR ? 2 : 4,
                           node->op == QZI_OP_CONV_TRANSPOSE2D ? transposed : dims));
        QZI_TRY(add_tensor(w, node->name, "weight_scale", QZ_F32, node->qw->scales, 1, &oc));
        QZI_TRY(add_tensor(w, node->name, "bias", QZ_S32, node->qw->bias, 1, &oc));
        return add_tensor(w, node->name, "bias_f32", QZ_F32, node->qw->bias_f32, 1, &oc);
    }
    for (int which = 0; which < QZI_P_COUNT; which++) {
        const qzi_param *param = qzi_node_param(w->model->int8_graph, node, which);
        if (!param || param->optional || w->written[node->param[which]])
            continue;
        w->written[node->param[which]] = true;
        QZI_TRY(add_tensor(w, param->key, NULL, QZ_F32, param->tensor.data, param->tensor.ndim,
                           param->tensor.dims));
    }
    return QZ_OK;
}

static qz_status write_model(struct writer *w, const char *path)
{
    const qz_model *m = w->model;
    const int64_t three = 3, anchors[3] = {3, 3, 2};
    QZI_TRY(add_metadata(w));
    QZI_TRY(add_tensor(w, "preprocess.mean", NULL, QZ_F32, m->preprocess.mean, 1, &three));
    QZI_TRY(add_tensor(w, "preprocess.std", NULL, QZ_F32, m->preprocess.std, 1, &three));
    if (m->arch->detector && m->arch->detector->kind == QZI_DETECTOR_YOLO)
        QZI_TRY(add_tensor(w, "anchors", NULL, QZ_F32, m->anchors, 3, anchors));
    QZI_TRY(add_activations(w));
    w->written = qzi_arena_alloc(&w->arena, (m->int8_graph->param_count + 1) * sizeof(*w->written));
    if (!w->written)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < m->int8_graph->node_count; i++)
        QZI_TRY(add_node(w, &m->int8_graph->nodes[i]));
    return qz_safetensors_save(m->ctx, path, w->entries, w->count, w->keys, w->values,
                               w->metadata_count);
}

qz_status qz_model_save(qz_model *model, const char *path)
{
    if (!model || !path)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_model_save: model or path is NULL");
    if (!model->int8_graph)
        return qzi_fail(model->ctx, QZ_ERR_STATE,
                        "%s: only int8 models are saved; prepare, calibrate and convert it first",
                        model->arch->info.name);
    if (model->dropped)
        return qzi_fail(model->ctx, QZ_ERR_STATE,
                        "%s: the weights were dropped; save before qz_model_finalize",
                        model->arch->info.name);
    struct writer w = {.model = model};
    qzi_arena_init(&w.arena, model->ctx);
    qz_status st = write_model(&w, path);
    qzi_free(model->ctx, w.entries);
    qzi_arena_free(&w.arena);
    return st;
}
