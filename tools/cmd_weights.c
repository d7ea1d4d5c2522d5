/* SPDX-License-Identifier: MIT */
/* cmd_weights.c - qzoo weights: published weights, and the cache that holds them. */
#include "cmd_weights.h"

#include "commands.h"
#include "fetch_bar.h"
#include "messages.h"
#include "report.h"
#include "subject.h"

#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE 4096

typedef struct weights {
    const tool_options *options; /* without the name of the subcommand */
    qz_context *ctx;
    qz_catalogue *catalogue;
} weights;

/* ---- names ---- */

/* MODEL[:TAG] */
static int find_weights(const weights *w, const char *name, const qz_weights_info **info)
{
    char model[128];
    const char *colon = strchr(name, ':');
    size_t length = colon ? (size_t)(colon - name) : strlen(name);
    if (length == 0 || length >= sizeof(model) || (colon && !colon[1]))
        return tool_fail(EXIT_USAGE, "%s: MODEL or MODEL:TAG is needed", name);
    memcpy(model, name, length);
    model[length] = '\0';
    qz_status st = qz_catalogue_find(w->catalogue, model, colon ? colon + 1 : NULL, info);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(w->ctx, st);
}

static int want_args(const tool_options *o, const char *what, size_t least, size_t most,
                     const char *usage)
{
    if (o->args.count >= least && o->args.count <= most)
        return EXIT_DONE;
    return tool_fail(EXIT_USAGE, "weights %s: %s is needed", what, usage);
}

/* ---- list ---- */

static json_t *metrics_json(const qz_weights_info *info)
{
    json_t *metrics = json_object();
    for (size_t i = 0; i < QZ_MAX_METRICS && info->metrics[i].name; i++)
        json_set(metrics, info->metrics[i].name, json_real(info->metrics[i].thousandths / 1000.0));
    return metrics;
}

/* Whether the architecture is built: else its weights can be fetched, but not run. */
static bool is_built(const char *model)
{
    for (size_t i = 0; i < qz_arch_count(); i++) {
        qz_arch_info arch;
        qz_arch_at(i, &arch);
        if (strcmp(arch.name, model) == 0)
            return true;
    }
    return false;
}

static json_t *info_json(const qz_weights_info *info, qz_cache_state state, const char *path)
{
    static const char *const states[] = {"no", "yes", "torch hub"};
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:I, s:s, s:o, s:s, s:s, s:b, s:b, s:s}", "model",
        info->model, "tag", info->tag, "task", info->task, "url", info->url, "file", info->file,
        "sha256", info->sha256, "classes", info->classes, "categories", info->categories, "params",
        (json_int_t)info->params, "data_set", info->data_set, "metrics", metrics_json(info),
        "licence", info->licence, "quantized", info->quantized, "default", info->is_default, "user",
        info->user, "cached", states[state]);
    if (!json)
        return NULL;
    json_set(json, "runs", json_boolean(is_built(info->model)));
    if (info->size)
        json_set(json, "size", json_integer((json_int_t)info->size));
    if (info->parent[0])
        json_set(json, "parent", json_string(info->parent));
    if (info->resize || info->crop)
        json_set(json, "preprocess",
                 json_pack("{s:i, s:i, s:s, s:[f,f,f], s:[f,f,f]}", "resize", info->resize, "crop",
                           info->crop, "interpolation", info->interpolation, "mean",
                           (double)info->mean[0], (double)info->mean[1], (double)info->mean[2],
                           "std", (double)info->std[0], (double)info->std[1],
                           (double)info->std[2]));
    if (state != QZ_CACHE_ABSENT)
        json_set(json, "path", json_text(path));
    return json;
}

static void list_row(report_table *t, const qz_weights_info *info, qz_cache_state state)
{
    static const char *const states[] = {"", "yes", "hub"};
    const qz_metric *m = info->metrics;
    table_cell(t, "%s%s", info->model, is_built(info->model) ? "" : " (not built yet)");
    table_cell(t, "%s%s", info->tag, info->is_default ? " *" : "");
    if (m[0].name && m[1].name)
        table_cell(t, "%s %.3f, %s %.3f", m[0].name, m[0].thousandths / 1000.0, m[1].name,
                   m[1].thousandths / 1000.0);
    else if (m[0].name)
        table_cell(t, "%s %.3f", m[0].name, m[0].thousandths / 1000.0);
    else
        table_cell(t, "-");
    table_cell(t, "%s", info->quantized[0] ? info->quantized : "float");
    table_cell(t, "%.1f", (double)info->params * 1e-6);
    table_cell(t, "%s", states[state]);
    table_cell(t, "%s", info->licence[0] ? info->licence : "unknown");
}

