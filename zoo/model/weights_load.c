/* SPDX-License-Identifier: MIT */
/*
 * weights_load.c - parameters of a model's float graph: from a state dict (torchvision's keys), or
 * from a seed.
 *
 * A file may be anyone's: each tensor is checked against what the graph wants, in shape, type and
 * finite numbers, before anything is computed with it.
 */
#include "zoo/torch/torch_int8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- seeded random ---- */

/* Whether the weight beside this bias has one dimension (that of a norm). */
static bool has_one_dimensional_weight(const qz_graph *graph, size_t bias)
{
    const char *key = graph->params[bias].key;
    const char *dot = strrchr(key, '.');
    if (bias == 0 || !dot || strcmp(dot, ".bias") != 0)
        return false;
    /* A weight stands right before its bias: state dicts keep the order in which they are made. */
    const qzi_param *weight = &graph->params[bias - 1];
    size_t prefix = (size_t)(dot - key);
    return strncmp(weight->key, key, prefix) == 0 && strcmp(weight->key + prefix, ".weight") == 0 &&
           weight->tensor.ndim == 1;
}

static qz_status allocate(const qz_graph *graph, qzi_param *param)
{
    size_t bytes = 0;
    int64_t numel = qz_tensor_numel(&param->tensor);
    if (numel < 0 || !qzi_mul_size((size_t)numel, qz_dtype_size(param->tensor.dtype), &bytes))
        return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "parameter %s is too large", param->key);
    param->tensor.data = qzi_alloc(graph->ctx, bytes);
    if (!param->tensor.data)
        return QZ_ERR_MEMORY;
    return QZ_OK;
}

struct fill_task {
    qz_graph *graph;
    const bool *wanted;
    const qz_fill_rule *rules;
    size_t rule_count;
    const char *suffix;
};

static void fill_params(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const struct fill_task *task = arg;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        qzi_param *param = &task->graph->params[i];
        if (task->wanted[i])
            qz_random_fill(param->key, task->suffix, task->rules, task->rule_count,
                           has_one_dimensional_weight(task->graph, (size_t)i), &param->tensor);
    }
}

qz_status qzi_weights_fill(qz_graph *graph, const qz_fill_rule *rules, const char *suffix)
{
    struct fill_task task = {.graph = graph, .rules = rules, .suffix = suffix};
    while (rules[task.rule_count].substring)
        task.rule_count++;
    bool *wanted = qzi_calloc(graph->ctx, graph->param_count, sizeof(*wanted));
    if (!wanted)
        return QZ_ERR_MEMORY;
    qz_status st = QZ_OK;
    for (size_t i = 0; i < graph->param_count && st == QZ_OK; i++) {
        wanted[i] = !graph->params[i].tensor.data;
        if (wanted[i])
            st = allocate(graph, &graph->params[i]);
    }
    if (st == QZ_OK) {
        task.wanted = wanted;
        qzi_parallel(graph->ctx, qz_context_threads(graph->ctx), (int64_t)graph->param_count, 1,
                     fill_params, &task);
    }
    qzi_free(graph->ctx, wanted);
    return st;
}

/* "random" and "random:SEED"; the suffix of the fill is the seed in plain decimal. */
static qz_status load_random(qz_model *model, const char *source)
{
    const char *digits = !source || source[6] == '\0' ? "0" : source + 7;
    uint64_t seed = 0;
    for (const char *p = digits; *p != '\0' || p == digits; p++) {
        if (*p < '0' || *p > '9' || seed > (UINT64_MAX - (uint64_t)(*p - '0')) / 10)
            return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                            "weights '%s': the seed must be a decimal number below 2^64", source);
        seed = seed * 10 + (uint64_t)(*p - '0');
    }
    char text[32];
    snprintf(text, sizeof(text), "random:%" PRIu64, seed);
    model->weights = qzi_arena_strdup(&model->arena, text);
    if (!model->weights)
        return QZ_ERR_MEMORY;
    model->random_weights = true;
    return qzi_weights_fill(model->graph, model->arch->fill_rules, text + 7);
}

