/* SPDX-License-Identifier: MIT */
/* cmd_run.c - qzoo run: the best classes of images or arrays; dumps of outputs and nodes. */
#include "commands.h"
#include "images.h"
#include "messages.h"
#include "provenance.h"
#include "report.h"
#include "subject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TOP 5

typedef struct run_state {
    const tool_options *o;
    qz_context *ctx;
    subject s;
    qz_session *session;
    const char **node_names; /* resolved --dump-node; NULL: every node */
    size_t input;            /* number of the current input */
    size_t inputs;
    json_t *results;
    bool nonfinite; /* an output was no number */
    int status;     /* of node_hook */
} run_state;

/* DIR/NAME.npy; with several inputs DIR/NUMBER-NAME.npy. */
static int dump(run_state *r, const char *name, const qz_tensor *tensor)
{
    char path[4096];
    int n = r->inputs > 1
                ? snprintf(path, sizeof(path), "%s/%zu-%s.npy", r->o->out.dump, r->input, name)
                : snprintf(path, sizeof(path), "%s/%s.npy", r->o->out.dump, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return tool_fail(EXIT_USAGE, "--dump-outputs: the path is too long");
    qz_status st = qz_npy_save(r->ctx, path, tensor);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(r->ctx, st);
}

static qz_status node_hook(void *user, const char *name, const qz_tensor *value,
                           const qz_tensor *bytes)
{
    run_state *r = user;
    (void)bytes;
    for (size_t i = 0; i < r->o->out.dump_nodes.count && r->status == EXIT_DONE; i++) {
        if (!r->node_names[i])
            r->status = dump(r, name, value);
        else if (strcmp(r->node_names[i], name) == 0)
            r->status = dump(r, r->o->out.dump_nodes.items[i], value);
    }
    return r->status == EXIT_DONE ? QZ_OK : QZ_ERR_CANCELLED;
}

/* A module's name ("layer1.0") means the node that computes the module's output. */
static int resolve_nodes(run_state *r)
{
    const tool_options *o = r->o;
    const qz_graph *graph = qz_model_graph(r->s.model, r->s.info.converted);
    if (!o->out.dump_nodes.count)
        return EXIT_DONE;
    if (!o->out.dump)
        return tool_fail(EXIT_USAGE, "--dump-node: needs a folder; give --dump-outputs DIR");
    r->node_names = calloc(o->out.dump_nodes.count, sizeof(*r->node_names));
    if (!r->node_names)
        return tool_fail_memory();
    for (size_t i = 0; i < o->out.dump_nodes.count; i++) {
        qz_node_info info;
        if (strcmp(o->out.dump_nodes.items[i], "all") == 0)
            continue;
        int64_t node = qz_graph_find_node(graph, o->out.dump_nodes.items[i]);
        if (node < 0)
            return tool_fail(
                EXIT_USAGE, "--dump-node %s: no such node; qzoo list %s --ops lists the nodes%s",
                o->out.dump_nodes.items[i], r->s.info.name,
                o->model.fuse == FUSE_NONE ? "" : " (--fuse none keeps batch norms apart)");
        qz_graph_node_at(graph, (size_t)node, &info);
        r->node_names[i] = info.name;
    }
    qz_session_set_node_hook(r->session, node_hook, r);
    return EXIT_DONE;
}

static const char *class_name(const run_state *r, int32_t index)
{
    const char *name = qz_model_class(r->s.model, index);
    return name ? name : "";
}

static void report(run_state *r, const char *input, const qz_tensor *logits)
{
    char name_shown[4096];
    const bool int8 = r->s.info.converted;
    const char *precision = int8 ? "int8" : "fp32";
    const char *made_up = provenance_words(&r->s.info, int8);
    for (int64_t row = 0; row < logits->dims[0]; row++) {
        qz_top top[TOP];
        size_t count = qz_topk(logits, row, TOP, top);
        json_t *json = json_array();
        if (report_prints(r->o)) {
            qz_text_printable(input, name_shown, sizeof(name_shown));
            printf("%s", name_shown);
            if (logits->dims[0] > 1)
                printf(" [%lld]", (long long)row);
            printf(" (%s%s%s)%s\n", precision, *made_up ? ", " : "", made_up,
                   count ? "" : ": the output is no number");
        }
        for (size_t i = 0; i < count; i++) {
            const char *name = class_name(r, top[i].index);
            if (report_prints(r->o))
                tool_print("  %5.1f %%  %4d  %s  (%.4f)", 100.0 * (double)top[i].probability,
                           top[i].index, name, (double)top[i].score);
            json_add(json, json_pack("{s:i, s:o, s:o, s:o}", "index", top[i].index, "class",
                                     json_text(name), "score", json_number((double)top[i].score),
                                     "probability", json_number((double)top[i].probability)));
        }
        json_t *result = json_pack("{s:o, s:I, s:s, s:s, s:o}", "input", json_text(input), "row",
                                   (json_int_t)row, "model", r->s.info.name, "precision", precision,
                                   "top", json);
        provenance_json(result, &r->s.info, int8);
        if (count == 0)
            json_set(result, "nonfinite", json_true());
        json_add(r->results, result);
    }
}

static int run_input(run_state *r, const image_list *list, size_t index)
{
    qz_tensor image;
    int status = images_load(r->ctx, list, index, &r->s.info, &image);
    if (status)
        return status;
    qz_status st = qz_session_run(r->session, &image);
    images_release(&image);
    if (r->status)
        return r->status;
    if (st != QZ_OK) {
        status = subject_fail_run(&r->s, r->session, st, list->paths[index]);
        if (status != EXIT_FAILED || st != QZ_ERR_NUMERIC)
            return status;
        r->nonfinite = true; /* what there is of the outputs is reported */
    }
    for (size_t i = 0; i < qz_session_output_count(r->session); i++) {
        const char *name;
        const qz_tensor *tensor;
        st = qz_session_output(r->session, i, &name, &tensor);
        if (st != QZ_OK)
            return tool_fail_status(r->ctx, st);
        if (r->o->out.dump && (status = dump(r, name, tensor)))
            return status;
        if (i == 0 && tensor->ndim == 2)
            report(r, list->paths[index], tensor);
    }
    return EXIT_DONE;
}

static int run_all(run_state *r)
{
    const tool_options *o = r->o;
    image_list list = {0};
    int status = subject_open(o, r->ctx, o->args.items[0], o->quant.ptq, &r->s);
    if (status)
        return status;
    qz_session_options so = QZ_SESSION_OPTIONS_INIT;
    so.no_winograd = o->run.no_winograd;
    qz_status st = QZ_OK;
    if (r->s.info.converted) /* nothing is saved or compared: packed weights are enough */
        st = qz_model_finalize(r->s.model, true);
    if (st == QZ_OK)
        st = qz_session_create(r->s.model, &so, &r->session);
    if (st != QZ_OK)
        return tool_fail_status(r->ctx, st);
    if ((status = resolve_nodes(r)))
        return status;
    for (size_t i = 1; i < o->args.count; i++) {
        if (strncmp(o->args.items[i], "synthetic", 9) == 0)
            return tool_fail(EXIT_USAGE, "%s: an image or a .npy file is needed", o->args.items[i]);
    }
    status = images_find(o->args.items + 1, o->args.count - 1, &list);
    images_drop_bad(&list);
    if (status == EXIT_DONE && o->out.dump && mkdir(o->out.dump, 0777) != 0 && errno != EEXIST)
        status = tool_fail(EXIT_INPUT, "%s: cannot be created: %s", o->out.dump, strerror(errno));
    r->inputs = list.count;
    for (r->input = 0; r->input < list.count && status == EXIT_DONE; r->input++)
        status = run_input(r, &list, r->input);
    images_free(&list);
    return status;
}

int cmd_run(const tool_options *o)
{
    run_state r = {.o = o};
    if (o->args.count < 2)
        return tool_fail(EXIT_USAGE, "run: needs a model and at least one image or .npy file");
    int status = subject_context(o, &r.ctx);
    if (status)
        return status;
    r.results = json_array();
    status = run_all(&r);
    qz_session_destroy(r.session);
    subject_close(&r.s);
    free(r.node_names);
    subject_context_end(r.ctx);
    if (status && json_array_size(r.results) == 0) {
        json_decref(r.results);
        return status;
    }
    const int written =
        json_write(o, json_pack("{s:s, s:o}", "schema", "qzoo.run/1", "results", r.results));
    status = status ? status : written;
    return status == EXIT_DONE && r.nonfinite ? EXIT_FAILED : status;
}
