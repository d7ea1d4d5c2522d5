/* SPDX-License-Identifier: MIT */
/* cmd_list.c - qzoo list: the models, or the nodes of one. */
#include "commands.h"
#include "messages.h"
#include "report.h"
#include "subject.h"

#include <string.h>

/* The tags of a model's published float weights, as JSON and, in `line`, for people. */
static json_t *tags_of(const qz_catalogue *catalogue, const char *model, char *line, size_t size)
{
    const qz_weights_info *w;
    json_t *tags = json_pack("[s]", "random");
    size_t used = 0;
    line[0] = '\0';
    for (size_t i = 0; (w = qz_catalogue_at(catalogue, i)); i++) {
        if (strcmp(w->model, model) != 0 || w->quantized[0])
            continue;
        json_add(tags, json_string(w->tag));
        if (used < size)
            used += (size_t)snprintf(line + used, size - used, "%s%s%s", used ? ", " : "", w->tag,
                                     w->is_default ? " *" : "");
    }
    return tags;
}

static json_t *model_json(const qz_arch_info *info, uint64_t params, uint64_t macs, json_t *tags)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:[i,i,i,i], s:i, s:o}", "name", info->name, "task",
                     info->task, "params", (json_int_t)params, "macs", (json_int_t)macs, "input", 1,
                     3, info->input_h, info->input_w, "classes", info->classes, "weights", tags);
}

static int list_models(const tool_options *o, qz_context *ctx, const qz_catalogue *catalogue)
{
    static const char *const headers[] = {"<model", "<task", "params (M)",
                                          "GMAC",   "input", "<weights (* default)"};
    json_t *models = json_array();
    report_table *t = table_new(headers, 6);
    int status = EXIT_DONE;
    bool found = o->args.count == 0;
    for (size_t i = 0; i < qz_arch_count() && status == EXIT_DONE; i++) {
        qz_arch_info info;
        uint64_t params, macs;
        qz_arch_at(i, &info);
        if (o->args.count && strcmp(o->args.items[0], info.name) != 0)
            continue;
        found = true;
        qz_status st = qz_arch_measure(ctx, info.name, &params, &macs);
        if (st != QZ_OK) {
            status = tool_fail_status(ctx, st);
            break;
        }
        char line[200];
        json_t *tags = tags_of(catalogue, info.name, line, sizeof(line));
        json_add(models, model_json(&info, params, macs, tags));
        table_cell(t, "%s", info.name);
        table_cell(t, "%s", info.task);
        table_cell(t, "%.2f", (double)params * 1e-6);
        table_cell(t, "%.3f", (double)macs * 1e-9);
        table_cell(t, "%dx%d", info.input_h, info.input_w);
        table_cell(t, "%s", line);
    }
    if (!found) { /* for the message with the nearest names */
        qz_arch_info info;
        status = tool_fail_status(ctx, qz_arch_find(ctx, o->args.items[0], &info));
    }
    if (status == EXIT_DONE && report_prints(o))
        status = table_print(t, stdout);
    table_free(t);
    if (status) {
        json_decref(models);
        return status;
    }
    return json_write(o, json_pack("{s:s, s:o}", "schema", "qzoo.list/1", "models", models));
}

static json_t *node_json(const qz_node_info *n)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:I, s:[I,I,I,I]}", "name", n->name, "op",
                     n->op, "activation", n->activation, "fused", n->fused, "precision",
                     n->is_int8 ? "int8" : "fp32", "by_channel", n->by_channel, "reason",
                     n->fallback_reason, "macs", (json_int_t)n->macs, "out",
                     (json_int_t)n->out_shape[0], (json_int_t)n->out_shape[1],
                     (json_int_t)n->out_shape[2], (json_int_t)n->out_shape[3]);
}

#define CLASSES_SHOWN 10

/* The names that were given to the classes, the first of them. */
static void print_classes(const subject *s)
{
    const int32_t all = s->info.num_classes, shown = all < CLASSES_SHOWN ? all : CLASSES_SHOWN;
    if (!s->info.named_classes)
        return;
    printf("classes: %d: ", (int)all);
    for (int32_t i = 0; i < shown; i++)
        printf("%s%s", i ? ", " : "", qz_model_class(s->model, i));
    printf("%s\n", shown < all ? ", …" : "");
}