/* ---- numbers ---- */

/* Over all of them without a way out early, so that it runs in vectors. */
static bool all_finite(const float *values, size_t count)
{
    uint32_t bad = 0, bits;
    for (size_t i = 0; i < count; i++) {
        memcpy(&bits, &values[i], sizeof(bits));
        bad |= (bits & 0x7f800000) == 0x7f800000;
    }
    return bad == 0;
}

static bool any_negative(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] < 0.0f)
            return true;
    return false;
}

/* ---- state dict ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

bool qzi_weights_is_file(const char *source)
{
    return strchr(source, '/') || ends_with(source, ".pth") || ends_with(source, ".pt") ||
           ends_with(source, ".safetensors") || ends_with(source, ".npz");
}

/* "[64, 3, 7, 7]" */
static const char *shape_text(const qz_tensor *tensor, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int32_t i = 0; i < tensor->ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i > 0 ? ", " : "",
                                 tensor->dims[i]);
    if (used < size)
        snprintf(text + used, size - used, "]");
    return text;
}

static bool same_shape(const qz_tensor *a, const qz_tensor *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int32_t i = 0; i < a->ndim; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}

/* The file's number of classes where a mismatch is just that: a last layer (of the network, of an
 * auxiliary head), its rows only. */
static int64_t classes_in_file(const qz_model *model, const qz_graph *graph, size_t index,
                               const qz_tensor *found)
{
    qz_tensor expected = graph->params[index].tensor;
    bool last = index + 2 >= graph->param_count || expected.ndim == 2;
    if (!last || found->ndim < 1 || expected.ndim < 1 || expected.dims[0] != model->num_classes)
        return 0;
    expected.dims[0] = found->dims[0];
    return same_shape(&expected, found) ? found->dims[0] : 0;
}

/* num_batches_tracked is kept for completeness; no computation reads it. */
static void load_optional(qzi_param *param, const qz_tensor *found)
{
    int64_t value = 0;
    if (found->dtype == QZ_S64 && qz_tensor_numel(found) == 1)
        memcpy(&value, found->data, sizeof(value));
    memcpy(param->tensor.data, &value, sizeof(value));
}

static qz_status check_shape(const qz_model *model, const qz_graph *graph, size_t index,
                             const qz_tensor *found, const char *path)
{
    const qz_context *ctx = model->ctx;
    const qzi_param *param = &graph->params[index];
    if (same_shape(&param->tensor, found))
        return QZ_OK;
    char have[200], want[200];
    shape_text(found, have, sizeof(have));
    shape_text(&param->tensor, want, sizeof(want));
    int64_t classes = classes_in_file(model, graph, index, found);
    if (classes > 0)
        return qzi_fail(ctx, QZ_ERR_MISMATCH,
                        "%s: %s is %s, the model wants %s: the file has %" PRId64
                        " classes, not %d; set num_classes to %" PRId64,
                        path, param->key, have, want, classes, (int)model->num_classes, classes);
    return qzi_fail(ctx, QZ_ERR_MISMATCH, "%s: %s is %s, the model wants %s; is this a file of %s?",
                    path, param->key, have, want, model->arch->info.name);
}

/* What was found for each parameter, and what is wrong with its numbers. */
struct load_task {
    qz_graph *graph;
    struct load_param {
        const qz_tensor *found; /* NULL: none */
        enum { RIGHT, NOT_FLOAT, NOT_FINITE, NEGATIVE } wrong;
    } * params;
};

