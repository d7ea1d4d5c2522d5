/* SPDX-License-Identifier: MIT */
/*
 * keys_prefix.c - leading parts of keys that wrappers leave: DataParallel's "module.", Lightning's
 * "model.", compile's "_orig_mod." and whatever a user's own module calls the network.
 *
 * A prefix is only taken where all parameters of the network but its head are below it, so
 * "layer1.0." is none of a file that has layer1.0.conv1.weight.
 */
#include "zoo/model/keys.h"

#include <stdio.h>
#include <string.h>

#define PREFIXES_MAX 32

typedef struct prefixes {
    char text[PREFIXES_MAX][256];
    size_t count;
} prefixes;

/* ---- changing keys ---- */

/* Below what remains of a key after a leading part is replaced. */
static qz_status replace(qzi_fit *fit, const char *key, const char *from, const char *to,
                         const char **out)
{
    const char *rest = key + strlen(from);
    rest += to[0] == '\0' && *rest == '.';
    char *text = qzi_format(fit->model->ctx, "%s%s", to, rest);
    if (!text)
        return QZ_ERR_MEMORY;
    *out = qzi_arena_strdup(&fit->dict->arena, text);
    qzi_free(fit->model->ctx, text);
    if (!*out)
        return QZ_ERR_MEMORY;
    if (**out == '\0')
        return qzi_fail(fit->model->ctx, QZ_ERR_MISMATCH, "%s: nothing is left of the key %s",
                        fit->path, key);
    return QZ_OK;
}

/* Replaces `from` at the beginning of each key that is not `changed` yet. */
static qz_status replace_all(qzi_fit *fit, const char *from, const char *to, bool *changed,
                             size_t *count)
{
    qz_state_dict *dict = fit->dict;
    const size_t size = strlen(from);
    *count = 0;
    for (size_t i = 0; i < dict->count + dict->foreign_count; i++) {
        const bool tensor = i < dict->count;
        const char **key = tensor ? &dict->entries[i].key : &dict->foreign[i - dict->count].key;
        if ((changed && changed[i]) || strncmp(*key, from, size) != 0)
            continue;
        QZI_TRY(replace(fit, *key, from, to, key));
        *count += tensor;
        if (changed)
            changed[i] = true;
    }
    return QZ_OK;
}

static qz_status sort(qzi_fit *fit, const char *what)
{
    if (qzi_dict_sort(fit->dict) == QZ_OK)
        return QZ_OK;
    return qzi_fail_prefix(fit->model->ctx, QZ_ERR_MISMATCH, "%s: after %s", fit->path, what);
}

/* Without the prefix. Another tensor that has the short key is not the network's: it goes. */
static qz_status strip(qzi_fit *fit, const char *prefix)
{
    qz_state_dict *dict = fit->dict;
    const size_t size = strlen(prefix);
    size_t count = 0;
    for (size_t i = 0; i < dict->count;) {
        const char *key = dict->entries[i].key;
        const char *rest = strncmp(key, prefix, size) == 0 ? key + size : NULL;
        if (rest && strncmp(rest, prefix, size) != 0 && qz_state_dict_find(dict, rest)) {
            size_t other = qz_state_dict_index(dict, rest);
            QZI_TRY(qz_state_dict_remove(dict, rest));
            i -= other < i;
        }
        i++;
    }
    QZI_TRY(replace_all(fit, prefix, "", NULL, &count));
    qzi_keys_note(fit, "removed the prefix '%s' of %zu keys", prefix, count);
    return sort(fit, "removing the prefix");
}

/* ---- the options ---- */

static qz_status strip_given(qzi_fit *fit)
{
    const char *given = fit->options->prefix;
    char prefix[256];
    const size_t size = strlen(given);
    if (size + 2 > sizeof(prefix))
        return qzi_fail(fit->model->ctx, QZ_ERR_ARGUMENT,
                        "options.prefix is longer than 254 bytes");
    snprintf(prefix, sizeof(prefix), "%s%s", given, given[size - 1] == '.' ? "" : ".");
    for (size_t i = 0; i < fit->dict->count; i++)
        if (strncmp(fit->dict->entries[i].key, prefix, strlen(prefix)) == 0)
            return strip(fit, prefix);
    return qzi_fail(fit->model->ctx, QZ_ERR_MISMATCH,
                    "%s: no key begins with '%s' (options.prefix); the first is %s", fit->path,
                    prefix, fit->dict->count > 0 ? fit->dict->entries[0].key : "none");
}

/* Each key is replaced by the first map that fits it. `used`: which maps did something. */
static qz_status apply_maps(qzi_fit *fit, bool *used)
{
    const qz_model_options *o = fit->options;
    const size_t count = fit->dict->count + fit->dict->foreign_count;
    bool *changed = qzi_calloc(fit->model->ctx, count, sizeof(*changed));
    if (!changed)
        return QZ_ERR_MEMORY;
    qz_status st = QZ_OK;
    for (size_t m = 0; m < o->map_count && st == QZ_OK; m++) {
        size_t replaced = 0;
        if (used[m])
            continue;
        st = replace_all(fit, o->map[m].from, o->map[m].to, changed, &replaced);
        used[m] = replaced > 0;
        if (replaced > 0)
            qzi_keys_note(fit, "mapped '%s' to '%s' in %zu keys", o->map[m].from, o->map[m].to,
                          replaced);
    }
    qzi_free(fit->model->ctx, changed);
    QZI_TRY(st);
    return sort(fit, "options.map");
}