/* Torch hub's files must be hashed, so only a `thorough` search includes them. */
static void state_of(const weights *w, const qz_weights_info *info, bool thorough,
                     qz_cache_state *state, char path[PATH_SIZE])
{
    struct stat stat_info;
    const char *folder = qz_context_cache_dir(w->ctx);
    *state = QZ_CACHE_ABSENT;
    if (thorough) {
        if (qz_cache_find(w->ctx, info, state, path, PATH_SIZE) != QZ_OK)
            *state = QZ_CACHE_ABSENT;
        return;
    }
    if (!folder || snprintf(path, PATH_SIZE, "%s/weights/%s", folder, info->file) >= PATH_SIZE)
        return;
    if (stat(path, &stat_info) == 0 && S_ISREG(stat_info.st_mode))
        *state = QZ_CACHE_OWN;
}

static int list(const weights *w)
{
    static const char *const headers[] = {"<model",     "<tag (* default)", "<accuracy", "<type",
                                          "params (M)", "<cached",          "<licence"};
    const tool_options *o = w->options;
    int status = want_args(o, "list", 0, 1, "nothing or one MODEL");
    const qz_weights_info *info = NULL;
    if (status == EXIT_DONE && o->args.count) /* for its message */
        status = find_weights(w, o->args.items[0], &info);
    if (status)
        return status;
    json_t *rows = json_array();
    report_table *t = table_new(headers, 7);
    for (size_t i = 0; (info = qz_catalogue_at(w->catalogue, i)); i++) {
        qz_cache_state state;
        char path[PATH_SIZE];
        size_t length = o->args.count ? strcspn(o->args.items[0], ":") : 0;
        if (o->args.count &&
            (strlen(info->model) != length || strncmp(info->model, o->args.items[0], length) != 0))
            continue;
        state_of(w, info, o->args.count != 0, &state, path);
        list_row(t, info, state);
        json_add(rows, info_json(info, state, path));
    }
    if (report_prints(o))
        status = table_print(t, stdout);
    table_free(t);
    int written =
        json_write(o, json_pack("{s:s, s:o}", "schema", "qzoo.weights/1", "weights", rows));
    return status ? status : written;
}

/* ---- fetch ---- */

static int fetch_one(const weights *w, const qz_weights_info *info)
{
    fetch_bar bar = {.options = w->options};
    char path[PATH_SIZE];
    qz_fetch_options f;
    fetch_bar_options(&bar, &f);
    qz_status st = qz_weights_fetch(w->ctx, info, &f, path, sizeof(path));
    fetch_bar_end(&bar);
    /* the cache cannot be written; the cache is not an input */
    if (st == QZ_ERR_IO)
        return tool_fail(EXIT_FAILED, "%s", qz_context_message(w->ctx));
    if (st != QZ_OK)
        return tool_fail_status(w->ctx, st);
    if (report_prints(w->options))
        printf("%s\n", path);
    fflush(stdout);
    return EXIT_DONE;
}

static int fetch(const weights *w)
{
    const tool_options *o = w->options;
    if (o->weights.all ? o->args.count != 0 : o->args.count == 0)
        return tool_fail(EXIT_USAGE, "weights fetch: MODEL[:TAG]... or --all is needed");
    int status = EXIT_DONE;
    /* all names before any download */
    for (size_t i = 0; i < o->args.count && status == EXIT_DONE; i++) {
        const qz_weights_info *info;
        status = find_weights(w, o->args.items[i], &info);
    }
    for (size_t i = 0; i < o->args.count && status == EXIT_DONE; i++) {
        const qz_weights_info *info = NULL;
        status = find_weights(w, o->args.items[i], &info);
        if (status == EXIT_DONE)
            status = fetch_one(w, info);
    }
    for (size_t i = 0;
         o->weights.all && i < qz_catalogue_count(w->catalogue) && status == EXIT_DONE; i++)
        status = fetch_one(w, qz_catalogue_at(w->catalogue, i));
    return status;
}

