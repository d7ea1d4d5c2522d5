/* SPDX-License-Identifier: MIT */
/*
 * keys_head.c - the layer that makes the classes: it is found in a file where fine-tuning replaced
 * it, and its rows are the number of classes.
 */
#include "zoo/model/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEY_SIZE 512

static const qz_tensor *find(const qzi_fit *fit, const char *module, const char *leaf)
{
    char key[KEY_SIZE];
    snprintf(key, sizeof(key), "%s%s", module, leaf);
    return qz_state_dict_find(fit->dict, key);
}

/* The head's weight; of quantized linear layers in all versions of PyTorch's keys. */
static const qz_tensor *find_head_weight(const qzi_fit *fit)
{
    const qz_tensor *weight = find(fit, fit->head, ".weight");
    if (!weight && fit->int8)
        weight = find(fit, fit->head, "._packed_params._packed_params.weight");
    if (!weight && fit->int8)
        weight = find(fit, fit->head, "._packed_params.weight");
    return weight;
}

static const qzi_param *head_param(const qzi_fit *fit)
{
    char key[KEY_SIZE];
    snprintf(key, sizeof(key), "%s.weight", fit->head);
    return qzi_graph_param(fit->model->graph, key);
}

/* A weight with the head's shape but for the number of classes. */
static bool is_alike(const qzi_fit *fit, const qz_tensor *weight)
{
    const qzi_param *param = head_param(fit);
    if (!param || weight->ndim != param->tensor.ndim || weight->dims[0] < 1)
        return false;
    for (int32_t i = 1; i < weight->ndim; i++)
        if (weight->dims[i] != param->tensor.dims[i])
            return false;
    return true;
}

/* "fc.0.weight [256, 512]": what is in the head's place, as far as it fits. */
static void list_layers(const qzi_fit *fit, const char *scope, char *text, size_t size)
{
    size_t used = 0, shown = 0;
    text[0] = '\0';
    for (size_t i = 0; i < fit->dict->count && used < size; i++) {
        const char *key = fit->dict->entries[i].key;
        const qz_tensor *t = &fit->dict->entries[i].tensor;
        if (!qzi_keys_below(key, scope) || qzi_keys_expected(fit, key) ||
            !qzi_ends_with(key, ".weight"))
            continue;
        if (++shown > 4) {
            snprintf(text + used, size - used, ", …");
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%.120s [", used > 0 ? ", " : "", key);
        for (int32_t d = 0; d < t->ndim && used < size; d++)
            used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, d > 0 ? ", " : "",
                                     t->dims[d]);
        if (used < size)
            used += (size_t)snprintf(text + used, size - used, "]");
    }
}

/* Entry `index` is C.weight: C into `module`. */
static bool module_of(const qzi_fit *fit, size_t index, char module[KEY_SIZE])
{
    const char *key = fit->dict->entries[index].key;
    if (!qzi_ends_with(key, ".weight") || strlen(key) >= KEY_SIZE)
        return false;
    snprintf(module, KEY_SIZE, "%.*s", (int)(strlen(key) - strlen(".weight")), key);
    return true;
}

static qz_status use_layer(qzi_fit *fit, const char *module)
{
    static const char *const leaves[] = {".weight", ".bias"};
    char from[KEY_SIZE], to[KEY_SIZE];
    for (size_t i = 0; i < QZI_ARRAY_LEN(leaves); i++) {
        snprintf(from, sizeof(from), "%s%s", module, leaves[i]);
        snprintf(to, sizeof(to), "%s%s", fit->head, leaves[i]);
        if (strcmp(from, to) == 0 || !qz_state_dict_find(fit->dict, from))
            continue;
        if (qz_state_dict_find(fit->dict, to))
            QZI_TRY(qz_state_dict_remove(fit->dict, to));
        QZI_TRY(qz_state_dict_rename(fit->dict, from, to));
    }
    qzi_keys_note(fit, "took the layer %s for %s", module, fit->head);
    return QZ_OK;
}

static qz_status fail_head(const qzi_fit *fit, const char *scope)
{
    char found[400];
    if (fit->options->allow_missing)
        return QZ_OK;
    list_layers(fit, scope, found, sizeof(found));
    return qzi_fail(fit->model->ctx, QZ_ERR_MISMATCH,
                    "%s: %s.weight is missing; the file has %s instead, a head that %s does not "
                    "have",
                    fit->path, fit->head, found, fit->model->arch->info.name);
}

/*
 * The one layer in the place of the head, with nothing else beside it that has parameters. The
 * place is the head's own module and what is around it, such as "classifier" of "classifier.1".
 */
static qz_status find_replaced(qzi_fit *fit)
{
    char scope[KEY_SIZE], module[KEY_SIZE], one[KEY_SIZE] = "";
    size_t below = 0, alike = 0;
    snprintf(scope, sizeof(scope), "%.*s", (int)strcspn(fit->head, "."), fit->head);
    for (int everywhere = 0; everywhere < 2 && below == 0; everywhere++) {
        for (size_t i = 0; i < fit->dict->count; i++) {
            const char *key = fit->dict->entries[i].key;
            if (qzi_keys_expected(fit, key) || (!everywhere && !qzi_keys_below(key, scope)) ||
                qzi_ends_with(key, ".num_batches_tracked"))
                continue;
            below += !everywhere;
            if (!module_of(fit, i, module))
                continue;
            if (is_alike(fit, &fit->dict->entries[i].tensor)) {
                alike++;
                memcpy(one, module, sizeof(one));
            } else {
                alike += fit->dict->entries[i].tensor.ndim > 1 && everywhere ? 2 : 0;
            }
        }
    }
    if (below == 0)
        return alike == 1 ? use_layer(fit, one) : QZ_OK;
    const size_t own = 1 + (find(fit, one, ".bias") != NULL);
    return alike == 1 && below == own ? use_layer(fit, one) : fail_head(fit, scope);
}

static qz_status find_layer(qzi_fit *fit)
{
    const char *given = fit->options->head_key;
    if (given && fit->int8)
        return qzi_fail(fit->model->ctx, QZ_ERR_ARGUMENT,
                        "%s: an int8 model, whose layers have their names; leave out "
                        "options.head_key",
                        fit->path);
    if (given && !find(fit, given, ".weight"))
        return qzi_fail(fit->model->ctx, QZ_ERR_MISMATCH,
                        "%s: has no %.200s.weight (options.head_key names the layer, such as fc.1)",
                        fit->path, given);
    if (given)
        return use_layer(fit, given);
    return fit->int8 || find_head_weight(fit) ? QZ_OK : find_replaced(fit);
}

qz_status qzi_keys_head(qzi_fit *fit, qzi_build_options *build)
{
    if (fit->head[0] == '\0')
        return QZ_OK;
    QZI_TRY(find_layer(fit));
    const qz_tensor *weight = find_head_weight(fit);
    if (!weight || fit->options->num_classes != 0 || !is_alike(fit, weight))
        return QZ_OK;
    const int64_t classes = weight->dims[0] / fit->head_rows - fit->head_extra;
    if (weight->dims[0] % fit->head_rows != 0 || classes < 1 || classes > 1000000 ||
        classes == build->num_classes)
        return QZ_OK;
    build->num_classes = (int32_t)classes;
    qzi_keys_note(fit, "%d classes", (int)build->num_classes);
    return QZ_OK;
}
