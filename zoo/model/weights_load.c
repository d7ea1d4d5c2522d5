/* SPDX-License-Identifier: MIT */
/*
 * weights_load.c - a state dict into the parameters of a float graph, by torchvision's keys.
 *
 * A file is not trusted: shape, type and finite numbers of each tensor are checked before anything
 * is computed with it.
 */
#include "zoo/model/weights_load.h"
#include "zoo/model/keys.h"
#include "zoo/model/weights_random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

static bool any_negative(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] < 0.0f)
            return true;
    return false;
}

/* ---- state dict ---- */

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

/* The file's class count if that is the only mismatch, otherwise 0. It is, if only the rows of a
 * last layer differ (of the network or of an auxiliary head). */
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
                        " classes, not %d; give options.num_classes %" PRId64,
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
    else if (!qzi_all_finite(values, count))
        p->wrong = NOT_FINITE;
    else if (qzi_ends_with(param->key, ".running_var") && any_negative(values, count))
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

static qz_status report_one(const qz_context *ctx, const char *key, const struct load_param *p,
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

static qz_status report_wrong(const struct load_task *task, const char *path)
{
    for (size_t i = 0; i < task->graph->param_count; i++)
        QZI_TRY(report_one(task->graph->ctx, task->graph->params[i].key, &task->params[i], path));
    return QZ_OK;
}

qz_status qzi_weights_load_param(const qz_model *model, qz_graph *graph, size_t index,
                                 const qz_tensor *found, const char *path)
{
    qzi_param *param = &graph->params[index];
    struct load_param p = {.found = found};
    if (!param->optional)
        QZI_TRY(check_shape(model, graph, index, found, path));
    QZI_TRY(qzi_param_allocate(graph, param));
    load_one(graph, param, &p);
    return report_one(model->ctx, param->key, &p, path);
}

/* What a warning says about a kind of key: how many, and the first three. */
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

/* Numbers that tools leave in modules, and counters that some versions of a layer lack. */
static bool is_stray(const char *key)
{
    static const char *const leaves[] = {"total_ops", "total_params", "num_batches_tracked",
                                         "n_averaged", "_extra_state"};
    const char *dot = strrchr(key, '.'), *leaf = dot ? dot + 1 : key;
    for (size_t i = 0; i < QZI_ARRAY_LEN(leaves); i++)
        if (strcmp(leaf, leaves[i]) == 0)
            return true;
    return false;
}

/* Whether the network has the module that the key begins with ("layer1" of "layer1.2.weight"). */
static bool is_below_module(const qz_graph *graph, const char *key)
{
    const size_t size = strcspn(key, ".");
    if (key[size] == '\0')
        return false;
    for (size_t i = 0; i < graph->param_count; i++)
        if (strncmp(graph->params[i].key, key, size + 1) == 0)
            return true;
    for (size_t i = 0; i < graph->node_count; i++)
        if (strncmp(graph->nodes[i].name, key, size) == 0 &&
            (graph->nodes[i].name[size] == '.' || graph->nodes[i].name[size] == '\0'))
            return true;
    return false;
}

/* Keys of the file that are no parameter of the graph: those that the network should have if it
 * were the file's, and strays. */
static qz_status find_unexpected(qz_model *model, const qz_state_dict *dict, struct key_list *list,
                                 struct key_list *strays)
{
    const qz_graph *graph = model->graph;
    const char **keys = qzi_calloc(model->ctx, graph->param_count, sizeof(*keys));
    if (!keys)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->param_count; i++)
        keys[i] = graph->params[i].key;
    qsort(keys, graph->param_count, sizeof(*keys), qzi_keys_compare);
    for (size_t i = 0; i < qz_state_dict_count(dict); i++) {
        const char *key = qz_state_dict_key(dict, i);
        if (bsearch(&key, keys, graph->param_count, sizeof(*keys), qzi_keys_compare))
            continue;
        if (model->no_aux_logits && qzi_keys_is_aux(model, key))
            continue;
        key_list_add(!is_stray(key) && is_below_module(graph, key) ? list : strays, key);
    }
    qzi_free(model->ctx, keys);
    return QZ_OK;
}

/* What stands in the file where a missing parameter should be; NULL: nothing. */
static const qzi_dict_foreign_value *find_foreign(const struct load_task *task,
                                                  const qz_state_dict *dict)
{
    for (size_t i = 0; i < task->graph->param_count && dict->foreign_count > 0; i++) {
        const qzi_param *param = &task->graph->params[i];
        const qzi_dict_foreign_value *value = NULL;
        if (!task->params[i].found && !param->optional && !param->tensor.data)
            value = qzi_dict_foreign(dict, param->key);
        if (value)
            return value;
    }
    return NULL;
}