static void load_one(const qz_graph *graph, qzi_param *param, struct load_param *p)
{
    float *values = param->tensor.data;
    size_t count = (size_t)qz_tensor_numel(&param->tensor);
    if (param->optional)
        load_optional(param, p->found);
    else if (qz_tensor_to_f32(graph->ctx, p->found, NULL, values) != QZ_OK)
        p->wrong = NOT_FLOAT;
    else if (!all_finite(values, count))
        p->wrong = NOT_FINITE;
    else if (ends_with(param->key, ".running_var") && any_negative(values, count))
        p->wrong = NEGATIVE;
}

/* Messages belong to a thread, so workers only note what is wrong. */
static void load_params(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    struct load_task *task = arg;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        if (task->params[i].found)
            load_one(task->graph, &task->graph->params[i], &task->params[i]);
}

static qz_status tell_one(const qz_context *ctx, const char *key, const struct load_param *p,
                          const char *path)
{
    switch (p->wrong) {
    case RIGHT:
        return QZ_OK;
    case NOT_FLOAT:
        return qzi_fail(ctx, QZ_ERR_MISMATCH, "%s: %s is %s, the model wants floating point", path,
                        key, qz_dtype_name(p->found->dtype));
    case NOT_FINITE:
        return qzi_fail(ctx, QZ_ERR_NUMERIC,
                        "%s: %s has NaN or infinity (or is too large for float32)", path, key);
    default:
        return qzi_fail(ctx, QZ_ERR_NUMERIC, "%s: %s has a negative variance", path, key);
    }
}

static qz_status tell_wrong(const struct load_task *task, const char *path)
{
    for (size_t i = 0; i < task->graph->param_count; i++)
        QZI_TRY(tell_one(task->graph->ctx, task->graph->params[i].key, &task->params[i], path));
    return QZ_OK;
}

qz_status qzi_weights_load_param(const qz_model *model, qz_graph *graph, size_t index,
                                 const qz_tensor *found, const char *path)
{
    qzi_param *param = &graph->params[index];
    struct load_param p = {.found = found};
    if (!param->optional)
        QZI_TRY(check_shape(model, graph, index, found, path));
    QZI_TRY(allocate(graph, param));
    load_one(graph, param, &p);
    return tell_one(model->ctx, param->key, &p, path);
}

/* What a warning tells of a kind of key: how many, and the first three. */
struct key_list {
    size_t count;
    const char *first[3];
};

static void key_list_add(struct key_list *list, const char *key)
{
    if (list->count < QZI_ARRAY_LEN(list->first))
        list->first[list->count] = key;
    list->count++;
}

/* Appends "; 7 unexpected keys (a, b, c, …)" to an arena string; NULL when out of memory. */
static const char *key_list_append(qz_model *model, const char *text, const struct key_list *list,
                                   const char *what)
{
    if (!text || list->count == 0)
        return text;
    const char *const *key = list->first;
    char *all = qzi_format(
        model->ctx, "%s%s%zu %s (%s%s%s%s%s%s)", text, text[0] != '\0' ? "; " : "", list->count,
        what, key[0], list->count > 1 ? ", " : "", list->count > 1 ? key[1] : "",
        list->count > 2 ? ", " : "", list->count > 2 ? key[2] : "", list->count > 3 ? ", …" : "");
    if (!all)
        return NULL;
    text = qzi_arena_strdup(&model->arena, all);
    qzi_free(model->ctx, all);
    return text;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Longer than any key of torchvision. */
#define OLD_KEY_LENGTH 128

/* The parameter in the file: by its name, or by the name that torchvision's old files have. */
static const qz_tensor *find_param(const qz_model *model, const qz_state_dict *dict,
                                   const char *key)
{
    char old[OLD_KEY_LENGTH];
    const qz_tensor *found = qz_state_dict_find(dict, key);
    if (found || !model->arch->old_key || !model->arch->old_key(key, old, sizeof(old)))
        return found;
    return qz_state_dict_find(dict, old);
}

/* Whether a key of the file is the old name of a parameter. */
static bool is_old_key(const qz_model *model, const char *key)
{
    char old[OLD_KEY_LENGTH];
    if (!model->arch->old_key)
        return false;
    for (size_t i = 0; i < model->graph->param_count; i++)
        if (model->arch->old_key(model->graph->params[i].key, old, sizeof(old)) &&
            strcmp(old, key) == 0)
            return true;
    return false;
}

/* Keys of the file that are no parameter of the graph. */
static qz_status find_unexpected(qz_model *model, const qz_state_dict *dict, struct key_list *list)
{
    const qz_graph *graph = model->graph;
    const char **keys = qzi_calloc(model->ctx, graph->param_count, sizeof(*keys));
    if (!keys)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->param_count; i++)
        keys[i] = graph->params[i].key;
    qsort(keys, graph->param_count, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < qz_state_dict_count(dict); i++) {
        const char *key = qz_state_dict_key(dict, i);
        if (!bsearch(&key, keys, graph->param_count, sizeof(*keys), compare_keys) &&
            !is_old_key(model, key))
            key_list_add(list, key);
    }
    qzi_free(model->ctx, keys);
    return QZ_OK;
}

