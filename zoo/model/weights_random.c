/* SPDX-License-Identifier: MIT */
/*
 * weights_random.c - seeded random parameters: the same numbers on every machine (random_fill.c).
 */
#include "zoo/model/weights_random.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Whether the weight beside this bias has one dimension (that of a norm). */
static bool has_one_dimensional_weight(const qz_graph *graph, size_t bias)
{
    const char *key = graph->params[bias].key;
    const char *dot = strrchr(key, '.');
    if (bias == 0 || !dot || strcmp(dot, ".bias") != 0)
        return false;
    /* A weight comes right before its bias: state dicts keep the order of creation. */
    const qzi_param *weight = &graph->params[bias - 1];
    size_t prefix = (size_t)(dot - key);
    return strncmp(weight->key, key, prefix) == 0 && strcmp(weight->key + prefix, ".weight") == 0 &&
           weight->tensor.ndim == 1;
}

qz_status qzi_param_allocate(const qz_graph *graph, qzi_param *param)
{
    size_t bytes = 0;
    int64_t numel = qz_tensor_numel(&param->tensor);
    if (numel < 0 || !qzi_mul_size((size_t)numel, qz_dtype_size(param->tensor.dtype), &bytes))
        return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT, "parameter %s is too large", param->key);
    qzi_free(graph->ctx, param->tensor.data); /* what a buffer has until a file brings its own */
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
    const qzi_fill_range *ranges;
    const char *suffix;
};

static const qzi_fill_range *find_range(const qzi_fill_range *ranges, const char *key)
{
    for (; ranges && ranges->substring; ranges++)
        if (strstr(key, ranges->substring))
            return ranges;
    return NULL;
}

static void fill_params(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const struct fill_task *task = arg;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        qzi_param *param = &task->graph->params[i];
        if (!task->wanted[i])
            continue;
        const qzi_fill_range *range = find_range(task->ranges, param->key);
        if (range)
            qz_random_uniform(param->key, task->suffix, range->off, range->mul,
                              qz_tensor_numel(&param->tensor), param->tensor.data);
        else
            qz_random_fill(param->key, task->suffix, task->rules, task->rule_count,
                           has_one_dimensional_weight(task->graph, (size_t)i), &param->tensor);
    }
}

static qz_status fill(qz_graph *graph, const qz_fill_rule *rules, const qzi_fill_range *ranges,
                      const char *suffix)
{
    struct fill_task task = {.graph = graph, .rules = rules, .ranges = ranges, .suffix = suffix};
    while (rules[task.rule_count].substring)
        task.rule_count++;
    bool *wanted = qzi_calloc(graph->ctx, graph->param_count, sizeof(*wanted));
    if (!wanted)
        return QZ_ERR_MEMORY;
    qz_status st = QZ_OK;
    for (size_t i = 0; i < graph->param_count && st == QZ_OK; i++) {
        wanted[i] = !graph->params[i].tensor.data;
        if (wanted[i])
            st = qzi_param_allocate(graph, &graph->params[i]);
    }
    if (st == QZ_OK) {
        task.wanted = wanted;
        qzi_parallel(graph->ctx, qz_context_threads(graph->ctx), (int64_t)graph->param_count, 1,
                     fill_params, &task);
    }
    qzi_free(graph->ctx, wanted);
    return st;
}

qz_status qzi_weights_fill(qz_graph *graph, const qz_fill_rule *rules, const char *suffix)
{
    return fill(graph, rules, NULL, suffix);
}

qz_status qzi_weights_fill_arch(qz_graph *graph, const qzi_arch *arch, const char *suffix)
{
    return fill(graph, arch->fill_rules, arch->fill_ranges, suffix);
}

/* "random" and "random:SEED"; the suffix of the fill is the seed in plain decimal. */
qz_status qzi_weights_random(qz_model *model, const char *source)
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
    model->origin.weights = qzi_arena_strdup(&model->arena, text);
    if (!model->origin.weights)
        return QZ_ERR_MEMORY;
    model->origin.random = true;
    return qzi_weights_fill_arch(model->graph, model->arch, text + 7);
}