static qz_status fail_missing(const qz_model *model, const qz_state_dict *dict, const char *path,
                              const struct key_list *missing, const struct key_list *unexpected,
                              const struct key_list *strays)
{
    const char *name = model->arch->info.name;
    const size_t more = unexpected->count + strays->count;
    if (more == 0)
        return qzi_fail(model->ctx, QZ_ERR_MISMATCH,
                        "%s: %zu parameters of %s are missing, the first is %s, of the file's %zu "
                        "keys; options.allow_missing would fill them at random",
                        path, missing->count, name, missing->first[0], qz_state_dict_count(dict));
    return qzi_fail(
        model->ctx, QZ_ERR_MISMATCH,
        "%s: %zu parameters of %s are missing, the first is %s, and %zu keys are "
        "unexpected, the first is %s; is this a file of %s? options.allow_missing would "
        "fill them at random",
        path, missing->count, name, missing->first[0], more,
        unexpected->count > 0 ? unexpected->first[0] : strays->first[0], name);
}

static qz_status check_keys(const qz_model *model, const qz_state_dict *dict, const char *path,
                            const qz_model_options *options, const struct load_task *task,
                            const struct key_list *missing, const struct key_list *unexpected,
                            const struct key_list *strays)
{
    const char *name = model->arch->info.name;
    const qzi_dict_foreign_value *foreign = find_foreign(task, dict);
    if (foreign)
        return qzi_fail(model->ctx, foreign->object ? QZ_ERR_UNSUPPORTED : QZ_ERR_MISMATCH,
                        "%s: '%s' %s; save model.state_dict() alone", path, foreign->key,
                        foreign->what);
    if (missing->count > 0 && !options->allow_missing)
        return fail_missing(model, dict, path, missing, unexpected, strays);
    if (unexpected->count > 0 && !options->allow_unexpected)
        return qzi_fail(model->ctx, QZ_ERR_MISMATCH,
                        "%s: %zu unexpected keys, which %s does not have, the first is %s; is this "
                        "a file of another network? options.allow_unexpected leaves them out",
                        path, unexpected->count, name, unexpected->first[0]);
    return QZ_OK;
}

/* Copies and checks what was found; tensors are independent, so threads share them. */
static qz_status load_found(struct load_task *task, const char *path)
{
    qz_graph *graph = task->graph;
    for (size_t i = 0; i < graph->param_count; i++)
        if (task->params[i].found)
            QZI_TRY(qzi_param_allocate(graph, &graph->params[i]));
    qzi_parallel(graph->ctx, qz_context_threads(graph->ctx), (int64_t)graph->param_count, 1,
                 load_params, task);
    return report_wrong(task, path);
}

static qz_status load_dict_into(qz_model *model, const qz_state_dict *dict, const char *path,
                                const qz_model_options *options, struct load_task *task)
{
    qz_graph *graph = model->graph;
    struct key_list unexpected = {0}, strays = {0}, untracked = {0}, missing = {0};
    for (size_t i = 0; i < graph->param_count; i++) {
        const qzi_param *param = &graph->params[i];
        const qz_tensor *found = qz_state_dict_find(dict, param->key);
        task->params[i].found = found;
        if (!found && !param->tensor.data) /* a buffer that has its own values may be missing */
            key_list_add(param->optional ? &untracked : &missing, param->key);
    }
    QZI_TRY(find_unexpected(model, dict, &unexpected, &strays));
    for (size_t i = 0; i < graph->param_count; i++)
        if (task->params[i].found && !graph->params[i].optional)
            QZI_TRY(check_shape(model, graph, i, task->params[i].found, path));
    QZI_TRY(check_keys(model, dict, path, options, task, &missing, &unexpected, &strays));
    QZI_TRY(load_found(task, path));
    QZI_TRY(qzi_weights_fill_arch(graph, model->arch, "0"));
    const char *text = "";
    text = key_list_append(model, text, &missing, "missing parameters filled at random");
    text = key_list_append(model, text, &unexpected, "unexpected keys");
    text =
        key_list_append(model, text, &strays, unexpected.count > 0 ? "strays" : "unexpected keys");
    text = key_list_append(model, text, &untracked, "missing num_batches_tracked");
    if (!text)
        return QZ_ERR_MEMORY;
    model->origin.missing = missing.count;
    QZI_TRY(qzi_keys_printable(model, text, &model->origin.warning));
    model->origin.warning_count = missing.count + unexpected.count + strays.count + untracked.count;
    if (model->origin.warning_count > 0)
        qzi_log(model->ctx, QZ_LOG_WARNING, "%s: %s", path, model->origin.warning);
    return QZ_OK;
}

qz_status qzi_weights_load(qz_model *model, const qz_state_dict *dict, const char *path,
                           const qz_model_options *options)
{
    struct load_task task = {.graph = model->graph};
    task.params = qzi_calloc(model->ctx, model->graph->param_count, sizeof(*task.params));
    if (!task.params)
        return QZ_ERR_MEMORY;
    qz_status st = load_dict_into(model, dict, path, options, &task);
    qzi_free(model->ctx, task.params);
    return st;
}