/* Copies and checks what was found; tensors are independent, so threads share them. */
static qz_status load_found(struct load_task *task, const char *path)
{
    qz_graph *graph = task->graph;
    for (size_t i = 0; i < graph->param_count; i++)
        if (task->params[i].found)
            QZI_TRY(allocate(graph, &graph->params[i]));
    qzi_parallel(graph->ctx, qz_context_threads(graph->ctx), (int64_t)graph->param_count, 1,
                 load_params, task);
    return tell_wrong(task, path);
}

static qz_status load_dict_into(qz_model *model, const qz_state_dict *dict, const char *path,
                                bool allow_missing, struct load_task *task)
{
    qz_graph *graph = model->graph;
    struct key_list unexpected = {0}, untracked = {0}, missing = {0};
    for (size_t i = 0; i < graph->param_count; i++) {
        const qzi_param *param = &graph->params[i];
        const qz_tensor *found = find_param(model, dict, param->key);
        task->params[i].found = found;
        if (found && !param->optional)
            QZI_TRY(check_shape(model, graph, i, found, path));
        else if (!found)
            key_list_add(param->optional ? &untracked : &missing, param->key);
    }
    if (missing.count > 0 && !allow_missing) {
        size_t count = qz_state_dict_count(dict);
        return qzi_fail(model->ctx, QZ_ERR_MISMATCH,
                        "%s: %zu parameters of %s are missing, the first is %s (the first of the "
                        "file's %zu keys is %s); allow_missing would fill them at random",
                        path, missing.count, model->arch->info.name, missing.first[0], count,
                        count > 0 ? qz_state_dict_key(dict, 0) : "none");
    }
    QZI_TRY(load_found(task, path));
    QZI_TRY(find_unexpected(model, dict, &unexpected));
    QZI_TRY(qzi_weights_fill(graph, model->arch->fill_rules, "0"));
    const char *text = "";
    text = key_list_append(model, text, &missing, "missing parameters filled at random");
    text = key_list_append(model, text, &unexpected, "unexpected keys");
    text = key_list_append(model, text, &untracked, "missing num_batches_tracked");
    if (!text)
        return QZ_ERR_MEMORY;
    model->warning = text;
    model->warning_count = missing.count + unexpected.count + untracked.count;
    if (model->warning_count > 0)
        qzi_log(model->ctx, QZ_LOG_WARNING, "%s: %s", path, text);
    return QZ_OK;
}

static qz_status load_dict(qz_model *model, const qz_state_dict *dict, const char *path,
                           bool allow_missing)
{
    struct load_task task = {.graph = model->graph};
    task.params = qzi_calloc(model->ctx, model->graph->param_count, sizeof(*task.params));
    if (!task.params)
        return QZ_ERR_MEMORY;
    qz_status st = load_dict_into(model, dict, path, allow_missing, &task);
    qzi_free(model->ctx, task.params);
    return st;
}