static json_t *class_names(const subject *s)
{
    json_t *names = json_array();
    for (int32_t i = 0; s->info.named_classes && i < s->info.num_classes; i++)
        json_add(names, json_text(qz_model_class(s->model, i)));
    return names;
}

/* Lists the nodes of the int8 graph itself, so that the list cannot differ from what runs. */
static int list_ops(const tool_options *o, qz_context *ctx)
{
    static const char *const headers[] = {"<node", "<op",  "<fused",   "<precision",
                                          "MMAC",  "<out", "<why fp32"};
    static const char *one_image[] = {"synthetic:1"};
    subject s;
    tool_options with = *o;
    if (!with.quant.calib.count && !with.quant.statistics.count &&
        !is_model_file(o->args.items[0])) {
        with.quant.calib = (option_list){one_image, 1}; /* the decisions depend on no image */
        with.quant.calib_chosen = true;
    }
    int status = subject_open(&with, ctx, o->args.items[0], true, &s);
    if (status)
        return status;
    const qz_graph *graph = qz_model_graph(s.model, true);
    json_t *nodes = json_array();
    report_table *t = table_new(headers, 7);
    size_t int8_count = 0, count = qz_graph_node_count(graph);
    for (size_t i = 0; i < count; i++) {
        qz_node_info n;
        qz_graph_node_at(graph, i, &n);
        int8_count += n.is_int8;
        json_add(nodes, node_json(&n));
        table_cell(t, "%s", n.name);
        table_cell(t, "%s%s%s", n.op, *n.activation ? "+" : "", n.activation);
        table_cell(t, "%s", n.fused);
        table_cell(t, "%s%s", n.is_int8 ? "int8" : "fp32", n.by_channel ? " by channel" : "");
        table_cell(t, "%.2f", (double)n.macs * 1e-6);
        table_cell(t, "%lldx%lldx%lld", (long long)n.out_shape[1], (long long)n.out_shape[2],
                   (long long)n.out_shape[3]);
        table_cell(t, "%s", n.fallback_reason);
    }
    if (report_prints(o)) {
        status = table_print(t, stdout);
        printf("%s: %zu of %zu nodes in int8, backend %s\n", s.info.name, int8_count, count,
               s.info.backend);
        print_classes(&s);
    }
    table_free(t);
    json_t *model =
        json_pack("{s:s, s:s, s:I, s:I, s:[i,i,i,i], s:i, s:o, s:[o], s:s, s:o}", "name",
                  s.info.name, "task", s.info.task, "params", (json_int_t)s.info.params, "macs",
                  (json_int_t)s.info.macs, "input", 1, 3, s.info.input_h, s.info.input_w, "classes",
                  s.info.num_classes, "class_names", class_names(&s), "weights",
                  json_text(s.info.weights), "backend", s.info.backend, "nodes", nodes);
    subject_close(&s);
    int written =
        json_write(o, json_pack("{s:s, s:[o]}", "schema", "qzoo.list/1", "models", model));
    return status ? status : written;
}

int cmd_list(const tool_options *o)
{
    qz_context *ctx;
    if (o->args.count > 1)
        return tool_fail(EXIT_USAGE, "list: takes one model at most");
    if (o->list.ops && o->args.count == 0)
        return tool_fail(EXIT_USAGE, "--ops: name a model, such as qzoo list resnet50 --ops");
    int status = subject_context(o, &ctx);
    if (status)
        return status;
    if (o->list.ops || (o->args.count && is_model_file(o->args.items[0]))) {
        status = list_ops(o, ctx); /* of a file its nodes are what there is to list */
    } else {
        qz_catalogue *catalogue = NULL;
        qz_status st = qz_catalogue_open(ctx, o->fetch.catalogue, &catalogue);
        status = st == QZ_OK ? list_models(o, ctx, catalogue) : tool_fail_status(ctx, st);
        qz_catalogue_close(catalogue);
    }
    subject_context_end(ctx);
    return status;
}