/* ---- verify, path, prune ---- */

static int verify_one(const weights *w, const qz_weights_info *info)
{
    qz_status st = qz_cache_verify(w->ctx, info);
    if (st != QZ_OK)
        return tool_fail_status(w->ctx, st);
    if (report_prints(w->options))
        printf("%s: right\n", info->file);
    return EXIT_DONE;
}

/* Verifies the named files, or all cached files; a damaged file does not end the loop. */
static int verify(const weights *w)
{
    const tool_options *o = w->options;
    int worst = EXIT_DONE;
    for (size_t i = 0; i < o->args.count; i++) {
        const qz_weights_info *info = NULL;
        int status = find_weights(w, o->args.items[i], &info);
        if (status == EXIT_DONE)
            status = verify_one(w, info);
        worst = status > worst ? status : worst;
    }
    for (size_t i = 0; o->args.count == 0 && i < qz_catalogue_count(w->catalogue); i++) {
        const qz_weights_info *info = qz_catalogue_at(w->catalogue, i);
        qz_cache_state state;
        char path[PATH_SIZE];
        state_of(w, info, false, &state, path);
        int status = state == QZ_CACHE_OWN ? verify_one(w, info) : EXIT_DONE;
        worst = status > worst ? status : worst;
    }
    return worst;
}

static int path(const weights *w)
{
    const qz_weights_info *info = NULL;
    qz_cache_state state;
    char text[PATH_SIZE];
    int status = want_args(w->options, "path", 1, 1, "one MODEL[:TAG]");
    if (status == EXIT_DONE)
        status = find_weights(w, w->options->args.items[0], &info);
    if (status)
        return status;
    qz_status st = qz_cache_find(w->ctx, info, &state, text, sizeof(text));
    if (st != QZ_OK)
        return tool_fail_status(w->ctx, st);
    if (state == QZ_CACHE_ABSENT)
        return tool_fail(EXIT_FETCH,
                         "%s:%s: not in the cache; get it with qzoo weights fetch %s:%s",
                         info->model, info->tag, info->model, info->tag);
    printf("%s\n", text);
    return EXIT_DONE;
}

static int prune(const weights *w)
{
    qz_prune_result result;
    int status = want_args(w->options, "prune", 0, 0, "no argument (all files: --all)");
    if (status)
        return status;
    qz_status st = qz_cache_prune(w->ctx, w->catalogue, w->options->weights.all, &result);
    if (st != QZ_OK)
        return tool_fail(EXIT_FAILED, "%s", qz_context_message(w->ctx));
    if (report_prints(w->options))
        printf("removed %zu files, %.1f MB\n", result.files, (double)result.bytes * 1e-6);
    return EXIT_DONE;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    int (*run)(const weights *w);
    int (*run_file)(const tool_options *options, qz_context *ctx);
} subcommands[] = {
    {"list", list, NULL},
    {"fetch", fetch, NULL},
    {"verify", verify, NULL},
    {"path", path, NULL},
    {"prune", prune, NULL},
    {"show", NULL, weights_show},
    {"convert", NULL, weights_convert},
};

int cmd_weights(const tool_options *options)
{
    tool_options o = *options;
    weights w = {.options = &o};
    size_t i = 0, count = sizeof(subcommands) / sizeof(subcommands[0]);
    if (o.args.count == 0)
        return tool_fail(EXIT_USAGE,
                         "weights: list, fetch, verify, path, prune, show or convert is needed");
    while (i < count && strcmp(subcommands[i].name, o.args.items[0]) != 0)
        i++;
    if (i == count)
        return tool_fail(EXIT_USAGE,
                         "weights %s: list, fetch, verify, path, prune, show or convert is needed",
                         o.args.items[0]);
    o.args.items++;
    o.args.count--;
    int status = subject_context(&o, &w.ctx);
    if (status)
        return status;
    if (subcommands[i].run_file) {
        status = subcommands[i].run_file(&o, w.ctx);
    } else {
        qz_status st = qz_catalogue_open(w.ctx, o.fetch.catalogue, &w.catalogue);
        status = st == QZ_OK ? subcommands[i].run(&w) : tool_fail_status(w.ctx, st);
        qz_catalogue_close(w.catalogue);
    }
    subject_context_end(w.ctx);
    return status;
}