static qz_status load_file(qz_model *model, const char *path, const qz_model_options *options)
{
    qz_state_dict *dict = NULL;
    /* files of the cache are replaced, never changed: they may be mapped */
    if (path == model->weights_path)
        QZI_TRY(qz_state_dict_map(model->ctx, path, &dict));
    else
        QZI_TRY(qz_state_dict_load(model->ctx, path, &dict));
    qz_status st = QZ_OK;
    const char *format = qz_state_dict_metadata(dict, "format");
    if (format && strncmp(format, "qzoo.", 5) == 0)
        st = qzi_fail(model->ctx, QZ_ERR_MISMATCH,
                      "%s: a saved int8 model, not weights; open the file itself as the model",
                      path);
    else if (qzi_torch_is_int8(dict))
        st = qzi_torch_load(model, dict, path, options);
    else if ((st = qz_state_dict_update_keys(dict, NULL)) == QZ_OK)
        st = load_dict(model, dict, path, options->allow_missing);
    qz_state_dict_destroy(dict);
    if (st != QZ_OK)
        return st;
    model->weights = qzi_arena_strdup(&model->arena, path);
    return model->weights ? QZ_OK : QZ_ERR_MEMORY;
}

/* ---- the way in ---- */

struct hash_task {
    const qz_graph *graph;
    uint64_t *hashes;
};

/* See saved_model.h. Over bytes, one after another, it took longer than reading the file. */
static void hash_params(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const struct hash_task *task = arg;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        const qzi_param *param = &task->graph->params[i];
        const float *values = param->tensor.data;
        size_t count = param->optional ? 0 : (size_t)qz_tensor_numel(&param->tensor);
        uint64_t lanes[4] = {QZI_FNV_OFFSET, QZI_FNV_OFFSET, QZI_FNV_OFFSET, QZI_FNV_OFFSET};
        uint32_t bits;
        size_t k = 0;
        for (; k + 4 <= count; k += 4) {
            for (size_t lane = 0; lane < 4; lane++) {
                memcpy(&bits, &values[k + lane], sizeof(bits));
                lanes[lane] = (lanes[lane] ^ bits) * QZI_FNV_PRIME;
            }
        }
        for (; k < count; k++) {
            memcpy(&bits, &values[k], sizeof(bits));
            lanes[k % 4] = (lanes[k % 4] ^ bits) * QZI_FNV_PRIME;
        }
        task->hashes[i] = qzi_fnv1a_numbers(lanes, 4, sizeof(lanes[0]), QZI_FNV_OFFSET);
    }
}

static qz_status hash_weights(qz_model *model)
{
    const qz_graph *graph = model->graph;
    struct hash_task task = {.graph = graph};
    task.hashes = qzi_calloc(model->ctx, graph->param_count, sizeof(*task.hashes));
    if (!task.hashes)
        return QZ_ERR_MEMORY;
    qzi_parallel(model->ctx, qz_context_threads(model->ctx), (int64_t)graph->param_count, 1,
                 hash_params, &task);
    model->weights_hash =
        qzi_fnv1a_numbers(task.hashes, graph->param_count, sizeof(*task.hashes), QZI_FNV_OFFSET);
    qzi_free(model->ctx, task.hashes);
    return QZ_OK;
}

qz_status qzi_weights_load(qz_model *model, const qz_model_options *options)
{
    const char *source = options->weights;
    if (!source || strcmp(source, "random") == 0 || strncmp(source, "random:", 7) == 0)
        QZI_TRY(load_random(model, source));
    else if (model->weights_path)
        QZI_TRY(load_file(model, model->weights_path, options));
    else
        QZI_TRY(load_file(model, source, options));
    if (model->weights_tag)
        model->weights = model->weights_tag;
    return model->graph ? hash_weights(model) : QZ_OK;
}