static qz_status check_maps(const qzi_fit *fit)
{
    const qz_model_options *o = fit->options;
    if (o->map_count > 0 && !o->map)
        return qzi_fail(fit->model->ctx, QZ_ERR_ARGUMENT, "options.map has a count but no pairs");
    for (size_t m = 0; m < o->map_count; m++)
        if (!o->map[m].from || !o->map[m].to || o->map[m].from[0] == '\0')
            return qzi_fail(fit->model->ctx, QZ_ERR_ARGUMENT,
                            "options.map: pair %zu has nothing to replace", m);
    return QZ_OK;
}

/* ---- the search ---- */

/* Whether the parameter is one that every file of the network has, under these names. */
static bool is_reference(const qzi_fit *fit, const qzi_param *param)
{
    if (param->optional || qzi_keys_below(param->key, fit->head) ||
        qzi_keys_is_aux(fit->model, param->key))
        return false;
    return !fit->int8 || (qzi_ends_with(param->key, ".weight") && param->tensor.ndim == 4);
}

/* How many of the network's parameters are below the prefix, of `*all`; stops at the first that is
 * not, where `complete` is all that matters. */
static size_t count_below(const qzi_fit *fit, const char *prefix, bool complete, size_t *all)
{
    const qz_graph *graph = fit->model->graph;
    char key[QZI_KEY_MAX + 1];
    size_t found = 0;
    *all = 0;
    for (size_t i = 0; i < graph->param_count; i++) {
        if (!is_reference(fit, &graph->params[i]))
            continue;
        ++*all;
        int size = snprintf(key, sizeof(key), "%s%s", prefix, graph->params[i].key);
        if (size > 0 && (size_t)size < sizeof(key) && qz_state_dict_find(fit->dict, key))
            found++;
        else if (complete)
            return 0;
    }
    return found;
}

/* What stands before `end` in keys of the file. */
static void gather(const qzi_fit *fit, const char *end, prefixes *list)
{
    const size_t end_size = strlen(end);
    for (size_t i = 0; i < fit->dict->count && list->count < PREFIXES_MAX; i++) {
        const char *key = fit->dict->entries[i].key;
        const size_t size = strlen(key);
        if (size <= end_size + 1 || size - end_size >= sizeof(list->text[0]) ||
            strcmp(key + size - end_size, end) != 0 || key[size - end_size - 1] != '.')
            continue;
        char *text = list->text[list->count];
        snprintf(text, sizeof(list->text[0]), "%.*s", (int)(size - end_size), key);
        bool known = false;
        for (size_t k = 0; k < list->count && !known; k++)
            known = strcmp(list->text[k], text) == 0;
        list->count += !known;
    }
}

static qz_status strip_found(qzi_fit *fit)
{
    const qz_graph *graph = fit->model->graph;
    const char *complete[2] = {NULL, NULL}, *best = NULL;
    size_t all = 0, most = count_below(fit, "", false, &all), total = 0;
    if (all == 0 || most == all)
        return QZ_OK;
    prefixes *list = qzi_calloc(fit->model->ctx, 1, sizeof(*list));
    if (!list)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->param_count && list->count == 0; i++)
        if (is_reference(fit, &graph->params[i]))
            gather(fit, graph->params[i].key, list);
    for (size_t i = 0; i < list->count; i++) {
        const char *prefix = list->text[i];
        if (count_below(fit, prefix, true, &total) == all) {
            complete[complete[0] != NULL] = prefix;
            if (complete[1])
                break;
        }
        /* for the message: a file of another network, or one that lacks something */
        size_t found = count_below(fit, prefix, false, &total);
        if (found > most && found > all / 2) {
            most = found;
            best = prefix;
        }
    }
    qz_status st = QZ_OK;
    if (complete[1])
        st = qzi_fail(fit->model->ctx, QZ_ERR_MISMATCH,
                      "%s: holds %s twice, under '%s' and '%s'; name one by options.prefix",
                      fit->path, fit->model->arch->info.name, complete[0], complete[1]);
    else if (complete[0] || best)
        st = strip(fit, complete[0] ? complete[0] : best);
    qzi_free(fit->model->ctx, list);
    return st;
}

qz_status qzi_keys_strip(qzi_fit *fit)
{
    const qz_model_options *o = fit->options;
    QZI_TRY(check_maps(fit));
    const bool prefix = o->prefix && o->prefix[0] != '\0';
    if (prefix)
        QZI_TRY(strip_given(fit));
    bool *used = qzi_calloc(fit->model->ctx, o->map_count, sizeof(*used));
    if (!used)
        return QZ_ERR_MEMORY;
    qz_status st = o->map_count > 0 ? apply_maps(fit, used) : QZ_OK;
    if (st == QZ_OK && !prefix)
        st = strip_found(fit);
    if (st == QZ_OK && o->map_count > 0) /* those that mean keys without the prefix */
        st = apply_maps(fit, used);
    for (size_t m = 0; m < o->map_count && st == QZ_OK; m++)
        if (!used[m])
            st = qzi_fail(fit->model->ctx, QZ_ERR_MISMATCH,
                          "%s: no key begins with '%s' (options.map)", fit->path, o->map[m].from);
    qzi_free(fit->model->ctx, used);
    return st;
}
